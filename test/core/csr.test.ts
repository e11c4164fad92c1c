import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  type Csr,
  cscOf,
  csrFromCoo,
  csrFromParts,
  csrFromRows,
  indexArray,
  mapValues,
  truthOf,
  withValues,
} from "../../src/core/csr.ts";
import { type EngineError, ShapeError, SparseFormatError } from "../../src/core/errors.ts";
import { keyOfSeed, RandomStream } from "../../src/core/random.ts";
import { assertBitEqual } from "../support/close.ts";
import { sampleMatrices, toDense, withSample } from "../support/matrices.ts";

const test = suite("csr");

const COO = { nRows: 3, nCols: 4, rows: [2, 0, 2], cols: [3, 1, 0], values: [5, 6, 7] };
const PARTS = { nRows: 3, nCols: 4, rowPtr: [0, 1, 1, 3], colIdx: [1, 0, 3], values: [6, 7, 5] };

/** Asserts that `run` throws an error of class `Kind` that names the argument. */
function assertRefuses(run: () => unknown, Kind: typeof ShapeError | typeof SparseFormatError, argument: string): void {
  try {
    run();
  } catch (error) {
    assert.instance(error, Kind, String(error));
    assert.is((error as EngineError).facts.argument, argument, String(error));
    return;
  }
  assert.unreachable(`expected ${Kind.name} about ${argument}`);
}

/** The invariants that kernels rely on. */
function assertValid(csr: Csr): void {
  assert.is(csr.rowPtr.length, csr.nRows + 1);
  assert.is(csr.rowPtr[0], 0);
  assert.is(csr.rowPtr[csr.nRows], csr.nnz);
  assert.is(csr.colIdx.length, csr.nnz);
  assert.is(csr.values.length, csr.nnz);
  for (let row = 0; row < csr.nRows; row++) {
    assert.ok(csr.rowPtr[row]! <= csr.rowPtr[row + 1]!, `rowPtr ascends at row ${row}`);
    for (let k = csr.rowPtr[row]! + 1; k < csr.rowPtr[row + 1]!; k++) {
      assert.ok(csr.colIdx[k - 1]! < csr.colIdx[k]!, `row ${row} is strictly ascending`);
    }
  }
}

/** Random coordinates with duplicates, and the dense matrix they add up to. */
function randomCoo(seed: number): { coo: Parameters<typeof csrFromCoo>[0]; dense: Float64Array; distinct: number } {
  const stream = new RandomStream(keyOfSeed(seed));
  const nRows = 1 + stream.below(12);
  const nCols = 1 + stream.below(12);
  const n = stream.below(60);
  const rows = Array.from({ length: n }, () => stream.below(nRows));
  const cols = Array.from({ length: n }, () => stream.below(nCols));
  // Small whole numbers: their sums are exact, in any order.
  const values = Array.from({ length: n }, () => 1 + stream.below(100));
  const dense = new Float64Array(nRows * nCols);
  for (let k = 0; k < n; k++) dense[rows[k]! * nCols + cols[k]!]! += values[k]!;
  return { coo: { nRows, nCols, rows, cols, values }, dense, distinct: dense.filter((v) => v !== 0).length };
}

test("csrFromCoo holds the sum of its coordinates, sorted, and counts the duplicates", () => {
  for (let seed = 0; seed < 200; seed++) {
    const { coo, dense, distinct } = randomCoo(seed);
    const csr = csrFromCoo(coo);
    assertValid(csr);
    assertBitEqual(toDense(csr), dense, `seed ${seed}`);
    assert.is(csr.nnz, distinct, `seed ${seed}`);
    assert.is(csr.duplicatesSummed, coo.values.length - distinct, `seed ${seed}`);
  }
});

test("csrFromCoo keeps an explicit zero, and entries that cancel, as stored entries", () => {
  const csr = csrFromCoo({ nRows: 1, nCols: 2, rows: [0, 0, 0], cols: [0, 1, 1], values: [0, 3, -3] });
  assert.equal([...csr.colIdx], [0, 1]);
  assert.equal([...csr.values], [0, 0]);
});

test("csrFromCoo sums duplicates in double precision and keeps f32 values f32", () => {
  // In f32, 2^24 + 1 + 1 is 2^24 when added one by one; in double precision it is 2^24 + 2, which f32 holds.
  const values = Float32Array.of(2 ** 24, 1, 1);
  const csr = csrFromCoo({ nRows: 1, nCols: 1, rows: [0, 0, 0], cols: [0, 0, 0], values });
  assert.instance(csr.values, Float32Array);
  assert.is(csr.values[0], 2 ** 24 + 2);
  assert.instance(csrFromCoo(COO).values, Float64Array);
});

