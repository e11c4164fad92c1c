// Solves on host data: uploads a problem, runs the solver forward and, with cotangents, back, and downloads everything.

import type { Graph } from "../../src/autodiff/graph.ts";
import type { Backend, BoundProgram } from "../../src/backend/backend.ts";
import { type Csr, withValues } from "../../src/core/csr.ts";
import { deriveKey, keyOfSeed, RandomStream } from "../../src/core/random.ts";
import type { IntegralController, OdeSystem } from "../../src/ode/method.ts";
import { systemInputs } from "../../src/ode/programs.ts";
import type { SolverOptions } from "../../src/ode/request.ts";
import { OdeSolver } from "../../src/ode/solve.ts";
import type { SolveStats } from "../../src/ode/solveStats.ts";
import { dopri5 } from "../../src/ode/tableaus/dopri5.ts";
import type { Value } from "../../src/ops/value.ts";
import { variant } from "../support/backends.ts";
import { DEFAULT_SEED, randomSparse } from "../support/matrices.ts";
import { rateSystem } from "../support/systems.ts";

export interface HostProblem {
  readonly system: OdeSystem;
  readonly samples: number;
  /** [samples, rows]. */
  readonly y0: ArrayLike<number>;
  /** State leaves, [samples, rows of the leaf]. */
  readonly states?: Readonly<Record<string, ArrayLike<number>>>;
  /** Row leaves. */
  readonly rows?: Readonly<Record<string, ArrayLike<number>>>;
  readonly matrices?: Readonly<Record<string, Csr>>;
  /** Vectors of whole numbers, which have no gradient. */
  readonly indices?: Readonly<Record<string, readonly number[]>>;
  /** Per sample. */
  readonly tStart: readonly number[];
  readonly tEnd: readonly number[];
  /** [evaluation point][sample]. */
  readonly tEval: readonly (readonly number[])[];
  /** [sample][k]. */
  readonly jumpTimes?: readonly (readonly number[])[];
}

export interface HostSolution {
  /** [evaluation point], each [samples, rows]. */
  readonly ys: readonly Float64Array[];
  readonly stats: SolveStats;
  /** By leaf; those of matrices in CSR order; `y0` too. Empty without cotangents. */
  readonly gradients: Readonly<Record<string, Float64Array>>;
}

export const INTEGRAL: IntegralController = {
  type: "integral",
  atol: 1e-6,
  rtol: 1e-3,
  safety: 0.9,
  factorMin: 0.2,
  factorMax: 10,
};

/** How a problem is solved; `ahead`: the reverse pass is enqueued behind the solve before the host knows whether it is complete. */
export type HostOptions = Partial<SolverOptions> & {
  readonly throughStepSizeControl?: boolean;
  readonly ahead?: boolean;
};

/**
 * @param ctYs cotangents of the evaluation points, each [samples, rows]; gradients of all leaves are then computed
 */
export async function solveOnHost(
  backend: Backend,
  problem: HostProblem,
  options: HostOptions = {},
  ctYs?: readonly (ArrayLike<number> | null)[],
): Promise<HostSolution> {
  const { system, samples, states = {}, rows = {}, matrices = {}, indices = {}, ...rest } = problem;
  const { throughStepSizeControl = true, ahead = false, ...given } = options;
  const leaves = [...Object.keys(states), ...Object.keys(rows), ...Object.keys(matrices)];
  using solver = new OdeSolver(backend, system, {
    tableau: dopri5,
    controller: INTEGRAL,
    maxSteps: 1000,
    reverse: ctYs ? { wrt: leaves, throughStepSizeControl } : null,
    ...given,
  });
  const host = { ...rest, inputs: { ...states, ...rows, ...matrices, ...indices } };
  const doubles = (values: ArrayLike<number>) => Float64Array.from(values);
  if (!ctYs) {
    const { ys, stats } = await solver.solve(host);
    return { ys: ys.map(doubles), stats, gradients: {} };
  }
  const n = system.rows;
  const ofSample = (s: number) => ctYs.map((ct) => ct && doubles(ct).subarray(s * n, (s + 1) * n));
  const { ys, stats, gradients } = await solver.vjp(host, ahead ? ctYs : ofSample);
  const all = Object.entries({ y0: gradients.y0, ...gradients.inputs }).map(([name, g]) => [name, doubles(g)]);
  return { ys: ys.map(doubles), stats, gradients: Object.fromEntries(all) };
}

