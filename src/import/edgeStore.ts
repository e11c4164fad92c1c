// Edges on their way from a file to a matrix: growing typed arrays in chunks, since a larger copy would double the memory at every growth.

import { type Csr, csrFromRows, type IndexArray, indexArray } from "../core/csr.ts";
import { FileFormatError } from "../core/errors.ts";
import { formatCount } from "../core/format.ts";

const CHUNK = 2 ** 20;
/** As many as a matrix may store. */
const MOST_EDGES = 2 ** 29;

interface Chunk {
  readonly pre: IndexArray;
  readonly post: IndexArray;
  /** f32 as long as all weights are exact in it. */
  weights: Float32Array | Float64Array;
  count: number;
}

export class EdgeStore {
  readonly #extent: number;
  readonly #chunks: Chunk[] = [];
  #last: Chunk | null = null;
  #isExactInF32 = true;

  /** @param extent ends are from 0 to extent − 1 */
  constructor(extent: number) {
    this.#extent = extent;
  }

  get count(): number {
    return this.#last === null ? 0 : (this.#chunks.length - 1) * CHUNK + this.#last.count;
  }

  /** @throws {FileFormatError} "file-limit": more edges than a matrix can have */
  push(pre: number, post: number, weight: number, file: string): void {
    let chunk = this.#last;
    if (chunk === null || chunk.count === CHUNK) chunk = this.#grow(file);
    if (this.#isExactInF32 && Math.fround(weight) !== weight) {
      this.#isExactInF32 = false;
      chunk.weights = Float64Array.from(chunk.weights);
    }
    const at = chunk.count++;
    chunk.pre[at] = pre;
    chunk.post[at] = post;
    chunk.weights[at] = weight;
  }

  #grow(file: string): Chunk {
    if (this.count >= MOST_EDGES) {
      throw new FileFormatError(file, `at most ${formatCount(MOST_EDGES)} edges between neurons`, "more", "file-limit");
    }
    const chunk: Chunk = {
      pre: indexArray(this.#extent, CHUNK),
      post: indexArray(this.#extent, CHUNK),
      weights: this.#isExactInF32 ? new Float32Array(CHUNK) : new Float64Array(CHUNK),
      count: 0,
    };
    this.#chunks.push(chunk);
    this.#last = chunk;
    return chunk;
  }

  /**
   * The matrix [post, pre] of n neurons, edges about the same pair summed; in f32 where that is exact, else f64. Empties the store.
   *
   * @param indexOf the neuron of an end; null: ends are neurons
   */
  takeCsr(n: number, indexOf: Int32Array | null, file: string): Csr {
    const { count } = this;
    if (indexOf !== null) {
      for (const { pre, post, count } of this.#chunks) {
        for (let k = 0; k < count; k++) {
          pre[k] = indexOf[pre[k]!]!;
          post[k] = indexOf[post[k]!]!;
        }
      }
    }
    const rowPtr = new Uint32Array(n + 1);
    for (const { post, count } of this.#chunks) for (let k = 0; k < count; k++) rowPtr[post[k]! + 1]!++;
    for (let i = 0; i < n; i++) rowPtr[i + 1]! += rowPtr[i]!;
    const colIdx = indexArray(n, count);
    const values = this.#isExactInF32 ? new Float32Array(count) : new Float64Array(count);
    const next = rowPtr.slice(0, n);
    for (const { pre, post, weights, count } of this.#chunks) {
      for (let k = 0; k < count; k++) {
        const at = next[post[k]!]!++;
        colIdx[at] = pre[k]!;
        values[at] = weights[k]!;
      }
    }
    this.#chunks.length = 0;
    this.#last = null;
    return csrFromRows({ nRows: n, nCols: n, rowPtr, colIdx, values }, file, { widen: true });
  }
}
