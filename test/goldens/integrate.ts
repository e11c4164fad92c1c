// The equations of the format once more, on the host, with nothing of the engine: dense loops, and the classical Runge–Kutta method with
// many small steps for continuous time.

import type { CaseArrays, GoldenCase } from "./format.ts";

type Inputs = CaseArrays["inputs"];

/** Runge–Kutta steps per stretch between two times; a multiple of all sequence lengths, so that no step crosses a jump of the input. */
const STEPS = 480;

/** States in the layout of `hs` or `ys`. */
export function integrate({ kind, options }: GoldenCase, inputs: Inputs): Float64Array {
  const x = inputs.get("x")!;
  const { batchFirst } = options;
  const isSequence = x.shape.length === 3;
  const [batch, steps] = isSequence ? (batchFirst ? x.shape : [x.shape[1]!, x.shape[0]!]) : [x.shape[0]!, 1];
  const width = x.shape.at(-1)!;
  const inputAt = (sample: number, k: number) => {
    const row = isSequence ? (batchFirst ? sample * steps! + k : k * batch! + sample) : sample;
    return x.data.subarray(row * width, (row + 1) * width);
  };
  const target = targetOf(options.act, inputs);
  const tau = tauOf(options.tauPerType, inputs);
  const n = tau.length;
  const isDiscrete = kind.startsWith("rnn");
  const perSample = Array.from({ length: batch! }, (_, s) => {
    const h0 = inputs.has("h0") ? inputs.get("h0")!.data.subarray(s * n, (s + 1) * n) : new Float64Array(n);
    let h: Float64Array = Float64Array.from(h0, Number);
    const slope = (y: Float64Array, k: number) => {
      const goal = target(inputAt(s, k), y);
      return y.map((v, i) => (goal[i]! - v) / tau[i]!);
    };
    if (isDiscrete) {
      return Array.from({ length: options.numSteps ?? steps! }, (_, k) => {
        const d = slope(h, isSequence ? k : 0);
        h = h.map((v, i) => v + d[i]!);
        return h;
      });
    }
    const { from, times, start, end } = timesOf(kind, options, s);
    let t = from;
    return times.map((to) => {
      const dt = (to - t) / STEPS;
      for (let i = 0; i < STEPS && to !== t; i++) {
        const phase = Math.floor(((t + (i + 0.5) * dt - start) / (end - start)) * steps!);
        h = rungeKutta((y) => slope(y, Math.min(steps! - 1, Math.max(0, phase))), h, dt);
      }
      t = to;
      return h;
    });
  });
  const timeFirst = !batchFirst && kind !== "solver" && !kind.endsWith("backsolve");
  const nTimes = perSample[0]!.length;
  const states = new Float64Array(batch! * nTimes * n);
  perSample.forEach((ofSample, s) => {
    ofSample.forEach((h, j) => {
      states.set(h, (timeFirst ? j * batch! + s : s * nTimes + j) * n);
    });
  });
  return states;
}

function timesOf(
  kind: string,
  options: GoldenCase["options"],
  sample: number,
): { from: number; times: readonly number[]; start: number; end: number } {
  const { solver, numEvals, startTime, endTime } = options;
  if (kind.startsWith("ode_")) {
    const times = Array.from({ length: numEvals }, (_, j) => startTime + ((endTime - startTime) * j) / (numEvals - 1));
    return { from: startTime, times, start: startTime, end: endTime };
  }
  const own = solver.tEval?.[sample];
  const shared = solver.tEval as readonly number[] | null;
  const times = typeof own === "object" ? own : (shared ?? [solver.tEnd![sample]!]);
  return { from: solver.tStart?.[sample] ?? times[0]!, times, start: solver.start, end: solver.end };
}

function rungeKutta(f: (y: Float64Array) => Float64Array, y: Float64Array, dt: number): Float64Array {
  const moved = (k: Float64Array, by: number) => y.map((v, i) => v + by * dt * k[i]!);
  const k1 = f(y);
  const k2 = f(moved(k1, 0.5));
  const k3 = f(moved(k2, 0.5));
  const k4 = f(moved(k3, 1));
  return y.map((v, i) => v + (dt / 6) * (k1[i]! + 2 * k2[i]! + 2 * k3[i]! + k4[i]!));
}

/** relu(φ(U·x + W·(s ⊙ h) + b)). */
function targetOf(
  act: GoldenCase["options"]["act"],
  inputs: Inputs,
): (x: ArrayLike<number>, h: Float64Array) => Float64Array {
  const sign = inputs.get("sign")?.data;
  const bias = inputs.get("hh_bias")?.data;
  const types = inputs.get("neuron_type")?.data;
  return (x, h) => {
    const sent = h.map((v, i) => v * Number(sign?.[i] ?? 1));
    const u = Float64Array.from(h, (_, i) => Number(bias?.[i] ?? 0));
    addProduct(u, "hh", inputs, sent);
    if (!addProduct(u, "ih", inputs, x)) for (let i = 0; i < u.length; i++) u[i]! += x[i]!;
    return u.map((v, i) => Math.max(0, transfer(Array.isArray(act) ? act[Number(types![i])] : act, v)));
  };
}

/** y += M·x; false where there is no such matrix. Negative weights of the connectome count as 0. */
function addProduct(y: Float64Array, name: string, inputs: Inputs, x: ArrayLike<number>): boolean {
  const weight = inputs.get(`${name}_weight`)?.data;
  if (weight) {
    y.forEach((_, i) => {
      for (let j = 0; j < x.length; j++) y[i]! += weight[i * x.length + j]! * x[j]!;
    });
    return true;
  }
  const values = inputs.get(`${name}_values`)?.data;
  if (!values) return false;
  const [rows, cols] = [inputs.get(`${name}_rows`)!.data, inputs.get(`${name}_cols`)!.data];
  values.forEach((w, k) => {
    y[rows[k]!]! += (name === "hh" ? Math.max(0, w) : w) * x[cols[k]!]!;
  });
  return true;
}

function tauOf(perType: boolean, inputs: Inputs): Float64Array {
  const tau = inputs.get("tau")!.data;
  if (!perType) return Float64Array.from(tau, Number);
  return Float64Array.from(inputs.get("neuron_type")!.data, (type) => Number(tau[Number(type)]));
}

function transfer(name: string | null | undefined, x: number): number {
  if (!name) return x;
  return name
    .split(",")
    .map((part) => part.trim())
    .reduce((value, part) => FUNCTIONS[part]!(value), x);
}

const FUNCTIONS: Readonly<Record<string, (x: number) => number>> = {
  ReLU: (x) => Math.max(0, x),
  Sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  Softplus: (x) => (x > 20 ? x : Math.log1p(Math.exp(x))),
  Tanh: Math.tanh,
};
