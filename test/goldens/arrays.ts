// The arrays of a case: what it gives, as the engine takes it, and what a run yields, by the format's names.

import { type Csr, csrFromCoo } from "../../src/core/csr.ts";
import { FileFormatError } from "../../src/core/errors.ts";
import type { NpyArray } from "../../src/io/npy.ts";
import type { NumberArray } from "../../src/io/numbers.ts";
import type { SolveStats } from "../../src/ode/solveStats.ts";
import type { CaseArrays, GoldenCase } from "./format.ts";

export type Inputs = CaseArrays["inputs"];

/** An input that the case cannot do without. */
export function arrayOf(golden: GoldenCase, inputs: Inputs, name: string): NpyArray {
  const array = inputs.get(name);
  if (!array) throw new FileFormatError(golden.file, `an array "in_${name}"`, "none");
  return array;
}

export function dataOf(golden: GoldenCase, inputs: Inputs, name: string): NumberArray {
  return arrayOf(golden, inputs, name).data;
}

/** The matrix `<name>_rows, _cols, _values`, sorted by row and column without duplicates, or null when there is none. */
export function sparseOf(golden: GoldenCase, inputs: Inputs, name: string, nRows: number, nCols: number): Csr | null {
  const csr = unsortedOf(golden, inputs, name, nRows, nCols);
  if (!csr) return null;
  const [rows, cols] = [dataOf(golden, inputs, `${name}_rows`), dataOf(golden, inputs, `${name}_cols`)];
  const rowOf = (k: number) => csr.rowPtr[rows[k]! as number]! <= k && k < csr.rowPtr[(rows[k]! as number) + 1]!;
  for (let k = 0; k < rows.length; k++) {
    // Gradients and values are in this order.
    if (csr.colIdx[k] !== cols[k] || !rowOf(k))
      throw new FileFormatError(
        golden.file,
        `in_${name} by row, then column, without duplicates`,
        `entry ${k} elsewhere`,
      );
  }
  return csr;
}

/** The matrix of triples in any order; duplicates are summed. */
export function unsortedOf(golden: GoldenCase, inputs: Inputs, name: string, nRows: number, nCols: number): Csr | null {
  if (!inputs.has(`${name}_values`)) return null;
  const [rows, cols, values] = ["rows", "cols", "values"].map((part) => dataOf(golden, inputs, `${name}_${part}`));
  return csrFromCoo({ nRows, nCols, rows: rows!, cols: cols!, values: values! }, `${golden.name}, in_${name}`);
}

/** There is a type or, without types, a time constant for every neuron. */
export function numNeuronsOf(golden: GoldenCase, inputs: Inputs): number {
  return inputs.get("neuron_type")?.data.length ?? dataOf(golden, inputs, "tau").length;
}

export function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

/** How the format writes the outcome of a sample; one that stops because another fails is no failure there. */
export const STATUS_CODES = { success: 0, stopped: 0, dtMin: 2, maxSteps: 3, nonFinite: 4 } as const;

/** Counts per sample over the chunks of a batch. Evaluations are counted for the whole batch, so the longest chunk decides. */
export function stepCounts(chunks: readonly SolveStats[]): [string, number[]][] {
  const nSteps = chunks.flatMap((c) => c.nSteps);
  const nFEvals = Math.max(...chunks.map((c) => c.nFEvals));
  return [
    ["n_steps", nSteps],
    ["n_accepted", chunks.flatMap((c) => c.nAccepted)],
    ["n_f_evals", nSteps.map(() => nFEvals)],
    ["status", chunks.flatMap((c) => c.status.map((status) => STATUS_CODES[status]))],
  ];
}

export function pairs<T>(entries: readonly (readonly [string, T])[]): [string, T][] {
  return entries.map(([name, value]) => [name, value]);
}
