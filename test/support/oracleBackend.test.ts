// The oracle against results worked out by hand, and each of its strict checks seen to refuse something.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Bindable } from "../../src/backend/backend.ts";
import type { PanelLayout, Program } from "../../src/backend/program.ts";
import { csrFromCoo } from "../../src/core/csr.ts";
import { BackendError } from "../../src/core/errors.ts";
import { assertClose } from "./close.ts";
import { erf } from "./oracle/erf.ts";
import { createOracleBackend } from "./oracleBackend.ts";
import { ProgramBuilder } from "./programBuilder.ts";

const test = suite("oracle");

const LAYOUT: PanelLayout = { panel: 4, panels: 1 };

/** [[0, 2], [0, 0], [4, 3]]. */
const W = csrFromCoo({ nRows: 3, nCols: 2, rows: [0, 2, 2], cols: [1, 1, 0], values: [2, 3, 4] });

/** x and erf(x): the Taylor series summed with 60 decimal digits, then rounded. */
const ERF_TABLE: readonly (readonly [number, number])[] = [
  [0.1, 0.1124629160182849],
  [0.5, 0.5204998778130465],
  [1, 0.8427007929497149],
  [1.9375, 0.9938568063952132],
  [2, 0.9953222650189527],
  [2.5, 0.999593047982555],
  [3, 0.9999779095030014],
  [5, 0.9999999999984626],
];

function assertRefused(run: () => unknown, message: RegExp): void {
  assert.throws(run, (error: unknown) => error instanceof BackendError && message.test(error.message), `${message}`);
}

function assertProgramRefused(write: (b: ProgramBuilder) => void, message: RegExp): void {
  const b = new ProgramBuilder("p");
  write(b);
  assertRefused(() => createOracleBackend().compile(b.build(), LAYOUT), message);
}

/** y = x. */
function copyProgram(): Program {
  const b = new ProgramBuilder("copy");
  const x = b.input("x", "state", { rows: 3 });
  const y = b.output("y", "state", { rows: 3 });
  return b.phase(3, (p) => p.store(y, p.load(x))).build();
}

test("products and their gradients are those of the dense matrix, panel by panel", async () => {
  const backend = createOracleBackend({ maxLanes: 32 });
  const b = new ProgramBuilder("products");
  const w = b.input("w", "sparse", { rows: 3, cols: 2 });
  const x = b.input("x", "state", { rows: 2 });
  const y = b.output("y", "state", { rows: 3 });
  const ct = b.output("ct", "state", { rows: 2 });
  const grad = b.inout("grad", "nnz", { rows: 3 });
  b.phase(3, (p) => p.store(y, p.matmul(w, x))).phase(2, (p) => {
    const value = p.load(x);
    p.store(ct, p.push({ op: "matmulT", matrix: w, g: y, needCt: true, grad: { x: value, binding: grad } }));
  });
  const layout: PanelLayout = { panel: 4, panels: 2 };
  const held = {
    w: backend.sparse("w", W),
    x: backend.buffer("x", 16),
    y: backend.buffer("y", 24),
    ct: backend.buffer("ct", 16),
    grad: backend.buffer("grad", 3),
  };
  // Lane 0 of the first panel holds (1, 10), lane 1 of the second (2, 1); all others 0.
  backend.upload(held.x, [1, 0, 0, 0, 10, 0, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0]);
  backend.fill(held.grad, 100);
  backend.run(backend.bind(backend.compile(b.build(), layout), held));
  const y0 = [20, 0, 0, 0, 0, 0, 0, 0, 34, 0, 0, 0];
  const y1 = [0, 2, 0, 0, 0, 0, 0, 0, 0, 11, 0, 0];
  assert.equal([...(await backend.download(held.y))], [...y0, ...y1]);
  // Wᵀ·(20, 0, 34) = (136, 142), Wᵀ·(2, 0, 11) = (44, 37).
  assert.equal([...(await backend.download(held.ct))], [136, 0, 0, 0, 142, 0, 0, 0, 0, 44, 0, 0, 0, 37, 0, 0]);
  // CSC order: (2, 0), (0, 1), (2, 1).
  assert.equal([...(await backend.download(held.grad))], [100 + 34 + 22, 100 + 200 + 2, 100 + 340 + 11]);
});

