// Median time of a training step for several batch sizes, after a warm-up. `npm run bench` measures more carefully.

import {
  Adam,
  batches,
  ConnectomeODEClassifier,
  createBackend,
  createSparseProjection,
  imageSamples,
  keyOfSeed,
  logNormalConnectome,
  normaliseRows,
  randomIndices,
  syntheticDigits,
} from "axograd";

const repetitions = Number(process.argv[2] ?? 9);
const NEURONS = 4000;
const connectome = normaliseRows(logNormalConnectome({ neurons: NEURONS, connections: 120_000, seed: 1 }));
const key = keyOfSeed(0);
const indices = randomIndices(784, NEURONS, key);

const backend = await createBackend();
console.log(`${backend.description}; ${NEURONS} neurons, ${connectome.nnz} connections`);
for (const batchSize of [1, 8, 32]) {
  const model = new ConnectomeODEClassifier(backend, {
    rnn: {
      inputSize: 784,
      numNeurons: NEURONS,
      connectome,
      inputProjection: createSparseProjection({ size: 784, numNeurons: NEURONS, indices, mode: "ih" }),
      weightConstraint: "none",
      neuronNonlinearity: "ReLU",
    },
    numClasses: 10,
    fcDim: null,
  });
  const adam = new Adam(backend, model.parameters, { lr: 1e-3 });
  const milliseconds: number[] = [];
  const samples = imageSamples(syntheticDigits(batchSize * (repetitions + 1), key));
  for await (const batch of batches(samples, { batchSize })) {
    const start = performance.now();
    await model.gradients({ data: batch.inputs, batch: batch.size }, batch.targets, batch.index + 1);
    adam.step();
    await backend.finish();
    milliseconds.push(performance.now() - start);
  }
  // The first step compiles.
  const sorted = milliseconds.slice(1).sort((a, b) => a - b);
  const median = sorted[Math.floor(sorted.length / 2)]!;
  console.log(
    `batch ${batchSize}: ${median.toFixed(1)} ms per step, ${((1000 * batchSize) / median).toFixed(0)} images/s`,
  );
  adam.dispose();
  model.dispose();
}
await backend.dispose();
