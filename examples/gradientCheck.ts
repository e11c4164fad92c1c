// Compares reverse-mode gradients with central differences of the loss, in double precision, for some entries of every parameter of a small
// model. `axograd check` does this and more for the built-in models.

import {
  ConnectomeODEClassifier,
  createBackend,
  keyOfSeed,
  logNormalConnectome,
  normaliseRows,
  RandomStream,
} from "axograd";

const entries = Number(process.argv[2] ?? 4);
const [NEURONS, BATCH] = [40, 3];
/** Rounding of the loss over the step, and the third derivative times its square, are both near 1e-10. */
const STEP = 1e-5;
const TOLERANCE = 1e-6;

const backend = await createBackend({ device: "wasm", dtype: "f64", threads: 1 });
const model = new ConnectomeODEClassifier(backend, {
  rnn: {
    inputSize: NEURONS,
    numNeurons: NEURONS,
    connectome: normaliseRows(logNormalConnectome({ neurons: NEURONS, connections: 160, seed: 1 })),
    weightConstraint: "none",
    // Smooth: at a kink, differences and derivatives disagree.
    neuronNonlinearity: "Sigmoid",
    trainTau: true,
    neuronTau: 1.5,
    // Tight enough that different steps on the two sides of a difference do not matter.
    solve: { rtol: 1e-9, atol: 1e-10 },
  },
  numClasses: 3,
  fcDim: null,
});
const random = new RandomStream(keyOfSeed(1));
const input = { data: Float64Array.from({ length: NEURONS * BATCH }, () => random.normal()), batch: BATCH };
const labels = [0, 2, 1];

await model.gradients(input, labels, 1);
let worst = 0;
for (const { name, trainable } of model.parameters.all()) {
  if (!trainable) continue;
  const values = await model.parameters.values(name);
  const gradient = await model.parameters.gradient(name);
  for (let k = 0; k < Math.min(entries, values.length); k++) {
    const i = random.below(values.length);
    const lossAt = async (value: number): Promise<number> => {
      model.parameters.set(
        name,
        values.map((v, j) => (j === i ? value : v)),
      );
      return (await model.evaluate(input, labels)).loss;
    };
    const difference = ((await lossAt(values[i]! + STEP)) - (await lossAt(values[i]! - STEP))) / (2 * STEP);
    const error = Math.abs(difference - gradient[i]!) / Math.max(1e-3, Math.abs(difference));
    worst = Math.max(worst, error);
    console.log(`${name}[${i}]  ${gradient[i]!.toExponential(6)}  difference ${difference.toExponential(6)}`);
  }
  model.parameters.set(name, values);
}
console.log(`largest relative error ${worst.toExponential(1)}`);
if (worst > TOLERANCE) process.exitCode = 1;
await backend.dispose();
