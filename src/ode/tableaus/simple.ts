// Methods of low order: Euler, Heun, Bogacki–Shampine 3(2) and the classical Runge–Kutta method.

import { hermite, type Tableau, tableau, weightedSum } from "../tableau.ts";

/** Explicit Euler; linear interpolation. */
export const euler: Tableau = tableau({
  name: "euler",
  order: 1,
  c: [0],
  a: [],
  b: [1],
  bErr: null,
  interpolant: (ops, { y0, y1, x }) => ops.add(y0, ops.mul(x, ops.sub(y1, y0))),
  source: "Euler 1768",
});

/** Heun's method with Euler as its embedded pair; the end slope of the interpolant is that at the predictor, as in torchode. */
export const heun: Tableau = tableau({
  name: "heun",
  order: 2,
  c: [0, 1],
  a: [[1]],
  b: [1 / 2, 1 / 2],
  bErr: [-1 / 2, 1 / 2],
  interpolant: (ops, step) => hermite(ops, step, step.k[0]!, step.k[1]!),
  source: "Heun 1900",
});

/** Bogacki–Shampine 3(2), FSAL. Source: Bogacki, Shampine, Appl. Math. Lett. 2 (1989) 321–325. */
export const bosh3: Tableau = tableau({
  name: "bosh3",
  order: 3,
  c: [0, 1 / 2, 3 / 4, 1],
  a: [[1 / 2], [0, 3 / 4], [2 / 9, 1 / 3, 4 / 9]],
  b: [2 / 9, 1 / 3, 4 / 9, 0],
  bErr: [2 / 9 - 7 / 24, 1 / 3 - 1 / 4, 4 / 9 - 1 / 3, -1 / 8],
  interpolant: (ops, step) => hermite(ops, step, step.k[0]!, step.k[3]!),
  source: "Bogacki & Shampine 1989",
});

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
