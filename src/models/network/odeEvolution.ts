// The rate model in continuous time: an ODE, solved per sample.

import type { Abortable } from "../../core/abort.ts";
import { ArgumentError } from "../../core/errors.ts";
import { checkNames } from "../../core/optionNames.ts";
import type { StartedSolve } from "../../ode/request.ts";
import { OdeSolver } from "../../ode/solve.ts";
import { evaluationSchedule } from "../evaluationTimes.ts";
import { checkFailures } from "../failures.ts";
import { type InitialStateOptions, initialState } from "../initialState.ts";
import type { Intervened } from "../interventions.ts";
import { rateDynamics } from "../rateDynamics.ts";
import { type ResolvedSolve, solverOptionsOf } from "../solveOptions.ts";
import { type ChunkBuffers, variantOf } from "./chunks.ts";
import type { Evolution } from "./evolution.ts";
import type { NetworkParameters } from "./parameters.ts";

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
  h0: true,
  h0Seed: true,
  interventions: true,
  signal: true,
};

/** dh/dt = rateDynamics, from the initial state to the evaluation times. */
export function odeEvolution(model: NetworkParameters, solve: ResolvedSolve): Evolution<EvaluationOptions> {
  const { backend, options } = model;
  const { onFailure = "throw", stepsEndAtFrames = true } = solve.options;
  const solvers = new Map<string, OdeSolver>();

  const solverFor = (chunk: ChunkBuffers): OdeSolver => {
    const { steps, active } = chunk;
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
    const { desk, steps, drive, y0, hs, active } = chunk;
    const { ts, startTime, endTime } = evaluationSchedule(WHERE, evaluation);
    const length = endTime - startTime;
    // endTime − startTime on the device, per sample.
    const duration = desk.sample("duration");
    desk.set(duration, () => length);
    const borders = frameBorders(steps, length);
    const all = (value: number) => new Array<number>(count).fill(value);
    // Time counts from the start: far from 0 there are not enough numbers for the borders of frames.
    const started = await solverFor(chunk).start({
      layout: desk.layout,
      samples: count,
      inputs: { ...model.dynamicsInputs(), ...active?.rows, drive, duration },
      y0,
      tStart: all(0),
      tEnd: all(length),
      tEval: Array.from(ts, (t) => all(t - startTime)),
      ...(borders.length > 0 ? { jumpTimes: Array.from({ length: count }, () => borders) } : {}),
      ys: hs,
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
    shapeOf: ({ batch }, evaluation) => {
      checkNames(WHERE, evaluation, EVALUATION_OPTIONS);
      const schedule = evaluationSchedule(WHERE, evaluation);
      const h0 = () => initialState(WHERE, evaluation, batch, options.numNeurons);
      return { h0, times: schedule.ts.length, schedule };
    },
    evolve: (chunk, count, evaluation, purpose) => start(chunk, count, evaluation, purpose === "gradients"),
    checkSolved: (stats, first, purpose) => checkFailures(onFailure, stats, first, purpose),
    reverse: (chunk, ctHs, grads) => solverFor(chunk).reverse(ctHs, grads, chunk.ctY0),
    release: () => {
      for (const solver of solvers.values()) solver.dispose();
      solvers.clear();
    },
  };
}
