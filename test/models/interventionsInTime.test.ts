// Interventions where time has parts: recurrences, windows of truncated back-propagation, resting states, steps that are run again.

import type { Test } from "uvu";
import * as assert from "uvu/assert";
import type { Backend } from "../../src/backend/backend.ts";
import type { FloatArray } from "../../src/core/dtype.ts";
import { ConnectomeODERNN, type EvaluationOptions } from "../../src/models/connectomeOdeRnn.ts";
import { ConnectomeRNN, type StepOptions } from "../../src/models/connectomeRnn.ts";
import type { Interventions } from "../../src/models/interventions.ts";
import { ConnectomeModel } from "../../src/models/networkModel.ts";
import type { ConnectomeNetworkOptions, Dynamics, ModelInput } from "../../src/models/options.ts";
import { recordActivity } from "../../src/models/recordActivity.ts";
import { makeTask } from "../../src/models/task/makeTask.ts";
import { rateL1 } from "../../src/models/task/penalties.ts";
import type { TapePlan } from "../../src/ode/tape.ts";
import { normals } from "../ode/harness.ts";
import { forEachBackend, type WithBackend } from "../support/backends.ts";
import { assertBitEqual } from "../support/close.ts";
import { assertGradient, type Point } from "../support/gradcheck.ts";
import { randomSparse } from "../support/matrices.ts";
import { onWebGpu } from "../support/onWebGpu.ts";

const [N, INPUTS, FRAMES, BATCH, K, WINDOW] = [7, 2, 5, 3, 2, 2];
const W = randomSparse(N, N, 0.6).csr;
const U = randomSparse(N, INPUTS, 0.7).csr;
const DYNAMICS: readonly Dynamics[] = ["leaky", "voltage"];
const [SILENCED, CLAMPED] = [[1], [4, 6]];
/** Currents per frame, and per sample and frame. */
const COURSE = normals("course", FRAMES);
const COURSES = normals("courses", BATCH * FRAMES);
const INPUT: ModelInput = { data: normals("input", BATCH * FRAMES * INPUTS), batch: BATCH, steps: FRAMES };
const CT = normals("ct", BATCH * FRAMES * N);
const REST = normals("rest", INPUTS);
const HELD: Interventions = { silence: SILENCED, clamp: [{ neurons: CLAMPED, value: [0.3, -0.5] }] };

function optionsOf(dynamics: Dynamics): ConnectomeNetworkOptions {
  return {
    numNeurons: N,
    inputSize: INPUTS,
    inputProjection: U,
    connectome: W,
    dynamics,
    neuronNonlinearity: "Sigmoid",
    neuronTau: [1.25, 1.5, 2, 1.25, 1.2, 3, 1.5],
    biasInit: normals("bias", N),
    weightConstraint: "none",
    inputGradient: true,
  };
}

/** Those of the frames `from` … `to` − 1. */
function interventionsIn(from: number, to: number): Interventions {
  return {
    ...HELD,
    drive: [
      { neurons: [0, 2], current: 0.4 },
      { neurons: [3], current: COURSE.slice(from, to) },
      { neurons: [2, 5], current: framesOf(COURSES, 1, from, to) },
    ],
  };
}

/** The frames `from` … `to` − 1 of [batch, frames, width]. */
function framesOf(values: ArrayLike<number>, width: number, from: number, to: number): Float64Array {
  const part = new Float64Array(BATCH * (to - from) * width);
  for (let s = 0; s < BATCH; s++)
    for (let k = 0; k < (to - from) * width; k++)
      part[s * (to - from) * width + k] = values[(s * FRAMES + from) * width + k]!;
  return part;
}

/** What a run and its reverse leave. */
interface Result {
  /** [batch, frames, N] */
  readonly hs: ArrayLike<number>;
  readonly x: ArrayLike<number>;
  readonly gradients: Readonly<Record<string, ArrayLike<number>>>;
  readonly plan: TapePlan;
}

