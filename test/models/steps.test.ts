// Time in networks: the tape of discrete steps, recurrences, resting states, windows of truncated back-propagation, leaky dynamics.

import type { Test } from "uvu";
import * as assert from "uvu/assert";
import type { Backend } from "../../src/backend/backend.ts";
import { ArgumentError, ShapeError, SolverError } from "../../src/core/errors.ts";
import { ConnectomeODERNN, type ConnectomeODERNNOptions } from "../../src/models/connectomeOdeRnn.ts";
import { ConnectomeRNN, type ConnectomeRNNOptions, type StepOptions } from "../../src/models/connectomeRnn.ts";
import type { Network } from "../../src/models/network/network.ts";
import type { ModelInput } from "../../src/models/options.ts";
import type { TapePlan } from "../../src/ode/tape.ts";
import { normals } from "../ode/harness.ts";
import { forEachBackend, type WithBackend } from "../support/backends.ts";
import { assertBitEqual, assertClose, gamma } from "../support/close.ts";
import { assertGradient, type Point } from "../support/gradcheck.ts";
import { randomSparse, toDense } from "../support/matrices.ts";
import { onWebGpu } from "../support/onWebGpu.ts";

const [N, INPUTS, FRAMES, BATCH] = [8, 3, 6, 18];
const W = randomSparse(N, N, 0.5).csr;
const U = randomSparse(N, INPUTS, 0.7).csr;

function network(more: Partial<ConnectomeRNNOptions> = {}): ConnectomeRNNOptions {
  return {
    numNeurons: N,
    inputSize: INPUTS,
    connectome: W,
    weightConstraint: "none",
    inputProjection: U,
    biasInit: normals("bias", N),
    dynamics: "leaky",
    neuronAlpha: Array.from({ length: N }, (_, i) => 0.3 + 0.05 * i),
    inputGradient: true,
    ...more,
  };
}

function sequence(frames = FRAMES, batch = BATCH, width = INPUTS): ModelInput {
  return { data: normals(`frames ${frames} ${batch}`, batch * frames * width), batch, steps: frames };
}

/** Frames `from` … `to` − 1 of a sequence. */
function framesOf({ data, batch, steps = 1 }: ModelInput, from: number, to: number, width = INPUTS): ModelInput {
  return { data: partsOf(data, batch, steps * width, from * width, to * width), batch, steps: to - from };
}

/** Columns `from` … `to` − 1 of an array of `rows` rows. */
function partsOf(data: ArrayLike<number>, rows: number, width: number, from: number, to: number): Float64Array {
  const part = new Float64Array(rows * (to - from));
  for (let s = 0; s < rows; s++)
    for (let i = from; i < to; i++) part[s * (to - from) + i - from] = data[s * width + i]!;
  return part;
}

/** Everything that a run and its reverse leave. */
interface Result {
  readonly outs: ArrayLike<number>;
  readonly x: ArrayLike<number>;
  readonly h0: ArrayLike<number>;
  /** By parameter. */
  readonly gradients: Readonly<Record<string, ArrayLike<number>>>;
  readonly plan: TapePlan | null;
}

type Model = ConnectomeRNN | ConnectomeODERNN;

async function pulled(model: Model, input: ModelInput, ct: ArrayLike<number>, evaluation: object): Promise<Result> {
  model.parameters.zeroGradients();
  const result =
    model instanceof ConnectomeRNN
      ? await model.vjp(input, ct, evaluation)
      : await model.vjp(input, ct, evaluation).then(({ trajectory, ...rest }) => ({ outputs: trajectory, ...rest }));
  const gradients: Record<string, ArrayLike<number>> = {};
  for (const { name } of model.parameters.trainable()) gradients[name] = await model.parameters.gradient(name);
  const { outs, stats } = result.outputs;
  return { outs, x: result.gradients.x!, h0: result.gradients.h0, gradients, plan: stats[0]!.plan };
}

/** A run with a model that is made for it. */
async function once(
  backend: Backend,
  options: ConnectomeRNNOptions,
  input: ModelInput,
  ct: ArrayLike<number>,
  evaluation: StepOptions = {},
): Promise<Result> {
  const model = new ConnectomeRNN(backend, options);
  try {
    return await pulled(model, input, ct, evaluation);
  } finally {
    model.dispose();
  }
}

