// Silenced, clamped and driven neurons: against networks that are changed instead, on every device; gradients; what is recorded.

import type { Test } from "uvu";
import * as assert from "uvu/assert";
import type { Backend } from "../../src/backend/backend.ts";
import { withValues } from "../../src/core/csr.ts";
import { ArgumentError, ShapeError } from "../../src/core/errors.ts";
import { ConnectomeODEClassifier } from "../../src/models/classifier.ts";
import {
  ConnectomeODERNN,
  type ConnectomeODERNNOptions,
  type EvaluationOptions,
} from "../../src/models/connectomeOdeRnn.ts";
import { ConnectomeRNN, type StepOptions } from "../../src/models/connectomeRnn.ts";
import type { Interventions } from "../../src/models/interventions.ts";
import type { Dynamics, ModelInput } from "../../src/models/options.ts";
import { recordActivity } from "../../src/models/recordActivity.ts";
import { selectStates } from "../../src/models/selectStates.ts";
import { normals, pairing } from "../ode/harness.ts";
import { forEachBackend, type WithBackend } from "../support/backends.ts";
import { assertBitEqual, assertClose } from "../support/close.ts";
import { assertGradient, type Point } from "../support/gradcheck.ts";
import { randomSparse } from "../support/matrices.ts";
import { onWebGpu } from "../support/onWebGpu.ts";

const N = 7;
const BATCH = 3;
const STEPS = 4;
const RANDOM = randomSparse(N, N, 0.6).csr;
const W = withValues(
  RANDOM,
  RANDOM.values.map((w) => 0.5 * w),
);
const DYNAMICS: readonly Dynamics[] = ["rate", "leaky", "voltage", "plain"];

/** Fixed steps: a held neuron has no part in choosing them. */
function optionsOf(dynamics: Dynamics, own: Partial<ConnectomeODERNNOptions> = {}): ConnectomeODERNNOptions {
  return {
    numNeurons: N,
    inputSize: N,
    connectome: W,
    dynamics,
    neuronType: ["a", "a", "b", "b", "b", "c", "c"],
    neuronNonlinearity: ["Sigmoid", "Softplus", "Tanh"],
    neuronClass: [1, -1, 1, 1, -1, 1, 1],
    ...(dynamics === "plain" ? {} : { neuronTau: [1.25, 1.5, 2, 1.25, 1.2, 3, 1.5] }),
    biasInit: normals("bias", N),
    weightConstraint: "none",
    inputGradient: true,
    solve: { dt0: 0.25, controller: { type: "fixed" } },
    ...own,
  };
}

/** Numbers that all precisions have. */
function dyadic(label: string, length: number): Float64Array {
  return normals(label, length).map((x) => Math.round(64 * x) / 64);
}

function inputOf(steps?: number): ModelInput {
  const data = dyadic(`input ${steps}`, BATCH * (steps ?? 1) * N);
  return { data, batch: BATCH, ...(steps !== undefined && { steps }) };
}

interface Kind {
  readonly name: string;
  /** States [batch, times, neurons]. */
  readonly run: (
    backend: Backend,
    options: ConnectomeODERNNOptions,
    input: ModelInput,
    evaluation: { readonly interventions?: Interventions; readonly h0?: ArrayLike<number> },
  ) => Promise<ArrayLike<number>>;
}

const KINDS: readonly Kind[] = [
  {
    name: "continuous time",
    run: async (backend, options, input, evaluation) => {
      using model = new ConnectomeODERNN(backend, options);
      return (await model.forward(input, { endTime: 2, numEvals: 3, ...evaluation })).hs;
    },
  },
  {
    name: "discrete time",
    run: async (backend, { solve: _, ...options }, input, evaluation) => {
      using model = new ConnectomeRNN(backend, options);
      return (await model.forward(input, { numSteps: input.steps ?? 3, ...evaluation })).hs;
    },
  },
];

/** States of the neurons for which `of` holds. */
function statesOf(hs: ArrayLike<number>, of: (neuron: number) => boolean): number[] {
  return Array.from(hs).filter((_, k) => of(k % N));
}

