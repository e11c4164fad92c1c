// What a control of a connectome keeps, as measures that can be compared exactly.

import { type Csr, columnOffsets, lengthsOf } from "../core/csr.ts";
import { InvariantError } from "../core/errors.ts";
import { checkBlocks } from "./checks.ts";
import { checkPlaces, type Lengths, lengthBin } from "./lengths.ts";
import { MIXED, rowOfEntry, signsOfNeurons } from "./shuffleWeights.ts";

/** What invariants about blocks and lengths refer to. */
export interface InvariantContext {
  /** [neurons], whole numbers from 0. */
  readonly blocks?: ArrayLike<number> | undefined;
  readonly lengths?: Lengths | undefined;
}

/** A measure of a connectome. */
export interface InvariantMeasure {
  /** In a word: a total, a count. */
  readonly value: number;
  /** What is compared. */
  readonly entries: ArrayLike<number>;
  /** The most that entries may differ by; null: nothing. */
  readonly tolerance: ArrayLike<number> | null;
}

/** A measure by which a connectome and its control can agree. */
export interface Invariant {
  /** In a sentence about a neuron or the network. */
  readonly meaning: string;
  /** What its value counts. */
  readonly value: string;
  readonly measure: (csr: Csr, context: InvariantContext) => InvariantMeasure;
}

const exact = (value: number, entries: ArrayLike<number>): InvariantMeasure => ({ value, entries, tolerance: null });

/** Names of the invariants. */
export type InvariantName =
  | "pattern"
  | "connections"
  | "distinct-connections"
  | "in-degrees"
  | "out-degrees"
  | "self-loops"
  | "reciprocal-pairs"
  | "block-counts"
  | "lengths"
  | "signed-in-degrees"
  | "signed-out-degrees"
  | "signs"
  | "sign-counts"
  | "neuron-signs"
  | "weights"
  | "magnitudes"
  | "source-weights"
  | "target-weights"
  | "total-input"
  | "total-output";

