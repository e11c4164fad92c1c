// Buffers, executables and programs that a backend must not take: the same words and codes on both devices.

import * as assert from "uvu/assert";
import type { Backend, Bindable } from "../../src/backend/backend.ts";
import type { Program } from "../../src/backend/program.ts";
import { csrFromCoo } from "../../src/core/csr.ts";
import { assertRefused, forEachDevice } from "../support/devices.ts";
import { ProgramBuilder } from "../support/programBuilder.ts";

/** y = x, with a key and a matrix to bind wrongly. */
function copying(): Program {
  const b = new ProgramBuilder("copying");
  const x = b.input("x", "state", { rows: 10 });
  const y = b.inout("y", "state", { rows: 10 });
  b.input("w", "sparse", { rows: 3, cols: 2 });
  b.input("key", "key");
  return b.phase(10, (p) => p.store(y, p.load(x))).build();
}

/** grad += (g·xᵀ) at the two stored entries of w. */
function gradient(): Program {
  const b = new ProgramBuilder("gradient");
  const w = b.input("w", "sparse", { rows: 3, cols: 2 });
  const g = b.input("g", "state", { rows: 3 });
  const grad = b.inout("grad", "nnz", { rows: 2 });
  b.phase(2, (p) => p.push({ op: "matmulT", matrix: w, g, needCt: false, grad: { x: p.const(1), binding: grad } }));
  return b.build();
}

/** A matrix of nRows × 2 with `nnz` entries in its second column. */
function matrix(backend: Backend, nRows: number, nnz: number): Bindable {
  const rows = Array.from({ length: nnz }, (_, k) => k);
  const csr = csrFromCoo({ nRows, nCols: 2, rows, cols: rows.map(() => 1), values: rows.map(() => 1) });
  return backend.sparse(`w${nRows}`, csr);
}

