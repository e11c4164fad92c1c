// Heun's method.

import { hermite, type Tableau, tableau } from "../tableau.ts";

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
