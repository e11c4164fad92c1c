// Absolute error.

import type { Loss } from "../task.ts";

/** l = |o − y|, with slope 0 at 0. Source: torch.nn.L1Loss. */
export function absoluteError(): Loss {
  return {
    name: "absolute",
    target: "numbers",
    metrics: ["mae", "r2"],
    outputs: ({ width }) => width,
    graph: ({ ops }, { outputs, target }) => ops.abs(ops.sub(outputs, target)),
  };
}
