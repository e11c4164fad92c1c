// ConnectomeODERNN: the connectome rate model in continuous time.

import type { Backend, DeviceBuffer } from "../backend/backend.ts";
import { Constants } from "../backend/constants.ts";
import { lanesOf } from "../backend/layout.ts";
import type { Abortable } from "../core/abort.ts";
import { ArgumentError } from "../core/errors.ts";
import { checkNames } from "../core/optionNames.ts";
import type { Controller } from "../ode/method.ts";
import type { StartedSolve } from "../ode/request.ts";
import { OdeSolver } from "../ode/solve.ts";
import { assertSolved, failedSamples, type SolveStats } from "../ode/solveStats.ts";
import type { Tableau } from "../ode/tableau.ts";
import { tableauByName } from "../ode/tableaus/index.ts";
import { evaluationSchedule } from "./evaluationTimes.ts";
import { type InitialStateOptions, initialState } from "./initialState.ts";
import type { SampleLoss } from "./lossCotangents.ts";
import {
  type ChunkBuffers,
  ConnectomeNetwork,
  type NetworkOutputs,
  type RunPurpose,
  type RunShape,
} from "./network.ts";
import type { ConnectomeNetworkOptions, InputGradients, ModelInput } from "./options.ts";
import type { ParameterSet } from "./parameters.ts";
import { rateDynamics } from "./rateDynamics.ts";
import { rowAt } from "./samples.ts";

/**
 * What a sample that does not reach its end (too many steps, too small ones, numbers that are not finite) means for its batch:
 *
 * - "throw": a SolverError that names it;
 * - "mask": the others go on as if it were not there. Its states are NaN from where it failed on, `stats.status` tells; it has no
 *   weight in losses and gradients, which are those of a batch without it, to the bit;
 * - "stop": as in torchode, the solve ends for all samples that are solved together. `forward` gives what there is by then, NaN for the
 *   rest; gradients and losses are refused with a SolverError.
 */
export type FailurePolicy = "throw" | "mask" | "stop";

export const FAILURE_POLICIES: readonly FailurePolicy[] = ["throw", "mask", "stop"];

/** How the ODE is solved. */
export interface SolveOptions {
  /** A method by its name, e.g. "tsit5"; default "dopri5". "exponentialEuler" takes fixed steps dt0. */
  readonly method?: string;
  /** Instead of `method`: one of your own. */
  readonly tableau?: Tableau;
  /** Default: the integral controller with atol and rtol. */
  readonly controller?: Controller;
  /** Default 1e-6. */
  readonly atol?: number;
  /** Default 1e-3. */
  readonly rtol?: number;
  /** Attempts per sample; default 1000, and 10 more for each frame of a sequence after the first. */
  readonly maxSteps?: number;
  /** First step; default: found by the heuristic. */
  readonly dt0?: number;
  /** true: every step has size dt0 and is accepted. */
  readonly fixedStep?: boolean;
  /**
   * Steps end where one frame of a sequence gives way to the next, so that the input never jumps inside a step; default true. false: steps
   * go across frames, as in torchode. That costs rejected steps, and gradients through step-size control are then wrong at any
   * tolerance; combine it with `backpropThroughStepSizeControl: false` unless you want torchode's numbers.
   */
  readonly stepsEndAtFrames?: boolean;
  /** Default "throw". */
  readonly onFailure?: FailurePolicy;
  /**
   * Gradients flow through the step-size control; default true, as in torchode. true: the exact derivative of the numbers computed.
   * false: step sizes count as constants. Both tend to the gradient of the exact solution as the tolerance shrinks, provided that the
   * right-hand side jumps inside no step; where it does (`stepsEndAtFrames: false`, a jump of your own without jump times), only false
   * does.
   */
  readonly backpropThroughStepSizeControl?: boolean;
  /** Most bytes for the record of the reverse pass; default: what the device's `tapeBudgetBytes` says. */
  readonly memoryBudgetBytes?: number;
}

/** A network in continuous time, and how it is solved. */
export interface ConnectomeODERNNOptions extends ConnectomeNetworkOptions {
  readonly solve?: SolveOptions;
}

