// The solver: drives attempts until every sample has reached its end, records what the reverse pass needs, and runs that pass.
// It knows buffers and programs; the equations are in method.ts, the reverse ones are derived (programs.ts).

import { Graph } from "../autodiff/graph.ts";
import { lower } from "../autodiff/lower.ts";
import type { Backend, Bindable, BoundProgram, DeviceBuffer, Executable } from "../backend/backend.ts";
import type { PanelLayout, Program } from "../backend/program.ts";
import { bytesOf } from "../core/dtype.ts";
import { ArgumentError, ShapeError, SolverError } from "../core/errors.ts";
import type { Value } from "../ops/value.ts";
import type { Method, OdeSystem, ReplayController } from "./method.ts";
import { replayDepth, STATUS } from "./method.ts";
import { CONTROL_LEAVES, gradName, type ReverseOptions, type SolverPrograms, solverPrograms } from "./programs.ts";
import { type BufferSet, Tape, type TapePlan } from "./tape.ts";

export interface SolverOptions extends Method {
  /** null: no gradients will be asked for. */
  readonly reverse: ReverseOptions | null;
  /** Most bytes that the record for the reverse pass may take; beyond it attempts are recomputed. Default 384 MiB. */
  readonly memoryBudgetBytes?: number;
  /** First step size; "perSample": given with each request; absent: found by the heuristic. Required by the fixed controller. */
  readonly dt0?: number | "perSample";
  /**
   * When a sample fails (maxSteps, dtMin, nonFinite): "mask" (default) lets the others finish; "stop" ends the solve for all at
   * that attempt, as torchode does. Either way `stats.status` tells; see assertSolved. A solve with a sample that is not finite has
   * no reverse: solve the others again without it.
   */
  readonly onFailure?: "mask" | "stop";
}

/** What is solved: all times are per sample, in the order of the lanes. */
export interface SolveRequest {
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
  /** [evaluation point][sample]; points at the start give y0. */
  readonly tEval: readonly (readonly number[])[];
  /** One state per evaluation point, overwritten. */
  readonly ys: readonly DeviceBuffer[];
  /** Keep what `reverse` needs. */
  readonly record: boolean;
}

/** "stopped": did not fail, but another sample did, where that ends the solve for all. */
export type SolveStatus = "success" | "dtMin" | "maxSteps" | "nonFinite" | "stopped";

export interface SolveStats {
  /** Attempts and accepted attempts per sample. */
  readonly nSteps: number[];
  readonly nAccepted: number[];
  /** [sample][accepted step]: signed step sizes; null where attempts run ahead of the host (a GPU). */
  readonly steps: readonly (readonly number[])[] | null;
  /** Evaluations of the right-hand side, counted for the whole batch. */
  readonly nFEvals: number;
  readonly status: SolveStatus[];
  /** Time and step size at which each sample stands: its end, or where it failed. */
  readonly t: number[];
  readonly dt: number[];
  readonly plan: TapePlan | null;
}

const DEFAULT_BUDGET = 384 * 2 ** 20;
const PER_SAMPLE = ["t", "dt", "running", "nSteps", "nAccepted", "status", "ratio1", "ratio2"] as const;

/**
 * Solves dy/dt = rhs(t, y) for a batch, each sample with its own steps, and pulls cotangents of the outputs back to the initial
 * state and to the inputs and parameters of the right-hand side (discretise, then optimise: the exact gradient of the numbers
 * the forward pass computed).
 */
