// A network with known parameters, and its traces: what a student is to find.

import type { Csr } from "../../core/csr.ts";
import { ShapeError } from "../../core/errors.ts";
import { r2Of } from "../../stats/agreement.ts";

/** Equations of the teacher, in the names of networks: h ← h + (relu(φ(x + W·h + b)) − h)/τ, or h ← h + (x + W·φ(h) + b − h)/τ. */
export type TeacherDynamics = "rate" | "voltage";

export const TEACHER_DYNAMICS: readonly TeacherDynamics[] = ["rate", "voltage"];

/** φ by its name in torch.nn. */
export const TEACHER_NONLINEARITIES: Readonly<Record<string, (u: number) => number>> = {
  Sigmoid: (u) => 1 / (1 + Math.exp(-u)),
  Tanh: Math.tanh,
  ReLU: (u) => (u > 0 ? u : 0),
  Softplus: (u) => (u > 20 ? u : Math.log1p(Math.exp(u))),
};

/** A network with known parameters. */
export interface Teacher {
  readonly dynamics: TeacherDynamics;
  /** Name of φ. */
  readonly nonlinearity: string;
  /** W, [neurons, neurons], row = post. */
  readonly weights: Csr;
  /** [neurons], in frames. */
  readonly tau: Float64Array;
  /** [neurons] */
  readonly bias: Float64Array;
}

/** Shares of variance of the teacher's parameters that a student's explain. */
export interface Recovery {
  /** R² over the connections. */
  readonly weights: number;
  /** R² over the neurons. */
  readonly tau: number;
  /** R² over the neurons. */
  readonly bias: number;
}

/**
 * States of the teacher after each frame, from the state 0, in double precision.
 *
 * @param inputs [frames, neurons]
 * @returns [frames, neurons]
 */
export function teacherTraces(truth: Teacher, inputs: ArrayLike<number>): Float64Array {
  const { dynamics, nonlinearity, weights, tau, bias } = truth;
  const phi = TEACHER_NONLINEARITIES[nonlinearity]!;
  const { nRows: n, rowPtr, colIdx, values } = weights;
  const traces = new Float64Array(inputs.length);
  const sent = new Float64Array(n);
  let state = new Float64Array(n);
  for (let at = 0; at < inputs.length; at += n) {
    for (let j = 0; j < n; j++) sent[j] = dynamics === "voltage" ? phi(state[j]!) : state[j]!;
    const next = traces.subarray(at, at + n);
    for (let i = 0; i < n; i++) {
      let u = inputs[at + i]! + bias[i]!;
      for (let e = rowPtr[i]!; e < rowPtr[i + 1]!; e++) u += values[e]! * sent[colIdx[e]!]!;
      const goal = dynamics === "voltage" ? u : Math.max(0, phi(u));
      next[i] = state[i]! + (goal - state[i]!) / tau[i]!;
    }
    state = next;
  }
  return traces;
}

/**
 * How much of the teacher's parameters a student has found: R² = 1 − Σ(θ − θ̂)²/Σ(θ − mean θ)². NaN for parameters that do not vary.
 *
 * @param student its weights in the order of the connections (row-major), its τ and b, one per neuron
 * @throws {ShapeError} other numbers of connections or neurons
 */
export function recovery(
  truth: Teacher,
  student: { readonly weights: ArrayLike<number>; readonly tau: ArrayLike<number>; readonly bias: ArrayLike<number> },
): Recovery {
  const explained = (name: keyof Recovery, values: ArrayLike<number>): number => {
    const found = student[name];
    if (found.length !== values.length) throw new ShapeError("recovery", name, `${values.length}`, `${found.length}`);
    return r2Of(values, found);
  };
  return {
    weights: explained("weights", truth.weights.values),
    tau: explained("tau", truth.tau),
    bias: explained("bias", truth.bias),
  };
}