/**
 * At which times a network in continuous time is evaluated, and from which state.
 *
 * A sequence of T frames fills the interval: frame k holds from startTime + k·(endTime − startTime)/T up to the next one, the last one up to
 * endTime. The interval may lie anywhere in time and run backwards. See `SolveOptions.stepsEndAtFrames`.
 */
export interface EvaluationOptions extends Abortable, InitialStateOptions {
  /** Evaluation times, equally spaced from start to end, both included; default 2. */
  readonly numEvals?: number;
  /** Instead of `numEvals`: evaluation times in the order of integration, from startTime to endTime; at least one. */
  readonly times?: ArrayLike<number>;
  /** Where the solve starts from the initial state; default 0. */
  readonly startTime?: number;
  /** Where it ends; default the last of `times`, else 1. */
  readonly endTime?: number;
}

/** States and outputs of a network at its evaluation times. */
export interface Trajectory extends NetworkOutputs {
  /** The evaluation times, in double precision. */
  readonly ts: Float64Array;
}

const WHERE = "ConnectomeODERNN";
const DEFAULT_MAX_STEPS = 1000;
const STEPS_PER_FRAME = 10;
/** Single precision still tells the borders of so many frames apart. */
const MOST_FRAMES = 2 ** 20;

/** Every option of an evaluation. */
const EVALUATION_OPTIONS: Readonly<Record<keyof EvaluationOptions, true>> = {
  numEvals: true,
  times: true,
  startTime: true,
  endTime: true,
  h0: true,
  h0Seed: true,
  signal: true,
};

/** dh/dt = ( relu( φ( U·x(t) + W·(s ⊙ h) + b ) ) − h ) / τ, solved per sample; see rateDynamics. */
export class ConnectomeODERNN extends ConnectomeNetwork<EvaluationOptions> {
  readonly #solve: SolveOptions;
  readonly #method: { readonly tableau: Tableau; readonly controller: Controller };
  readonly #constants: Constants;
  readonly #solvers = new Map<number, OdeSolver>();
  readonly #durations = new Map<string, DeviceBuffer>();

  /** @param parameters where to register the parameters (a classifier shares one set); default: an own set */
  constructor(backend: Backend, options: ConnectomeODERNNOptions, parameters?: ParameterSet) {
    const { solve = {} } = options;
    checkSolve(solve);
    const tableau = tableauOf(solve);
    const controller = controllerOf(solve, tableau);
    super(backend, options, parameters);
    this.#constants = new Constants(backend);
    this.#solve = solve;
    this.#method = { tableau, controller };
  }

  /** Solves a batch and returns outputs and states at the evaluation times. */
  async forward(input: ModelInput, evaluation: EvaluationOptions = {}): Promise<Trajectory> {
    const { outputs } = await this.run(input, evaluation, null);
    return this.#trajectory(outputs, input, evaluation);
  }

