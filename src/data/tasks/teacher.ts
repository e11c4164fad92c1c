// Teacher: traces of a network with known parameters on a given wiring. Whoever trains a student on the traces of some neurons can see
// whether it finds those of the others, and the parameters.

import { type Csr, withValues } from "../../core/csr.ts";
import { deriveKey, type Key, RandomStream } from "../../core/random.ts";

/** φ of the teacher, by its name in torch.nn. */
export const TEACHER_ACTIVATIONS: Readonly<Record<string, (u: number) => number>> = {
  Sigmoid: (u) => 1 / (1 + Math.exp(-u)),
  Tanh: Math.tanh,
  ReLU: (u) => (u > 0 ? u : 0),
  Softplus: (u) => (u > 20 ? u : Math.log1p(Math.exp(u))),
};

/** A network with known parameters, in the equations of `Dynamics`. */
export interface Teacher {
  readonly dynamics: "rate" | "voltage";
  /** Name of φ. */
  readonly activation: string;
  /** W, [neurons, neurons], row = post. */
  readonly weights: Csr;
  /** [neurons], in frames. */
  readonly tau: Float64Array;
  /** [neurons] */
  readonly bias: Float64Array;
}

/**
 * States of the teacher after each frame, from the state 0, in double precision: explicit Euler steps of one frame,
 * h ← h + (relu(φ(x + W·h + b)) − h)/τ, or for voltages h ← h + (x + W·φ(h) + b − h)/τ.
 *
 * @param inputs [frames, neurons]
 * @returns [frames, neurons]
 */
export function teacherTraces(teacher: Teacher, inputs: ArrayLike<number>): Float64Array {
  const { dynamics, activation, weights, tau, bias } = teacher;
  const phi = TEACHER_ACTIVATIONS[activation]!;
  const n = weights.nRows;
  const { rowPtr, colIdx, values } = weights;
  const frames = inputs.length / n;
  const traces = new Float64Array(inputs.length);
  let state = new Float64Array(n);
  const sent = new Float64Array(n);
  for (let k = 0; k < frames; k++) {
    for (let j = 0; j < n; j++) sent[j] = dynamics === "voltage" ? phi(state[j]!) : state[j]!;
    const next = traces.subarray(k * n, (k + 1) * n);
    for (let i = 0; i < n; i++) {
      let u = inputs[k * n + i]! + bias[i]!;
      for (let e = rowPtr[i]!; e < rowPtr[i + 1]!; e++) u += values[e]! * sent[colIdx[e]!]!;
      const goal = dynamics === "voltage" ? u : Math.max(0, phi(u));
      next[i] = state[i]! + (goal - state[i]!) / tau[i]!;
    }
    state = next;
  }
  return traces;
}

export function drawTeacher(
  wiring: Csr,
  { gain, spread, fastest, slowest, dynamics, activation, biasSpread = 0.5 }: any,
  key: Key,
): Teacher {
  const stream = new RandomStream(deriveKey(key, "teacher"));
  const n = wiring.nRows;
  const values = new Float64Array(wiring.nnz);
  for (let i = 0; i < n; i++) {
    let sum = 0;
    for (let e = wiring.rowPtr[i]!; e < wiring.rowPtr[i + 1]!; e++) sum += Math.abs(wiring.values[e]!);
    for (let e = wiring.rowPtr[i]!; e < wiring.rowPtr[i + 1]!; e++)
      values[e] = ((gain * wiring.values[e]!) / sum) * Math.exp(spread * stream.normal());
  }
  const tau = Float64Array.from({ length: n }, () => fastest * (slowest / fastest) ** stream.uniform());
  const bias = Float64Array.from({ length: n }, () => biasSpread * stream.normal());
  return { dynamics, activation, weights: withValues(wiring, values), tau, bias };
}
