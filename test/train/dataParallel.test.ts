// Data-parallel training: the same bits on any number of ranks, and decisions that all ranks take together.

import { createHash } from "node:crypto";
import * as assert from "uvu/assert";
import type { Backend } from "../../src/backend/backend.ts";
import { createWasmBackend } from "../../src/backend/wasm/backend.ts";
import type { EngineError } from "../../src/core/errors.ts";
import { keyOfSeed, RandomStream } from "../../src/core/random.ts";
import { createSparseProjection } from "../../src/data/projection.ts";
import type { SampleSet, SampleStream, Samples } from "../../src/data/sampleSet.ts";
import { type Communicator, SOLO } from "../../src/distributed/communicator.ts";
import { ConnectomeModel, type ConnectomeModelOptions } from "../../src/models/networkModel.ts";
import { makeTask } from "../../src/models/task/makeTask.ts";
import { activityPenalty } from "../../src/models/task/penalties.ts";
import { Adam, type Optimizer } from "../../src/train/optimizer.ts";
import { ParameterPenalties } from "../../src/train/parameterPenalties.ts";
import { Trainer, type TrainerOptions } from "../../src/train/trainer.ts";
import { onWebGpu } from "../support/onWebGpu.ts";
import { onRanks } from "../support/ranks.ts";
import { suite } from "../support/suite.ts";
import { NEURONS, patchSamples, sparseMatrix, stateOf, type Tiny, tinyTraining, train } from "./fixtures.ts";

/** What is trained, and how it is compared: by a hash of all that a training keeps, after each step its loss and metrics. */
interface Training {
  readonly model: Tiny["model"] | ConnectomeModel;
  readonly optimizer: Optimizer;
  readonly trainer: Pick<Trainer, "fit" | "position">;
  dispose(): void;
}

type Make = (backend: Backend, options?: Partial<TrainerOptions>) => Training;

const INPUTS = 3;
const STEPS = 4;
const SHAPE = {
  inputSize: INPUTS,
  steps: STEPS,
  target: { kind: "numbers", width: 2, classes: null, times: STEPS },
  weighted: true,
  source: "sequences",
} as const;

/** Random sequences with a target at each step. Some have no weight, among them all of samples 4 to 7. */
function sequences(count: number): SampleSet {
  const stream = new RandomStream(keyOfSeed(4));
  const draw = (length: number) => Float32Array.from({ length }, () => stream.normal());
  const [inputs, targets] = [draw(count * STEPS * INPUTS), draw(count * STEPS * 2)];
  const weights = targets.map((_, i) => {
    const sample = Math.floor(i / (2 * STEPS));
    if ((sample >= 4 && sample < 8) || i % 5 === 2) return 0;
    return 0.5 + (i % 3);
  });
  for (const [i, weight] of weights.entries()) if (weight === 0) targets[i] = Number.NaN;
  const rows = (values: Float32Array, width: number, chosen: readonly number[]) =>
    Float32Array.from(chosen.flatMap((s) => [...values.subarray(s * width, (s + 1) * width)]));
  return {
    ...SHAPE,
    count,
    read: (indices) => {
      const chosen = Array.from(indices);
      return {
        size: chosen.length,
        inputs: rows(inputs, STEPS * INPUTS, chosen),
        targets: rows(targets, 2 * STEPS, chosen),
        weights: rows(weights, 2 * STEPS, chosen),
      };
    },
  };
}

const MATRIX = sparseMatrix();
const SEQUENCE_MODEL: ConnectomeModelOptions = {
  rnn: {
    inputSize: INPUTS,
    numNeurons: NEURONS,
    connectome: MATRIX,
    inputProjection: createSparseProjection({ size: INPUTS, numNeurons: NEURONS, indices: [1, 7, 12], mode: "ih" }),
    sharedWeights: { group: Array.from({ length: MATRIX.nnz }, (_, k) => k % 5), nGroups: 5 },
    neuronNonlinearity: "Tanh",
  },
  task: makeTask({ loss: "squared", metrics: ["mae", "r2"], target: SHAPE.target }),
  readout: { fcDim: 6, dropout: 0.2, times: "all" },
  penalties: [activityPenalty({ weight: 0.1, baseline: 0.2 })],
};