  /** Solves a batch, pulls `ctOuts` (cotangents of `outs`, same layout) back, and adds the gradients to those of `parameters`. */
  async vjp(
    input: ModelInput,
    ctOuts: ArrayLike<number>,
    evaluation: EvaluationOptions = {},
  ): Promise<{ trajectory: Trajectory; gradients: InputGradients }> {
    const { outputs, gradients } = await this.run(input, evaluation, ctOuts);
    return { trajectory: this.#trajectory(outputs, input, evaluation), gradients: gradients! };
  }

  /**
   * Solves a batch once forward and back: the gradients of Σ loss over the samples replace those of `parameters`. Samples that failed,
   * where that is allowed, do not count.
   */
  async gradients(
    input: ModelInput,
    loss: SampleLoss,
    evaluation: EvaluationOptions = {},
  ): Promise<{ loss: number; trajectory: Trajectory; gradients: InputGradients }> {
    const { outputs, ...result } = await this.runWithLoss(input, evaluation, loss);
    return { ...result, trajectory: this.#trajectory(outputs, input, evaluation) };
  }

  /** What a sample that failed did not reach is no number. */
  #trajectory(outputs: NetworkOutputs, { batch }: ModelInput, evaluation: EvaluationOptions): Trajectory {
    const { hs, outs, stats } = outputs;
    const { ts, startTime, endTime } = evaluationSchedule(WHERE, evaluation);
    // The solver compares in the precision of the device.
    const round = this.backend.dtype === "f32" ? Math.fround : (v: number) => v;
    const elapsed = (t: number) => round(t - startTime) * Math.sign(endTime - startTime);
    const reached = stats.flatMap((part) => part.t.map(elapsed));
    for (const sample of failedSamples(stats)) {
      for (let j = 0; j < ts.length; j++) {
        if (elapsed(ts[j]!) <= reached[sample]!) continue;
        for (const [array, width] of [
          [hs, this.options.numNeurons],
          [outs, this.nOutputs],
        ] as const) {
          const from = rowAt(this.rowsOf(batch, ts.length, width), sample, j);
          array.fill(Number.NaN, from, from + width);
        }
      }
    }
    return { ...outputs, ts };
  }

  protected override shapeOf({ batch }: ModelInput, evaluation: EvaluationOptions): RunShape {
    checkNames(WHERE, evaluation, EVALUATION_OPTIONS);
    const { ts } = evaluationSchedule(WHERE, evaluation);
    return { h0: () => initialState(WHERE, evaluation, batch, this.options.numNeurons), times: ts.length };
  }

  protected override async evolve(
    chunk: ChunkBuffers,
    count: number,
    evaluation: EvaluationOptions,
    purpose: RunPurpose,
  ): Promise<StartedSolve> {
    const { ts, startTime, endTime } = evaluationSchedule(WHERE, evaluation);
    const duration = this.#durationOf(chunk);
    const length = endTime - startTime;
    this.#constants.set(duration, () => length);
    const borders = this.#frameBorders(chunk.steps, length);
    const all = (value: number) => new Array<number>(count).fill(value);
    // Time counts from the start: far from 0 there are not enough numbers for the borders of frames.
    const solve = await this.#solver(chunk.steps).start({
      layout: chunk.layout,
      samples: count,
      inputs: { ...this.dynamicsInputs(chunk), duration },
      y0: chunk.y0,
      tStart: all(0),
      tEnd: all(length),
      tEval: Array.from(ts, (t) => all(t - startTime)),
      ...(borders.length > 0 ? { jumpTimes: Array.from({ length: count }, () => borders) } : {}),
      ys: chunk.hs,
      record: purpose === "gradients",
      ...(evaluation.signal ? { signal: evaluation.signal } : {}),
    });
    const absolute = (t: number) => (t === length ? endTime : startTime + t);
    return {
      ...solve,
      poll: async (record) => {
        const stats = await solve.poll(record);
        return stats && { ...stats, t: stats.t.map(absolute) };
      },
    };
  }

  protected override refusesNonFinite(): boolean {
    return (this.#solve.onFailure ?? "throw") === "throw";
  }

  protected override checkSolved(stats: SolveStats, first: number, purpose: RunPurpose): void {
    const policy = this.#solve.onFailure ?? "throw";
    if (policy === "throw" || (policy === "stop" && purpose !== "states")) assertSolved(stats, first);
  }

  protected override pullStates(
    chunk: ChunkBuffers,
    ctHs: readonly (DeviceBuffer | null)[],
    grads: Readonly<Record<string, DeviceBuffer>>,
  ): void {
    this.#solver(chunk.steps).reverse(ctHs, grads, chunk.ctY0);
  }

  protected override release(): void {
    for (const s of this.#solvers.values()) s.dispose();
    this.#solvers.clear();
    super.release();
  }

  get #stepsEndAtFrames(): boolean {
    return this.#solve.stepsEndAtFrames ?? true;
  }

  /** Where one frame of a sequence gives way to the next, from the start, if steps end there. */
  #frameBorders(steps: number, length: number): number[] {
    if (!this.#stepsEndAtFrames) return [];
    if (steps > MOST_FRAMES) throw new ArgumentError(WHERE, "steps", `at most ${MOST_FRAMES} frames`, `${steps}`);
    return Array.from({ length: steps - 1 }, (_, k) => (length * (k + 1)) / steps);
  }

  /** endTime − startTime on the device, per sample. */
  #durationOf(chunk: ChunkBuffers): DeviceBuffer {
    let duration = this.#durations.get(chunk.key);
    if (!duration) {
      duration = this.chunkBuffer(chunk, "duration", lanesOf(chunk.layout));
      this.#durations.set(chunk.key, duration);
    }
    return duration;
  }

  #solver(steps: number): OdeSolver {
    let solver = this.#solvers.get(steps);
    if (!solver) {
      const solve = this.#solve;
      const shape = { ...this.rateShape(steps), stepsEndAtFrames: this.#stepsEndAtFrames };
      solver = new OdeSolver(this.backend, rateDynamics(shape), {
        ...this.#method,
        maxSteps: solve.maxSteps ?? DEFAULT_MAX_STEPS + STEPS_PER_FRAME * (steps - 1),
        ...(solve.dt0 === undefined ? {} : { dt0: solve.dt0 }),
        onFailure: solve.onFailure === "stop" ? "stop" : "mask",
        ...(solve.memoryBudgetBytes === undefined ? {} : { memoryBudgetBytes: solve.memoryBudgetBytes }),
        reverse: {
          wrt: this.trainedLeaves(),
          throughStepSizeControl: solve.backpropThroughStepSizeControl ?? true,
        },
      });
      this.#solvers.set(steps, solver);
    }
    return solver;
  }
}