test("erf agrees to 1e-15 with sums in 60-digit arithmetic", () => {
  const xs = ERF_TABLE.map(([x]) => x);
  const expected = ERF_TABLE.map(([, y]) => y);
  const bounds = expected.map((y) => 1e-15 * y);
  assertClose(xs.map(erf), expected, bounds, "erf");
  assertClose(
    xs.map((x) => -erf(-x)),
    expected,
    bounds,
    "−erf(−x)",
  );
  assert.is(erf(0), 0);
  assert.is(erf(Number.POSITIVE_INFINITY), 1);
  assert.ok(Number.isNaN(erf(Number.NaN)));
});

test("layoutFor takes the narrowest panel that fits, then panels of 16", () => {
  const backend = createOracleBackend({ maxLanes: 40 });
  const layouts = [1, 4, 5, 8, 9, 16, 17, 40].map((lanes) => backend.layoutFor(lanes));
  assert.equal(
    layouts.map(({ panel, panels }) => panel * 100 + panels),
    [401, 401, 801, 801, 1601, 1601, 1602, 1603],
  );
  for (const lanes of [0, 41, 1.5]) assertRefused(() => backend.layoutFor(lanes), /lanes/);
});

test("memory counts what is held, and release gives it back once", async () => {
  const backend = createOracleBackend();
  const buffer = backend.buffer("x", 10);
  const sparse = backend.sparse("w", W);
  const { bytes, largestBytes, liveBuffers } = backend.memory();
  assert.is(largestBytes, 80);
  assert.is(bytes, 80 + 3 * (8 + 8 + 4 + 4 + 4));
  assert.ok(liveBuffers > 0);
  buffer.release();
  buffer.release();
  sparse.release();
  const none = { bytes: 0, liveBuffers: 0, livePrograms: 0, takenBytes: 0 };
  assert.equal(backend.memory(), { ...none, peakBytes: bytes, largestBytes });
  assertRefused(() => backend.fill(buffer, 0), /released/);
});

test("bind refuses bindings that are missing, unknown, or of the wrong length or kind", () => {
  const backend = createOracleBackend();
  const executable = backend.compile(copyProgram(), LAYOUT);
  const [x, y] = [backend.buffer("x", 12), backend.buffer("y", 12)];
  const bind =
    (bindings: Record<string, Bindable>): (() => unknown) =>
    () =>
      backend.bind(executable, bindings);
  assert.not.throws(bind({ x, y }));
  assertRefused(bind({ x }), /expected a state, got nothing \(y\)/);
  assertRefused(bind({ x, y, z: x }), /a binding of the program.*\(z\)/);
  assertRefused(bind({ x, y: backend.buffer("y", 16) }), /expected 12 elements \(state\), got 16 \(y\)/);
  assertRefused(bind({ x, y: backend.buffer("y", 12, "u32") }), /type float, got u32 \(y\)/);
  assertRefused(bind({ x, y: backend.sparse("y", W) }), /expected a state, got a sparse matrix/);
  assertRefused(bind({ x, y: createOracleBackend().buffer("y", 12) }), /buffer of this backend/);
});

test("bind refuses the same memory twice in a phase that writes it", () => {
  const backend = createOracleBackend();
  const x = backend.buffer("x", 12);
  assertRefused(() => backend.bind(backend.compile(copyProgram(), LAYOUT), { x, y: x }), /same memory twice \(y, x\)/);
});

test("a value is used only after it is defined, and only where there is one", () => {
  assertProgramRefused((b) => {
    const y = b.output("y", "state", { rows: 3 });
    b.phase(3, (p) => p.store(y, 7));
  }, /defined before its use, got %7/);
  assertProgramRefused((b) => {
    const y = b.output("y", "state", { rows: 3 });
    b.phase(3, (p) => {
      p.store(y, p.const(1));
      p.store(y, 1);
    });
  }, /defined before its use, got %1/);
});

