// Every control keeps what it says; comparisons find what does not; weights and signs are dealt out as they should.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type Csr, csrFromCoo, withValues } from "../../src/core/csr.ts";
import { InvariantError } from "../../src/core/errors.ts";
import { keyOfSeed, RandomStream } from "../../src/core/random.ts";
import { CONTROL_NAMES, CONTROLS, checkControl, makeControl } from "../../src/data/controls.ts";
import { checkInvariant, compareMeasure, INVARIANTS, type InvariantName } from "../../src/data/invariants.ts";
import { logNormalConnectome } from "../../src/data/logNormalConnectome.ts";
import { collapseWeights, shuffleMagnitudes, shuffleSigns } from "../../src/data/shuffleWeights.ts";
import { fails } from "../io/fixtures.ts";
import { forEachEntry, weightsOf } from "./generators.ts";

const test = suite("controls of connectomes");

const NEURONS = 300;

/** Dale's law holds: a third of the neurons are inhibitory. Some weights are 0. */
function connectome(seed: number): Csr {
  const made = logNormalConnectome({ neurons: NEURONS, connections: 4000, seed });
  const values = made.values.map((w, k) => (k % 29 === 0 ? 0 : made.colIdx[k]! % 3 === 0 ? -w : w));
  return withValues(made, values);
}

const stream = new RandomStream(keyOfSeed(1));
const blocks = Uint32Array.from({ length: NEURONS }, (_, i) => i % 5);
const lengths = { positions: Float64Array.from({ length: 3 * NEURONS }, () => stream.uniform()), dimensions: 3 };

test("every control keeps what it says, changes something, and repeats with its seed", () => {
  const csr = connectome(1);
  for (const name of CONTROL_NAMES) {
    const { csr: made, report } = makeControl(csr, name, { seed: 3, blocks, lengths });
    assert.equal(
      report.keeps.map((kept) => kept.name),
      CONTROLS[name].keeps,
    );
    assert.ok(
      report.changes.some(({ differing }) => differing > 0),
      name,
    );
    assert.is(report.mixing !== null, CONTROLS[name].swaps);
    assert.equal(JSON.parse(JSON.stringify(report)), report, "plain JSON");
    assert.equal(makeControl(csr, name, { seed: 3, blocks, lengths }).csr, made, name);
    const isDrawn = name !== "collapsed" && name !== "none";
    const other = makeControl(csr, name, { seed: 4, blocks, lengths }).csr;
    assert.is(String(other.values) + String(other.colIdx) !== String(made.values) + String(made.colIdx), isDrawn, name);
  }
});

