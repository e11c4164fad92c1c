// Programs that break a rule of the format: both devices refuse them before they compile anything, with the same words.

import * as assert from "uvu/assert";
import type { Binding, Instr, Program } from "../../src/backend/program.ts";
import { BackendError } from "../../src/core/errors.ts";
import { assertRefused, forEachDevice } from "../support/devices.ts";
import { type PhaseBuilder, ProgramBuilder } from "../support/programBuilder.ts";

/** By name: bindings that the phases of the bad programs use. */
type Ids = ReturnType<typeof bindings>;

const ROWS = 3;

function bindings(b: ProgramBuilder) {
  return {
    x: b.input("x", "state", { rows: ROWS }),
    long: b.input("long", "state", { rows: 7 }),
    y: b.inout("y", "state", { rows: ROWS }),
    fresh: b.output("fresh", "state", { rows: ROWS }),
    t: b.input("t", "sample"),
    s: b.inout("s", "sample"),
    row: b.inout("row", "row", { rows: ROWS }),
    total: b.inout("total", "scalar"),
    table: b.inout("table", "table", { rows: ROWS, cols: 2 }),
    key: b.input("key", "key"),
    index: b.input("index", "index", { rows: ROWS }),
    offsets: b.input("offsets", "index", { rows: ROWS + 1 }),
    w: b.input("w", "sparse", { rows: ROWS, cols: ROWS }),
    wide: b.input("wide", "dense", { rows: 2, cols: ROWS }),
    two: b.input("two", "state", { rows: 2 }),
    nnz: b.inout("nnz", "nnz", { rows: 5 }),
    freshNnz: b.output("freshNnz", "nnz", { rows: 5 }),
    dWide: b.inout("dWide", "dense", { rows: 2, cols: ROWS }),
    narrow: b.inout("narrow", "dense", { rows: 2, cols: 2 }),
    dense: b.inout("dense", "dense", { rows: ROWS, cols: ROWS }),
    temp: b.temp("temp", "state", ROWS, 1, 1),
    early: b.temp("early", "row", ROWS, 0, 0),
  };
}

/** A program of a phase over states, one over plain vectors, and one over states again; each as `write…` says. */
function programOf(
  writeBatch: (p: PhaseBuilder, ids: Ids) => void,
  writePlain: (p: PhaseBuilder, ids: Ids) => void = () => {},
): Program {
  const b = new ProgramBuilder("bad");
  const ids = bindings(b);
  b.phase(ROWS, (p) => writeBatch(p, ids));
  b.plainPhase(ROWS, (p) => writePlain(p, ids));
  return b.build();
}

const batch = programOf;
const plain = (write: (p: PhaseBuilder, ids: Ids) => void): Program => programOf(() => {}, write);

/** The same program with other facts about one binding. */
function withBinding(name: string, facts: Partial<Binding>): Program {
  const program = batch((p, { y, x }) => p.store(y, p.load(x)));
  return { ...program, bindings: program.bindings.map((b) => (b.name === name ? { ...b, ...facts } : b)) };
}

function withGuard(write: (ids: Ids) => number, skips: "everything" | "states" = "everything"): Program {
  let id = 0;
  const program = batch((p, ids) => {
    id = write(ids);
    p.store(ids.y, p.load(ids.x));
  });
  return { ...program, guard: { scalars: [id], skips } };
}

const matmulT = (fields: Partial<Extract<Instr, { op: "matmulT" }>> & { matrix: number; g: number }): Instr => ({
  op: "matmulT",
  needCt: true,
  ...fields,
});