function assertSameBits(actual: Result, expected: Result, label: string): void {
  for (const part of ["outs", "x", "h0"] as const) assertBitEqual(actual[part], expected[part], `${label}: ${part}`);
  for (const [name, g] of Object.entries(expected.gradients))
    assertBitEqual(actual.gradients[name]!, g, `${label}: ${name}`);
}

// ---- the same on the host: a leaky network without a nonlinearity, whose results are sums of products -----------------------------------

interface Run {
  readonly recurrences: number;
  readonly window: number;
  readonly h0: ArrayLike<number>;
  readonly input: ModelInput;
  /** [batch, frames, N]. */
  readonly ct: ArrayLike<number>;
}

/**
 * Outputs after each frame and gradients of Σ ct·outs.
 * @param of  the identity, or the absolute value: sums of the sizes of all terms
 */
function onHost({ recurrences, window, h0, input, ct }: Run, of: (x: number) => number): Omit<Result, "plan"> {
  const { data, batch, steps: frames = 1 } = input;
  const options = network();
  const [w, u] = [toDense(W).map(of), toDense(U).map(of)];
  const alpha = options.neuronAlpha as readonly number[];
  const bias = Array.from(options.biasInit as ArrayLike<number>, of);
  const outs = new Float64Array(batch * frames * N);
  const x = new Float64Array(batch * frames * INPUTS);
  const ctH0 = new Float64Array(batch * N);
  const dense = new Float64Array(N * N);
  for (let s = 0; s < batch; s++) {
    const frame = (k: number, i: number) => of(data[(s * frames + k) * INPUTS + i]!);
    const states = [Array.from({ length: N }, (_, i) => of(h0[s * N + i]!))];
    for (let k = 0; k < frames * recurrences; k++) {
      const h = states[k]!;
      const f = Math.floor(k / recurrences);
      states.push(
        h.map((own, i) => {
          let goal = bias[i]!;
          for (let j = 0; j < N; j++) goal += w[i * N + j]! * h[j]!;
          for (let j = 0; j < INPUTS; j++) goal += u[i * INPUTS + j]! * frame(f, j);
          return (1 - alpha[i]!) * own + alpha[i]! * goal;
        }),
      );
      if ((k + 1) % recurrences === 0) outs.set(states[k + 1]!, (s * frames + f) * N);
    }
    let c = new Array<number>(N).fill(0);
    for (let k = frames * recurrences - 1; k >= 0; k--) {
      const f = Math.floor(k / recurrences);
      if ((k + 1) % (window * recurrences) === 0) c.fill(0);
      if ((k + 1) % recurrences === 0) c = c.map((v, i) => v + of(ct[(s * frames + f) * N + i]!));
      const goal = c.map((v, i) => alpha[i]! * v);
      for (let i = 0; i < N; i++) {
        for (let j = 0; j < N; j++) dense[i * N + j]! += goal[i]! * states[k]![j]!;
        for (let j = 0; j < INPUTS; j++) x[(s * frames + f) * INPUTS + j]! += u[i * INPUTS + j]! * goal[i]!;
      }
      c = c.map((v, j) => (1 - alpha[j]!) * v + goal.reduce((sum, g, i) => sum + w[i * N + j]! * g, 0));
    }
    ctH0.set(c, s * N);
  }
  const weights = W.values.map((_, e) => dense[rowOf(e) * N + W.colIdx[e]!]!);
  return { outs, x, h0: ctH0, gradients: { "rnn.hh.values": weights } };
}

function rowOf(entry: number): number {
  let row = 0;
  while (W.rowPtr[row + 1]! <= entry) row++;
  return row;
}

/**
 * Roundings of one step on the longest path: the sum of N + INPUTS + 1 products, five of α = 1/τ and 1 − α (α ≤ 0.65, so those of α count
 * at most twice in 1 − α), and six of the products and sums with them.
 */
const ROUNDINGS_PER_STEP = N + INPUTS + 14;