function define(test: Test<WithBackend>, which: readonly Dynamics[] = DYNAMICS): void {
  for (const { name, run } of KINDS) {
    for (const dynamics of which) {
      test(`${name}, ${dynamics}: silence is a network without the neuron's connections`, async ({ backend }) => {
        const isSilent = (i: number) => i === 1 || i === 5;
        const cut = withValues(
          W,
          W.values.map((w, k) => (isSilent(W.colIdx[k]!) ? 0 : w)),
        );
        for (const steps of [undefined, STEPS]) {
          const interventions = { silence: [1, 5] };
          const h0 = normals("h0", BATCH * N);
          const silenced = await run(backend, optionsOf(dynamics), inputOf(steps), { interventions, h0 });
          const expected = await run(backend, optionsOf(dynamics, { connectome: cut }), inputOf(steps), { h0 });
          const others = (i: number) => !isSilent(i);
          assertBitEqual(statesOf(silenced, others), statesOf(expected, others), `others, ${steps} frames`);
          assert.ok(statesOf(silenced, isSilent).every((h) => h === 0));
          const intact = await run(backend, optionsOf(dynamics), inputOf(steps), { h0 });
          assert.not.equal(statesOf(silenced, others), statesOf(intact, others));
        }
      });

      test(`${name}, ${dynamics}: a clamped state stays where it is, and drives the others`, async ({ backend }) => {
        const clamp = [
          { neurons: "type:b", value: [0.5, -0.25, 2] },
          { neurons: [6], value: 1 },
        ];
        const held = new Map([
          [2, 0.5],
          [3, -0.25],
          [4, 2],
          [6, 1],
        ]);
        const hs = await run(backend, optionsOf(dynamics), inputOf(), { interventions: { clamp } });
        for (const [neuron, value] of held) {
          assert.ok(
            statesOf(hs, (i) => i === neuron).every((h) => h === value),
            `neuron ${neuron} at ${value}`,
          );
        }
        const intact = await run(backend, optionsOf(dynamics), inputOf(), {});
        assert.not.equal(
          statesOf(hs, (i) => i < 2),
          statesOf(intact, (i) => i < 2),
        );
      });

      test(`${name}, ${dynamics}: a current is a larger input`, async ({ backend }) => {
        const drive = [
          { neurons: [0, 3], current: 0.5 },
          { neurons: "c | 3", current: -0.25 },
        ];
        const added = (i: number) => (i === 0 || i === 3 ? 0.5 : 0) + (i >= 5 || i === 3 ? -0.25 : 0);
        for (const steps of [undefined, STEPS]) {
          const input = inputOf(steps);
          const larger = { ...input, data: Float64Array.from(input.data, (x, k) => x + added(k % N)) };
          const driven = await run(backend, optionsOf(dynamics), input, { interventions: { drive } });
          assertBitEqual(driven, await run(backend, optionsOf(dynamics), larger, {}), `${steps} frames`);
        }
      });
    }

    test(`${name}: currents per frame, and per sample and frame`, async ({ backend }) => {
      const current = dyadic("current", BATCH * STEPS);
      const course = current.slice(0, STEPS);
      const input = inputOf(STEPS);
      for (const [given, at] of [
        [course, (_: number, k: number) => course[k]!],
        [current, (s: number, k: number) => current[s * STEPS + k]!],
      ] as const) {
        const data = Float64Array.from(input.data, (x, k) => {
          const [row, i] = [Math.floor(k / N), k % N];
          return x + (i === 2 ? at(Math.floor(row / STEPS), row % STEPS) : 0);
        });
        const interventions = { drive: [{ neurons: [2], current: given }] };
        const driven = await run(backend, optionsOf("rate"), input, { interventions });
        assertBitEqual(driven, await run(backend, optionsOf("rate"), { ...input, data }, {}), `${given.length}`);
      }
      // A constant input, with a current of its own for each sample.
      const constant = inputOf();
      const perSample = [0.5, -1, 0];
      const data = Float64Array.from(constant.data, (x, k) => x + (k % N === 2 ? perSample[Math.floor(k / N)]! : 0));
      const interventions = { drive: [{ neurons: [2], current: perSample }] };
      const driven = await run(backend, optionsOf("rate"), constant, { interventions });
      assertBitEqual(driven, await run(backend, optionsOf("rate"), { ...constant, data }, {}), "per sample");
    });
  }

  test("the same model runs without interventions as before, to the bit, gradients too", async ({ backend }) => {
    using model = new ConnectomeODERNN(backend, optionsOf("voltage"));
    const ct = normals("ct", BATCH * 2 * N);
    const gradientOf = async (evaluation: EvaluationOptions) => {
      model.parameters.clearGradients();
      const { trajectory, gradients } = await model.vjp(inputOf(), ct, evaluation);
      return [
        ...trajectory.hs,
        ...gradients.x!,
        ...gradients.h0,
        ...(await model.parameters.gradient("rnn.hh.values")),
      ];
    };
    const before = await gradientOf({});
    const with1 = await gradientOf({ interventions: { silence: "a", clamp: [{ neurons: [6], value: 1 }] } });
    assert.not.equal(with1, before);
    assertBitEqual(await gradientOf({}), before, "after");
    assertBitEqual(await gradientOf({ interventions: {} }), before, "none");
    assertBitEqual(
      await gradientOf({ interventions: { silence: "a", clamp: [{ neurons: [6], value: 1 }] } }),
      with1,
      "again",
    );
  });

  test("a sample has the same bits alone, and without one that fails beside it", async ({ backend }) => {
    const current = [0.5, 1, -2, 1, 0.25, 1, 0, 3, -1, 1, 2, 0.5];
    const input = inputOf(STEPS);
    const data = Float64Array.from(input.data);
    data[STEPS * N] = Number.NaN;
    const interventions = { drive: [{ neurons: "a", current }], silence: [3] };
    using model = new ConnectomeODERNN(backend, optionsOf("rate", { solve: { onFailure: "mask" } }));
    const ct = new Float64Array(BATCH * 2 * N).fill(1);
    const { trajectory } = await model.vjp({ ...input, data }, ct, { interventions });
    const gradient = await model.parameters.gradient("rnn.hh.values");
    model.parameters.clearGradients();
    const part = (a: ArrayLike<number>, width: number) =>
      [0, 2].flatMap((s) => Array.from(a).slice(s * width, (s + 1) * width));
    const alone = await model.vjp({ batch: 2, steps: STEPS, data: part(data, STEPS * N) }, ct.slice(0, 4 * N), {
      interventions: { ...interventions, drive: [{ neurons: "a", current: part(current, STEPS) }] },
    });
    assertBitEqual(part(trajectory.hs, 2 * N), alone.trajectory.hs, "states");
    assertBitEqual(await model.parameters.gradient("rnn.hh.values"), gradient, "gradient");
    const recorded = await recordActivity(model, { ...input, data }, { evaluation: { interventions }, neurons: "b" });
    assertBitEqual(recorded.data, selectStates(model, trajectory, BATCH, { type: "b" }).data, "recorded");
    assert.ok(recorded.data.some(Number.isNaN));
  });

  test("a read-out gets 0 from silenced neurons", async ({ backend }) => {
    const { inputGradient: _, ...rnn } = optionsOf("voltage");
    using model = new ConnectomeODEClassifier(backend, { rnn, numClasses: 2, fcDim: null });
    model.parameters.set("out_layer.1.bias", [1, -1]);
    const logits = await model.forward(inputOf(), { interventions: { silence: "all" } });
    assert.equal([...logits], [1, -1, 1, -1, 1, -1]);
  });

  test("activity is recorded in parts of the batch, as states or rates", async ({ backend }) => {
    const batch = 2 * backend.lanesFor(N) + 1;
    const data = normals("many", batch * N);
    for (const dynamics of which) {
      using model = new ConnectomeODERNN(backend, optionsOf(dynamics, { batchFirst: false }));
      const evaluation = { numEvals: 4, interventions: { silence: [5] } };
      const { hs } = await model.forward({ data, batch }, evaluation);
      const done: number[] = [];
      const recorded = await recordActivity(
        model,
        { data, batch },
        {
          evaluation,
          neurons: [6, 5, 0],
          times: [3, 1],
          onProgress: (samples) => done.push(samples),
        },
      );
      assert.equal(recorded.shape, [batch, 2, 3]);
      assert.equal([...recorded.ts], [1, 1 / 3]);
      assert.is(done.at(-1), batch);
      const at = (s: number, j: number, i: number) => hs[(j * batch + s) * N + i]!;
      const expected = Array.from({ length: batch }, (_, s) =>
        [3, 1].flatMap((j) => [6, 5, 0].map((i) => at(s, j, i))),
      );
      assertBitEqual(recorded.data, expected.flat(), "states");
      const rates = await recordActivity(model, { data, batch }, { evaluation, times: [3], rates: true });
      const phi = [
        ...Array(2).fill((x: number) => 1 / (1 + Math.exp(-x))),
        ...Array(3).fill((x: number) => Math.log1p(Math.exp(x))),
        ...Array(2).fill(Math.tanh),
      ];
      const sent = Array.from({ length: batch * N }, (_, k) => {
        const [s, i] = [Math.floor(k / N), k % N];
        if (i === 5) return 0;
        return dynamics === "voltage" ? phi[i]!(at(s, 3, i)) : at(s, 3, i);
      });
      // States of size 1 in f32, and functions with errors of a few roundings.
      assertClose(rates.data, sent, 1e-6, "rates");
    }
    const { solve: _, ...discrete } = optionsOf("rate");
    using model = new ConnectomeRNN(backend, discrete);
    const recorded = await recordActivity<StepOptions>(model, inputOf(STEPS), { times: [1] });
    assert.equal([...recorded.ts], [2]);
    assert.equal(recorded.shape, [BATCH, 1, N]);
  });
}