/** By name. */
export const INVARIANTS: { readonly [Name in InvariantName]: Invariant } = {
  pattern: {
    meaning: "all connections are between the same neurons",
    value: "connections",
    measure: (csr) => exact(csr.nnz, joined(csr.rowPtr, csr.colIdx)),
  },
  connections: {
    meaning: "the number of connections",
    value: "connections",
    measure: ({ nnz }) => exact(nnz, [nnz]),
  },
  "distinct-connections": {
    meaning: "no pair of neurons has two connections of the same direction",
    value: "repeated connections",
    measure: (csr) => {
      const repeats = repeatsIn(csr);
      return exact(repeats, [repeats]);
    },
  },
  "in-degrees": {
    meaning: "every neuron's number of inputs",
    value: "largest in-degree",
    measure: ({ rowPtr }) => {
      const degrees = lengthsOf(rowPtr);
      return exact(largest(degrees), degrees);
    },
  },
  "out-degrees": {
    meaning: "every neuron's number of outputs",
    value: "largest out-degree",
    measure: (csr) => {
      const degrees = lengthsOf(columnOffsets(csr));
      return exact(largest(degrees), degrees);
    },
  },
  "self-loops": {
    meaning: "the same neurons have self-loops",
    value: "self-loops",
    measure: (csr) => {
      const loops = new Uint8Array(csr.nRows);
      forEachEntry(csr, (i, j) => {
        if (i === j) loops[i] = 1;
      });
      return exact(sum(loops), loops);
    },
  },
  "reciprocal-pairs": {
    meaning: "every neuron's number of reciprocal pairs",
    value: "reciprocal pairs",
    measure: (csr) => {
      const pairs = reciprocalPairs(csr);
      return exact(sum(pairs) / 2, pairs);
    },
  },
  "block-counts": {
    meaning: "the number of connections from each block to each other one",
    value: "connected pairs of blocks",
    measure: (csr, { blocks }) => {
      const extent = checkBlocks("invariants", blocks, csr);
      const keys = new Float64Array(csr.nnz);
      forEachEntry(csr, (i, j, k) => {
        keys[k] = blocks![j]! * extent + blocks![i]!;
      });
      keys.sort();
      return exact(
        keys.reduce((count, key, k) => count + (k === 0 || key !== keys[k - 1] ? 1 : 0), 0),
        keys,
      );
    },
  },
  lengths: {
    meaning: "the number of connections in each bin of lengths",
    value: "bins with connections",
    measure: (csr, { lengths }) => {
      const places = checkPlaces("invariants", lengths ?? { positions: [], dimensions: 1 }, csr.nRows);
      const counts = new Uint32Array(places.bins);
      forEachEntry(csr, (i, j) => {
        counts[lengthBin(places, i, j)]!++;
      });
      return exact(
        counts.reduce((count, n) => count + (n > 0 ? 1 : 0), 0),
        counts,
      );
    },
  },
  "signed-in-degrees": {
    meaning: "every neuron's numbers of positive and of negative inputs",
    value: "positive connections",
    measure: (csr) => signedDegrees(csr, csr.nRows, (i) => i),
  },
  "signed-out-degrees": {
    meaning: "every neuron's numbers of positive and of negative outputs",
    value: "positive connections",
    measure: (csr) => signedDegrees(csr, csr.nCols, (_, j) => j),
  },
  signs: {
    meaning: "the sign of every connection, where all have their places",
    value: "positive connections",
    measure: ({ values }) => {
      const signs = Int8Array.from(values, Math.sign);
      return exact(
        signs.reduce((count, sign) => count + (sign > 0 ? 1 : 0), 0),
        signs,
      );
    },
  },
  "sign-counts": {
    meaning: "the numbers of positive and of negative connections",
    value: "positive connections",
    measure: ({ values }) => {
      const counts = [0, 0, 0];
      for (let k = 0; k < values.length; k++) counts[Math.sign(values[k]!) + 1]!++;
      return exact(counts[2]!, counts);
    },
  },
  "neuron-signs": {
    meaning: "the numbers of neurons whose outputs are positive, negative, of both signs, and all 0 or missing",
    value: "neurons with positive outputs alone",
    measure: (csr) => {
      const counts = [0, 0, 0, 0];
      for (const sign of signsOfNeurons(csr)) counts[sign === MIXED ? 2 : sign === -1 ? 1 : sign === 1 ? 0 : 3]!++;
      return exact(counts[0]!, counts);
    },
  },
  weights: {
    meaning: "the weights, in any order",
    value: "sum of the weights",
    measure: ({ values }) => {
      const sorted = values.slice().sort();
      return exact(sum(sorted), sorted);
    },
  },
  magnitudes: {
    meaning: "the magnitudes of the weights, in any order",
    value: "sum of the magnitudes",
    measure: ({ values }) => {
      const sorted = values.map(Math.abs).sort();
      return exact(sum(sorted), sorted);
    },
  },
  "source-weights": {
    meaning: "the weights of every neuron's outputs, in any order, and so its total output",
    value: "largest total output",
    measure: (csr) => weightsBy(csr, columnOffsets(csr), csr.colIdx),
  },
  "target-weights": {
    meaning: "the weights of every neuron's inputs, in any order, and so its total input",
    value: "largest total input",
    measure: (csr) => weightsBy(csr, csr.rowPtr, rowOfEntry(csr)),
  },
  "total-input": {
    meaning: "every neuron's sum of |w| over its inputs, up to rounding",
    value: "largest total input",
    measure: (csr) => totals(csr, csr.nRows, rowOfEntry(csr)),
  },
  "total-output": {
    meaning: "every neuron's sum of |w| over its outputs, up to rounding",
    value: "largest total output",
    measure: (csr) => totals(csr, csr.nCols, csr.colIdx),
  },
};

/** A measure that a control keeps, with its value. */
export interface KeptMeasure {
  readonly name: InvariantName;
  readonly value: number;
}

/** A measure that a control may change: its values, and how many of its entries (neurons, bins, …) differ. */
export interface ChangedMeasure {
  readonly name: InvariantName;
  readonly before: number;
  readonly after: number;
  readonly differing: number;
}

/**
 * Checks that `made` agrees with `original` in a measure.
 *
 * @throws {InvariantError} it does not; names the first entry that differs
 * @throws {ArgumentError | ShapeError} blocks or lengths that the measure needs and that are missing or wrong
 */
export function checkInvariant(
  original: Csr,
  made: Csr,
  name: InvariantName,
  context: InvariantContext = {},
): KeptMeasure {
  const [before, after] = measures(original, made, name, context);
  if (before.entries.length !== after.entries.length) {
    throw new InvariantError(name, `${before.entries.length} entries`, `${after.entries.length}`);
  }
  for (let at = 0; at < before.entries.length; at++) {
    if (agrees(before, after, at)) continue;
    throw new InvariantError(name, `${before.entries[at]} at entry ${at}`, `${after.entries[at]}`);
  }
  return { name, value: after.value };
}

