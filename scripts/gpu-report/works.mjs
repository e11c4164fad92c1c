// The pieces of work that are timed, from one sparse product to one training step. Operations are those of sparse products alone.

import { Graph } from "../../dist/src/autodiff/graph.js";
import { lower } from "../../dist/src/autodiff/lower.js";
import { compileAndBind } from "../../dist/src/backend/bind.js";
import { lanesOf } from "../../dist/src/backend/layout.js";
import { deriveKey, keyOfSeed, RandomStream } from "../../dist/src/core/random.js";
import { createSparseProjection, randomIndices } from "../../dist/src/data/connectomes.js";
import { ConnectomeODEClassifier } from "../../dist/src/models/classifier.js";
import { rateDynamics } from "../../dist/src/models/rateDynamics.js";
import { Adam } from "../../dist/src/train/optimizer.js";

const PIXELS = 28 * 28;
const READ_OUT = 1024;
const CLASSES = 10;
const HIDDEN = 256;
const KEY = deriveKey(keyOfSeed(1), "gpu-report");

/** Numbers drawn before they repeat. */
const PERIOD = 65521;

/** @returns {Float32Array} uniform numbers in [0, 1) */
function uniform(length, label) {
  const stream = new RandomStream(deriveKey(KEY, label));
  const drawn = Float32Array.from({ length: Math.min(length, PERIOD) }, () => stream.uniform());
  return Float32Array.from({ length }, (_, i) => drawn[i % PERIOD]);
}

/** All pieces of work of one batch size on one network. */
export function* works(backend, csr, batch) {
  yield* kernelWorks(backend, csr, batch);
  yield* modelWorks(backend, csr, batch);
}

/** Forward product, fused reverse product, right-hand side. */
function* kernelWorks(backend, csr, batch) {
  const n = csr.nRows;
  const layout = backend.layoutFor(batch);
  const lanes = lanesOf(layout);
  const state = (label) => {
    const buffer = backend.buffer(label, n * lanes);
    backend.upload(buffer, uniform(n * lanes, label));
    return buffer;
  };
  const row = (label, value) => {
    const buffer = backend.buffer(label, n);
    backend.fill(buffer, value);
    return buffer;
  };
  const bindings = {
    hh: backend.sparse("hh", csr),
    h: state("h"),
    g: state("g"),
    drive: state("drive"),
    y: state("y"),
    bias: row("bias", 0.1),
    tau: row("tau", 2),
    t: backend.buffer("t", lanes),
    "grad.hh": backend.buffer("gradient", csr.nnz),
  };
  for (const [name, perEntry, build] of KERNELS) {
    const graph = new Graph();
    build(graph, n, csr.nnz);
    const bound = compileAndBind(backend, lower(graph, name), layout, bindings);
    yield { name, operations: () => perEntry * csr.nnz * batch, run: () => backend.run(bound) };
  }
}

/** Name, operations per stored entry and sample, graph. */
const KERNELS = [
  [
    "forward spmm",
    2,
    (g, n, nnz) => {
      g.store("y", g.ops.matmul(g.sparse("hh", n, n, nnz), g.state("h", n)));
    },
  ],
  [
    "fused backward",
    4,
    (g, n, nnz) => {
      const gradient = { x: g.state("h", n), binding: "grad.hh" };
      g.store("y", g.ops.matmulT(g.sparse("hh", n, n, nnz), g.state("g", n), gradient));
    },
  ],
  [
    "right-hand side",
    2,
    (g, nNeurons, nnz) => {
      const shape = { nNeurons, nnz, nonlinearities: ["Sigmoid"], signed: false, bias: true, steps: 1 };
      g.store(
        "y",
        rateDynamics(shape).rhs(g, g.sample("t"), g.state("h", nNeurons), {
          elapsed: g.sample("t"),
          jumpsPassed: g.sample("segment"),
        }),
      );
    },
  ],
];

/** One solve of the tutorial's classifier, and one training step with Adam. */
function* modelWorks(backend, csr, batch) {
  const n = csr.nRows;
  const projection = (size, mode) =>
    createSparseProjection({ size, numNeurons: n, indices: randomIndices(size, n, deriveKey(KEY, mode)), mode });
  const model = new ConnectomeODEClassifier(backend, {
    rnn: {
      inputSize: PIXELS,
      numNeurons: n,
      connectome: csr,
      inputProjection: projection(PIXELS, "ih"),
      outputProjection: projection(Math.min(READ_OUT, n), "ho"),
    },
    numClasses: CLASSES,
    fcDim: HIDDEN,
  });
  const optimizer = new Adam(backend, model.parameters, { lr: 1e-4 });
  const input = { data: uniform(PIXELS * batch, "images"), batch };
  const labels = Uint8Array.from({ length: batch }, (_, s) => s % CLASSES);
  let evaluations = 0;
  const count = (stats) => {
    evaluations = stats.reduce((sum, { nFEvals }) => sum + nFEvals, 0);
  };
  yield {
    name: "solve",
    operations: () => 2 * csr.nnz * batch * evaluations,
    run: async () => {
      const stats = [];
      for await (const chunk of model.rnn.chunks(input, {}, false)) stats.push(chunk.stats);
      count(stats);
    },
  };
  let step = 0;
  yield {
    name: "training step",
    // Each evaluation, and its reverse: two products in one walk.
    operations: () => 6 * csr.nnz * batch * evaluations,
    run: async () => {
      const { stats } = await model.gradients(input, labels, step++);
      optimizer.step();
      count(stats);
    },
  };
}
