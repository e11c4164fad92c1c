// Trains one model on several processes, which may be on several machines: each computes the gradients of its part of a batch.
//
//   mpirun -n 4 node dist/examples/severalProcesses.js
//
// Started alone it trains on its own, to the same bits: gradients are added up in micro-batches, whoever computes them.

import {
  Adam,
  ConnectomeODEClassifier,
  createRankBackend,
  imageSamples,
  keyOfSeed,
  normaliseRows,
  openCommunicator,
  retinotopicConnectome,
  retinotopicProjection,
  syntheticDigits,
  Trainer,
} from "axograd";

const steps = Number(process.argv[2] ?? 100);
const communicator = await openCommunicator();
const { rank, size, hosts, description } = communicator;
/** Everything is computed on all ranks; one of them says it. */
const say = (text: string): void => {
  if (rank === 0) console.log(text);
};
say(size === 1 ? "one process" : `${size} processes on ${[...new Set(hosts)].join(", ")}: ${description}`);

const train = imageSamples(syntheticDigits(2000, keyOfSeed(1)));
const test = imageSamples(syntheticDigits(500, keyOfSeed(2)));
// With its part of the machine's threads, or a GPU of its own.
const backend = await createRankBackend(communicator);
const { csr, ...neurons } = retinotopicConnectome();
const model = new ConnectomeODEClassifier(backend, {
  rnn: {
    inputSize: 28 * 28,
    numNeurons: neurons.count,
    connectome: normaliseRows(csr, 2),
    weightConstraint: "none",
    inputProjection: retinotopicProjection(neurons, { height: 28, width: 28 }),
    solve: { rtol: 1e-2, atol: 1e-3 },
  },
  numClasses: 10,
  fcDim: null,
  standardise: true,
});
const optimizer = new Adam(backend, model.parameters, { lr: 1e-3 });
const trainer = new Trainer({
  ...{ model, optimizer, train, batchSize: 64, evaluation: { endTime: 3 } },
  ...{ communicator, microBatch: 8 },
});
await trainer.calibrate(256);
for await (const { step, meanLoss } of trainer.fit({ steps })) {
  if (step % 10 === 0) say(`step ${step}  loss ${meanLoss.toFixed(3)}`);
}
const { metrics, count } = await trainer.evaluate(test);
say(`${(100 * metrics.accuracy!).toFixed(1)} % of ${count} new digits are recognised`);
await backend.dispose();
await communicator.close();
