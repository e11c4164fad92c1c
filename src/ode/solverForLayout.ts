// A solver for one panel layout: enqueues attempts until every sample has stopped, and keeps what the reverse pass needs.

import type { Backend, DeviceBuffer } from "../backend/backend.ts";
import type { Desk } from "../backend/desk.ts";
import { yieldToEventLoop } from "../core/abort.ts";
import { bytesOf } from "../core/dtype.ts";
import { SolverError } from "../core/errors.ts";
import { REPORTED_NUMBERS, STATUS } from "./control.ts";
import type { OdeSystem } from "./method.ts";
import type { SolverPrograms } from "./programs.ts";
import { checkRequest, type Schedule, type SolveRequest, type SolverOptions, type StartedSolve } from "./request.ts";
import { type Cotangents, type RecordedSolve, ReversePass } from "./reversePass.ts";
import { SolverDesk } from "./solverDesk.ts";
import { assertSolved, type SolveStats, statsFrom } from "./solveStats.ts";
import { type BufferSet, Tape } from "./tape.ts";

/** A solve under way, or the last one. */
interface SolveInProgress extends RecordedSolve {
  readonly schedule: Schedule;
  /** Where the last attempt led. */
  last: BufferSet;
  steps: number[][] | null;
  /** null: not known yet. */
  stats: SolveStats | null;
}

/** Attempts that the first solve is expected to take, where the host runs ahead. */
export const FIRST_GUESS = 8;

export class SolverForLayout {
  readonly #backend: Backend;
  readonly #options: SolverOptions;
  readonly #solver: SolverDesk;
  readonly #tape: Tape;
  readonly #reversePass: ReversePass | null;
  /** The host reads results after each attempt, instead of running ahead. */
  readonly #readsEachAttempt: boolean;
  #current: SolveInProgress | null = null;
  #expected: number;

  constructor(desk: Desk, system: OdeSystem, options: SolverOptions, programs: SolverPrograms, segments: number) {
    const { backend } = desk;
    this.#backend = backend;
    this.#options = options;
    this.#expected = FIRST_GUESS + segments;
    this.#readsEachAttempt = !backend.isAsynchronous || options.onFailure === "stop";
    const solver = new SolverDesk(desk, system, options, programs, segments);
    const budget = options.memoryBudgetBytes ?? backend.tapeBudgetBytes;
    const tape = new Tape(backend, solver.startLengths, solver.savesLengths, bytesOf(backend.dtype), budget);
    desk.own({ release: () => tape.dispose() });
    this.#solver = solver;
    this.#tape = tape;
    this.#reversePass = programs.reverse && new ReversePass(solver, programs.reverse, tape, system, options);
  }

