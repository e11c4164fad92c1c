// The solver as callers see it: derives programs from a system once, and solves requests in any layout, one after another.

import type { Backend, Bindable, DeviceBuffer } from "../backend/backend.ts";
import { Desk } from "../backend/desk.ts";
import { layoutKey } from "../backend/layout.ts";
import type { PanelLayout } from "../backend/program.ts";
import { callsOf } from "../core/callQueue.ts";
import { ArgumentError, SolverError } from "../core/errors.ts";
import { orRelease } from "../core/release.ts";
import type { HostGradients, HostProblem, HostSolution, SampleCotangents, StateCotangents } from "./hostProblem.ts";
import { completed, HostSolver } from "./hostSolver.ts";
import { dependsOnTime, type Method, type OdeSystem } from "./method.ts";
import { type SolverPrograms, solverPrograms } from "./programs.ts";
import { type SolveRequest, type SolverOptions, type StartedSolve, scheduleOf } from "./request.ts";
import { SolverForLayout } from "./solverForLayout.ts";
import type { SolveStats } from "./solveStats.ts";

/**
 * Solves dy/dt = rhs(t, y) for a batch, each sample with its own steps, and pulls cotangents of the outputs back to the initial
 * state and to the inputs and parameters of the right-hand side (discretise, then optimise: the exact gradient of the numbers
 * the forward pass computed).
 *
 * Calls that overlap in time run one after another, in the order of the calls.
 */
export class OdeSolver {
  readonly #backend: Backend;
  readonly #system: OdeSystem;
  readonly #options: SolverOptions;
  /** By number of segments. */
  readonly #programs = new Map<number, SolverPrograms>();
  readonly #dependsOnTime: boolean;
  /** By layout and number of segments. */
  readonly #solvers = new Map<string, SolverForLayout>();
  #host: HostSolver | null = null;
  #last: SolverForLayout | null = null;

  constructor(backend: Backend, system: OdeSystem, options: SolverOptions) {
    if (options.controller.type === "fixed" && options.dt0 === undefined) {
      throw new ArgumentError(
        "OdeSolver",
        "dt0",
        "a first step size, since the fixed controller never changes it",
        "nothing",
      );
    }
    if (!Number.isInteger(options.maxSteps) || options.maxSteps < 1) {
      throw new ArgumentError("OdeSolver", "maxSteps", "a whole number of at least 1", `${options.maxSteps}`);
    }
    this.#backend = backend;
    this.#system = system;
    this.#options = options;
    this.#dependsOnTime = dependsOnTime(system);
    this.#programsFor(0);
  }

  /** Programs of solves without jump times. */
  get programs(): SolverPrograms {
    return this.#programsFor(0);
  }

  #programsFor(segments: number): SolverPrograms {
    let programs = this.#programs.get(segments);
    if (!programs) {
      const { dt0, reverse } = this.#options;
      programs = solverPrograms(this.#system, methodFor(this.#options, segments), dt0 !== undefined, reverse, segments);
      this.#programs.set(segments, programs);
    }
    return programs;
  }

