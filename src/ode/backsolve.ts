// Gradients by solving the adjoint equations backwards in time ("optimise, then discretise"), for parity with torchode. The gradient is
// that of the exact solution, approximated by another solve: it agrees with the numbers of the forward pass only up to the
// solver's tolerance, and the backward solve may be unstable where the forward one is not. OdeSolver.reverse is exact, faster and
// takes less memory; prefer it.

import type { Backend } from "../backend/backend.ts";
import type { Program } from "../backend/program.ts";
import type { Abortable } from "../core/abort.ts";
import { callsOf } from "../core/callQueue.ts";
import { type DType, type FloatArray, floatArray } from "../core/dtype.ts";
import { ArgumentError, ShapeError, SolverError } from "../core/errors.ts";
import { checkFinite } from "../core/finite.ts";
import {
  AdjointField,
  type FieldInputs,
  type FieldOptions,
  type Span,
  type TimedField,
  vjpProgram,
} from "./adjointField.ts";
import { ExternalSolver } from "./externalSolver.ts";
import { dependsOnTime, type Method, type OdeSystem } from "./method.ts";
import { checkFirstSteps } from "./request.ts";
import { joinedStats, type SolveStats } from "./solveStats.ts";
import { checkTimes, Timeline } from "./timeline.ts";

/** How `Backsolve` solves, forward and backward. */
export interface BacksolveOptions extends Method, FieldOptions {
  /**
   * true: the batch is one sample with one step size, all intervals of time mapped onto that of the first sample (torchode's
   * JointBacksolveAdjoint); false: each sample has its own adjoint equations and steps (BacksolveAdjoint).
   */
  readonly joint: boolean;
}

/** An initial value problem for a batch, each sample with its own times. */
export interface BacksolveProblem extends FieldInputs, Abortable {
  /** [samples, rows]. */
  readonly y0: ArrayLike<number>;
  readonly tStart: readonly number[];
  readonly tEnd: readonly number[];
  /** [evaluation point][sample], the first at tStart or not, the last at tEnd, equal ones allowed; null: one output, at tEnd. */
  readonly tEval: readonly (readonly number[])[] | null;
  /**
   * First step size of the forward solve, for all samples or each (of joint ones the first counts); absent: found by the heuristic, as
   * the backward solves' first steps always are.
   */
  readonly dt0?: number | readonly number[];
}

/** What the backward solves found. */
export interface BacksolveGradients {
  /** [samples, rows]. */
  readonly y0: FloatArray;
  /** By parameter; values of sparse matrices in row-major order. */
  readonly parameters: Readonly<Record<string, FloatArray>>;
  /** One per backward solve, in the order solved: the last interval first. Between equal evaluation points there is nothing to solve. */
  readonly stats: readonly SolveStats[];
}

/** Relative difference that rounding leaves between evaluation times that should be proportional. */
const PROPORTIONAL = 1e-6;

/**
 * Solves forward, and gradients by the augmented system of Pontryagin's adjoint a = ∂L/∂y,
 *
 *     z = [a_t, y, a, a_p],   dz/dt = [−a·∂f/∂t, f, −a·∂f/∂y, −a·∂f/∂p],
 *
 * from each evaluation time back to the one before; there y is set to what the forward solve stored, and the cotangent of the
 * output is added to a. The error norm runs over all of z: 1 + 2N + P numbers per sample, P the number of all parameters, kept on
 * the host and for every stage of the method on the device. The time before the first evaluation point is left out.
 *
 * Calls that overlap in time run one after another, in the order of the calls.
 *
 * Source: Chen, Rubanova, Bettencourt, Duvenaud, "Neural ordinary differential equations", NeurIPS 2018, algorithm 1.
 */
export class Backsolve {
  readonly #backend: Backend;
  readonly #system: OdeSystem;
  readonly #options: BacksolveOptions;
  readonly #program: Program;
  readonly #solvers = new Map<string, ExternalSolver>();
  #last: Forward | null = null;

  constructor(backend: Backend, system: OdeSystem, options: BacksolveOptions) {
    if (options.controller.type !== "integral" && options.controller.type !== "pid") {
      throw new ArgumentError("Backsolve", "controller", "integral or pid", options.controller.type);
    }
    this.#backend = backend;
    this.#system = system;
    this.#options = options;
    this.#program = vjpProgram(system, options.wrt);
  }