  async start(request: SolveRequest, schedule: Schedule): Promise<StartedSolve> {
    checkRequest(request, this.#options);
    const { record, tEval, tStart } = request;
    const solver = this.#solver;
    // The record of the last solve goes, whatever becomes of this one.
    this.#current = null;
    solver.desk.nextRound();
    solver.upload(request, schedule);
    const expected = Math.min(this.#expected, this.#options.maxSteps);
    const { timeline } = schedule;
    const isStart = (t: number, s: number) => timeline.device(t, s) === timeline.device(tStart[s]!, s);
    const pending = [...tEval.keys()].filter((j) => !tEval[j]!.every(isStart));
    const starting = pending.filter((j) => tEval[j]!.some(isStart));
    if (record) this.#reversePass!.prepare(pending.length);
    const first = record ? await this.#tape.begin(expected) : solver.pingPong(0).start;
    solver.init(request, first);
    request.ys.forEach((ys, j) => {
      if (!pending.includes(j)) this.#backend.copy(ys, request.y0);
      else this.#backend.fill(ys, 0);
      if (starting.includes(j)) solver.addAtStart(j, ys, request.y0);
    });
    const solve: SolveInProgress = {
      request,
      schedule,
      pending,
      starting,
      attempts: 0,
      due: [],
      last: first,
      steps: null,
      hasVoids: false,
      stats: null,
    };
    if (this.#readsEachAttempt) await this.#attemptWhileActive(solve);
    else await this.#attemptAhead(solve, expected);
    this.#current = solve;
    return {
      complete: solver.complete,
      record: () => this.#recordOf(this.#checkCurrent(solve)),
      poll: async (values) => this.#poll(this.#checkCurrent(solve), values),
    };
  }

  #checkCurrent(solve: SolveInProgress): SolveInProgress {
    if (this.#current === solve) return solve;
    throw new SolverError("superseded", "solve: expected the last solve, got one after which another has begun", {});
  }

  // ---- attempts ----------------------------------------------------------------------------------------------------------

  /** One by one, as long as a sample runs. */
  async #attemptWhileActive(solve: SolveInProgress): Promise<void> {
    const backend = this.#backend;
    const { request } = solve;
    const stops = this.#options.onFailure === "stop";
    const steps = backend.isAsynchronous ? null : Array.from({ length: request.samples }, (): number[] => []);
    for (let active = true; active; ) {
      await yieldToEventLoop(request.signal);
      const { start, next } = await this.#attemptNext(solve);
      await this.#finishAttempt(solve, await this.#dueNow(solve, start, next), start, next);
      if (steps) await this.#addAccepted(steps, start, next);
      active = (await backend.download(next.active!))[0]! > 0;
      if (stops && (await backend.download(next.status!)).some((code) => code !== STATUS.ok)) break;
    }
    solve.steps = steps;
    if (request.record) solve.hasVoids = (await backend.download(this.#solver.voids))[0]! > 0;
    backend.fill(this.#solver.complete, 1);
  }

  async #attemptAhead(solve: SolveInProgress, count: number): Promise<void> {
    for (let n = 0; n < count; n++) {
      const { start, next } = await this.#attemptNext(solve);
      await this.#finishAttempt(solve, solve.pending, start, next);
    }
    this.#solver.completion(solve.request);
  }

  async #attemptNext({ request, attempts }: SolveInProgress): Promise<{ start: BufferSet; next: BufferSet }> {
    const { start, next, saves } = request.record ? await this.#tape.open(attempts) : this.#solver.pingPong(attempts);
    this.#solver.attempt(request, start, next, saves);
    return { start, next };
  }

  async #finishAttempt(
    solve: SolveInProgress,
    due: readonly number[],
    start: BufferSet,
    next: BufferSet,
  ): Promise<void> {
    const { request, attempts } = solve;
    for (const j of due) this.#solver.dense(request, attempts, j, start, next);
    if (request.record) await this.#tape.close(attempts);
    solve.due.push(due);
    solve.last = next;
    solve.attempts++;
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

  // ---- results -----------------------------------------------------------------------------------------------------------

  #recordOf({ last }: SolveInProgress): readonly DeviceBuffer[] {
    return [this.#solver.complete, ...REPORTED_NUMBERS.map((name) => last[name]!)];
  }

  async #poll(solve: SolveInProgress, [complete, ...values]: readonly ArrayLike<number>[]): Promise<SolveStats | null> {
    const { request, schedule } = solve;
    const reported = Object.fromEntries(
      REPORTED_NUMBERS.map((name, i) => [name, Array.from(values[i]!).slice(0, request.samples)]),
    );
    if (complete![0] === 0) {
      if (Array.from(values[REPORTED_NUMBERS.indexOf("running")]!).some((runs) => runs > 0)) {
        const left = this.#options.maxSteps - solve.attempts;
        await this.#attemptAhead(solve, Math.max(1, Math.min(Math.ceil(this.#expected / 4), left)));
      } else {
        // All have stopped, but a trial step was void, and the reverse pass that is enqueued does not know it.
        solve.hasVoids = true;
        this.#backend.fill(this.#solver.complete, 1);
      }
      return null;
    }
    const used = Math.max(1, ...reported.nSteps!);
    // Rises at once and falls slowly: one attempt too few costs a wait, one too many next to nothing.
    this.#expected = used + Math.max(0, Math.floor((this.#expected - used) / 2));
    // The attempts after the last needed one changed nothing, and their reverse would add nothing.
    if (request.record) this.#tape.truncate(used);
    solve.attempts = used;
    solve.due.length = used;
    const plan = request.record ? this.#tape.plan() : null;
    solve.stats = statsFrom(reported, schedule.timeline, {
      nFEvals: this.#evaluations(used),
      steps: solve.steps,
      plan,
    });
    return solve.stats;
  }

  #evaluations(attempts: number): number {
    const { dt0, controller, tableau } = this.#options;
    const { fsal, stages } = tableau;
    const given = dt0 !== undefined || controller.type === "replay";
    const atStart = given ? (fsal ? 1 : 0) : 2;
    return atStart + attempts * (fsal ? stages - 1 : stages);
  }

  // ---- gradients ---------------------------------------------------------------------------------------------------------

  reverse(cotangents: Cotangents): void {
    const solve = this.#current;
    if (!solve?.request.record || !this.#reversePass)
      throw new SolverError("not-recorded", "reverse: expected a recorded solve before it, got none (record)", {});
    // Its numbers times a cotangent of zero are NaN, which would spoil the sums over all samples.
    if (solve.stats?.status.includes("nonFinite")) assertSolved(solve.stats);
    this.#reversePass.run(solve, cotangents);
  }

  release(): void {
    this.#solver.desk.release();
  }
}
