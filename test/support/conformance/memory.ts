// Conformance cases of what moves numbers: loads and stores of every kind, tables, gathers, the random source.

import { ProgramBuilder } from "../programBuilder.ts";
import type { CaseFamily, ConformanceCase } from "./case.ts";
import { countLanes, cycle, EXACT, type Input, normal, uniform, wholeBelow } from "./case.ts";

const ROWS = 37;
const DEPTH = 5;

export function memoryCases(lanes: readonly number[]): readonly ConformanceCase[] {
  const perWidth: readonly CaseFamily[] = [
    loadsInState,
    loadsInSample,
    accumulatingStores,
    lookup,
    scatter,
    sampleTable,
    random,
  ];
  return [
    ...lanes.flatMap((n) => perWidth.map((family) => family(n))),
    plainVectors(),
    gather(),
    segmentSum(),
    gatherT(),
    segmentSumT(),
    plainRandom(),
  ];
}

function loadsInState(lanes: number): ConformanceCase {
  const b = new ProgramBuilder("loads in a state phase");
  const kinds = ["state", "row", "sample", "scalar"] as const;
  const from = kinds.map((kind) => b.input(kind, kind, { rows: kind === "state" || kind === "row" ? ROWS : 1 }));
  const names = [...kinds.map((kind) => `${kind} copy`), "const", "rowIndex"];
  const to = names.map((name) => b.output(name, "state", { rows: ROWS }));
  b.phase(ROWS, (p) => {
    const values = [...from.map((binding) => p.load(binding)), p.const(-2.5), p.push({ op: "rowIndex" })];
    values.forEach((value, k) => {
      p.store(to[k]!, value);
    });
  });
  return {
    name: `a state phase broadcasts rows, samples, scalars and constants (${countLanes(lanes)})`,
    lanes,
    program: b.build(),
    inputs: { state: normal, row: normal, sample: normal, scalar: normal },
    outputs: Object.fromEntries(names.map((name) => [name, EXACT])),
  };
}

function loadsInSample(lanes: number): ConformanceCase {
  const b = new ProgramBuilder("loads in a sample phase");
  const sample = b.input("sample", "sample");
  const scalar = b.input("scalar", "scalar");
  const names = ["sample copy", "scalar copy", "const", "rowIndex"];
  const to = names.map((name) => b.output(name, "sample"));
  b.phase(1, (p) => {
    const values = [p.load(sample), p.load(scalar), p.const(7), p.push({ op: "rowIndex" })];
    values.forEach((value, k) => {
      p.store(to[k]!, value);
    });
  });
  return {
    name: `a sample phase has one number per lane (${countLanes(lanes)})`,
    lanes,
    program: b.build(),
    inputs: { sample: normal, scalar: normal },
    outputs: Object.fromEntries(names.map((name) => [name, EXACT])),
  };
}

function accumulatingStores(lanes: number): ConformanceCase {
  const b = new ProgramBuilder("accumulating stores");
  const x = b.input("x", "state", { rows: ROWS });
  const state = b.inout("state", "state", { rows: ROWS });
  const s = b.input("s", "sample");
  const sample = b.inout("sample", "sample");
  const r = b.input("r", "row", { rows: ROWS });
  const row = b.inout("row", "row", { rows: ROWS });
  const scalar = b.inout("scalar", "scalar");
  b.phase(ROWS, (p) => p.accumulate(state, p.load(x)))
    .phase(1, (p) => p.accumulate(sample, p.load(s)))
    .plainPhase(ROWS, (p) => p.accumulate(row, p.load(r)))
    .plainPhase(1, (p) => p.accumulate(scalar, p.const(0.5)));
  return {
    name: `an accumulating store adds to what is there, in every kind of space (${countLanes(lanes)})`,
    lanes,
    program: b.build(),
    inputs: { x: normal, state: normal, s: normal, sample: normal, r: normal, row: normal, scalar: normal },
    outputs: Object.fromEntries(["state", "sample", "row", "scalar"].map((name) => [name, { kind: "ulps", ulps: 1 }])),
  };
}

function lookup(lanes: number): ConformanceCase {
  const b = new ProgramBuilder("lookup");
  const table = b.input("table", "table", { rows: ROWS, cols: DEPTH });
  const index = b.input("index", "sample");
  const t = b.input("t", "sample");
  const names = ["by sample", "by constant", "by computed index"];
  const to = names.map((name) => b.output(name, "state", { rows: ROWS }));
  b.phase(ROWS, (p) => {
    const computed = p.op("min", p.op("floor", p.op("mul", p.load(t), p.const(DEPTH))), p.const(DEPTH - 1));
    [p.load(index), p.const(2), computed].forEach((value, k) => {
      p.store(to[k]!, p.push({ op: "lookup", table, index: value }));
    });
  });
  return {
    name: `lookup reads each lane at its own index of the table (${countLanes(lanes)})`,
    lanes,
    program: b.build(),
    inputs: { table: normal, index: wholeBelow(DEPTH), t: uniform(0, 1) },
    outputs: Object.fromEntries(names.map((name) => [name, EXACT])),
  };
}

