// Which neurons are near others along connections, and which belong together.

import { type Csr, type IndexArray, indexArray } from "../core/csr.ts";
import { ArgumentError } from "../core/errors.ts";
import { checkWhole } from "./checks.ts";
import { stronglyConnectedComponents, weaklyConnectedComponents } from "./components.ts";

/** Along which connections a step leads: to presynaptic neurons (in), to postsynaptic ones (out), or to both. */
export type StepDirection = "in" | "out" | "both";

/**
 * The neurons within `steps` connections of a set of neurons, by breadth-first search. Every stored entry of the matrix is a connection, whatever
 * its weight. With "both", each step may take either direction. O(neurons + nnz), whatever the number of steps.
 *
 * @param csr [post, pre], square
 * @param seeds indices of neurons, in any order; they are within 0 steps
 * @param steps a whole number from 0
 * @returns [neurons], 1 for those within reach
 * @throws {ArgumentError} a matrix that is not square, a seed that is no neuron, steps that are no whole number from 0
 */
export function withinSteps(csr: Csr, seeds: ArrayLike<number>, steps: number, direction: StepDirection): Uint8Array {
  const n = csr.nRows;
  if (csr.nCols !== n) throw new ArgumentError("withinSteps", "csr", "a square matrix", `${n} × ${csr.nCols}`);
  checkWhole("withinSteps", "steps", steps, 0, Number.MAX_SAFE_INTEGER);
  const reached = new Uint8Array(n);
  // Neurons in the order in which they are reached; those of the last step are its end.
  const queue = new Uint32Array(n);
  let end = 0;
  const reach = (i: number): void => {
    if (reached[i] === 1) return;
    reached[i] = 1;
    queue[end++] = i;
  };
  for (let s = 0; s < seeds.length; s++) {
    const seed = seeds[s]!;
    if (!(Number.isInteger(seed) && seed >= 0 && seed < n)) {
      throw new ArgumentError("withinSteps", "seeds", `indices of neurons from 0 to ${n - 1}`, `${seed}`);
    }
    reach(seed);
  }
  const neighbours: Neighbours[] = [];
  if (direction !== "out") neighbours.push({ begin: csr.rowPtr, of: csr.colIdx });
  if (direction !== "in") neighbours.push(targetsOf(csr));
  let begin = 0;
  for (let step = 0; step < steps && begin < end; step++) {
    const last = end;
    for (; begin < last; begin++) {
      const i = queue[begin]!;
      for (const { begin: start, of } of neighbours) {
        for (let k = start[i]!; k < start[i + 1]!; k++) reach(of[k]!);
      }
    }
  }
  return reached;
}

/** Neighbours of neuron i: of[begin[i]] … of[begin[i + 1] − 1]. */
interface Neighbours {
  readonly begin: Uint32Array;
  readonly of: IndexArray;
}

/** The postsynaptic neurons of every neuron. */
function targetsOf({ nRows, nCols, nnz, rowPtr, colIdx }: Csr): Neighbours {
  const begin = new Uint32Array(nCols + 1);
  for (let k = 0; k < nnz; k++) begin[colIdx[k]! + 1]!++;
  for (let j = 0; j < nCols; j++) begin[j + 1]! += begin[j]!;
  const next = begin.slice(0, nCols);
  const of = indexArray(nRows, nnz);
  for (let i = 0; i < nRows; i++) {
    for (let k = rowPtr[i]!; k < rowPtr[i + 1]!; k++) of[next[colIdx[k]!]!++] = i;
  }
  return { begin, of };
}

/**
 * The neurons of the largest component: strong, where each of them reaches each other one, or weak, where directions are ignored. Of several
 * largest ones, that of the neuron with the least index.
 *
 * @returns [neurons], 1 for those in it
 * @throws {ArgumentError} a matrix that is not square
 */
export function largestComponent(csr: Csr, kind: "strong" | "weak"): Uint8Array {
  if (csr.nRows !== csr.nCols) {
    throw new ArgumentError("largestComponent", "csr", "a square matrix", `${csr.nRows} × ${csr.nCols}`);
  }
  const { componentIdx, sizes } = kind === "strong" ? stronglyConnectedComponents(csr) : weaklyConnectedComponents(csr);
  let largest = 0;
  for (const size of sizes) largest = Math.max(largest, size);
  const chosen = componentIdx.find((c) => sizes[c] === largest)!;
  return Uint8Array.from(componentIdx, (c) => (c === chosen ? 1 : 0));
}
