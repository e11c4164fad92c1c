// How much a connectome can amplify: the spectral radius of |W|, and the growth rate of W, by power iteration.

import { finish, type Steps } from "../core/abort.ts";
import type { Csr } from "../core/csr.ts";
import { ArgumentError } from "../core/errors.ts";
import { deriveKey, keyOfSeed, RandomStream } from "../core/random.ts";
import { stronglyConnectedComponents } from "./components.ts";

/** The result of an iteration that may not have settled. */
export interface SpectralEstimate {
  readonly value: number;
  readonly iterations: number;
  /** The value changed by less than the tolerance. */
  readonly converged: boolean;
}

/** When the iteration ends. */
export interface SpectralOptions {
  /** Most products with the matrix. Default 500. */
  readonly maxIterations?: number;
  /** Relative change per product that counts as none. Default 1e-9: slow convergence hides in small changes. */
  readonly tolerance?: number;
}

/**
 * The spectral radius of the matrix of |w|, its largest eigenvalue. Exactly 0 without cycles; otherwise power iteration on
 * |W| + s·1, with s the mean row sum of |W|: the shift keeps eigenvalues of equal modulus apart, so it also settles for
 * networks that pass activity around in a ring.
 *
 * @throws {ArgumentError} a matrix that is not square
 * Source: Horn, Johnson, Matrix Analysis, 2nd ed., theorem 8.3.1 (the radius of a non-negative matrix is an eigenvalue).
 */
export function spectralRadiusOfAbsolute(csr: Csr, options: SpectralOptions = {}): SpectralEstimate {
  return finish(radiusSteps(csr, options));
}

/** `spectralRadiusOfAbsolute`, a product at a time. */
export function* radiusSteps(csr: Csr, options: SpectralOptions = {}): Steps<SpectralEstimate> {
  const { maxIterations = 500, tolerance = 1e-9 } = options;
  checkSquare("spectralRadiusOfAbsolute", csr);
  if (!hasCycle(csr)) return { value: 0, iterations: 0, converged: true };
  const n = csr.nRows;
  const shift = meanRowSum(csr);
  // Stored weights may all be 0.
  if (shift === 0) return { value: 0, iterations: 0, converged: true };
  let x = new Float64Array(n).fill(1 / Math.sqrt(n));
  let y = new Float64Array(n);
  let value = 0;
  for (let iteration = 1; iteration <= maxIterations; iteration++) {
    multiply(csr, x, y, true);
    for (let i = 0; i < n; i++) y[i]! += shift * x[i]!;
    const norm = normOf(y);
    for (let i = 0; i < n; i++) y[i]! /= norm;
    const next = norm - shift;
    const settled = Math.abs(next - value) <= tolerance * (next + shift);
    value = next;
    [x, y] = [y, x];
    if (settled && iteration > 10) return { value, iterations: iteration, converged: true };
    yield;
  }
  return { value, iterations: maxIterations, converged: false };
}

/**
 * The rate at which W makes a random vector grow per application, an estimate of its spectral radius. The dominant eigenvalues of W
 * are usually a complex pair, under which norms go up and down; the mean of their logarithm over the second half of the
 * iterations does not.
 *
 * @throws {ArgumentError} a matrix that is not square
 */
export function growthRate(csr: Csr, options: { readonly iterations?: number } = {}): SpectralEstimate {
  return finish(growthSteps(csr, options));
}

/** `growthRate`, a product at a time. */
export function* growthSteps(
  csr: Csr,
  { iterations = 200 }: { readonly iterations?: number } = {},
): Steps<SpectralEstimate> {
  checkSquare("growthRate", csr);
  if (!hasCycle(csr)) return { value: 0, iterations: 0, converged: true };
  const n = csr.nRows;
  const stream = new RandomStream(deriveKey(keyOfSeed(1), "growthRate"));
  let x = Float64Array.from({ length: n }, () => stream.normal());
  let y = new Float64Array(n);
  const firstCounted = iterations >> 1;
  let logSum = 0;
  let scale = normOf(x);
  for (let iteration = 0; iteration < iterations; iteration++) {
    for (let i = 0; i < n; i++) x[i]! /= scale;
    multiply(csr, x, y, false);
    scale = normOf(y);
    if (scale === 0) return { value: 0, iterations: iteration + 1, converged: true };
    if (iteration >= firstCounted) logSum += Math.log(scale);
    [x, y] = [y, x];
    yield;
  }
  return { value: Math.exp(logSum / (iterations - firstCounted)), iterations, converged: false };
}

function multiply({ nRows, rowPtr, colIdx, values }: Csr, x: Float64Array, y: Float64Array, absolute: boolean): void {
  for (let i = 0; i < nRows; i++) {
    let sum = 0;
    for (let k = rowPtr[i]!; k < rowPtr[i + 1]!; k++) {
      const w = values[k]!;
      sum += (absolute && w < 0 ? -w : w) * x[colIdx[k]!]!;
    }
    y[i] = sum;
  }
}

/** Mean absolute row sum: of the order of the spectral radius, which is all that a shift needs. */
function meanRowSum({ nRows, values }: Csr): number {
  let sum = 0;
  for (const w of values) sum += Math.abs(w);
  return sum / nRows;
}

/** True when some neuron reaches itself along entries that are not 0. */
function hasCycle(csr: Csr): boolean {
  const { nRows, rowPtr, colIdx, values } = csr;
  if (stronglyConnectedComponents(csr).sizes.some((size) => size > 1)) return true;
  for (let i = 0; i < nRows; i++) {
    for (let k = rowPtr[i]!; k < rowPtr[i + 1]!; k++) if (colIdx[k] === i && values[k] !== 0) return true;
  }
  return false;
}

function normOf(x: Float64Array): number {
  let sum = 0;
  for (const v of x) sum += v * v;
  return Math.sqrt(sum);
}

function checkSquare(where: string, { nRows, nCols }: Csr): void {
  if (nRows !== nCols) throw new ArgumentError(where, "csr", "a square matrix", `${nRows} × ${nCols}`);
}
