// Squared error.

import type { Loss } from "../task.ts";

/** l = (o − y)². Source: torch.nn.MSELoss. */
export function squaredError(): Loss {
  return {
    name: "squared",
    target: "numbers",
    metrics: ["r2", "mse"],
    outputs: ({ width }) => width,
    graph: ({ ops }, { outputs, target }) => {
      const error = ops.sub(outputs, target);
      return ops.mul(error, error);
    },
  };
}