/** A network in one kind of time, whose outputs are the states after each frame. */
interface Subject {
  readonly name: string;
  readonly make: (backend: Backend, dynamics: Dynamics, memoryBudgetBytes?: number) => ConnectomeRNN | ConnectomeODERNN;
  /** An evaluation of so many frames. */
  readonly frames: (count: number) => EvaluationOptions | StepOptions;
  readonly rest: { readonly rest: ArrayLike<number>; readonly time?: number; readonly steps?: number };
  /** The run to rest, written out. */
  readonly toRest: EvaluationOptions | StepOptions;
}

const SUBJECTS: readonly Subject[] = [
  {
    name: "discrete time",
    make: (backend, dynamics, memoryBudgetBytes) =>
      new ConnectomeRNN(backend, {
        ...optionsOf(dynamics),
        ...(memoryBudgetBytes !== undefined && { memoryBudgetBytes }),
      }),
    frames: () => ({ recurrences: K }),
    rest: { rest: REST, steps: 6 },
    toRest: { numSteps: 1, recurrences: 6 },
  },
  {
    name: "continuous time",
    // Fixed steps: runs of some of the frames take the same ones.
    make: (backend, dynamics, memoryBudgetBytes) =>
      new ConnectomeODERNN(backend, {
        ...optionsOf(dynamics),
        solve: {
          ...{ dt0: 0.25, controller: { type: "fixed" } },
          ...(memoryBudgetBytes !== undefined && { memoryBudgetBytes }),
        },
      }),
    frames: (count) => ({ times: Float64Array.from({ length: count }, (_, k) => (k + 1) / 2) }),
    rest: { rest: REST, time: 3 },
    toRest: { times: [3] },
  },
];

type Model = ConnectomeRNN | ConnectomeODERNN;

async function statesOf(model: Model, input: ModelInput, evaluation: object): Promise<FloatArray> {
  return (await model.forward(input, evaluation)).hs;
}

async function pulled(model: Model, evaluation: object): Promise<Result> {
  model.parameters.zeroGradients();
  const { outputs, gradients: ofInputs } =
    model instanceof ConnectomeRNN
      ? await model.vjp(INPUT, CT, evaluation)
      : await model.vjp(INPUT, CT, evaluation).then(({ trajectory, ...rest }) => ({ ...rest, outputs: trajectory }));
  const gradients: Record<string, ArrayLike<number>> = {};
  for (const { name } of model.parameters.trainable()) gradients[name] = await model.parameters.gradient(name);
  return { hs: outputs.hs, x: ofInputs.x!, gradients, plan: outputs.stats[0]!.plan! };
}

function assertSameBits(actual: Result, expected: Result, label: string): void {
  assertBitEqual(actual.hs, expected.hs, `${label}: states`);
  assertBitEqual(actual.x, expected.x, `${label}: inputs`);
  for (const [name, g] of Object.entries(expected.gradients))
    assertBitEqual(actual.gradients[name]!, g, `${label}: ${name}`);
}

/** One state for all samples. */
function spread(row: ArrayLike<number>): Float64Array {
  return Float64Array.from({ length: BATCH * N }, (_, k) => row[row.length - N + (k % N)]!);
}