/** A backend that counts how often attempts are run; in each solve, `n` forward and the others for its reverse pass. */
export function countingAttempts(backend: Backend): { readonly backend: Backend; readonly attempts: () => number } {
  let attempts = 0;
  const run = (bound: BoundProgram): void => {
    if (["attempt", "attempt.recorded"].includes(bound.executable.program.name)) attempts++;
    backend.run(bound);
  };
  return { backend: variant(backend, { run }), attempts: () => attempts };
}

/** A backend with room for `count` of the sets of buffers that can be done without: what is asked for with `buffersIfRoom`. */
export function refusingAfter(backend: Backend, count: number): Backend {
  let left = count;
  const buffersIfRoom: Backend["buffersIfRoom"] = async (label, lengths, kind) =>
    left-- > 0 ? backend.buffersIfRoom(label, lengths, kind) : null;
  return variant(backend, { buffersIfRoom });
}

export function normals(label: string, length: number): Float64Array {
  const stream = new RandomStream(deriveKey(keyOfSeed(DEFAULT_SEED), label));
  return Float64Array.from({ length }, () => stream.normal());
}

/** A small rate network; samples 0, 1, 2, 3 … run 1, 2, 3, 1 … times as long and need different numbers of steps. */
export function rateProblem(samples: number, times: { tEnd?: number; tEval?: readonly number[] } = {}): HostProblem {
  const n = 6;
  const { tEnd = 3, tEval = [0, 0.4, 1.1, tEnd] } = times;
  const sample = randomSparse(n, n, 0.5).csr;
  const hh = withValues(
    sample,
    sample.values.map((v) => 1.5 * Math.abs(v)),
  );
  const all = (t: number) => Array.from({ length: samples }, (_, s) => t * (1 + (s % 3)));
  return {
    system: rateSystem(n, hh.nnz),
    samples,
    y0: normals("rate y0", samples * n).map((x, i) => Math.abs(x) * 10 ** (Math.floor(i / n) % 3)),
    states: { drive: normals("rate drive", samples * n).map((x, i) => x * 10 ** (Math.floor(i / n) % 2)) },
    rows: { tau: normals("rate tau", n).map((x) => 1 + Math.abs(x)), bias: normals("rate bias", n) },
    matrices: { hh },
    tStart: all(0),
    tEnd: all(tEnd),
    tEval: tEval.map(all),
  };
}

/**
 * Neurons that share parameters by type and by segment, feel each other through W and Wᵀ, through the sum over a product, and through the
 * largest of them: ops whose reverse scatters, is broadcast, or looks for a row.
 */
export function sharingProblem(samples: number): HostProblem {
  const problem = rateProblem(samples);
  const { rows: n } = problem.system;
  const { nnz } = problem.matrices!.hh!;
  const rhs: OdeSystem["rhs"] = (g, _, y) => {
    const { ops } = g;
    const w = g.sparse("hh", n, n, nnz);
    const gain = g.gather(ops.tanh(g.row("gain", 3)), "type", n);
    const level = ops.reduceRows(g.segmentSum(ops.tanh(g.row("bias", n)), "offsets", "members", 2));
    const shared = ops.add(ops.mul(gain, ops.reduceRows(y, "max")), ops.add(level, ops.reduceRows(ops.matmul(w, y))));
    const drive = ops.add(ops.matmulT(w, y), ops.pow(ops.mul(0.25, y), 3));
    return ops.sub(ops.tanh(ops.mul(0.1, ops.add(drive, shared))), y);
  };
  return {
    ...problem,
    system: { rows: n, rhs },
    y0: normals("sharing y0", samples * n),
    states: {},
    rows: { gain: normals("sharing gain", 3), bias: problem.rows!.bias! },
    indices: { type: [2, 0, 2, 2, 0, 1], offsets: [0, 4, 6], members: [5, 0, 3, 1, 4, 2] },
  };
}

