// A warm start: parameters of a model from a file that may be of another one. What fits is taken, the rest is told.

import { FileFormatError } from "../core/errors.ts";
import { readSafetensors, type SafeTensor } from "../io/safetensors.ts";
import type { Parameter, ParameterSet } from "../models/parameters.ts";
import { indicesName, indicesOf, type NetworkFacts } from "./stateDict.ts";

/** What parameters are taken into: a classifier, or a network by itself. */
export type InitialisedModel = { readonly parameters: ParameterSet } & (NetworkFacts | { readonly rnn: NetworkFacts });

/** A parameter of the model that stayed as it was, and why. */
export interface Unmatched {
  readonly name: string;
  readonly reason: string;
}

/** What came of a warm start. */
export interface WarmStart {
  readonly file: string;
  /** Parameters that were taken from the file. */
  readonly matched: readonly string[];
  /** Parameters that stayed as they were. */
  readonly unmatched: readonly Unmatched[];
  /** Tensors of the file that are no parameter of the model. */
  readonly unused: readonly string[];
}

/** Tensors that are no parameters: of optimisers, of feature statistics, and what torch-biopl keeps of neurons. */
const OTHERS = /^optimizer\.|^features\.|(^|\.)neuron_(sign_mask|type_mask|type_indices\.\d+)$|(^|\.)indices$/;
/** Before the names of a network's parameters; the file of a network by itself lacks it. */
const PREFIX = /^rnn\./;

/**
 * Takes the parameters of a model from a checkpoint or a state dictionary (`exportStateDict`, or Python's `save_file`), by name: those
 * of the same size and, if sparse, with the same connections. All others stay as they are. Optimisers and feature statistics are not
 * touched. Everything is checked before anything is changed.
 *
 * @throws {FileFormatError} no safetensors, values that are not finite, or nothing in it fits
 * @throws {ArgumentError} values that contradict the constraint of their parameter
 */
export async function initialiseFrom(model: InitialisedModel, file: string): Promise<WarmStart> {
  const { parameters } = model;
  const facts = "rnn" in model ? model.rnn : model;
  const { tensors } = await readSafetensors(file);
  const read = new Set<string>();
  const unmatched: Unmatched[] = [];
  const taken: { readonly name: string; readonly data: ArrayLike<number> }[] = [];
  for (const p of parameters.all()) {
    const found = tensorOf(p.name, tensors, p.size);
    if (found) read.add(found.name);
    const reason = found ? mismatchOf(p, found.tensor, tensors, facts) : "not in the file";
    if (reason === null) taken.push({ name: p.name, data: found!.tensor.data });
    else unmatched.push({ name: p.name, reason });
  }
  if (taken.length === 0) {
    const names = parameters.all().map(({ name }) => name);
    throw new FileFormatError(file, `a parameter of the model (${names.join(", ")})`, "none that fits");
  }
  for (const { name, data } of taken) checkFinite(file, name, data);
  parameters.setAll(taken.map(({ name, data }) => [name, data] as const));
  const unused = [...tensors.keys()].filter((name) => !read.has(name) && !OTHERS.test(name));
  return { file, matched: taken.map(({ name }) => name), unmatched, unused };
}

/** "init: 5 of 6 parameters from FILE", and a line for each that stayed as it was. */
export function describeWarmStart({ file, matched, unmatched, unused }: WarmStart): string[] {
  const some = `${matched.length} of ${matched.length + unmatched.length} parameters from ${file}`;
  const rest = unused.length === 0 ? [] : [`not in the model: ${unused.join(", ")}`];
  return [some, ...unmatched.map(({ name, reason }) => `${name} stays as it is: ${reason}`), ...rest];
}

/** What a file has under the name of a parameter, preferably of its size. */
function tensorOf(
  own: string,
  tensors: ReadonlyMap<string, SafeTensor>,
  size: number,
): { readonly name: string; readonly tensor: SafeTensor } | null {
  // A bias per type is \`type_bias\` in state dictionaries, where \`bias\` is what it is spread over.
  const names = [own, own.replace(/hh\.bias$/, "hh.type_bias")];
  const found = [...names, ...names.map((name) => name.replace(PREFIX, ""))].flatMap((name) => {
    const tensor = tensors.get(name);
    return tensor ? [{ name, tensor }] : [];
  });
  return found.find(({ tensor }) => tensor.data.length === size) ?? found[0] ?? null;
}

/** Why a tensor is not taken for a parameter; null: it is. */
function mismatchOf(
  p: Parameter,
  { data, shape }: SafeTensor,
  tensors: ReadonlyMap<string, SafeTensor>,
  facts: NetworkFacts,
): string | null {
  if (data.length !== p.size) return `expected ${p.size} numbers, got [${shape.join(", ")}]`;
  const indices = indicesOf(p, facts);
  if (!indices) return null;
  const found = tensorOf(indicesName(p), tensors, indices.length)?.tensor.data;
  return found && found.length === indices.length && indices.every((index, k) => index === Number(found[k]))
    ? null
    : "the file's connections are others";
}

function checkFinite(file: string, name: string, data: ArrayLike<number>): void {
  for (let i = 0; i < data.length; i++) {
    if (!Number.isFinite(Number(data[i])))
      throw new FileFormatError(file, `finite values of ${name}`, `${data[i]} at ${i}`);
  }
}
