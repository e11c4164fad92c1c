// The two products of a training step as programs of their own: Y = W·X, and the fused reverse walk ct = Wᵀ·G, grad += (G·Xᵀ at the
// stored entries). Operands are a formula of neuron and sample, so that a sample has the same numbers in any batch.

import { Graph } from "../../dist/src/autodiff/graph.js";
import { lower } from "../../dist/src/autodiff/lower.js";
import { Desk } from "../../dist/src/backend/desk.js";

/** Operands, rounded as the device has them. */
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

/** Where a sample's number of a neuron lies. */
export function addressOf(neurons, neuron, sample, { panel }) {
  return (Math.floor(sample / panel) * neurons + neuron) * panel + (sample % panel);
}

/** The products of one batch on one backend, ready to run. */
export function sparseProducts(backend, csr, batch) {
  const n = csr.nRows;
  const desk = new Desk(backend, backend.layoutFor(batch), "sparse products");
  const W = desk.own(backend.sparse("W", csr));
  for (const [name, formula] of [
    ["x", X],
    ["g", G],
  ]) {
    const values = Float32Array.from({ length: batch * n }, (_, i) => formula(i % n, Math.floor(i / n)));
    desk.put(desk.state(name, n), values, { count: batch }, "zero");
  }
  const [y, ct] = ["y", "ct"].map((name) => desk.state(name, n));
  const grad = desk.vector("grad", csr.nnz);
  const works = PRODUCTS.map(({ name, operations, build }) => {
    const graph = new Graph();
    build(graph, n, csr.nnz);
    const bound = desk.bind(lower(graph, name), { W });
    return { name, operations: operations * csr.nnz * batch, run: () => backend.run(bound) };
  });
  return {
    layout: desk.layout,
    works,
    /** Results of one run of both, from a gradient of zero. */
    async results() {
      backend.fill(grad, 0);
      for (const { run } of works) run();
      const [products, cotangents, gradient] = await backend.downloadAll([y, ct, grad]);
      return { y: products, ct: cotangents, grad: gradient };
    },
    release() {
      desk.release();
    },
  };
}