function define(test: Test<WithBackend>): void {
  test("a leaky network is h ← (1 − α)·h + α·(W·h + U·x + b), with recurrences and windows", async ({ backend }) => {
    for (const [recurrences, window] of [
      [1, FRAMES],
      [3, 2],
      [2, 4],
    ] as const) {
      const run: Run = { recurrences, window, h0: normals("h0", BATCH * N), input: sequence(), ct: CT };
      const evaluation = { recurrences, window, h0: run.h0 };
      const got = await once(backend, network({ neuronNonlinearity: null }), run.input, CT, evaluation);
      const [want, sizes] = [onHost(run, (v) => v), onHost(run, Math.abs)];
      // Forward and back through all steps; gradients of weights are sums over samples and steps besides.
      const steps = FRAMES * recurrences;
      const error = gamma(2 * steps * ROUNDINGS_PER_STEP + steps * BATCH, backend.dtype);
      const label = `${recurrences} × ${FRAMES}, window ${window}`;
      const compare = (actual: ArrayLike<number>, expected: ArrayLike<number>, size: ArrayLike<number>, part: string) =>
        assertClose(
          actual,
          expected,
          Array.from(size, (v) => error * v),
          `${label}: ${part}`,
        );
      for (const part of ["outs", "x", "h0"] as const) compare(got[part], want[part], sizes[part], part);
      const name = "rnn.hh.values";
      compare(got.gradients[name]!, want.gradients[name]!, sizes.gradients[name]!, name);
    }
  });

  test("bits do not depend on the memory budget; what is recomputed is reported", async ({ backend }) => {
    for (const [more, budgets] of [
      [{}, [0, 12, 24, 45]],
      [{ inputProjection: null, inputSize: N }, [24]],
      [{ dynamics: "voltage" }, [24]],
    ] satisfies readonly (readonly [Partial<ConnectomeRNNOptions>, readonly number[]])[]) {
      const width = (more as Partial<ConnectomeRNNOptions>).inputSize ?? INPUTS;
      const input = sequence(17, BATCH, width);
      const ct = normals("ct 17", BATCH * 17 * N);
      const evaluation: StepOptions = { recurrences: 2, window: 5 };
      const whole = await once(backend, network(more), input, ct, evaluation);
      assert.equal([whole.plan?.strategy, whole.plan?.attempts, whole.plan?.attemptsRecomputed], ["store", 34, 0]);
      const strategies = new Set<string>();
      for (const sets of budgets) {
        const { bytesPerStart, bytesPerSaves } = whole.plan!;
        const memoryBudgetBytes = sets * ((bytesPerStart + bytesPerSaves) / 2);
        const part = await once(backend, network({ ...more, memoryBudgetBytes }), input, ct, evaluation);
        assert.ok(part.plan!.attemptsRecomputed > 0, `${sets} sets`);
        assert.is(part.plan!.budgetBytes, memoryBudgetBytes);
        strategies.add(part.plan!.strategy);
        assertSameBits(part, whole, `${sets} sets`);
      }
      assert.ok(strategies.has("checkpoint"), [...strategies].join());
    }
  });

  test("K recurrences are a sequence with each frame K times; outputs are after frames or steps", async ({
    backend,
  }) => {
    const K = 3;
    const input = sequence();
    const repeated = new Float64Array(K * input.data.length);
    for (let s = 0; s < BATCH; s++)
      for (let k = 0; k < K * FRAMES; k++)
        for (let i = 0; i < INPUTS; i++)
          repeated[(s * K * FRAMES + k) * INPUTS + i] = input.data[(s * FRAMES + Math.floor(k / K)) * INPUTS + i]!;
    const long = { data: repeated, batch: BATCH, steps: K * FRAMES };
    const model = new ConnectomeRNN(backend, network({ outputProjection: null }));
    const all = await model.forward(long);
    const steps = await model.forward(input, { recurrences: K, outputs: "steps" });
    assertBitEqual(steps.hs, all.hs, "after every step");
    const frames = await model.forward(input, { recurrences: K });
    const ct = new Float64Array(BATCH * K * FRAMES * N);
    for (let row = 0; row < BATCH * FRAMES; row++) {
      const [at, last] = [row * N, (row * K + K - 1) * N];
      assertBitEqual(frames.hs.slice(at, at + N), all.hs.slice(last, last + N), `frame ${row}`);
      ct.set(CT.slice(at, at + N), last);
    }
    const short = await pulled(model, input, CT, { recurrences: K });
    const explicit = await pulled(model, long, ct, {});
    assertBitEqual(short.h0, explicit.h0, "initial state");
    for (const name of ["rnn.hh.values", "rnn.hh.bias", "rnn.tau"])
      assertBitEqual(short.gradients[name]!, explicit.gradients[name]!, name);
    // Those of the frames are added up before the projection or behind it.
    const magnitude = Math.max(...Array.from(explicit.x, Math.abs));
    const sums = partsOf(explicit.x, BATCH * FRAMES, K * INPUTS, 0, K * INPUTS);
    const added = Float64Array.from({ length: BATCH * FRAMES * INPUTS }, (_, i) => {
      const [row, column] = [Math.floor(i / INPUTS), i % INPUTS];
      return [0, 1, 2].reduce((sum, k) => sum + sums[row * K * INPUTS + k * INPUTS + column]!, 0);
    });
    // Sums of K·N products: each rounding is at most u times the largest sum of sizes, K·N·max|U·ct| ≤ K·N·the largest of them.
    assertClose(short.x, added, gamma(K * (N + 2), backend.dtype) * K * N * magnitude, "frames");
    const constant = { data: normals("constant", BATCH * INPUTS), batch: BATCH };
    const ten = await model.forward(constant, { numSteps: 10 });
    const five = await model.forward(constant, { numSteps: 5, recurrences: 2 });
    assertBitEqual(five.hs.slice(0, N), ten.hs.slice(N, 2 * N), "constant input");
    model.dispose();
  });

  test("the state goes from call to call, and a window ends the gradient where calls meet", async ({ backend }) => {
    const input = sequence();
    const window = 2;
    const whole = await once(backend, network(), input, CT, { window });
    const model = new ConnectomeRNN(backend, network());
    const sums: Record<string, Float64Array> = {};
    let h0: ArrayLike<number> | null = null;
    for (let from = 0; from < FRAMES; from += window) {
      const ct = partsOf(CT, BATCH, FRAMES * N, from * N, (from + window) * N);
      const part: Result = await pulled(model, framesOf(input, from, from + window), ct, { h0 });
      const label = `frames from ${from}`;
      assertBitEqual(
        part.outs,
        rounded(backend, partsOf(whole.outs, BATCH, FRAMES * N, from * N, (from + window) * N)),
        label,
      );
      const x = partsOf(whole.x, BATCH, FRAMES * INPUTS, from * INPUTS, (from + window) * INPUTS);
      assertBitEqual(part.x, rounded(backend, x), `${label}: input`);
      if (from === 0) assertBitEqual(part.h0, whole.h0, "initial state");
      h0 = partsOf(part.outs, BATCH, window * N, (window - 1) * N, window * N);
      for (const [name, g] of Object.entries(part.gradients)) {
        sums[name] ??= new Float64Array(g.length);
        for (let i = 0; i < g.length; i++) sums[name][i]! += g[i]!;
      }
    }
    // The same terms in another order: at most the number of terms, times the largest of them, which the sums of sizes on the host bound.
    const run: Run = { recurrences: 1, window, h0: new Float64Array(BATCH * N), input, ct: CT };
    const sizes = onHost(run, Math.abs).gradients["rnn.hh.values"]!;
    const error = gamma(FRAMES * BATCH, backend.dtype);
    assertClose(
      whole.gradients["rnn.hh.values"]!,
      sums["rnn.hh.values"]!,
      Array.from(sizes, (v) => error * v),
      "weights",
    );
    model.dispose();
  });

  test("a window over the whole sequence gives the bits of none, in discrete and continuous time", async ({
    backend,
  }) => {
    const [input, plain] = [sequence(), await once(backend, network(), sequence(), CT)];
    for (const window of [FRAMES, FRAMES + 5])
      assertSameBits(await once(backend, network(), input, CT, { window }), plain, `window ${window}`);
    const narrow = await once(backend, network(), input, CT, { window: 1 });
    assert.not.equal(Array.from(narrow.x), Array.from(plain.x));
    const model = new ConnectomeODERNN(backend, ODE);
    const [few, ct] = [sequence(4, 3), normals("ct few", 3 * 4 * N)];
    const evaluation = { numEvals: 4, endTime: 4 };
    const without = await pulled(model, few, ct, evaluation);
    assertSameBits(await pulled(model, few, ct, { ...evaluation, window: 4 }), without, "continuous");
    model.dispose();
  });

  test("in continuous time a window ends the gradient at a frame's border, whatever the steps are", async ({
    backend,
  }) => {
    const input = sequence(4, 3);
    // An output at the end only: frames before the last window have no gradient, those in it the whole one.
    const ct = normals("ct end", 3 * N);
    const evaluation = { times: [4], endTime: 4 };
    for (const solve of [{}, { backpropThroughStepSizeControl: false }, { memoryBudgetBytes: 0 }]) {
      const model = new ConnectomeODERNN(backend, { ...ODE, solve });
      const whole = await pulled(model, input, ct, evaluation);
      for (const window of [1, 2, 3]) {
        const part = await pulled(model, input, ct, { ...evaluation, window });
        assertBitEqual(part.outs, whole.outs, "states");
        const begin = window * Math.floor(3 / window);
        const frames = (x: ArrayLike<number>, from: number, to: number) =>
          partsOf(x, 3, 4 * INPUTS, from * INPUTS, to * INPUTS);
        assertBitEqual(frames(part.x, begin, 4), frames(whole.x, begin, 4), `window ${window}: last frames`);
        assert.ok(
          frames(part.x, 0, begin).every((g) => g === 0),
          `window ${window}: frames before`,
        );
        assert.ok(frames(whole.x, 0, begin).some((g) => g !== 0));
      }
      model.dispose();
    }
  });

  test("in continuous time windows are those of solves by hand, with steps that do not depend on them", async ({
    backend,
  }) => {
    const input = sequence(4, 3);
    const fixed = { ...ODE, solve: { dt0: 0.25, fixedStep: true, method: "rk4" } };
    const model = new ConnectomeODERNN(backend, fixed);
    const ct = normals("ct by hand", 3 * 4 * N);
    const times = [1, 2, 3, 4];
    const whole = await pulled(model, input, ct, { times, endTime: 4, window: 2 });
    const firstCt = partsOf(ct, 3, 4 * N, 0, 2 * N);
    const first = await pulled(model, framesOf(input, 0, 2), firstCt, { times: [1, 2], endTime: 2 });
    const h0 = partsOf(first.outs, 3, 2 * N, N, 2 * N);
    const secondCt = partsOf(ct, 3, 4 * N, 2 * N, 4 * N);
    const second = await pulled(model, framesOf(input, 2, 4), secondCt, { times: [1, 2], endTime: 2, h0 });
    assertBitEqual(rounded(backend, partsOf(whole.x, 3, 4 * INPUTS, 0, 2 * INPUTS)), first.x, "first window");
    assertBitEqual(
      rounded(backend, partsOf(whole.x, 3, 4 * INPUTS, 2 * INPUTS, 4 * INPUTS)),
      second.x,
      "second window",
    );
    assertBitEqual(whole.h0, first.h0, "initial state");
    model.dispose();
  });

  test("a resting state is where a long run under that input leads; it follows the parameters", async ({ backend }) => {
    const rest = normals("rest", INPUTS);
    const input = sequence();
    const model = new ConnectomeRNN(backend, network());
    const ode = new ConnectomeODERNN(backend, ODE);
    const settledSteps = async () => (await model.forward({ data: rest, batch: 1 }, { numSteps: 40 })).hs.slice(39 * N);
    const settledTime = async () => (await ode.forward({ data: rest, batch: 1 }, { times: [7], endTime: 7 })).hs;
    const ct = normals("ct rest", BATCH * 2 * N);
    for (const biases of [normals("bias", N), normals("another bias", N)]) {
      for (const { parameters } of [model, ode]) parameters.set("rnn.hh.bias", biases);
      const steps = await pulled(model, input, CT, { h0: spread(await settledSteps()) });
      const times = await pulled(ode, input, ct, { h0: spread(await settledTime()) });
      for (let again = 0; again < 2; again++) {
        assertSameBits(await pulled(model, input, CT, { h0: { rest, steps: 40 } }), steps, "discrete");
        assertSameBits(await pulled(ode, input, ct, { h0: { rest, time: 7 } }), times, "continuous");
      }
      const zero = await model.forward(input, { h0: { rest: 0, steps: 1 } });
      assert.not.equal(Array.from(zero.hs.slice(0, N)), Array.from(steps.outs).slice(0, N));
    }
    for (const net of [model, ode]) net.dispose();
  });

  test("a run to rest that does not reach its end is not the failure of a sample", async ({ backend }) => {
    const input = sequence(4, 3);
    for (const onFailure of ["throw", "mask"] as const) {
      const model = new ConnectomeODERNN(backend, { ...ODE, solve: { onFailure, maxSteps: 40 } });
      const evaluation = { h0: { rest: 1, time: 1e7 } };
      const error = await model.forward(input, evaluation).then(
        () => null,
        (e: unknown) => e,
      );
      assert.instance(error, SolverError, String(error));
      const { code, message, facts } = error as SolverError;
      assert.match(message, /^h0\.rest, the run to the resting state: .* stopped at t = /);
      assert.equal([code, facts.argument, "sample" in facts], ["maxSteps", "h0.rest", false]);
      const { stats } = await model.forward(input, { h0: { rest: 1, time: 1 } });
      assert.equal(stats[0]!.status, ["success", "success", "success"]);
      model.dispose();
    }
  });

  test("output times that are not asked for have no states, and gradients are the same without them", async ({
    backend,
  }) => {
    const input = sequence();
    const last = FRAMES - 1;
    const lastOnly = CT.map((v, i) => (Math.floor(i / N) % FRAMES === last ? v : 0));
    const cases = [
      [new ConnectomeRNN(backend, network()), {}],
      [new ConnectomeODERNN(backend, ODE), { numEvals: FRAMES, endTime: 2 }],
    ] as const;
    for (const [model, evaluation] of cases) {
      const expected = await pulled(model, input, lastOnly, evaluation);
      model.parameters.zeroGradients();
      const net: Network<object> = model.network;
      for await (const chunk of net.chunks({ input, evaluation, at: [last] }, "gradients")) {
        assert.equal([chunk.hs.length, Object.keys(chunk.hs)], [FRAMES, [`${last}`]]);
        const at = (s: number, i: number) => (s * FRAMES + last) * N + i;
        chunk.desk.put(chunk.ctHs[last]!, CT, { first: chunk.first, count: chunk.count, at }, "zero");
        net.reverseChunk(chunk, chunk.ctHs);
      }
      net.parameters.foldGradients();
      for (const [name, g] of Object.entries(expected.gradients))
        assertBitEqual(await model.parameters.gradient(name), g, `${net.outputTimes({ input, evaluation })} ${name}`);
      const wrong = net.chunks({ input, evaluation, at: [FRAMES] }, "loss");
      await rejects(() => wrong.next(), ArgumentError, /6 output times, got 6/);
      model.dispose();
    }
  });
}

