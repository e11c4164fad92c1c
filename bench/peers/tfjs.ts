// TensorFlow.js on its WASM backend. It lacks this sparse product: rows of X are gathered, scaled, and summed by segments.
// Started with the paths of @tensorflow/tfjs-core and @tensorflow/tfjs-backend-wasm before the usual arguments.

import { createRequire } from "node:module";
import { type PeerData, type PeerOperation, readPeerData, serve } from "./serve.ts";

interface Tensor {
  data(): Promise<Float32Array>;
  dispose(): void;
}

/** The part of TensorFlow.js used here. */
interface TensorFlow {
  readonly version_core: string;
  setBackend(name: string): Promise<boolean>;
  ready(): Promise<void>;
  tidy(body: () => Tensor): Tensor;
  tensor1d(values: Int32Array, dtype: "int32"): Tensor;
  tensor2d(values: Float32Array, shape: readonly [number, number]): Tensor;
  gather(x: Tensor, indices: Tensor): Tensor;
  mul(a: Tensor, b: Tensor): Tensor;
  readonly sparse: { sparseSegmentSum(data: Tensor, indices: Tensor, segmentIds: Tensor): Tensor };
}

function product(tf: TensorFlow, { n, batch, rowPtr, colIdx, values, x }: PeerData): PeerOperation {
  // The last segment is the last one with an entry, so the last row gets an entry of weight 0.
  const nnz = colIdx.length;
  const rows = new Int32Array(nnz + 1);
  for (let row = 0; row < n; row++) rows.fill(row, rowPtr[row], rowPtr[row + 1]);
  rows[nnz] = n - 1;
  const cols = new Int32Array(nnz + 1);
  cols.set(colIdx);
  const weights = new Float32Array(nnz + 1);
  weights.set(values);
  const segments = tf.tensor1d(rows, "int32");
  const sources = tf.tensor1d(cols, "int32");
  const scales = tf.tensor2d(weights, [nnz + 1, 1]);
  const everyTerm = tf.tensor1d(
    Int32Array.from({ length: nnz + 1 }, (_, k) => k),
    "int32",
  );
  const operand = tf.tensor2d(x, [n, batch]);
  return async () => {
    const y = tf.tidy(() => {
      const terms = tf.mul(tf.gather(operand, sources), scales);
      return tf.sparse.sparseSegmentSum(terms, everyTerm, segments);
    });
    const result = await y.data();
    y.dispose();
    return { y: result };
  };
}

const [core = "", backend = "", folder = "", batch = ""] = process.argv.slice(2);
const require = createRequire(core);
const tf = require(core) as TensorFlow;
require(backend);
await tf.setBackend("wasm");
await tf.ready();
await serve(`tfjs ${tf.version_core}`, { spmm: product(tf, readPeerData(folder, Number(batch))) });
