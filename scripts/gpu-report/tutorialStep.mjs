// One training step of the tutorial's classifier on the large network: 784 inputs, all neurons read out, 256 hidden units, 10 classes, Adam.

import { join } from "node:path";
import { loadNetwork } from "../../dist/bench/networks.js";
import { createWebGpuBackend } from "../../dist/src/backend/webgpu/backend.js";
import { deriveKey, keyOfSeed } from "../../dist/src/core/random.js";
import { createSparseProjection, randomIndices } from "../../dist/src/data/connectomes.js";
import { ConnectomeODEClassifier } from "../../dist/src/models/classifier.js";
import { Adam } from "../../dist/src/train/optimizer.js";

const PIXELS = 28 * 28;
const CLASSES = 10;
const HIDDEN = 256;
/** So small that weights, and with them the number of right-hand sides, do not change. */
const LEARNING_RATE = 1e-12;
/** Period of the input's values: a prime. */
const PERIOD = 65521;

/** File of the pipelines' sources, for a part that compiles them again. */
export function sourcesFile(folder, batch) {
  return join(folder, `pipelines-${batch}.json`);
}

/** @returns the backend, the model, `step(k)`, and `compiled()`: milliseconds and sources of the pipelines compiled so far */
export async function tutorialStep(folder, batch, backendOptions) {
  const { csr } = loadNetwork(folder);
  const backend = await createWebGpuBackend(backendOptions);
  const compiled = watchCompiler(backend.device);
  const n = csr.nRows;
  const indices = randomIndices(PIXELS, n, deriveKey(keyOfSeed(1), "ih"));
  const model = new ConnectomeODEClassifier(backend, {
    rnn: {
      inputSize: PIXELS,
      numNeurons: n,
      connectome: csr,
      inputProjection: createSparseProjection({ size: PIXELS, numNeurons: n, indices, mode: "ih" }),
    },
    numClasses: CLASSES,
    fcDim: HIDDEN,
  });
  const optimizer = new Adam(backend, model.parameters, { lr: LEARNING_RATE });
  const data = Float32Array.from({ length: PIXELS * batch }, (_, i) => ((i * 7919) % PERIOD) / PERIOD);
  const labels = Uint8Array.from({ length: batch }, (_, sample) => sample % CLASSES);
  const step = async (k) => {
    const result = await model.gradients({ data, batch }, labels, k);
    optimizer.step();
    return result;
  };
  return { backend, model, step, compiled };
}

/** Records the sources of pipelines that a device makes from now on, and the time to make them. */
function watchCompiler(device) {
  const sources = [];
  const codes = new WeakMap();
  let ms = 0;
  const timed = (make) => {
    const begin = performance.now();
    const made = make();
    ms += performance.now() - begin;
    return made;
  };
  const { createShaderModule, createComputePipeline } = device;
  device.createShaderModule = (descriptor) => {
    const module = timed(() => createShaderModule.call(device, descriptor));
    codes.set(module, descriptor.code);
    return module;
  };
  device.createComputePipeline = (descriptor) => {
    sources.push(codes.get(descriptor.compute.module));
    return timed(() => createComputePipeline.call(device, descriptor));
  };
  return () => ({ compileMs: ms, sources });
}
