// Poisson's negative log-likelihood.

import type { Loss } from "../task.ts";

/**
 * l = e^o − y·o: minus the log-likelihood of a count y ≥ 0 with mean e^o, without log y!, which does not depend on o.
 * Source: torch.nn.PoissonNLLLoss(log_input=True, full=False).
 */
export function poisson(): Loss {
  return {
    name: "poisson",
    target: "numbers",
    metrics: ["correlation"],
    outputs: ({ width }) => width,
    refuses: (target) => (target >= 0 ? null : "a count of at least 0"),
    graph: ({ ops }, { outputs, target }) => ops.sub(ops.exp(outputs), ops.mul(target, outputs)),
  };
}