test("memory is read only after it has been written", () => {
  assertProgramRefused((b) => {
    const y = b.output("y", "state", { rows: 3 });
    b.phase(3, (p) => p.accumulate(y, p.const(1)));
  }, /holds a value, got one that nothing has written \(y\)/);
  assertProgramRefused((b) => {
    const t = b.temp("t", "state", 3, 0, 1);
    const y = b.output("y", "state", { rows: 3 });
    b.phase(3, (p) => p.store(y, p.load(t)));
  }, /nothing has written \(t\)/);
});

test("a temporary is used only during its life", () => {
  assertProgramRefused((b) => {
    const t = b.temp("t", "state", 3, 0, 0);
    const y = b.output("y", "state", { rows: 3 });
    b.phase(3, (p) => p.store(t, p.const(1))).phase(3, (p) => p.store(y, p.load(t)));
  }, /phases 0 to 0 for this temporary/);
});

test("a store's binding has the space of its phase, a load's binding fits it", () => {
  const sizes = [
    ["row", 3],
    ["sample", 1],
    ["state", 4],
  ] as const;
  for (const [kind, rows] of sizes) {
    assertProgramRefused((b) => {
      const y = b.output("y", kind, { rows });
      b.phase(3, (p) => p.store(y, p.const(1)));
    }, /expected 3 rows of lanes/);
  }
  assertProgramRefused((b) => {
    const x = b.input("x", "state", { rows: 4 });
    b.phase(3, (p) => p.load(x));
  }, /match for 3 rows, lanes batch, got state of 4/);
  assertProgramRefused((b) => {
    const x = b.input("x", "sample");
    b.plainPhase(3, (p) => p.load(x));
  }, /match for 3 rows, lanes none, got sample/);
});

test("a binding that is only read is not written", () => {
  assertProgramRefused((b) => {
    const x = b.input("x", "state", { rows: 3 });
    b.phase(3, (p) => p.store(x, p.const(1)));
  }, /access to write, got access read \(x\)/);
});

test("what a phase gathers it does not write, and what it reduces it does not read", () => {
  assertProgramRefused((b) => {
    const w = b.input("w", "sparse", { rows: 3, cols: 3 });
    const x = b.inout("x", "state", { rows: 3 });
    b.phase(3, (p) => p.store(x, p.matmul(w, x)));
  }, /complete before the phase, got one written in it \(x\)/);
  assertProgramRefused((b) => {
    const x = b.input("x", "state", { rows: 3 });
    const s = b.inout("s", "sample");
    b.phase(3, (p) => {
      p.push({ op: "reduceRows", binding: s, value: p.load(x), how: "sum", accumulate: true });
      p.load(s);
    });
  }, /reduction read after its phase/);
});

test("an index of a table is one number per sample, and in range", () => {
  assertProgramRefused((b) => {
    const table = b.input("table", "table", { rows: 3, cols: 2 });
    b.phase(3, (p) => p.push({ op: "lookup", table, index: p.push({ op: "rowIndex" }) }));
  }, /expected a per-sample value/);
  const b = new ProgramBuilder("out of range");
  const table = b.input("table", "table", { rows: 3, cols: 2 });
  b.phase(3, (p) => p.push({ op: "lookup", table, index: p.const(2) }));
  const backend = createOracleBackend();
  const bound = backend.bind(backend.compile(b.build(), LAYOUT), { table: backend.buffer("table", 24) });
  assert.throws(() => backend.run(bound), /table index 2 of 2/);
});

test("the result of a product run only for its gradient is not used", () => {
  assertProgramRefused((b) => {
    const w = b.input("w", "dense", { rows: 2, cols: 3 });
    const g = b.input("g", "state", { rows: 2 });
    const grad = b.inout("grad", "dense", { rows: 2, cols: 3 });
    const y = b.output("y", "state", { rows: 3 });
    b.phase(3, (p) => {
      const x = p.const(1);
      p.store(y, p.push({ op: "matmulT", matrix: w, g, needCt: false, grad: { x, binding: grad } }));
    });
  }, /defined before its use/);
});

test.run();