forEachBackend("interventions", ["f64", "f32"], (test) => define(test));

forEachBackend("gradients with interventions", ["f64"], (test) => {
  const interventions: Interventions = {
    silence: [1],
    clamp: [{ neurons: [4, 6], value: [0.3, -0.5] }],
    drive: [
      { neurons: [0, 2], current: 0.4 },
      { neurons: [2, 3], current: normals("course", BATCH * STEPS) },
    ],
  };
  const projection = randomSparse(N, 2, 0.7).csr;
  for (const dynamics of DYNAMICS) {
    for (const discrete of [false, true]) {
      test(`${discrete ? "discrete" : "continuous"} time, ${dynamics}`, async ({ backend }) => {
        const { solve: _, ...shared } = optionsOf(dynamics, { inputSize: 2, inputProjection: projection });
        const evaluation = { interventions };
        const adaptive = { solve: { dt0: 0.1, rtol: 1e-4, atol: 1e-6 } };
        using model = discrete
          ? new ConnectomeRNN(backend, shared)
          : new ConnectomeODERNN(backend, { ...shared, ...adaptive });
        const times = discrete ? STEPS : 2;
        const ct = normals("ct", BATCH * times * N);
        const names = model.parameters.trainable().map((p) => p.name);
        const point: Record<string, ArrayLike<number>> = {
          x: normals("x", BATCH * STEPS * 2),
          h0: normals("h0", BATCH * N),
        };
        for (const name of names) point[name] = Float64Array.from(await model.parameters.values(name));
        const runAt = async (p: Point) => {
          for (const name of names) model.parameters.set(name, p[name]!);
          const input = { data: p.x!, batch: BATCH, steps: STEPS };
          const own = { ...evaluation, h0: p.h0! };
          if (model instanceof ConnectomeRNN) {
            const { outputs, gradients } = await model.vjp(input, ct, own);
            return { hs: outputs.hs, gradients };
          }
          const { trajectory, gradients } = await model.vjp(input, ct, own);
          return { hs: trajectory.hs, gradients };
        };
        const { gradients } = await runAt(point);
        const gradient: Record<string, ArrayLike<number>> = { x: gradients.x!, h0: gradients.h0 };
        for (const name of names) gradient[name] = Float64Array.from(await model.parameters.gradient(name));
        for (const i of [1, 4, 6]) {
          assert.ok(
            statesOf(gradients.h0, (k) => k === i).every((g) => g === 0),
            `h0 of neuron ${i} has no effect`,
          );
        }
        const f = async (p: Point) => pairing([(await runAt(p)).hs], [ct]);
        await assertGradient(`${dynamics} ${discrete}`, f, point, gradient, {
          directions: 2,
          roundings: 3000,
          stepScale: 8,
        });
      });
    }
  }

  test("of a classifier that is trained with clamped neurons", async ({ backend }) => {
    const { inputGradient: _, ...rnn } = optionsOf("rate");
    using model = new ConnectomeODEClassifier(backend, { rnn, numClasses: 2, fcDim: null });
    const clamp = [{ neurons: [2], value: 0.7 }];
    const gradients = () =>
      model.gradients(inputOf(), [0, 1, 1], 0, { interventions: { clamp, drive: [{ neurons: [0], current: 1 }] } });
    await gradients();
    const names = model.parameters.trainable().map((p) => p.name);
    const point: Record<string, ArrayLike<number>> = {};
    const gradient: Record<string, ArrayLike<number>> = {};
    for (const name of names) {
      point[name] = Float64Array.from(await model.parameters.values(name));
      gradient[name] = Float64Array.from(await model.parameters.gradient(name));
    }
    const f = async (p: Point) => {
      for (const name of names) model.parameters.set(name, p[name]!);
      return (await gradients()).loss;
    };
    await assertGradient("classifier", f, point, gradient, { directions: 2, roundings: 3000, stepScale: 8 });
  });
});

