// The solver of a run: method, step-size control and tolerances, from its settings.

import { ArgumentError } from "../core/errors.ts";
import type { SolveOptions } from "../models/connectomeOdeRnn.ts";
import type { Controller } from "../ode/method.ts";
import type { Tableau } from "../ode/tableau.ts";
import { tableauByName } from "../ode/tableaus/index.ts";
import type { TrainConfig } from "./config.ts";

type SolverConfig = Pick<
  TrainConfig,
  "solver" | "controller" | "dt" | "rtol" | "atol" | "maxSteps" | "onFailure" | "endTime" | "memoryBudget"
>;

/** Step-size control of adaptive steps; the values of torchode's and Hairer's codes. */
const ADAPTIVE = { safety: 0.9, factorMin: 0.2, factorMax: 10 } as const;
/** Coefficients PI.3.4. Source: Hairer & Wanner, Solving ODEs II, IV.2, after Gustafsson. */
const PI = { pCoeff: 0.4, iCoeff: 0.3, dCoeff: 0 } as const;

/**
 * How the network of a run is solved. `maxSteps` is the limit for samples of the run; longer sequences, as analyses show them, have more in
 * proportion.
 *
 * @param frames  of a sample; null: constant in time
 * @throws {ArgumentError} a method without error estimate, with a controller that needs one or without a step size
 */
export function solveOptionsOf(config: SolverConfig, frames: number | null): SolveOptions {
  const { dt, maxSteps, onFailure, memoryBudget } = config;
  const tableau = tableauOf(config);
  return {
    tableau,
    controller: controllerOf(config, tableau),
    maxSteps: (shown) => Math.ceil(maxSteps * Math.max(1, shown / (frames ?? 1))),
    onFailure,
    ...(dt === null ? {} : { dt0: dt }),
    ...(memoryBudget === null ? {} : { memoryBudgetBytes: memoryBudget * 2 ** 20 }),
  };
}

/** The method named on the command line. */
export function tableauOf({ solver }: Pick<SolverConfig, "solver">): Tableau {
  return tableauByName(solver.replaceAll("-", ""));
}

/** Whether steps have a fixed size, so that tolerances have no effect. */
export function hasFixedSteps({ controller, dt }: Pick<SolverConfig, "controller" | "dt">): boolean {
  return (controller ?? (dt === null ? "integral" : "fixed")) === "fixed";
}

function controllerOf(config: SolverConfig, tableau: Tableau): Controller {
  const { solver, controller, dt, rtol, atol } = config;
  if (hasFixedSteps(config)) {
    if (dt === null) throw new ArgumentError("train", "--dt", "a step size, for fixed steps", "none");
    return { type: "fixed" };
  }
  if (tableau.bErr === null) {
    const [option, got] = controller === null ? ["--dt", "none"] : ["--controller", controller];
    throw new ArgumentError(
      "train",
      option,
      `another --solver, like dopri5, or fixed steps, as ${solver} has no error estimate`,
      got,
    );
  }
  const adaptive = { ...ADAPTIVE, rtol, atol };
  return controller === "pi" ? { type: "pid", ...adaptive, ...PI } : { type: "integral", ...adaptive };
}

/** "heun, fixed steps of 0.5" */
export function describeSolver(config: SolverConfig): string {
  const { solver, dt, rtol, atol, endTime } = config;
  const { type } = controllerOf(config, tableauOf(config));
  const steps =
    type === "fixed" ? `steps of ${dt}` : `${type === "pid" ? "PI controller, " : ""}rtol ${rtol}, atol ${atol}`;
  return `${solver} from t = 0 to ${endTime}, ${steps}`;
}