/** A rule, a program that breaks it, and the message. */
const BAD: readonly (readonly [string, Program, RegExp])[] = [
  // ---- bindings, guard
  ["names differ", withBinding("x", { name: "y" }), /^bad: expected one binding of each name, got two \(y\)$/],
  ["rows are counted", withBinding("x", { rows: -1 }), /^bad: expected a whole number of rows, got -1 \(x\)$/],
  ["columns are counted", withBinding("w", { cols: 0 }), /^bad: expected a positive number of columns, got 0 \(w\)$/],
  [
    "temporaries hold numbers",
    withBinding("temp", { kind: "index" }),
    /^bad: expected a temporary that holds numbers, got index \(temp\)$/,
  ],
  [
    "temporaries end with the program",
    withBinding("temp", { temp: { firstPhase: 0, lastPhase: 2 } }),
    /^bad: expected a life in phases 0 to 1, got 0 to 2 \(temp\)$/,
  ],
  [
    "temporaries begin before they end",
    withBinding("temp", { temp: { firstPhase: 1, lastPhase: 0 } }),
    /expected a life in phases 0 to 1, got 1 to 0 \(temp\)$/,
  ],
  [
    "guards are scalars",
    withGuard(({ t }) => t),
    /^bad: expected a guard that is a scalar with access read, got a sample with access read \(t\)$/,
  ],
  [
    "guards are only read",
    withGuard(({ total }) => total, "states"),
    /a scalar with access read, got a scalar with access readwrite \(total\)$/,
  ],
  ["guards exist", withGuard(() => 99), /with access read, got binding 99 \(guard\)$/],
  // ---- order, operands
  [
    "a phase has rows",
    { ...batch(() => {}), phases: [0, 1].map((rows) => ({ rows, lanes: "batch", instrs: [] })) },
    /^bad: phase 0: expected a positive number of rows, got 0 \(rows\)$/,
  ],
  [
    "values are made before their use",
    batch((p, { y }) => p.store(y, 5)),
    /^bad: phase 0, %0 store: expected a value made before its use, got %5 \(value\)$/,
  ],
  [
    "what is used is a value",
    batch((p, { y }) => {
      p.store(y, p.const(1));
      p.store(y, 1);
    }),
    /%2 store: expected a value made before its use, got %1 /,
  ],
  [
    "a product that is only wanted for its gradient has no value",
    batch((p, { y, wide, two, dWide }) => {
      const grad = { x: p.const(1), binding: dWide };
      p.store(y, p.push(matmulT({ matrix: wide, g: two, needCt: false, grad })));
    }),
    /%2 store: expected a value made before its use, got %1 /,
  ],
  ["bindings exist", batch((p) => p.load(99)), /%0 load: expected a binding below 22, got 99 \(binding\)$/],
  [
    "instructions are known",
    batch((p, { x }) => p.op("atan" as "abs", p.load(x))),
    /%1 atan: expected a known instruction, got "atan" \(op\)$/,
  ],
  [
    "instructions with named operands are known",
    batch((p) => p.push({ op: "pool" } as unknown as Instr)),
    /%0 pool: expected a known instruction, got "pool" \(op\)$/,
  ],
  [
    "functions have their number of arguments",
    batch((p, { x }) => p.op("add", p.load(x))),
    /%1 add: expected 2 arguments, got 1 \(args\)$/,
  ],
  // ---- memory
  [
    "what is only read is not written",
    batch((p, { x }) => p.store(x, p.const(1))),
    /%1 store: expected a binding with access to write, got access read \(x\)$/,
  ],
  [
    "memory is read when it holds numbers",
    batch((p, { fresh }) => p.load(fresh)),
    /%0 load: expected a binding that holds numbers, got one that nothing has written \(fresh\)$/,
  ],
  [
    "memory is added to when it holds numbers",
    batch((p, { fresh }) => p.accumulate(fresh, p.const(1))),
    /%1 store: expected a binding that holds numbers, .* \(fresh\)$/,
  ],
  [
    "gradients are added to what holds numbers",
    batch((p, { w, x, freshNnz }) => p.push(matmulT({ matrix: w, g: x, grad: { x: p.load(x), binding: freshNnz } }))),
    /%1 matmulT: expected a binding that holds numbers, .* \(freshNnz\)$/,
  ],
  [
    "temporaries are used during their lives",
    batch((p, { temp }) => p.store(temp, p.const(1))),
    /%1 store: expected a temporary of phases 1 to 1, got a use in phase 0 \(temp\)$/,
  ],
  [
    "temporaries are not used after their lives",
    plain((p, { early }) => p.store(early, p.const(1))),
    /phase 1, %1 store: expected a temporary of phases 0 to 0, got a use in phase 1 \(early\)$/,
  ],
  [
    "what a phase gathers is complete before it",
    batch((p, { w, y }) => p.store(y, p.matmul(w, y))),
    /%0 matmul: expected a gathered operand that is complete before the phase, got one written in it \(y\)$/,
  ],
  [
    "what a phase gathers by an index is complete before it",
    plain((p, { row, index }) => p.store(row, p.push({ op: "gather", source: row, index }))),
    /phase 1, %0 gather: expected a gathered operand that is complete before the phase, .* \(row\)$/,
  ],
  [
    "a reduction is complete after its phase",
    batch((p, { x, s }) => {
      p.push({ op: "reduceRows", binding: s, value: p.load(x), how: "sum", accumulate: true });
      p.load(s);
    }),
    /%2 load: expected the result of a reduction to be used after its phase, got a use in it \(s\)$/,
  ],
  [
    "the operand of a gradient depends on nothing its phase has written",
    batch((p, { w, x, y, nnz }) => {
      p.store(y, p.load(x));
      p.push(matmulT({ matrix: w, g: x, grad: { x: p.op("neg", p.load(y)), binding: nnz } }));
    }),
    /%4 matmulT: expected an operand that depends on nothing its phase has written before, got a load of it \(y\)$/,
  ],
  // ---- kinds and sizes
  [
    "loads fit the phase",
    batch((p, { long }) => p.load(long)),
    /%0 load: expected a match for 3 rows, lanes "batch", got state of 7 rows \(long\)$/,
  ],
  [
    "samples are loaded in phases of lanes",
    plain((p, { t }) => p.load(t)),
    /phase 1, %0 load: expected a match for 3 rows, lanes "none", got sample of 1 rows \(t\)$/,
  ],
  ["tables are looked up, not loaded", batch((p, { table }) => p.load(table)), /, got table of 3 × 2 \(table\)$/],
  [
    "stored entries have no rows of neurons",
    batch((p, { nnz }) => p.load(nnz)),
    /%0 load: expected a match for 3 rows, lanes "batch", got nnz of 5 rows \(nnz\)$/,
  ],
  [
    "stores have the space of the phase",
    batch((p, { row }) => p.store(row, p.const(1))),
    /%1 store: expected 3 rows with lanes, got row of 3 rows \(row\)$/,
  ],
  [
    "stores have the space of a plain phase",
    plain((p, { y }) => p.store(y, p.const(1))),
    /%1 store: expected 3 rows without lanes, got state of 3 rows \(y\)$/,
  ],
  [
    "reductions over rows have one row",
    batch((p, { x, y }) => p.push({ op: "reduceRows", binding: y, value: p.load(x), how: "max", accumulate: false })),
    /%1 reduceRows: expected 1 rows with lanes, got state of 3 rows \(y\)$/,
  ],
  [
    "reductions over lanes have none",
    batch((p, { x, y }) => p.push({ op: "reduceLanes", binding: y, value: p.load(x), accumulate: false })),
    /%1 reduceLanes: expected 3 rows without lanes, got state of 3 rows \(y\)$/,
  ],
  [
    "plain vectors have no lanes to reduce",
    plain((p, { row, total }) => p.push({ op: "reduceLanes", binding: total, value: p.load(row), accumulate: false })),
    /%1 reduceLanes: expected a phase with lanes "batch", got "none" \(lanes\)$/,
  ],
  ...(["lookup", "scatter"] as const).flatMap((op) => {
    const push = (p: PhaseBuilder, table: number, index: number): number =>
      p.push(op === "lookup" ? { op, table, index } : { op, table, index, value: index });
    const cases: readonly (readonly [string, Program, RegExp])[] = [
      [
        `${op}: an index is per sample`,
        batch((p, { table, x }) => push(p, table, p.load(x))),
        new RegExp(`%1 ${op}: expected a per-sample value, got %0, which differs between rows \\(index\\)$`),
      ],
      [
        `${op}: tables are tables`,
        batch((p, { y, t }) => push(p, y, p.load(t))),
        new RegExp(`%1 ${op}: expected table of 3 rows, got state of 3 rows \\(y\\)$`),
      ],
      [
        `${op}: tables have lanes`,
        plain((p, { table }) => push(p, table, p.const(0))),
        new RegExp(`%1 ${op}: expected a phase with lanes "batch", got "none" \\(lanes\\)$`),
      ],
    ];
    return cases;
  }),
  [
    "a key is a key",
    batch((p, { index, t }) => p.push({ op: "random", key: index, sampleId: p.load(t) })),
    /%1 random: expected key, got index of 3 rows \(index\)$/,
  ],
  [
    "a sample's number is per sample",
    batch((p, { key }) => p.push({ op: "random", key, sampleId: p.push({ op: "rowIndex" }) })),
    /%1 random: expected a per-sample value, got %0, .* \(sampleId\)$/,
  ],
  ...(["gather", "segmentSum", "gatherT"] as const).flatMap((op) => {
    const instrOf = (source: number, index: number, offsets: number): Instr =>
      op === "gather"
        ? { op, source, index }
        : op === "segmentSum"
          ? { op, source, offsets, members: index }
          : { op, source, index, offsets: null };
    const cases: readonly (readonly [string, Program, RegExp])[] = [
      [
        `${op}: vectors have no lanes`,
        batch((p, { row, index, offsets }) => p.push(instrOf(row, index, offsets))),
        new RegExp(`%0 ${op}: expected a phase with lanes "none", got "batch" \\(lanes\\)$`),
      ],
      [
        `${op}: a source is a vector`,
        plain((p, { x, index, offsets }) => p.push(instrOf(x, index, offsets))),
        new RegExp(`%0 ${op}: expected row or nnz, got state of 3 rows \\(x\\)$`),
      ],
      [
        `${op}: an index is an index`,
        plain((p, { row, offsets }) => p.push(instrOf(row, row, offsets))),
        new RegExp(`%0 ${op}: expected index( of 3 rows)?, got row of 3 rows \\(row\\)$`),
      ],
    ];
    return cases;
  }),
  [
    "an index has an entry for each row",
    plain((p, { row, offsets }) => p.push({ op: "gather", source: row, index: offsets })),
    /%0 gather: expected index of 3 rows, got index of 4 rows \(offsets\)$/,
  ],
  [
    "segments have a border more than rows",
    plain((p, { row, index }) => p.push({ op: "segmentSum", source: row, offsets: index, members: index })),
    /%0 segmentSum: expected index of 4 rows, got index of 3 rows \(index\)$/,
  ],
  [
    "the transpose of a gather has an entry for each number of its source",
    plain((p, { nnz, index }) => p.push({ op: "gatherT", source: nnz, index, offsets: null })),
    /%0 gatherT: expected index of 5 rows, got index of 3 rows \(index\)$/,
  ],
  [
    "the transpose of a sum over segments has a border more than its source has numbers",
    plain((p, { row, index }) => p.push({ op: "gatherT", source: row, index, offsets: index })),
    /%0 gatherT: expected index of 4 rows, got index of 3 rows \(index\)$/,
  ],
  [
    "products are made of matrices",
    batch((p, { x }) => p.matmul(x, x)),
    /%0 matmul: expected sparse or dense of 3 rows, got state of 3 rows \(x\)$/,
  ],
  [
    "products have lanes",
    plain((p, { w, x }) => p.matmul(w, x)),
    /%0 matmul: expected a phase with lanes "batch", got "none" \(lanes\)$/,
  ],
  [
    "a product has the rows of its matrix",
    batch((p, { wide, x }) => p.matmul(wide, x)),
    /%0 matmul: expected sparse or dense of 3 rows, got dense of 2 × 3 \(wide\)$/,
  ],
  [
    "a product sums over the columns of its matrix",
    batch((p, { w, long }) => p.matmul(w, long)),
    /%0 matmul: expected 3 rows with lanes, got state of 7 rows \(long\)$/,
  ],
  [
    "a transposed product has lanes",
    plain((p, { w, x }) => p.push(matmulT({ matrix: w, g: x }))),
    /%0 matmulT: expected a phase with lanes "batch", got "none" \(lanes\)$/,
  ],
  [
    "a transposed product has the columns of its matrix",
    { ...withBinding("w", { cols: 2 }), phases: batch((p, { w, x }) => p.push(matmulT({ matrix: w, g: x }))).phases },
    /%0 matmulT: expected a match for 3 rows, lanes "batch", got sparse of 3 × 2 \(w\)$/,
  ],
  [
    "a transposed product sums over the rows of its matrix",
    batch((p, { wide, x }) => p.push(matmulT({ matrix: wide, g: x }))),
    /%0 matmulT: expected 2 rows with lanes, got state of 3 rows \(x\)$/,
  ],
  [
    "a transposed product is wanted for something",
    batch((p, { w, x }) => p.push(matmulT({ matrix: w, g: x, needCt: false }))),
    /%0 matmulT: expected a result or a gradient to be wanted, got neither \(needCt\)$/,
  ],
  [
    "the gradient of a sparse matrix is a vector of its entries",
    batch((p, { w, x, row }) => p.push(matmulT({ matrix: w, g: x, grad: { x: p.load(x), binding: row } }))),
    /%1 matmulT: expected nnz, got row of 3 rows \(row\)$/,
  ],
  [
    "the gradient of a dense matrix is a matrix of its size",
    batch((p, { wide, two, dense, x }) =>
      p.push(matmulT({ matrix: wide, g: two, grad: { x: p.load(x), binding: dense } })),
    ),
    /%1 matmulT: expected dense of 2 rows, got dense of 3 × 3 \(dense\)$/,
  ],
  [
    "the gradient of a dense matrix has as many columns",
    batch((p, { wide, two, narrow, x }) =>
      p.push(matmulT({ matrix: wide, g: two, grad: { x: p.load(x), binding: narrow } })),
    ),
    /%1 matmulT: expected a match for 3 rows, lanes "batch", got dense of 2 × 2 \(narrow\)$/,
  ],
];

