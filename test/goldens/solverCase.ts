// The kind `solver`: the ODE solver itself on the rate model, written here as a user would write other dynamics, with the input
// projection inside the right-hand side. Shares nothing with src/models but the nonlinearities and the parameter store.

import type { Graph } from "../../src/autodiff/graph.ts";
import type { Backend, Bindable, DeviceBuffer } from "../../src/backend/backend.ts";
import { Desks } from "../../src/backend/desk.ts";
import { activation } from "../../src/models/activation.ts";
import { ParameterSet } from "../../src/models/parameters/parameterSet.ts";
import type { Controller, OdeSystem } from "../../src/ode/method.ts";
import { OdeSolver } from "../../src/ode/solve.ts";
import { assertSolved, failedSamples, type SolveStats } from "../../src/ode/solveStats.ts";
import { tableauByName } from "../../src/ode/tableaus/index.ts";
import type { Value } from "../../src/ops/value.ts";
import { arrayOf, dataOf, dot, type Inputs, numNeuronsOf, sparseOf, stepCounts } from "./arrays.ts";
import type { Outputs } from "./compare.ts";
import type { GoldenCase, SolverCaseOptions } from "./format.ts";

export const DEFAULT_MAX_STEPS = 10_000;

/** Sizes and times of a case. */
export interface Problem {
  readonly golden: GoldenCase;
  readonly inputs: Inputs;
  readonly batch: number;
  readonly steps: number;
  readonly inputSize: number;
  readonly nNeurons: number;
  /** [evaluation point][sample]. */
  readonly tEval: readonly (readonly number[])[];
  readonly tStart: readonly number[];
  readonly tEnd: readonly number[];
}

/** Parameters of the right-hand side: leaf name → output of the format. */
export const PARAMETERS: Readonly<Record<string, string>> = {
  hh: "grad_hh_values",
  ih: "grad_ih_values",
  "ih.weight": "grad_ih_weight",
  bias: "grad_hh_bias",
  tau: "grad_tau",
};

export async function runSolverCase(backend: Backend, golden: GoldenCase, inputs: Inputs): Promise<Outputs> {
  const problem = problemOf(golden, inputs);
  const parameters = new ParameterSet(backend);
  addParameters(parameters, problem);
  parameters.refresh();
  const { fails, maxSteps } = golden.options.solver;
  const run = new SolverRun(backend, problem, parameters, maxSteps ?? DEFAULT_MAX_STEPS);
  try {
    const stats = await run.batch();
    const ends = Array.from({ length: problem.batch }, (_, s) => problem.tEval.map((times) => times[s]!)).flat();
    const outputs = new Map<string, ArrayLike<number>>([["ys", run.ys], ["ts", ends], ...stepCounts(stats)]);
    if (fails) return outputs;
    parameters.foldGradients();
    outputs.set("loss", [dot(run.ys, dataOf(golden, inputs, "cot"))]);
    outputs.set("grad_x", run.gradX);
    outputs.set("grad_h0", run.gradH0);
    for (const { name } of parameters.trainable()) outputs.set(PARAMETERS[name]!, await parameters.gradient(name));
    return outputs;
  } finally {
    parameters.dispose();
    run.dispose();
  }
}

export function problemOf(golden: GoldenCase, inputs: Inputs): Problem {
  const { shape } = arrayOf(golden, inputs, "x");
  const { batchFirst } = golden.options;
  const isSequence = shape.length === 3;
  const batch = shape[isSequence && !batchFirst ? 1 : 0]!;
  const { tEval, tStart, tEnd } = golden.options.solver;
  const perSample = Array.from({ length: batch }, (_, s) => {
    const own = tEval?.[s];
    return typeof own === "object" ? own : ((tEval as readonly number[] | null) ?? [tEnd![s]!]);
  });
  return {
    golden,
    inputs,
    batch,
    steps: isSequence ? shape[batchFirst ? 1 : 0]! : 1,
    inputSize: shape.at(-1)!,
    nNeurons: numNeuronsOf(golden, inputs),
    tEval: perSample[0]!.map((_, j) => perSample.map((times) => times[j]!)),
    tStart: tStart ?? perSample.map((times) => times[0]!),
    tEnd: tEnd ?? perSample.map((times) => times.at(-1)!),
  };
}

