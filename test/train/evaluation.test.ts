// Loss and metrics of a whole set: those of all its samples together, however it is cut into batches.

import * as assert from "uvu/assert";
import { createSparseProjection } from "../../src/data/projection.ts";
import type { SampleSet } from "../../src/data/sampleSet.ts";
import { ConnectomeODEModel } from "../../src/models/networkModel.ts";
import { crossEntropy } from "../../src/models/task/losses/crossEntropy.ts";
import { makeTask } from "../../src/models/task/makeTask.ts";
import { activityPenalty } from "../../src/models/task/penalties.ts";
import { metricValues } from "../../src/models/task/sums.ts";
import { SGD } from "../../src/train/optimizer.ts";
import { Trainer } from "../../src/train/trainer.ts";
import { forEachBackend } from "../support/backends.ts";
import { NEURONS, PIXELS, patchSamples, sparseMatrix, stateOf } from "./fixtures.ts";

/** The trainer's batches of an evaluation have 256 samples. */
const BATCH = 256;

/** Samples in the order of their classes, the class of the first batch alone in it; those at `unasked` do not count. */
function sorted(unasked: (sample: number) => boolean = () => false): SampleSet {
  const set = patchSamples(3 * BATCH);
  const { inputs, targets } = set.read([...Array(set.count).keys()], null) as {
    inputs: Float32Array;
    targets: Float32Array;
  };
  const order = [...Array(set.count).keys()].sort((a, b) => targets[a]! - targets[b]! || a - b);
  const count = BATCH + 40;
  const zeros = order.filter((k) => targets[k] === 0);
  const chosen = Array.from({ length: count }, (_, k) => (k < BATCH ? zeros[k % zeros.length]! : order.at(-1 - k)!));
  return {
    ...set,
    weighted: true,
    count,
    read: (indices) => ({
      size: indices.length,
      inputs: Float32Array.from(
        Array.from(indices).flatMap((i) => [...inputs.subarray(PIXELS * chosen[i]!, PIXELS * chosen[i]! + PIXELS)]),
      ),
      targets: Float32Array.from(indices, (i) => targets[chosen[i]!]!),
      weights: Float32Array.from(indices, (i) => (unasked(i) ? 0 : 1)),
    }),
  };
}

forEachBackend("evaluation", ["f32", "f64"], (test) => {
  const target = { kind: "class", width: 1, classes: 3, times: null } as const;
  const modelOf = (
    backend: ConnectomeODEModel["backend"],
    classWeights: readonly number[] = [1, 1, 1],
    penalty: number | null = null,
  ) =>
    new ConnectomeODEModel(backend, {
      rnn: {
        inputSize: PIXELS,
        numNeurons: NEURONS,
        connectome: sparseMatrix(),
        inputProjection: createSparseProjection({
          size: PIXELS,
          numNeurons: NEURONS,
          indices: [0, 5, 9, 20],
          mode: "ih",
        }),
        neuronNonlinearity: "Tanh",
        weightConstraint: "sign",
      },
      task: makeTask({ loss: crossEntropy({ classWeights }), target }),
      readout: { seed: 1 },
      ...(penalty !== null && { penalties: [activityPenalty({ weight: penalty, baseline: 0.3 })] }),
    });
  const wholeOf = async (model: ConnectomeODEModel, set: SampleSet) => {
    const { inputs, targets, weights, size } = await set.read([...Array(set.count).keys()], null);
    return model.evaluate({ data: inputs, batch: size }, { values: targets, weights });
  };
  const trainerOf = (model: ConnectomeODEModel, train: SampleSet, batchSize = 16) => {
    const optimizer = new SGD(model.backend, model.parameters, { lr: 0.1 });
    return { optimizer, trainer: new Trainer({ model, optimizer, train, batchSize }) };
  };

  test("a batch whose classes all have the weight 0 counts in the metrics, not in the loss", async ({ backend }) => {
    const model = modelOf(backend, [0, 1, 2]);
    const set = sorted();
    const { trainer, optimizer } = trainerOf(model, set);
    const { loss, metrics, count } = await trainer.evaluate(set);
    const whole = await wholeOf(model, set);
    assert.is(count, set.count);
    assert.ok(Math.abs(loss - whole.loss) < 1e-5 * whole.loss, `${loss} and ${whole.loss}`);
    assert.is(metrics.accuracy, metricValues(model.task, whole.metrics).accuracy);
    optimizer.dispose();
    model.dispose();
  });

  test("training passes over such a batch", async ({ backend }) => {
    const model = modelOf(backend, [0, 1, 1]);
    const set = sorted();
    const only = { ...set, count: BATCH };
    const { trainer, optimizer } = trainerOf(model, only);
    const before = await stateOf({ model, optimizer });
    for await (const { loss } of trainer.fit({ steps: 2 })) assert.ok(Number.isNaN(loss));
    assert.equal(await stateOf({ model, optimizer }), before);
    optimizer.dispose();
    model.dispose();
  });

  test("penalties on activity are means over samples, whatever their targets weigh", async ({ backend }) => {
    const model = modelOf(backend, [1, 1, 1], 2);
    const set = sorted((i) => i < BATCH && i > 0);
    const { trainer, optimizer } = trainerOf(model, set);
    const { loss, count } = await trainer.evaluate(set);
    const whole = await wholeOf(model, set);
    assert.ok(Math.abs(loss - whole.loss) < 1e-5 * whole.loss, `${loss} and ${whole.loss}`);
    assert.is(count, set.count - (BATCH - 1));
    optimizer.dispose();
    model.dispose();
  });
});