test("the sample matrices are valid and come back unchanged from their parts", () => {
  for (const sample of sampleMatrices()) {
    withSample(sample, (csr) => {
      assertValid(csr);
      const again = csrFromParts(csr);
      assertValid(again);
      assert.equal(again, { ...csr, duplicatesSummed: 0 });
    });
  }
});

test("csrFromParts copies: changing its input changes no matrix", () => {
  const values = Float64Array.from(PARTS.values);
  const csr = csrFromParts({ ...PARTS, values });
  values.fill(0);
  assert.equal([...csr.values], PARTS.values);
});

test("csrFromParts takes arrays that are given away, where they have the right type", () => {
  const values = Float32Array.from(PARTS.values);
  const colIdx = Uint16Array.from(PARTS.colIdx);
  const rowPtr = Int32Array.from(PARTS.rowPtr);
  const taken = csrFromParts({ ...PARTS, rowPtr, colIdx, values }, "test", { adopt: true });
  assert.is(taken.values, values);
  assert.is(taken.colIdx, colIdx);
  assert.is(taken.rowPtr.buffer, rowPtr.buffer);
  assert.equal(taken, csrFromParts({ ...PARTS, values }));
  const wide = { ...PARTS, nCols: 70_000, rowPtr: Float64Array.from(rowPtr), values: PARTS.values };
  assert.equal(csrFromParts({ ...wide, colIdx }, "test", { adopt: true }), csrFromParts({ ...wide, colIdx }));
  const signed = Int32Array.from(PARTS.colIdx);
  assert.is(csrFromParts({ ...wide, colIdx: signed }, "test", { adopt: true }).colIdx.buffer, signed.buffer);
});

test("a sum that the type of the values does not have is refused with its place", () => {
  const at = { nRows: 2, nCols: 2, rows: [1, 1], cols: [0, 0] };
  for (const values of [Float32Array.of(3e38, 3e38), Float64Array.of(1.7e308, 1.7e308)]) {
    assert.throws(
      () => csrFromCoo({ ...at, values }, "w"),
      (error: EngineError) => error.code === "sparse-format" && /row 1, column 0/.test(error.message),
    );
  }
  // Single precision is summed in double: only the end counts.
  const back = csrFromCoo({ ...at, rows: [1, 1, 1], cols: [0, 0, 0], values: Float32Array.of(3e38, 3e38, -3e38) });
  assert.equal(back.values, Float32Array.of(3e38));
});

test("long rows are sorted and summed as short ones are, in the order given", () => {
  for (let seed = 0; seed < 20; seed++) {
    const stream = new RandomStream(keyOfSeed(seed));
    const [nRows, nCols] = [5, 10 + stream.below(200)];
    // Rows of any length, some of them sorted already; sums of tenths depend on their order.
    const rows = Array.from({ length: 600 }, () => Math.min(stream.below(nRows), stream.below(nRows)));
    const cols = Array.from(rows, (row, k) => (row === 3 ? Math.min(k, nCols - 1) : stream.below(nCols)));
    const values = Float64Array.from(rows, () => stream.below(1000) / 10);
    const sums = new Map<number, number>();
    rows.forEach((row, k) => {
      const at = row * nCols + cols[k]!;
      sums.set(at, sums.has(at) ? sums.get(at)! + values[k]! : values[k]!);
    });
    const csr = csrFromCoo({ nRows, nCols, rows, cols, values });
    assertValid(csr);
    const inOrder = [...sums].sort(([a], [b]) => a - b).map(([, sum]) => sum);
    assertBitEqual(csr.values, Float64Array.from(inOrder), `seed ${seed}`);
    assert.is(csr.duplicatesSummed, 600 - sums.size);
  }
  const long = { nRows: 2, nCols: 30, rows: new Array(60).fill(1), cols: Array.from({ length: 60 }, (_, k) => k % 30) };
  assert.throws(
    () => csrFromCoo({ ...long, values: new Float32Array(60).fill(3e38) }, "w"),
    (error: EngineError) => error.code === "sparse-format" && /row 1, column 0/.test(error.message),
  );
});

