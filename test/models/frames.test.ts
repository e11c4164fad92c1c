// Sequences in continuous time: which frame holds when, where steps end, and what that does to gradients.

import * as assert from "uvu/assert";
import type { Backend } from "../../src/backend/backend.ts";
import { csrFromCoo } from "../../src/core/csr.ts";
import { ConnectomeODERNN, type EvaluationOptions, type SolveOptions } from "../../src/models/connectomeOdeRnn.ts";
import { normals } from "../ode/harness.ts";
import { forEachBackend } from "../support/backends.ts";
import { assertBitEqual, assertClose } from "../support/close.ts";

const N = 3;
const FRAMES = 8;
const RING = csrFromCoo({ nRows: N, nCols: N, rows: [0, 1, 2], cols: [1, 2, 0], values: [1.5, 0.7, 1.1] });
const DATA = normals("frames", FRAMES * N).map((x) => 3 * x);
const COTANGENT = [0, 0, 0, 1, -0.5, 0.8];

function network(
  backend: Backend,
  solve: SolveOptions,
  options: { readonly dynamics?: "voltage" } = {},
): ConnectomeODERNN {
  return new ConnectomeODERNN(backend, {
    inputSize: N,
    numNeurons: N,
    connectome: RING,
    inputProjection: null,
    neuronNonlinearity: "Sigmoid",
    neuronTau: [1, 2, 3],
    inputGradient: true,
    solve,
    ...options,
  });
}

async function run(backend: Backend, solve: SolveOptions, evaluation: EvaluationOptions = { endTime: FRAMES }) {
  const net = network(backend, solve);
  try {
    const { trajectory, gradients } = await net.vjp({ data: DATA, steps: FRAMES, batch: 1 }, COTANGENT, evaluation);
    const gradient = [...gradients.x!];
    for (const { name } of net.parameters.trainable()) gradient.push(...(await net.parameters.gradient(name)));
    return { trajectory, stats: trajectory.stats[0]!, gradient };
  } finally {
    net.dispose();
  }
}

function distance(a: readonly number[], b: readonly number[]): number {
  return Math.hypot(...a.map((x, i) => x - b[i]!)) / Math.hypot(...b);
}

