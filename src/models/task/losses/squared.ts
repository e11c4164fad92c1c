// Squared error.

import type { Loss } from "../task.ts";
import { widthOf } from "./shapes.ts";

/** l = (o − y)². Source: torch.nn.MSELoss. */
export function squaredError(): Loss {
  return {
    name: "squared",
    target: "numbers",
    metrics: ["r2", "mse"],
    outputs: (shape) => widthOf("squared", shape),
    graph: ({ ops }, { outputs, target }) => {
      const error = ops.sub(outputs, target);
      return ops.mul(error, error);
    },
  };
}
