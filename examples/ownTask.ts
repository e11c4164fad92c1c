// A custom loss and a custom stream of data: the network reports the mean of a noisy signal so far, at every step. One target in ten is
// wrong; Cauchy's loss, log(1 + e²), forgives such outliers.

import {
  Adam,
  arraySamples,
  ConnectomeModel,
  createBackend,
  deriveKey,
  groupInput,
  keyOfSeed,
  type Loss,
  logNormalConnectome,
  makeTask,
  normaliseRows,
  RandomStream,
  randomGroups,
  sampleStream,
  Trainer,
} from "axograd";

const steps = Number(process.argv[2] ?? 300);
const [FRAMES, BATCH, NEURONS] = [12, 32, 400];
const target = { kind: "numbers", width: 1, classes: null, times: FRAMES } as const;

const cauchy: Loss = {
  name: "cauchy",
  target: "numbers",
  metrics: ["mae"],
  outputs: ({ width }) => width,
  graph: ({ ops }, { outputs, target: y }) => {
    const error = ops.sub(outputs, y);
    return ops.log1p(ops.mul(error, error));
  },
};

/** Signals and their running means. Batch k is a function of k, so that a run can be repeated and resumed. */
function signals(k: number, size: number, outliers: number) {
  const random = new RandomStream(deriveKey(keyOfSeed(1), k));
  const [inputs, targets] = [new Float32Array(size * FRAMES), new Float32Array(size * FRAMES)];
  for (let b = 0; b < size; b++) {
    const level = random.normal();
    for (let t = 0, sum = 0; t < FRAMES; t++) {
      inputs[b * FRAMES + t] = level + random.normal();
      sum += inputs[b * FRAMES + t]!;
      targets[b * FRAMES + t] = random.uniform() < outliers ? 20 : sum / (t + 1);
    }
  }
  return { size, inputs, targets, weights: null };
}

const train = sampleStream({
  inputSize: 1,
  steps: FRAMES,
  target,
  *batches(first) {
    for (let k = first; ; k++) yield signals(k, BATCH, 0.1);
  },
});
const clean = signals(1e6, 256, 0);
const test = arraySamples({
  inputs: { shape: [256, FRAMES, 1], data: clean.inputs },
  targets: { shape: [256, FRAMES, 1], data: clean.targets },
}).train;

const backend = await createBackend();
const groups = randomGroups({ numNeurons: NEURONS, groups: 1, size: 100 }, keyOfSeed(2));
const model = new ConnectomeModel(backend, {
  rnn: {
    inputSize: 1,
    numNeurons: NEURONS,
    connectome: normaliseRows(logNormalConnectome({ neurons: NEURONS, connections: 8000, seed: 1 })),
    inputProjection: groupInput(NEURONS, groups),
    dynamics: "leaky",
    neuronTau: 2,
    weightConstraint: "none",
  },
  task: makeTask({ loss: cauchy, target }),
  readout: { times: "all", fcDim: null },
});
const trainer = new Trainer({ model, optimizer: new Adam(backend, model.parameters, { lr: 1e-2 }), train });
for await (const { step, meanLoss } of trainer.fit({ steps })) {
  if (step % 50 === 0 || step === steps) console.log(`step ${step}  loss ${meanLoss.toFixed(3)}`);
}
const { metrics } = await trainer.evaluate(test);
console.log(`mean absolute error without outliers ${metrics.mae!.toFixed(3)}`);
await backend.dispose();