const CT = normals("ct", BATCH * FRAMES * N);
const { memoryBudgetBytes: _, ...SHARED } = network();
const ODE: ConnectomeODERNNOptions = SHARED;

/** A state for every sample. */
function spread(h: ArrayLike<number>): Float64Array {
  return Float64Array.from({ length: BATCH * N }, (_, i) => h[i % N]!);
}

function rounded({ dtype }: Backend, values: Float64Array): ArrayLike<number> {
  return dtype === "f32" ? Float32Array.from(values) : values;
}

async function rejects<E extends Error>(
  body: () => unknown,
  kind: new (...args: never[]) => E,
  pattern: RegExp,
): Promise<void> {
  const error = await Promise.resolve()
    .then(body)
    .then(
      () => null,
      (e: unknown) => e,
    );
  assert.instance(error, kind, String(error));
  assert.match((error as Error).message, pattern);
}

const BAD: readonly (readonly [object, RegExp])[] = [
  [{ recurrences: 0 }, /a whole number of at least 1, got 0 \(recurrences\)/],
  [{ recurrences: 1.5 }, /recurrences/],
  [{ window: 0 }, /a whole number of frames, at least 1, got 0 \(window\)/],
  [{ outputs: "frame" }, /"frames" or "steps", got "frame" \(outputs\)/],
  [{ numSteps: 3 }, /6, the length of the sequence, or nothing, got 3/],
  [{ h0: { rest: 0 } }, /a whole number of at least 1, got undefined \(h0\.steps\)/],
  [{ h0: { rest: 0, steps: 1.5 } }, /h0\.steps/],
  [{ h0: { rest: 0, time: 3 } }, /h0\.steps in its place, got 3 \(h0\.time\)/],
  [{ h0: { rest: 0, stepz: 3 } }, /h0\.steps, or another option/],
  [{ h0: { rest: Number.NaN, steps: 2 } }, /finite numbers, got NaN at 0 \(h0\.rest\)/],
];