forEachBackend("interventions that are refused", ["f64"], (test) => {
  test("name what is wrong", async ({ backend }) => {
    using model = new ConnectomeODERNN(backend, optionsOf("rate"));
    const refuses = async (interventions: object, message: RegExp, type: unknown = ArgumentError) => {
      try {
        await model.forward(inputOf(STEPS), { interventions });
      } catch (error) {
        assert.instance(error, type as never, `${error}`);
        assert.match((error as Error).message, message);
        return;
      }
      assert.unreachable(`${message}`);
    };
    await refuses({ silense: [1] }, /silence, or another option, got "silense"/);
    await refuses({ silence: [7] }, /indices 0 to 6, got 7 \(silence\)/);
    await refuses({ silence: "type:d" }, /a type that a neuron has .* \(silence\)/);
    await refuses({ clamp: [{ neurons: [1, 1], value: 0 }] }, /neurons that are held once, got neuron 1 again/);
    await refuses(
      { silence: [2], clamp: [{ neurons: "b", value: 0 }] },
      /held once, got neuron 2 again \(clamp\[0\]\.neurons\)/,
    );
    await refuses(
      { clamp: [{ neurons: "b", value: [1, 2] }] },
      /3 numbers, one per neuron, or one for all, got 2/,
      ShapeError,
    );
    await refuses({ clamp: [{ neurons: "b", value: Number.NaN }] }, /finite numbers, got NaN .*\(clamp\[0\]\.value\)/);
    await refuses({ clamp: [{ neurons: "b", values: 1 }] }, /clamp\[0\]\.value, or another/);
    await refuses({ silence: [2], drive: [{ neurons: "b", current: 1 }] }, /whose state is not held, .*got neuron 2/);
    await refuses(
      { drive: [{ neurons: "b", current: [1, 2] }] },
      /one number, 4 \(one per frame\) or 3 × 4 .*got 2/,
      ShapeError,
    );
  });
});

// A software adapter compiles slowly: the dynamics with both masks.
onWebGpu("interventions", (test) => define(test, ["voltage"]));
