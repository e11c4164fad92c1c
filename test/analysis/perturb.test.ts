// What neurons contribute, where it is known: models whose outputs are their input, so that silencing a neuron makes an output 0.

import * as assert from "uvu/assert";
import { type Perturbation, perturb, worstFirst } from "../../src/analysis/perturb.ts";
import type { Backend } from "../../src/backend/backend.ts";
import { mapValues } from "../../src/core/csr.ts";
import { ArgumentError, ShapeError, SolverError } from "../../src/core/errors.ts";
import { arraySamples } from "../../src/data/arraySamples.ts";
import type { SampleSet } from "../../src/data/sampleSet.ts";
import type { StepOptions } from "../../src/models/connectomeRnn.ts";
import { ConnectomeODEModel } from "../../src/models/networkModel.ts";
import { passThrough } from "../../src/models/passThrough.ts";
import { classification, makeTask } from "../../src/models/task/makeTask.ts";
import { array, labels, normals } from "../data/sampleFixtures.ts";
import { forEachBackend, variant } from "../support/backends.ts";
import { assertClose } from "../support/close.ts";
import { randomSparse } from "../support/matrices.ts";

const WIDTH = 2;
const numbers = makeTask({
  loss: "squared",
  metrics: ["mse"],
  target: { kind: "numbers", width: WIDTH, classes: null, times: null },
});

/** Samples whose targets are their inputs: the intact model makes no error. */
function copies(count: number): { readonly set: SampleSet; readonly x: ArrayLike<number> } {
  const inputs = normals(7, count, WIDTH);
  return { set: arraySamples({ inputs, targets: inputs }).train!, x: inputs.data as Float32Array };
}

/** Standard error of a mean. */
function errorOfMean(values: readonly number[]): number {
  const mean = values.reduce((a, b) => a + b) / values.length;
  return Math.sqrt(values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / (values.length - 1) / values.length);
}

/** Runs what is given on a model, which is released. */
async function on<M extends { dispose(): void }, R>(model: M, work: (model: M) => Promise<R>): Promise<R> {
  try {
    return await work(model);
  } finally {
    model.dispose();
  }
}

const perturbed = (backend: Backend, set: SampleSet, what: readonly Perturbation[], task = numbers) =>
  on(passThrough(backend, task), (model) => perturb<StepOptions>(model, set, what, { evaluation: { numSteps: 1 } }));

const EXPERIMENTS: readonly Perturbation[] = [
  { name: "silence", interventions: { silence: [0] } },
  { name: "clamp", interventions: { clamp: [{ neurons: [1], value: 0.5 }] } },
  { name: "drive", interventions: { drive: [{ neurons: [0, 1], current: 2 }] } },
];

forEachBackend("perturbations", ["f64", "f32"], (test) => {
  test("squared errors of silenced, clamped and driven outputs, with the standard error of their mean", async ({
    backend,
  }) => {
    const count = 17;
    const { set, x } = copies(count);
    const { intact, samples, failed, groups, effects } = await perturbed(backend, set, EXPERIMENTS);
    assert.equal([intact.loss, intact.metrics.mse, intact.recall], [0, 0, null]);
    assert.equal([samples, failed, groups], [count, 0, count]);
    const each = (loss: (sample: number) => number) => Array.from({ length: count }, (_, s) => loss(s));
    const expected = [
      each((s) => x[WIDTH * s]! ** 2 / WIDTH),
      each((s) => (0.5 - x[WIDTH * s + 1]!) ** 2 / WIDTH),
      each(() => 4),
    ];
    for (const [k, { name, value, change, error, failed, failure }] of effects.entries()) {
      assert.equal([name, failed, failure], [EXPERIMENTS[k]!.name, 0, null]);
      const mean = expected[k]!.reduce((a, b) => a + b) / count;
      // Sums of 34 positive numbers, each with a few roundings.
      const bound = 50 * 2 ** (backend.dtype === "f32" ? -24 : -53) * (mean + 4);
      for (const measures of [value, change]) {
        assertClose([measures.loss, measures.metrics.mse!], [mean, mean], bound, name);
      }
      assertClose([error.loss, error.metrics.mse!], Array(2).fill(errorOfMean(expected[k]!)), bound, `${name}, error`);
    }
  });

  test("currents per sample reach their samples, whatever their group", async ({ backend }) => {
    const count = 45;
    const { set } = copies(count);
    const current = Float64Array.from({ length: count }, (_, s) => s);
    const [effect] = (
      await perturbed(backend, set, [{ name: "", interventions: { drive: [{ neurons: [0], current }] } }])
    ).effects;
    // Whole numbers beside inputs of size 1.
    const mean = current.reduce((sum, i) => sum + i ** 2, 0) / count / WIDTH;
    assertClose([effect!.change.loss], [mean], 1e-4, "loss");
    const wrong = { drive: [{ neurons: [0], current: [1, 2, 3] }] };
    const refused = await perturbed(backend, set, [{ name: "", interventions: wrong }]).catch(
      (error: unknown) => error,
    );
    assert.instance(refused, ShapeError);
    assert.match((refused as ShapeError).message, "perturbations[0].interventions.drive[0].current");
  });
});