const KIND_ROWS = 4;
const KIND_SAMPLES = 3;

/** dy/dt by kind; all of them read the row `a` as far as they can. */
export const RHS_KINDS: Readonly<Record<string, (g: Graph, t: Value) => Value>> = {
  row: (g) => g.ops.tanh(g.row("a", KIND_ROWS)),
  "row leaf": (g) => g.row("a", KIND_ROWS),
  sample: (g, t) => g.ops.mul(t, g.ops.reduceRows(g.row("a", KIND_ROWS))),
  time: (_, t) => t,
  scalar: (g) => g.ops.reduceRows(g.row("a", KIND_ROWS), "max"),
  constant: (g) => g.ops.constant(0.5),
};

/** With the inputs that it reads. */
export function kindProblem(rhs: OdeSystem["rhs"], leaky: boolean): HostProblem {
  const leak: OdeSystem["leak"] = (g) => g.row("leak", KIND_ROWS);
  const system: OdeSystem = { rows: KIND_ROWS, rhs, ...(leaky ? { leak } : {}) };
  const reads = systemInputs(system);
  const rows = { a: normals("kinds a", KIND_ROWS), leak: Float64Array.from({ length: KIND_ROWS }, (_, i) => 1 + i) };
  const all = (t: number) => Array.from({ length: KIND_SAMPLES }, (_, s) => t * (1 + s));
  return {
    system,
    samples: KIND_SAMPLES,
    y0: normals("kinds y0", KIND_SAMPLES * KIND_ROWS),
    rows: Object.fromEntries(Object.entries(rows).filter(([name]) => reads.has(name))),
    tStart: all(0),
    tEnd: all(1),
    tEval: [0.3, 0.55, 1].map(all),
  };
}

/** The rate problem for a system that says its leak. */
export function leakyProblem(samples: number): HostProblem {
  const problem = rateProblem(samples);
  const { rows } = problem.system;
  return { ...problem, system: { ...problem.system, leak: (g) => g.ops.div(1, g.row("tau", rows)) } };
}

/** The samples of a problem alone. */
export function sampleOf(problem: HostProblem, s: number): HostProblem {
  const { samples, y0, states = {} } = problem;
  const part = (data: ArrayLike<number>) =>
    Float64Array.from(data).slice((s * data.length) / samples, ((s + 1) * data.length) / samples);
  return {
    ...problem,
    samples: 1,
    y0: part(y0),
    states: Object.fromEntries(Object.entries(states).map(([name, data]) => [name, part(data)])),
    tStart: [problem.tStart[s]!],
    tEnd: [problem.tEnd[s]!],
    tEval: problem.tEval.map((times) => [times[s]!]),
    ...(problem.jumpTimes ? { jumpTimes: [problem.jumpTimes[s]!] } : {}),
  };
}

/** Random cotangents for every evaluation point. */
export function cotangents({ system, samples, tEval }: HostProblem): Float64Array[] {
  return tEval.map((_, j) => normals(`cotangent ${j}`, samples * system.rows));
}

/** Σ ct·y over all evaluation points. */
export function pairing(ys: readonly ArrayLike<number>[], ctYs: readonly ArrayLike<number>[]): number {
  let sum = 0;
  ys.forEach((y, j) => {
    for (let i = 0; i < y.length; i++) sum += y[i]! * ctYs[j]![i]!;
  });
  return sum;
}