const BAD_NETWORKS: readonly (readonly [object, RegExp])[] = [
  [{ neuronAlpha: 0 }, /leaks above 0 and at most 1, got 0 at neuron 0 \(neuronAlpha\)/],
  [{ neuronAlpha: 1.5 }, /neuronAlpha/],
  [{ neuronTau: 2 }, /it dropped, or no neuronTau \(α = 1\/τ\), got both \(neuronAlpha\)/],
  [{ dynamics: "plain" }, /\(neuronAlpha\)/],
  [{ memoryBudgetBytes: -1 }, /at least 0, got -1 \(memoryBudgetBytes\)/],
];

forEachBackend("time", ["f64", "f32"], (test) => {
  define(test);

  test("wrong options are refused by name", async ({ backend }) => {
    const model = new ConnectomeRNN(backend, network());
    for (const [evaluation, pattern] of BAD)
      await rejects(() => model.forward(sequence(), evaluation), ArgumentError, pattern);
    const short = { h0: { rest: [1], steps: 2 } };
    await rejects(() => model.forward(sequence(), short), ShapeError, /3 numbers, got 1 \(h0\.rest\)/);
    for (const [more, pattern] of BAD_NETWORKS)
      await rejects(() => new ConnectomeRNN(backend, network(more)), ArgumentError, pattern);
    const ode = new ConnectomeODERNN(backend, { ...ODE, solve: { stepsEndAtFrames: false } });
    await rejects(
      () => ode.forward(sequence(), { window: 2 }),
      ArgumentError,
      /stepsEndAtFrames: true, got both \(window\)/,
    );
    await rejects(() => ode.forward(sequence(), { h0: { rest: 0, steps: 2 } }), ArgumentError, /h0\.time in its place/);
    await rejects(
      () => new ConnectomeODERNN(backend, network({ memoryBudgetBytes: 5 })),
      ArgumentError,
      /it in solve, got it beside solve \(memoryBudgetBytes\)/,
    );
    for (const net of [model, ode]) net.dispose();
  });

  test("trained leaks stay above 0 and at most 1", async ({ backend }) => {
    const model = new ConnectomeRNN(backend, network());
    model.parameters.set("rnn.tau", new Float64Array(N).fill(0.5), { clamp: true });
    await model.forward(sequence());
    assertBitEqual(await model.parameters.values("rnn.tau"), new Float64Array(N).fill(1), "τ");
    const typed = network({
      neuronType: Array.from("abababab"),
      neuronAlpha: { a: 0.5, b: 0.25 },
      neuronTauMode: "perNeuronType",
    });
    const perType = new ConnectomeRNN(backend, typed);
    assertBitEqual(await perType.parameters.values("rnn.tau"), [2, 4], "τ of the types");
    for (const net of [model, perType]) net.dispose();
  });
});
onWebGpu("time", define);

