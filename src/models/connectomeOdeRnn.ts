// ConnectomeODERNN: the connectome rate model in continuous time.

import type { Backend, DeviceBuffer } from "../backend/backend.ts";
import { Constants } from "../backend/constants.ts";
import { lanesOf } from "../backend/layout.ts";
import type { Abortable } from "../core/abort.ts";
import type { FloatArray } from "../core/dtype.ts";
import { ArgumentError } from "../core/errors.ts";
import { checkNames } from "../core/optionNames.ts";
import type { Controller } from "../ode/method.ts";
import { assertSolved, failedSamples, OdeSolver, type SolveStats, type StartedSolve } from "../ode/solve.ts";
import type { Tableau } from "../ode/tableau.ts";
import { tableauByName } from "../ode/tableaus/index.ts";
import { evaluationSchedule, type Schedule } from "./evaluationTimes.ts";
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
  /** Default 1000 attempts per sample. */
  readonly maxSteps?: number;
  /** First step; default: found by the heuristic. */
  readonly dt0?: number;
  /** true: every step has size dt0 and is accepted. */
  readonly fixedStep?: boolean;
  /** Default "throw". */
  readonly onFailure?: FailurePolicy;
  /** Gradients flow through the step-size control; default true, as in torchode. */
  readonly backpropThroughStepSizeControl?: boolean;
  /** Most bytes for the record of the reverse pass. */
  readonly memoryBudgetBytes?: number;
}

/** A network in continuous time, and how it is solved. */
export interface ConnectomeODERNNOptions extends ConnectomeNetworkOptions {
  readonly solve?: SolveOptions;
}

/** At which times a network in continuous time is evaluated, and from which state. */
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
  /** The evaluation times, as the device has them. */
  readonly ts: FloatArray;
}

const WHERE = "ConnectomeODERNN";
const DEFAULT_MAX_STEPS = 1000;

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
  readonly #maxSteps: number;
  readonly #constants: Constants;
  readonly #solvers = new Map<number, OdeSolver>();
  readonly #spans = new Map<string, { start: DeviceBuffer; end: DeviceBuffer }>();

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
    this.#maxSteps = this.#solve.maxSteps ?? DEFAULT_MAX_STEPS;
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
    const { ts, startTime, endTime } = this.#schedule(evaluation);
    const reached = stats.flatMap((part) => part.t);
    for (const sample of failedSamples(stats)) {
      for (let j = 0; j < ts.length; j++) {
        if (endTime > startTime ? ts[j]! <= reached[sample]! : ts[j]! >= reached[sample]!) continue;
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
    const { ts } = this.#schedule(evaluation);
    return { h0: () => initialState(WHERE, evaluation, batch, this.options.numNeurons), times: ts.length };
  }

  protected override async evolve(
    chunk: ChunkBuffers,
    count: number,
    evaluation: EvaluationOptions,
    purpose: RunPurpose,
  ): Promise<StartedSolve> {
    const { ts, startTime, endTime } = this.#schedule(evaluation);
    const span = this.#span(chunk);
    this.#constants.set(span.start, () => startTime);
    this.#constants.set(span.end, () => endTime);
    const all = (value: number) => new Array<number>(count).fill(value);
    return this.#solver(chunk.steps).start({
      layout: chunk.layout,
      samples: count,
      inputs: { ...this.dynamicsInputs(chunk), ...span },
      y0: chunk.y0,
      tStart: all(startTime),
      tEnd: all(endTime),
      tEval: Array.from(ts, all),
      ys: chunk.hs,
      record: purpose === "gradients",
      ...(evaluation.signal ? { signal: evaluation.signal } : {}),
    });
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

  #schedule(evaluation: EvaluationOptions): Schedule {
    return evaluationSchedule(WHERE, evaluation, this.backend.dtype);
  }

  /** Start and end of the input sequence, per sample. */
  #span(chunk: ChunkBuffers): { start: DeviceBuffer; end: DeviceBuffer } {
    let span = this.#spans.get(chunk.key);
    if (!span) {
      const lanes = lanesOf(chunk.layout);
      span = { start: this.chunkBuffer(chunk, "start", lanes), end: this.chunkBuffer(chunk, "end", lanes) };
      this.#spans.set(chunk.key, span);
    }
    return span;
  }

  #solver(steps: number): OdeSolver {
    let solver = this.#solvers.get(steps);
    if (!solver) {
      const solve = this.#solve;
      solver = new OdeSolver(this.backend, rateDynamics(this.rateShape(steps)), {
        ...this.#method,
        maxSteps: this.#maxSteps,
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