export function addParameters(parameters: ParameterSet, { golden, inputs, nNeurons, inputSize }: Problem): void {
  const trainable = true;
  const hh = sparseOf(golden, inputs, "hh", nNeurons, nNeurons)!;
  parameters.addSparse("hh", hh, { trainable, constraint: { min: 0, clamp: true } });
  const ih = sparseOf(golden, inputs, "ih", nNeurons, inputSize);
  if (ih) parameters.addSparse("ih", ih, { trainable });
  else if (inputs.has("ih_weight"))
    parameters.addVector("ih.weight", dataOf(golden, inputs, "ih_weight"), { trainable });
  if (inputs.has("hh_bias")) parameters.addVector("bias", dataOf(golden, inputs, "hh_bias"), { trainable });
  const types = inputs.get("neuron_type")?.data;
  const tau = { trainable, constraint: { min: 1, clamp: true } };
  parameters.addVector(
    "tau",
    dataOf(golden, inputs, "tau"),
    golden.options.tauPerType ? { ...tau, spreadBy: dataOf(golden, inputs, "neuron_type") } : tau,
  );
  parameters.addVector("sign", inputs.get("sign")?.data ?? new Float32Array(nNeurons).fill(1), { trainable: false });
  if (types) parameters.addVector("type", types, { trainable: false });
}

export function controllerOf({ controller }: SolverCaseOptions): Controller {
  const { type, dtMin, dtMax, norm, atol, rtol, safety, factorMin, factorMax } = controller;
  if (type === "fixed") return { type };
  const adaptive = {
    atol,
    rtol,
    safety,
    factorMin,
    factorMax,
    norm: norm === "max" ? ("max" as const) : ("rms" as const),
    ...(dtMin === null ? {} : { dtMin }),
    ...(dtMax === null ? {} : { dtMax }),
  };
  if (type === "integral") return { type, ...adaptive };
  const { pCoeff, iCoeff, dCoeff } = controller;
  return { type: "pid", ...adaptive, pCoeff, iCoeff, dCoeff };
}

/** dh/dt = (relu(φ(U·x(t) + W·(s ⊙ h) + b)) − h)/τ, a sequence x piecewise constant from `start` to `end`. */
export function rateModel({ golden, steps, inputSize, nNeurons }: Problem, parameters: ParameterSet): OdeSystem {
  const { act } = golden.options;
  const { start, end, nanAfter } = golden.options.solver;
  const has = new Set(parameters.all().map((p) => p.name));
  const nnz = (name: string) => parameters.get(name).size;
  /** U·x. */
  const driveOf = (g: Graph, x: Value): Value => {
    if (has.has("ih")) return g.ops.matmul(g.sparse("ih", nNeurons, inputSize, nnz("ih")), x);
    return has.has("ih.weight") ? g.ops.matmul(g.dense("ih.weight", nNeurons, inputSize), x) : x;
  };
  /** One nonlinearity, or that of each neuron's type. */
  const transfer = (g: Graph, u: Value): Value => {
    if (act === null || typeof act === "string") return activation(act)(g.ops, u);
    const type = g.row("type", nNeurons);
    return act.reduce<Value>((other, name, t) => g.ops.select(g.ops.eq(type, t), activation(name)(g.ops, u), other), u);
  };
  return {
    rows: nNeurons,
    rhs: (g, t, h) => {
      const { ops } = g;
      const phase = ops.floor(ops.mul(ops.div(ops.sub(t, start), end - start), steps));
      const index = ops.max(0, ops.min(steps - 1, phase));
      const x = steps === 1 ? g.state("x", inputSize) : ops.lookup(g.table("x", inputSize, steps), index);
      const input = ops.matmul(g.sparse("hh", nNeurons, nNeurons, nnz("hh")), ops.mul(g.row("sign", nNeurons), h));
      const sum = ops.add(driveOf(g, x), input);
      const u = has.has("bias") ? ops.add(sum, g.row("bias", nNeurons)) : sum;
      const rate = ops.div(ops.sub(ops.relu(transfer(g, u)), h), g.row("tau", nNeurons));
      if (!nanAfter) return rate;
      const broken = ops.mul(ops.eq(g.sample("sample"), nanAfter[0]), ops.lt(nanAfter[1], t));
      return ops.select(broken, Number.NaN, rate);
    },
  };
}

/** One run, chunk by chunk, and what it has yielded so far, sample-major. */
class SolverRun {
  readonly ys: Float64Array;
  readonly gradX: Float64Array;
  readonly gradH0: Float64Array;
  readonly #backend: Backend;
  readonly #problem: Problem;
  readonly #parameters: ParameterSet;
  readonly #maxSteps: number;
  readonly #desks: Desks;
  #solver: OdeSolver;

  constructor(backend: Backend, problem: Problem, parameters: ParameterSet, maxSteps: number) {
    this.#backend = backend;
    this.#problem = problem;
    this.#parameters = parameters;
    this.#maxSteps = maxSteps;
    this.#desks = new Desks(backend, "solver case");
    this.#solver = this.#solverOf(maxSteps);
    const { batch, tEval, nNeurons, steps, inputSize } = problem;
    this.ys = new Float64Array(batch * tEval.length * nNeurons);
    this.gradX = new Float64Array(batch * steps * inputSize);
    this.gradH0 = new Float64Array(batch * nNeurons);
  }