forEachBackend("gradients through time", ["f64"], (test) => {
  test("leaky networks, recomputed steps, recurrences and a resting start agree with central differences", async ({
    backend,
  }) => {
    const H = randomSparse(2, N, 0.6).csr;
    const h0 = normals("h0", 3 * N);
    const input = sequence(5, 3);
    const ct = normals("ct 5", 3 * 5 * 2);
    const cases: readonly (readonly [string, Model, object])[] = [
      [
        "discrete",
        new ConnectomeRNN(backend, network({ outputProjection: H, memoryBudgetBytes: 0 })),
        { recurrences: 3 },
      ],
      ["continuous", new ConnectomeODERNN(backend, { ...ODE, outputProjection: H }), { numEvals: 5, endTime: 3 }],
    ];
    for (const [label, model, evaluation] of cases) {
      const { parameters } = model;
      const { x, h0: ofStart, gradients } = await pulled(model, input, ct, { ...evaluation, h0 });
      const point: Record<string, ArrayLike<number>> = { x: input.data, h0 };
      for (const name of Object.keys(gradients)) point[name] = await parameters.values(name);
      const f = async (p: Point) => {
        for (const name of Object.keys(gradients)) parameters.set(name, p[name]!);
        const { outs } = await model.forward({ ...input, data: p.x! }, { ...evaluation, h0: p.h0! });
        return Array.from(outs).reduce((sum, v, i) => sum + v * ct[i]!, 0);
      };
      await assertGradient(label, f, point, { ...gradients, x, h0: ofStart }, { roundings: 3000, stepScale: 8 });
      model.dispose();
    }
  });
});
