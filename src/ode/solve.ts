// The solver: drives attempts until every sample has reached its end, records what the reverse pass needs, and runs that pass.
// It knows buffers and programs; the equations are in method.ts, the reverse ones are derived (programs.ts).

import type { Backend, Bindable, BoundProgram, DeviceBuffer, Executable } from "../backend/backend.ts";
import { Constants } from "../backend/constants.ts";
import type { PanelLayout, Program } from "../backend/program.ts";
import { type Abortable, turnUnlessAborted } from "../core/abort.ts";
import { callsOf } from "../core/callQueue.ts";
import { bytesOf } from "../core/dtype.ts";
import { ArgumentError, ShapeError, SolverError } from "../core/errors.ts";
import { RoundCache } from "../core/roundCache.ts";
import type { Value } from "../ops/value.ts";
import { Jumps } from "./jumps.ts";
import type { Method, OdeSystem, ReplayController } from "./method.ts";
import { dependsOnTime, replayDepth, STATUS } from "./method.ts";
import {
  addProgram,
  CONTROL_LEAVES,
  gradName,
  type ReverseOptions,
  type SolverPrograms,
  solverPrograms,
} from "./programs.ts";
import { type BufferSet, Tape, type TapePlan } from "./tape.ts";
import { checkTimes, Timeline } from "./timeline.ts";

/** How an `OdeSolver` solves, and what can be differentiated. */
export interface SolverOptions extends Method {
  /** null: no gradients will be asked for. */
  readonly reverse: ReverseOptions | null;
  /**
   * Most bytes that the record for the reverse pass may take; default: the device's `Backend.tapeBudgetBytes`. Attempts beyond it, or beyond
   * what the device has, are recomputed, to the same bits; `stats.plan` tells.
   */
  readonly memoryBudgetBytes?: number;
  /** First step size; "perSample": given with each request; absent: found by the heuristic. Required by the fixed controller. */
  readonly dt0?: number | "perSample";
  /**
   * When a sample fails (maxSteps attempts; a step below dtMin, or too short to move its time; a state that is not finite, or no numbers
   * after it however short the step): "mask" (default) lets the others finish; "stop" ends the solve for all at
   * that attempt, as torchode does. Either way `stats.status` tells; see assertSolved. A solve with a sample that is not finite has
   * no reverse: solve the others again without it.
   */
  readonly onFailure?: "mask" | "stop";
}

/** What is solved: all times are per sample, in the order of the lanes. */
export interface SolveRequest extends Abortable {
  readonly layout: PanelLayout;
  /** Real samples; the lanes after them repeat the last one and do not count. */
  readonly samples: number;
  /** Buffers of the right-hand side's leaves, matrices and tables, by name. */
  readonly inputs: Readonly<Record<string, Bindable>>;
  readonly y0: DeviceBuffer;
  readonly tStart: readonly number[];
  readonly tEnd: readonly number[];
  /** First step size per sample, for a solver made with dt0: "perSample"; the sign is that of the direction. */
  readonly dt0?: readonly number[];
  /**
   * [sample][k]: times at which the right-hand side may jump, in any order (`jump_ts` of diffrax, `d_discontinuities` of
   * DifferentialEquations.jl). Without them a jump costs rejected steps, and a gradient through step-size control is wrong, however
   * tight the tolerance. With them steps end there exactly (and may be 0.1 % longer for it), and the next step starts with the size that
   * was asked for before the cut. The step before a jump time sees only times before it, and the step after it only times after it, so
   * `lt(t, tJump)` and `le(t, tJump)` mean the same; see also `EvaluationTime.jumpsPassed`. Costs one evaluation more per step of
   * methods that reuse their last stage. Times outside of the interval do not count, equal ones count once. A
   * sample whose list is empty gets the bits that it gets alone with an empty list.
   */
  readonly jumpTimes?: readonly (readonly number[])[];
  /** [evaluation point][sample]; points at the start give y0. */
  readonly tEval: readonly (readonly number[])[];
  /** One state per evaluation point, overwritten. */
  readonly ys: readonly DeviceBuffer[];
  /** Keep what `reverse` needs. */
  readonly record: boolean;
}

/** "stopped": did not fail, but another sample did, where that ends the solve for all. */
export type SolveStatus = "success" | "dtMin" | "maxSteps" | "nonFinite" | "stopped";

/** What a solve did and came to, per sample. */
export interface SolveStats {
  /** Attempts and accepted attempts per sample. */
  readonly nSteps: number[];
  readonly nAccepted: number[];
  /** [sample][accepted step]: signed step sizes; null where attempts run ahead of the host (a GPU). */
  readonly steps: readonly (readonly number[])[] | null;
  /** Evaluations of the right-hand side, counted for the whole batch. */
  readonly nFEvals: number;
  readonly status: SolveStatus[];
  /** Time (absolute, in double precision) and step size at which each sample stands: its end, or where it failed. */
  readonly t: number[];
  readonly dt: number[];
  readonly plan: TapePlan | null;
}