/** Loss at all steps, shared weights, weights of 0, penalties of both kinds, batches of two that are accumulated. */
const onSequences: Make = (backend, options) => {
  const model = new ConnectomeModel(backend, SEQUENCE_MODEL);
  const optimizer = new Adam(backend, model.parameters, { lr: 1e-2, clipNorm: 0.5 });
  const terms = [{ name: "decay", parameters: "weights", kind: "l2", weight: 1e-2 }] as const;
  const penalties = new ParameterPenalties(backend, model.parameters, terms);
  const common = { batchSize: 6, accumulate: 2, seed: 2, penalties, evaluation: {} };
  const trainer = new Trainer({ model, optimizer, train: sequences(30), ...common, ...options });
  const dispose = () => {
    for (const each of [penalties, optimizer, model]) each.dispose();
  };
  return { model, optimizer, trainer, dispose };
};

/** The same as a stream, whose batches have different sizes. */
const onStream: Make = (backend, options) => {
  const set = sequences(36);
  const stream: SampleStream = {
    ...SHAPE,
    batches: async function* (first) {
      for (let k = first; ; k++) {
        const from = 7 * (k % 4);
        const numbers = Array.from({ length: k % 2 === 0 ? 7 : 5 }, (_, i) => from + i);
        yield (await set.read(numbers, null)) as Samples;
      }
    },
  };
  return onSequences(backend, { train: stream, ...options });
};

/** A classifier with dropout in continuous time; the last batch of an epoch has 4 samples, which is one micro-batch. */
const onImages: Make = (backend, options) => tinyTraining(backend, { endTime: 0.3, trainer: options ?? {} });

const SUBJECTS: Readonly<Record<string, Make>> = {
  "images, in continuous time": onImages,
  "sequences, in discrete time": onSequences,
  "a stream": onStream,
};

async function hashOf(training: Training): Promise<string> {
  const hash = createHash("sha256");
  for (const [name, values] of await stateOf(training))
    hash.update(name).update(values instanceof Float32Array || values instanceof Float64Array ? values : `${values}`);
  return hash.digest("hex");
}

/** Loss and metrics of each step, and what is left in the end, as a hash. */
async function resultOf(training: Training, steps: number) {
  const seen = [];
  for await (const { loss, metrics, penalties, solver } of training.trainer.fit({ steps }))
    seen.push({ loss, metrics, penalties, solver });
  return { seen, hash: await hashOf(training) };
}

async function run(make: Make, backend: Backend, options: Partial<TrainerOptions>, steps = 5) {
  const training = make(backend, options);
  const result = await resultOf(training, steps);
  training.dispose();
  return result;
}

/** What each rank throws. */
async function thrownBy(action: () => Promise<unknown>): Promise<unknown> {
  try {
    await action();
  } catch (error) {
    return error;
  }
  return null;
}

