// Tsitouras 5(4). Source: Tsitouras, "Runge–Kutta pairs of order 5(4) satisfying only the first column simplifying assumption",
// Computers & Mathematics with Applications 62 (2011) 770–775, Table 1 and the free interpolant of §5.

import { horner, type Tableau, tableau, weightedSum } from "../tableau.ts";

const B = [
  0.09646076681806523, 0.01, 0.4798896504144996, 1.379008574103742, -3.290069515436081, 2.324710524099774, 0,
] as const;

/** Coefficients of x², x³, x⁴ of the interpolant, per stage; x¹ is dt·k₁. */
const W2 = [
  -2.763706197274826, 0.13169999999999998, 3.930296236894751, -12.411077166933676, 37.50931341651104,
  -27.896526289197286, 1.5,
] as const;
const W3 = [
  2.9132554618219126, -0.2234, -5.941033872131505, 30.338188630282318, -88.1789048947664, 65.09189467479368, -4.0,
] as const;
const W4 = [
  -1.0530884977290216, 0.1017, 2.490627285651253, -16.548102889244902, 47.37952196281928, -34.87065786149661, 2.5,
] as const;

/** Tsitouras' method of order 5(4), with dense output of order 4. */
export const tsit5: Tableau = tableau({
  name: "tsit5",
  order: 5,
  c: [0, 0.161, 0.327, 0.9, 0.9800255409045097, 1, 1],
  a: [
    [0.161],
    [-0.008480655492356989, 0.335480655492357],
    [2.8971530571054935, -6.359448489975075, 4.3622954328695815],
    [5.325864828439257, -11.748883564062828, 7.4955393428898365, -0.09249506636175525],
    [5.86145544294642, -12.92096931784711, 8.159367898576159, -0.071584973281401, -0.02826905039406838],
    B.slice(0, 6),
  ],
  b: B,
  bErr: [
    0.001780011052225777,
    0.0008164344596567469,
    -0.007880878010261995,
    0.1447110071732629,
    -0.5823571654525552,
    0.45808210592918697,
    -1 / 66,
  ],
  interpolant: (ops, { y0, k, dt, x }) => {
    const term = (w: readonly number[]) => ops.mul(dt, weightedSum(ops, w, k)!);
    return horner(ops, x, [y0, ops.mul(dt, k[0]!), term(W2), term(W3), term(W4)]);
  },
  denseOrder: 4,
  source: "Tsitouras 2011",
});
