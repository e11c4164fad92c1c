// A warm start: parameters of a model from a file that may be another model's. Those that fit are taken, the others reported.

import { FileFormatError } from "../core/errors.ts";
import { checkNames } from "../core/optionNames.ts";
import { type FileHash, hashOf } from "../io/hash.ts";
import { readSafetensors, type SafeTensor } from "../io/safetensors.ts";
import { NETWORK_PREFIX } from "../models/network/parameters.ts";
import { indicesName, type Parameter } from "../models/parameters/parameter.ts";
import type { ParameterSet } from "../models/parameters/parameterSet.ts";
import { matchingParameters, type ParameterPattern } from "../models/parameters/pattern.ts";
import { indicesOf } from "./stateDict.ts";

/** The model that takes parameters: a classifier, or a network without a read-out. */
export interface InitialisedModel {
  readonly parameters: ParameterSet;
}

/** What to take. */
export interface WarmStartOptions {
  /** Only parameters that match; default: all. */
  readonly only?: ParameterPattern;
}

/** A parameter of the model that stayed as it was, and why. */
export interface Unmatched {
  readonly name: string;
  readonly reason: string;
}

/** The outcome of a warm start. */
export interface WarmStart extends FileHash {
  readonly file: string;
  /** Parameters that were taken from the file. */
  readonly matched: readonly string[];
  /** Parameters that were wanted and stayed as they were. */
  readonly unmatched: readonly Unmatched[];
  /** Parameters that `only` leaves out. */
  readonly left: readonly string[];
  /** Tensors of the file that are no parameter of the model. */
  readonly unused: readonly string[];
}

/** Tensors that are no parameters: of optimisers, penalties and feature statistics, and what torch-biopl keeps of neurons. */
const OTHERS = /^(optimizer|start|features)\.|(^|\.)neuron_(sign_mask|type_mask|type_indices\.\d+)$|(^|\.)indices$/;

/**
 * Takes the parameters of a model from a checkpoint or a state dictionary (`exportStateDict`, or Python's `save_file`), by name: those
 * of the same size and, if sparse, with the same connections. All others stay as they are. Optimisers and feature statistics are not
 * touched. Everything is checked before anything is changed.
 *
 * @throws {FileFormatError} no safetensors, values that are not finite, nothing in it fits, or it changes while it is read
 * @throws {ArgumentError} values that contradict the constraint of their parameter; a pattern that matches no parameter
 */
export async function initialiseFrom(
  model: InitialisedModel,
  file: string,
  options: WarmStartOptions = {},
): Promise<WarmStart> {
  checkNames("initialiseFrom", options, { only: true } satisfies Record<keyof WarmStartOptions, true>);
  const { parameters } = model;
  const { only = "*" } = options;
  const wanted = new Set(matchingParameters("initialiseFrom", "only", only, parameters.all()));
  const before = await hashOf(file);
  const { tensors } = await readSafetensors(file);
  const { sha256, bytes } = await hashOf(file);
  // The record would be that of other parameters.
  if (sha256 !== before.sha256) throw new FileFormatError(file, "a file that stays as it is", "one that changed");
  const read = new Set<string>();
  const unmatched: Unmatched[] = [];
  const taken: { readonly name: string; readonly data: ArrayLike<number> }[] = [];
  for (const p of parameters.all()) {
    const own = p.shared?.dictionary?.own;
    // In state dictionaries `p.name` may be what a shared parameter is spread over.
    const found = tensorOf(own ? [p.name, own] : [p.name], tensors, p.size);
    if (found) read.add(found.name);
    if (!wanted.has(p)) continue;
    const reason = found ? mismatchOf(p, found.tensor, tensors) : "not in the file";
    if (reason === null) taken.push({ name: p.name, data: found!.tensor.data });
    else unmatched.push({ name: p.name, reason });
  }
  if (taken.length === 0) {
    const names = [...wanted].map(({ name }) => name);
    throw new FileFormatError(file, `a parameter of the model (${names.join(", ")})`, "none that fits");
  }
  for (const { name, data } of taken) checkFinite(file, name, data);
  parameters.setAll(taken.map(({ name, data }) => [name, data] as const));
  const unused = [...tensors.keys()].filter((name) => !read.has(name) && !OTHERS.test(name));
  const matched = taken.map(({ name }) => name);
  const left = parameters.all().flatMap((p) => (wanted.has(p) ? [] : [p.name]));
  return { file, sha256, bytes, matched, unmatched, left, unused };
}

/** "5 of 6 parameters from FILE", and a line for each that was wanted and stayed as it was. */
export function describeWarmStart({
  file,
  matched,
  unmatched,
  left,
  unused,
}: Omit<WarmStart, keyof FileHash>): string[] {
  const but = left.length === 0 ? "" : `, without ${left.join(", ")}`;
  const some = `${matched.length} of ${matched.length + unmatched.length} parameters from ${file}${but}`;
  const rest = unused.length === 0 ? [] : [`not in the model: ${unused.join(", ")}`];
  return [some, ...unmatched.map(({ name, reason }) => `${name} stays as it is: ${reason}`), ...rest];
}

/** What a file has under one of the names, preferably of this size. */
function tensorOf(
  names: readonly string[],
  tensors: ReadonlyMap<string, SafeTensor>,
  size: number,
): { readonly name: string; readonly tensor: SafeTensor } | null {
  // Files of a network without a read-out lack the prefix.
  const bare = names.map((name) => (name.startsWith(NETWORK_PREFIX) ? name.slice(NETWORK_PREFIX.length) : name));
  const found = [...names, ...bare].flatMap((name) => {
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
): string | null {
  if (data.length !== p.size) return `expected ${p.size} numbers, got [${shape.join(", ")}]`;
  const indices = indicesOf(p);
  if (!indices) return null;
  const found = tensorOf([indicesName(p)], tensors, indices.length)?.tensor.data;
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
