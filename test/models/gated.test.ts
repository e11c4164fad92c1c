// Gated networks in discrete time against loops on the host, whose error bounds run along with the values, and their gradients.

import { join } from "node:path";
import type { Test } from "uvu";
import * as assert from "uvu/assert";
import type { Backend } from "../../src/backend/backend.ts";
import { type DType, unitRoundoff } from "../../src/core/dtype.ts";
import { completeMatrix } from "../../src/data/completeMatrix.ts";
import { ConnectomeODERNN } from "../../src/models/connectomeOdeRnn.ts";
import { ConnectomeRNN, type ConnectomeRNNOptions, type StepOptions } from "../../src/models/connectomeRnn.ts";
import { GATES } from "../../src/models/options.ts";
import { exportStateDict, importStateDict } from "../../src/train/stateDict.ts";
import { fails, tempDir } from "../io/fixtures.ts";
import { normals } from "../ode/harness.ts";
import { forEachBackend, type WithBackend } from "../support/backends.ts";
import { assertBitEqual, assertClose, gamma } from "../support/close.ts";
import { assertGradient, type Point } from "../support/gradcheck.ts";
import { randomSparse, toDense } from "../support/matrices.ts";
import { onWebGpu } from "../support/onWebGpu.ts";
import { POINTWISE_TESTS, WGSL_ULPS } from "../support/pointwise.ts";

const dir = tempDir();
const [N, INPUTS, FRAMES, BATCH] = [7, 3, 5, 4];
const W = randomSparse(N, N, 0.5).csr;
const U = randomSparse(N, INPUTS, 0.7).csr;
const SIGNS = [1, -1, 1, 1, -1, 1, 1] as const;

/** Numbers that f32 has. */
function numbers(label: string, length: number): Float64Array {
  return normals(label, length).map(Math.fround);
}

function network(more: Partial<ConnectomeRNNOptions> = {}): ConnectomeRNNOptions {
  const gate = (name: string) => ({
    connections: numbers(`W ${name}`, W.nnz),
    input: numbers(`U ${name}`, U.nnz),
  });
  return {
    numNeurons: N,
    inputSize: INPUTS,
    connectome: W,
    weightConstraint: "none",
    inputProjection: U,
    neuronClass: SIGNS,
    biasInit: numbers("bias", N),
    dynamics: "gru",
    gates: { reset: gate("reset"), update: gate("update") },
    inputGradient: true,
    ...more,
  };
}

const INPUT = { data: numbers("frames", BATCH * FRAMES * INPUTS), batch: BATCH, steps: FRAMES };
const H0 = numbers("h0", BATCH * N);
const CT = numbers("ct", BATCH * FRAMES * N);
const BIASES = ["rnn.hh.recurrent_bias", "rnn.hh_reset.bias", "rnn.hh_update.bias"] as const;

/** A network whose biases are not 0. */
function model(backend: Backend, more: Partial<ConnectomeRNNOptions> = {}): ConnectomeRNN {
  const made = new ConnectomeRNN(backend, network(more));
  for (const name of BIASES) made.parameters.set(name, numbers(name, N));
  return made;
}

// ---- the same on the host --------------------------------------------------------------------------------------------------------------

/** A number and how far a device may be off. */
interface Bounded {
  readonly value: number;
  readonly error: number;
}

/** Σ of products and numbers, of which `at` may be off. */
function sum(terms: readonly (readonly [factor: number, at: Bounded])[], dtype: DType): Bounded {
  const value = terms.reduce((total, [factor, at]) => total + factor * at.value, 0);
  const size = terms.reduce((total, [factor, at]) => total + Math.abs(factor) * (Math.abs(at.value) + at.error), 0);
  const carried = terms.reduce((total, [factor, at]) => total + Math.abs(factor) * at.error, 0);
  // Terms of the reference are rounded as well.
  return { value, error: carried + 2 * gamma(terms.length + 1, dtype) * size };
}

/** σ or tanh of a number: what it may be off, times the largest slope, and the error of the function. */
function applied(name: "sigmoid" | "tanh", x: Bounded, dtype: DType): Bounded {
  const { f, ulps } = POINTWISE_TESTS[name] as unknown as {
    f: (...v: number[]) => number;
    ulps: Record<DType, number>;
  };
  const value = f(x.value);
  const units = ulps[dtype] + (dtype === "f32" ? WGSL_ULPS : 0);
  return { value, error: (name === "tanh" ? 1 : 0.25) * x.error + 2 * units * unitRoundoff(dtype) * Math.abs(value) };
}

