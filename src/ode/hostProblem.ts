// Problems on host arrays, and their checks.

import { Graph } from "../autodiff/graph.ts";
import { lower } from "../autodiff/lower.ts";
import type { Bindable } from "../backend/backend.ts";
import type { Binding } from "../backend/program.ts";
import type { Abortable } from "../core/abort.ts";
import type { Csr } from "../core/csr.ts";
import type { DType, FloatArray } from "../core/dtype.ts";
import { ArgumentError, nearestName, ShapeError } from "../core/errors.ts";
import { checkFinite } from "../core/finite.ts";
import { dependsOnTime, type OdeSystem, slopeOfLeaves } from "./method.ts";
import { systemInputs } from "./programs.ts";
import { checkFirstSteps, timelineOf } from "./request.ts";
import type { SolveStats } from "./solveStats.ts";

/** A time for all samples, or one per sample. */
export type HostTimes = number | readonly number[];

/**
 * An input of the right-hand side, by the kind of its leaf:
 *
 * - state: [batch, rows]; sample: [batch]; table: [batch, depth, rows];
 * - row: [rows]; scalar: [1]; dense matrix: [rows, cols];
 * - sparse matrix: a Csr, uploaded with each call, or what `Backend.sparse` made of one;
 * - index: whole numbers; key: two of them.
 *
 * Instead of an array that does not depend on the batch, a device buffer of the same length.
 */
export type HostInput = ArrayLike<number> | Csr | Bindable;

/** An initial value problem for a batch. */
export interface HostProblem extends Abortable {
  /** [batch, rows]. */
  readonly y0: ArrayLike<number>;
  /** By the names under which the right-hand side reads them. */
  readonly inputs?: Readonly<Record<string, HostInput>>;
  /** Default 0. */
  readonly tStart?: HostTimes;
  /** Default: the last evaluation point. */
  readonly tEnd?: HostTimes;
  /** Evaluation points, in the order of integration. */
  readonly tEval: readonly HostTimes[];
  /** First step sizes per sample, for a solver made with dt0: "perSample". */
  readonly dt0?: readonly number[];
  /** [sample][k]: see SolveRequest. */
  readonly jumpTimes?: readonly (readonly number[])[];
}

/** States at the evaluation points, and what the solve did. */
export interface HostSolution {
  /** [evaluation point], each [batch, rows]; zeros where a sample failed before the point. */
  readonly ys: readonly FloatArray[];
  readonly stats: SolveStats;
}

/** A solution, and what its cotangents were pulled back to. */
export interface HostGradients extends HostSolution {
  readonly gradients: {
    /** [batch, rows]. */
    readonly y0: FloatArray;
    /** Of the inputs in `reverse.wrt`: in their shapes; of a sparse matrix its values, row-major. What the samples share is summed over them. */
    readonly inputs: Readonly<Record<string, FloatArray>>;
  };
}

/** Cotangents of states, [evaluation point]; null: zero. */
export type StateCotangents = readonly (ArrayLike<number> | null)[];

/** Cotangents of the states of one sample, each [rows], given the states at the evaluation points, each [rows]. */
export type SampleCotangents = (sample: number, ys: readonly FloatArray[]) => StateCotangents;

/** A problem that has been checked, with nothing left out. */
export interface CheckedProblem extends HostProblem {
  readonly batch: number;
  readonly inputs: Readonly<Record<string, HostInput>>;
  readonly tStart: readonly number[];
  readonly tEnd: readonly number[];
  readonly tEval: readonly (readonly number[])[];
}

export function isCsr(input: HostInput): input is Csr {
  return "rowPtr" in input;
}

export function isOnDevice(input: HostInput): input is Bindable {
  return "release" in input;
}

/** An input of the right-hand side. */
export interface InputBinding extends Binding {
  /** Stored values of a sparse matrix; else null. */
  readonly nnz: number | null;
}

/** Numbers per sample of an input; 0: the samples share it. */
export function widthOf({ kind, rows, cols = 1 }: Binding): number {
  return kind === "state" || kind === "sample" || kind === "table" ? rows * cols : 0;
}

/** Numbers of an input that the samples share; of a sparse matrix those that it stores. */
export function sharedLengthOf({ kind, rows, cols = 1, nnz }: InputBinding): number {
  return kind === "key" ? 2 : (nnz ?? rows * cols);
}

/** Whole numbers on the device. */
export function isWhole({ kind }: Binding): boolean {
  return kind === "index" || kind === "key";
}