/**
 * A solve that has been enqueued. Where the host runs ahead of the device, nobody has waited for it: as many attempts are enqueued
 * as the solves before it took, and whether they were enough is known when somebody reads the record.
 */
export interface StartedSolve {
  /**
   * Scalar on the device: 1 when every sample has stopped and the record is fit for the reverse pass, else 0. Guards what is enqueued
   * behind the solve (see Guard).
   */
  readonly complete: DeviceBuffer;
  /** Small buffers that `poll` wants to know, as they are now. */
  record(): readonly DeviceBuffer[];
  /**
   * From the numbers of `record`: what came of the solve. null: some samples still run and more attempts have been enqueued, or the
   * reverse pass has to mend the record; enqueue again what depends on the solve, read the record again.
   */
  poll(record: readonly ArrayLike<number>[]): Promise<SolveStats | null>;
}

const PER_SAMPLE = ["t", "dt", "running", "nSteps", "nAccepted", "status", "ratio1", "ratio2"] as const;
/** What attempts pass on as well where there are jump times. */
const PER_SEGMENT = ["asked", "segment", "segmentEnd"] as const;
const AXES = ["t", "elapsed"] as const;
/** Per segment and sample, as segments.ts names them. */
const TABLES = ["segmentEnds", ...AXES.flatMap((axis) => [`low.${axis}`, `high.${axis}`])];
/** Attempts that the first solve is expected to take, where the host runs ahead. */
const FIRST_GUESS = 8;

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
  readonly #sessions = new Map<string, Session>();
  #last: Session | null = null;

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
    const schedule = this.#scheduleOf(request);
    const depth = schedule.jumps?.depth ?? 0;
    const key = `${request.layout.panel}x${request.layout.panels} ${depth}`;
    let session = this.#sessions.get(key);
    if (!session) {
      const options = { ...this.#options, ...methodFor(this.#options, depth) };
      session = new Session(this.#backend, this.#system, options, this.#programsFor(depth), request.layout, depth);
      this.#sessions.set(key, session);
    }
    this.#last = request.record ? session : null;
    return session.start(request, schedule);
  }

  /** The times of a request as the device is told them. */
  #scheduleOf({ samples, tStart, tEnd, tEval, jumpTimes = [] }: SolveRequest): Schedule {
    checkTimes("solve", samples, { tStart, tEnd }, tEval);
    const timeline = new Timeline(this.#backend.dtype, { tStart, tEnd });
    if (this.#dependsOnTime) timeline.checkAbsolute();
    if (jumpTimes.length !== 0 && jumpTimes.length !== samples)
      throw new ShapeError("solve", "jumpTimes", `a list for each of ${samples} samples`, `${jumpTimes.length}`);
    const bad = jumpTimes.findIndex((times) => !times.every(Number.isFinite));
    if (bad >= 0)
      throw new ArgumentError("solve", "jumpTimes", "finite times", `[${jumpTimes[bad]}] for sample ${bad}`);
    return { timeline, jumps: jumpTimes.length > 0 ? new Jumps(timeline, jumpTimes) : null };
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
    this.#last.reverse(ctYs, grads, ctY0);
  }

  /** Releases everything when the calls before it have ended; calls after it are refused. */
  dispose(): void {
    callsOf(this).end(() => {
      for (const s of this.#sessions.values()) s.dispose();
      this.#sessions.clear();
      this.#last = null;
    });
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** The times of a request as the device is told them. */
interface Schedule {
  readonly timeline: Timeline;
  /** null: there are no jump times. */
  readonly jumps: Jumps | null;
}

/** The method of a solve with jump times: a step's first stage is not the last one of the step before, on the other side of a jump. */
function methodFor({ tableau, controller, maxSteps }: Method, segments: number): Method {
  return { tableau: segments > 0 ? { ...tableau, fsal: false } : tableau, controller, maxSteps };
}

/** The samples of a batch, solved in one or several parts, that did not reach their end. */
export function failedSamples(parts: readonly Pick<SolveStats, "status">[]): number[] {
  return parts.flatMap(({ status }) => status).flatMap((status, sample) => (status === "success" ? [] : [sample]));
}

/** Throws for the first sample that did not reach its end: which (counted from `firstSample`), where, and what to try. */
export function assertSolved(stats: SolveStats, firstSample = 0): void {
  const failed = failedSamples([stats]);
  if (failed.length === 0) return;
  const index = failed.find((s) => stats.status[s] !== "stopped") ?? failed[0]!;
  const sample = firstSample + index;
  const status = stats.status[index]!;
  const t = stats.t[index]!;
  const dt = stats.dt[index]!;
  throw new SolverError(
    status,
    `solve: sample ${sample} stopped at t = ${t} with step ${dt} after ${stats.nSteps[index]} attempts (${status}${
      status === "maxSteps" ? ` = ${stats.nSteps[index]}` : ""
    }); ${ADVICE[status]}`,
    { sample, t, dt, status, nSteps: stats.nSteps[index] },
  );
}

/** The outcome of a sample that runs no more, from its number on the device. */
export function statusName(code: number): SolveStatus {
  if (code === STATUS.ok) return "success";
  if (code === STATUS.dtMin) return "dtMin";
  return code === STATUS.maxSteps ? "maxSteps" : "nonFinite";
}

const ADVICE: Readonly<Record<SolveStatus, string>> = {
  success: "",
  stopped: "see the sample that failed",
  dtMin:
    "lower dtMin, loosen rtol/atol, or check whether the right-hand side jumps there (its jump times can be given: jumpTimes)",
  maxSteps:
    "raise maxSteps, loosen rtol/atol, or check whether the weights make the system stiff (large gain, small tau)",
  nonFinite:
    "the right-hand side or the state is not finite, however short the step: check the weights, the input and the initial state, or reduce the gain",
};

/** A solve under way, or the last one. */
interface SolveInProgress {
  readonly request: SolveRequest;
  readonly schedule: Schedule;
  /** Evaluation points after the start. */
  readonly pending: readonly number[];
  attempts: number;
  /** Evaluation points to interpolate, by attempt. */
  readonly due: (readonly number[])[];
  /** Where the last attempt led. */
  last: BufferSet;
  steps: number[][] | null;
  /** Some trial step was void: the reverse pass must not read its record. */
  hasVoids: boolean;
  /** null: not known yet. */
  stats: SolveStats | null;
}

/** Per-sample results, in the order of a solve's record. */
const RECORDED = ["nSteps", "nAccepted", "status", "running", "t", "dt"] as const;

/** Programs bound to buffers that no solve names any more are kept for so many solves. */
const KEPT_SOLVES = 64;

/** Buffers and executables for one panel layout, kept between solves. */
class Session {
  readonly #backend: Backend;
  readonly #options: SolverOptions;
  readonly #programs: SolverPrograms;
  readonly #layout: PanelLayout;
  readonly #lanes: number;
  readonly #stateLength: number;
  readonly #tape: Tape;
  readonly #executables = new Map<Program, Executable>();
  readonly #bound = new RoundCache<BoundProgram>(KEPT_SOLVES);
  readonly #ids = new WeakMap<object, number>();
  readonly #owned: DeviceBuffer[] = [];
  readonly #common: BufferSet;
  readonly #tables: BufferSet;
  /** What every program may read besides what the attempt before left. */
  readonly #leaves: BufferSet;
  readonly #stages: BufferSet;
  readonly #initSaves: BufferSet;
  readonly #starts: [BufferSet, BufferSet];
  #reverseBuffers: { cts: [BufferSet, BufferSet]; stages: BufferSet } | null = null;
  readonly #addState: Program;
  readonly #constants: Constants;
  readonly #looksEachAttempt: boolean;
  readonly #dueFlags = new Map<string, DeviceBuffer>();
  #tEval: DeviceBuffer[] = [];
  #nextId = 0;
  #current: SolveInProgress | null = null;
  #expected: number;

  constructor(
    backend: Backend,
    system: OdeSystem,
    options: SolverOptions,
    programs: SolverPrograms,
    layout: PanelLayout,
    segments: number,
  ) {
    this.#backend = backend;
    this.#options = options;
    this.#programs = programs;
    this.#layout = layout;
    this.#expected = FIRST_GUESS + segments;
    this.#constants = new Constants(backend);
    this.#looksEachAttempt = !backend.isAsynchronous || options.onFailure === "stop";
    this.#lanes = layout.panel * layout.panels;
    this.#stateLength = system.rows * this.#lanes;
    const { fsal, stages } = options.tableau;
    const state = { y: this.#stateLength, ...(fsal ? { k1: this.#stateLength } : {}) };
    const passedOn = [...PER_SAMPLE, ...(segments > 0 ? PER_SEGMENT : []), ...(programs.reverse ? ["voids"] : [])];
    const start = { ...state, ...eachOf(passedOn, this.#lanes), active: 1 };
    const saves = programs.reverse ? lengths(programs.reverse.attemptSaves, this.#lanes) : {};
    const budget = options.memoryBudgetBytes ?? backend.tapeBudgetBytes;
    this.#tape = new Tape(backend, start, saves, bytesOf(backend.dtype), budget);
    const { controller } = options;
    this.#common = this.#own("solve", {
      ...eachOf(
        ["origin", "tStart", "tEnd", "tMin", "tMax", "dir", "dt0", "firstEnd", "none", "accept", "errorRatio"],
        this.#lanes,
      ),
      ...eachOf(["complete", "stillActive", "always", "noVoids"], 1),
      ...(programs.reverse ? { ...eachOf(["void", "voidAgain"], this.#lanes), voids: 1 } : {}),
      ...(controller.type === "replay" ? { steps: this.#lanes * replayDepth(controller) } : {}),
    });
    this.#tables = this.#own("segments", eachOf(segments > 0 ? TABLES : [], this.#lanes * segments));
    const { none } = this.#common;
    this.#leaves = { ...prefixed("ode.", { ...this.#common, ...this.#tables }), "ode.segment": none! };
    const stageShapes: Record<string, number> = { "stage.y1": this.#stateLength };
    for (let i = fsal ? 1 : 0; i < stages; i++) stageShapes[`stage.k${i + 1}`] = this.#stateLength;
    this.#stages = this.#own("stages", stageShapes);
    this.#initSaves = programs.reverse ? this.#own("init", lengths(programs.reverse.initSaves, this.#lanes)) : {};
    this.#starts = [this.#own("start a", start), this.#own("start b", start)];
    this.#addState = addProgram(system.rows);
    backend.fill(this.#common.always!, 1);
  }

  async start(request: SolveRequest, schedule: Schedule): Promise<StartedSolve> {
    const { record } = request;
    if (record && !this.#programs.reverse)
      throw new ArgumentError("solve", "record", "false for a solver without reverse", "true");
    this.#check(request);
    // The record of the last solve goes, whatever becomes of this one.
    this.#current = null;
    this.#bound.next();
    this.#uploadTimes(request, schedule);
    if (record) this.#prepareReverse();
    const first = record ? await this.#tape.begin(Math.min(this.#expected, this.#options.maxSteps)) : this.#starts[0];
    this.#init(request, first);
    const atStart = request.tEval.map((times) => times.every((t, s) => t === request.tStart[s]));
    request.ys.forEach((ys, j) => {
      if (atStart[j]) this.#backend.copy(ys, request.y0);
      else this.#backend.fill(ys, 0);
    });
    const pending = request.tEval.map((_, j) => j).filter((j) => !atStart[j]);
    const progress: SolveInProgress = {
      request,
      schedule,
      pending,
      attempts: 0,
      due: [],
      last: first,
      steps: null,
      hasVoids: false,
      stats: null,
    };
    if (this.#looksEachAttempt) await this.#attemptWhileActive(progress);
    else await this.#attemptAhead(progress, Math.min(this.#expected, this.#options.maxSteps));
    this.#current = progress;
    return {
      complete: this.#common.complete!,
      record: () => this.#recordOf(this.#checkCurrent(progress)),
      poll: async (values) => this.#poll(this.#checkCurrent(progress), values),
    };
  }

  #init({ inputs, y0, record }: SolveRequest, first: BufferSet, voids: BufferSet = this.#voidsUnknown): void {
    const { tStart, none } = this.#common;
    this.#runWith(record ? this.#programs.reverse!.initRecorded : this.#programs.init, inputs, {
      ...this.#leaves,
      "ode.y": y0,
      "ode.t": tStart,
      "ode.nSteps": none,
      ...prefixed("next.", first),
      ...this.#initSaves,
      ...voids,
    });
  }

  /** As for attempts. */
  #initWithoutVoids(request: SolveRequest): void {
    this.#init(request, this.#tape.first());
    this.#init(request, this.#tape.first(), this.#voidsKnown);
  }

  #checkCurrent(progress: SolveInProgress): SolveInProgress {
    if (this.#current === progress) return progress;
    throw new SolverError("superseded", "solve: expected the last solve, got one after which another has begun", {});
  }

  /** Attempts one by one, as long as somebody runs. */
  async #attemptWhileActive(progress: SolveInProgress): Promise<void> {
    const backend = this.#backend;
    const { request } = progress;
    const stops = this.#options.onFailure === "stop";
    const steps = backend.isAsynchronous ? null : Array.from({ length: request.samples }, (): number[] => []);
    for (let active = true; active; ) {
      await turnUnlessAborted(request.signal);
      const { start, next } = await this.#attemptNext(progress);
      const due = await this.#dueNow(progress, start, next);
      await this.#finishAttempt(progress, due, start, next);
      if (steps) await this.#addAccepted(steps, start, next);
      active = (await backend.download(next.active!))[0]! > 0;
      if (stops && (await backend.download(next.status!)).some((code) => code !== STATUS.ok)) break;
    }
    progress.steps = steps;
    if (request.record) progress.hasVoids = (await backend.download(this.#common.voids!))[0]! > 0;
    backend.fill(this.#common.complete!, 1);
  }

  async #attemptAhead(progress: SolveInProgress, count: number): Promise<void> {
    for (let n = 0; n < count; n++) {
      const { start, next } = await this.#attemptNext(progress);
      await this.#finishAttempt(progress, progress.pending, start, next);
    }
    const { stillActive, complete, noVoids, voids } = this.#common;
    const counted = progress.request.record ? voids : noVoids;
    this.#runWith(this.#programs.completion, {}, { active: stillActive, complete, voids: counted });
  }

  async #attemptNext({ request, attempts }: SolveInProgress): Promise<{ start: BufferSet; next: BufferSet }> {
    const { start, next, saves } = request.record ? await this.#tape.open(attempts) : this.#pingPong(attempts);
    this.#attempt(request, start, next, saves);
    return { start, next };
  }

  async #finishAttempt(
    progress: SolveInProgress,
    due: readonly number[],
    start: BufferSet,
    next: BufferSet,
  ): Promise<void> {
    const { request, attempts } = progress;
    for (const j of due) this.#dense(request, attempts, j, start, next);
    if (request.record) await this.#tape.close(attempts);
    progress.due.push(due);
    progress.last = next;
    progress.attempts++;
  }

  #recordOf({ last }: SolveInProgress): readonly DeviceBuffer[] {
    return [this.#common.complete!, ...RECORDED.map((name) => last[name]!)];
  }

  async #poll(
    progress: SolveInProgress,
    [complete, ...values]: readonly ArrayLike<number>[],
  ): Promise<SolveStats | null> {
    const { request, due, steps, schedule } = progress;
    const { maxSteps } = this.#options;
    const running = values[RECORDED.indexOf("running")]!;
    if (complete![0] === 0 && Array.from(running).every((runs) => runs === 0)) {
      // All have stopped, but a trial step was void, and the reverse pass that is enqueued does not know it.
      progress.hasVoids = true;
      this.#backend.fill(this.#common.complete!, 1);
      return null;
    }
    if (complete![0] === 0) {
      await this.#attemptAhead(
        progress,
        Math.max(1, Math.min(Math.ceil(this.#expected / 4), maxSteps - progress.attempts)),
      );
      return null;
    }
    const [nSteps, nAccepted, status, , t, dt] = values.map((v) => Array.from(v).slice(0, request.samples));
    const used = Math.max(1, ...nSteps!);
    // Rises at once and falls slowly: an attempt too few costs a wait, one too many next to nothing.
    this.#expected = used + Math.max(0, Math.floor((this.#expected - used) / 2));
    // The attempts after the last needed one changed nothing, and their reverse would add nothing.
    if (request.record) this.#tape.truncate(used);
    progress.attempts = used;
    due.length = used;
    progress.stats = {
      nSteps: nSteps!,
      nAccepted: nAccepted!,
      status: status!.map((code, s) => (running[s]! > 0 ? "stopped" : statusName(code))),
      t: t!.map((time, s) => schedule.timeline.absolute(time, s)),
      dt: dt!,
      steps,
      nFEvals: this.#evaluations(used),
      plan: request.record ? this.#tape.plan() : null,
    };
    return progress.stats;
  }

  reverse(
    ctYs: readonly (DeviceBuffer | null)[],
    grads: Readonly<Record<string, Bindable>>,
    ctY0: DeviceBuffer | null,
  ): void {
    const progress = this.#current;
    const programs = this.#programs.reverse;
    if (!progress?.request.record || !programs)
      throw new SolverError("not-recorded", "reverse: expected a recorded solve before it, got none (record)", {});
    const { request, pending, stats, attempts, due, hasVoids } = progress;
    // Its numbers times a cotangent of zero would be NaN, and that in the sums over all samples.
    if (stats?.status.includes("nonFinite")) assertSolved(stats);
    const backend = this.#backend;
    const buffers = this.#reverseState();
    const gradBindings: Record<string, Bindable> = {};
    for (const [name, buffer] of Object.entries(grads)) gradBindings[gradName(name)] = buffer;
    const inputs = { ...request.inputs, ...gradBindings };
    const rerun = (s: BufferSet, n: BufferSet, v: BufferSet) => this.#attempt(request, s, n, v);
    const common = this.#leaves;
    const isVoid = { "ode.void": hasVoids ? this.#common.void! : this.#common.none! };
    // What comes after the last step has no cotangent, be it an attempt that nobody needed.
    for (const set of buffers.cts) for (const b of Object.values(set)) backend.fill(b, 0);
    for (let i = attempts - 1; i >= 0; i--) {
      const [ct, ctNext] = i % 2 === 0 ? buffers.cts : [buffers.cts[1], buffers.cts[0]];
      const { start, next, saves } = this.#tape.recall(i, rerun);
      if (hasVoids) this.#attemptWithoutVoids(request, start, next, saves);
      const values = { ...common, ...prefixed("ode.", start), ...saves, ...isVoid };
      let dense: BufferSet | null = null;
      const wanted = due[i]!.filter((j) => ctYs[j] != null);
      if (wanted.length > 0) {
        const due = wanted.length === 1 ? this.#due(i, wanted[0]!) : this.#common.always!;
        dense = { ...values, ...prefixed("ct.", buffers.stages), "ode.due": due };
        this.#runWith(programs.rebuildStages, inputs, { ...dense, ...this.#stages });
        for (const j of wanted) {
          this.#runWith(programs.denseReverse, inputs, {
            ...values,
            "ode.due": this.#due(i, j),
            ...this.#stages,
            ...prefixed("ct.", buffers.stages),
            "ct.ys": ctYs[j],
            "ode.tEval": this.#tEval[j],
            "ode.tNext": next.t,
          });
        }
      }
      this.#runWith(dense ? programs.attemptReverseDense : programs.attemptReverse, inputs, {
        ...values,
        ...prefixed("ct.", buffers.stages),
        ...prefixed("ct.next.", ctNext),
        ...prefixed("ct.", ct),
      });
      if (dense) this.#runWith(programs.clearStages, inputs, dense);
      this.#tape.forget(i);
    }
    const ctFirst = buffers.cts[0];
    if (hasVoids) this.#initWithoutVoids(request);
    this.#runWith(programs.initReverse, inputs, {
      ...prefixed("ode.", this.#tape.first()),
      ...common,
      ...isVoid,
      "ode.segment": this.#common.none!,
      ...this.#initSaves,
      ...prefixed("ct.next.", ctFirst),
      "ct.y": ctFirst.y,
    });
    if (!ctY0) return;
    backend.copy(ctY0, ctFirst.y!);
    ctYs.forEach((term, j) => {
      if (term && !pending.includes(j)) this.#runWith(this.#addState, {}, { sum: ctY0, term });
    });
  }

  dispose(): void {
    this.#tape.dispose();
    for (const b of this.#owned) b.release();
    this.#owned.length = 0;
    this.#bound.clear();
  }

  // ---- pieces of a solve -----------------------------------------------------------------------------------------------

  #check({ samples, tEval, ys, layout, dt0 }: SolveRequest): void {
    if (samples < 1 || samples > this.#lanes)
      throw new ShapeError("solve", "samples", `1 to ${this.#lanes}`, `${samples}`);
    if (layout.panel * layout.panels !== this.#lanes)
      throw new ShapeError("solve", "layout", `${this.#lanes} lanes`, "others");
    const { controller } = this.#options;
    if (controller.type === "replay" && controller.steps.length !== samples)
      throw new ShapeError("solve", "steps", `steps of ${samples} samples to replay`, `${controller.steps.length}`);
    if (this.#options.dt0 === "perSample") {
      const given = dt0?.length ?? 0;
      if (given !== samples) throw new ShapeError("solve", "dt0", `${samples} step sizes, one per sample`, `${given}`);
      const bad = dt0!.findIndex((h) => !(Math.abs(h) > 0 && Number.isFinite(h)));
      if (bad >= 0)
        throw new ArgumentError("solve", "dt0", "finite steps other than 0", `${dt0![bad]} for sample ${bad}`);
    }
    if (ys.length !== tEval.length)
      throw new ShapeError("solve", "ys", `${tEval.length} states, one per evaluation point`, `${ys.length}`);
  }

  #uploadTimes(request: SolveRequest, { timeline, jumps }: Schedule): void {
    const { samples, tStart, tEnd, tEval, dt0: firstSteps } = request;
    const { dt0, controller } = this.#options;
    const common = this.#common;
    const set = (target: DeviceBuffer, value: (s: number) => number) =>
      this.#constants.set(target, (lane) => value(Math.min(lane, samples - 1)));
    const [start, end] = [tStart, tEnd].map((times) => (s: number) => timeline.device(times[s]!, s));
    const dir = (s: number) => (tEnd[s]! > tStart[s]! ? 1 : -1);
    set(common.origin!, (s) => timeline.origin[s]!);
    set(common.tStart!, start!);
    set(common.tEnd!, end!);
    set(common.tMin!, (s) => Math.min(start!(s), end!(s)));
    set(common.tMax!, (s) => Math.max(start!(s), end!(s)));
    set(common.dir!, dir);
    if (controller.type === "replay") {
      const table = replayTable(controller, request, jumps, this.#lanes);
      this.#constants.set(common.steps!, (k) => table[k]!);
    }
    if (dt0 !== undefined) set(common.dt0!, (s) => dir(s) * Math.abs(dt0 === "perSample" ? firstSteps![s]! : dt0));
    if (jumps) this.#uploadSegments(samples, jumps);
    while (this.#tEval.length < tEval.length)
      this.#tEval.push(this.#own(`tEval ${this.#tEval.length}`, { t: this.#lanes }).t!);
    tEval.forEach((times, j) => {
      set(this.#tEval[j]!, (s) => timeline.device(times[s]!, s));
    });
  }

  #uploadSegments(samples: number, jumps: Jumps): void {
    const lanes = this.#lanes;
    const set = (target: DeviceBuffer, value: (sample: number, segment: number) => number) =>
      this.#constants.set(target, (k) => value(Math.min(k % lanes, samples - 1), Math.floor(k / lanes)));
    this.#constants.set(this.#common.firstEnd!, (lane) => jumps.end(Math.min(lane, samples - 1), 0));
    set(this.#tables.segmentEnds!, (s, segment) => jumps.end(s, segment));
    for (const axis of AXES) {
      for (const which of ["low", "high"] as const)
        set(this.#tables[`${which}.${axis}`]!, (s, segment) => jumps.bound(axis, which, s, segment));
    }
  }

  #pingPong(i: number): { start: BufferSet; next: BufferSet; saves: null } {
    return { start: this.#starts[i % 2]!, next: this.#starts[(i + 1) % 2]!, saves: null };
  }

  #attempt(
    { record, inputs }: SolveRequest,
    start: BufferSet,
    next: BufferSet,
    saves: BufferSet | null,
    voids: BufferSet = this.#voidsUnknown,
  ): void {
    const program = record && saves ? this.#programs.reverse!.attemptRecorded : this.#programs.attempt;
    this.#runWith(program, inputs, {
      ...this.#leaves,
      ...prefixed("ode.", start),
      ...prefixed("next.", next),
      active: this.#common.stillActive,
      accept: this.#common.accept,
      errorRatio: this.#common.errorRatio,
      voids: this.#common.voids,
      ...this.#stages,
      ...saves,
      ...voids,
    });
  }

  /** Runs a recorded attempt again so that its void trial steps leave numbers in the record. */
  #attemptWithoutVoids(request: SolveRequest, start: BufferSet, next: BufferSet, saves: BufferSet): void {
    this.#attempt(request, start, next, saves);
    this.#attempt(request, start, next, saves, this.#voidsKnown);
  }

  /** Bindings of a run that finds out for which samples the trial step is void; without a reverse pass nobody wants to know. */
  get #voidsUnknown(): BufferSet {
    const { none, void: found } = this.#common;
    return found ? { "ode.void": none!, isVoid: found } : {};
  }

  /** Bindings of the run after it, which knows. */
  get #voidsKnown(): BufferSet {
    const { void: found, voidAgain } = this.#common;
    return { "ode.void": found!, isVoid: voidAgain! };
  }

  #dense(request: SolveRequest, attempt: number, j: number, start: BufferSet, next: BufferSet): void {
    this.#runWith(this.#programs.dense, request.inputs, {
      ...prefixed("ode.", start),
      "ode.dir": this.#common.dir,
      ...this.#stages,
      "ode.tEval": this.#tEval[j],
      "ode.tNext": next.t,
      ys: request.ys[j],
      due: this.#due(attempt, j),
    });
  }

  /** Whether some sample passes evaluation point j in an attempt: a scalar on the device. */
  #due(attempt: number, j: number): DeviceBuffer {
    const key = `due ${attempt} ${j}`;
    const flag = this.#dueFlags.get(key) ?? this.#own(key, { flag: 1 }).flag!;
    this.#dueFlags.set(key, flag);
    return flag;
  }

  /** Evaluation points that some sample passed in the attempt from `start` to `next`. */
  async #dueNow({ request, schedule, pending }: SolveInProgress, start: BufferSet, next: BufferSet): Promise<number[]> {
    const before = await this.#backend.download(start.t!);
    const after = await this.#backend.download(next.t!);
    const { tStart, tEnd, tEval, samples } = request;
    const reached = (t: number, te: number, s: number) => (tEnd[s]! > tStart[s]! ? te <= t : te >= t);
    return pending.filter((j) => {
      for (let s = 0; s < samples; s++) {
        const te = schedule.timeline.device(tEval[j]![s]!, s);
        if (reached(after[s]!, te, s) && !reached(before[s]!, te, s)) return true;
      }
      return false;
    });
  }

  /** Appends the step sizes of the samples that accepted the attempt from `start` to `next`. */
  async #addAccepted(steps: readonly number[][], start: BufferSet, next: BufferSet): Promise<void> {
    const [before, after, dt] = await Promise.all(
      [start.nAccepted!, next.nAccepted!, start.dt!].map((buffer) => this.#backend.download(buffer)),
    );
    steps.forEach((ofSample, s) => {
      if (after![s]! > before![s]!) ofSample.push(dt![s]!);
    });
  }

  #evaluations(attempts: number): number {
    const { dt0, controller, tableau } = this.#options;
    const { fsal, stages } = tableau;
    const given = dt0 !== undefined || controller.type === "replay";
    const atStart = given ? (fsal ? 1 : 0) : 2;
    return atStart + attempts * (fsal ? stages - 1 : stages);
  }

  /** Gets the memory that the reverse pass works in, before the tape takes what there is. */
  #prepareReverse(): void {
    this.#reverseState();
    for (const program of Object.values(this.#programs.reverse!)) if ("phases" in program) this.#executableOf(program);
  }

  #reverseState(): { cts: [BufferSet, BufferSet]; stages: BufferSet } {
    if (this.#reverseBuffers) return this.#reverseBuffers;
    const n = this.#stateLength;
    const { fsal, stages } = this.#options.tableau;
    const control = Object.fromEntries(CONTROL_LEAVES.map((name) => [name, this.#lanes]));
    const ct = { y: n, ...(fsal ? { k1: n } : {}), ...control };
    const stageShapes: Record<string, number> = {
      "stage.y0": n,
      "stage.y1": n,
      "stage.t": this.#lanes,
      "stage.dt": this.#lanes,
    };
    for (let i = 0; i < stages; i++) stageShapes[`stage.k${i + 1}`] = n;
    this.#reverseBuffers = {
      cts: [this.#own("ct a", ct), this.#own("ct b", ct)],
      stages: this.#own("ct stages", stageShapes),
    };
    return this.#reverseBuffers;
  }

  // ---- running programs ------------------------------------------------------------------------------------------------

  /** Runs a program on whichever of the given buffers it names; bound programs are kept for the next time. */
  #runWith(
    program: Program,
    inputs: Readonly<Record<string, Bindable>>,
    own: Readonly<Record<string, Bindable | null | undefined>>,
  ): void {
    const bindings: Record<string, Bindable> = {};
    let key = program.name;
    for (const b of program.bindings) {
      if (b.temp) continue;
      const target = own[b.name] ?? inputs[b.name];
      if (!target) throw new ArgumentError("solve", b.name, `a ${b.kind} for ${program.name}`, "nothing");
      bindings[b.name] = target;
      key += ` ${this.#idOf(target)}`;
    }
    let bound = this.#bound.get(key);
    if (!bound) {
      bound = this.#backend.bind(this.#executableOf(program), bindings);
      this.#bound.set(key, bound);
    }
    this.#backend.run(bound);
  }

  #executableOf(program: Program): Executable {
    let executable = this.#executables.get(program);
    if (!executable) {
      executable = this.#backend.compile(program, this.#layout);
      this.#executables.set(program, executable);
    }
    return executable;
  }

  #idOf(buffer: object): number {
    let id = this.#ids.get(buffer);
    if (id === undefined) {
      id = this.#nextId++;
      this.#ids.set(buffer, id);
    }
    return id;
  }

  #own(label: string, shapes: Readonly<Record<string, number>>): BufferSet {
    const set: Record<string, DeviceBuffer> = {};
    for (const [name, length] of Object.entries(shapes)) {
      set[name] = this.#backend.buffer(`${label} ${name}`, length);
      this.#owned.push(set[name]);
    }
    return set;
  }
}