  /** Outputs at the evaluation points, each [samples, rows], and the statistics of the solve; `reverse` may follow. */
  async forward(problem: BacksolveProblem): Promise<{ ys: readonly FloatArray[]; stats: SolveStats }> {
    return callsOf(this).run("forward", () => this.#forward(problem));
  }

  async #forward(problem: BacksolveProblem): Promise<{ ys: readonly FloatArray[]; stats: SolveStats }> {
    const { dtype } = this.#backend;
    checkProblem(problem, this.#system.rows, this.#options, dtype);
    if (dependsOnTime(this.#system)) new Timeline(dtype, problem).checkAbsolute();
    const { tStart, tEnd, y0 } = problem;
    const times = problem.tEval ?? [tStart, tEnd];
    const startsHere = times[0]!.every((t, s) => t === tStart[s]);
    this.#last?.adjoint.dispose();
    const adjoint = new AdjointField(this.#backend, this.#system, this.#program, this.#options, problem);
    this.#last = null;
    const start = floatArray(dtype, y0.length);
    start.set(y0);
    const later = startsHere ? times.slice(1) : times;
    const stretch = { field: adjoint.stateRhs(), y0: start, span: { from: tStart, to: tEnd }, tEval: later };
    const dt0 = firstSteps(problem);
    const { ys, stats } = await this.#solve(dt0 ? { ...stretch, dt0 } : stretch, problem).catch((error: unknown) => {
      adjoint.dispose();
      throw error;
    });
    const all = startsHere ? [start, ...ys] : ys;
    const outputs = problem.tEval ? all : ys;
    this.#last = { adjoint, times, ys: all, nOutputs: outputs.length };
    return { ys: outputs, stats };
  }

  /**
   * Goes back through the last solve. After a failure or an abort, `forward` comes first again.
   *
   * @param ctYs cotangents of the outputs of `forward`, each [samples, rows]
   */
  async reverse(ctYs: readonly ArrayLike<number>[], options: Abortable = {}): Promise<BacksolveGradients> {
    return callsOf(this).run("reverse", async () => {
      try {
        return await this.#reverse(ctYs, options);
      } catch (error) {
        if (!(error instanceof ShapeError || error instanceof ArgumentError)) this.#forget();
        throw error;
      }
    });
  }

  async #reverse(ctYs: readonly ArrayLike<number>[], options: Abortable): Promise<BacksolveGradients> {
    if (!this.#last) throw new SolverError("not-recorded", "reverse: expected a forward solve before it, got none", {});
    const { adjoint, times, ys, nOutputs } = this.#last;
    if (ctYs.length !== nOutputs)
      throw new ShapeError("Backsolve", "ctYs", `${nOutputs} cotangents, one per output`, `${ctYs.length}`);
    for (const [i, ct] of ctYs.entries()) {
      const { length } = ys.at(-1)!;
      if (ct.length !== length) throw new ShapeError("Backsolve", `ctYs[${i}]`, `${length} numbers`, `${ct.length}`);
      checkFinite("Backsolve", `ctYs[${i}]`, ct, this.#backend.dtype);
    }
    const skipped = ys.length - nOutputs;
    let z = adjoint.augmented(ys.at(-1)!, ctYs.at(-1)!);
    const stats: SolveStats[] = [];
    for (let i = times.length - 1; i > 0; i--) {
      const span = { from: times[i]!, to: times[i - 1]! };
      if (span.from.some((t, s) => t !== span.to[s])) {
        const stretch = { field: adjoint.augmentedRhs(), y0: z, span, tEval: [span.to] };
        const solution = await this.#solve(stretch, options);
        stats.push(solution.stats);
        z = solution.ys[0]!;
      }
      adjoint.restart(z, ys[i - 1]!, ctYs[i - 1 - skipped] ?? null);
    }
    return { ...adjoint.gradients(z), stats };
  }

  /** Releases everything when the calls before it have ended; calls after it are refused. */
  dispose(): void {
    callsOf(this).end(() => this.#forget());
  }

  #forget(): void {
    this.#last?.adjoint.dispose();
    this.#last = null;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /**
   * Solves for all samples, as many at once as the device takes; joint ones are one sample on the first one's time. Samples whose span is
   * a point stay where they are.
   */
  async #solve(
    { field, y0, span, tEval, dt0 }: Stretch,
    { signal }: Abortable,
  ): Promise<{ ys: FloatArray[]; stats: SolveStats }> {
    const units = this.#options.joint ? 1 : span.from.length;
    const rows = y0.length / units;
    const solver = this.#solverFor(rows, dt0 !== undefined);
    const ys = tEval.map(() => y0.slice());
    const all = Array.from({ length: units }, (_, unit) => unit);
    const moving = all.filter((unit) => span.from[unit] !== span.to[unit]);
    const stats = all.map((unit) => stillStats(span.to[unit]!));
    const lanes = this.#backend.lanesFor(rows);
    for (let first = 0; first < moving.length; first += lanes) {
      const some = moving.slice(first, first + lanes);
      const own = (values: readonly number[]) => some.map((unit) => values[unit]!);
      const state = floatArray(this.#backend.dtype, some.length * rows);
      some.forEach((unit, i) => {
        state.set(y0.subarray(unit * rows, (unit + 1) * rows), i * rows);
      });
      const solution = await solver.solve({
        rhs: field(span, some),
        samples: some.length,
        y0: state,
        tStart: own(span.from),
        tEnd: own(span.to),
        tEval: tEval.map(own),
        ...(dt0 ? { dt0: own(dt0) } : {}),
        ...(signal ? { signal } : {}),
      });
      some.forEach((unit, i) => {
        for (const [j, y] of solution.ys.entries()) ys[j]!.set(y.subarray(i * rows, (i + 1) * rows), unit * rows);
        stats[unit] = statsOf(solution.stats, i);
      });
    }
    return { ys, stats: joinedStats(stats) };
  }

  #solverFor(rows: number, dt0Given: boolean): ExternalSolver {
    const key = `${rows} ${dt0Given}`;
    let solver = this.#solvers.get(key);
    if (!solver) {
      solver = new ExternalSolver(this.#backend, rows, this.#options, dt0Given);
      this.#solvers.set(key, solver);
    }
    return solver;
  }
}

/** What one solve goes over. */
interface Stretch {
  readonly field: TimedField;
  readonly y0: FloatArray;
  readonly span: Span;
  readonly tEval: readonly (readonly number[])[];
  readonly dt0?: readonly number[];
}

/** First step sizes per sample, or null. */
function firstSteps({ dt0, samples }: BacksolveProblem): readonly number[] | null {
  if (dt0 === undefined) return null;
  return typeof dt0 === "number" ? new Array<number>(samples).fill(dt0) : dt0;
}

/** What the backward solves need of the forward one. */
interface Forward {
  readonly adjoint: AdjointField;
  readonly times: readonly (readonly number[])[];
  /** States at these times. */
  readonly ys: readonly FloatArray[];
  /** How many of the states, the last ones, were given out. */
  readonly nOutputs: number;
}

/** Statistics of a sample whose span is a point. */
function stillStats(t: number): SolveStats {
  return {
    time: "continuous",
    nSteps: [0],
    nAccepted: [0],
    nFEvals: 0,
    status: ["success"],
    t: [t],
    dt: [0],
    steps: null,
    plan: null,
    connections: null,
  };
}

/** Statistics of one sample of a solve. */
function statsOf({ time, nSteps, nAccepted, nFEvals, status, t, dt }: SolveStats, i: number): SolveStats {
  return {
    time,
    nSteps: [nSteps[i]!],
    nAccepted: [nAccepted[i]!],
    nFEvals,
    status: [status[i]!],
    t: [t[i]!],
    dt: [dt[i]!],
    steps: null,
    plan: null,
    connections: null,
  };
}

function checkProblem(problem: BacksolveProblem, rows: number, { wrt, joint }: BacksolveOptions, dtype: DType): void {
  const where = "Backsolve";
  const { samples, y0, states, parameters, tStart, tEnd, tEval } = problem;
  if (y0.length !== samples * rows) throw new ShapeError(where, "y0", `${samples} × ${rows} numbers`, `${y0.length}`);
  for (const [name, values] of Object.entries({ y0, ...states })) checkFinite(where, name, values, dtype);
  for (const [name, data] of Object.entries(states)) {
    if (data.length === 0 || data.length % samples !== 0)
      throw new ShapeError(where, name, `a state for each of ${samples} samples`, `${data.length} numbers`);
  }
  const missing = wrt.find((name) => !Object.hasOwn(parameters, name));
  if (missing !== undefined) throw new ArgumentError(where, "parameters", `"${missing}" of wrt`, "nothing");
  const times = tEval ?? [tStart, tEnd];
  checkTimes(where, samples, { tStart, tEnd }, times);
  const dt0 = firstSteps(problem);
  if (dt0) checkFirstSteps(where, dt0, samples);
  if (times.length < 2) throw new ArgumentError(where, "tEval", "at least 2 evaluation points", `${times.length}`);
  for (let s = 0; s < samples; s++) {
    if (times.at(-1)![s] !== tEnd[s])
      throw new ArgumentError(where, "tEval", `the last point at tEnd = ${tEnd[s]}`, `${times.at(-1)![s]}`);
    if ((times[0]![s] === tStart[s]) !== (times[0]![0] === tStart[0]))
      throw new ArgumentError(where, "tEval", "the first point at tStart for all samples or for none", "some of each");
    if (!joint) continue;
    const phase = (t: readonly number[], sample: number) =>
      (t[sample]! - tStart[sample]!) / (tEnd[sample]! - tStart[sample]!);
    const apart = times.find((t) => Math.abs(phase(t, s) - phase(t, 0)) > PROPORTIONAL);
    if (apart)
      throw new ArgumentError(where, "tEval", "times proportional to those of sample 0", `${apart[s]} for sample ${s}`);
  }
}
