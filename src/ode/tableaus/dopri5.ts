// Dormand–Prince 5(4). Source: Dormand, Prince, J. Comp. Appl. Math. 6 (1980) 19–26, Table 2. The error weights are those of
// torchode (and diffrax), which are not the classical embedded pair; the interpolant is Shampine's quartic through the step's
// ends, slopes and midpoint (Shampine, Math. Comp. 46 (1986) 135–150).

import { horner, type Tableau, tableau, weightedSum } from "../tableau.ts";

const B = [35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84, 0] as const;
const B_LOW = [1951 / 21600, 0, 22642 / 50085, 451 / 720, -12231 / 42400, 649 / 6300, 1 / 60] as const;
const MID = [
  6025192743 / 30085553152 / 2,
  0,
  51252292925 / 65400821598 / 2,
  -2691868925 / 45128329728 / 2,
  187940372067 / 1594534317056 / 2,
  -1776094331 / 19743644256 / 2,
  11237099 / 235043384 / 2,
] as const;

/** Dormand and Prince's method of order 5(4), with dense output of order 4. */
export const dopri5: Tableau = tableau({
  name: "dopri5",
  order: 5,
  c: [0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1, 1],
  a: [
    [1 / 5],
    [3 / 40, 9 / 40],
    [44 / 45, -56 / 15, 32 / 9],
    [19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729],
    [9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656],
    B.slice(0, 6),
  ],
  b: B,
  bErr: B.map((b, i) => b - B_LOW[i]!),
  interpolant: (ops, { y0, y1, k, dt, x }) => {
    const mid = ops.add(y0, ops.mul(dt, weightedSum(ops, MID, k)!));
    const f0 = ops.mul(dt, k[0]!);
    const f1 = ops.mul(dt, k[6]!);
    const sum = (...terms: (readonly [number, typeof y0])[]) =>
      weightedSum(
        ops,
        terms.map(([w]) => w),
        terms.map(([, v]) => v),
      )!;
    const a4 = sum([2, f1], [-2, f0], [-8, y1], [-8, y0], [16, mid]);
    const a3 = sum([5, f0], [-3, f1], [18, y0], [14, y1], [-32, mid]);
    const a2 = sum([1, f1], [-4, f0], [-11, y0], [-5, y1], [16, mid]);
    return horner(ops, x, [y0, f0, a2, a3, a4]);
  },
  denseOrder: 4,
  source: "Dormand & Prince 1980; error weights as in torchode",
});