export class OdeSolver {
  readonly #backend: Backend;
  readonly #system: OdeSystem;
  readonly #options: SolverOptions;
  readonly #programs: SolverPrograms;
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
    this.#programs = solverPrograms(system, options, options.dt0 !== undefined, options.reverse);
  }

  get programs(): SolverPrograms {
    return this.#programs;
  }

  /** Solves; with `record`, a later `reverse` goes back through this solve. Failed samples are told by `stats.status`. */
  async forward(request: SolveRequest): Promise<SolveStats> {
    const key = `${request.layout.panel}x${request.layout.panels}`;
    let session = this.#sessions.get(key);
    if (!session) {
      session = new Session(this.#backend, this.#system, this.#options, this.#programs, request.layout);
      this.#sessions.set(key, session);
    }
    this.#last = request.record ? session : null;
    return session.forward(request);
  }

  /**
   * Reverse pass through the last recorded solve.
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
    if (!this.#last)
      throw new SolverError("not-recorded", "reverse: expected a recorded solve before it, got none (record)", {});
    this.#last.reverse(ctYs, grads, ctY0);
  }

  dispose(): void {
    for (const s of this.#sessions.values()) s.dispose();
    this.#sessions.clear();
  }
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
  dtMin: "lower dtMin, loosen rtol/atol, or check whether the right-hand side jumps there",
  maxSteps:
    "raise maxSteps, loosen rtol/atol, or check whether the weights make the system stiff (large gain, small tau)",
  nonFinite:
    "the right-hand side or the state is not finite: check the weights, the input and the initial state, or reduce the gain",
};

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
  readonly #bound = new Map<string, BoundProgram>();
  readonly #ids = new WeakMap<object, number>();
  readonly #owned: DeviceBuffer[] = [];
  readonly #common: BufferSet;
  readonly #stages: BufferSet;
  readonly #initSaves: BufferSet;
  readonly #starts: [BufferSet, BufferSet];
  #reverseBuffers: { cts: [BufferSet, BufferSet]; stages: BufferSet } | null = null;
  readonly #addState: Program;
  #tEval: DeviceBuffer[] = [];
  #nextId = 0;
  #record: { request: SolveRequest; stats: SolveStats; attempts: number; due: number[][] } | null = null;

  constructor(
    backend: Backend,
    system: OdeSystem,
    options: SolverOptions,
    programs: SolverPrograms,
    layout: PanelLayout,
  ) {
    this.#backend = backend;
    this.#options = options;
    this.#programs = programs;
    this.#layout = layout;
    this.#lanes = layout.panel * layout.panels;
    this.#stateLength = system.rows * this.#lanes;
    const { fsal, stages } = options.tableau;
    const start = { y: this.#stateLength, ...(fsal ? { k1: this.#stateLength } : {}), ...perSample(this.#lanes) };
    const saves = programs.reverse ? lengths(programs.reverse.attemptSaves, this.#lanes) : {};
    const budget = options.memoryBudgetBytes ?? DEFAULT_BUDGET;
    this.#tape = new Tape(backend, start, saves, bytesOf(backend.dtype), budget);
    this.#common = this.#own("solve", {
      tEnd: this.#lanes,
      tMin: this.#lanes,
      tMax: this.#lanes,
      dir: this.#lanes,
      dt0: this.#lanes,
      active: 1,
      accept: this.#lanes,
      errorRatio: this.#lanes,
      ...(options.controller.type === "replay" ? { steps: this.#lanes * replayDepth(options.controller) } : {}),
    });
    const stageShapes: Record<string, number> = { "stage.y1": this.#stateLength };
    for (let i = fsal ? 1 : 0; i < stages; i++) stageShapes[`stage.k${i + 1}`] = this.#stateLength;
    this.#stages = this.#own("stages", stageShapes);
    this.#initSaves = programs.reverse ? this.#own("init", lengths(programs.reverse.initSaves, this.#lanes)) : {};
    this.#starts = [this.#own("start a", start), this.#own("start b", start)];
    this.#addState = addProgram(system.rows);
  }

  async forward(request: SolveRequest): Promise<SolveStats> {
    const { record } = request;
    if (record && !this.#programs.reverse)
      throw new ArgumentError("solve", "record", "false for a solver without reverse", "true");
    this.#check(request);
    this.#record = null;
    const first = record ? this.#tape.begin() : this.#starts[0];
    this.#uploadTimes(request, first);
    const backend = this.#backend;
    backend.copy(first.y!, request.y0);
    this.#runWith(record ? this.#programs.reverse!.initRecorded : this.#programs.init, request.inputs, {
      ...prefixed("ode.", first),
      ...prefixed("ode.", this.#common),
      "next.k1": first.k1,
      "next.dt": first.dt,
      ...this.#initSaves,
    });
    const atStart = request.tEval.map((times) => times.every((t, s) => t === request.tStart[s]));
    request.ys.forEach((ys, j) => {
      if (atStart[j]) backend.copy(ys, request.y0);
      else backend.fill(ys, 0);
    });
    const pending = request.tEval.map((_, j) => j).filter((j) => !atStart[j]);

    const stops = this.#options.onFailure === "stop";
    const attemptsPerCheck = stops ? 1 : backend.attemptsPerCheck;
    const steps = attemptsPerCheck > 1 ? null : Array.from({ length: request.samples }, (): number[] => []);
    const due: number[][] = [];
    let attempts = 0;
    let last = first;
    for (let active = true; active; ) {
      for (let n = 0; n < attemptsPerCheck; n++) {
        const { start, next, saves } = record ? this.#tape.open(attempts) : this.#pingPong(attempts);
        this.#attempt(record, start, next, saves, request.inputs);
        due.push(attemptsPerCheck > 1 ? pending : await this.#dueNow(request, pending, start, next));
        if (steps) await this.#addAccepted(steps, start, next);
        for (const j of due[attempts]!) this.#dense(request, j, start, next);
        if (record) this.#tape.close(attempts);
        last = next;
        attempts++;
      }
      active = (await backend.download(this.#common.active!))[0]! > 0;
      if (stops && (await backend.download(last.status!)).some((code) => code !== STATUS.ok)) break;
    }
    const outcome = await this.#stats(request, last);
    const used = Math.max(1, ...outcome.nSteps);
    if (record) {
      if (used < attempts) {
        // The attempts after the last needed one changed nothing, and their reverse would add nothing.
        this.#tape.truncate(used);
        due.length = used;
      }
    }
    const plan = record ? this.#tape.plan() : null;
    const stats: SolveStats = { ...outcome, steps, nFEvals: this.#evaluations(used), plan };
    if (record) this.#record = { request, stats, attempts: used, due };
    return stats;
  }

  reverse(
    ctYs: readonly (DeviceBuffer | null)[],
    grads: Readonly<Record<string, Bindable>>,
    ctY0: DeviceBuffer | null,
  ): void {
    const record = this.#record;
    const programs = this.#programs.reverse;
    if (!record || !programs)
      throw new SolverError("not-recorded", "reverse: expected a recorded solve before it, got none (record)", {});
    const { request, stats, attempts, due } = record;
    // Its numbers times a cotangent of zero would be NaN, and that in the sums over all samples.
    if (stats.status.includes("nonFinite")) assertSolved(stats);
    const backend = this.#backend;
    const buffers = this.#reverseState();
    const gradBindings: Record<string, Bindable> = {};
    for (const [name, buffer] of Object.entries(grads)) gradBindings[gradName(name)] = buffer;
    const inputs = { ...request.inputs, ...gradBindings };
    let [ct, ctNext] = buffers.cts;
    for (const b of Object.values(ctNext)) backend.fill(b, 0);
    for (let i = attempts - 1; i >= 0; i--) {
      const { start, next, saves } = this.#tape.recall(i, (s, n, v) => this.#attempt(true, s, n, v, request.inputs));
      const values = { ...prefixed("ode.", start), ...prefixed("ode.", this.#common), ...saves };
      const wanted = due[i]!.filter((j) => ctYs[j] != null);
      if (wanted.length > 0) {
        this.#runWith(programs.restage, inputs, { ...values, ...this.#stages });
        for (const b of Object.values(buffers.stages)) backend.fill(b, 0);
        for (const j of wanted) {
          this.#runWith(programs.denseReverse, inputs, {
            ...values,
            ...this.#stages,
            ...prefixed("ct.", buffers.stages),
            "ct.ys": ctYs[j],
            "ode.tEval": this.#tEval[j],
            "ode.tNext": next.t,
          });
        }
      }
      const program = wanted.length > 0 ? programs.attemptReverseDense : programs.attemptReverse;
      this.#runWith(program, inputs, {
        ...values,
        ...prefixed("ct.", buffers.stages),
        ...prefixed("ct.next.", ctNext),
        ...prefixed("ct.", ct),
      });
      this.#tape.forget(i);
      [ct, ctNext] = [ctNext, ct];
    }
    this.#runWith(programs.initReverse, inputs, {
      ...prefixed("ode.", this.#tape.first()),
      ...prefixed("ode.", this.#common),
      ...this.#initSaves,
      ...prefixed("ct.next.", ctNext),
      "ct.y": ctNext.y,
    });
    if (!ctY0) return;
    backend.copy(ctY0, ctNext.y!);
    const atStart = request.tEval.map((_, j) => j).filter((j) => !due.some((d) => d.includes(j)));
    for (const j of atStart) if (ctYs[j]) this.#runWith(this.#addState, {}, { sum: ctY0, term: ctYs[j] });
  }

  dispose(): void {
    this.#tape.dispose();
    for (const b of this.#owned) b.release();
    this.#owned.length = 0;
    this.#bound.clear();
  }

  // ---- pieces of a solve -----------------------------------------------------------------------------------------------

  #check({ samples, tStart, tEnd, tEval, ys, layout, dt0 }: SolveRequest): void {
    if (samples < 1 || samples > this.#lanes)
      throw new ShapeError("solve", "samples", `1 to ${this.#lanes}`, `${samples}`);
    if (layout.panel * layout.panels !== this.#lanes)
      throw new ShapeError("solve", "layout", `${this.#lanes} lanes`, "others");
    const { controller } = this.#options;
    if (controller.type === "replay" && controller.steps.length !== samples)
      throw new ShapeError("solve", "steps", `steps of ${samples} samples to replay`, `${controller.steps.length}`);
    const perSample: [string, readonly number[]][] = [
      ["tStart", tStart],
      ["tEnd", tEnd],
      ...tEval.map((t, j): [string, readonly number[]] => [`tEval[${j}]`, t]),
    ];
    for (const [name, times] of perSample) {
      if (times.length !== samples)
        throw new ShapeError("solve", name, `${samples} times, one per sample`, `${times.length}`);
      const bad = times.findIndex((t) => !Number.isFinite(t));
      if (bad >= 0) throw new ArgumentError("solve", name, "finite times", `${times[bad]} for sample ${bad}`);
    }
    if (this.#options.dt0 === "perSample") {
      const given = dt0?.length ?? 0;
      if (given !== samples) throw new ShapeError("solve", "dt0", `${samples} step sizes, one per sample`, `${given}`);
      const bad = dt0!.findIndex((h) => !(Math.abs(h) > 0 && Number.isFinite(h)));
      if (bad >= 0)
        throw new ArgumentError("solve", "dt0", "finite steps other than 0", `${dt0![bad]} for sample ${bad}`);
    }
    if (ys.length !== tEval.length)
      throw new ShapeError("solve", "ys", `${tEval.length} states, one per evaluation point`, `${ys.length}`);
    const still = tStart.findIndex((t, s) => t === tEnd[s]);
    if (still >= 0)
      throw new ArgumentError("solve", "tEnd", `a time other than tStart for sample ${still}`, `${tEnd[still]}`);
    tEval.forEach((times, j) => {
      times.forEach((t, s) => {
        const inside = (t - tStart[s]!) * (t - tEnd[s]!) <= 0;
        if (!inside)
          throw new ArgumentError(
            "solve",
            `tEval[${j}]`,
            `a time from ${tStart[s]} to ${tEnd[s]} (sample ${s})`,
            `${t}`,
          );
      });
      const before = tEval[j - 1];
      const unordered = before ? times.findIndex((t, s) => (t - before[s]!) * (tEnd[s]! - tStart[s]!) < 0) : -1;
      if (unordered >= 0)
        throw new ArgumentError(
          "solve",
          `tEval[${j}]`,
          "times in the order of integration",
          `${times[unordered]} after ${before![unordered]}`,
        );
      const mixed = times.some((t, s) => t === tStart[s]) && times.some((t, s) => t !== tStart[s]);
      if (mixed) throw new ArgumentError("solve", `tEval[${j}]`, "tStart for all samples or for none", "some of each");
    });
  }

  #uploadTimes({ samples, tStart, tEnd, tEval, dt0: firstSteps }: SolveRequest, first: BufferSet): void {
    const backend = this.#backend;
    const all = (values: (s: number) => number) =>
      Array.from({ length: this.#lanes }, (_, lane) => values(Math.min(lane, samples - 1)));
    const common = this.#common;
    backend.upload(
      common.tEnd!,
      all((s) => tEnd[s]!),
    );
    backend.upload(
      common.tMin!,
      all((s) => Math.min(tStart[s]!, tEnd[s]!)),
    );
    backend.upload(
      common.tMax!,
      all((s) => Math.max(tStart[s]!, tEnd[s]!)),
    );
    backend.upload(
      common.dir!,
      all((s) => (tEnd[s]! > tStart[s]! ? 1 : -1)),
    );
    const { dt0, controller } = this.#options;
    if (controller.type === "replay") backend.upload(common.steps!, replayTable(controller, tStart, tEnd, this.#lanes));
    if (dt0 !== undefined) {
      const size = (s: number) => Math.abs(dt0 === "perSample" ? firstSteps![s]! : dt0);
      backend.upload(
        common.dt0!,
        all((s) => (tEnd[s]! > tStart[s]! ? size(s) : -size(s))),
      );
    }
    backend.upload(
      first.t!,
      all((s) => tStart[s]!),
    );
    for (const name of ["running", "ratio1", "ratio2"] as const) backend.fill(first[name]!, 1);
    for (const name of ["nSteps", "nAccepted", "status"] as const) backend.fill(first[name]!, 0);
    while (this.#tEval.length < tEval.length)
      this.#tEval.push(this.#own(`tEval ${this.#tEval.length}`, { t: this.#lanes }).t!);
    tEval.forEach((times, j) => {
      backend.upload(
        this.#tEval[j]!,
        all((s) => times[s]!),
      );
    });
  }

  #pingPong(i: number): { start: BufferSet; next: BufferSet; saves: null } {
    return { start: this.#starts[i % 2]!, next: this.#starts[(i + 1) % 2]!, saves: null };
  }

  #attempt(
    record: boolean,
    start: BufferSet,
    next: BufferSet,
    saves: BufferSet | null,
    inputs: Readonly<Record<string, Bindable>>,
  ): void {
    const program = record && saves ? this.#programs.reverse!.attemptRecorded : this.#programs.attempt;
    this.#runWith(program, inputs, {
      ...prefixed("ode.", start),
      ...prefixed("ode.", this.#common),
      ...prefixed("next.", next),
      active: this.#common.active,
      accept: this.#common.accept,
      errorRatio: this.#common.errorRatio,
      ...this.#stages,
      ...saves,
    });
  }

  #dense(request: SolveRequest, j: number, start: BufferSet, next: BufferSet): void {
    this.#runWith(this.#programs.dense, request.inputs, {
      ...prefixed("ode.", start),
      "ode.dir": this.#common.dir,
      ...this.#stages,
      "ode.tEval": this.#tEval[j],
      "ode.tNext": next.t,
      ys: request.ys[j],
    });
  }

  /** Evaluation points that some sample passed in the attempt from `start` to `next`. */
  async #dueNow(
    request: SolveRequest,
    pending: readonly number[],
    start: BufferSet,
    next: BufferSet,
  ): Promise<number[]> {
    const before = await this.#backend.download(start.t!);
    const after = await this.#backend.download(next.t!);
    const { tStart, tEnd, samples } = request;
    const reached = (t: number, te: number, s: number) => (tEnd[s]! > tStart[s]! ? te <= t : te >= t);
    // The device compares in its own precision, so the host rounds its copy of the evaluation time likewise.
    const round = this.#backend.dtype === "f32" ? Math.fround : (x: number) => x;
    return pending.filter((j) => {
      for (let s = 0; s < samples; s++) {
        const te = round(request.tEval[j]![s]!);
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

  async #stats(request: SolveRequest, last: BufferSet): Promise<Omit<SolveStats, "steps" | "nFEvals" | "plan">> {
    const read = async (name: (typeof PER_SAMPLE)[number]) =>
      Array.from(await this.#backend.download(last[name]!)).slice(0, request.samples);
    const running = await read("running");
    const status = (await read("status")).map((code, s) => (running[s]! > 0 ? "stopped" : statusName(code)));
    return {
      status,
      nSteps: await read("nSteps"),
      nAccepted: await read("nAccepted"),
      t: await read("t"),
      dt: await read("dt"),
    };
  }

  #evaluations(attempts: number): number {
    const { dt0, controller, tableau } = this.#options;
    const { fsal, stages } = tableau;
    const given = dt0 !== undefined || controller.type === "replay";
    const atStart = given ? (fsal ? 1 : 0) : 2;
    return atStart + attempts * (fsal ? stages - 1 : stages);
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
      let executable = this.#executables.get(program);
      if (!executable) {
        executable = this.#backend.compile(program, this.#layout);
        this.#executables.set(program, executable);
      }
      bound = this.#backend.bind(executable, bindings);
      this.#bound.set(key, bound);
    }
    this.#backend.run(bound);
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
 * The table of the replay controller: [step][lane]. From the last recorded step on, the whole interval: what is left of it is where
 * the device cuts, so that rounding of t neither stops short of the end nor passes it.
 */
function replayTable(
  controller: ReplayController,
  tStart: readonly number[],
  tEnd: readonly number[],
  lanes: number,
): Float64Array {
  const table = new Float64Array(replayDepth(controller) * lanes);
  for (let i = 0; i < table.length; i++) {
    const [step, sample] = [Math.floor(i / lanes), Math.min(i % lanes, controller.steps.length - 1)];
    const steps = controller.steps[sample]!;
    table[i] = step < steps.length - 1 ? steps[step]! : tEnd[sample]! - tStart[sample]!;
  }
  return table;
}

/** sum += term, for states. */
function addProgram(rows: number): Program {
  const g = new Graph();
  g.store("sum", g.state("term", rows), { accumulate: true });
  return lower(g, "add");
}

function prefixed(prefix: string, set: BufferSet): BufferSet {
  return Object.fromEntries(Object.entries(set).map(([name, buffer]) => [prefix + name, buffer]));
}

function perSample(lanes: number): Record<string, number> {
  return Object.fromEntries(PER_SAMPLE.map((name) => [name, lanes]));
}

/** Buffer lengths of values by binding name. */
function lengths(values: ReadonlyMap<string, Value>, lanes: number): Record<string, number> {
  const shapes: Record<string, number> = {};
  for (const [name, v] of values) shapes[name] = v.rows * (v.kind === "state" || v.kind === "sample" ? lanes : 1);
  return shapes;
}