/** What became of a measure. */
export function compareMeasure(
  original: Csr,
  made: Csr,
  name: InvariantName,
  context: InvariantContext = {},
): ChangedMeasure {
  const [before, after] = measures(original, made, name, context);
  let differing = Math.abs(before.entries.length - after.entries.length);
  const common = Math.min(before.entries.length, after.entries.length);
  for (let at = 0; at < common; at++) if (!agrees(before, after, at)) differing++;
  return { name, before: before.value, after: after.value, differing };
}

function measures(
  original: Csr,
  made: Csr,
  name: InvariantName,
  context: InvariantContext,
): [InvariantMeasure, InvariantMeasure] {
  const { measure } = INVARIANTS[name];
  return [measure(original, context), measure(made, context)];
}

/** NaN agrees with nothing. */
function agrees(before: InvariantMeasure, after: InvariantMeasure, at: number): boolean {
  if (before.tolerance === null) return before.entries[at] === after.entries[at];
  return Math.abs(before.entries[at]! - after.entries[at]!) <= before.tolerance[at]!;
}

function forEachEntry({ nRows, rowPtr, colIdx }: Csr, visit: (row: number, col: number, entry: number) => void): void {
  for (let i = 0; i < nRows; i++) for (let k = rowPtr[i]!; k < rowPtr[i + 1]!; k++) visit(i, colIdx[k]!, k);
}

function repeatsIn({ nRows, rowPtr, colIdx }: Csr): number {
  let repeats = 0;
  for (let i = 0; i < nRows; i++) {
    for (let k = rowPtr[i]! + 1; k < rowPtr[i + 1]!; k++) if (colIdx[k]! <= colIdx[k - 1]!) repeats++;
  }
  return repeats;
}

/** [neurons], partners to which a neuron sends and from which it receives. */
function reciprocalPairs(csr: Csr): Uint32Array {
  const { nRows, rowPtr, colIdx } = csr;
  const pairs = new Uint32Array(nRows);
  // Rows ascend, so each row j is asked for ascending columns i: every entry is passed once.
  const next = rowPtr.slice();
  forEachEntry(csr, (i, j) => {
    const end = rowPtr[j + 1]!;
    let at = next[j]!;
    while (at < end && colIdx[at]! < i) at++;
    next[j] = at;
    if (i !== j && at < end && colIdx[at] === i) pairs[i]!++;
  });
  return pairs;
}

function signedDegrees(csr: Csr, neurons: number, of: (row: number, col: number) => number): InvariantMeasure {
  const degrees = new Uint32Array(2 * neurons);
  let positive = 0;
  forEachEntry(csr, (i, j, k) => {
    const w = csr.values[k]!;
    if (w === 0) return;
    degrees[2 * of(i, j) + (w > 0 ? 0 : 1)]!++;
    if (w > 0) positive++;
  });
  return exact(positive, degrees);
}

/** Sorted for each neuron. */
function weightsBy({ values, nnz }: Csr, begin: Uint32Array, neuron: ArrayLike<number>): InvariantMeasure {
  const next = begin.slice();
  const sorted = values.slice();
  for (let k = 0; k < nnz; k++) sorted[next[neuron[k]!]!++] = values[k]!;
  let most = 0;
  for (let i = 0; i + 1 < begin.length; i++) {
    const own = sorted.subarray(begin[i]!, begin[i + 1]!).sort();
    let total = 0;
    for (let k = 0; k < own.length; k++) total += Math.abs(own[k]!);
    most = Math.max(most, total);
  }
  return exact(most, sorted);
}

/** Σ|w| in double precision: a mean of n weights rounded to their type, n times, is off by at most n·2^−53 + ε of the sum. */
function totals({ values, nnz }: Csr, neurons: number, neuron: ArrayLike<number>): InvariantMeasure {
  const total = new Float64Array(neurons);
  const count = new Uint32Array(neurons);
  for (let k = 0; k < nnz; k++) {
    total[neuron[k]!]! += Math.abs(values[k]!);
    count[neuron[k]!]!++;
  }
  const rounding = values instanceof Float32Array ? 2 ** -24 : 2 ** -53;
  const tolerance = total.map((s, i) => s * (rounding + 4 * count[i]! * 2 ** -53));
  return { value: total.reduce((most, s) => Math.max(most, s), 0), entries: total, tolerance };
}

function largest(numbers: Uint32Array): number {
  return numbers.reduce((most, x) => Math.max(most, x), 0);
}

function sum(numbers: ArrayLike<number>): number {
  let total = 0;
  for (let k = 0; k < numbers.length; k++) total += numbers[k]!;
  return total;
}

function joined(a: ArrayLike<number>, b: ArrayLike<number>): Uint32Array {
  const both = new Uint32Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}
