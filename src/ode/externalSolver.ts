// The solver for a right-hand side that is no graph but a function on the host. Stages, error control and dense output are the graphs
// of method.ts all the same: each is cut where it calls the right-hand side, whose result is a leaf of what follows.

import type { Graph } from "../autodiff/graph.ts";
import { lower } from "../autodiff/lower.ts";
import type { Backend, BoundProgram, DeviceBuffer } from "../backend/backend.ts";
import { compileAndBind } from "../backend/bind.ts";
import { lanesOf, packState, unpackState } from "../backend/layout.ts";
import type { PanelLayout, Program } from "../backend/program.ts";
import { type Abortable, turnUnlessAborted } from "../core/abort.ts";
import { type FloatArray, floatArray } from "../core/dtype.ts";
import type { Value } from "../ops/value.ts";
import { attemptGraph, denseGraph, initGraph, type Method, type OdeSystem, STATUS, stageName } from "./method.ts";
import { assertSolved, type SolveStats, statusName } from "./solve.ts";
import { Timeline } from "./timeline.ts";

/** dy/dt of all samples: the time since tStart is [samples], y and the result are [samples, rows]. */
export type HostRhs = (elapsed: FloatArray, y: FloatArray) => Promise<FloatArray>;

/** What is solved, on at most `maxLanes` samples; times per sample. */
export interface ExternalProblem extends Abortable {
  readonly rhs: HostRhs;
  readonly samples: number;
  /** [samples, rows]. */
  readonly y0: ArrayLike<number>;
  readonly tStart: readonly number[];
  readonly tEnd: readonly number[];
  /** [evaluation point][sample]; a sample whose point is at the start gets y0. */
  readonly tEval: readonly (readonly number[])[];
  /** First step size per sample, for a solver that is to be given it. */
  readonly dt0?: readonly number[];
}

export interface ExternalSolution {
  /** [evaluation point], each [samples, rows]. */
  readonly ys: readonly FloatArray[];
  readonly stats: SolveStats;
}

/** A graph in pieces: argument i stores `call.elapsed` and `call.y`; the right-hand side there is the leaf `call.k<i>` of all later ones. */
interface Pieces {
  readonly arguments: readonly Program[];
  /** Stores what the whole graph is for. */
  readonly result: Program;
}

const PER_SAMPLE = ["t", "dt", "running", "nSteps", "nAccepted", "status", "ratio1", "ratio2"] as const;

/**
 * Solves dy/dt = rhs(t, y), each sample with its own steps: the same numbers as OdeSolver, without gradients. The right-hand side
 * is called for all samples until the last has finished.
 */
export class ExternalSolver {
  readonly #backend: Backend;
  readonly #rows: number;
  readonly #init: Pieces;
  readonly #attempt: Pieces;
  readonly #dense: Program;

