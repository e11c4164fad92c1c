// Ordinal classes by cumulative logits.

import type { Loss } from "../task.ts";

/**
 * For ordered classes 0 … K − 1, K − 1 outputs: σ(o_k) is the probability that the class is above k. With t_k = 1 where y > k, else 0,
 *
 * l = Σ_k log(1 + e^o_k) − t_k·o_k,
 *
 * the sum of the binary cross-entropies of "above k?". The predicted class is the number of outputs above 0. Sources: Li and Lin,
 * "Ordinal regression by extended binary classification", NIPS 2006; Niu et al., CVPR 2016.
 */
export function ordinal(): Loss {
  return {
    name: "ordinal",
    target: "class",
    metrics: ["accuracy"],
    prediction: "exceeded",
    outputs: ({ classes }) => classes! - 1,
    graph: (g, { outputs, target }) => {
      const { ops } = g;
      // log(1 + e^o) = log(1 + e^−|o|) + max(o, 0), which does not overflow.
      const softplus = ops.add(ops.log1p(ops.exp(ops.neg(ops.abs(outputs)))), ops.max(outputs, 0));
      const above = ops.lt(g.rowIndex(outputs.rows), target);
      return ops.reduceRows(ops.sub(softplus, ops.select(above, outputs, 0)));
    },
  };
}