function scatter(lanes: number): ConformanceCase {
  const b = new ProgramBuilder("scatter");
  const table = b.inout("table", "table", { rows: ROWS, cols: DEPTH });
  const index = b.input("index", "sample");
  const x = b.input("x", "state", { rows: ROWS });
  b.phase(ROWS, (p) => {
    const value = p.load(x);
    p.push({ op: "scatter", table, index: p.load(index), value });
    p.push({ op: "scatter", table, index: p.const(1), value: p.op("mul", value, p.const(2)) });
  });
  return {
    name: `scatter adds to each lane's index of the table and leaves the rest alone (${countLanes(lanes)})`,
    lanes,
    program: b.build(),
    inputs: { table: normal, index: wholeBelow(DEPTH), x: normal },
    outputs: { table: { kind: "sum", terms: 3 } },
  };
}

function sampleTable(lanes: number): ConformanceCase {
  const b = new ProgramBuilder("table of samples");
  const times = b.input("times", "table", { rows: 1, cols: DEPTH });
  const counts = b.inout("counts", "table", { rows: 1, cols: DEPTH });
  const index = b.input("index", "sample");
  const to = b.output("t", "sample");
  b.phase(1, (p) => {
    const at = p.load(index);
    p.store(to, p.push({ op: "lookup", table: times, index: at }));
    p.push({ op: "scatter", table: counts, index: at, value: p.const(1) });
  });
  return {
    name: `a table of one row holds numbers per sample (${countLanes(lanes)})`,
    lanes,
    program: b.build(),
    inputs: { times: normal, counts: wholeBelow(100), index: wholeBelow(DEPTH) },
    outputs: { t: EXACT, counts: EXACT },
  };
}

function random(lanes: number): ConformanceCase {
  const b = new ProgramBuilder("random");
  const key = b.input("key", "key");
  const ids = b.input("ids", "sample");
  const perSample = b.output("per sample", "state", { rows: ROWS });
  const shared = b.output("shared", "state", { rows: ROWS });
  const sample = b.output("sample", "sample");
  b.phase(ROWS, (p) => {
    p.store(perSample, p.push({ op: "random", key, sampleId: p.load(ids) }));
    p.store(shared, p.push({ op: "random", key, sampleId: p.const(12) }));
  }).phase(1, (p) => p.store(sample, p.push({ op: "random", key, sampleId: p.load(ids) })));
  return {
    name: `random draws by key, row and sample id, not by lane (${countLanes(lanes)})`,
    lanes,
    program: b.build(),
    // 2^24 is the largest count up to which f32 holds every whole number.
    inputs: { key: cycle([0xdeadbeef, 0x80000001]), ids: cycle([3, 0, 2 ** 24, 3, 60_000, 2 ** 24 - 1]) },
    outputs: { "per sample": EXACT, shared: EXACT, sample: EXACT },
  };
}

function plainRandom(): ConformanceCase {
  const rows = 1000;
  const b = new ProgramBuilder("random of plain vectors");
  const key = b.input("key", "key");
  const to = b.output("u", "row", { rows });
  b.plainPhase(rows, (p) => p.store(to, p.push({ op: "random", key, sampleId: p.const(5) })));
  return {
    name: "random fills a plain vector with the sample id of a constant",
    lanes: 1,
    program: b.build(),
    inputs: { key: cycle([1, 2]) },
    outputs: { u: EXACT },
  };
}

function plainVectors(): ConformanceCase {
  const rows = 1003;
  const b = new ProgramBuilder("plain vectors");
  const row = b.input("row", "row", { rows });
  const nnz = b.input("nnz", "nnz", { rows });
  const scalar = b.input("scalar", "scalar");
  const toRow = b.output("to row", "row", { rows });
  const toNnz = b.output("to nnz", "nnz", { rows });
  const filled = b.output("filled", "row", { rows });
  const numbered = b.output("numbered", "row", { rows });
  const toScalar = b.output("to scalar", "scalar");
  b.plainPhase(rows, (p) => {
    p.store(toRow, p.op("mul", p.load(nnz), p.load(scalar)));
    p.store(toNnz, p.load(row));
    p.store(filled, p.const(0.125));
    p.store(numbered, p.push({ op: "rowIndex" }));
  }).plainPhase(1, (p) => p.store(toScalar, p.op("neg", p.load(scalar))));
  return {
    name: 'a phase with lanes "none" works on rows, stored values of a matrix, and scalars',
    lanes: 1,
    program: b.build(),
    inputs: { row: normal, nnz: normal, scalar: normal },
    outputs: {
      "to row": { kind: "ulps", ulps: 1 },
      "to nnz": EXACT,
      filled: EXACT,
      numbered: EXACT,
      "to scalar": EXACT,
    },
  };
}

