// The buffers of a solver for one panel layout, and its forward programs run on them.

import type { Bindable, DeviceBuffer } from "../backend/backend.ts";
import type { Bindings, Desk } from "../backend/desk.ts";
import type { Program } from "../backend/program.ts";
import type { Value } from "../ops/value.ts";
import { controlNumbers } from "./control.ts";
import type { Jumps } from "./jumps.ts";
import { type OdeSystem, replayDepth, stageName } from "./method.ts";
import { type SolverPrograms, startPointProgram } from "./programs.ts";
import { replayTable } from "./replay.ts";
import type { Schedule, SolveRequest, SolverOptions } from "./request.ts";
import { boundName } from "./segments.ts";
import type { BufferSet, Shapes } from "./tape.ts";

const AXES = ["t", "elapsed"] as const;
const BOUNDS = ["low", "high"] as const;
/** Per sample: leaves that a solve does not change, and what an attempt says of itself. */
const PER_SAMPLE = [
  "origin",
  "tStart",
  "tEnd",
  "tMin",
  "tMax",
  "dir",
  "dt0",
  "firstEnd",
  "none",
  "accept",
  "errorRatio",
] as const;
/** Over all samples. */
const SCALARS = ["complete", "stillActive", "always", "noVoids"] as const;

/** Void trial steps are found by one run and known in the next: two runs, in this order, leave a record without them. */
export const VOIDS = ["unknown", "known"] as const;

export type Voids = (typeof VOIDS)[number];

export class SolverDesk {
  readonly desk: Desk;
  readonly programs: SolverPrograms;
  /** Most segments between jump times; 0: there are no jump times. */
  readonly segments: number;
  /** Lengths of the buffers that an attempt starts from, and of those that a recorded one leaves for its reverse. */
  readonly startLengths: Shapes;
  readonly savesLengths: Shapes;
  readonly #options: SolverOptions;
  readonly #rows: number;
  readonly #common: Readonly<Record<(typeof PER_SAMPLE | typeof SCALARS)[number], DeviceBuffer>>;
  /** For solves with a reverse pass: per sample, whether the last trial step was void, twice; void steps of all samples so far. */
  readonly #voids: Readonly<Record<"void" | "voidAgain" | "voids", DeviceBuffer>> | null;
  /** For the replay controller. */
  readonly #steps: DeviceBuffer | null;
  readonly #tables: BufferSet;
  /** Time of each evaluation point. */
  readonly #tEval: DeviceBuffer[] = [];
  /** What every program may read besides what the attempt before left. */
  readonly leaves: BufferSet;
  readonly stages: BufferSet;
  readonly initSaves: BufferSet;
  /** Starting states of attempts that keep no record, in turn. */
  readonly #starts: readonly [BufferSet, BufferSet];