forEachBackend("perturbations of classifiers", ["f32"], (test) => {
  /** Input k of class k is 1, the others 0. */
  function oneHot(count: number, classes: number): SampleSet {
    const targets = labels(count, classes);
    const data = new Float32Array(count * classes);
    for (let s = 0; s < count; s++) data[s * classes + (s % classes)] = 1;
    return arraySamples({ inputs: array([count, classes], data), targets }, { kind: "class", classes }).train!;
  }

  test("recall falls for the class whose output is silenced, and only there", async ({ backend }) => {
    const set = oneHot(30, 3);
    const silenced = [0, 1, 2].map((k) => ({ name: `${k}`, interventions: { silence: [k] } }));
    const { intact, effects } = await perturbed(backend, set, silenced, classification(3));
    assert.equal([intact.metrics.accuracy, intact.recall], [1, [1, 1, 1]]);
    for (const [k, { change }] of effects.entries()) {
      // Outputs are all 0: the first class is chosen.
      const loses = k !== 0;
      assert.equal(
        change.recall,
        [0, 1, 2].map((c) => (c === k && loses ? -1 : 0)),
      );
      assert.ok(Math.abs(change.metrics.accuracy! + (loses ? 1 / 3 : 0)) < 1e-15);
    }
    assert.equal(worstFirst(effects, { name: "accuracy", better: "higher" }), [1, 2, 0]);
  });

  test("20 groups at most, each with samples of all classes in turn", async ({ backend }) => {
    for (const [count, groups] of [
      [1, 1],
      [19, 19],
      [20, 20],
      [160, 20],
      [161, 11],
      [1000, 16],
    ] as const) {
      const result = await perturbed(backend, oneHot(count, 2), EXPERIMENTS.slice(0, 1), classification(2));
      assert.is(result.groups, groups, `${count} samples`);
      assert.is(Number.isNaN(result.effects[0]!.error.loss), count === 1);
    }
  });

  test("another perturbation of the same kind compiles nothing", async ({ backend }) => {
    let compiled = 0;
    const counting = variant(backend, {
      compile: (program, layout) => {
        compiled++;
        return backend.compile(program, layout);
      },
    });
    const set = oneHot(40, 4);
    await on(passThrough(counting, classification(4)), async (model) => {
      const run = (of: readonly number[]) =>
        perturb<StepOptions>(
          model,
          set,
          of.map((k) => ({ name: "", interventions: { silence: [k] } })),
          { evaluation: { numSteps: 1 } },
        );
      await run([0]);
      assert.ok(compiled > 0);
      const before = compiled;
      await run([1, 2, 3, 0]);
      assert.is(compiled, before);
    });
  });

  test("an abort ends it between batches; wrong samples and options are refused", async ({ backend }) => {
    const { set } = copies(8);
    await on(passThrough(backend, numbers), async (model) => {
      const refused = async (what: Promise<unknown>) =>
        what.then(
          () => null,
          (error: unknown) => error,
        );
      const aborted = await refused(
        perturb<StepOptions>(model, set, EXPERIMENTS, {
          evaluation: { numSteps: 1 },
          signal: AbortSignal.abort("enough"),
        }),
      );
      assert.is(aborted, "enough");
      assert.instance(await refused(perturb<StepOptions>(model, set, [])), ArgumentError);
      assert.instance(await refused(perturb<StepOptions>(model, oneHot(4, 2), EXPERIMENTS)), ArgumentError);
      assert.instance(
        await refused(perturb<StepOptions>(model, set, EXPERIMENTS, { onFailure: "stop" } as never)),
        ArgumentError,
      );
      const unasked = {
        ...set,
        weighted: true,
        read: (k: ArrayLike<number>) => ({
          ...(set.read(k, null) as object),
          weights: new Float32Array(WIDTH * k.length),
        }),
      };
      assert.match(
        ((await refused(perturb<StepOptions>(model, unasked as never, EXPERIMENTS))) as Error).message,
        "at least one target that counts",
      );
    });
  });
});

