// The rate model in discrete time: steps from state to state. A tape keeps what the reverse pass needs, within a budget of memory.

import type { Bindable, DeviceBuffer } from "../../backend/backend.ts";
import { Desk } from "../../backend/desk.ts";
import { layoutKey } from "../../backend/layout.ts";
import type { Program } from "../../backend/program.ts";
import { yieldToEventLoop } from "../../core/abort.ts";
import { bytesOf } from "../../core/dtype.ts";
import { ArgumentError } from "../../core/errors.ts";
import { orRelease } from "../../core/release.ts";
import { addProgram } from "../../ode/programs.ts";
import type { StartedSolve } from "../../ode/request.ts";
import { lengths } from "../../ode/solverDesk.ts";
import type { SolveStats } from "../../ode/solveStats.ts";
import { type BufferSet, Tape } from "../../ode/tape.ts";
import { initialStateOf, restOf } from "../initialState.ts";
import { interventionsAtRest } from "../interventions.ts";
import { discreteStep } from "../rateDynamics.ts";
import { type ChunkBuffers, variantOf } from "./chunks.ts";
import type { Evolution } from "./evolution.ts";
import { type ConeRows, LightCone } from "./lightCone.ts";
import type { NetworkParameters } from "./parameters.ts";
import { type FirstStep, type StepPrograms, stepPrograms } from "./stepPrograms.ts";
import { type StepOptions, type Steps, stepsOf } from "./steps.ts";

export type { StepOptions } from "./steps.ts";

/** How a network in discrete time is run. */
export interface StepSettings {
  /**
   * Most bytes for the record of the reverse pass; default: what the device's `tapeBudgetBytes` says. Steps beyond it, or beyond what the
   * device has, are run again in the reverse pass, to the same bits; `stats` reports it (`plan`).
   */
  readonly memoryBudgetBytes?: number;
  /**
   * Whether a training step, or an evaluation of its loss, leaves out what cannot matter for the outputs: connections at a step that is too
   * late for them to reach a neuron that is read out, and products with a state of zeros. The numbers are the same. Default true; false is for comparison.
   */
  readonly lightCone?: boolean;
}

const WHERE = "ConnectomeRNN";

/** h ← discreteStep, from the initial state. Steps do not fail. */
export function stepEvolution(model: NetworkParameters, settings: StepSettings = {}): Evolution<StepOptions> {
  const { backend, options } = model;
  const { memoryBudgetBytes = backend.tapeBudgetBytes, lightCone = true } = settings;
  if (!(memoryBudgetBytes >= 0))
    throw new ArgumentError(WHERE, "memoryBudgetBytes", "a number of at least 0", `${memoryBudgetBytes}`);
  if (typeof lightCone !== "boolean")
    throw new ArgumentError(WHERE, "lightCone", "true or false", `${JSON.stringify(lightCone)}`);
  const runs = new Map<string, StepRun>();
  const cone = new LightCone(model);
  /** The last recorded run. */
  let recorded: { readonly run: StepRun; readonly work: StepWork } | null = null;

  const runFor = (chunk: ChunkBuffers): StepRun => {
    const { active, desk: itsDesk } = chunk;
    const { layout } = itsDesk;
    const key = `${layoutKey(layout)} ${variantOf(chunk)}`;
    const known = runs.get(key);
    if (known) return known;
    const shape = model.rateShape(1, active);
    const programs = stepPrograms((g, h) => discreteStep(g, shape, h), options.numNeurons, model.trainedLeaves());
    const desk = new Desk(backend, layout, WHERE);
    const made = orRelease(desk, () => new StepRun(desk, model, programs, memoryBudgetBytes));
    runs.set(key, made);
    return made;
  };

  return {
    refusesNonFinite: true,
    readsAnyFrame: false,
    shapeOf: ({ steps: frames, batch }, evaluation) => {
      const { count, perOutput } = stepsOf(frames, evaluation);
      const { numNeurons, inputSize } = options;
      const rest = restOf(WHERE, evaluation.h0, inputSize, "steps");
      return {
        h0: () => initialStateOf(WHERE, evaluation, batch, numNeurons),
        rest: rest && { input: rest.input, evaluation: restEvaluation(rest.length, evaluation) },
        ts: Float64Array.from({ length: count / perOutput }, (_, j) => (j + 1) * perOutput),
        schedule: null,
      };
    },
    evolve: async (chunk, count, evaluation, purpose) => {
      const run = runFor(chunk);
      const steps = stepsOf(chunk.input.frames, evaluation);
      const record = purpose === "gradients";
      const work = new StepWork(cone, chunk, steps, { record, isWhole: !lightCone });
      recorded = null;
      const stats = await run.forward(chunk, count, work, evaluation, record);
      if (record) recorded = { run, work };
      return { complete: run.complete, record: () => [], poll: async () => stats } satisfies StartedSolve;
    },
    checkSolved: () => {},
    reverse: (chunk, ctHs, grads) => {
      const { run, work } = recorded!;
      run.reverse(chunk, ctHs, grads, work);
    },
    release: () => {
      for (const run of runs.values()) run.release();
      runs.clear();
      cone.release();
      recorded = null;
    },
  };
}