test("a control that breaks what it keeps is refused with the measure's name", async () => {
  const csr = connectome(1);
  const random = makeControl(csr, "random", { seed: 1 }).csr;
  await fails(() => checkControl(csr, random, "swapped"), "invariant", /^control: .*\(self-loops|\(in-degrees/);
  try {
    checkInvariant(csr, random, "in-degrees");
    assert.unreachable();
  } catch (error) {
    assert.instance(error, InvariantError);
    assert.match((error as Error).message, /^control: expected \d+ at entry \d+, got \d+ \(in-degrees\)$/);
  }
});

/** One change that each measure must notice. */
const faults: Record<InvariantName, (csr: Csr) => Csr> = {
  pattern: (csr) => moved(csr),
  connections: (csr) => without(csr, 0),
  "distinct-connections": (csr) => ({
    ...csr,
    colIdx: csr.colIdx.map((j, k) => (k === secondOfRow(csr) ? csr.colIdx[k - 1]! : j)),
  }),
  "in-degrees": (csr) => without(csr, 5),
  "out-degrees": (csr) => moved(csr),
  "self-loops": (csr) =>
    without(
      csr,
      entryOf(csr, (i, j) => i === j),
    ),
  "reciprocal-pairs": (csr) => without(csr, reciprocalEntry(csr)),
  "block-counts": (csr) => moved(csr),
  lengths: (csr) => without(csr, 5),
  "signed-in-degrees": (csr) => negated(csr),
  "signed-out-degrees": (csr) => negated(csr),
  signs: (csr) => negated(csr),
  "sign-counts": (csr) => negated(csr),
  "neuron-signs": (csr) => negated(csr),
  weights: (csr) => scaled(csr),
  magnitudes: (csr) => scaled(csr),
  "source-weights": (csr) => exchanged(csr),
  "target-weights": (csr) => scaled(csr),
  "total-input": (csr) => scaled(csr),
  "total-output": (csr) => scaled(csr),
};

test("every measure agrees with itself and notices one fault", () => {
  const csr = withSelfLoop(connectome(2));
  for (const name of Object.keys(INVARIANTS) as InvariantName[]) {
    checkInvariant(csr, csr, name, { blocks, lengths });
    assert.throws(
      () => checkInvariant(csr, faults[name](csr), name, { blocks, lengths }),
      (error: unknown) => error instanceof InvariantError,
      name,
    );
    assert.ok(compareMeasure(csr, faults[name](csr), name, { blocks, lengths }).differing > 0, name);
    assert.is(compareMeasure(csr, csr, name, { blocks, lengths }).differing, 0, name);
  }
});

const cooOf = (csr: Csr) => {
  const rows: number[] = [];
  forEachEntry(csr, (i) => rows.push(i));
  return { nRows: csr.nRows, nCols: csr.nCols, rows, cols: Array.from(csr.colIdx), values: csr.values.slice() };
};

function entryOf(csr: Csr, holds: (i: number, j: number) => boolean): number {
  let found = -1;
  let k = 0;
  forEachEntry(csr, (i, j) => {
    if (holds(i, j)) found = k;
    k++;
  });
  assert.ok(found >= 0);
  return found;
}

function reciprocalEntry(csr: Csr): number {
  const pairs = new Set<number>();
  forEachEntry(csr, (i, j) => pairs.add(i * NEURONS + j));
  return entryOf(csr, (i, j) => i !== j && pairs.has(j * NEURONS + i));
}

const secondOfRow = (csr: Csr): number => csr.rowPtr[csr.rowPtr.findIndex((p, i) => csr.rowPtr[i + 1]! - p > 2)]! + 1;

function without(csr: Csr, entry: number): Csr {
  const { rows, cols, values, ...size } = cooOf(csr);
  const rest = (_: number, k: number) => k !== entry;
  return csrFromCoo({ ...size, rows: rows.filter(rest), cols: cols.filter(rest), values: values.filter(rest) });
}

/** A connection gets another source. */
function moved(csr: Csr): Csr {
  const coo = cooOf(csr);
  const row = coo.rows[0]!;
  const taken = new Set(coo.cols.filter((_, k) => coo.rows[k] === row));
  // Of another block, and so of another type of connection.
  const free = Array.from({ length: NEURONS }, (_, j) => j).find(
    (j) => !taken.has(j) && j !== row && blocks[j] !== blocks[coo.cols[0]!],
  );
  coo.cols[0] = free!;
  return csrFromCoo(coo);
}

const positive = (csr: Csr): number => csr.values.findIndex((w) => w > 0);
const changed = (csr: Csr, change: (w: number) => number): Csr =>
  withValues(
    csr,
    csr.values.map((w, k) => (k === positive(csr) ? change(w) : w)),
  );
const negated = (csr: Csr): Csr => changed(csr, (w) => -w);
const scaled = (csr: Csr): Csr => changed(csr, (w) => w * (1 + 2 ** -15));

/** Two weights of one target change places. */
function exchanged(csr: Csr): Csr {
  const k = secondOfRow(csr);
  const values = csr.values.slice();
  [values[k - 1], values[k]] = [csr.values[k]!, csr.values[k - 1]!];
  assert.is.not(values[k], values[k - 1]);
  return withValues(csr, values);
}

function withSelfLoop(csr: Csr): Csr {
  const { rows, cols, values, ...size } = cooOf(csr);
  return csrFromCoo({ ...size, rows: [...rows, 7], cols: [...cols, 7], values: Float32Array.from([...values, 1]) });
}

test("magnitudes are dealt out among all connections, those of a source, a target, or between two blocks", () => {
  const csr = connectome(3);
  const magnitudes = (made: Csr): Csr => withValues(made, made.values.map(Math.abs));
  const byBlocks = (made: Csr): string[][] => {
    const lists: string[][] = Array.from({ length: 25 }, () => []);
    forEachEntry(made, (i, j, w) => lists[5 * blocks[i]! + blocks[j]!]!.push(String(Math.abs(w))));
    return lists.map((list) => list.sort());
  };
  for (const among of ["all", "source", "target", "blocks"] as const) {
    const made = shuffleMagnitudes(csr, { seed: 1, among, blocks });
    checkInvariant(csr, made, "signs");
    checkInvariant(csr, made, "magnitudes");
    assert.not.equal(made.values, csr.values);
    assert.is(
      String(weightsOf(magnitudes(made), "column")) === String(weightsOf(magnitudes(csr), "column")),
      among === "source",
    );
    assert.is(
      String(weightsOf(magnitudes(made), "row")) === String(weightsOf(magnitudes(csr), "row")),
      among === "target",
    );
    assert.is(String(byBlocks(made)) === String(byBlocks(csr)), among === "blocks");
  }
});

const small = (values: number[]): Csr =>
  csrFromCoo({ nRows: 3, nCols: 3, rows: [0, 0, 1, 1, 2], cols: [1, 2, 0, 2, 0], values });

test("signs of connections come out in all orders equally often", () => {
  const csr = small([1, -2, 3, 0, -4]);
  const counts = new Map<string, number>();
  for (let seed = 0; seed < 1200; seed++) {
    const { values } = shuffleSigns(csr, { seed, among: "connections" });
    assert.equal(Array.from(values, Math.abs), [1, 2, 3, 0, 4]);
    const text = Array.from(values, Math.sign).join();
    counts.set(text, (counts.get(text) ?? 0) + 1);
  }
  assert.is(counts.size, 6);
  // 5 degrees of freedom: above 20.5 once in a thousand times.
  const chiSquared = [...counts.values()].reduce((sum, count) => sum + (count - 200) ** 2 / 200, 0);
  assert.ok(chiSquared < 20.5, `${chiSquared}`);
});

test("signs of neurons are those of their outputs, and neurons of both signs are refused", async () => {
  const csr = small([1, -2, 3, 0, 4]);
  const seen = new Set<string>();
  for (let seed = 0; seed < 60; seed++) {
    const { values } = shuffleSigns(csr, { seed });
    seen.add(values.join());
  }
  // Neuron 0 has the connections of 3 and 4, neuron 1 that of 1, neuron 2 those of 2 and 0: one of the three is inhibitory.
  assert.equal([...seen].sort(), ["-1,2,3,0,4", "1,-2,3,0,4", "1,2,-3,0,-4"]);
  await fails(
    () => shuffleSigns(small([1, -2, 3, 4, -4]), { seed: 1 }),
    "argument",
    /2 neurons whose outputs have both/,
  );
});

test("collapsed weights are the mean magnitude of their sign, over all or by source", () => {
  const csr = small([1, -2, 3, 0, -4]);
  assert.equal(Array.from(collapseWeights(csr).values), [2, -3, 2, 0, -3]);
  assert.equal(Array.from(collapseWeights(small([1, 2, 3, 4, 7]), { over: "source" }).values), [1, 3, 5, 3, 5]);
  const made = connectome(4);
  checkInvariant(made, collapseWeights(made, { over: "source" }), "total-output");
});

test("a control without what it needs is refused", async () => {
  const csr = connectome(1);
  await fails(() => makeControl(csr, "swapped-blocks", { seed: 1 }), "argument", /blocks with "swapped-blocks"/);
  await fails(() => makeControl(csr, "swapped-distance", { seed: 1 }), "argument", /lengths with/);
  await fails(() => shuffleMagnitudes(csr, { seed: 1, among: "blocks" }), "argument", /a block for each neuron/);
});

test.run();
