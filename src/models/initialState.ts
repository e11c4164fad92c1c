// Initial states by name, by a function, or as given.

import { ArgumentError, nearestName, ShapeError } from "../core/errors.ts";
import { checkFinite } from "../core/finite.ts";
import { checkNames } from "../core/optionNames.ts";
import { deriveKey, keyOfSeed, RandomStream } from "../core/random.ts";
import type { ModelInput } from "./options.ts";

const NAMES = ["zeros", "ones", "rand", "randn"] as const;

/**
 * [batch, numNeurons]: numbers, a function that makes them, or the name of a distribution: "rand" is uniform from 0 to 1, "randn"
 * standard normal.
 */
export type InitialState =
  | ArrayLike<number>
  | (typeof NAMES)[number]
  | ((batch: number, numNeurons: number) => ArrayLike<number>);

/**
 * The state to which a constant input leads from zeros: the network runs under it first, and all samples start there. Neurons that are
 * silenced or clamped in the run are so on the way there, too. No gradient flows through that run. It is made once as long as the
 * parameters stay the same.
 */
export interface RestState {
  /** The input: one number for all, or `inputSize` numbers. */
  readonly rest: number | ArrayLike<number>;
  /** How long the run is, in continuous time. */
  readonly time?: number;
  /** How many steps it takes, in discrete time. */
  readonly steps?: number;
}

/** Where a run starts from. */
export interface InitialStateOptions {
  /** Default zeros. */
  readonly h0?: InitialState | RestState | null;
  /** Seed of random initial states: the same for the same sample of a batch; default 0. */
  readonly h0Seed?: number;
}

/** null: zeros, or a state at rest. @throws {ArgumentError | ShapeError} another name, or another number of numbers */
export function initialStateOf(
  where: string,
  { h0 = null, h0Seed = 0 }: InitialStateOptions,
  batch: number,
  numNeurons: number,
): ArrayLike<number> | null {
  if (h0 === null || h0 === "zeros" || isRest(h0)) return null;
  const length = batch * numNeurons;
  if (typeof h0 === "string") return drawn(where, h0, h0Seed, length);
  const given = typeof h0 === "function" ? h0(batch, numNeurons) : h0;
  if (given.length !== length) throw new ShapeError(where, "h0", `${batch} × ${numNeurons} numbers`, `${given.length}`);
  return given;
}

function isRest(h0: InitialState | RestState | null | undefined): h0 is RestState {
  return typeof h0 === "object" && h0 !== null && "rest" in h0;
}

/**
 * The run to the resting state: its input as a batch of one sample, and its length; null where the initial state is another.
 *
 * @param unit  option that gives the length
 * @throws {ArgumentError | ShapeError} naming what is wrong
 */
export function restOf(
  where: string,
  h0: InitialStateOptions["h0"],
  inputSize: number,
  unit: "time" | "steps",
): { readonly input: ModelInput; readonly length: number } | null {
  if (!isRest(h0)) return null;
  const other = unit === "time" ? "steps" : "time";
  if (h0[other] !== undefined) throw new ArgumentError(where, `h0.${other}`, `h0.${unit} in its place`, `${h0[other]}`);
  checkNames(where, h0, { rest: true, time: true, steps: true }, "h0.");
  const { rest, [unit]: length = Number.NaN } = h0;
  const isLength = unit === "steps" ? Number.isInteger(length) : Number.isFinite(length);
  if (!isLength || !(length > 0)) {
    const expected = unit === "steps" ? "a whole number of at least 1" : "a finite number above 0";
    throw new ArgumentError(where, `h0.${unit}`, expected, `${h0[unit]}`);
  }
  const data = typeof rest === "number" ? new Float64Array(inputSize).fill(rest) : rest;
  if (data.length !== inputSize) throw new ShapeError(where, "h0.rest", `${inputSize} numbers`, `${data.length}`);
  checkFinite(where, "h0.rest", data, "f64");
  return { input: { data, batch: 1 }, length };
}

function drawn(where: string, name: string, seed: number, length: number): Float64Array {
  if (name === "ones") return new Float64Array(length).fill(1);
  const stream = new RandomStream(deriveKey(keyOfSeed(seed), "initial state"));
  if (name === "rand") return Float64Array.from({ length }, () => stream.uniform());
  if (name === "randn") return Float64Array.from({ length }, () => stream.normal());
  const near = nearestName(name, NAMES);
  throw new ArgumentError(where, "h0", `${near ? `${near}? ` : ""}one of ${NAMES.join(", ")}`, `"${name}"`);
}
