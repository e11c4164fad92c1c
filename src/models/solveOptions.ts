// How a network in continuous time is solved: options, their defaults and their checks.

import { ArgumentError } from "../core/errors.ts";
import { checkNames } from "../core/optionNames.ts";
import type { Controller } from "../ode/method.ts";
import type { SolverOptions } from "../ode/request.ts";
import type { Tableau } from "../ode/tableau.ts";
import { tableauByName } from "../ode/tableaus/index.ts";
import { FAILURE_POLICIES, type FailurePolicy } from "./failures.ts";

const WHERE = "ConnectomeODERNN";
const DEFAULT_MAX_STEPS = 1000;
const STEPS_PER_FRAME = 10;

/** How the ODE is solved. */
export interface SolveOptions {
  /** A method by its name, e.g. "tsit5"; default "dopri5". "exponentialEuler" takes fixed steps dt0. */
  readonly method?: string;
  /** A custom method, instead of `method`. */
  readonly tableau?: Tableau;
  /** Default: the integral controller with atol and rtol. */
  readonly controller?: Controller;
  /** Default 1e-6. */
  readonly atol?: number;
  /** Default 1e-3. */
  readonly rtol?: number;
  /** Attempts per sample, or a function of its number of frames; default 1000, and 10 more for each frame of a sequence after the first. */
  readonly maxSteps?: number | ((frames: number) => number);
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
   * right-hand side jumps inside no step; where it does (`stepsEndAtFrames: false`, a custom jump without jump times), only false
   * does.
   */
  readonly backpropThroughStepSizeControl?: boolean;
  /** Most bytes for the record of the reverse pass; default: what the device's `tapeBudgetBytes` says. */
  readonly memoryBudgetBytes?: number;
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

/** Checked options, and the method that they describe. */
export interface ResolvedSolve {
  readonly options: SolveOptions;
  readonly tableau: Tableau;
  readonly controller: Controller;
}

/** @throws {ArgumentError} naming the option */
export function resolveSolve(options: SolveOptions): ResolvedSolve {
  checkSolve(options);
  const tableau = tableauOf(options);
  return { options, tableau, controller: controllerOf(options, tableau) };
}

/** @param wrt  leaves of the right-hand side whose gradient is wanted */
export function solverOptionsOf(
  { options, tableau, controller }: ResolvedSolve,
  steps: number,
  wrt: readonly string[],
): SolverOptions {
  const { dt0, memoryBudgetBytes, onFailure, maxSteps = defaultMaxSteps } = options;
  return {
    tableau,
    controller,
    maxSteps: typeof maxSteps === "number" ? maxSteps : maxSteps(steps),
    ...(dt0 === undefined ? {} : { dt0 }),
    onFailure: onFailure === "stop" ? "stop" : "mask",
    ...(memoryBudgetBytes === undefined ? {} : { memoryBudgetBytes }),
    reverse: { wrt, throughStepSizeControl: options.backpropThroughStepSizeControl ?? true },
  };
}

function defaultMaxSteps(frames: number): number {
  return DEFAULT_MAX_STEPS + STEPS_PER_FRAME * (frames - 1);
}

function checkSolve(solve: SolveOptions): void {
  checkNames(WHERE, solve, SOLVE_OPTIONS, "solve.");
  const { onFailure = "throw" } = solve;
  if (!FAILURE_POLICIES.includes(onFailure))
    throw new ArgumentError(WHERE, "solve.onFailure", FAILURE_POLICIES.join(" or "), `"${onFailure}"`);
  for (const name of ["atol", "rtol"] as const) {
    const { [name]: tolerance = 0 } = solve;
    if (!Number.isFinite(tolerance) || tolerance < 0)
      throw new ArgumentError(WHERE, `solve.${name}`, "a finite number of at least 0", `${tolerance}`);
  }
  const { maxSteps = 1, dt0 = 1, memoryBudgetBytes = 0 } = solve;
  if (typeof maxSteps === "number" && !(Number.isInteger(maxSteps) && maxSteps >= 1))
    throw new ArgumentError(WHERE, "solve.maxSteps", "a whole number of at least 1", `${maxSteps}`);
  if (!Number.isFinite(dt0) || dt0 === 0)
    throw new ArgumentError(WHERE, "solve.dt0", "a finite number other than 0", `${dt0}`);
  if (!(memoryBudgetBytes >= 0))
    throw new ArgumentError(WHERE, "solve.memoryBudgetBytes", "a number of at least 0", `${memoryBudgetBytes}`);
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
