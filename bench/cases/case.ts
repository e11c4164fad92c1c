// What can be timed: work that a backend prepares once and runs often, with results that can be checked.

import type { Backend } from "../../src/backend/backend.ts";
import type { FloatArray } from "../../src/core/dtype.ts";

/** Numbers by name, in an order that does not depend on the backend: states are [rows][batch], gradients in CSC order. */
export type Results = Readonly<Record<string, FloatArray>>;

/** Work with its buffers on a backend. */
export interface Prepared {
  /** Enqueues the work. */
  run(): void;
  /** What the work has written; comparable after exactly one run. */
  results(): Promise<Results>;
  release(): void;
}

export interface BenchCase {
  /** As in the rows. */
  readonly op: string;
  /** Samples per run; 0 where the work does not depend on it. */
  readonly batch: number;
  prepare(backend: Backend): Prepared;
  /**
   * The largest error of each result, derived from the roundings on its way.
   *
   * @param reference an f64 backend
   * @param expected  its results
   * @param dtype     the precision under test
   */
  bounds(reference: Backend, expected: Results, dtype: Backend["dtype"]): Promise<Results>;
}
