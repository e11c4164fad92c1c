// What explain says of a program must be what devices run: the same functions, shaders, dispatches and bytes.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Graph } from "../../src/autodiff/graph.ts";
import { lower } from "../../src/autodiff/lower.ts";
import type { Backend, Bindable } from "../../src/backend/backend.ts";
import { PHASE_KINDS } from "../../src/backend/kinds.ts";
import { lengthOf } from "../../src/backend/layout.ts";
import type { Program } from "../../src/backend/program.ts";
import { createWasmBackend } from "../../src/backend/wasm/backend.ts";
import type { WasmExecutable } from "../../src/backend/wasm/compile.ts";
import { disassemble } from "../../src/backend/wasm/disassemble.ts";
import { createWebGpuBackend } from "../../src/backend/webgpu/backend.ts";
import type { GpuBound } from "../../src/backend/webgpu/dispatches.ts";
import { explainProgram, FORMS } from "../../src/explain/explain.ts";
import { ProgramRecorder } from "../../src/explain/recorder.ts";
import { programCost, storedEntriesOf, totalBytes } from "../../src/profile/cost.ts";
import { assertGoldenText } from "../support/goldenText.ts";
import { randomSparse } from "../support/matrices.ts";
import { ProgramBuilder } from "../support/programBuilder.ts";
import { requireTestAdapter } from "../support/softwareAdapter.ts";

const adapter = await requireTestAdapter();
const test = suite("explain");

const N = 40;
const { csr: MATRIX } = randomSparse(N, N, 0.125, 1);
const NNZ = MATRIX.nnz;

/** A small right-hand side, with something of everything that code is made for. */
function rightHandSide(): Program {
  const g = new Graph();
  const { ops } = g;
  const h = g.state("h", N);
  const u = ops.add(ops.matmul(g.sparse("w", N, N, NNZ), h), g.row("bias", N));
  const bounded = ops.select(ops.lt(u, 0), ops.sign(u), ops.min(ops.relu(u), ops.floor(ops.sqrt(ops.abs(h)))));
  const finite = ops.mul(ops.isFinite(u), ops.neg(bounded));
  g.store("out", ops.div(ops.sub(finite, ops.tanh(h)), g.row("tau", N)));
  g.store("norm", ops.reduceRows(ops.mul(finite, finite)));
  g.store("largest", ops.max(g.sample("a"), ops.le(g.sample("a"), ops.eq(g.sample("b"), 1))));
  return lower(g, "rhs", "forward");
}

function bindingsFor(backend: Backend, program: Program, lanes: number): Record<string, Bindable> {
  const layout = backend.layoutFor(lanes);
  const own = program.bindings.filter(({ temp }) => !temp);
  return Object.fromEntries(
    own.map((b) => [
      b.name,
      b.kind === "sparse" ? backend.sparse(b.name, MATRIX) : backend.buffer(b.name, lengthOf(b, layout)),
    ]),
  );
}

for (const dtype of ["f32", "f64"] as const) {
  test(`wasm ${dtype}: temporaries, registers and costs are those of a compiled program`, async () => {
    const program = rightHandSide();
    const explained = explainProgram(program, { device: "wasm", dtype, lanes: 8 });
    const backend = await createWasmBackend({ dtype, threads: 1 });
    const layout = backend.layoutFor(8);
    const executable = backend.compile(program, layout) as WasmExecutable;
    assert.equal(explained.layout, layout);
    assert.is(explained.temporaryBytes, executable.sharedBytes);
    assert.ok(explained.text.code.includes(`${executable.scratchBytes} bytes of registers`));
    const bound = bindingsFor(backend, program, 8);
    const cost = programCost(program, layout, dtype === "f32" ? 4 : 8, storedEntriesOf(bound));
    assert.is(explained.flops, cost.flops);
    assert.is(explained.bytes, totalBytes(cost));
    const before = backend.memory().bytes;
    const matrix = backend.sparse("again", MATRIX);
    const matrixBytes = explained.bindings.find(({ kind }) => kind === "sparse")!.bytes!;
    const taken = backend.memory().bytes - before;
    // Six arrays, each padded to cache lines.
    assert.ok(taken >= matrixBytes && taken < matrixBytes + 6 * 128, `${taken} of ${matrixBytes} bytes`);
    matrix.release();
    await backend.dispose();
  });
}

test("the forms of a small program are those of the files in printed/", () => {
  const { text } = explainProgram(rightHandSide(), { device: "wasm", lanes: 4 });
  for (const form of FORMS) {
    assertGoldenText(`explain/printed/rhs.${form === "code" ? "wat" : `${form}.txt`}`, text[form]);
  }
  const onGpu = explainProgram(rightHandSide(), { device: "webgpu", lanes: 4 }).text;
  assert.equal([onGpu.graph, onGpu.phases], [text.graph, text.phases]);
});

test("phases add up, and have the kinds of profiles", () => {
  const { phases, flops, bytes, purpose } = explainProgram(rightHandSide(), { device: "wasm" });
  const sum = (of: "flops" | "bytes") => phases.reduce((total, phase) => total + phase[of]!, 0);
  assert.equal([sum("flops"), sum("bytes")], [flops, bytes]);
  assert.ok(phases.every(({ kind, instructions }) => PHASE_KINDS.includes(kind) && instructions > 0));
  assert.is(purpose, "forward");
});

