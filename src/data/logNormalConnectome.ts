// A random connectome without geometry: log-normal in-degrees, log-normal out-degrees, log-normal weights. It has the size and the
// skew of a real one, not its structure; for measuring speed. For a network that learns, see retinotopicConnectome.ts.

import { type Csr, csrFromParts, indexArray } from "../core/csr.ts";
import { ArgumentError } from "../core/errors.ts";
import { deriveKey, keyOfSeed, RandomStream } from "../core/random.ts";

/** A row may have at most this part of all neurons as inputs, so that drawing distinct ones stays cheap. */
const MAX_ROW_SHARE = 1 / 4;

/** Standard deviation of the logarithm of a weight. */
const WEIGHT_SIGMA = 0.5;

/** Options of `logNormalConnectome`. */
export interface LogNormalOptions {
  /** Rows and columns, ≥ 4. */
  readonly neurons: number;
  /** Stored entries, at most neurons · ⌊neurons / 4⌋. */
  readonly connections: number;
  readonly seed: number;
  /** Spread of the logarithm of in-degrees, 0 to 3. Default 1. */
  readonly sigmaIn?: number;
  /** Spread of the logarithm of the weights by which presynaptic neurons are drawn, 0 to 3. Default 1. */
  readonly sigmaOut?: number;
}

/**
 * A connectome [post, pre] with exactly `connections` entries, all different and positive (f32, exp(0.5 z), z normal); a neuron may
 * connect to itself. In-degrees are proportional to exp(sigmaIn z) and capped at a quarter of the neurons; the columns of a row
 * are drawn without repetition with weights exp(sigmaOut z). O(connections).
 *
 * @throws {ArgumentError} counts or spreads out of range
 */
export function logNormalConnectome(options: LogNormalOptions): Csr {
  const { neurons, connections, seed, sigmaIn = 1, sigmaOut = 1 } = options;
  const where = "logNormalConnectome";
  if (!Number.isSafeInteger(neurons) || neurons < 4) {
    throw new ArgumentError(where, "neurons", "a whole number ≥ 4", `${neurons}`);
  }
  const cap = Math.floor(neurons * MAX_ROW_SHARE);
  if (!Number.isSafeInteger(connections) || connections < 0 || connections > neurons * cap) {
    throw new ArgumentError(where, "connections", `a whole number from 0 to ${neurons * cap}`, `${connections}`);
  }
  for (const [name, sigma] of [
    ["sigmaIn", sigmaIn],
    ["sigmaOut", sigmaOut],
  ] as const) {
    if (!(sigma >= 0 && sigma <= 3)) throw new ArgumentError(where, name, "a number from 0 to 3", `${sigma}`);
  }
  const key = deriveKey(keyOfSeed(seed), where);
  const rowPtr = drawRowPtr(logNormals(neurons, sigmaIn, new RandomStream(deriveKey(key, "in"))), connections, cap);
  const table = aliasTable(logNormals(neurons, sigmaOut, new RandomStream(deriveKey(key, "out"))));
  const colIdx = drawColumns(rowPtr, table, new RandomStream(deriveKey(key, "columns")));
  const values = Float32Array.from(logNormals(connections, WEIGHT_SIGMA, new RandomStream(deriveKey(key, "weights"))));
  return csrFromParts({ nRows: neurons, nCols: neurons, rowPtr, colIdx, values }, where);
}

function logNormals(count: number, sigma: number, stream: RandomStream): Float64Array {
  const out = new Float64Array(count);
  for (let i = 0; i < count; i++) out[i] = Math.exp(sigma * stream.normal());
  return out;
}

/** Offsets of rows whose lengths are proportional to `weights`, at most `cap`, and add up to `total`. */
function drawRowPtr(weights: Float64Array, total: number, cap: number): Uint32Array {
  const n = weights.length;
  const scale = total / weights.reduce((sum, w) => sum + w, 0);
  const degrees = Uint32Array.from(weights, (w) => Math.min(cap, Math.floor(scale * w)));
  let left = total - degrees.reduce((sum, d) => sum + d, 0);
  // Distributes the remainder of rounding and of the cap one by one, in as many rounds as needed.
  for (let i = 0; left > 0; i = (i + 1) % n) {
    if (degrees[i]! >= cap) continue;
    degrees[i]!++;
    left--;
  }
  const rowPtr = new Uint32Array(n + 1);
  for (let i = 0; i < n; i++) rowPtr[i + 1] = rowPtr[i]! + degrees[i]!;
  return rowPtr;
}

/** Draws an index with given weights in constant time: column i is kept with probability `keep[i]`, else `alias[i]` is taken. */
interface AliasTable {
  readonly keep: Float64Array;
  readonly alias: Uint32Array;
}

/** Source: Vose, "A linear algorithm for generating random numbers with a given distribution", IEEE TSE 17(9), 1991. */
function aliasTable(weights: Float64Array): AliasTable {
  const n = weights.length;
  const scale = n / weights.reduce((sum, w) => sum + w, 0);
  const share = weights.map((w) => w * scale);
  const keep = new Float64Array(n).fill(1);
  const alias = Uint32Array.from({ length: n }, (_, i) => i);
  const small: number[] = [];
  const large: number[] = [];
  for (let i = 0; i < n; i++) (share[i]! < 1 ? small : large).push(i);
  while (small.length > 0 && large.length > 0) {
    const s = small.pop()!;
    const l = large.at(-1)!;
    keep[s] = share[s]!;
    alias[s] = l;
    share[l] = share[l]! - (1 - share[s]!);
    if (share[l]! < 1) {
      large.pop();
      small.push(l);
    }
  }
  return { keep, alias };
}

/** Distinct columns for every row, ascending. */
function drawColumns(
  rowPtr: Uint32Array,
  { keep, alias }: AliasTable,
  stream: RandomStream,
): Uint16Array | Uint32Array {
  const n = keep.length;
  const colIdx = indexArray(n, rowPtr[n]!);
  // stamp[c] = i + 1 once row i has column c: a set that needs no clearing between rows.
  const stamp = new Uint32Array(n);
  for (let i = 0; i < n; i++) {
    const end = rowPtr[i + 1]!;
    for (let k = rowPtr[i]!; k < end; ) {
      const slot = Math.floor(stream.uniform() * n);
      const col = stream.uniform() < keep[slot]! ? slot : alias[slot]!;
      if (stamp[col] === i + 1) continue;
      stamp[col] = i + 1;
      colIdx[k++] = col;
    }
    colIdx.subarray(rowPtr[i]!, end).sort();
  }
  return colIdx;
}