await forEachDevice("rules of programs", (test) => {
  test("programs that break a rule are refused by phase, instruction and argument", async ({ backend }) => {
    const layout = backend.layoutFor(4);
    backend.compile(
      batch((p, { y, x }) => p.store(y, p.load(x))),
      layout,
    );
    for (const [, program, message] of BAD) {
      await assertRefused(() => backend.compile(program, layout), "program", message);
    }
  });

  test("the error names program, phase, instruction and argument for programs, too", async ({ backend }) => {
    try {
      backend.compile(
        plain((p, { y }) => p.store(y, p.const(1))),
        backend.layoutFor(4),
      );
    } catch (error) {
      assert.instance(error, BackendError);
      assert.equal((error as BackendError).facts, { program: "bad", phase: 1, instruction: 1, argument: "y" });
      return;
    }
    assert.unreachable("the program was compiled");
  });

  test("layouts that a device does not have are refused", async ({ backend }) => {
    const program = batch((p, { y, x }) => p.store(y, p.load(x)));
    const [expected, most] = backend.name === "wasm" ? ["one panel", 1] : ["one or more panels", 66];
    backend.compile(program, { panel: 4, panels: most });
    for (const panels of [0, 0.5, Number.NaN, ...(most === 1 ? [2] : [])]) {
      const message = new RegExp(`^bad: expected ${expected} of 4, 8 or 16 lanes, got ${panels} of 4 \\(layout\\)$`);
      await assertRefused(() => backend.compile(program, { panel: 4, panels }), "layout", message);
    }
    const narrow = { panel: 5 as 4, panels: 1 };
    await assertRefused(
      () => backend.compile(program, narrow),
      "layout",
      /of 4, 8 or 16 lanes, got 1 of 5 \(layout\)$/,
    );
  });
});