/** What the right-hand side and the leak of a system bind. */
export function inputBindings(system: OdeSystem): readonly InputBinding[] {
  const g = new Graph();
  g.store("ode.slope", slopeOfLeaves(g, system));
  if (system.leak) g.store("ode.leak", system.leak(g));
  const { bindings } = lower(g, "inputs");
  const nnzOf = ({ kind, name }: Binding) => (kind === "sparse" ? g.matrices.get(name)!.stored : null);
  return bindings.flatMap((b) => (b.temp || b.name.startsWith("ode.") ? [] : [{ ...b, nnz: nnzOf(b) }]));
}

/** @throws {ShapeError | ArgumentError} naming the argument */
export function checkProblem(
  problem: HostProblem,
  system: OdeSystem,
  bindings: readonly InputBinding[],
  dtype: DType,
): CheckedProblem {
  const { y0, inputs = {}, tEval, tStart = 0, tEnd = tEval.at(-1), dt0, jumpTimes = [] } = problem;
  const batch = y0.length / system.rows;
  if (batch < 1 || !Number.isInteger(batch))
    throw new ShapeError("solve", "y0", `a whole number of samples of ${system.rows} numbers`, `${y0.length}`);
  checkFinite("solve", "y0", y0, dtype);
  if (tEnd === undefined)
    throw new ArgumentError("solve", "tEnd", "an end, or at least one evaluation point", "neither");
  const known = systemInputs(system);
  for (const name of Object.keys(inputs)) {
    if (known.has(name)) continue;
    const near = nearestName(name, known.keys());
    const expected = `an input of the right-hand side${near ? ` (${near}?)` : ""}`;
    throw new ArgumentError("solve", "inputs", expected, `"${name}", which it does not read`);
  }
  for (const binding of bindings) checkInput(binding, inputs[binding.name], batch, dtype);
  const perSample = (times: HostTimes) => (typeof times === "number" ? new Array<number>(batch).fill(times) : times);
  const times = { tStart: perSample(tStart), tEnd: perSample(tEnd), tEval: tEval.map(perSample) };
  // The chunks of the batch are checked as well, but each sees its own samples only.
  timelineOf({ samples: batch, ...times, jumpTimes }, dtype, dependsOnTime(system));
  if (dt0) checkFirstSteps("solve", dt0, batch);
  return { ...problem, ...times, batch, inputs };
}

function checkInput(binding: InputBinding, input: HostInput | undefined, batch: number, dtype: DType): void {
  const { name, kind, rows, cols = 1, nnz } = binding;
  if (typeof input !== "object" || input === null)
    throw new ArgumentError(
      "solve",
      name,
      `a ${kind} for the right-hand side`,
      input === undefined ? "nothing" : `${input}`,
    );
  const width = widthOf(binding);
  // What is on the device is checked where it is bound.
  if (width === 0 && isOnDevice(input)) return;
  if (kind === "sparse") {
    const got = isCsr(input) ? `${input.nRows} × ${input.nCols} with ${input.nnz} entries` : "an array";
    const expected = `${rows} × ${cols} with ${nnz} entries`;
    if (got !== expected) throw new ShapeError("solve", name, `a sparse matrix of ${expected}`, got);
    return;
  }
  if (isCsr(input) || isOnDevice(input))
    throw new ArgumentError("solve", name, `an array of numbers (${kind})`, isCsr(input) ? "a matrix" : "a buffer");
  const expected = width > 0 ? batch * width : sharedLengthOf(binding);
  if (input.length !== expected) {
    const per = width > 0 ? ` for ${batch} samples` : "";
    throw new ShapeError("solve", name, `${expected} numbers (${kind}${per})`, `${input.length}`);
  }
  if (!isWhole(binding)) checkFinite("solve", name, input, dtype);
  const bad = isWhole(binding) ? Array.from(input).findIndex((k) => !(Number.isInteger(k) && k >= 0)) : -1;
  if (bad >= 0) throw new ArgumentError("solve", name, "whole numbers of at least 0", `${input[bad]} at ${bad}`);
}

/** @param samples  that the arrays have */
export function checkCotangents(
  where: string,
  ctYs: StateCotangents,
  points: number,
  samples: number,
  rows: number,
  dtype: DType,
): void {
  if (ctYs.length !== points)
    throw new ShapeError("vjp", where, `${points} cotangents, one per evaluation point`, `${ctYs.length}`);
  ctYs.forEach((ct, j) => {
    if (!ct) return;
    if (ct.length !== samples * rows)
      throw new ShapeError("vjp", `${where}[${j}]`, `${samples} × ${rows} numbers`, `${ct.length}`);
    checkFinite("vjp", `${where}[${j}]`, ct, dtype);
  });
}