/**
 * The table of the replay controller: [step][lane]. From the last recorded step on, and in steps that ended at a jump time, the whole
 * interval: what is left of it is where the device cuts, so that rounding of t neither stops short of the end nor passes it.
 */
function replayTable(
  controller: ReplayController,
  { tStart, tEnd }: SolveRequest,
  jumps: Jumps | null,
  lanes: number,
): Float64Array {
  const table = new Float64Array(replayDepth(controller) * lanes);
  const cut = controller.steps.map((steps, sample) => stepsThatEndAtJumps(steps, jumps?.ways(sample) ?? []));
  for (let i = 0; i < table.length; i++) {
    const [step, sample] = [Math.floor(i / lanes), Math.min(i % lanes, controller.steps.length - 1)];
    const steps = controller.steps[sample]!;
    const isWhole = step >= steps.length - 1 || cut[sample]!.has(step);
    table[i] = isWhole ? tEnd[sample]! - tStart[sample]! : steps[step]!;
  }
  return table;
}

/** Numbers of the steps that end nearest to the jumps, given how far these are from the start. */
function stepsThatEndAtJumps(steps: readonly number[], ways: readonly number[]): Set<number> {
  let way = 0;
  const ends = steps.map((step) => {
    way += step;
    return way;
  });
  const distance = (step: number, jump: number) => Math.abs(ends[step]! - jump);
  return new Set(
    ways.map((jump) => ends.reduce((best, _, step) => (distance(step, jump) < distance(best, jump) ? step : best), 0)),
  );
}

function prefixed(prefix: string, set: BufferSet): BufferSet {
  return Object.fromEntries(Object.entries(set).map(([name, buffer]) => [prefix + name, buffer]));
}

/** The same length for each name. */
function eachOf(names: readonly string[], length: number): Record<string, number> {
  return Object.fromEntries(names.map((name) => [name, length]));
}

/** Buffer lengths of values by binding name. */
function lengths(values: ReadonlyMap<string, Value>, lanes: number): Record<string, number> {
  const shapes: Record<string, number> = {};
  for (const [name, v] of values) shapes[name] = v.rows * (v.kind === "state" || v.kind === "sample" ? lanes : 1);
  return shapes;
}