await forEachDevice("what is bound", (test) => {
  test("a binding that is missing, unknown, or of the wrong kind, type or size is named", async ({ backend }) => {
    const good = {
      x: backend.buffer("x", 40),
      y: backend.buffer("y", 40),
      w: matrix(backend, 3, 1),
      key: backend.buffer("key", 2, "u32"),
    };
    const executable = backend.compile(copying(), backend.layoutFor(4));
    backend.run(backend.bind(executable, good));
    const wrong: readonly (readonly [Record<string, Bindable | undefined>, RegExp])[] = [
      [{ x: undefined }, /^copying: expected a state, got nothing \(x\)$/],
      [
        { x: backend.buffer("short", 39) },
        /^copying: expected 40 elements of type float \(state\), got 39 elements of type float \(short\) \(x\)$/,
      ],
      [{ x: good.w }, /expected a state of 40 elements, got a sparse matrix of 3 × 2 \(w3\) \(x\)$/],
      [{ w: good.x }, /expected a sparse matrix of 3 × 2, got 40 elements of type float \(x\) \(w\)$/],
      [{ w: matrix(backend, 4, 0) }, /expected 3 × 2, got a sparse matrix of 4 × 2 \(w4\) \(w\)$/],
      [{ key: backend.buffer("floats", 2) }, /expected 2 elements of type u32 \(key\), got 2 elements of type float/],
      [{ xx: good.x }, /expected one of its bindings, perhaps x, got another name \(xx\)$/],
      [{ y: good.x }, /expected memory of its own for what phase 0 writes, got the same memory twice \(x, y\)$/],
    ];
    for (const [changes, message] of wrong) {
      const given = Object.entries({ ...good, ...changes }).filter(([, b]) => b !== undefined);
      await assertRefused(() => backend.bind(executable, Object.fromEntries(given) as never), "binding", message);
    }
  });

  test("the gradient of a sparse matrix has as many numbers as the matrix has entries", async ({ backend }) => {
    const executable = backend.compile(gradient(), backend.layoutFor(4));
    const given = { g: backend.buffer("g", 12), grad: backend.buffer("grad", 2) };
    backend.run(backend.bind(executable, { ...given, w: matrix(backend, 3, 2) }));
    for (const nnz of [1, 3]) {
      const message = new RegExp(`expected a matrix of 2 stored values, got ${nnz} \\(w3\\) \\(grad\\)$`);
      await assertRefused(() => backend.bind(executable, { ...given, w: matrix(backend, 3, nnz) }), "binding", message);
    }
    // The gradient may not lie where the matrix does.
    const w = backend.sparse("w", csrFromCoo({ nRows: 3, nCols: 2, rows: [0, 1], cols: [0, 1], values: [1, 1] }));
    await assertRefused(() => backend.bind(executable, { ...given, w, grad: w.valuesCsc }), "binding", /memory twice/);
  });

  test("what belongs to another backend is foreign", async ({ backend, other }) => {
    const fill = (b: Backend) => {
      const program = new ProgramBuilder("fill");
      const y = program.output("y", "state", { rows: 2 });
      return b.compile(program.phase(2, (p) => p.store(y, p.const(1))).build(), b.layoutFor(1));
    };
    const [own, foreign] = [backend.buffer("own", 8), other.buffer("theirs", 8)];
    const refused: readonly (readonly [() => unknown, RegExp])[] = [
      [() => backend.bind(fill(backend), { y: foreign }), /^fill: expected a buffer \(theirs\) of this backend/],
      [() => backend.bind(fill(other), { y: own }), /^fill: expected an executable of this backend, got another's$/],
      [() => backend.run(other.bind(fill(other), { y: foreign })), /^fill: expected a bound program of this backend/],
      [() => backend.fill(foreign, 1), /^fill: /],
      [() => backend.upload(foreign, [1]), /^upload: /],
      [() => backend.download(foreign), /^download: /],
      [() => backend.downloadAll([own, foreign]), /^download: .*\(theirs\)/],
      [() => backend.copy(own, foreign), /^copy: .*\(theirs\)/],
    ];
    for (const [action, message] of refused) await assertRefused(action, "foreign", message);
  });

  test("what has been released is refused by name, at every use", async ({ backend }) => {
    const executable = backend.compile(copying(), backend.layoutFor(4));
    const [x, y] = [backend.buffer("x", 40), backend.buffer("y", 40)];
    const given = { x, y, w: matrix(backend, 3, 1), key: backend.buffer("key", 2, "u32") };
    const [bound, released] = [backend.bind(executable, given), backend.bind(executable, given)];
    backend.run(bound);
    released.release();
    released.release();
    await assertRefused(
      () => backend.run(released),
      "released",
      /^copying: expected a live program, got a released one$/,
    );
    x.release();
    x.release();
    const uses: readonly (readonly [() => unknown, string])[] = [
      [() => backend.run(bound), "copying"],
      [() => backend.bind(executable, given), "copying"],
      [() => backend.fill(x, 0), "fill"],
      [() => backend.upload(x, [1]), "upload"],
      [() => backend.download(x), "download"],
      [() => backend.copy(y, x), "copy"],
    ];
    for (const [use, where] of uses) {
      const message = new RegExp(`^${where}: expected a live buffer, got a released one \\(x\\)$`);
      await assertRefused(use, "released", message);
    }
  });

  test("ranges of transfers, lengths of copies and numbers of lanes are checked", async ({ backend }) => {
    const target = backend.buffer("target", 4);
    backend.upload(target, [1, 2], 2);
    assert.equal(Array.from(await backend.download(target, 1, 3)), [0, 1, 2]);
    const message = /: expected a range within 4 elements, got .* \(target\)$/;
    for (const action of [
      () => backend.upload(target, [1, 2], 3),
      () => backend.upload(target, [1], -1),
      () => backend.download(target, 3, 2),
      () => backend.download(target, 0.5, 1),
      () => backend.download(target, 0, 0.5),
    ]) {
      await assertRefused(action, "range", message);
    }
    const [longer, words] = [backend.buffer("longer", 5), backend.buffer("words", 4, "u32")];
    await assertRefused(
      () => backend.copy(target, longer),
      "length",
      /^copy: expected 4 .*\(target\), got 5 .*\(longer\)$/,
    );
    await assertRefused(() => backend.copy(target, words), "length", /got 4 elements of type u32 \(words\)$/);
    await assertRefused(() => backend.buffer("negative", -1), "length", /got -1 \(negative\)$/);
    for (const lanes of [0, 1.5, backend.maxLanes + 1]) {
      await assertRefused(() => backend.layoutFor(lanes), "lanes", /^layoutFor: expected 1 to/);
    }
  });

  test("a backend that has been disposed of is refused", async ({ other }) => {
    const buffer = other.buffer("x", 4);
    await other.dispose();
    for (const action of [() => other.buffer("y", 1), () => other.fill(buffer, 1), () => other.finish()]) {
      await assertRefused(action, "disposed", /: expected a backend in use, got a disposed one$/);
    }
  });
});
