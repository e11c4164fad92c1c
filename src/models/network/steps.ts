// How many steps a network in discrete time takes, which frame each one sees, and which states are outputs.

import type { Abortable } from "../../core/abort.ts";
import { ArgumentError } from "../../core/errors.ts";
import { checkNames } from "../../core/optionNames.ts";
import type { InitialStateOptions } from "../initialState.ts";
import type { Intervened } from "../interventions.ts";

/** How many steps a network in discrete time takes, from which state, and where its outputs and gradients end. */
export interface StepOptions extends Abortable, InitialStateOptions, Intervened {
  /** Frames of an input that is constant in time; of a sequence it is the length, and may be left out. */
  readonly numSteps?: number;
  /** Steps with each frame, K; default 1. */
  readonly recurrences?: number;
  /** Output times: after the K steps of each frame ("frames", the default), or after every step. */
  readonly outputs?: "frames" | "steps";
  /**
   * Truncated back-propagation: frames after which the gradient ends. The state goes on from window to window, its cotangent does not go
   * back. Default: all frames, the whole gradient.
   */
  readonly window?: number;
}

const WHERE = "ConnectomeRNN";

/** Every option of an evaluation. */
const STEP_OPTIONS: Readonly<Record<keyof StepOptions, true>> = {
  numSteps: true,
  recurrences: true,
  outputs: true,
  window: true,
  h0: true,
  h0Seed: true,
  interventions: true,
  signal: true,
};

/** The steps of a run. */
export interface Steps {
  readonly count: number;
  /** Steps between outputs. */
  readonly perOutput: number;
  /** Steps that see the same frame. */
  readonly perFrame: number;
  /** Steps between the borders that no cotangent crosses. */
  readonly perWindow: number;
}

/**
 * @param frames  of the input; undefined: it is constant in time
 * @throws {ArgumentError} naming the option
 */
export function stepsOf(frames: number | undefined, evaluation: StepOptions): Steps {
  checkNames(WHERE, evaluation, STEP_OPTIONS);
  const { numSteps = frames, recurrences = 1, outputs = "frames", window } = evaluation;
  if (!isCount(numSteps))
    throw new ArgumentError(WHERE, "numSteps", "a whole number of at least 1, or a sequence", `${numSteps}`);
  if (frames !== undefined && frames !== 1 && numSteps !== frames)
    throw new ArgumentError(WHERE, "numSteps", `${frames}, the length of the sequence, or nothing`, `${numSteps}`);
  if (!isCount(recurrences))
    throw new ArgumentError(WHERE, "recurrences", "a whole number of at least 1", `${recurrences}`);
  if (outputs !== "frames" && outputs !== "steps")
    throw new ArgumentError(WHERE, "outputs", '"frames" or "steps"', `${JSON.stringify(outputs)}`);
  checkWindow(WHERE, window);
  const count = numSteps * recurrences;
  return {
    count,
    perOutput: outputs === "steps" ? 1 : recurrences,
    perFrame: (frames ?? 1) > 1 ? recurrences : count,
    perWindow: (window ?? numSteps) * recurrences,
  };
}

/** @throws {ArgumentError} no whole number of at least 1 */
export function checkWindow(where: string, window: number | undefined): void {
  if (window !== undefined && !isCount(window))
    throw new ArgumentError(where, "window", "a whole number of frames, at least 1", `${window}`);
}

function isCount(n: number | undefined): n is number {
  return n !== undefined && Number.isInteger(n) && n >= 1;
}
