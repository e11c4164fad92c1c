// Custom dynamics: the FitzHugh–Nagumo neuron, dv/dt = v − v³/3 − w + I, dw/dt = ε·(v + a − b·w), as a state of two rows.
// Gradient descent through the solver recovers the current I of a given trajectory.
// R. FitzHugh, Biophysical Journal 1 (1961) 445–466.

import { createBackend, csrFromCoo, dopri5, OdeSolver, type OdeSystem } from "axograd";

const descents = Number(process.argv[2] ?? 40);
const [EPSILON, A, B] = [0.08, 0.7, 0.8];
const ROWS = 2;

/** Row 0 is v, row 1 is w: masks choose rows, and a 2 × 2 matrix swaps them. */
const neuron: OdeSystem = {
  rows: ROWS,
  rhs: (g, _t, y) => {
    const { ops } = g;
    const [isV, isW] = [g.row("isV", ROWS), g.row("isW", ROWS)];
    const other = ops.matmul(g.sparse("swap", ROWS, ROWS, 2), y);
    const cube = ops.mul(y, ops.mul(y, y));
    const dv = ops.add(ops.sub(ops.sub(y, ops.div(cube, 3)), other), g.scalar("current"));
    const dw = ops.mul(ops.sub(ops.add(other, A), ops.mul(y, B)), EPSILON);
    return ops.add(ops.mul(dv, isV), ops.mul(dw, isW));
  },
};

const backend = await createBackend({ device: "wasm", dtype: "f64", threads: 1 });
const solver = new OdeSolver(backend, neuron, {
  tableau: dopri5,
  controller: { type: "integral", atol: 1e-8, rtol: 1e-6, safety: 0.9, factorMin: 0.2, factorMax: 10 },
  maxSteps: 1000,
  reverse: { wrt: ["current"], throughStepSizeControl: true },
});
const swap = csrFromCoo({ nRows: ROWS, nCols: ROWS, rows: [0, 1], cols: [1, 0], values: [1, 1] });

/** From one initial state, with a current. */
const problem = (current: number) => ({
  y0: [-1, 1],
  inputs: { isV: [1, 0], isW: [0, 1], swap, current: [current] },
  tEval: [5, 10, 15, 20],
});

const { ys: wanted } = await solver.solve(problem(0.5));
let guess = 0.3;
for (let k = 1; k <= descents; k++) {
  // L = ½ Σ (y − wanted)², so dL/dy = y − wanted.
  let loss = 0;
  const { gradients } = await solver.vjp(problem(guess), (_, ys) => {
    const differences = ys.map((y, j) => y.map((value, row) => value - wanted[j]![row]!));
    loss = differences.flatMap((d) => [...d]).reduce((sum, d) => sum + d * d, 0) / 2;
    return differences;
  });
  if (k % 10 === 0) console.log(`descent ${k}  current ${guess.toFixed(4)}  loss ${loss.toExponential(2)}`);
  guess -= 0.02 * gradients.inputs.current![0]!;
}
console.log(`the current was 0.5, found ${guess.toFixed(4)}`);
solver.dispose();
await backend.dispose();