/** Evaluation of a run to rest: its only output is the last state. */
function restEvaluation(steps: number, { signal, interventions = null }: StepOptions): StepOptions {
  const held = interventionsAtRest(interventions);
  return { numSteps: 1, recurrences: steps, interventions: held, ...(signal ? { signal } : {}) };
}

/** The work of each step of a run. */
class StepWork {
  readonly steps: Steps;
  readonly #cone: LightCone;
  readonly #startsFromZeros: boolean;
  /** The last step whose state is read out; null: every neuron counts at every step. */
  readonly #lastRead: number | null;

  /** @param isWhole  nothing is to be left out */
  constructor(
    cone: LightCone,
    { startsAtZero, reads, hs }: ChunkBuffers,
    steps: Steps,
    { record, isWhole }: { readonly record: boolean; readonly isWhole: boolean },
  ) {
    const outputsOnly = reads === "outputs";
    this.steps = steps;
    this.#cone = cone;
    // The reverse of the first step then has no cotangent of the initial state.
    this.#startsFromZeros = !isWhole && startsAtZero && (!record || outputsOnly);
    this.#lastRead =
      isWhole || !outputsOnly ? null : (hs.findLastIndex((h) => h !== undefined) + 1) * steps.perOutput - 1;
  }

  /** Whether the reverse leaves out steps to which no cotangent flows back: they are later than all outputs, or in a window without one. */
  get sparesZeros(): boolean {
    return this.#lastRead !== null;
  }

  /** What a step may do without: see StepPrograms. */
  isFromZeros(k: number): boolean {
    return k === 0 && this.#startsFromZeros;
  }

  /** The rows of W that matter in step k. */
  rowsAt(k: number): ConeRows {
    return this.#lastRead === null ? this.#cone.whole : this.#cone.at(Math.max(0, this.#lastRead - k));
  }
}

/** Runs in one panel layout. */
class StepRun {
  /** Scalar 1: steps are complete once they are enqueued. */
  readonly complete: DeviceBuffer;
  readonly #desk: Desk;
  readonly #model: NetworkParameters;
  readonly #programs: StepPrograms;
  readonly #tape: Tape;

  constructor(desk: Desk, model: NetworkParameters, programs: StepPrograms, budgetBytes: number) {
    const { backend } = desk;
    const state = model.options.numNeurons * desk.lanes;
    const saves = lengths(programs.saves, desk.lanes);
    const tape = new Tape(backend, { h: state }, saves, bytesOf(backend.dtype), budgetBytes);
    this.#desk = desk;
    this.#model = model;
    this.#programs = programs;
    desk.own({ release: () => tape.dispose() });
    this.#tape = tape;
    this.complete = desk.vector("complete", 1);
    backend.fill(this.complete, 1);
  }

  /** Enqueues the steps of a chunk; with `record`, `reverse` can go back through them. */
  async forward(
    chunk: ChunkBuffers,
    samples: number,
    work: StepWork,
    { signal }: StepOptions,
    record: boolean,
  ): Promise<SolveStats> {
    const { count } = work.steps;
    this.#desk.nextRound();
    if (record) await this.#record(chunk, work, signal);
    else await this.#pass(chunk, work, signal);
    const each = <T>(value: T): T[] => new Array<T>(samples).fill(value);
    return {
      time: "discrete",
      nSteps: each(count),
      nAccepted: each(count),
      steps: null,
      nFEvals: count,
      status: each("success" as const),
      t: each(count),
      dt: each(1),
      plan: record ? this.#tape.plan() : null,
      connections: {
        all: this.#model.walked,
        read: Array.from({ length: count }, (_, k) => (this.#first(work, k) ? 0 : work.rowsAt(k).connections)),
      },
    };
  }

  /** The programs of step k, if it may do without a product. */
  #first(work: StepWork, k: number): FirstStep | null {
    return work.isFromZeros(k) ? this.#programs.first : null;
  }

  async #pass(chunk: ChunkBuffers, work: StepWork, signal: AbortSignal | undefined): Promise<void> {
    const { steps } = work;
    const inTurn = [this.#state("h a"), this.#state("h b")] as const;
    let h = chunk.y0;
    for (let k = 0; k < steps.count; k++) {
      await yieldToEventLoop(signal);
      const next = outputAfter(k, chunk.hs, steps) ?? inTurn[k % 2]!;
      this.#step(this.#first(work, k)?.step ?? this.#programs.step, chunk, work, k, { h, next });
      h = next;
    }
  }

  async #record(chunk: ChunkBuffers, work: StepWork, signal: AbortSignal | undefined): Promise<void> {
    const { backend } = this.#desk;
    const { steps } = work;
    // The reverse pass gets its memory before the tape takes what there is.
    this.#state("ct");
    const first = await this.#tape.begin(steps.count);
    backend.copy(first.h!, chunk.y0);
    for (let k = 0; k < steps.count; k++) {
      await yieldToEventLoop(signal);
      const { start, next, saves } = await this.#tape.open(k);
      this.#take(chunk, work, k, start, next, saves);
      const output = outputAfter(k, chunk.hs, steps);
      if (output) backend.copy(output, next.h!);
      await this.#tape.close(k);
    }
  }