for (const dtype of ["f32", "f64"] as const) {
  const test = suite<{ backend: Backend; other: Backend }>(
    `data-parallel training, wasm ${dtype}`,
    {} as { backend: Backend; other: Backend },
  );
  test.before(async (context) => {
    context.backend = await createWasmBackend({ dtype, threads: 1 });
    context.other = await createWasmBackend({ dtype, threads: 2 });
  });
  test.after(async ({ backend, other }) => {
    await backend.dispose();
    await other.dispose();
  });

  for (const [name, make] of Object.entries(SUBJECTS)) {
    test(`${name}: the same bits on 1, 2, 3 and 4 ranks, on 1 and 2 threads`, async ({ backend, other }) => {
      const alone = await run(make, backend, { microBatch: 4 });
      assert.equal(await run(make, other, { microBatch: 4 }), alone, "2 threads");
      for (const size of [2, 3, 4]) {
        const results = await onRanks(size, (communicator) =>
          run(make, size === 3 ? other : backend, { microBatch: 4, communicator }),
        );
        for (const [rank, result] of results.entries()) assert.equal(result, alone, `rank ${rank} of ${size}`);
      }
      assert.not.equal((await run(make, backend, { microBatch: 3 })).hash, alone.hash, "another split");
    });

    test(`${name}: one micro-batch has the bits of a batch as a whole`, async ({ backend }) => {
      const whole = await run(make, backend, {}, 3);
      assert.equal(await run(make, backend, { microBatch: 100 }, 3), whole);
    });
  }

  test("a training goes on with another number of ranks with the same bits", async ({ backend }) => {
    const alone = await run(onSequences, backend, { microBatch: 4 }, 6);
    // What a checkpoint keeps goes over from two ranks to three.
    const [first] = await onRanks(2, async (communicator) => {
      const training = onSequences(backend, { microBatch: 4, communicator });
      const { seen } = await resultOf(training, 3);
      const { model, optimizer, trainer } = training;
      const values = new Map<string, ArrayLike<number>>();
      for (const { name } of model.parameters.all()) values.set(name, await model.parameters.values(name));
      const result = { seen, values, moments: await optimizer.state(), position: trainer.position };
      training.dispose();
      return result;
    });
    const { seen, values, moments, position } = first!;
    const results = await onRanks(3, async (communicator) => {
      const training = onSequences(backend, { microBatch: 4, communicator });
      training.model.parameters.setAll(values);
      training.optimizer.restore(moments);
      (training.trainer as Trainer).seek(position);
      const result = await resultOf(training, 6);
      training.dispose();
      return { ...result, seen: [...seen, ...result.seen] };
    });
    for (const result of results) assert.equal(result, alone);
  });

  test("evaluation and calibration have the same bits on any number of ranks", async ({ backend }) => {
    const set = patchSamples(30, 6);
    const measure = async (communicator: Communicator) => {
      const tiny = tinyTraining(backend, { endTime: 0.3, standardise: true, trainer: { communicator, microBatch: 4 } });
      await tiny.trainer.calibrate(23);
      const statistics = await tiny.model.featureStatistics();
      const { seconds, ...evaluation } = await tiny.trainer.evaluate(set);
      tiny.dispose();
      return { statistics, evaluation };
    };
    const alone = await measure(SOLO);
    for (const size of [2, 3, 4, 9]) for (const result of await onRanks(size, measure)) assert.equal(result, alone);
    const plain = tinyTraining(backend, { endTime: 0.3, standardise: true });
    await plain.trainer.calibrate(23);
    assert.equal(await plain.model.featureStatistics(), alone.statistics, "without micro-batches, too");
    plain.dispose();
  });

  test("samples that fail are left out by all ranks, as of a batch without them", async ({ backend }) => {
    // The solve of samples whose input is no number fails; by their pictures, so in any order.
    const set = patchSamples(12);
    const broken = [1, 4, 5, 6, 7, 10];
    const failing: SampleSet = {
      ...set,
      read: async (indices, variation) => {
        const samples = await set.read(indices, variation);
        for (const [i, sample] of Array.from(indices).entries())
          if (broken.includes(sample)) samples.inputs[4 * i] = Number.NaN;
        return samples;
      },
    };
    const make: Make = (of, options) =>
      tinyTraining(of, { endTime: 0.3, solve: { onFailure: "mask" }, trainer: { train: failing, ...options } });
    const alone = await run(make, backend, { microBatch: 4 }, 3);
    assert.equal(
      alone.seen.map(({ solver }) => solver!.failed),
      [6, 6, 6],
    );
    for (const size of [2, 3, 5])
      for (const result of await onRanks(size, (communicator) =>
        run(make, backend, { microBatch: 4, communicator }, 3),
      ))
        assert.equal(result, alone, `${size} ranks`);
    // One micro-batch, so that those of a batch without them are the same.
    assert.equal((await run(make, backend, { microBatch: 12 }, 3)).hash, (await run(make, backend, {}, 3)).hash);
    const allFail = {
      ...failing,
      read: async (indices: ArrayLike<number>) => {
        const samples = await set.read(indices, null);
        samples.inputs.fill(Number.NaN);
        return samples;
      },
    };
    const errors = await onRanks(2, (communicator) =>
      thrownBy(() => run(make, backend, { train: allFail, microBatch: 4, communicator }, 1)),
    );
    for (const error of errors) assert.is((error as EngineError).code, "non-finite-state", `${error}`);
  });

  test("a sample that must not fail ends all ranks with its number in the whole batch", async ({ backend }) => {
    const set = patchSamples(12);
    const failing: SampleSet = {
      ...set,
      read: async (indices, variation) => {
        const samples = await set.read(indices, variation);
        const at = Array.from(indices).indexOf(9);
        if (at >= 0) samples.inputs[4 * at] = Number.NaN;
        return samples;
      },
    };
    const whole = tinyTraining(backend, { trainer: { train: failing } });
    const expected = (await thrownBy(() => train(whole.trainer, 1))) as EngineError;
    whole.dispose();
    const { sample, index } = expected.facts as { sample: number; index: number };
    assert.is(index, 4 * sample);
    for (const size of [1, 2, 3]) {
      const errors = await onRanks(size, async (communicator) => {
        const tiny = tinyTraining(backend, { trainer: { train: failing, microBatch: 4, communicator } });
        const before = await hashOf(tiny);
        const error = (await thrownBy(() => train(tiny.trainer, 1))) as EngineError;
        assert.is(await hashOf(tiny), before);
        assert.is(tiny.trainer.position.step, 0);
        tiny.dispose();
        return error;
      });
      for (const error of errors) {
        assert.is(error.code, expected.code);
        assert.equal(error.facts, expected.facts);
      }
    }
  });

  test("a loss that is not finite stops all ranks before the step, with the same error", async ({ backend }) => {
    const most = dtype === "f32" ? 3.4e38 : 1.7e308;
    const errors = await onRanks(3, async (communicator) => {
      const tiny = tinyTraining(backend, { endTime: 0.3, trainer: { microBatch: 4, communicator } });
      await train(tiny.trainer, 1);
      for (const name of ["out_layer.4.bias", "out_layer.4.weight"])
        tiny.model.parameters.set(name, (await tiny.model.parameters.values(name)).fill(most));
      const before = await hashOf(tiny);
      const error = (await thrownBy(() => train(tiny.trainer, 2))) as EngineError;
      assert.is(await hashOf(tiny), before);
      tiny.trainer.skip();
      assert.is(tiny.trainer.position.step, 2);
      tiny.dispose();
      return error;
    });
    for (const { code, message } of errors) assert.equal([code, message], ["non-finite-loss", errors[0]!.message]);
  });

  test("a signal on one rank ends all at the same step, and an evaluation", async ({ backend }) => {
    const steps = await onRanks(3, async (communicator) => {
      const tiny = tinyTraining(backend, { endTime: 0.1, trainer: { microBatch: 4, communicator } });
      const controller = new AbortController();
      for await (const { step } of tiny.trainer.fit({ steps: 20, signal: controller.signal }))
        if (communicator.rank === 1 && step === 3) controller.abort();
      const { step } = tiny.trainer.position;
      const error = await thrownBy(() => tiny.trainer.evaluate(patchSamples(40), { signal: controller.signal }));
      assert.is((error as Error).name, "AbortError");
      tiny.dispose();
      return step;
    });
    assert.equal(steps, [3, 3, 3]);
  });

  test("ranks that would train different things are refused, by what differs and who", async ({ backend }) => {
    const refused = async (pattern: RegExp, change: (tiny: Tiny) => Promise<void> | void, rank = 2) => {
      const errors = await onRanks(3, async (communicator) => {
        const tiny = tinyTraining(backend, { endTime: 0.1, trainer: { microBatch: 4, communicator } });
        if (communicator.rank === rank) await change(tiny);
        const error = (await thrownBy(() => train(tiny.trainer, 1))) as EngineError;
        assert.is(tiny.trainer.position.step < 2 && tiny.optimizer.stepCount < 2, true);
        tiny.dispose();
        return error;
      });
      for (const { code, message } of errors) {
        assert.is(code, "ranks-differ");
        assert.match(message, pattern);
      }
    };
    await refused(/same parameters on all ranks, got other than rank 0 has on 2 \(here\)/, async ({ model }) => {
      const name = "rnn.hh.bias";
      const bias = await model.parameters.values(name);
      bias[3]! += 2 ** -20;
      model.parameters.set(name, bias);
    });
    await refused(
      /same state of the optimiser .* on 1 \(here\)$/,
      async ({ optimizer }) => {
        const state = await optimizer.state();
        const [name] = Object.keys(state.moments);
        optimizer.restore({ ...state, moments: { ...state.moments, [name!]: state.moments[name!]!.fill(1) } });
      },
      1,
    );
    const change = ({ optimizer }: Tiny) => {
      optimizer.lr = 1;
    };
    await refused(/same settings on all ranks/, change);
    await refused(/same position on all ranks/, ({ trainer }) => trainer.skip());
  });

  test("an error of reading on one rank ends all", async ({ backend }) => {
    const set = patchSamples(40);
    const errors = await onRanks(2, async (communicator) => {
      const broken: SampleSet = {
        ...set,
        read: () => {
          throw new TypeError("no such block");
        },
      };
      const tiny = tinyTraining(backend, {
        trainer: { train: communicator.rank === 1 ? broken : set, microBatch: 4, communicator },
      });
      const error = (await thrownBy(() => train(tiny.trainer, 1))) as Error;
      tiny.dispose();
      return error;
    });
    for (const { message } of errors) assert.match(message, /rank 1 \(here\): no such block/);
  });

  test.run();
}

onWebGpu("data-parallel training", (test) => {
  test("the same split has the same bits on one rank and on two", async ({ backend }) => {
    for (const make of [onImages, onSequences]) {
      const alone = await run(make, backend, { microBatch: 4 }, 3);
      for (const result of await onRanks(2, (communicator) => run(make, backend, { microBatch: 4, communicator }, 3)))
        assert.equal(result, alone);
    }
  });
});