test("a program by hand has no graph, and no cost where entries of a matrix are not known", () => {
  const builder = new ProgramBuilder("by hand");
  const w = builder.input("w", "sparse", { rows: N, cols: N });
  const x = builder.input("x", "state", { rows: N });
  const y = builder.output("y", "state", { rows: N });
  const program = builder.phase(N, (phase) => phase.store(y, phase.matmul(w, x))).build();
  const { text, flops, bytes, purpose, bindings } = explainProgram(program, { device: "webgpu" });
  assert.equal([text.graph, flops, bytes, purpose, bindings[0]!.bytes], ["", null, null, null, null]);
  assert.match(text.phases, /v0 = matmul\(matrix: w, x: x\)/);
});

test("wrong options are refused", () => {
  const program = rightHandSide();
  const wrong = (options: object, pattern: RegExp) =>
    assert.throws(() => explainProgram(program, options as never), pattern);
  wrong({ device: "gpu" }, /explainProgram: expected "wasm" or "webgpu", got "gpu" \(device\)/);
  wrong({ device: "webgpu", dtype: "f64" }, /\(dtype\)/);
  wrong({ device: "wasm", lanes: 17 }, /1 to 16 lanes, got 17/);
  wrong({ device: "wasm", lane: 8 }, /lane/);
});

test("a program that breaks a rule of the format is refused, as by the device", () => {
  const builder = new ProgramBuilder("bad");
  const y = builder.output("y", "state", { rows: N });
  const bad = builder.phase(N, (phase) => phase.store(y, 3)).build();
  for (const device of ["wasm", "webgpu"] as const)
    assert.throws(
      () => explainProgram(bad, { device }),
      /^bad: phase 0, %0 store: expected a value made before its use/,
    );
});

test("subgroups are an assumption that the text follows", () => {
  const g = new Graph();
  const h = g.state("h", N);
  g.ops.matmulT(g.sparse("w", N, N, NNZ), g.state("ct", N), { x: h, binding: "grad" });
  const program = lower(g, "gradient");
  const codeWith = (subgroups: boolean) => explainProgram(program, { device: "webgpu", subgroups }).text.code;
  assert.match(codeWith(true), /enable subgroups;/);
  assert.not.match(codeWith(false), /subgroup/);
});

test("an instruction that the disassembler does not know is refused", () => {
  // No variables, then 0xff.
  assert.throws(() => disassemble(Uint8Array.from([3, 0, 0xff, 0x0b]), "f", "f32"), /unknown instruction 0xff/);
  assert.throws(() => disassemble(Uint8Array.from([3, 0, 0x6a, 0x0b]), "f", "f32"), /i32.add lacks operands/);
});

test("a recorder counts runs, and equal programs once", async () => {
  const inner = await createWasmBackend({ threads: 1 });
  const recorder = new ProgramRecorder(inner, { isAsynchronous: true });
  const { backend } = recorder;
  assert.equal([backend.isAsynchronous, inner.isAsynchronous], [true, false]);
  const bind = (program: Program) =>
    backend.bind(backend.compile(program, backend.layoutFor(4)), bindingsFor(backend, program, 4));
  const [first, second] = [bind(rightHandSide()), bind(rightHandSide())];
  const g = new Graph();
  g.store("y", g.ops.neg(g.state("x", 3)));
  const other = bind(lower(g, "other"));
  for (const bound of [first, second, second, other]) backend.run(bound);
  const facts = () => recorder.programs().map(({ program, runs }) => [program.name, runs]);
  assert.equal(facts(), [
    ["rhs", 3],
    ["other", 1],
  ]);
  recorder.resetRuns();
  backend.run(other);
  assert.equal(facts(), [
    ["rhs", 0],
    ["other", 1],
  ]);
  await inner.dispose();
});

if (adapter) {
  test("webgpu: dispatches and shaders are those of a bound program", async () => {
    const program = rightHandSide();
    const backend = await createWebGpuBackend();
    const bound = backend.bind(
      backend.compile(program, backend.layoutFor(4)),
      bindingsFor(backend, program, 4),
    ) as GpuBound;
    const subgroups = adapter.features.includes("subgroups");
    const { dispatches, text } = explainProgram(program, { device: "webgpu", lanes: 4, subgroups });
    assert.equal(
      bound.dispatches.map(({ label }) => label),
      dispatches!.map(({ kernel }) => `rhs: ${kernel}`),
    );
    const sources = dispatches!.map((_, at) => bound.executable.shader(at, () => 0, "one slab").source);
    for (const source of sources) assert.ok(text.code.includes(source));
    await backend.dispose();
  });
}

test("programs that differ in a number that JSON does not have are recorded apart", async () => {
  const recorder = new ProgramRecorder(await createWasmBackend({ dtype: "f64", threads: 1 }));
  const { backend } = recorder;
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0, -0, 0]) {
    const g = new Graph();
    g.store("y", g.ops.constant(value), { as: { kind: "row", rows: 4 } });
    const executable = backend.compile(lower(g, "same"), backend.layoutFor(1));
    backend.bind(executable, { y: backend.buffer("y", 4) });
  }
  assert.is(recorder.programs().length, 5);
  await backend.dispose();
});

test.run();
