// Huber's loss.

import { ArgumentError } from "../../../core/errors.ts";
import { checkNames } from "../../../core/optionNames.ts";
import type { Loss } from "../task.ts";

/** Options of `huber`. */
export interface HuberOptions {
  /** δ > 0, where the square becomes a line; default 1. */
  readonly delta?: number;
}

/**
 * With e = o − y: l = e²/2 where |e| ≤ δ, else δ·(|e| − δ/2). Source: torch.nn.HuberLoss.
 *
 * @throws {ArgumentError} delta is not above 0
 */
export function huber(options: HuberOptions = {}): Loss {
  checkNames("huber", options, { delta: true });
  const { delta = 1 } = options;
  if (!(delta > 0 && Number.isFinite(delta))) throw new ArgumentError("huber", "delta", "a number above 0", `${delta}`);
  return {
    name: "huber",
    target: "numbers",
    metrics: ["mae", "r2"],
    outputs: ({ width }) => width,
    graph: ({ ops }, { outputs, target }) => {
      const error = ops.sub(outputs, target);
      const size = ops.abs(error);
      const line = ops.mul(delta, ops.sub(size, delta / 2));
      return ops.select(ops.le(size, delta), ops.mul(0.5, ops.mul(error, error)), line);
    },
  };
}
