// Which elements of parameters a pattern with neurons chooses: biases of some neurons, connections from or to them.

import { ArgumentError } from "../core/errors.ts";
import { quoteText } from "../core/text.ts";
import { type SelectableNeurons, selectNeurons } from "../data/selectors.ts";
import type { Parameter } from "../models/parameters/parameter.ts";
import {
  matchingTrainable,
  type ParameterPattern,
  type PatternNeurons,
  parsePattern,
} from "../models/parameters/pattern.ts";

/** Elements of a parameter in the device's order: [size], 1 for those that are chosen; null: all. */
export type ChosenElements = Uint8Array | null;

/** What patterns with neurons are resolved by. */
export interface PatternScope {
  /** Of the network whose parameters are chosen, in the order of its rows. Default: patterns with neurons are refused. */
  readonly neurons?: SelectableNeurons | null;
}

/**
 * The trainable parameters that match a pattern, each with its chosen elements. Those without neurons are passed over if a wildcard includes them.
 *
 * @throws {ArgumentError} nothing matches, neurons that are not known, parameters without neurons, a value that chosen and other neurons share
 */
export function chosenElements<P extends Parameter>(
  where: string,
  argument: string,
  pattern: ParameterPattern,
  parameters: readonly P[],
  { neurons = null }: PatternScope,
): ReadonlyMap<P, ChosenElements> {
  const { parameters: names, neurons: ends } = parsePattern(where, argument, pattern);
  const matches = matchingTrainable(where, argument, names, parameters);
  if (ends.length === 0) return new Map(matches.map((p) => [p, null]));
  const refuse = (expected: string, got = quoteText(pattern, 200)): ArgumentError =>
    new ArgumentError(where, argument, expected, got);
  if (!neurons) throw refuse("a pattern without neurons, as they are not known (option neurons)");
  const sets = ends.map(({ end, selector }) => {
    const isIn = new Uint8Array(neurons.count);
    for (const i of selectNeurons(neurons, selector, { where, argument })) isIn[i] = 1;
    return { end, isIn };
  });
  const chosen = new Map<P, ChosenElements>();
  for (const p of matches) {
    const masks = sets.map(({ end, isIn }) => elementsAt(p, end, isIn));
    if (!masks.every((mask) => mask !== null)) {
      if (names.includes("*")) continue;
      throw refuse(`parameters of neurons or of connections with that end, of ${neurons.count} neurons`, p.name);
    }
    const all = masks.reduce((a, b) => a.map((isIn, k) => isIn & b[k]!));
    const own = inDeviceOrder(p, p.shared ? sharedElements(refuse, p, all) : all);
    if (own.includes(1)) chosen.set(p, own.includes(0) ? own : null);
  }
  if (chosen.size === 0) throw refuse("a pattern that leaves elements of parameters", `${quoteText(pattern)}, none`);
  return chosen;
}

/** Elements at some neurons in the order of files, one per neuron or connection; null: the parameter has none at this end. */
function elementsAt(p: Parameter, end: PatternNeurons["end"], isIn: Uint8Array): Uint8Array | null {
  const n = isIn.length;
  const { of, role, matrix, shape, shared, size } = p;
  if (of === "neurons" || of === "neuron types") {
    return end === null && (shared?.by.length ?? size) === n ? isIn : null;
  }
  if (of !== "connections" && of !== "groups of connections") return null;
  const [rows, cols] = matrix ? [matrix.nRows, matrix.nCols] : [shape[0]!, shape[1]!];
  const hasEnd = { pre: role === "weights" || role === "output", post: role === "weights" || role === "input" };
  const side = end ?? (hasEnd.post ? "post" : "pre");
  if (!hasEnd[side] || (side === "post" ? rows : cols) !== n) return null;
  if (!matrix)
    return Uint8Array.from({ length: size }, (_, k) => isIn[side === "post" ? Math.floor(k / cols) : k % cols]!);
  const { rowPtr, colIdx, nnz } = matrix;
  const elements = new Uint8Array(nnz);
  for (let i = 0; i < rows; i++) {
    if (side === "post") elements.fill(isIn[i]!, rowPtr[i]!, rowPtr[i + 1]!);
    else for (let k = rowPtr[i]!; k < rowPtr[i + 1]!; k++) elements[k] = isIn[colIdx[k]!]!;
  }
  return elements;
}

/** The values that chosen elements share. @throws {ArgumentError} other elements share one of them, too */
function sharedElements(
  refuse: (expected: string, got: string) => ArgumentError,
  { name, size, shared }: Parameter,
  elements: Uint8Array,
): Uint8Array {
  const { by } = shared!;
  const NONE = 2;
  const chosen = new Uint8Array(size).fill(NONE);
  elements.forEach((isIn, k) => {
    const value = by[k]!;
    if (chosen[value] !== NONE && chosen[value] !== isIn) {
      const expected = "neurons that share no value with others, such as whole types";
      throw refuse(expected, `value ${value} of ${name}, which chosen and other ones share`);
    }
    chosen[value] = isIn;
  });
  return chosen.map((isIn) => (isIn === 1 ? 1 : 0));
}

function inDeviceOrder({ fileOrder }: Parameter, elements: Uint8Array): Uint8Array {
  if (!fileOrder?.length) return elements;
  const ordered = new Uint8Array(elements.length);
  elements.forEach((isIn, k) => {
    ordered[fileOrder[k]!] = isIn;
  });
  return ordered;
}