  /** Models that solve on the device have no use for it. */
  get #hostSolver(): HostSolver {
    this.#host ??= new HostSolver(this.#backend, this.#system, this.#options.reverse?.wrt ?? [], {
      start: (request) => this.#start(request),
      reverse: (cotangents) => this.#last!.reverse(cotangents),
    });
    return this.#host;
  }

  /**
   * Solves a problem on host arrays, in chunks of as many samples as the device takes at once. `assertSolved(stats)` throws for a sample
   * that failed.
   *
   * @throws {ShapeError | ArgumentError} a wrong length, a number that is not finite, an input that is missing or not read
   */
  async solve(problem: HostProblem): Promise<HostSolution> {
    return callsOf(this).run("solve", () => this.#hostSolver.solve(problem));
  }

  /**
   * Solves a problem on host arrays and pulls cotangents of the states back: the gradients of Σ ct·y over evaluation points, samples and
   * rows, for a solver made with `reverse`. Cotangents are [evaluation point], each [batch, rows]; or a function of a sample's states, called
   * once per sample, for the gradient of a loss: dL/dy.
   *
   * @throws {SolverError} a sample that is not finite: solve the others without it
   * @throws {ShapeError | ArgumentError} as `solve`
   */
  async vjp(problem: HostProblem, cotangents: StateCotangents | SampleCotangents): Promise<HostGradients> {
    const calls = callsOf(this);
    return calls.run("vjp", async () => {
      if (!this.#options.reverse) throw new ArgumentError("vjp", "reverse", "a solver made with `reverse`", "null");
      if (typeof cotangents !== "function") return this.#hostSolver.vjp(problem, cotangents);
      return this.#hostSolver.vjp(problem, (s, ys) => calls.callback("the cotangents", () => cotangents(s, ys)));
    });
  }

  /** Solves a request on the device; with `record`, a later `reverse` goes back through this solve. `stats.status` names failed samples. */
  async forward(request: SolveRequest): Promise<SolveStats> {
    return callsOf(this).run("forward", async () => completed(this.#backend, await this.#start(request), request));
  }

  /**
   * `forward` without waiting for the device; `reverse` may follow at once, and again when the solve was not complete. Once another solve
   * has begun, the outcome of this one can no longer be read: SolverError "superseded".
   */
  async start(request: SolveRequest): Promise<StartedSolve> {
    return callsOf(this).run("start", async () => {
      const solve = await this.#start(request);
      return { ...solve, poll: (record) => callsOf(this).run("poll", () => solve.poll(record)) };
    });
  }

  async #start(request: SolveRequest): Promise<StartedSolve> {
    const schedule = scheduleOf(request, this.#backend.dtype, this.#dependsOnTime);
    const solver = this.#solverFor(request.layout, schedule.jumps?.depth ?? 0);
    this.#last = request.record ? solver : null;
    return solver.start(request, schedule);
  }

  #solverFor(layout: PanelLayout, segments: number): SolverForLayout {
    const key = `${layoutKey(layout)} ${segments}`;
    const known = this.#solvers.get(key);
    if (known) return known;
    const options = { ...this.#options, ...methodFor(this.#options, segments) };
    const programs = this.#programsFor(segments);
    const desk = new Desk(this.#backend, layout, "solve");
    const made = orRelease(desk, () => new SolverForLayout(desk, this.#system, options, programs, segments));
    this.#solvers.set(key, made);
    return made;
  }

  /**
   * Reverse pass through the last recorded solve. It has no effect on the device while that is not complete.
   *
   * @param ctYs  cotangent of each evaluation point's state (null: zero)
   * @param grads gradient buffers of the inputs named in `reverse.wrt`; added to
   * @param ctY0  receives the cotangent of the initial state, if wanted
   */
  reverse(
    ctYs: readonly (DeviceBuffer | null)[],
    grads: Readonly<Record<string, Bindable>>,
    ctY0: DeviceBuffer | null,
  ): void {
    callsOf(this).check("reverse");
    callsOf(this).refuseDuring("reverse", ["solve", "vjp", "forward", "start", "poll"]);
    if (!this.#last)
      throw new SolverError("not-recorded", "reverse: expected a recorded solve before it, got none (record)", {});
    this.#last.reverse({ ctYs, grads, ctY0 });
  }

  /** Releases everything when the calls before it have ended; calls after it are refused. */
  dispose(): void {
    callsOf(this).end(() => {
      for (const solver of this.#solvers.values()) solver.release();
      this.#solvers.clear();
      this.#host?.release();
      this.#last = null;
    });
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** The method of a solve with jump times: a step's first stage is not the last one of the step before, on the other side of a jump. */
function methodFor({ tableau, controller, maxSteps }: Method, segments: number): Method {
  return { tableau: segments > 0 ? { ...tableau, fsal: false } : tableau, controller, maxSteps };
}
