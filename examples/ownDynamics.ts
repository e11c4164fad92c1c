// Custom dynamics: the FitzHugh–Nagumo neuron, dv/dt = v − v³/3 − w + I, dw/dt = ε·(v + a − b·w), as a state of two rows.
// Gradient descent through the solver recovers the current I of a given trajectory.
// R. FitzHugh, Biophysical Journal 1 (1961) 445–466.

import { createBackend, csrFromCoo, dopri5, OdeSolver, type OdeSystem, packState, unpackState } from "axograd";

const descents = Number(process.argv[2] ?? 40);
const [EPSILON, A, B] = [0.08, 0.7, 0.8];
const ROWS = 2;
const TIMES = [5, 10, 15, 20];

/** Row 0 is v, row 1 is w: masks choose rows, and a 2 × 2 matrix swaps them. */
const neuron: OdeSystem = {
  rows: ROWS,
  rhs: (g, _t, y) => {
    const { ops } = g;
    const [isV, isW] = [g.row("isV", ROWS), g.row("isW", ROWS)];
    const other = ops.matmul(g.sparse("swap", ROWS, ROWS, 2), y);
    const cube = ops.mul(y, ops.mul(y, y));
    const dv = ops.add(ops.sub(ops.sub(y, ops.div(cube, 3)), other), g.row("current", ROWS));
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

const layout = backend.layoutFor(1);
const lanes = layout.panel * layout.panels;
const at = (sample: number, row: number): number => sample * ROWS + row;
const row = (label: string, values: readonly number[]) => {
  const buffer = backend.buffer(label, ROWS);
  backend.upload(buffer, values);
  return buffer;
};
const swap = { nRows: ROWS, nCols: ROWS, rows: [0, 1], cols: [1, 0], values: [1, 1] };
const current = row("current", [0, 0]);
const inputs = {
  isV: row("isV", [1, 0]),
  isW: row("isW", [0, 1]),
  swap: backend.sparse("swap", csrFromCoo(swap)),
  current,
};
const y0 = backend.buffer("y0", ROWS * lanes);
backend.upload(y0, packState([-1, 1], at, 1, ROWS, layout, new Float64Array(ROWS * lanes)));
const ys = TIMES.map((t) => backend.buffer(`y at ${t}`, ROWS * lanes));
const cotangents = TIMES.map((t) => backend.buffer(`cotangent at ${t}`, ROWS * lanes));
const gradient = backend.buffer("gradient", ROWS);

/** States at the evaluation times, for a current. */
async function solve(strength: number): Promise<Float64Array[]> {
  backend.upload(current, [strength, 0]);
  const tEval = TIMES.map((t) => [t]);
  await solver.forward({ layout, samples: 1, inputs, y0, tStart: [0], tEnd: [TIMES.at(-1)!], tEval, ys, record: true });
  return Promise.all(
    ys.map(async (y) => {
      const state = new Float64Array(ROWS);
      unpackState(await backend.download(y), state, at, 1, ROWS, layout);
      return state;
    }),
  );
}

const wanted = await solve(0.5);
let guess = 0.3;
for (let k = 1; k <= descents; k++) {
  const states = await solve(guess);
  const differences = states.map((state, j) => state.map((value, i) => value - wanted[j]![i]!));
  const loss = differences.flatMap((d) => [...d]).reduce((sum, d) => sum + d * d, 0) / 2;
  backend.fill(gradient, 0);
  cotangents.forEach((buffer, j) => {
    // Only the first lane holds a sample.
    const host = new Float64Array(ROWS * lanes);
    for (let i = 0; i < ROWS; i++) host[i * layout.panel] = differences[j]![i]!;
    backend.upload(buffer, host);
  });
  solver.reverse(cotangents, { current: gradient }, null);
  const slope = (await backend.download(gradient))[0]!;
  if (k % 10 === 0) console.log(`descent ${k}  current ${guess.toFixed(4)}  loss ${loss.toExponential(2)}`);
  guess -= 0.02 * slope;
}
console.log(`the current was 0.5, found ${guess.toFixed(4)}`);
solver.dispose();
await backend.dispose();
