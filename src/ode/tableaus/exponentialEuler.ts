// Exponential Euler for systems with a linear leak, dy/dt = λ·(target(t, y) − y).

import { exponentialStep, type Tableau, tableau } from "../tableau.ts";

/**
 * y₁ = y₀ + (1 − e^(−λ·dt))·(target − y₀): the target is held for the step, the leak is exact. Order 1, one evaluation per step; each
 * step is a weighted mean of y₀ and the target, so no step is too long for the leak, however small the time constant. Dense output is
 * the same formula at the time in between. Needs `leak` of the system, and a given step size.
 *
 * Source: Hochbruck, Ostermann, "Exponential integrators", Acta Numerica 19 (2010) 209–286, eq. 2.4.
 */
export const exponentialEuler: Tableau = tableau({
  name: "exponentialEuler",
  order: 1,
  c: [0],
  a: [],
  b: [1],
  bErr: null,
  exponential: true,
  interpolant: (ops, { y0, k, dt, x, leak }) => exponentialStep(ops, y0, k[0]!, leak!, ops.mul(x, dt)),
  source: "Hochbruck & Ostermann 2010",
});
