// Trains a classifier of digits whose recurrent weights are a connectome. It needs no files: it generates network and digits.
// With files: readConnectome("flyvis_e6_csr.npz"), readNeuronTable("flyvis_e6_neurons.csv"), readMnist("mnist").

import {
  Adam,
  ConnectomeODEClassifier,
  createBackend,
  createSparseProjection,
  imageSamples,
  keyOfSeed,
  neuronsOfRole,
  normaliseRows,
  retinotopicConnectome,
  retinotopicProjection,
  syntheticDigits,
  Trainer,
} from "axograd";

const steps = Number(process.argv[2] ?? 100);
const { csr, ...neurons } = retinotopicConnectome();
const train = imageSamples(syntheticDigits(2000, keyOfSeed(1)));
const test = imageSamples(syntheticDigits(500, keyOfSeed(2)));
const outputs = neuronsOfRole(neurons, "output");

const backend = await createBackend();
const model = new ConnectomeODEClassifier(backend, {
  rnn: {
    inputSize: 28 * 28,
    numNeurons: neurons.count,
    connectome: normaliseRows(csr, 2),
    weightConstraint: "none",
    neuronNonlinearity: "ReLU",
    inputProjection: retinotopicProjection(neurons, { height: 28, width: 28 }),
    outputProjection: createSparseProjection({
      size: outputs.length,
      numNeurons: neurons.count,
      indices: outputs,
      mode: "ho",
    }),
    outputProjectionBias: false,
    trainOutputProjection: false,
    solve: { rtol: 1e-2, atol: 1e-3 },
  },
  numClasses: 10,
  fcDim: null,
  standardise: true,
});
const optimizer = new Adam(backend, model.parameters, { lr: 1e-3 });
const trainer = new Trainer({ model, optimizer, train, batchSize: 32, evaluation: { endTime: 3 } });
await trainer.calibrate(256);
for await (const { step, meanLoss, meanMetrics } of trainer.fit({ steps })) {
  const accuracy = meanMetrics.accuracy!.toFixed(3);
  if (step % 10 === 0) console.log(`step ${step}  loss ${meanLoss.toFixed(3)}  accuracy ${accuracy}`);
}
const { metrics, count } = await trainer.evaluate(test);
console.log(`${(100 * metrics.accuracy!).toFixed(1)} % of ${count} new digits are recognised`);
await backend.dispose();