  /** Step k from the record `start` to `next`. */
  #take(
    chunk: ChunkBuffers,
    work: StepWork,
    k: number,
    start: BufferSet,
    next: BufferSet,
    saves: BufferSet | null,
  ): void {
    const { step, recorded } = this.#programs;
    const program = this.#first(work, k)?.step ?? (saves ? recorded : step);
    this.#step(program, chunk, work, k, { ...saves, h: start.h!, next: next.h! });
  }

  #step(
    program: Program,
    { input, active }: ChunkBuffers,
    work: StepWork,
    k: number,
    own: Readonly<Record<string, Bindable>>,
  ): void {
    const drives = input.drives(Math.floor(k / work.steps.perFrame));
    const fixed = this.#model.dynamicsInputs(work.rowsAt(k).matrix);
    this.#desk.run(program, own, fixed, { ...active?.rows, ...drives });
  }

  /** Goes back through the last recorded run; see Evolution. */
  reverse(
    chunk: ChunkBuffers,
    ctHs: readonly (DeviceBuffer | null | undefined)[],
    grads: Readonly<Record<string, DeviceBuffer>>,
    work: StepWork,
  ): void {
    const { steps } = work;
    const { input, ctY0 } = chunk;
    const { count, perFrame, perWindow } = steps;
    const { backend } = this.#desk;
    const { reverse } = this.#programs;
    const gradBindings = gradsOf(grads);
    const add = this.#desk.program("add", () => addProgram(this.#model.options.numNeurons));
    // Each step reads one and writes the other; the last one writes ctY0.
    const cts = [ctY0, this.#state("ct")] as const;
    backend.fill(cts[count % 2]!, 0);
    let ctDrives: Readonly<Record<string, DeviceBuffer>> = {};
    let flows = false;
    for (let k = count - 1; k >= 0; k--) {
      const [ctNext, ctH] = [cts[(k + 1) % 2]!, cts[k % 2]!];
      // The cotangent of the state after a step: from later steps, none across the border of a window, plus that of the output.
      if ((k + 1) % perWindow === 0 && k + 1 < count) {
        backend.fill(ctNext, 0);
        flows = false;
      }
      const term = outputAfter(k, ctHs, steps);
      if (term) this.#desk.run(add, { sum: ctNext, term });
      flows ||= term !== undefined && term !== null;
      const frame = Math.floor(k / perFrame);
      if ((k + 1) % perFrame === 0) ctDrives = gradsOf(input.cotangents(frame));
      if (!flows && work.sparesZeros) {
        backend.fill(ctH, 0);
        if (k % perFrame === 0) input.pull(frame);
        continue;
      }
      const { start, saves } = this.#tape.recall(k, (from, to, record, j) =>
        this.#take(chunk, work, j, from, to, record),
      );
      this.#step(this.#first(work, k)?.reverse ?? reverse, chunk, work, k, {
        ...saves,
        ...gradBindings,
        ...ctDrives,
        h: start.h!,
        "ct.next": ctNext,
        "ct.h": ctH,
      });
      this.#tape.forget(k);
      if (k % perFrame === 0) input.pull(frame);
    }
  }

  #state(name: string): DeviceBuffer {
    return this.#desk.state(name, this.#model.options.numNeurons);
  }

  release(): void {
    this.#desk.release();
  }
}

/** Gradients by leaf, as programs bind them. */
function gradsOf(grads: Readonly<Record<string, DeviceBuffer>>): Readonly<Record<string, DeviceBuffer>> {
  return Object.fromEntries(Object.entries(grads).map(([leaf, b]) => [`grad.${leaf}`, b]));
}

/** What belongs to the output after step k; undefined: there is none, or it is not wanted. */
function outputAfter<T>(k: number, ofOutputs: readonly T[], { perOutput }: Steps): T | undefined {
  return (k + 1) % perOutput === 0 ? ofOutputs[(k + 1) / perOutput - 1] : undefined;
}
