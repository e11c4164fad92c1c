// A case to time: work that a backend prepares once and runs often, with checkable results.

import type { Backend } from "../../src/backend/backend.ts";
import type { FloatArray } from "../../src/core/dtype.ts";

/** Arrays by name, in an order independent of the backend: states are [rows][batch], gradients in CSC order. */
export type Results = Readonly<Record<string, FloatArray>>;

/** Work with its buffers on a backend. */
export interface Prepared {
  /** Enqueues the work. */
  run(): void;
  /** The results of the work; comparable after exactly one run. */
  results(): Promise<Results>;
  release(): void;
}

export interface BenchCase {
  /** The name in rows. */
  readonly op: string;
  /** Samples per run; 0 if the work does not depend on it. */
  readonly batch: number;
  prepare(backend: Backend): Prepared;
  /**
   * The largest error of each result, derived from the roundings of its computation.
   *
   * @param reference an f64 backend
   * @param expected  its results
   * @param dtype     the precision under test
   */
  bounds(reference: Backend, expected: Results, dtype: Backend["dtype"]): Promise<Results>;
}