forEachBackend("frames of a sequence", ["f64", "f32"], (test) => {
  test("are the same wherever the interval lies, though its borders are no numbers there", async ({ backend }) => {
    const solve = { rtol: 1e-6, atol: 1e-9 };
    const here = await run(backend, solve, { endTime: 4 });
    for (const startTime of [1e8, 1e13, 1e16, -1e16]) {
      const endTime = startTime + 4;
      assert.is(endTime - startTime, 4);
      const there = await run(backend, solve, { startTime, endTime });
      assertBitEqual(there.trajectory.hs, here.trajectory.hs, `states from ${startTime}`);
      assertBitEqual(there.gradient, here.gradient, `gradient from ${startTime}`);
      assert.equal(there.stats.t, [endTime]);
    }
  });

  test("give way to one another at equal distances, where steps end", async ({ backend }) => {
    const { stats } = await run(backend, {});
    let t = 0;
    const ends = stats.steps![0]!.map((step) => {
      t += step;
      return t;
    });
    for (let k = 1; k <= FRAMES; k++) {
      const nearest = Math.min(...ends.map((t) => Math.abs(t - k)));
      assert.ok(nearest < 1e-5, `a step ends at ${k}: ${ends}`);
    }
    assert.equal(stats.status, ["success"]);
  });

  test("are those of a solve frame by frame", async ({ backend }) => {
    const solve = { rtol: 1e-5, atol: 1e-8 };
    for (const dynamics of [undefined, "voltage"] as const) {
      const net = network(backend, solve, dynamics ? { dynamics } : {});
      const whole = await net.forward(
        { data: DATA, steps: FRAMES, batch: 1 },
        { endTime: FRAMES, numEvals: FRAMES + 1 },
      );
      let h = new Float64Array(N);
      for (let k = 0; k < FRAMES; k++) {
        const input = { data: DATA.slice(k * N, (k + 1) * N), batch: 1 };
        h = Float64Array.from((await net.forward(input, { h0: h })).hs.slice(N));
        assertClose(whole.hs.slice((k + 1) * N, (k + 2) * N), h, 1e-4, `frame ${k}`);
      }
      net.dispose();
    }
  });

  test("lie anywhere in time, and run backwards", async ({ backend }) => {
    const near = await run(backend, {}, { endTime: FRAMES });
    for (const startTime of [1e6, -1e8]) {
      const far = await run(backend, {}, { startTime, endTime: startTime + FRAMES });
      assertBitEqual(far.trajectory.hs, near.trajectory.hs, `from ${startTime}`);
      assertBitEqual(far.gradient, near.gradient, `gradient from ${startTime}`);
      assert.equal([...far.trajectory.ts], [startTime, startTime + FRAMES]);
    }
    const across = { stepsEndAtFrames: false, backpropThroughStepSizeControl: false };
    const far = await run(backend, across, { startTime: 1e8, endTime: 1e8 + FRAMES });
    const nearby = await run(backend, across, { endTime: FRAMES });
    assertBitEqual(far.trajectory.hs, nearby.trajectory.hs, "across frames");
    const back = await run(backend, {}, { startTime: 0.5, endTime: -0.5 });
    assert.equal(back.stats.status, ["success"]);
  });

  test("of long sequences fit into the default number of attempts", async ({ backend }) => {
    const steps = 1500;
    const net = network(backend, {});
    const data = normals("long", steps * N);
    const { stats } = await net.forward({ data, steps, batch: 1 }, { endTime: 10 });
    assert.ok(stats[0]!.nSteps[0]! >= steps);
    net.dispose();
  });
});

forEachBackend("gradient by frames", ["f64"], (test) => {
  test("tends to that of the solution with the tolerance by default; across frames only with step sizes held fixed", async ({
    backend,
  }) => {
    const strict = { rtol: 1e-10, atol: 1e-13, maxSteps: 20_000 };
    const exact = (await run(backend, { ...strict, backpropThroughStepSizeControl: false })).gradient;
    const error = async (rtol: number, solve: SolveOptions) =>
      distance((await run(backend, { rtol, atol: rtol / 1000, maxSteps: 20_000, ...solve })).gradient, exact);
    for (const rtol of [1e-2, 1e-4, 1e-6]) {
      assert.ok((await error(rtol, {})) < 100 * rtol, `default, ${rtol}`);
      assert.ok((await error(rtol, { backpropThroughStepSizeControl: false })) < 100 * rtol, `held fixed, ${rtol}`);
    }
    const across = { stepsEndAtFrames: false };
    assert.ok((await error(1e-6, { ...across, backpropThroughStepSizeControl: false })) < 1e-3);
    const wrong = await error(1e-6, across);
    assert.ok(wrong > 0.1, `through control across frames: ${wrong}`);
  });

  test("is that of a tight solve by central differences", async ({ backend }) => {
    const { gradient } = await run(backend, { rtol: 1e-6, atol: 1e-9 });
    const strict = { rtol: 1e-11, atol: 1e-13, maxSteps: 20_000 };
    const net = network(backend, strict);
    const loss = async (data: Float64Array) => {
      const { hs } = await net.forward({ data, steps: FRAMES, batch: 1 }, { endTime: FRAMES });
      return COTANGENT.reduce((sum, ct, i) => sum + ct * hs[i]!, 0);
    };
    const h = 1e-5;
    for (const i of [0, 7, 12, FRAMES * N - 1]) {
      const moved = (by: number) => DATA.map((x, k) => (k === i ? x + by : x));
      const expected = ((await loss(moved(h))) - (await loss(moved(-h)))) / (2 * h);
      assertClose([gradient[i]!], [expected], 1e-6, `by input ${i}`);
    }
    net.dispose();
  });
});
