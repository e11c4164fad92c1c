// The rate model in continuous time: an ODE, solved per sample.

import type { Abortable } from "../../core/abort.ts";
import { ArgumentError } from "../../core/errors.ts";
import { checkNames } from "../../core/optionNames.ts";
import type { StartedSolve } from "../../ode/request.ts";
import { OdeSolver } from "../../ode/solve.ts";
import { evaluationSchedule } from "../evaluationTimes.ts";
import { checkFailures } from "../failures.ts";
import { type InitialStateOptions, initialStateOf, restOf } from "../initialState.ts";
import { type Intervened, interventionsAtRest } from "../interventions.ts";
import { rateDynamics } from "../rateDynamics.ts";
import { type ResolvedSolve, solverOptionsOf } from "../solveOptions.ts";
import { type ChunkBuffers, variantOf } from "./chunks.ts";
import type { Evolution } from "./evolution.ts";
import type { NetworkParameters } from "./parameters.ts";
import { checkWindow } from "./steps.ts";

/**
 * The times at which a network in continuous time is evaluated, and its initial state.
 *
 * A sequence of T frames fills the interval: frame k holds from startTime + k·(endTime − startTime)/T up to the next one, the last one up to
 * endTime. The interval may lie anywhere in time and run backwards. See `SolveOptions.stepsEndAtFrames`.
 */
export interface EvaluationOptions extends Abortable, InitialStateOptions, Intervened {
  /** Evaluation times, equally spaced from start to end, both included; default 2. */
  readonly numEvals?: number;
  /** Instead of `numEvals`: evaluation times in the order of integration, from startTime to endTime; at least one. */
  readonly times?: ArrayLike<number>;
  /** Where the solve starts from the initial state; default 0. */
  readonly startTime?: number;
  /** Where it ends; default the last of `times`, else 1. */
  readonly endTime?: number;
  /**
   * Truncated back-propagation: frames after which the gradient ends. The state goes on from window to window, its cotangent does not go
   * back, nor does that of a step size. Default: all frames, the whole gradient. Needs steps that end at frames.
   */
  readonly window?: number;
}

const WHERE = "ConnectomeODERNN";
/** Single precision can distinguish the borders of this many frames. */
const MOST_FRAMES = 2 ** 20;

/** Every option of an evaluation. */
const EVALUATION_OPTIONS: Readonly<Record<keyof EvaluationOptions, true>> = {
  numEvals: true,
  times: true,
  startTime: true,
  endTime: true,
  window: true,
  h0: true,
  h0Seed: true,
  interventions: true,
  signal: true,
};