function times(a: Bounded, b: Bounded, dtype: DType): Bounded {
  const value = a.value * b.value;
  const error = a.error * Math.abs(b.value) + b.error * (Math.abs(a.value) + a.error);
  return { value, error: error + 2 * unitRoundoff(dtype) * (Math.abs(value) + error) };
}

/** States after each frame, [batch, FRAMES, N]. */
function onHost(options: ConnectomeRNNOptions, dtype: DType): Bounded[] {
  const exact = (value: number): Bounded => ({ value, error: 0 });
  const bias = (name: string) => Array.from(numbers(name, N));
  const dense = (values: ArrayLike<number> | undefined, matrix: typeof W): ArrayLike<number> =>
    toDense({ ...matrix, values: Float64Array.from(values!) });
  const parts = {
    state: { w: toDense(W), u: toDense(U), b: options.biasInit as ArrayLike<number> },
    reset: {
      w: dense(options.gates?.reset?.connections, W),
      u: dense(options.gates?.reset?.input, U),
      b: bias(BIASES[1]),
    },
    update: {
      w: dense(options.gates?.update?.connections, W),
      u: dense(options.gates?.update?.input, U),
      b: bias(BIASES[2]),
    },
  };
  const bh = bias(BIASES[0]);
  const out: Bounded[] = [];
  for (let s = 0; s < BATCH; s++) {
    let h = Array.from({ length: N }, (_, i) => exact(H0[s * N + i]!));
    for (let k = 0; k < FRAMES; k++) {
      const x = (j: number) => exact(INPUT.data[(s * FRAMES + k) * INPUTS + j]!);
      const recurrent = (w: ArrayLike<number>, i: number) =>
        h.map((state, j) => [w[i * N + j]! * SIGNS[j]!, state] as const);
      const driven = (u: ArrayLike<number>, i: number) =>
        Array.from({ length: INPUTS }, (_, j) => [u[i * INPUTS + j]!, x(j)] as const);
      const gate = ({ w, u, b }: Readonly<Record<"w" | "u" | "b", ArrayLike<number>>>, i: number) =>
        applied("sigmoid", sum([...recurrent(w, i), ...driven(u, i), [1, exact(b[i]!)]], dtype), dtype);
      h = h.map((own, i) => {
        const [r, z] = [gate(parts.reset, i), gate(parts.update, i)];
        const { w, u, b } = parts.state;
        const reset = times(r, sum([...recurrent(w, i), [1, exact(bh[i]!)]], dtype), dtype);
        const n = applied("tanh", sum([...driven(u, i), [1, reset], [1, exact(b[i]!)]], dtype), dtype);
        const kept = { value: 1 - z.value, error: z.error + 2 * unitRoundoff(dtype) };
        const terms = [times(kept, n, dtype), times({ ...z, error: kept.error }, own, dtype)];
        return sum(
          terms.map((term) => [1, term]),
          dtype,
        );
      });
      out.push(...h);
    }
  }
  return out;
}

async function pulled(net: ConnectomeRNN, evaluation: StepOptions, ct = CT) {
  net.parameters.zeroGradients();
  const { outputs, gradients } = await net.vjp(INPUT, ct, evaluation);
  const all: Record<string, ArrayLike<number>> = { x: gradients.x!, h0: gradients.h0 };
  for (const { name } of net.parameters.trainable()) all[name] = await net.parameters.gradient(name);
  return { outs: outputs.outs, plan: outputs.stats[0]!.plan, gradients: all };
}

