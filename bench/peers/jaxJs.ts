// jax-js on its WASM backend. It has neither sparse products nor scatters: rows are sorted by length into groups, padded to the next
// power of two, and each group is one gather, one product and one sum, compiled by jit.
// Started with the path of @jax-js/jax before the usual arguments.

import { createRequire } from "node:module";
import { type PeerData, type PeerOperation, readPeerData, serve } from "./serve.ts";

/** Functions consume their array arguments; `ref` adds a reference. */
interface JaxArray {
  readonly ref: JaxArray;
  reshape(shape: readonly number[]): JaxArray;
  mul(other: JaxArray): JaxArray;
  sum(axis: number): JaxArray;
  data(): Promise<Float32Array>;
}

/** The part of jax-js used here. */
interface Jax {
  init(device: "wasm"): Promise<unknown>;
  defaultDevice(device: "wasm"): void;
  jit<F>(f: F): F;
  readonly numpy: {
    readonly int32: unknown;
    array(values: Float32Array | Int32Array, options?: { readonly dtype: unknown }): JaxArray;
    take(x: JaxArray, indices: JaxArray, axis: number): JaxArray;
    concatenate(parts: readonly JaxArray[], axis: number): JaxArray;
  };
}

/** Rows of at most `width` entries, padded with entries of weight 0. */
interface Group {
  readonly sources: JaxArray;
  readonly weights: JaxArray;
}

function product(jax: Jax, data: PeerData): PeerOperation {
  const { n, batch, rowPtr, x } = data;
  const { array, take, concatenate, int32 } = jax.numpy;
  const byWidth = new Map<number, number[]>();
  for (let row = 0; row < n; row++) {
    const width = 2 ** Math.ceil(Math.log2(Math.max(1, rowPtr[row + 1]! - rowPtr[row]!)));
    const rows = byWidth.get(width);
    if (rows) rows.push(row);
    else byWidth.set(width, [row]);
  }
  const groups = [...byWidth].map(([width, rows]) => makeGroup(jax, data, width, rows));
  const placeOf = new Int32Array(n);
  [...byWidth.values()].flat().forEach((row, place) => {
    placeOf[row] = place;
  });
  const places = array(placeOf, { dtype: int32 });
  const operand = array(x).reshape([n, batch]);
  const groupSum = jax.jit((x: JaxArray, sources: JaxArray, weights: JaxArray) =>
    take(x, sources, 0).mul(weights).sum(1),
  );
  return async () => {
    const sums = groups.map(({ sources, weights }) => groupSum(operand.ref, sources.ref, weights.ref));
    return { y: await take(concatenate(sums, 0), places.ref, 0).data() };
  };
}

function makeGroup(
  { numpy }: Jax,
  { rowPtr, colIdx, values }: PeerData,
  width: number,
  rows: readonly number[],
): Group {
  const sources = new Int32Array(rows.length * width);
  const weights = new Float32Array(rows.length * width);
  rows.forEach((row, i) => {
    const [begin, end] = [rowPtr[row]!, rowPtr[row + 1]!];
    sources.set(colIdx.subarray(begin, end), i * width);
    weights.set(values.subarray(begin, end), i * width);
  });
  return {
    sources: numpy.array(sources, { dtype: numpy.int32 }).reshape([rows.length, width]),
    weights: numpy.array(weights).reshape([rows.length, width, 1]),
  };
}

const [path = "", folder = "", batch = ""] = process.argv.slice(2);
// It searches the browser's object of that name for a GPU; Node 20 lacks it.
if (!("navigator" in globalThis)) Object.assign(globalThis, { navigator: {} });
const jax = createRequire(path)(path) as Jax;
await jax.init("wasm");
jax.defaultDevice("wasm");
await serve("jax-js", { spmm: product(jax, readPeerData(folder, Number(batch))) });
