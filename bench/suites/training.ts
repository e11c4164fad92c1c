// What the suites `step` and `discrete` time: training on one fixed batch.

import type { ConnectomeODEClassifier } from "../../src/models/classifier.ts";
import type { ConnectomeModel } from "../../src/models/networkModel.ts";

/** So small that the parameters, and with them the work of the solver, do not change. */
export const LEARNING_RATE = 1e-12;

/** Learning on one fixed batch. */
export interface Training {
  /** Name of its rows. */
  readonly op: string;
  readonly model: ConnectomeODEClassifier | ConnectomeModel;
  /** The parameter whose gradient is compared. */
  readonly compared: string;
  /** Evaluations of the right-hand side, or updates, of the last step. */
  readonly rhsEvaluations: number;
  /** @returns the loss */
  step(): Promise<number>;
  dispose(): void;
}
