// Neuron types: labels of any kind, and what is given per neuron or per type (class, time constant, nonlinearity).

import { ArgumentError, nearestName, ShapeError } from "../core/errors.ts";
import { compareText, printable, quoteText, quoteValue, shortened } from "../core/text.ts";

/** Name of a neuron type. */
export type Label = string | number;

/** "excitatory" or 1, "inhibitory" or −1. */
export type NeuronClassName = "excitatory" | "inhibitory" | 1 | -1;

/** Labels mapped to 0, 1, … in sorted order (numbers by size, strings by code point). */
export interface NeuronTypes {
  readonly types: readonly Label[];
  /** Type of every neuron, an index into `types`. */
  readonly typeIdx: Uint32Array;
}

/**
 * @throws {ShapeError} another number of labels than neurons
 * @throws {ArgumentError} labels of mixed kinds, or a number that is not finite
 */
export function neuronTypes(labels: ArrayLike<Label>, nNeurons: number): NeuronTypes {
  const where = "neuronTypes";
  if (labels.length !== nNeurons) {
    throw new ShapeError(where, "neuronType", `${nNeurons} labels, one per neuron`, `${labels.length} labels`);
  }
  const distinct = [...new Set(Array.from(labels))];
  const isNumber = typeof distinct[0] === "number";
  for (const label of distinct) {
    const fits = isNumber ? Number.isFinite(label) : typeof label === "string";
    if (!fits) throw new ArgumentError(where, "neuronType", "all finite numbers or all strings", quoteValue(label));
  }
  const types = isNumber ? (distinct as number[]).sort((a, b) => a - b) : (distinct as string[]).sort(compareText);
  const position = new Map<Label, number>(types.map((label, i) => [label, i]));
  return { types, typeIdx: Uint32Array.from({ length: nNeurons }, (_, i) => position.get(labels[i]!)!) };
}

/** One value for all, one per neuron, or one per type (in the order of `types`, or by label). */
export type PerNeuron<T> = T | ArrayLike<T> | Readonly<Record<string, T>>;

/**
 * Spreads a specification to one value per neuron.
 * @param perType  a list belongs to the types, not to the neurons
 * @throws {ShapeError | ArgumentError} naming the argument, how many values came and how many neurons or types there are
 */
export function spread<T>(
  name: string,
  spec: PerNeuron<T>,
  nNeurons: number,
  types: NeuronTypes | null,
  perType: boolean,
): T[] {
  const where = "ConnectomeNetwork";
  if (isList(spec)) {
    if (!perType) {
      if (spec.length !== nNeurons) {
        const hint = types && spec.length === types.types.length ? "; for one per type say so by the mode" : "";
        throw new ShapeError(where, name, `${nNeurons} values, one per neuron${hint}`, `${spec.length}`);
      }
      return Array.from(spec);
    }
    const { typeIdx, types: known } = needTypes(name, types);
    if (spec.length !== known.length) {
      throw new ShapeError(where, name, `${known.length} values, one per neuron type`, `${spec.length}`);
    }
    return Array.from(typeIdx, (t) => spec[t]!);
  }
  if (typeof spec === "object" && spec !== null) {
    const { typeIdx, types: known } = needTypes(name, types);
    const byLabel = spec as Readonly<Record<string, T>>;
    const values = known.map((label) => {
      if (!Object.hasOwn(byLabel, String(label))) {
        const got = `values for ${shortened(printable(Object.keys(byLabel).join(", ")), 200)}`;
        throw new ArgumentError(where, name, `a value for type ${quoteText(String(label))}`, got);
      }
      return byLabel[String(label)]!;
    });
    const stray = Object.keys(byLabel).find((label) => !known.some((k) => String(k) === label));
    if (stray !== undefined) {
      const near = nearestName(stray, known.map(String));
      const expected = near ? `a known type such as ${quoteText(near)}` : "known types";
      throw new ArgumentError(where, name, expected, quoteText(stray));
    }
    return Array.from(typeIdx, (t) => values[t]!);
  }
  return new Array<T>(nNeurons).fill(spec as T);
}

/** ±1 per neuron; null when every neuron is excitatory, so that no factor is applied. */
export function signVector(
  spec: PerNeuron<NeuronClassName>,
  nNeurons: number,
  types: NeuronTypes | null,
  perType: boolean,
): Float64Array | null {
  const signs = Float64Array.from(spread("neuronClass", spec, nNeurons, types, perType), (c) => {
    if (c === 1 || c === "excitatory") return 1;
    if (c === -1 || c === "inhibitory") return -1;
    throw new ArgumentError(
      "ConnectomeNetwork",
      "neuronClass",
      '"excitatory" (1) or "inhibitory" (-1)',
      `${String(c)}`,
    );
  });
  return signs.every((s) => s === 1) ? null : signs;
}

function isList<T>(spec: PerNeuron<T>): spec is ArrayLike<T> {
  return typeof spec === "object" && spec !== null && typeof (spec as ArrayLike<T>).length === "number";
}

function needTypes(name: string, types: NeuronTypes | null): NeuronTypes {
  if (types) return types;
  throw new ArgumentError("ConnectomeNetwork", name, "neuronType labels for values per type", "no neuronType");
}