function define(test: Test<WithBackend>): void {
  test("a gated network is what its equations say, with the signs of its neurons", async ({ backend }) => {
    using net = model(backend);
    const expected = onHost(network(), backend.dtype);
    const { hs, stats } = await net.forward(INPUT, { h0: H0 });
    assertClose(
      hs,
      expected.map(({ value }) => value),
      expected.map(({ error }) => error),
      "states",
    );
    // The bounds can tell a wrong equation.
    assert.ok(Math.max(...expected.map(({ error }) => error)) < (backend.dtype === "f32" ? 1e-2 : 1e-11));
    assert.is(stats[0]!.connections!.all, 3 * W.nnz, "three matrices");
  });

  test("one unit, by hand: r = 3/4, z = 1/4, n = 1/2", async ({ backend }) => {
    const one = (value: number) => completeMatrix(1, 1, () => value);
    const log3 = Math.log(3);
    using net = new ConnectomeRNN(backend, {
      numNeurons: 1,
      inputSize: 1,
      connectome: one(0.5),
      inputProjection: one(1),
      weightConstraint: "none",
      dynamics: "gru",
      // tanh(½·ln 3) = ½ = tanh(x + b + r·(0.5·h + b_h)) with x = 1, h = 0.7, b_h = 0.05: r·0.4 = 0.3.
      biasInit: 0.5 * log3 - 0.3 - 1,
      gates: { reset: { input: [log3] }, update: { input: [-log3] } },
    });
    net.parameters.set("rnn.hh.recurrent_bias", [0.05]);
    const { hs } = await net.forward({ data: [1], batch: 1, steps: 1 }, { h0: [0.7] });
    // Some thirty roundings of numbers below 2, and three functions.
    assertClose(hs, [0.75 * 0.5 + 0.25 * 0.7], 100 * unitRoundoff(backend.dtype), "state");
  });

  test("bits do not depend on the memory budget or on what is left out, and the plan tells", async ({ backend }) => {
    const H = randomSparse(2, N, 0.4).csr;
    const ct = CT.slice(0, BATCH * FRAMES * 2);
    for (const more of [{}, { outputProjection: H }] satisfies Partial<ConnectomeRNNOptions>[]) {
      const cotangents = "outputProjection" in more ? ct : CT;
      using whole = model(backend, { ...more, lightCone: false });
      using part = model(backend, { ...more, memoryBudgetBytes: 0 });
      const [a, b] = [await pulled(whole, {}, cotangents), await pulled(part, {}, cotangents)];
      assert.ok(b.plan!.attemptsRecomputed > 0);
      assertBitEqual(b.outs, a.outs, "outputs");
      for (const [name, g] of Object.entries(a.gradients)) assertBitEqual(b.gradients[name]!, g, name);
    }
  });
}

forEachBackend("gated networks", ["f64", "f32"], (test) => {
  define(test);

  test("a state dictionary brings all parameters back", async ({ backend }) => {
    using net = model(backend);
    using other = model(backend);
    const file = join(dir, `${backend.dtype}.safetensors`);
    await exportStateDict(net, file);
    for (const { name, size } of other.parameters.all()) other.parameters.set(name, new Float64Array(size).fill(0.5));
    await importStateDict(other, file);
    const names = net.parameters.all().map(({ name }) => name);
    assert.is(names.length, 3 + 2 * 3 + 1, names.join(" "));
    for (const name of names)
      assertBitEqual(await other.parameters.values(name), await net.parameters.values(name), name);
  });

  test("options that do not fit are refused by name", async ({ backend }) => {
    const refused = (more: object, message: RegExp, kind: "argument" | "shape" = "argument") =>
      fails(() => new ConnectomeRNN(backend, network(more)), kind, message);
    await refused({ neuronTau: 2 }, /"gru", which has no time constants.*\(neuronTau\)/);
    await refused({ dynamics: "leaky" }, /\(gates\)/);
    await refused({ inputProjection: null, inputSize: N }, /\(inputProjection\)/);
    await refused({ sharedWeights: { group: new Uint32Array(W.nnz), nGroups: 1 } }, /\(sharedWeights\)/);
    await refused({ gates: { forget: {} } }, /gates\.forget|gates\.reset/);
    await refused({ gates: { reset: { connections: [1] } } }, /numbers, got 1 \(gates\.reset\.connections\)/, "shape");
    await refused({ gates: { update: { input: U.values.map(() => Number.NaN) } } }, /finite/);
    const { memoryBudgetBytes: _, ...options } = network();
    await fails(() => new ConnectomeODERNN(backend, options), "argument", /continuous time.*\(dynamics\)/);
  });
});
onWebGpu("gated networks", define);

forEachBackend("gradients of gated networks", ["f64"], (test) => {
  test("agree with central differences, whether trained whole or without the input's weights", async ({ backend }) => {
    for (const more of [{}, { trainInputProjection: false, memoryBudgetBytes: 0 }]) {
      using net = model(backend, more);
      const { parameters } = net;
      const evaluation = { recurrences: 2, h0: H0 };
      const { gradients } = await pulled(net, evaluation);
      const trained = Object.keys(gradients).filter((name) => name !== "x" && name !== "h0");
      for (const gate of GATES)
        assert.ok(["hh", "ih"].filter((leaf) => trained.includes(`rnn.${leaf}_${gate}.values`)).includes("hh"));
      const point: Record<string, ArrayLike<number>> = { x: INPUT.data, h0: H0 };
      for (const name of trained) point[name] = await parameters.values(name);
      const f = async (p: Point) => {
        for (const name of trained) parameters.set(name, p[name]!);
        const { outs } = await net.forward({ ...INPUT, data: p.x! }, { ...evaluation, h0: p.h0! });
        return Array.from(outs).reduce((total, v, i) => total + v * CT[i]!, 0);
      };
      await assertGradient("gated", f, point, gradients, { roundings: 3000, stepScale: 8 });
    }
  });
});