forEachBackend("perturbations that cannot be solved", ["f64"], (test) => {
  const N = 6;
  const COUNT = 8;
  const { csr } = randomSparse(N, N, 0.6);
  const strong = mapValues(csr, (w) => 4 * Math.abs(w));
  const task = makeTask({
    loss: "squared",
    metrics: [],
    target: { kind: "numbers", width: 1, classes: null, times: null },
  });
  const set = arraySamples({ inputs: normals(3, COUNT, N), targets: normals(4, COUNT, 1) }).train!;
  const modelOf = (backend: Backend, onFailure: "throw" | "mask") =>
    new ConnectomeODEModel(backend, {
      rnn: {
        numNeurons: N,
        inputSize: N,
        connectome: strong,
        weightConstraint: "none",
        neuronNonlinearity: null,
        solve: { onFailure },
      },
      task,
      readout: { fcDim: null, seed: 1 },
    });
  /** A current that no sample but number 3 gets, so large that its states overflow. */
  const current = Float64Array.from({ length: COUNT }, (_, s) => (s === 3 ? 1e308 : 0));
  const one: Perturbation = { name: "one", interventions: { drive: [{ neurons: [0], current }] } };
  const all: Perturbation = { name: "all", interventions: { drive: [{ neurons: [0], current: 1e308 }] } };
  const none: Perturbation = { name: "none", interventions: { silence: [1] } };

  test("a sample that fails is left out on both sides, the others go on", async ({ backend }) => {
    const { effects, intact } = await on(modelOf(backend, "mask"), (model) =>
      perturb(model, set, [one, all, none], { onFailure: "mask" }),
    );
    const [first, second, third] = effects;
    assert.equal([first!.failed, first!.failure], [1, null]);
    // A current of 0 changes nothing, so that the change is 0, though sample 3 is missing.
    assert.ok(Math.abs(first!.change.loss) < 1e-12, `${first!.change.loss}`);
    assert.not.equal(first!.value.loss, intact.loss);
    assert.equal([second!.failed, typeof second!.failure], [COUNT, "string"]);
    assert.ok(Number.isNaN(second!.value.loss) && Number.isNaN(second!.error.loss));
    assert.equal([third!.failed, third!.failure], [0, null]);
    assert.is.not(third!.change.loss, 0);
    assert.is(worstFirst(effects, undefined).at(-1), 1);
  });

  test("without leave to fail such a perturbation has no numbers, and says why", async ({ backend }) => {
    const { effects } = await on(modelOf(backend, "throw"), (model) => perturb(model, set, [one, none]));
    assert.match(effects[0]!.failure!, "nonFinite");
    assert.ok(Number.isNaN(effects[0]!.change.loss));
    assert.equal([effects[1]!.failure, Number.isFinite(effects[1]!.change.loss)], [null, true]);
  });

  test("an intact model that fails on all samples is an error, on some they are left out", async ({ backend }) => {
    const read: SampleSet["read"] = (indices, variation) => {
      const samples = set.read(indices, variation) as Awaited<ReturnType<SampleSet["read"]>>;
      const inputs = Float64Array.from(samples.inputs);
      Array.from(indices).forEach((i, k) => {
        if (isBad(i)) inputs[k * N] = Number.NaN;
      });
      return { ...samples, inputs };
    };
    let isBad = (i: number): boolean => i === 2;
    await on(modelOf(backend, "mask"), async (model) => {
      const bad = { ...set, read };
      const { failed, samples, effects } = await perturb(model, bad, [none], { onFailure: "mask" });
      assert.equal([failed, samples, effects[0]!.failed], [1, COUNT - 1, 0]);
      isBad = () => true;
      const error = await perturb(model, bad, [none], { onFailure: "mask" }).catch((e: unknown) => e);
      assert.instance(error, SolverError);
    });
  });
});
