// The ready-made losses by name. A new one is a file here and a line of the table.

import { ArgumentError, nearestName } from "../../../core/errors.ts";
import type { Loss } from "../task.ts";
import { absoluteError } from "./absolute.ts";
import { binaryCrossEntropy } from "./binaryCrossEntropy.ts";
import { crossEntropy } from "./crossEntropy.ts";
import { huber } from "./huber.ts";
import { norm } from "./norm.ts";
import { ordinal } from "./ordinal.ts";
import { poisson } from "./poisson.ts";
import { squaredError } from "./squared.ts";

/** Functions that make a loss from its options, by its name. */
export const LOSSES: {
  readonly "cross-entropy": typeof crossEntropy;
  readonly ordinal: typeof ordinal;
  readonly squared: typeof squaredError;
  readonly absolute: typeof absoluteError;
  readonly huber: typeof huber;
  readonly norm: typeof norm;
  readonly "binary-cross-entropy": typeof binaryCrossEntropy;
  readonly poisson: typeof poisson;
} = {
  "cross-entropy": crossEntropy,
  ordinal: ordinal,
  squared: squaredError,
  absolute: absoluteError,
  huber: huber,
  norm: norm,
  "binary-cross-entropy": binaryCrossEntropy,
  poisson: poisson,
};

/** Name of a ready-made loss. */
export type LossName = keyof typeof LOSSES;

/** Names of the ready-made losses. */
export const LOSS_NAMES: readonly LossName[] = Object.keys(LOSSES) as LossName[];

/** The ready-made loss of this name, with its default options. @throws {ArgumentError} with the nearest name */
export function lossByName(name: string): Loss {
  if (Object.hasOwn(LOSSES, name)) return LOSSES[name as LossName]();
  const near = nearestName(name, LOSS_NAMES);
  const expected = `${near ? `${near}? one of ` : "one of "}${LOSS_NAMES.join(", ")}`;
  throw new ArgumentError("task", "loss", expected, `"${name}"`);
}
