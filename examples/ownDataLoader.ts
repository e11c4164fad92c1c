// A custom data loader: pictures of bars in four orientations, made on demand. Any source of numbers and labels works, such as a camera, a
// simulator, or a file larger than memory.

import {
  Adam,
  ConnectomeODEClassifier,
  createBackend,
  createSparseProjection,
  deriveKey,
  keyOfSeed,
  logNormalConnectome,
  normaliseRows,
  RandomStream,
  randomIndices,
} from "axograd";

const steps = Number(process.argv[2] ?? 60);
const [SIDE, BATCH, NEURONS] = [12, 32, 600];
const key = keyOfSeed(3);

interface Bars {
  /** [size, SIDE · SIDE] */
  readonly images: Float32Array;
  /** 0 … 3: 0°, 45°, 90°, 135° */
  readonly labels: Uint8Array;
}

/** An infinite sequence of batches. Batch k is a function of (key, k), so that a run can be repeated and resumed. */
async function* bars(size: number, first = 0): AsyncGenerator<Bars> {
  for (let k = first; ; k++) {
    const random = new RandomStream(deriveKey(key, k));
    const images = new Float32Array(size * SIDE * SIDE);
    const labels = Uint8Array.from({ length: size }, () => random.below(4));
    labels.forEach((label, b) => {
      const angle = (label * Math.PI) / 4;
      const offset = 4 * random.uniform() - 2;
      for (let p = 0; p < SIDE * SIDE; p++) {
        const [x, y] = [(p % SIDE) - (SIDE - 1) / 2, Math.floor(p / SIDE) - (SIDE - 1) / 2];
        const distance = Math.abs(y * Math.cos(angle) - x * Math.sin(angle) - offset);
        images[b * SIDE * SIDE + p] = Math.max(0, 1.5 - distance) + 0.2 * random.normal();
      }
    });
    yield { images, labels };
  }
}

const backend = await createBackend();
const inputSize = SIDE * SIDE;
const indices = randomIndices(inputSize, NEURONS, key);
const model = new ConnectomeODEClassifier(backend, {
  rnn: {
    inputSize,
    numNeurons: NEURONS,
    connectome: normaliseRows(logNormalConnectome({ neurons: NEURONS, connections: 12_000, seed: 1 })),
    weightConstraint: "none",
    inputProjection: createSparseProjection({ size: inputSize, numNeurons: NEURONS, indices, mode: "ih" }),
    neuronNonlinearity: "ReLU",
  },
  numClasses: 4,
  fcDim: null,
});
const adam = new Adam(backend, model.parameters, { lr: 3e-3 });
let step = 0;
for await (const { images, labels } of bars(BATCH)) {
  const { loss, correct } = await model.gradients({ data: images, batch: BATCH }, labels, ++step);
  adam.step();
  if (step % 10 === 0 || step === steps)
    console.log(`step ${step}  loss ${loss.toFixed(3)}  ${correct} of ${BATCH} right`);
  if (step === steps) break;
}
await backend.dispose();
