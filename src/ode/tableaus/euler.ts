// Explicit Euler.

import { type Tableau, tableau } from "../tableau.ts";

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
