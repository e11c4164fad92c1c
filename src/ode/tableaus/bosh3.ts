// Bogacki–Shampine 3(2).

import { hermite, type Tableau, tableau } from "../tableau.ts";

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