  /** @param segments  most segments between jump times; 0: there are no jump times */
  constructor(desk: Desk, system: OdeSystem, options: SolverOptions, programs: SolverPrograms, segments: number) {
    this.desk = desk;
    this.programs = programs;
    this.segments = segments;
    this.#options = options;
    const { lanes } = desk;
    const { reverse } = programs;
    const { controller, tableau } = options;
    this.#rows = system.rows;
    const n = system.rows * lanes;
    const numbers = controlNumbers(segments > 0, reverse !== null).map(({ name }) => name);
    this.startLengths = { y: n, ...(tableau.fsal ? { k1: n } : {}), ...eachOf(numbers, lanes), active: 1 };
    this.savesLengths = reverse ? lengths(reverse.attemptSaves, lanes) : {};
    this.#common = desk.vectors("solve", { ...eachOf(PER_SAMPLE, lanes), ...eachOf(SCALARS, 1) });
    this.#voids = reverse ? desk.vectors("solve", { ...eachOf(["void", "voidAgain"], lanes), voids: 1 }) : null;
    this.#steps = controller.type === "replay" ? desk.vector("solve steps", lanes * replayDepth(controller)) : null;
    const bounds = AXES.flatMap((axis) => BOUNDS.map((which) => boundName(which, axis)));
    this.#tables = desk.vectors(
      "segments",
      eachOf(segments > 0 ? ["ode.segmentEnds", ...bounds] : [], lanes * segments),
    );
    this.leaves = {
      ...prefixed("ode.", this.#common),
      ...this.#tables,
      "ode.segment": this.#common.none,
      ...(this.#steps ? { "ode.steps": this.#steps } : {}),
    };
    const stored = tableau.b.flatMap((_, i) => (i === 0 && tableau.fsal ? [] : [stageName(i)]));
    this.stages = desk.vectors("stages", eachOf(["stage.y1", ...stored], n));
    this.initSaves = desk.vectors("init", reverse ? lengths(reverse.initSaves, lanes) : {});
    this.#starts = [desk.vectors("start a", this.startLengths), desk.vectors("start b", this.startLengths)];
    desk.backend.fill(this.#common.always, 1);
  }

  /** Scalar: 1 when the solve is complete and its record fit for the reverse pass. */
  get complete(): DeviceBuffer {
    return this.#common.complete;
  }

  /** Scalar: void trial steps of a recorded solve, over all samples. */
  get voids(): DeviceBuffer {
    return this.#voids!.voids;
  }

  /** Zeros, a number per sample. */
  get none(): DeviceBuffer {
    return this.#common.none;
  }

  /** Per sample, 1 where the trial step of the last run was void. */
  get void(): DeviceBuffer {
    return this.#voids!.void;
  }

  /** The scalar 1. */
  get always(): DeviceBuffer {
    return this.#common.always;
  }

  /** Per sample: jump times from one border of a window to the next. */
  get window(): DeviceBuffer {
    return this.desk.sample("window");
  }

  /** Time of evaluation point j. */
  tEval(j: number): DeviceBuffer {
    return this.#tEval[j]!;
  }

  /** Scalar: whether some sample passes evaluation point j in an attempt. */
  due(attempt: number, j: number): DeviceBuffer {
    return this.desk.vector(`due ${attempt} ${j}`, 1);
  }

  /** Buffers of attempt i where nothing is recorded. */
  pingPong(i: number): { start: BufferSet; next: BufferSet; saves: null } {
    return { start: this.#starts[i % 2]!, next: this.#starts[(i + 1) % 2]!, saves: null };
  }

  // ---- what a solve starts with ------------------------------------------------------------------------------------------

  upload(request: SolveRequest, { timeline, jumps }: Schedule): void {
    const { samples, tStart, tEnd, tEval, dt0: firstSteps, window } = request;
    const { dt0, controller } = this.#options;
    const common = this.#common;
    const set = (target: DeviceBuffer, value: (s: number) => number) => this.desk.setSamples(target, samples, value);
    const start = (s: number) => timeline.device(tStart[s]!, s);
    const end = (s: number) => timeline.device(tEnd[s]!, s);
    const dir = (s: number) => (tEnd[s]! > tStart[s]! ? 1 : -1);
    set(common.origin, (s) => timeline.origin[s]!);
    set(common.tStart, start);
    set(common.tEnd, end);
    set(common.tMin, (s) => Math.min(start(s), end(s)));
    set(common.tMax, (s) => Math.max(start(s), end(s)));
    set(common.dir, dir);
    if (controller.type === "replay") {
      const table = replayTable(controller, request, jumps, this.desk.lanes);
      this.desk.set(this.#steps!, (k) => table[k]!);
    }
    if (dt0 !== undefined) set(common.dt0, (s) => dir(s) * Math.abs(dt0 === "perSample" ? firstSteps![s]! : dt0));
    if (jumps) this.#uploadSegments(samples, jumps);
    if (window) set(this.window, () => window);
    tEval.forEach((times, j) => {
      this.#tEval[j] ??= this.desk.sample(`tEval ${j}`);
      set(this.#tEval[j], (s) => timeline.device(times[s]!, s));
    });
  }

  #uploadSegments(samples: number, jumps: Jumps): void {
    const { desk } = this;
    const { lanes } = desk;
    const set = (name: string, value: (sample: number, segment: number) => number) =>
      desk.set(this.#tables[name]!, (k) => value(Math.min(k % lanes, samples - 1), Math.floor(k / lanes)));
    desk.setSamples(this.#common.firstEnd, samples, (s) => jumps.end(s, 0));
    set("ode.segmentEnds", (s, segment) => jumps.end(s, segment));
    for (const axis of AXES)
      for (const which of BOUNDS) set(boundName(which, axis), (s, segment) => jumps.bound(axis, which, s, segment));
  }

  // ---- programs ----------------------------------------------------------------------------------------------------------

  /** Slope and step size at the start → what the first attempt starts from. */
  init({ inputs, y0, record }: SolveRequest, first: BufferSet, voids: Voids = "unknown"): void {
    this.run(record ? this.programs.reverse!.initRecorded : this.programs.init, inputs, {
      ...this.leaves,
      "ode.y": y0,
      "ode.t": this.#common.tStart,
      "ode.nSteps": this.none,
      ...prefixed("next.", first),
      ...this.initSaves,
      ...this.#voidsOf(voids),
    });
  }

  /** @param saves  where to record the attempt; null: nowhere */
  attempt(
    { record, inputs }: SolveRequest,
    start: BufferSet,
    next: BufferSet,
    saves: BufferSet | null,
    voids: Voids = "unknown",
  ): void {
    const { stillActive, accept, errorRatio } = this.#common;
    this.run(record && saves ? this.programs.reverse!.attemptRecorded : this.programs.attempt, inputs, {
      ...this.leaves,
      ...prefixed("ode.", start),
      ...prefixed("next.", next),
      active: stillActive,
      accept,
      errorRatio,
      voids: this.#voids?.voids,
      ...this.stages,
      ...saves,
      ...this.#voidsOf(voids),
    });
  }

  /** Bindings of a run that finds the samples whose trial step is void, or of one that knows them. Solves without reverse track none. */
  #voidsOf(voids: Voids): Bindings {
    if (!this.#voids) return {};
    const { void: found, voidAgain } = this.#voids;
    return voids === "unknown" ? { "ode.void": this.none, isVoid: found } : { "ode.void": found, isVoid: voidAgain };
  }

  dense(request: SolveRequest, attempt: number, j: number, start: BufferSet, next: BufferSet): void {
    this.run(this.programs.dense, request.inputs, {
      ...prefixed("ode.", start),
      "ode.dir": this.#common.dir,
      ...this.stages,
      "ode.tEval": this.tEval(j),
      "ode.tNext": next.t,
      ys: request.ys[j],
      due: this.due(attempt, j),
    });
  }

  /** sum += term, for the samples that start at evaluation point j. */
  addAtStart(j: number, sum: DeviceBuffer, term: DeviceBuffer): void {
    const program = this.desk.program("startPoint", () => startPointProgram(this.#rows));
    this.desk.run(program, { "ode.tEval": this.tEval(j), "ode.tStart": this.#common.tStart, sum, term });
  }

  /** Finds whether the solve is complete. */
  completion({ record }: SolveRequest): void {
    const { stillActive: active, complete, noVoids } = this.#common;
    this.run(this.programs.completion, {}, { active, complete, voids: record ? this.voids : noVoids });
  }

  /** Runs a program on whichever of the buffers it names, the solver's own before the inputs of the right-hand side. */
  run(program: Program, inputs: Readonly<Record<string, Bindable>>, own: Bindings): void {
    this.desk.run(program, own, inputs);
  }
}

/** Results of `prefixed` by set and prefix: attempts use the same sets again and again. */
const renamed = new WeakMap<BufferSet, Map<string, BufferSet>>();

/** The same buffers by their names as bindings. */
export function prefixed(prefix: string, set: BufferSet): BufferSet {
  const ofSet = renamed.get(set) ?? new Map<string, BufferSet>();
  renamed.set(set, ofSet);
  const known = ofSet.get(prefix);
  if (known) return known;
  const made = Object.fromEntries(Object.entries(set).map(([name, buffer]) => [prefix + name, buffer]));
  ofSet.set(prefix, made);
  return made;
}

/** The same length for each name. */
export function eachOf<Name extends string>(names: readonly Name[], length: number): Record<Name, number> {
  return Object.fromEntries(names.map((name) => [name, length])) as Record<Name, number>;
}

/** Buffer lengths of values by binding name. */
export function lengths(values: ReadonlyMap<string, Value>, lanes: number): Shapes {
  const shapes: Record<string, number> = {};
  for (const [name, v] of values) shapes[name] = v.rows * (v.kind === "state" || v.kind === "sample" ? lanes : 1);
  return shapes;
}