/** Every option of `solve`. */
const SOLVE_OPTIONS: Readonly<Record<keyof SolveOptions, true>> = {
  method: true,
  tableau: true,
  controller: true,
  atol: true,
  rtol: true,
  maxSteps: true,
  dt0: true,
  fixedStep: true,
  stepsEndAtFrames: true,
  onFailure: true,
  backpropThroughStepSizeControl: true,
  memoryBudgetBytes: true,
};

function checkSolve(solve: SolveOptions): void {
  const where = WHERE;
  checkNames(where, solve, SOLVE_OPTIONS, "solve.");
  const { onFailure = "throw" } = solve;
  if (!FAILURE_POLICIES.includes(onFailure))
    throw new ArgumentError(where, "solve.onFailure", FAILURE_POLICIES.join(" or "), `"${onFailure}"`);
  for (const name of ["atol", "rtol"] as const) {
    const { [name]: tolerance = 0 } = solve;
    if (!Number.isFinite(tolerance) || tolerance < 0)
      throw new ArgumentError(where, `solve.${name}`, "a finite number of at least 0", `${tolerance}`);
  }
  const { maxSteps = 1, dt0 = 1, memoryBudgetBytes = 0 } = solve;
  if (!Number.isInteger(maxSteps) || maxSteps < 1)
    throw new ArgumentError(where, "solve.maxSteps", "a whole number of at least 1", `${maxSteps}`);
  if (!Number.isFinite(dt0) || dt0 === 0)
    throw new ArgumentError(where, "solve.dt0", "a finite number other than 0", `${dt0}`);
  if (!(memoryBudgetBytes >= 0))
    throw new ArgumentError(where, "solve.memoryBudgetBytes", "a number of at least 0", `${memoryBudgetBytes}`);
}

function tableauOf({ tableau, method }: SolveOptions): Tableau {
  if (tableau && method !== undefined) {
    throw new ArgumentError(WHERE, "solve.method", "a method or a tableau", `both "${method}" and one`);
  }
  return tableau ?? tableauByName(method ?? "dopri5");
}

function controllerOf(solve: SolveOptions, { exponential }: Tableau): Controller {
  const { controller, fixedStep, atol = 1e-6, rtol = 1e-3 } = solve;
  const given = (["atol", "rtol", "fixedStep"] as const).find((name) => solve[name] !== undefined);
  if (controller) {
    if (!given) return controller;
    throw new ArgumentError(WHERE, `solve.${given}`, "it dropped, or no solve.controller", "both");
  }
  if (fixedStep || exponential) return { type: "fixed" };
  return { type: "integral", atol, rtol, safety: 0.9, factorMin: 0.2, factorMax: 10 };
}