test("csrFromRows works in place, and widens values only where a sum needs it", () => {
  const parts = (...values: number[]) => ({
    ...{ nRows: 2, nCols: 3, rowPtr: Uint32Array.of(0, 3, 4), colIdx: Uint16Array.of(2, 0, 2, 1) },
    values: Float32Array.from(values),
  });
  const given = parts(1, 2, 4, 8);
  const csr = csrFromRows(given, "w", { widen: true });
  assertValid(csr);
  assert.equal(csr.values, Float32Array.of(2, 5, 8));
  assert.is(csr.rowPtr, given.rowPtr);
  const wide = csrFromRows(parts(2 ** 24, 2, 1, 0.5), "w", { widen: true });
  assert.equal(wide.values, Float64Array.of(2, 2 ** 24 + 1, 0.5));
  const rounded = csrFromRows(parts(2 ** 24, 2, 1, 0.5), "w", { widen: false });
  assert.equal(rounded.values, Float32Array.of(2, 2 ** 24, 0.5));
});

test("truthOf leaves what is true or false, and makes one of counts", () => {
  const csr = csrFromCoo({ nRows: 2, nCols: 2, rows: [1, 1, 0], cols: [0, 0, 1], values: Uint8Array.of(1, 1, 0) });
  assert.equal([...csr.values], [0, 2]);
  assert.equal([...truthOf(csr).values], [0, 1]);
});

test("csrFromParts sorts unsorted rows and sums their duplicates", () => {
  const csr = csrFromParts({ nRows: 2, nCols: 3, rowPtr: [0, 3, 4], colIdx: [2, 0, 2, 1], values: [1, 2, 4, 8] });
  assertValid(csr);
  assert.equal([...toDense(csr)], [2, 0, 5, 0, 8, 0]);
  assert.is(csr.duplicatesSummed, 1);
});

test("csrFromCoo and csrFromParts refuse indices that are out of range, not whole or NaN", () => {
  for (const bad of [-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 4]) {
    assertRefuses(() => csrFromCoo({ ...COO, rows: [2, bad, 2] }), SparseFormatError, "rows");
    assertRefuses(() => csrFromCoo({ ...COO, cols: [3, bad, 0] }), SparseFormatError, "cols");
    assertRefuses(() => csrFromParts({ ...PARTS, colIdx: [1, bad, 3] }), SparseFormatError, "colIdx");
  }
});

test("csrFromCoo and csrFromParts refuse values that are not finite", () => {
  for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
    assertRefuses(() => csrFromCoo({ ...COO, values: [5, bad, 7] }), SparseFormatError, "values");
    assertRefuses(() => csrFromParts({ ...PARTS, values: [6, 7, bad] }), SparseFormatError, "values");
  }
});

test("csrFromCoo and csrFromParts refuse arrays of the wrong length", () => {
  assertRefuses(() => csrFromCoo({ ...COO, rows: [2, 0] }), ShapeError, "rows");
  assertRefuses(() => csrFromCoo({ ...COO, cols: [3, 1, 0, 0] }), ShapeError, "cols");
  assertRefuses(() => csrFromParts({ ...PARTS, rowPtr: [0, 1, 3] }), ShapeError, "rowPtr");
  assertRefuses(() => csrFromParts({ ...PARTS, colIdx: [1, 0] }), ShapeError, "colIdx");
});

test("csrFromCoo and csrFromParts refuse extents that are not whole numbers from 1 to 2^31", () => {
  for (const bad of [0, -3, 2.5, Number.NaN, 2 ** 31 + 1]) {
    assertRefuses(() => csrFromCoo({ ...COO, nRows: bad }), SparseFormatError, "nRows");
    assertRefuses(() => csrFromCoo({ ...COO, nCols: bad }), SparseFormatError, "nCols");
    assertRefuses(() => csrFromParts({ ...PARTS, nRows: bad }), SparseFormatError, "nRows");
    assertRefuses(() => csrFromParts({ ...PARTS, nCols: bad }), SparseFormatError, "nCols");
  }
});

test("csrFromParts refuses row pointers that do not ascend from 0 to nnz", () => {
  const bad = [
    [0, 2, 1, 3],
    [1, 1, 1, 3],
    [0, 1, 1, 2],
    [0, 1, 1, 4],
    [0, 4, 1, 3],
    [0, 0.5, 1, 3],
    [0, Number.NaN, 1, 3],
    [0, -1, 1, 3],
  ];
  for (const rowPtr of bad) assertRefuses(() => csrFromParts({ ...PARTS, rowPtr }), SparseFormatError, "rowPtr");
});

