// Explicit Runge–Kutta methods as data: a tableau, an error estimate and an interpolant. Checked when they are made.

import { ArgumentError } from "../core/errors.ts";
import type { Value } from "../ops/value.ts";
import type { Ops } from "../ops/vocabulary.ts";

/** What an interpolant may use of one step: y(x) for x = (t − t0)/dt in [0, 1]. */
export interface StepValues {
  readonly y0: Value;
  readonly y1: Value;
  readonly k: readonly Value[];
  /** Step size, per sample. */
  readonly dt: Value;
  /** Abscissa in [0, 1], per sample. */
  readonly x: Value;
  /** Rate of the system's linear leak, for exponential methods. */
  readonly leak?: Value;
}

/** The coefficients of an explicit Runge–Kutta method. */
export interface TableauData {
  readonly name: string;
  readonly order: number;
  readonly c: readonly number[];
  /** Rows 2 … s of the strictly lower triangular A. */
  readonly a: readonly (readonly number[])[];
  readonly b: readonly number[];
  /** b minus the embedded weights; null: no error estimate. */
  readonly bErr: readonly number[] | null;
  /** The step follows the system's linear leak exactly (see `exponentialStep`); one stage, and the system must say its leak. */
  readonly exponential?: boolean;
  readonly interpolant: (ops: Ops, step: StepValues) => Value;
  /** Order p of the interpolant: between the ends of a step it adds an error of order dt^(p+1). Default: that of the method. */
  readonly denseOrder?: number;
  readonly source: string;
}

/** A Runge–Kutta method that has been checked; see `tableau`. */
export interface Tableau extends TableauData {
  readonly stages: number;
  readonly denseOrder: number;
  /** The solution is the argument of the last stage. */
  readonly ssal: boolean;
  /** First same as last: the last stage of an accepted step is the first of the next. */
  readonly fsal: boolean;
}

/** Rounding of published decimal coefficients: 16 digits, sums of a few terms up to 20. */
const SUM_TOLERANCE = 1e-13;

/**
 * Checks a tableau (rows of A sum to c, b to 1, bErr to 0) and derives its structure.
 * @throws {ArgumentError} naming the row that does not add up
 */
export function tableau(data: TableauData): Tableau {
  const { name, c, a, b, bErr } = data;
  const s = b.length;
  const check = (what: string, sum: number, expected: number) => {
    if (!(Math.abs(sum - expected) <= SUM_TOLERANCE))
      throw new ArgumentError(`tableau ${name}`, what, `sum ${expected}`, `${sum}`);
  };
  if (c.length !== s || a.length !== s - 1)
    throw new ArgumentError(`tableau ${name}`, "a", `${s} stages`, `${a.length + 1}`);
  const total = (row: readonly number[]) => row.reduce((x, y) => x + y, 0);
  a.forEach((row, i) => {
    check(`a[${i + 2}]`, total(row), c[i + 1]!);
  });
  check("b", total(b), 1);
  if (bErr) check("bErr", total(bErr), 0);
  const last = a[s - 2] ?? [];
  const ssal = s > 1 && b[s - 1] === 0 && last.every((x, j) => x === b[j]);
  return { ...data, stages: s, denseOrder: data.denseOrder ?? data.order, ssal, fsal: ssal && c[s - 1] === 1 };
}

/** Σ weights[j]·k[j], zero weights left out, summed from the left; null when all are zero. */
export function weightedSum(ops: Ops, weights: readonly number[], k: readonly Value[]): Value | null {
  let sum: Value | null = null;
  weights.forEach((w, j) => {
    if (w === 0) return;
    const term = ops.mul(w, k[j]!);
    sum = sum === null ? term : ops.add(sum, term);
  });
  return sum;
}

/**
 * y(t₀ + dt) of dy/dt = k − λ·(y − y₀), y(t₀) = y₀: the linear leak λ > 0 followed exactly from slope k at the start,
 *
 *     y₀ + (1 − e^(−λ·dt))/λ·k.
 *
 * 1 − e^(−z) is computed as 2s/(1 + s) with s = tanh(z/2), which loses no digits for small z.
 */
export function exponentialStep(ops: Ops, y0: Value, k: Value, leak: Value, dt: Value): Value {
  const s = ops.tanh(ops.mul(0.5, ops.mul(leak, dt)));
  const decay = ops.div(ops.mul(2, s), ops.add(1, s));
  return ops.add(y0, ops.mul(ops.div(decay, leak), k));
}

/** Cubic Hermite interpolant through y0 and y1 with slopes f0 at the start and f1 at the end. Hairer, Nørsett, Wanner, II.6. */
export function hermite(ops: Ops, { y0, y1, dt, x }: StepValues, f0: Value, f1: Value): Value {
  const rise = ops.sub(y0, y1);
  const a1 = ops.mul(dt, f0);
  const a2 = ops.sub(ops.mul(dt, ops.sub(ops.mul(-2, f0), f1)), ops.mul(3, rise));
  const a3 = ops.add(ops.mul(dt, ops.add(f0, f1)), ops.mul(2, rise));
  return horner(ops, x, [y0, a1, a2, a3]);
}

/** Σ coefficients[i]·xⁱ by Horner's rule. */
export function horner(ops: Ops, x: Value, coefficients: readonly Value[]): Value {
  return coefficients.reduceRight((sum, c) => ops.add(ops.mul(sum, x), c));
}
