// The solver as callers see it: derives programs from a system once, and solves requests in any layout, one after another.

import type { Backend, Bindable, DeviceBuffer } from "../backend/backend.ts";
import { Desk } from "../backend/desk.ts";
import { layoutKey } from "../backend/layout.ts";
import type { PanelLayout } from "../backend/program.ts";
import { turnUnlessAborted } from "../core/abort.ts";
import { callsOf } from "../core/callQueue.ts";
import { ArgumentError, SolverError } from "../core/errors.ts";
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

  /** Solves; with `record`, a later `reverse` goes back through this solve. Failed samples are told by `stats.status`. */
  async forward(request: SolveRequest): Promise<SolveStats> {
    return callsOf(this).run("forward", async () => {
      const solve = await this.#start(request);
      for (;;) {
        await turnUnlessAborted(request.signal);
        const stats = await solve.poll(await this.#backend.downloadAll(solve.record()));
        if (stats) return stats;
      }
    });
  }

  /**
   * `forward` without waiting for the device; `reverse` may follow at once, and again when the solve was not complete. Once another solve
   * has begun, what came of this one cannot be read any more: SolverError "superseded".
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
    const made = new Desk(this.#backend, layout, "solve").make(
      (desk) => new SolverForLayout(desk, this.#system, options, programs, segments),
    );
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
    callsOf(this).refuseDuring("reverse", ["forward", "start", "poll"]);
    if (!this.#last)
      throw new SolverError("not-recorded", "reverse: expected a recorded solve before it, got none (record)", {});
    this.#last.reverse({ ctYs, grads, ctY0 });
  }

  /** Releases everything when the calls before it have ended; calls after it are refused. */
  dispose(): void {
    callsOf(this).end(() => {
      for (const solver of this.#solvers.values()) solver.release();
      this.#solvers.clear();
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