test("errors name the caller that was given", () => {
  assert.throws(() => csrFromCoo({ ...COO, rows: [] }, "edges.csv"), /^edges\.csv: expected 3 indices/);
  assert.throws(() => csrFromParts({ ...PARTS, colIdx: [] }, "w.npz"), /^w\.npz: expected 3 indices/);
});

test("cscOf is the same matrix by columns, and its permutation leads there entry by entry", () => {
  for (const sample of sampleMatrices()) {
    withSample(sample, (csr) => {
      const { colPtr, rowIdx, cscOfCsr } = cscOf(csr);
      assert.is(colPtr[0], 0);
      assert.is(colPtr[csr.nCols], csr.nnz);
      const visited = new Uint8Array(csr.nnz);
      for (let row = 0; row < csr.nRows; row++) {
        for (let k = csr.rowPtr[row]!; k < csr.rowPtr[row + 1]!; k++) {
          const at = cscOfCsr[k]!;
          const col = csr.colIdx[k]!;
          if (rowIdx[at] !== row || at < colPtr[col]! || at >= colPtr[col + 1]!) assert.unreachable(`entry ${k}`);
          visited[at] = 1;
        }
      }
      assert.ok(
        visited.every((v) => v === 1),
        "the permutation is one",
      );
      for (let col = 0; col < csr.nCols; col++) {
        for (let k = colPtr[col]! + 1; k < colPtr[col + 1]!; k++) {
          if (rowIdx[k - 1]! >= rowIdx[k]!) assert.unreachable(`column ${col} is strictly ascending`);
        }
      }
    });
  }
});

test("the columns of the columns are the rows again", () => {
  for (const sample of sampleMatrices()) {
    withSample(sample, (csr) => {
      const csc = cscOf(csr);
      const transposedValues = new Float64Array(csr.nnz);
      csc.cscOfCsr.forEach((at, k) => {
        transposedValues[at] = csr.values[k]!;
      });
      const { nRows: nCols, nCols: nRows } = csr;
      const transposed = csrFromParts({
        nRows,
        nCols,
        rowPtr: csc.colPtr,
        colIdx: csc.rowIdx,
        values: transposedValues,
      });
      const back = cscOf(transposed);
      assert.equal(back.colPtr, csr.rowPtr);
      assert.equal(back.rowIdx, csr.colIdx);
      assert.ok(
        back.cscOfCsr.every((at, k) => csc.cscOfCsr[at] === k),
        "the permutations are inverse to one another",
      );
    });
  }
});

test("indices take 16 bits while they fit and 32 bits beyond", () => {
  assert.instance(indexArray(65536, 1), Uint16Array);
  assert.instance(indexArray(65537, 1), Uint32Array);
  const lastOf = (nCols: number): Csr => csrFromCoo({ nRows: 1, nCols, rows: [0], cols: [nCols - 1], values: [1] });
  assert.equal(lastOf(65536).colIdx, Uint16Array.of(65535));
  assert.equal(lastOf(65537).colIdx, Uint32Array.of(65536));
  const tall = csrFromCoo({ nRows: 65537, nCols: 1, rows: [65536], cols: [0], values: [1] });
  assert.equal(cscOf(tall).rowIdx, Uint32Array.of(65536));
});

test("csrFromParts sorts rows of matrices too large for 16-bit indices", () => {
  const nCols = 70_000;
  const csr = csrFromParts({ nRows: 1, nCols, rowPtr: [0, 2], colIdx: [nCols - 1, 65_536], values: [1, 2] });
  assert.equal(csr.colIdx, Uint32Array.of(65_536, nCols - 1));
  assert.equal([...csr.values], [2, 1]);
});

test("withValues keeps the pattern and refuses another number of values", () => {
  const csr = csrFromParts(PARTS);
  const other = withValues(csr, Float32Array.of(1, 2, 3));
  assert.is(other.colIdx, csr.colIdx);
  assert.equal([...other.values], [1, 2, 3]);
  assertRefuses(() => withValues(csr, Float64Array.of(1)), ShapeError, "values");
});

test("mapValues gives every entry with its row and column, and changes no input", () => {
  const csr = csrFromParts(PARTS);
  const mapped = mapValues(csr, (value, row, col) => value * 100 + row * 10 + col);
  assert.equal([...mapped.values], [601, 720, 523]);
  assert.equal([...csr.values], PARTS.values);
});

test.run();
