// Seeded sparse matrices, small ones that people draw by hand and the shapes that break things.

import { type Csr, csrFromCoo } from "../../src/core/csr.ts";
import { deriveKey, keyOfSeed, RandomStream } from "../../src/core/random.ts";

/** A matrix with its history, for messages: `describe(sample)` is enough to make it again. */
export interface SampleMatrix {
  readonly name: string;
  readonly seed: number;
  readonly csr: Csr;
}

/** The seed of everything that takes none. */
export const DEFAULT_SEED = 20240607;

/** "heavy row, 3 × 5000, nnz 5004, seed 7". */
export function describe({ name, csr, seed }: SampleMatrix): string {
  return `${name}, ${csr.nRows} × ${csr.nCols}, nnz ${csr.nnz}, seed ${seed}`;
}

/** Runs `check` on a sample; an error it throws is preceded by the failing sample and its seed. */
export function withSample(sample: SampleMatrix, check: (csr: Csr) => void): void {
  try {
    check(sample.csr);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new Error(`${describe(sample)}: ${message}`, { cause: error });
  }
}

/** Every entry is stored with probability `density`, so rows and columns may be empty; values are standard normal. */
export function randomSparse(nRows: number, nCols: number, density: number, seed: number = DEFAULT_SEED): SampleMatrix {
  const stream = streamOf(seed, "randomSparse");
  const builder = new Entries(nRows, nCols, stream);
  for (let row = 0; row < nRows; row++) {
    for (let col = 0; col < nCols; col++) if (stream.uniform() < density) builder.add(row, col);
  }
  return builder.sample("random sparse", seed);
}

/** First, last and every second row and column are empty. */
export function emptyRowsAndCols(seed: number = DEFAULT_SEED): SampleMatrix {
  const builder = new Entries(9, 7, streamOf(seed, "emptyRowsAndCols"));
  for (let row = 1; row < 8; row += 2) for (let col = 1; col < 6; col += 2) builder.add(row, col);
  return builder.sample("empty rows and columns", seed);
}

/** No stored entry at all. */
export function allEmpty(seed: number = DEFAULT_SEED): SampleMatrix {
  return new Entries(3, 4, streamOf(seed, "allEmpty")).sample("no entries", seed);
}

/** One row of 5,000 entries among rows of one or none: far more work than its neighbours, in one tile. */
export function heavyRow(seed: number = DEFAULT_SEED): SampleMatrix {
  const nCols = 5000;
  const builder = new Entries(40, nCols, streamOf(seed, "heavyRow"));
  for (let col = 0; col < nCols; col++) builder.add(17, col);
  for (let row = 0; row < 40; row += 3) builder.add(row, row);
  return builder.sample("heavy row", seed);
}

/** One column of 5,000 entries: the same for the transposed walk. */
export function heavyCol(seed: number = DEFAULT_SEED): SampleMatrix {
  const nRows = 5000;
  const builder = new Entries(nRows, 40, streamOf(seed, "heavyCol"));
  for (let row = 0; row < nRows; row++) builder.add(row, 17);
  for (let col = 0; col < 40; col += 3) builder.add(col, col);
  return builder.sample("heavy column", seed);
}

export function oneByOne(seed: number = DEFAULT_SEED): SampleMatrix {
  const builder = new Entries(1, 1, streamOf(seed, "oneByOne"));
  builder.add(0, 0);
  return builder.sample("1 × 1", seed);
}

/** More than 65,536 columns, so indices do not fit 16 bits; entries at both ends and on either side of that limit. */
export function wide(seed: number = DEFAULT_SEED): SampleMatrix {
  const nCols = 70_000;
  const builder = new Entries(5, nCols, streamOf(seed, "wide"));
  for (const col of [0, 65_535, 65_536, nCols - 1]) for (const row of [0, 2, 4]) builder.add(row, col);
  return builder.sample("wide", seed);
}

/** More than 65,536 rows. */
export function tall(seed: number = DEFAULT_SEED): SampleMatrix {
  const nRows = 70_000;
  const builder = new Entries(nRows, 5, streamOf(seed, "tall"));
  for (const row of [0, 65_535, 65_536, nRows - 1]) for (const col of [0, 2, 4]) builder.add(row, col);
  return builder.sample("tall", seed);
}

/** Coordinates in random order in which every entry occurs once to three times, its parts to be summed. */
export function withDuplicates(seed: number = DEFAULT_SEED): SampleMatrix {
  const stream = streamOf(seed, "withDuplicates");
  const builder = new Entries(12, 10, stream);
  for (let k = 0; k < 40; k++) {
    const [row, col] = [stream.below(12), stream.below(10)];
    for (let times = 1 + stream.below(3); times > 0; times--) builder.add(row, col);
  }
  return builder.sample("duplicates", seed);
}

/** One of each of the above; all but `heavy…`, `wide` and `tall` are small enough for dense loops. */
export function sampleMatrices(seed: number = DEFAULT_SEED): readonly SampleMatrix[] {
  return [
    oneByOne(seed),
    allEmpty(seed),
    emptyRowsAndCols(seed),
    withDuplicates(seed),
    randomSparse(13, 13, 0.3, seed),
    randomSparse(37, 11, 0.15, seed),
    randomSparse(11, 37, 0.15, seed),
    randomSparse(150, 150, 0.05, seed),
    heavyRow(seed),
    heavyCol(seed),
    wide(seed),
    tall(seed),
  ];
}

/** The matrix as a row-major array, for small ones. */
export function toDense(csr: Csr): Float64Array {
  const dense = new Float64Array(csr.nRows * csr.nCols);
  for (let row = 0; row < csr.nRows; row++) {
    for (let k = csr.rowPtr[row]!; k < csr.rowPtr[row + 1]!; k++) {
      dense[row * csr.nCols + csr.colIdx[k]!]! += csr.values[k]!;
    }
  }
  return dense;
}

/** Entries of the fullest row: how many terms an element of W·x sums. */
export function longestRow({ rowPtr, nRows }: Csr): number {
  let longest = 0;
  for (let row = 0; row < nRows; row++) longest = Math.max(longest, rowPtr[row + 1]! - rowPtr[row]!);
  return longest;
}

/** Entries of the fullest column: how many terms an element of Wᵀ·g sums. */
export function longestCol({ colIdx, nCols }: Csr): number {
  const counts = new Uint32Array(nCols);
  for (const col of colIdx) counts[col]!++;
  return counts.reduce((a, b) => Math.max(a, b), 0);
}

function streamOf(seed: number, purpose: string): RandomStream {
  return new RandomStream(deriveKey(keyOfSeed(seed), purpose));
}

/** Collects coordinates; at the end their order is shuffled and their values are drawn. */
class Entries {
  readonly #nRows: number;
  readonly #nCols: number;
  readonly #stream: RandomStream;
  readonly #rows: number[] = [];
  readonly #cols: number[] = [];

  constructor(nRows: number, nCols: number, stream: RandomStream) {
    this.#nRows = nRows;
    this.#nCols = nCols;
    this.#stream = stream;
  }

  add(row: number, col: number): void {
    this.#rows.push(row);
    this.#cols.push(col);
  }

  sample(name: string, seed: number): SampleMatrix {
    const order = this.#stream.permutation(this.#rows.length);
    const csr = csrFromCoo({
      nRows: this.#nRows,
      nCols: this.#nCols,
      rows: Array.from(order, (k) => this.#rows[k]!),
      cols: Array.from(order, (k) => this.#cols[k]!),
      values: Array.from(order, () => this.#stream.normal()),
    });
    return { name, seed, csr };
  }
}
