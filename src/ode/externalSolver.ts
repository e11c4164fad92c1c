// The solver for a right-hand side that is no graph but a function on the host. Stages, error control and dense output are the graphs
// of method.ts all the same: each is cut where it calls the right-hand side, whose result is a leaf of what follows.

import type { Graph } from "../autodiff/graph.ts";
import { lower } from "../autodiff/lower.ts";
import type { Backend, DeviceBuffer } from "../backend/backend.ts";
import { Desk } from "../backend/desk.ts";
import type { BindingKind, Program } from "../backend/program.ts";
import { type Abortable, yieldToEventLoop } from "../core/abort.ts";
import type { FloatArray } from "../core/dtype.ts";
import type { Value } from "../ops/value.ts";
import { type ControlName, REPORTED_NUMBERS, type StartValues } from "./control.ts";
import { attemptGraph, denseGraph, initGraph, type Method, type OdeSystem } from "./method.ts";
import { storeNext, storeStages } from "./programs.ts";
import { assertSolved, type SolveStats, statsFrom } from "./solveStats.ts";
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
  /** First step size per sample, for a solver made with `dt0Given`. */
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
  /** What it stores for the next attempt. */
  readonly next: readonly { readonly name: string; readonly kind: "state" | "sample" }[];
}

/** A whole graph, before its effects. */
interface Whole {
  readonly graph: Graph;
  readonly next: StartValues;
  readonly store: () => void;
}

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
      const { graph, next } = initGraph(system, method, dt0Given);
      return { graph, next, store: () => storeNext(graph, next) };
    });
    this.#attempt = cut("external.attempt", rows, (system) => {
      const { graph, next, stages } = attemptGraph(system, method);
      return {
        graph,
        next,
        store: () => {
          storeNext(graph, next);
          storeStages(graph, stages, method.tableau.fsal);
        },
      };
    });
    const dense = denseGraph(externalSystem(rows, []), method.tableau);
    dense.graph.store("ys", dense.value, { accumulate: true });
    this.#dense = lower(dense.graph, "external.dense", "forward");
  }

  /** @throws {SolverError} for the first sample that does not reach its end */
  async solve(problem: ExternalProblem): Promise<ExternalSolution> {
    const backend = this.#backend;
    const desk = new Desk(backend, backend.layoutFor(problem.samples), "ExternalSolver");
    try {
      const solve = new ExternalSolve(desk, this.#rows, problem);
      await solve.compute(this.#init);
      solve.adopt(this.#init);
      let calls = this.#init.arguments.length;
      while (await solve.isActive()) {
        await yieldToEventLoop(problem.signal);
        await solve.compute(this.#attempt);
        calls += this.#attempt.arguments.length;
        solve.interpolate(this.#dense);
        solve.adopt(this.#attempt);
      }
      const stats = await solve.stats(calls);
      assertSolved(stats);
      return { ys: await solve.evaluations(), stats };
    } finally {
      desk.release();
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
function cut(name: string, rows: number, build: (system: OdeSystem) => Whole): Pieces {
  const calls: (readonly [Value, Value])[] = [];
  const { graph, next, store } = build(externalSystem(rows, calls));
  store();
  const pieces = calls.map((_, i) => {
    const own: (readonly [Value, Value])[] = [];
    const piece = build(externalSystem(rows, own)).graph;
    const [elapsed, y] = own[i]!;
    piece.store("call.elapsed", elapsed, { as: { kind: "sample", rows: 1 } });
    piece.store("call.y", y);
    return lower(piece, `${name}.argument${i}`, "forward");
  });
  const passedOn = Object.entries(next).flatMap(([of, value]): Pieces["next"] =>
    value ? [{ name: of, kind: value.kind === "state" ? "state" : "sample" }] : [],
  );
  return { arguments: pieces, result: lower(graph, name, "forward"), next: passedOn };
}

/** One solve. Buffers have the names of the bindings. */
class ExternalSolve {
  readonly #desk: Desk;
  readonly #rows: number;
  readonly #problem: ExternalProblem;
  readonly #timeline: Timeline;

  constructor(desk: Desk, rows: number, problem: ExternalProblem) {
    this.#desk = desk;
    this.#rows = rows;
    this.#problem = problem;
    this.#timeline = new Timeline(desk.backend.dtype, problem);
    const { y0, tStart, tEnd, tEval, dt0 } = problem;
    const device = (times: readonly number[]) => times.map((t, s) => this.#timeline.device(t, s));
    const [start, end] = [device(tStart), device(tEnd)];
    const dir = tEnd.map((t, s) => (t > tStart[s]! ? 1 : -1));
    this.#put("state", "ode.y", y0);
    const perSample: Readonly<Record<string, readonly number[]>> = {
      t: start,
      origin: this.#timeline.origin,
      tStart: start,
      tEnd: end,
      tMin: start.map((t, s) => Math.min(t, end[s]!)),
      tMax: start.map((t, s) => Math.max(t, end[s]!)),
      dir,
      ...(dt0 ? { dt0: dt0.map((h, s) => dir[s]! * Math.abs(h)) } : {}),
    };
    for (const [name, values] of Object.entries(perSample)) this.#put("sample", `ode.${name}`, values);
    tEval.forEach((t, j) => {
      this.#put("sample", `tEval${j}`, device(t));
      // Dense output adds to it in the step that passes the point; no step does at the start.
      const isAtStart = (s: number) => t[s] === tStart[s];
      const first = Array.from(y0, (v, i) => (isAtStart(Math.floor(i / rows)) ? v : 0));
      this.#put("state", `ys${j}`, first);
    });
  }

  /** Runs the pieces, with the right-hand side in between. */
  async compute({ arguments: pieces, result }: Pieces): Promise<void> {
    for (const [i, piece] of pieces.entries()) {
      this.#run(piece);
      const elapsed = await this.#read("sample", "call.elapsed");
      this.#put("state", `call.k${i}`, await this.#problem.rhs(elapsed, await this.#read("state", "call.y")));
    }
    this.#run(result);
  }

  /** Adds dense output at the points that were passed. */
  interpolate(dense: Program): void {
    this.#problem.tEval.forEach((_, j) => {
      this.#run(dense, { "ode.tEval": `tEval${j}`, "ode.tNext": "next.t", ys: `ys${j}` });
    });
  }

  /** The next attempt starts from what the pieces have stored. */
  adopt({ next }: Pieces): void {
    for (const { name, kind } of next)
      this.#desk.backend.copy(this.#buffer(kind, `ode.${name}`), this.#buffer(kind, `next.${name}`));
  }

  /** Whether a sample has neither reached its end nor failed. */
  async isActive(): Promise<boolean> {
    return (await this.#desk.backend.download(this.#buffer("scalar", "next.active")))[0]! > 0;
  }

  async stats(nFEvals: number): Promise<SolveStats> {
    const reported: Partial<Record<ControlName, number[]>> = {};
    for (const name of REPORTED_NUMBERS) reported[name] = Array.from(await this.#read("sample", `ode.${name}`));
    return statsFrom(reported, this.#timeline, { nFEvals, steps: null, plan: null });
  }

  async evaluations(): Promise<FloatArray[]> {
    const ys: FloatArray[] = [];
    for (const j of this.#problem.tEval.keys()) ys.push(await this.#read("state", `ys${j}`));
    return ys;
  }

  /** @param others  buffers of bindings that are not called as they are */
  #run(program: Program, others: Readonly<Record<string, string>> = {}): void {
    const given: Record<string, DeviceBuffer> = {};
    for (const { name, kind, temp } of program.bindings)
      if (!temp) given[name] = this.#buffer(kind, others[name] ?? name);
    this.#desk.run(program, given);
  }

  #buffer(kind: BindingKind, name: string): DeviceBuffer {
    if (kind === "scalar") return this.#desk.vector(name, 1);
    return kind === "state" ? this.#desk.state(name, this.#rows) : this.#desk.sample(name);
  }

  #put(kind: "state" | "sample", name: string, values: ArrayLike<number>): void {
    this.#desk.put(this.#buffer(kind, name), values, { count: this.#problem.samples });
  }

  #read(kind: "state" | "sample", name: string): Promise<FloatArray> {
    return this.#desk.read(this.#buffer(kind, name), this.#problem.samples);
  }
}