/** Segments of 0, 1, 700 and a few members: nobody may take all the work, and an empty sum is 0. */
function segmentSum(): ConformanceCase {
  const lengths = [0, 1, 700, 5, 0, 33, ...Array.from({ length: 70 }, (_, i) => i % 4)];
  const offsets = [0];
  for (const length of lengths) offsets.push(offsets.at(-1)! + length);
  const n = offsets.at(-1)!;
  const b = new ProgramBuilder("segment sum");
  const source = b.input("source", "row", { rows: n });
  const starts = b.input("offsets", "index", { rows: offsets.length });
  const members = b.input("members", "index", { rows: n });
  const sums = b.output("sums", "row", { rows: lengths.length });
  b.plainPhase(lengths.length, (p) => {
    p.store(sums, p.push({ op: "segmentSum", source, offsets: starts, members }));
  });
  const permutation: Input = { from: "draw", draw: (length, stream) => stream.permutation(length) };
  return {
    name: "segmentSum adds the members of each segment",
    lanes: 1,
    program: b.build(),
    inputs: { source: normal, offsets: cycle(offsets), members: permutation },
    outputs: { sums: { kind: "sum", terms: 700 } },
  };
}

/** More rows than tiles of one size hold, some of which nothing refers to and one of which many do. */
function gatherT(): ConformanceCase {
  const rows = 4500;
  const n = 700;
  const b = new ProgramBuilder("transposed gather");
  const source = b.input("source", "row", { rows: n });
  const index = b.input("index", "index", { rows: n });
  const sums = b.output("sums", "row", { rows });
  b.plainPhase(rows, (p) => p.store(sums, p.push({ op: "gatherT", source, index, offsets: null })));
  const often: Input = {
    from: "draw",
    draw: (length, s) => Array.from({ length }, (_, i) => (i % 3 ? s.below(rows) : 4321)),
  };
  return {
    name: "gatherT adds to every row what refers to it",
    lanes: 1,
    program: b.build(),
    inputs: { source: normal, index: often },
    outputs: { sums: { kind: "sum", terms: n } },
  };
}

/** Every number goes to the members of its segment, of which one segment has none. */
function segmentSumT(): ConformanceCase {
  const lengths = [3, 0, 90, 1, 207];
  const offsets = [0];
  for (const length of lengths) offsets.push(offsets.at(-1)! + length);
  const rows = offsets.at(-1)!;
  const b = new ProgramBuilder("transposed segment sum");
  const source = b.input("source", "row", { rows: lengths.length });
  const starts = b.input("offsets", "index", { rows: offsets.length });
  const members = b.input("members", "index", { rows });
  const doubled = b.output("doubled", "row", { rows });
  b.plainPhase(rows, (p) => {
    p.store(doubled, p.op("mul", p.const(2), p.push({ op: "gatherT", source, index: members, offsets: starts })));
  });
  const permutation: Input = { from: "draw", draw: (length, stream) => stream.permutation(length) };
  return {
    name: "gatherT with offsets gives every member the number of its segment",
    lanes: 1,
    program: b.build(),
    inputs: { source: normal, offsets: cycle(offsets), members: permutation },
    outputs: { doubled: EXACT },
  };
}

function gather(): ConformanceCase {
  const rows = 501;
  const types = 6;
  const b = new ProgramBuilder("gather");
  const perType = b.input("per type", "row", { rows: types });
  const typeOf = b.input("type of", "index", { rows });
  const stored = b.input("stored", "nnz", { rows: 40 });
  const entryOf = b.input("entry of", "index", { rows });
  const fromRow = b.output("from row", "row", { rows });
  const fromNnz = b.output("from nnz", "row", { rows });
  b.plainPhase(rows, (p) => {
    p.store(fromRow, p.push({ op: "gather", source: perType, index: typeOf }));
    p.store(fromNnz, p.push({ op: "gather", source: stored, index: entryOf }));
  });
  return {
    name: "gather reads a row vector or stored values at the index of each row",
    lanes: 1,
    program: b.build(),
    inputs: { "per type": normal, "type of": wholeBelow(types), stored: normal, "entry of": wholeBelow(40) },
    outputs: { "from row": EXACT, "from nnz": EXACT },
  };
}
