// Initial states by name, by a function, or as given.

import { ArgumentError, nearestName, ShapeError } from "../core/errors.ts";
import { deriveKey, keyOfSeed, RandomStream } from "../core/random.ts";

const NAMES = ["zeros", "ones", "rand", "randn"] as const;

/**
 * [batch, numNeurons]: numbers, a function that makes them, or the name of a distribution: "rand" is uniform from 0 to 1, "randn"
 * standard normal.
 */
export type InitialState =
  | ArrayLike<number>
  | (typeof NAMES)[number]
  | ((batch: number, numNeurons: number) => ArrayLike<number>);

/** Where a run starts from. */
export interface InitialStateOptions {
  /** Default zeros. */
  readonly h0?: InitialState | null;
  /** Seed of random initial states: the same for the same sample of a batch; default 0. */
  readonly h0Seed?: number;
}

/** null: zeros. @throws {ArgumentError | ShapeError} another name, or another number of numbers */
export function initialState(
  where: string,
  { h0 = null, h0Seed = 0 }: InitialStateOptions,
  batch: number,
  numNeurons: number,
): ArrayLike<number> | null {
  if (h0 === null || h0 === "zeros") return null;
  const length = batch * numNeurons;
  if (typeof h0 === "string") return drawn(where, h0, h0Seed, length);
  const given = typeof h0 === "function" ? h0(batch, numNeurons) : h0;
  if (given.length !== length) throw new ShapeError(where, "h0", `${batch} × ${numNeurons} numbers`, `${given.length}`);
  return given;
}

function drawn(where: string, name: string, seed: number, length: number): Float64Array {
  if (name === "ones") return new Float64Array(length).fill(1);
  const stream = new RandomStream(deriveKey(keyOfSeed(seed), "initial state"));
  if (name === "rand") return Float64Array.from({ length }, () => stream.uniform());
  if (name === "randn") return Float64Array.from({ length }, () => stream.normal());
  const near = nearestName(name, NAMES);
  throw new ArgumentError(where, "h0", `${near ? `${near}? ` : ""}one of ${NAMES.join(", ")}`, `"${name}"`);
}