function define(test: Test<WithBackend>, which: readonly Dynamics[] = DYNAMICS): void {
  for (const { name, make, frames, rest, toRest } of SUBJECTS) {
    for (const dynamics of which) {
      test(`${name}, ${dynamics}: steps that are run again give the same bits`, async ({ backend }) => {
        const evaluation = { ...frames(FRAMES), window: WINDOW, h0: rest, interventions: interventionsIn(0, FRAMES) };
        using stored = make(backend, dynamics);
        const expected = await pulled(stored, evaluation);
        assert.is(expected.plan.attemptsRecomputed, 0);
        using recomputed = make(backend, dynamics, 0);
        const actual = await pulled(recomputed, evaluation);
        assert.ok(actual.plan.attemptsRecomputed > 0);
        assertSameBits(actual, expected, "small budget");
      });

      test(`${name}, ${dynamics}: silenced and clamped neurons are so on the way to rest, currents begin with the run`, async ({
        backend,
      }) => {
        using model = make(backend, dynamics);
        const constant = { data: REST, batch: 1 };
        const start = async (interventions: Interventions | null) =>
          spread(await statesOf(model, constant, { ...toRest, interventions }));
        const [held, intact] = [await start(HELD), await start(null)];
        assert.not.equal(held, intact);
        const interventions = interventionsIn(0, FRAMES);
        // In turn, so that no resting state serves two networks.
        for (const [own, h0] of [
          [interventions, held],
          [null, intact],
          [interventions, held],
          [{ drive: interventions.drive! }, intact],
        ] as const) {
          const got = await statesOf(model, INPUT, { ...frames(FRAMES), h0: rest, interventions: own });
          const want = await statesOf(model, INPUT, { ...frames(FRAMES), h0, interventions: own });
          assertBitEqual(got, want, `${own && Object.keys(own)}`);
        }
      });
    }

    test(`${name}: chunks of fewer samples have the same states, and only those that are asked for`, async ({
      backend,
    }) => {
      using model = make(backend, which[0]!);
      const evaluation = { ...frames(FRAMES), interventions: interventionsIn(0, FRAMES) };
      const hs = await statesOf(model, INPUT, evaluation);
      const at = [FRAMES - 1, 1];
      const { network } = model as ConnectomeRNN;
      const batch = { input: INPUT, evaluation: evaluation as StepOptions, at, mostSamples: 2 };
      const counts: number[] = [];
      for await (const chunk of network.chunks(batch, "states")) {
        counts.push(chunk.count);
        assert.equal(Object.keys(chunk.hs), ["1", `${FRAMES - 1}`]);
        for (const j of at) {
          const states = await chunk.desk.read(chunk.hs[j]!, chunk.count);
          for (let s = 0; s < chunk.count; s++) {
            const from = ((chunk.first + s) * FRAMES + j) * N;
            assertBitEqual(states.slice(s * N, (s + 1) * N), hs.slice(from, from + N), `time ${j}`);
          }
        }
      }
      assert.equal(counts, [2, 1]);
      const recorded = await recordActivity(model as ConnectomeRNN, INPUT, {
        evaluation: evaluation as StepOptions,
        times: at,
        neurons: [6, 0],
      });
      const expected = Array.from({ length: BATCH }, (_, s) =>
        at.flatMap((j) => [6, 0].map((i) => hs[(s * FRAMES + j) * N + i]!)),
      );
      assertBitEqual(recorded.data, expected.flat(), "recorded");
      assert.equal([...recorded.ts], name === "discrete time" ? [K * FRAMES, 2 * K] : [FRAMES / 2, 1]);
    });
  }
}

