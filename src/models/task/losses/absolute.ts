// Absolute error.

import type { Loss } from "../task.ts";
import { widthOf } from "./shapes.ts";

/** l = |o − y|, with slope 0 at 0. Source: torch.nn.L1Loss. */
export function absoluteError(): Loss {
  return {
    name: "absolute",
    target: "numbers",
    metrics: ["mae", "r2"],
    outputs: (shape) => widthOf("absolute", shape),
    graph: ({ ops }, { outputs, target }) => ops.abs(ops.sub(outputs, target)),
  };
}