  #solverOf(maxSteps: number): OdeSolver {
    const problem = this.#problem;
    const { solver: options } = problem.golden.options;
    const wrt = [...this.#parameters.trainable().map((p) => p.name), "x"];
    return new OdeSolver(this.#backend, rateModel(problem, this.#parameters), {
      tableau: tableauByName(options.method),
      controller: controllerOf(options),
      maxSteps,
      ...(options.dt0 === null ? {} : { dt0: typeof options.dt0 === "number" ? options.dt0 : ("perSample" as const) }),
      // The reference stops the whole batch where one sample fails.
      onFailure: "stop",
      reverse: { wrt, throughStepSizeControl: options.throughStepSizeControl },
    });
  }

  /** Solves all samples, as many at once as the device takes. Where one fails, all stop in that attempt, in whatever chunk they are. */
  async batch(): Promise<SolveStats[]> {
    const { maxLanes } = this.#backend;
    const { batch, golden } = this.#problem;
    const stats: SolveStats[] = [];
    for (let first = 0; first < batch; first += maxLanes) {
      stats.push(await this.#chunk(first, Math.min(maxLanes, batch - first)));
      if (!golden.options.solver.fails) assertSolved(stats.at(-1)!, first);
    }
    const attempts = stats.map((part) => Math.max(...part.nSteps));
    const last = Math.min(...stats.flatMap((part, c) => (failedSamples([part]).length > 0 ? [attempts[c]!] : [])));
    if (!(last < this.#maxSteps)) return stats;
    this.#solver.dispose();
    this.#solver = this.#solverOf(last);
    for (const [c, part] of stats.entries()) {
      if (attempts[c]! <= last) continue;
      const again = await this.#chunk(c * maxLanes, part.status.length);
      stats[c] = { ...again, status: again.status.map((s) => (s === "maxSteps" ? "stopped" : s)) };
    }
    return stats;
  }

  /** Solves samples first … first + count − 1, forward and back. */
  async #chunk(first: number, count: number): Promise<SolveStats> {
    const { golden, inputs, batch, nNeurons, steps, inputSize, tEval, tStart, tEnd } = this.#problem;
    const { batchFirst, solver: options } = golden.options;
    const { dt0, fails } = options;
    const backend = this.#backend;
    const desk = this.#desks.of(backend.layoutFor(count));
    const part = { first, count };
    const frames = Array.from({ length: steps }, (_, k) => ({
      ...part,
      at: (s: number, row: number) => (batchFirst ? s * steps + k : k * batch + s) * inputSize + row,
      frame: { index: k, rows: inputSize },
    }));
    const points = tEval.map((_, j) => ({
      ...part,
      at: (s: number, row: number) => (s * tEval.length + j) * nNeurons + row,
    }));
    const own = (times: readonly number[]) => times.slice(first, first + count);

    const x = desk.state("x", inputSize * steps);
    const gradX = desk.state("grad x", inputSize * steps);
    backend.fill(gradX, 0);
    for (const frame of frames) desk.put(x, dataOf(golden, inputs, "x"), frame);
    const sample = desk.sample("sample");
    desk.set(sample, (lane) => first + lane);
    const h0 = inputs.get("h0")?.data ?? new Float64Array(this.gradH0.length);
    const ys = tEval.map((_, j) => desk.state(`y ${j}`, nNeurons));
    const stats = await this.#solver.forward({
      layout: desk.layout,
      samples: count,
      inputs: { x, sample, ...this.#bindables() },
      y0: desk.put(desk.state("y0", nNeurons), h0, part),
      tStart: own(tStart),
      tEnd: own(tEnd),
      tEval: tEval.map(own),
      ys,
      ...(typeof dt0 === "object" && dt0 !== null ? { dt0: own(dt0) } : {}),
      record: true,
    });
    for (const [j, y] of ys.entries()) await desk.take(y, this.ys, points[j]!);
    if (fails) return stats;
    const cotangents = points.map((point, j) =>
      desk.put(desk.state(`ct ${j}`, nNeurons), dataOf(golden, inputs, "cot"), point, "zero"),
    );
    const ctY0 = desk.state("ct y0", nNeurons);
    this.#solver.reverse(cotangents, { x: gradX, ...this.#gradients() }, ctY0);
    await desk.take(ctY0, this.gradH0, part);
    for (const frame of frames) await desk.take(gradX, this.gradX, frame);
    return stats;
  }

  dispose(): void {
    this.#solver.dispose();
    this.#desks.release();
  }

  #bindables(): Record<string, Bindable> {
    return Object.fromEntries(this.#parameters.all().map((p) => [p.name, p.bindable]));
  }

  #gradients(): Record<string, DeviceBuffer> {
    return Object.fromEntries(this.#parameters.trainable().map((p) => [p.name, p.gradTarget!]));
  }
}