/** dh/dt = rateDynamics, from the initial state to the evaluation times. */
export function odeEvolution(model: NetworkParameters, solve: ResolvedSolve): Evolution<EvaluationOptions> {
  const { backend, options } = model;
  if (options.dynamics === "gru")
    throw new ArgumentError(
      WHERE,
      "dynamics",
      'an equation in continuous time ("gru" is that of ConnectomeRNN)',
      "gru",
    );
  const { onFailure = "throw", stepsEndAtFrames = true } = solve.options;
  const solvers = new Map<string, OdeSolver>();

  const solverFor = (chunk: ChunkBuffers): OdeSolver => {
    const { input, active } = chunk;
    const steps = input.frames;
    const variant = variantOf(chunk);
    const known = solvers.get(variant);
    if (known) return known;
    const system = rateDynamics({ ...model.rateShape(steps, active), stepsEndAtFrames });
    const solver = new OdeSolver(backend, system, solverOptionsOf(solve, steps, model.trainedLeaves()));
    solvers.set(variant, solver);
    return solver;
  };

  /** Where one frame of a sequence gives way to the next, from the start, if steps end there. */
  const frameBorders = (steps: number, length: number): number[] => {
    if (!stepsEndAtFrames) return [];
    if (steps > MOST_FRAMES) throw new ArgumentError(WHERE, "steps", `at most ${MOST_FRAMES} frames`, `${steps}`);
    return Array.from({ length: steps - 1 }, (_, k) => (length * (k + 1)) / steps);
  };

  const start = async (
    chunk: ChunkBuffers,
    count: number,
    evaluation: EvaluationOptions,
    record: boolean,
  ): Promise<StartedSolve> => {
    const { desk, input, y0, hs, active } = chunk;
    const { ts, startTime, endTime } = evaluationSchedule(WHERE, evaluation);
    const length = endTime - startTime;
    // endTime − startTime on the device, per sample.
    const duration = desk.sample("duration");
    desk.set(duration, () => length);
    const { frames } = input;
    const borders = frameBorders(frames, length);
    const wanted = wantedTimes(hs);
    const all = (value: number) => new Array<number>(count).fill(value);
    // Time counts from the start: far from 0 there are not enough numbers for the borders of frames.
    const started = await solverFor(chunk).start({
      layout: desk.layout,
      samples: count,
      inputs: { ...model.dynamicsInputs(), ...active?.rows, ...input.drives(0), duration },
      y0,
      tStart: all(0),
      tEnd: all(length),
      tEval: wanted.map((j) => all(ts[j]! - startTime)),
      ...windowOf(frames, evaluation.window),
      ...(borders.length > 0 ? { jumpTimes: Array.from({ length: count }, () => borders) } : {}),
      ys: wanted.map((j) => hs[j]!),
      record,
      ...(evaluation.signal ? { signal: evaluation.signal } : {}),
    });
    const absolute = (t: number) => (t === length ? endTime : startTime + t);
    return {
      ...started,
      poll: async (numbers) => {
        const stats = await started.poll(numbers);
        return stats && { ...stats, t: stats.t.map(absolute) };
      },
    };
  };

  return {
    refusesNonFinite: onFailure === "throw",
    readsAnyFrame: true,
    shapeOf: ({ batch }, evaluation) => {
      checkNames(WHERE, evaluation, EVALUATION_OPTIONS);
      checkWindow(WHERE, evaluation.window);
      if (evaluation.window !== undefined && !stepsEndAtFrames)
        throw new ArgumentError(WHERE, "window", "it dropped, or solve.stepsEndAtFrames: true", "both");
      const schedule = evaluationSchedule(WHERE, evaluation);
      const rest = restOf(WHERE, evaluation.h0, options.inputSize, "time");
      return {
        h0: () => initialStateOf(WHERE, evaluation, batch, options.numNeurons),
        rest: rest && { input: rest.input, evaluation: restEvaluation(rest.length, evaluation) },
        ts: schedule.ts,
        schedule,
      };
    },
    evolve: (chunk, count, evaluation, purpose) => start(chunk, count, evaluation, purpose === "gradients"),
    checkSolved: (stats, first, purpose) => checkFailures(onFailure, stats, first, purpose),
    reverse: (chunk, ctHs, grads) => {
      const { input, hs, ctY0 } = chunk;
      const drives = input.cotangents(0);
      const cotangents = wantedTimes(hs).map((j) => ctHs[j] ?? null);
      solverFor(chunk).reverse(cotangents, { ...grads, ...drives }, ctY0);
      for (let k = 0; k < input.frames; k++) input.pull(k);
    },
    release: () => {
      for (const solver of solvers.values()) solver.dispose();
      solvers.clear();
    },
  };
}

/** Windows shorter than the sequence: their borders are jump times. */
function windowOf(frames: number, window: number | undefined): { readonly window?: number } {
  return window !== undefined && window < frames ? { window } : {};
}

/** The output times whose states are wanted. */
function wantedTimes(hs: ChunkBuffers["hs"]): number[] {
  return [...hs.keys()].filter((j) => hs[j] !== undefined);
}

/** Evaluation of a run to rest: its only output is the last state. */
function restEvaluation(endTime: number, { signal, interventions = null }: EvaluationOptions): EvaluationOptions {
  const held = interventionsAtRest(interventions);
  return { times: [endTime], endTime, interventions: held, ...(signal ? { signal } : {}) };
}