  constructor(backend: Backend, rows: number, method: Method, dt0Given = false) {
    this.#backend = backend;
    this.#rows = rows;
    this.#init = cut("external.init", rows, (system) => {
      const { graph, k1, dt, finite } = initGraph(system, method, dt0Given);
      const status = graph.ops.select(finite, STATUS.ok, STATUS.nonFinite);
      return { graph, results: { "next.k1": k1, "next.dt": dt, "next.running": finite, "next.status": status } };
    });
    this.#attempt = cut("external.attempt", rows, (system) => {
      const { graph, next, stages } = attemptGraph(system, method);
      const results: Record<string, Value | null> = { "stage.y1": stages.y1 };
      for (const [name, value] of Object.entries(next)) results[`next.${name}`] = value;
      // The first stage of an FSAL method is where it was before: `ode.k1`.
      stages.k.forEach((k, i) => {
        if (i > 0 || !method.tableau.fsal) results[stageName(i)] = k;
      });
      return { graph, results };
    });
    const dense = denseGraph(externalSystem(rows, []), method.tableau);
    dense.graph.store("ys", dense.value, { accumulate: true });
    this.#dense = lower(dense.graph, "external.dense", "forward");
  }

  /** @throws {SolverError} for the first sample that does not reach its end */
  async solve(problem: ExternalProblem): Promise<ExternalSolution> {
    const run = new Run(this.#backend, this.#rows, this.#backend.layoutFor(problem.samples), problem);
    try {
      await run.compute(this.#init);
      run.adopt(["k1", "dt", "running", "status"]);
      let calls = this.#init.arguments.length;
      while (await run.isActive()) {
        await turnUnlessAborted(problem.signal);
        await run.compute(this.#attempt);
        calls += this.#attempt.arguments.length;
        run.interpolate(this.#dense);
        run.adopt(["y", "k1", ...PER_SAMPLE]);
      }
      const stats: SolveStats = {
        nSteps: await run.perSample("nSteps"),
        nAccepted: await run.perSample("nAccepted"),
        nFEvals: calls,
        status: (await run.perSample("status")).map(statusName),
        t: await run.times(),
        dt: await run.perSample("dt"),
        steps: null,
        plan: null,
      };
      assertSolved(stats);
      return { ys: await run.evaluations(), stats };
    } finally {
      run.dispose();
    }
  }
}

/** A system whose right-hand side is a leaf, `call.k0`, `call.k1`, … in the order of the calls; their arguments go to `calls`. */
function externalSystem(rows: number, calls: (readonly [elapsed: Value, y: Value])[]): OdeSystem {
  return {
    rows,
    rhs: (g, _t, y, { elapsed }) => {
      calls.push([elapsed, y]);
      return g.state(`call.k${calls.length - 1}`, rows);
    },
  };
}

/** Programs of a graph, cut at its calls of the right-hand side. A graph holds the effects of one program, so each has its own. */
function cut(
  name: string,
  rows: number,
  build: (system: OdeSystem) => { graph: Graph; results: Readonly<Record<string, Value | null>> },
): Pieces {
  const calls: (readonly [Value, Value])[] = [];
  const { graph, results } = build(externalSystem(rows, calls));
  for (const [binding, value] of Object.entries(results)) if (value) store(graph, binding, value);
  const pieces = calls.map((_, i) => {
    const own: (readonly [Value, Value])[] = [];
    const piece = build(externalSystem(rows, own)).graph;
    const [elapsed, y] = own[i]!;
    store(piece, "call.elapsed", elapsed);
    store(piece, "call.y", y);
    return lower(piece, `${name}.argument${i}`, "forward");
  });
  return { arguments: pieces, result: lower(graph, name, "forward") };
}

/** Buffers hold a number per sample at least, so what is the same for all of them is spread. */
function store(g: Graph, binding: string, value: Value): void {
  g.store(binding, value, { as: { kind: value.kind === "scalar" ? "sample" : value.kind, rows: value.rows } });
}

/** Buffers and bound programs of one solve. */
class Run {
  readonly #backend: Backend;
  readonly #rows: number;
  readonly #layout: PanelLayout;
  readonly #problem: ExternalProblem;
  readonly #buffers: Record<string, DeviceBuffer> = {};
  readonly #bound = new Map<string, BoundProgram>();
  readonly #staging: FloatArray;
  readonly #timeline: Timeline;

  constructor(backend: Backend, rows: number, layout: PanelLayout, problem: ExternalProblem) {
    this.#backend = backend;
    this.#rows = rows;
    this.#layout = layout;
    this.#problem = problem;
    this.#staging = floatArray(backend.dtype, rows * lanesOf(layout));
    this.#timeline = new Timeline(backend.dtype, problem);
    const { y0, tStart, tEnd, tEval, dt0 } = problem;
    const { origin } = this.#timeline;
    const device = (times: readonly number[]) => times.map((t, s) => this.#timeline.device(t, s));
    const [start, end] = [device(tStart), device(tEnd)];
    const dir = tEnd.map((t, s) => (t > tStart[s]! ? 1 : -1));
    this.#uploadState("ode.y", y0);
    const perSample: Readonly<Record<string, readonly number[]>> = {
      t: start,
      origin,
      tStart: start,
      tEnd: end,
      tMin: start.map((t, s) => Math.min(t, end[s]!)),
      tMax: start.map((t, s) => Math.max(t, end[s]!)),
      dir,
      ...(dt0 ? { dt0: dt0.map((h, s) => dir[s]! * Math.abs(h)) } : {}),
    };
    for (const [name, values] of Object.entries(perSample)) this.#uploadPerSample(`ode.${name}`, values);
    for (const name of ["ratio1", "ratio2"]) backend.fill(this.#perSample(`ode.${name}`), 1);
    for (const name of ["nSteps", "nAccepted"]) backend.fill(this.#perSample(`ode.${name}`), 0);
    tEval.forEach((t, j) => {
      this.#uploadPerSample(`tEval${j}`, device(t));
      // Dense output adds to it in the step that passes the point; no step does at the start.
      const isAtStart = (s: number) => t[s] === tStart[s];
      this.#uploadState(
        `ys${j}`,
        Array.from(y0, (v, i) => (isAtStart(Math.floor(i / rows)) ? v : 0)),
      );
    });
  }

  /** Runs the pieces, with the right-hand side in between. */
  async compute({ arguments: pieces, result }: Pieces): Promise<void> {
    const { samples, rhs } = this.#problem;
    for (const [i, piece] of pieces.entries()) {
      this.#run(piece);
      const elapsed = floatArray(this.#backend.dtype, samples);
      const called = await this.#backend.download(this.#perSample("call.elapsed"));
      unpackState(called, elapsed, (s) => s, samples, 1, this.#layout);
      this.#uploadState(`call.k${i}`, await rhs(elapsed, await this.#download("call.y")));
    }
    this.#run(result);
  }

  /** Adds dense output at the points that were passed. */
  interpolate(dense: Program): void {
    this.#problem.tEval.forEach((_, j) => {
      this.#run(dense, { "ode.tEval": `tEval${j}`, "ode.tNext": "next.t", ys: `ys${j}` });
    });
  }

  /** What an attempt (or the start) has stored is what the next one starts from. */
  adopt(names: readonly string[]): void {
    for (const name of names) {
      const next = this.#buffers[`next.${name}`];
      if (next) this.#backend.copy(this.#sized(`ode.${name}`, next.length), next);
    }
  }

  /** Whether a sample has not come to its end, and has not failed. */
  async isActive(): Promise<boolean> {
    return (await this.perSample("running")).some((running) => running > 0);
  }

  /** Absolute times at which the samples stand. */
  async times(): Promise<number[]> {
    return (await this.perSample("t")).map((t, s) => this.#timeline.absolute(t, s));
  }

  async perSample(name: (typeof PER_SAMPLE)[number]): Promise<number[]> {
    const values = await this.#backend.download(this.#perSample(`ode.${name}`));
    return Array.from(values).slice(0, this.#problem.samples);
  }

  async evaluations(): Promise<FloatArray[]> {
    const ys: FloatArray[] = [];
    for (const j of this.#problem.tEval.keys()) ys.push(await this.#download(`ys${j}`));
    return ys;
  }

  dispose(): void {
    for (const bound of this.#bound.values()) bound.release();
    for (const buffer of Object.values(this.#buffers)) buffer.release();
  }

  /** @param others  bindings that are not called as their buffers */
  #run(program: Program, others: Readonly<Record<string, string>> = {}): void {
    const key = [program.name, ...Object.values(others)].join(" ");
    let bound = this.#bound.get(key);
    if (!bound) {
      const available: Record<string, DeviceBuffer> = {};
      for (const { name, kind, temp } of program.bindings) {
        if (temp) continue;
        const buffer = others[name] ?? name;
        available[name] = kind === "state" ? this.#state(buffer) : this.#perSample(buffer);
      }
      bound = compileAndBind(this.#backend, program, this.#layout, available);
      this.#bound.set(key, bound);
    }
    this.#backend.run(bound);
  }

  #state(name: string): DeviceBuffer {
    return this.#sized(name, this.#staging.length);
  }

  #perSample(name: string): DeviceBuffer {
    return this.#sized(name, lanesOf(this.#layout));
  }

  #sized(name: string, length: number): DeviceBuffer {
    this.#buffers[name] ??= this.#backend.buffer(`external ${name}`, length);
    return this.#buffers[name];
  }

  #uploadState(name: string, values: ArrayLike<number>): void {
    const rows = this.#rows;
    packState(values, (s, row) => s * rows + row, this.#problem.samples, rows, this.#layout, this.#staging);
    this.#backend.upload(this.#state(name), this.#staging);
  }

  #uploadPerSample(name: string, values: readonly number[]): void {
    const lanes = lanesOf(this.#layout);
    const last = this.#problem.samples - 1;
    this.#backend.upload(
      this.#perSample(name),
      Array.from({ length: lanes }, (_, lane) => values[Math.min(lane, last)]!),
    );
  }

  async #download(name: string): Promise<FloatArray> {
    const { samples } = this.#problem;
    const rows = this.#rows;
    const values = floatArray(this.#backend.dtype, samples * rows);
    unpackState(
      await this.#backend.download(this.#state(name)),
      values,
      (s, row) => s * rows + row,
      samples,
      rows,
      this.#layout,
    );
    return values;
  }
}
