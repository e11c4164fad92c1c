// Controls that keep the places of all connections and change their weights: magnitudes or signs dealt anew, or one magnitude for all.

import { type Csr, withValues } from "../core/csr.ts";
import { ArgumentError } from "../core/errors.ts";
import { deriveKey, keyOfSeed, RandomStream } from "../core/random.ts";
import { checkBlocks } from "./checks.ts";
import { type Digit, groupsBy } from "./groupsBy.ts";
import { shuffle } from "./sampling.ts";

/** Among which connections magnitudes are dealt out. */
export interface ShuffleMagnitudesOptions {
  readonly seed: number;
  /**
   * "all" (default): among all connections; "source", "target": among those of a source or a target; "blocks": among those between the same two
   * blocks.
   */
  readonly among?: "all" | "source" | "target" | "blocks";
  /** With "blocks": [neurons], whole numbers from 0. */
  readonly blocks?: ArrayLike<number>;
}

/**
 * The same connections with the same signs, and their magnitudes |w| in random order. Zeros have no sign: they stay as they are. O(connections).
 *
 * @throws {ArgumentError | ShapeError} blocks that are missing, no numbers of blocks, or of other neurons
 */
export function shuffleMagnitudes(csr: Csr, { seed, among = "all", blocks }: ShuffleMagnitudesOptions): Csr {
  const where = "shuffleMagnitudes";
  const post = rowOfEntry(csr);
  const pre = csr.colIdx;
  const digits: Digit[] = [];
  if (among === "source") digits.push({ extent: csr.nCols, of: (k) => pre[k]! });
  if (among === "target") digits.push({ extent: csr.nRows, of: (k) => post[k]! });
  if (among === "blocks") {
    const extent = checkBlocks(where, blocks, csr);
    digits.push({ extent, of: (k) => blocks![pre[k]!]! }, { extent, of: (k) => blocks![post[k]!]! });
  }
  const { members, begin } = groupsBy(csr.nnz, (k) => csr.values[k] !== 0, digits);
  const stream = new RandomStream(deriveKey(keyOfSeed(seed), where));
  const magnitudes = csr.values.slice(0, members.length);
  members.forEach((k, i) => {
    magnitudes[i] = Math.abs(csr.values[k]!);
  });
  for (let g = 0; g + 1 < begin.length; g++) shuffle(magnitudes.subarray(begin[g]!, begin[g + 1]!), stream);
  const values = csr.values.slice();
  members.forEach((k, i) => {
    values[k] = Math.sign(csr.values[k]!) * magnitudes[i]!;
  });
  return withValues(csr, values);
}

/** Whose signs are dealt out. */
export interface ShuffleSignsOptions {
  readonly seed: number;
  /**
   * "neurons" (default): each neuron has the sign of its outputs, and gets that of another one (Dale's law holds); "connections": signs are dealt
   * out among all connections.
   */
  readonly among?: "neurons" | "connections";
}

/**
 * The same connections with the same magnitudes, and their signs in random order. Among neurons, those without outputs, or whose outputs are
 * all 0, take no part. O(connections).
 *
 * @throws {ArgumentError} neurons whose outputs have both signs, with "neurons"
 */
export function shuffleSigns(csr: Csr, { seed, among = "neurons" }: ShuffleSignsOptions): Csr {
  const where = "shuffleSigns";
  const stream = new RandomStream(deriveKey(keyOfSeed(seed), where));
  const values = csr.values.slice();
  if (among === "connections") {
    const signed = Uint32Array.from(values.keys()).filter((k) => values[k] !== 0);
    const signs = Int8Array.from(signed, (k) => Math.sign(csr.values[k]!));
    shuffle(signs, stream);
    signed.forEach((k, i) => {
      values[k] = signs[i]! * Math.abs(csr.values[k]!);
    });
    return withValues(csr, values);
  }
  const signs = signsOfNeurons(csr);
  const mixed = signs.reduce((count, sign) => count + (sign === MIXED ? 1 : 0), 0);
  if (mixed > 0) {
    const expected = "outputs of one sign for each neuron, or signs dealt out among connections";
    throw new ArgumentError(where, "csr", expected, `${mixed} neurons whose outputs have both signs`);
  }
  const signed = Uint32Array.from(signs.keys()).filter((j) => signs[j] !== 0);
  const dealt = Int8Array.from(signed, (j) => signs[j]!);
  shuffle(dealt, stream);
  signed.forEach((j, i) => {
    signs[j] = dealt[i]!;
  });
  for (let k = 0; k < csr.nnz; k++)
    values[k] = values[k] === 0 ? values[k]! : signs[csr.colIdx[k]!]! * Math.abs(values[k]!);
  return withValues(csr, values);
}

/** Outputs of both signs. */
export const MIXED = 2;

/** [columns], the sign of each neuron's outputs: 1, −1, 0 (none but zeros), `MIXED`. */
export function signsOfNeurons({ nCols, nnz, colIdx, values }: Csr): Int8Array {
  const signs = new Int8Array(nCols);
  for (let k = 0; k < nnz; k++) {
    const sign = Math.sign(values[k]!);
    const j = colIdx[k]!;
    if (sign === 0 || signs[j] === sign) continue;
    signs[j] = signs[j] === 0 ? sign : MIXED;
  }
  return signs;
}

/**
 * The same connections with the same signs, whose magnitudes are the mean |w| of the connections of their sign: over all, or over those of each
 * source. What is left is topology and sign (and with "source" the total output of each sign, up to rounding). Zeros stay. O(connections).
 */
export function collapseWeights(csr: Csr, { over = "all" }: { readonly over?: "all" | "source" } = {}): Csr {
  const groups = over === "source" ? csr.nCols : 1;
  /** [2 · groups], of negative and positive weights. */
  const total = new Float64Array(2 * groups);
  const count = new Float64Array(2 * groups);
  const groupOf = (k: number): number => 2 * (over === "source" ? csr.colIdx[k]! : 0) + (csr.values[k]! > 0 ? 1 : 0);
  for (let k = 0; k < csr.nnz; k++) {
    if (csr.values[k] === 0) continue;
    total[groupOf(k)]! += csr.values[k]!;
    count[groupOf(k)]!++;
  }
  return withValues(
    csr,
    csr.values.map((w, k) => (w === 0 ? w : total[groupOf(k)]! / count[groupOf(k)]!)),
  );
}

/** [connections], the row of each entry. */
export function rowOfEntry({ nRows, nnz, rowPtr }: Csr): Uint32Array {
  const rows = new Uint32Array(nnz);
  for (let i = 0; i < nRows; i++) rows.fill(i, rowPtr[i]!, rowPtr[i + 1]!);
  return rows;
}
