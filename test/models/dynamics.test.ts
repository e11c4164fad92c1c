// Other dynamics than the built-in ones: a right-hand side of a few lines, with gradients by everything in it.

import * as assert from "uvu/assert";
import { withValues } from "../../src/core/csr.ts";
import type { OdeSystem } from "../../src/ode/method.ts";
import { cotangents, type HostProblem, normals, pairing, solveOnHost } from "../ode/harness.ts";
import { forEachBackend } from "../support/backends.ts";
import { assertClose } from "../support/close.ts";
import { assertGradient, type Point } from "../support/gradcheck.ts";
import { randomSparse, toDense } from "../support/matrices.ts";

const N = 7;
const SAMPLES = 3;
const RANDOM = randomSparse(N, N, 0.4).csr;
const WEIGHTS = withValues(
  RANDOM,
  RANDOM.values.map((w) => 0.8 * w),
);

/** τ dv/dt = −v + W·relu(v) + b + x: voltages, with the nonlinearity before the synapse. */
const voltage: OdeSystem = {
  rows: N,
  rhs: (g, _, v) => {
    const { ops } = g;
    const input = ops.matmul(g.sparse("w", N, N, WEIGHTS.nnz), ops.relu(v));
    const drive = ops.add(ops.add(input, g.row("bias", N)), g.state("x", N));
    return ops.div(ops.sub(drive, v), g.row("tau", N));
  },
};

/** τ dv/dt = −v + W·k·relu(v)² + x·e^(−t): a power-law transfer function, a scalar parameter, time in the equation. */
const supralinear: OdeSystem = {
  rows: N,
  rhs: (g, t, v) => {
    const { ops } = g;
    const rate = ops.mul(g.scalar("gain"), ops.pow(ops.relu(v), 2));
    const drive = ops.add(
      ops.matmul(g.sparse("w", N, N, WEIGHTS.nnz), rate),
      ops.mul(g.state("x", N), ops.exp(ops.neg(t))),
    );
    return ops.div(ops.sub(drive, v), g.row("tau", N));
  },
};

function problem(system: OdeSystem, rows: NonNullable<HostProblem["rows"]>): HostProblem {
  const all = (t: number) => new Array<number>(SAMPLES).fill(t);
  return {
    system,
    samples: SAMPLES,
    y0: normals("v0", SAMPLES * N),
    states: { x: normals("x", SAMPLES * N) },
    rows,
    matrices: { w: WEIGHTS },
    tStart: all(0),
    tEnd: all(2),
    tEval: [all(0.7), all(2)],
  };
}

const TAU = normals("tau", N).map((x) => 1 + Math.abs(x));
const PROBLEMS: readonly (readonly [string, HostProblem])[] = [
  ["the voltage form", problem(voltage, { tau: TAU, bias: normals("bias", N) })],
  ["a supralinear network under a decaying input", problem(supralinear, { tau: TAU, gain: [0.3] })],
];

function at(p: HostProblem, { y0, x, w, ...rows }: Point): HostProblem {
  return { ...p, y0: y0!, states: { x: x! }, matrices: { w: withValues(WEIGHTS, Float64Array.from(w!)) }, rows };
}

forEachBackend("user-defined dynamics", ["f64"], (test) => {
  for (const [name, host] of PROBLEMS) {
    test(`${name} has gradients by state, input, weights and every parameter`, async ({ backend }) => {
      const cts = cotangents(host);
      const { gradients } = await solveOnHost(backend, host, {}, cts);
      const point: Point = { y0: host.y0, ...host.states, ...host.rows, w: WEIGHTS.values };
      const f = async (p: Point) => pairing((await solveOnHost(backend, at(host, p))).ys, cts);
      await assertGradient(name, f, point, gradients, { roundings: 3000, stepScale: 8 });
    });
  }

  test("the voltage form settles where −v + W·relu(v) + b + x = 0", async ({ backend }) => {
    const [, host] = PROBLEMS[0]!;
    const weak = withValues(
      WEIGHTS,
      WEIGHTS.values.map((w) => 0.2 * w),
    );
    const long = { ...host, matrices: { w: weak }, tEnd: [60, 60, 60], tEval: [[60, 60, 60]] };
    const { ys } = await solveOnHost(backend, long);
    const dense = toDense(weak);
    const v = ys[0]!;
    const residual = Array.from(v, (vi, k) => {
      const [s, i] = [Math.floor(k / N), k % N];
      let sum = host.rows!.bias![i]! + host.states!.x![k]! - vi;
      for (let j = 0; j < N; j++) sum += dense[i * N + j]! * Math.max(v[s * N + j]!, 0);
      return sum;
    });
    // The step-size control lets errors of rtol·|v| live on.
    assertClose(residual, new Float64Array(v.length), 5e-3, "residual");
  });

  test("a leaf that the solver is not given is an error that names it", async ({ backend }) => {
    const [, host] = PROBLEMS[0]!;
    const { bias: _, ...rest } = host.rows!;
    try {
      await solveOnHost(backend, { ...host, rows: rest });
      assert.unreachable();
    } catch (error) {
      assert.match((error as Error).message, /bias/);
    }
  });
});
