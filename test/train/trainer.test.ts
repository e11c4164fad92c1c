import * as assert from "uvu/assert";
import { keyOfSeed, RandomStream } from "../../src/core/random.ts";
import { absolute } from "../../src/data/connectomes.ts";
import { imageSamples } from "../../src/data/imageSamples.ts";
import { createSparseProjection } from "../../src/data/projection.ts";
import type { SampleSet } from "../../src/data/sampleSet.ts";
import { ConnectomeClassifier } from "../../src/models/classifier.ts";
import type { SolveOptions } from "../../src/models/connectomeOdeRnn.ts";
import { metricValues } from "../../src/models/task/sums.ts";
import { SGD } from "../../src/train/optimizer.ts";
import { type StepMetrics, Trainer, TrainingError } from "../../src/train/trainer.ts";
import { fails } from "../io/fixtures.ts";
import { forEachBackend } from "../support/backends.ts";
import { NEURONS, patches, patchSamples, sparseMatrix, stateOf, tinyTraining, train } from "./fixtures.ts";

forEachBackend("trainer", ["f32", "f64"], (test) => {
  test("training lowers the loss and reports every step", async ({ backend }) => {
    const { trainer, dispose } = tinyTraining(backend);
    assert.is(trainer.stepsPerEpoch, 4);
    const seen = [];
    for await (const metrics of trainer.fit({ epochs: 8 })) seen.push(metrics);
    assert.is(seen.length, 32);
    assert.equal(
      seen.slice(0, 5).map(({ step, epoch }) => [step, epoch]),
      [
        [1, 0],
        [2, 0],
        [3, 0],
        [4, 0],
        [5, 1],
      ],
    );
    const first = seen[0]!;
    assert.ok(first.solver && first.solver.rhsEvaluations > 6 * first.solver.steps.max - 1);
    assert.ok(first.solver.steps.min <= first.solver.steps.mean && first.solver.steps.mean <= first.solver.steps.max);
    assert.is(first.meanLoss, first.loss);
    assert.ok(first.eta > 0 && first.seconds > 0);
    const last = seen.at(-1)!;
    assert.is(last.eta, 0);
    assert.ok(last.meanLoss < 0.9 * first.loss, `${first.loss} → ${last.meanLoss}`);
    assert.equal(trainer.position, { epoch: 8, batch: 0, step: 32 });
    dispose();
  });

  test("a schedule scales the learning rate of each step, and one that is 1 changes nothing", async ({ backend }) => {
    const plain = tinyTraining(backend);
    const expected = await train(plain.trainer, 6);
    const one = tinyTraining(backend, { schedule: () => () => 1 });
    assert.equal(await train(one.trainer, 6), expected);
    const rates: number[] = [];
    const halving = tinyTraining(backend, { schedule: (lastStep) => (step) => (lastStep - step) / lastStep });
    for await (const { learningRate } of halving.trainer.fit({ steps: 4 })) rates.push(learningRate);
    assert.equal(
      rates,
      [1, 0.75, 0.5, 0.25].map((factor) => 2e-2 * factor),
    );
    const still = tinyTraining(backend, { schedule: () => () => 0 });
    const before = await stateOf(still);
    await train(still.trainer, 1);
    const after = await stateOf(still);
    for (const { name } of still.model.parameters.all()) assert.equal(after.get(name), before.get(name), name);
    for (const { dispose } of [plain, one, halving, still]) dispose();
  });

  test("the same seed gives the same bits, another seed others", async ({ backend }) => {
    const losses = [];
    for (const seed of [3, 3, 4]) {
      const { trainer, dispose } = tinyTraining(backend, { seed });
      losses.push(await train(trainer, 6));
      dispose();
    }
    assert.equal(losses[0], losses[1]);
    assert.not.equal(losses[0], losses[2]);
  });

  test("a diagnosis measures the training without a trace in it", async ({ backend }) => {
    const plain = tinyTraining(backend);
    const diagnosed = tinyTraining(backend);
    const expected = await train(plain.trainer, 6);
    const losses: number[] = [];
    const before = await diagnosed.trainer.diagnose(null);
    assert.is(before?.gradients, null);
    for await (const { loss, meanLoss } of diagnosed.trainer.fit({ steps: 6 })) {
      losses.push(loss);
      const { gradients } = (await diagnosed.trainer.diagnose(meanLoss))!;
      const total = Math.hypot(...Object.values(gradients!));
      const norm = await diagnosed.optimizer.gradientNorm();
      // Sums of a few hundred squares in another order.
      assert.ok(Math.abs(total - norm) < 1e-5 * norm, `${total}, ${norm}`);
    }
    assert.equal(losses, expected);
    assert.equal(await stateOf(diagnosed), await stateOf(plain));
    plain.dispose();
    diagnosed.dispose();
  });

  test("leaving the loop anywhere and going on gives the same bits as never leaving", async ({ backend }) => {
    const whole = tinyTraining(backend);
    const parts = tinyTraining(backend);
    const expected = await train(whole.trainer, 9);
    const losses = [];
    for (const until of [1, 4, 6, 9]) losses.push(...(await train(parts.trainer, until)));
    assert.equal(losses, expected);
    assert.equal(await stateOf(parts), await stateOf(whole));
    whole.dispose();
    parts.dispose();
  });

  test("evaluation leaves no trace in training", async ({ backend }) => {
    const plain = tinyTraining(backend);
    const evaluated = tinyTraining(backend);
    const expected = await train(plain.trainer, 4);
    const losses = await train(evaluated.trainer, 2);
    await evaluated.trainer.evaluate(patchSamples(30, 6));
    losses.push(...(await train(evaluated.trainer, 4)));
    assert.equal(losses, expected);
    plain.dispose();
    evaluated.dispose();
  });

  test("an evaluation counts every image once", async ({ backend }) => {
    const { trainer, model, dispose } = tinyTraining(backend);
    const set = patches(300, 7);
    const { loss, metrics, count, confusion: matrix } = await trainer.evaluate(imageSamples(set));
    const { accuracy } = metrics;
    const confusion = matrix!;
    assert.is(count, 300);
    const perClass = [0, 1, 2].map((c) => set.labels.filter((label) => label === c).length);
    assert.equal(
      [0, 1, 2].map((c) => confusion[3 * c]! + confusion[3 * c + 1]! + confusion[3 * c + 2]!),
      perClass,
    );
    assert.is(accuracy, (confusion[0]! + confusion[4]! + confusion[8]!) / 300);
    const data = Float32Array.from(set.images, (pixel) => (pixel / 255 - 0.1307) / 0.3081);
    const whole = await model.evaluate({ data, batch: 300 }, { values: set.labels, weights: null }, { endTime: 2 });
    assert.ok(Math.abs(whole.loss - loss) < 1e-5 * loss, `${whole.loss} and ${loss}`);
    assert.is(metricValues(model.task, whole.metrics).accuracy, accuracy);
    dispose();
  });

  test("a signal ends training after the step in progress", async ({ backend }) => {
    const { trainer, dispose } = tinyTraining(backend);
    const controller = new AbortController();
    let steps = 0;
    for await (const { step } of trainer.fit({ epochs: 5, signal: controller.signal })) {
      steps = step;
      if (step === 3) controller.abort();
    }
    assert.is(steps, 3);
    assert.is(trainer.position.step, 3);
    dispose();
  });

  test("timers run between steps, so a signal from outside comes through", async ({ backend }) => {
    const { trainer, dispose } = tinyTraining(backend);
    const controller = new AbortController();
    for await (const { step } of trainer.fit({ steps: 1e9, signal: controller.signal })) {
      if (step === 1) setTimeout(() => controller.abort(), 20);
    }
    assert.ok(trainer.position.step > 0 && controller.signal.aborted);
    dispose();
  });

  test("a loss that is not finite stops before the step, and says which", async ({ backend }) => {
    const tiny = tinyTraining(backend);
    await train(tiny.trainer, 2);
    const bias = await tiny.model.parameters.values("out_layer.4.bias");
    tiny.model.parameters.set("out_layer.4.bias", bias.fill(backend.dtype === "f32" ? 3e38 : 1e308));
    tiny.model.parameters.set(
      "out_layer.4.weight",
      (await tiny.model.parameters.values("out_layer.4.weight")).fill(backend.dtype === "f32" ? 3e38 : 1e308),
    );
    const before = await stateOf(tiny);
    await fails(() => train(tiny.trainer, 3), "non-finite-loss", /step 3/, /after step 2/, /learning rate/);
    assert.equal(await stateOf(tiny), before);
    assert.is(tiny.trainer.position.step, 2);
    tiny.dispose();
  });

  test("gradients or states that are not finite stop before the step, with parameter and neurons", async ({
    backend,
  }) => {
    const tiny = tinyTraining(backend);
    await train(tiny.trainer, 2);
    const before = await stateOf(tiny);
    // A gradient: written over that of the bias of neuron 7 when the step is computed.
    const { model, optimizer } = tiny;
    const gradients = model.gradients.bind(model);
    model.gradients = (input, labels, step, evaluation, measure) =>
      gradients(input, labels, step, evaluation, (complete) => {
        const { grad, size } = model.parameters.get("rnn.hh.bias");
        backend.upload(grad!, new Float64Array(size).fill(0).with(7, Number.POSITIVE_INFINITY));
        return measure!(complete);
      });
    await fails(
      () => train(tiny.trainer, 3),
      "non-finite-gradient",
      /gradient of step 3/,
      /rnn\.hh\.bias, 1 of 24 are not finite, at neurons 7 \(Infinity\)/,
    );
    assert.equal(await stateOf(tiny), before);
    assert.is(optimizer.stepCount, 2);
    model.gradients = gradients;
    // A state: a weight that overflows.
    const values = await model.parameters.values("rnn.hh.values");
    backend.upload(model.parameters.get("rnn.hh.values").value, values.fill(Number.NaN));
    model.parameters.touch();
    await fails(() => train(tiny.trainer, 3), "non-finite-state", /step 3/, /worst values: rnn\.hh\.values/);
    tiny.dispose();
  });

  test("a batch that is skipped counts as a step, and epochs go on", async ({ backend }) => {
    const { trainer, dispose } = tinyTraining(backend);
    for (let k = 0; k < 4; k++) trainer.skip();
    assert.equal(trainer.position, { epoch: 1, batch: 0, step: 4 });
    dispose();
  });

  test("running means continue from earlier steps", async ({ backend }) => {
    const whole = tinyTraining(backend);
    const means: number[] = [];
    const recent: StepMetrics[] = [];
    for await (const metrics of whole.trainer.fit({ steps: 6 })) {
      means.push(metrics.meanLoss);
      if (metrics.step <= 3) recent.push(metrics);
    }
    const parted = tinyTraining(backend);
    for await (const _ of parted.trainer.fit({ steps: 3 })) assert.ok(true);
    const continued: number[] = [];
    for await (const { meanLoss } of parted.trainer.fit({ steps: 6, recent })) continued.push(meanLoss);
    assert.equal(continued, means.slice(3));
    whole.dispose();
    parted.dispose();
  });

  test("a model in discrete time trains the same way; its steps are counted, and its record is planned", async ({
    backend,
  }) => {
    const model = new ConnectomeClassifier(backend, {
      rnn: { inputSize: 24, numNeurons: 24, connectome: absolute(sparseMatrix()), neuronNonlinearity: "Tanh" },
      numClasses: 3,
      fcDim: null,
    });
    const stream = new RandomStream(keyOfSeed(1));
    const images = {
      ...patches(8),
      images: Uint8Array.from({ length: 8 * 24 }, () => stream.below(256)),
      height: 4,
      width: 6,
    };
    const optimizer = new SGD(backend, model.parameters);
    const trainer = new Trainer({
      model,
      optimizer,
      train: imageSamples(images),
      batchSize: 4,
      evaluation: { numSteps: 3 },
    });
    for await (const metrics of trainer.fit({ steps: 2 })) assert.is(metrics.solver, null);
    assert.is(trainer.tapePlan!.attempts, 3, "its steps");
    optimizer.dispose();
    model.dispose();
  });

  test("evaluation and calibration of long sequences read a few samples at a time", async ({ backend }) => {
    const [inputSize, steps, count] = [840_000, 2, 11];
    const reads: number[] = [];
    const set: SampleSet = {
      ...{ inputSize, steps, count, weighted: false, source: "long sequences" },
      target: { kind: "class", width: 1, classes: 2, times: null },
      read: (indices) => {
        const chosen = Array.from(indices);
        reads.push(chosen.length);
        const inputs = new Float32Array(chosen.length * steps * inputSize);
        // The last frame differs between samples.
        for (const [i, sample] of chosen.entries())
          inputs.fill(Math.sin(1 + sample), ((i + 1) * steps - 1) * inputSize, (i + 1) * steps * inputSize);
        return { size: chosen.length, inputs, targets: Float32Array.from(chosen, (k) => k % 2), weights: null };
      },
    };
    const indices = Array.from({ length: inputSize }, (_, i) => i % NEURONS);
    const model = new ConnectomeClassifier(backend, {
      rnn: {
        ...{ inputSize, numNeurons: NEURONS, connectome: absolute(sparseMatrix()), neuronNonlinearity: "Tanh" },
        inputProjection: createSparseProjection({ size: inputSize, numNeurons: NEURONS, indices, mode: "ih" }),
      },
      ...{ numClasses: 2, fcDim: null, standardise: true },
    });
    const optimizer = new SGD(backend, model.parameters);
    const trainer = new Trainer({ model, optimizer, train: set, batchSize: 2 });
    await trainer.calibrate(count);
    assert.equal(reads.splice(0), [9, 2], "9 samples are 60 MB");
    const { mean, scale } = (await model.featureStatistics())!;
    const { inputs } = await set.read([...Array(count).keys()], null);
    await model.calibrate({ data: inputs, batch: count, steps });
    const whole = (await model.featureStatistics())!;
    assert.equal([mean, scale], [whole.mean, whole.scale], "as if they were one batch");
    reads.length = 0;
    assert.is((await trainer.evaluate(set)).count, count);
    assert.equal(reads, [9, 2]);
    optimizer.dispose();
    model.dispose();
  });

  test("the plan of a step is that of the chunk that recomputed most", async ({ backend }) => {
    // 16 samples at once, then 4, which take a quarter of the memory.
    const planWith = async (solve: SolveOptions) => {
      const { trainer, dispose } = tinyTraining(backend, { batchSize: 20, solve });
      for await (const _ of trainer.fit({ steps: 1 }));
      const plan = trainer.tapePlan!;
      dispose();
      return plan;
    };
    const { attempts, attemptsRecomputed, bytesPerStart, bytesPerSaves } = await planWith({});
    assert.is(attemptsRecomputed, 0);
    const tight = await planWith({ memoryBudgetBytes: (attempts + 3) * (bytesPerStart + bytesPerSaves) });
    assert.ok(tight.bytesPerSaves >= 3 * bytesPerSaves, "of the larger chunk");
    assert.ok(tight.attemptsRecomputed > 0);
    assert.is(tight.attemptsRecomputed + tight.attemptsStored, tight.attempts);
  });

  test("options out of range are named", async ({ backend }) => {
    const { trainer, model, optimizer, dispose } = tinyTraining(backend);
    await fails(() => new Trainer({ model, optimizer, train: patchSamples(4), batchSize: 0 }), "argument", /batchSize/);
    await fails(() => new Trainer({ model, optimizer, train: patchSamples(0) }), "argument", /train/);
    await fails(() => trainer.lastStep({ steps: -1 }), "argument", /steps/);
    await fails(() => trainer.lastStep({ epochs: 0.5 }), "argument", /epochs/);
    await fails(() => trainer.seek({ epoch: 0, batch: 4, step: 4 }), "argument", /batch/);
    await fails(() => trainer.evaluate(patchSamples(0)), "argument", /set/);
    assert.is(trainer.lastStep({}), 4);
    assert.is(trainer.lastStep({ epochs: 3, steps: 5 }), 5);
    assert.ok(new TrainingError("code", "text") instanceof Error);
    dispose();
  });

  test("two loops take turns: their steps are those of one", async ({ backend }) => {
    const [one, two] = [tinyTraining(backend), tinyTraining(backend)];
    const losses = await train(one.trainer, 6);
    const loops = [two.trainer.fit({ steps: 6 }), two.trainer.fit({ steps: 6 })];
    const got: number[] = [];
    for (let i = 0; i < 6; i++) got.push((await loops[i % 2]!.next()).value!.loss);
    assert.equal(got, losses);
    assert.equal(await stateOf(two), await stateOf(one));
    one.dispose();
    two.dispose();
  });

  test("misspelt options are refused, with the nearest that exists", async ({ backend }) => {
    const { trainer, model, optimizer, dispose } = tinyTraining(backend);
    const options = { model, optimizer, train: patchSamples(8), batchsize: 4 };
    await fails(() => new Trainer(options), "argument", /batchSize, or another option, got "batchsize"/);
    await fails(() => trainer.fit({ step: 4 } as object).next(), "argument", /steps, or another option/);
    const evaluation = { numEval: 3 } as object;
    const wrong = new Trainer({ model, optimizer, train: patchSamples(8), evaluation });
    await fails(() => wrong.fit({ steps: 1 }).next(), "argument", /numEvals, or another option/);
    dispose();
  });
});