forEachBackend("interventions in time", ["f64", "f32"], (test) => {
  define(test);

  test("the currents of a frame stay for all of its recurrences", async ({ backend }) => {
    const { inputProjection: _, ...direct } = { ...optionsOf("leaky"), inputSize: N };
    using model = new ConnectomeRNN(backend, direct);
    // Numbers that all precisions have, and whose sums they have.
    const dyadic = (label: string, length: number) => normals(label, length).map((x) => Math.round(64 * x) / 64);
    const [data, current] = [dyadic("x", BATCH * FRAMES * N), dyadic("current", BATCH * FRAMES)];
    const larger = data.map((x, k) => x + (k % N === 2 ? current[Math.floor(k / N)]! : 0));
    const input = { data, batch: BATCH, steps: FRAMES };
    const evaluation = { recurrences: 3, outputs: "steps" } as const;
    const driven = await model.forward(input, {
      ...evaluation,
      interventions: { drive: [{ neurons: [2], current }] },
    });
    assertBitEqual(driven.hs, (await model.forward({ ...input, data: larger }, evaluation)).hs, "states");
  });

  test("penalties and responses are those of what silenced and clamped neurons send", async ({ backend }) => {
    for (const dynamics of DYNAMICS) {
      const { inputGradient: _, ...rnn } = optionsOf(dynamics);
      const target = { kind: "class", width: 1, classes: 2, times: null } as const;
      using model = new ConnectomeModel(backend, {
        ...{ rnn, task: makeTask({ loss: "cross-entropy", target }) },
        penalties: [rateL1({ name: "silenced", weight: 1, neurons: SILENCED }), rateL1({ name: "all", weight: 1 })],
      });
      const targets = { values: [0, 1, 1], weights: null };
      const penaltiesWith = async (interventions: Interventions | null) =>
        (await model.evaluate(INPUT, targets, { interventions })).penalties;
      const [intact, silenced] = [await penaltiesWith(null), await penaltiesWith(HELD)];
      assert.ok(intact.silenced! > 0 && intact.all! > 0);
      assert.is(silenced.silenced, 0);
      assert.ok(silenced.all! > 0);
      assert.equal(await penaltiesWith(null), intact);
      const batch = { input: INPUT, evaluation: { interventions: HELD } };
      for await (const chunk of model.rnn.network.chunks(batch, "states")) {
        const { rate, slope } = await model.rnn.network.responsesOf(chunk);
        for (let s = 0; s < BATCH; s++) {
          assert.equal([rate[s * N + 1], slope[s * N + 1]], [0, 0], dynamics);
          assert.ok(slope[s * N]! > 0);
          if (dynamics === "leaky") assert.equal([rate[s * N + 6], slope[s * N + 6]], [-0.5, 0]);
        }
      }
    }
  });
});

forEachBackend("gradients with interventions in time", ["f64"], (test) => {
  for (const { name, make, frames, rest, toRest } of SUBJECTS) {
    for (const dynamics of DYNAMICS) {
      test(`${name}, ${dynamics}: recurrences, windows, a resting start and steps that are run again`, async ({
        backend,
      }) => {
        using model = make(backend, dynamics, 0);
        const { parameters } = model;
        const evaluation = { window: WINDOW, h0: rest, interventions: interventionsIn(0, FRAMES) };
        const { hs, x, gradients } = await pulled(model, { ...frames(FRAMES), ...evaluation });
        const start = spread(await statesOf(model, { data: REST, batch: 1 }, { ...toRest, interventions: HELD }));
        const point: Record<string, ArrayLike<number>> = { x: INPUT.data };
        for (const parameter of Object.keys(gradients)) point[parameter] = await parameters.values(parameter);
        // The gradient takes the resting state and the states at the borders of windows as fixed.
        const f = async (p: Point) => {
          for (const parameter of Object.keys(gradients)) parameters.set(parameter, p[parameter]!);
          let sum = 0;
          for (let from = 0; from < FRAMES; from += WINDOW) {
            const to = Math.min(FRAMES, from + WINDOW);
            const h0 = from === 0 ? start : framesOf(hs, N, from - 1, from);
            const input = { data: framesOf(p.x!, INPUTS, from, to), batch: BATCH, steps: to - from };
            const own = { ...frames(to - from), h0, interventions: interventionsIn(from, to) };
            const ct = framesOf(CT, N, from, to);
            const states = await statesOf(model, input, own);
            for (const [k, h] of Array.from(states).entries()) sum += h * ct[k]!;
          }
          return sum;
        };
        await assertGradient(`${name} ${dynamics}`, f, point, { ...gradients, x }, { roundings: 3000, stepScale: 8 });
      });
    }
  }
});

// A software adapter compiles slowly: the dynamics with both masks.
onWebGpu("interventions in time", (test) => define(test, ["voltage"]));
