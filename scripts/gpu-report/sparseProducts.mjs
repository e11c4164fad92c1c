// The two products of a training step as separate programs: Y = W·X, and the fused reverse walk ct = Wᵀ·G, grad += (G·Xᵀ at the stored entries).
// Operands are a formula of neuron and sample, so a sample has the same numbers in any batch.

import { Graph } from "../../dist/src/autodiff/graph.js";
import { lower } from "../../dist/src/autodiff/lower.js";
import { compileAndBind } from "../../dist/src/backend/bind.js";
import { lanesOf } from "../../dist/src/backend/layout.js";

/** Operands, rounded as on the device. */
export const X = (neuron, sample) => Math.fround(Math.sin(neuron * 1.7 + sample * 0.9));
export const G = (neuron, sample) => Math.fround(Math.cos(neuron * 0.3 + sample * 1.1));

/** `operations`: per stored entry and sample. */
const PRODUCTS = [
  {
    name: "forward product",
    operations: 2,
    build: (g, n, nnz) => g.store("y", g.ops.matmul(g.sparse("W", n, n, nnz), g.state("x", n))),
  },
  {
    name: "fused backward",
    operations: 4,
    build: (g, n, nnz) =>
      g.store("ct", g.ops.matmulT(g.sparse("W", n, n, nnz), g.state("g", n), { x: g.state("x", n), binding: "grad" })),
  },
];

/** Index of a neuron's value for a sample. */
export function addressOf(neurons, neuron, sample, { panel }) {
  return (Math.floor(sample / panel) * neurons + neuron) * panel + (sample % panel);
}

/** The products of one batch on one backend, ready to run. */
export function sparseProducts(backend, csr, batch) {
  const n = csr.nRows;
  const layout = backend.layoutFor(batch);
  const state = (label, formula) => {
    const buffer = backend.buffer(label, n * lanesOf(layout));
    if (formula === undefined) return buffer;
    const values = new Float32Array(n * lanesOf(layout));
    for (let neuron = 0; neuron < n; neuron++) {
      for (let sample = 0; sample < batch; sample++) {
        values[addressOf(n, neuron, sample, layout)] = formula(neuron, sample);
      }
    }
    backend.upload(buffer, values);
    return buffer;
  };
  const W = backend.sparse("W", csr);
  const buffers = { x: state("x", X), g: state("g", G), y: state("y"), ct: state("ct") };
  const grad = backend.buffer("grad", csr.nnz);
  const works = PRODUCTS.map(({ name, operations, build }) => {
    const graph = new Graph();
    build(graph, n, csr.nnz);
    const bound = compileAndBind(backend, lower(graph, name), layout, { W, ...buffers, grad });
    return { name, operations: operations * csr.nnz * batch, run: () => backend.run(bound) };
  });
  return {
    layout,
    works,
    /** Results of one run of both, from a gradient of zero. */
    async results() {
      backend.fill(grad, 0);
      for (const { run } of works) run();
      const [y, ct, gradient] = await backend.downloadAll([buffers.y, buffers.ct, grad]);
      return { y, ct, grad: gradient };
    },
    release() {
      for (const buffer of [...Object.values(buffers), grad, W]) buffer.release();
    },
  };
}
