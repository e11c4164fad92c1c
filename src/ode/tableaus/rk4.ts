// The classical Runge–Kutta method.

import { type Tableau, tableau, weightedSum } from "../tableau.ts";

/** The classical method of order 4, without an error estimate; continuous extension of order 3 (Hairer, Nørsett, Wanner, II.6). */
export const rk4: Tableau = tableau({
  name: "rk4",
  order: 4,
  c: [0, 1 / 2, 1 / 2, 1],
  a: [[1 / 2], [0, 1 / 2], [0, 0, 1]],
  b: [1 / 6, 1 / 3, 1 / 3, 1 / 6],
  bErr: null,
  interpolant: (ops, { y0, k, dt, x }) => {
    // b₁(x) = x − 3x²/2 + 2x³/3, b₂ = b₃ = x² − 2x³/3, b₄ = −x²/2 + 2x³/3
    const x2 = ops.mul(x, x);
    const cubic = ops.mul(2 / 3, ops.mul(x2, x));
    const first = ops.add(ops.sub(x, ops.mul(3 / 2, x2)), cubic);
    const middle = ops.sub(x2, cubic);
    const last = ops.sub(cubic, ops.mul(1 / 2, x2));
    const slope = ops.add(
      ops.add(ops.mul(first, k[0]!), ops.mul(middle, weightedSum(ops, [1, 1], [k[1]!, k[2]!])!)),
      ops.mul(last, k[3]!),
    );
    return ops.add(y0, ops.mul(dt, slope));
  },
  denseOrder: 3,
  source: "Kutta 1901",
});
