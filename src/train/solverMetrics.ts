// The work of the solver in numbers.

import { failedSamples, type SolveStats } from "../ode/solveStats.ts";

/** The work of the solver in one training step. */
export interface SolverMetrics {
  /** Evaluations of the right-hand side until the slowest sample was done. */
  readonly rhsEvaluations: number;
  /** Attempted steps per sample. */
  readonly steps: { readonly min: number; readonly mean: number; readonly max: number };
  /** Attempts that the error control rejected, over all samples. */
  readonly rejected: number;
  /** Samples that did not reach their end and have no weight in loss and gradient (`solve.onFailure: "mask"`). */
  readonly failed: number;
}

/** null: nothing was solved, as in discrete time. */
export function solverMetrics(all: readonly SolveStats[]): SolverMetrics | null {
  const stats = all.filter(({ time }) => time === "continuous");
  if (stats.length === 0) return null;
  const steps = stats.flatMap((s) => s.nSteps);
  const attempts = steps.reduce((sum, n) => sum + n, 0);
  const accepted = stats.flatMap((s) => s.nAccepted).reduce((sum, n) => sum + n, 0);
  return {
    rhsEvaluations: Math.max(...stats.map((s) => s.nFEvals)),
    steps: { min: Math.min(...steps), mean: attempts / steps.length, max: Math.max(...steps) },
    rejected: attempts - accepted,
    failed: failedSamples(stats).length,
  };
}
