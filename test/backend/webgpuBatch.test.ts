// What holds for every program on WebGPU: results do not depend on batch mates, the same run gives the same bits, and a run in
// steady state makes nothing but command buffers.

import * as assert from "uvu/assert";
import type { Bindable, DeviceBuffer } from "../../src/backend/backend.ts";
import { lengthOf } from "../../src/backend/layout.ts";
import type { PanelLayout, Program } from "../../src/backend/program.ts";
import { createWebGpuBackend, type WebGpuBackend } from "../../src/backend/webgpu/backend.ts";
import { type Csr, csrFromCoo } from "../../src/core/csr.ts";
import { keyOfSeed, RandomStream } from "../../src/core/random.ts";
import { assertBitEqual } from "../support/close.ts";
import { compareWithOracle, conformanceCases } from "../support/conformance.ts";
import { ProgramBuilder } from "../support/programBuilder.ts";
import { requireTestAdapter } from "../support/softwareAdapter.ts";
import { suite } from "../support/suite.ts";

const ROWS = 700;
const CLASSES = 10;
/** As in a read-out of more neurons than one partial product covers. */
const FEATURES = 1500;

/** Rows of 1 to 600 entries, so that every kind of row block occurs. */
function skewedMatrix(): Csr {
  const stream = new RandomStream(keyOfSeed(7));
  const rows: number[] = [];
  const cols: number[] = [];
  for (let row = 0; row < ROWS; row++) {
    const count = row % 100 === 0 ? 600 : row % 10 === 0 ? 90 : 1 + (row % 13);
    for (const col of stream.permutation(ROWS).slice(0, count)) {
      rows.push(row);
      cols.push(col);
    }
  }
  return csrFromCoo({ nRows: ROWS, nCols: ROWS, rows, cols, values: rows.map(() => stream.normal()) });
}

/** A step of a model and its read-out: both products, reductions over rows, per-sample control. */
function stepProgram(): Program {
  const b = new ProgramBuilder("step");
  const w = b.input("w", "sparse", { rows: ROWS, cols: ROWS });
  const readOut = b.input("readOut", "dense", { rows: CLASSES, cols: FEATURES });
  const x = b.input("x", "state", { rows: ROWS });
  const features = b.input("features", "state", { rows: FEATURES });
  const tau = b.input("tau", "row", { rows: ROWS });
  const y = b.output("y", "state", { rows: ROWS });
  const norm = b.output("norm", "sample");
  const logits = b.output("logits", "state", { rows: CLASSES });
  const factor = b.output("factor", "sample");
  b.phase(ROWS, (p) => {
    const drive = p.op("tanh", p.matmul(w, x));
    const change = p.op("div", p.op("sub", drive, p.load(x)), p.load(tau));
    p.store(y, change);
    p.push({ op: "reduceRows", binding: norm, value: p.op("mul", change, change), how: "sum", accumulate: false });
  })
    .phase(1, (p) => p.store(factor, p.op("pow", p.load(norm), p.const(-0.2))))
    .phase(CLASSES, (p) => p.store(logits, p.op("mul", p.matmul(readOut, features), p.load(factor))));
  return b.build();
}

/** Its reverse, with everything that sums over lanes. */
function reverseProgram(nnz: number): Program {
  const b = new ProgramBuilder("reverse");
  const w = b.input("w", "sparse", { rows: ROWS, cols: ROWS });
  const g = b.input("g", "state", { rows: ROWS });
  const x = b.input("x", "state", { rows: ROWS });
  const ct = b.output("ct", "state", { rows: ROWS });
  const grad = b.inout("grad", "nnz", { rows: nnz });
  const biasGrad = b.inout("biasGrad", "row", { rows: ROWS });
  b.phase(ROWS, (p) => {
    const value = p.load(x);
    p.store(ct, p.push({ op: "matmulT", matrix: w, g, needCt: true, grad: { x: value, binding: grad } }));
    p.push({ op: "reduceLanes", binding: biasGrad, value, accumulate: true });
  });
  return b.build();
}

/** Numbers by neuron and sample, the same whatever the layout. */
function stateValues(rows: number, samples: readonly number[], layout: PanelLayout): Float32Array {
  const { panel, panels } = layout;
  const values = new Float32Array(rows * panel * panels);
  samples.forEach((sample, lane) => {
    const stream = new RandomStream(keyOfSeed(1000 + sample));
    for (let row = 0; row < rows; row++) values[addressOf(rows, row, lane, layout)] = stream.normal();
  });
  return values;
}

function addressOf(rows: number, row: number, lane: number, { panel }: PanelLayout): number {
  return (Math.floor(lane / panel) * rows + row) * panel + (lane % panel);
}

interface Bound {
  readonly buffers: Readonly<Record<string, DeviceBuffer>>;
  run(): void;
}

/** The program bound to fresh buffers; inputs that are per lane hold the numbers of `samples`. */
function bindStep(backend: WebGpuBackend, program: Program, samples: readonly number[], layout: PanelLayout): Bound {
  const bindings: Record<string, Bindable> = { w: backend.sparse("w", skewedMatrix()) };
  const buffers: Record<string, DeviceBuffer> = {};
  for (const binding of program.bindings) {
    if (binding.kind === "sparse") continue;
    const buffer = backend.buffer(binding.name, lengthOf(binding, layout));
    if (binding.kind === "state" && binding.access === "read") {
      backend.upload(buffer, stateValues(binding.rows, samples, layout));
    } else if (binding.access === "read") {
      const stream = new RandomStream(keyOfSeed(5));
      backend.upload(
        buffer,
        Float32Array.from({ length: buffer.length }, () => 1 + stream.uniform()),
      );
    }
    bindings[binding.name] = buffer;
    buffers[binding.name] = buffer;
  }
  const bound = backend.bind(backend.compile(program, layout), bindings);
  return { buffers, run: () => backend.run(bound) };
}

/** The backend with a fixed layout for any number of lanes. */
function withLayout(backend: WebGpuBackend, layout: PanelLayout): WebGpuBackend {
  return new Proxy(backend, {
    get: (target, name) => {
      if (name === "layoutFor") return () => layout;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

const adapter = await requireTestAdapter();

if (adapter) {
  const test = suite<{ backend: WebGpuBackend }>("webgpu, any program");
  test.before(async (context) => {
    context.backend = await createWebGpuBackend();
  });
  test.after(async ({ backend }) => backend.dispose());

  test("a sample gives the same bits alone and in any batch", async ({ backend }) => {
    const batches: readonly (readonly [readonly number[], PanelLayout])[] = [
      [[3], { panel: 4, panels: 1 }],
      [[1, 2, 3, 4, 5, 6], { panel: 8, panels: 1 }],
      [[9, 8, 7, 6, 5, 4, 3, 2, 1], { panel: 16, panels: 1 }],
      [Array.from({ length: 80 }, (_, k) => 82 - k), { panel: 16, panels: 5 }],
    ];
    const results: Record<string, Float32Array>[] = [];
    for (const [samples, layout] of batches) {
      const lane = samples.indexOf(3);
      assert.ok(lane >= 0);
      const { buffers, run } = bindStep(backend, stepProgram(), samples, layout);
      run();
      const result: Record<string, Float32Array> = {};
      for (const [name, rows] of [
        ["y", ROWS],
        ["norm", 1],
        ["factor", 1],
        ["logits", CLASSES],
      ] as const) {
        const all = await backend.download(buffers[name]!);
        result[name] = Float32Array.from({ length: rows }, (_, row) => all[addressOf(rows, row, lane, layout)]!);
      }
      results.push(result);
    }
    for (const result of results.slice(1)) {
      for (const [name, values] of Object.entries(results[0]!)) assertBitEqual(result[name]!, values, name);
    }
  });

  test("dense products and their reverse give a sample the same bits for tiles of any shape", async ({ backend }) => {
    // A sum of three pieces one way; one tile and a rest the other way.
    const [rows, cols] = [70, 1100];
    const b = new ProgramBuilder("projections");
    const w = b.input("w", "dense", { rows, cols });
    const x = b.input("x", "state", { rows: cols });
    const g = b.input("g", "state", { rows });
    const y = b.output("y", "state", { rows });
    const ct = b.output("ct", "state", { rows: cols });
    b.phase(rows, (p) => p.store(y, p.matmul(w, x))).phase(cols, (p) =>
      p.store(ct, p.push({ op: "matmulT", matrix: w, g, needCt: true })),
    );
    const program = b.build();
    const stream = new RandomStream(keyOfSeed(6));
    const weights = Float32Array.from({ length: rows * cols }, () => stream.normal());
    const layouts: readonly PanelLayout[] = [
      { panel: 4, panels: 1 },
      { panel: 8, panels: 1 },
      { panel: 16, panels: 1 },
      { panel: 16, panels: 2 },
      { panel: 16, panels: 3 },
      { panel: 16, panels: 5 },
      { panel: 8, panels: 5 },
    ];
    const results: Float32Array[] = [];
    for (const layout of layouts) {
      // Sample 3 is the last lane but one: in the last panel, and in another lane each time.
      const lanes = layout.panel * layout.panels;
      const samples = Array.from({ length: lanes }, (_, lane) => lanes + 1 - lane);
      const lane = samples.indexOf(3);
      const buffers = Object.fromEntries(
        program.bindings.map((binding) => [binding.name, backend.buffer(binding.name, lengthOf(binding, layout))]),
      );
      backend.upload(buffers.w!, weights);
      backend.upload(buffers.x!, stateValues(cols, samples, layout));
      backend.upload(buffers.g!, stateValues(rows, samples, layout));
      backend.run(backend.bind(backend.compile(program, layout), buffers));
      const [all, allCt] = [await backend.download(buffers.y!), await backend.download(buffers.ct!)];
      results.push(
        Float32Array.from({ length: rows + cols }, (_, k) =>
          k < rows ? all[addressOf(rows, k, lane, layout)]! : allCt[addressOf(cols, k - rows, lane, layout)]!,
        ),
      );
      for (const buffer of Object.values(buffers)) buffer.release();
    }
    assert.ok(results[0]!.every((value) => Number.isFinite(value) && value !== 0));
    for (const [k, result] of results.entries()) assertBitEqual(result, results[0]!, JSON.stringify(layouts[k]));
  });

  test("reductions of many partial results: the same bits in any batch, and sums over all lanes", async ({
    backend,
  }) => {
    // A reduction in a phase that sums over lanes leaves a partial result per 64 rows: more than 16 for each of 64 slots.
    const rows = 64 * 64 * 16 + 500;
    const b = new ProgramBuilder("reductions");
    const x = b.input("x", "state", { rows });
    const bias = b.output("bias", "row", { rows });
    const [sum, max, min] = (["sum", "max", "min"] as const).map((how) => b.output(how, "sample")) as [
      number,
      number,
      number,
    ];
    const span = b.output("span", "sample");
    const total = b.output("total", "scalar");
    b.phase(rows, (p) => {
      const value = p.load(x);
      p.push({ op: "reduceLanes", binding: bias, value, accumulate: false });
      p.push({ op: "reduceRows", binding: sum, value, how: "sum", accumulate: false });
      p.push({ op: "reduceRows", binding: max, value, how: "max", accumulate: false });
      p.push({ op: "reduceRows", binding: min, value, how: "min", accumulate: false });
    }).phase(1, (p) => {
      const value = p.op("sub", p.load(max), p.load(min));
      p.store(span, value);
      p.push({ op: "reduceLanes", binding: total, value, accumulate: false });
    });
    const program = b.build();
    const layouts: readonly PanelLayout[] = [
      { panel: 4, panels: 1 },
      { panel: 8, panels: 1 },
      { panel: 16, panels: 2 },
      { panel: 16, panels: 3 },
      { panel: 4, panels: 66 },
    ];
    const sums: number[] = [];
    for (const layout of layouts) {
      const lanes = layout.panel * layout.panels;
      // Whole numbers, whose sums are exact, but for the sample that is compared.
      const samples = Array.from({ length: lanes }, (_, lane) => lanes + 1 - lane);
      const lane = samples.indexOf(3);
      const values = new Float32Array(rows * lanes);
      const stream = new RandomStream(keyOfSeed(8));
      const own = Float32Array.from({ length: rows }, () => stream.normal());
      for (let row = 0; row < rows; row++) {
        for (let k = 0; k < lanes; k++) {
          values[addressOf(rows, row, k, layout)] = k === lane ? own[row]! : ((row * 37 + samples[k]!) % 1001) - 500;
        }
      }
      const buffers = Object.fromEntries(
        program.bindings.map((binding) => [binding.name, backend.buffer(binding.name, lengthOf(binding, layout))]),
      );
      backend.upload(buffers.x!, values);
      backend.run(backend.bind(backend.compile(program, layout), buffers));
      const results: Record<string, Float32Array> = {};
      for (const name of ["sum", "max", "min", "span", "total"]) {
        results[name] = (await backend.download(buffers[name]!)) as Float32Array;
      }
      let spans = 0;
      for (let k = 0; k < lanes; k++) {
        const column = Array.from({ length: rows }, (_, row) => values[addressOf(rows, row, k, layout)]!);
        const exact = column.reduce((a, c) => a + c, 0);
        const largest = column.reduce((a, c) => Math.max(a, c));
        const smallest = column.reduce((a, c) => Math.min(a, c));
        assert.is(results.max![k], largest);
        assert.is(results.min![k], smallest);
        assert.is(results.span![k], Math.fround(largest - smallest));
        // Sums of whole numbers below 2^24 are exact in any order.
        if (k === lane) assert.ok(Math.abs(results.sum![k]! - exact) < 0.01, `${results.sum![k]} for ${exact}`);
        else assert.is(results.sum![k], exact);
        spans += results.span![k]!;
      }
      assert.ok(Math.abs(results.total![0]! - spans) <= 2 ** -20 * spans, `${results.total![0]} for ${spans}`);
      sums.push(results.sum![lane]!);
      for (const buffer of Object.values(buffers)) buffer.release();
    }
    assertBitEqual(Float32Array.from(sums), new Float32Array(layouts.length).fill(sums[0]!), "sum");
  });

  test("a guard of 0 skips a program; any other number lets it run, NaN and subnormal ones, too", async ({
    backend,
  }) => {
    const b = new ProgramBuilder("guarded");
    const guards = [b.input("first", "scalar"), b.input("second", "scalar")];
    const x = b.inout("x", "row", { rows: 5 });
    b.plainPhase(5, (p) => p.accumulate(x, p.const(1)));
    const program: Program = { ...b.build(), guard: { scalars: guards, skips: "everything" } };
    const buffers = {
      first: backend.buffer("first", 1),
      second: backend.buffer("second", 1),
      x: backend.buffer("x", 5),
    };
    const bound = backend.bind(backend.compile(program, backend.layoutFor(1)), buffers);
    let runs = 0;
    for (const pair of [
      [1, 1],
      [0, 1],
      [1, -0],
      [Number.NaN, 1],
      [0, Number.NaN],
      [-1, 1e-40],
      [Infinity, -Infinity],
    ]) {
      backend.upload(buffers.first, pair.slice(0, 1));
      backend.upload(buffers.second, pair.slice(1));
      backend.run(bound);
      if (!pair.includes(0)) runs++;
      assert.equal([...(await backend.download(buffers.x))], new Array(5).fill(runs), `${pair}`);
    }
    assert.is(runs, 4);
  });

  test("batches of other sizes need no new shaders, but for other widths of panels", async () => {
    const fresh = await createWebGpuBackend();
    const pipelinesFor = (layout: PanelLayout): number => {
      const before = fresh.counts().pipelines;
      bindStep(fresh, stepProgram(), [1, 2, 3], layout);
      bindStep(fresh, reverseProgram(skewedMatrix().nnz), [1, 2, 3], layout);
      return fresh.counts().pipelines - before;
    };
    assert.ok(pipelinesFor({ panel: 16, panels: 3 }) > 0);
    assert.is(pipelinesFor({ panel: 16, panels: 4 }), 0);
    assert.ok(pipelinesFor({ panel: 8, panels: 3 }) > 0);
    await fresh.dispose();
  });

  test("vectors of any length share a shader", async () => {
    const fresh = await createWebGpuBackend();
    for (const rows of [3, 100, 5000]) {
      const b = new ProgramBuilder("squares");
      const x = b.input("x", "row", { rows });
      const y = b.output("y", "row", { rows });
      b.plainPhase(rows, (p) => p.store(y, p.op("mul", p.load(x), p.load(x))));
      const buffers = { x: fresh.buffer("x", rows), y: fresh.buffer("y", rows) };
      fresh.upload(
        buffers.x,
        Float32Array.from({ length: rows }, (_, row) => row),
      );
      fresh.run(fresh.bind(fresh.compile(b.build(), fresh.layoutFor(1)), buffers));
      const squares = await fresh.download(buffers.y);
      assert.ok(squares.every((square, row) => square === Math.fround(row * row)));
    }
    assert.is(fresh.counts().pipelines, 1);
    await fresh.dispose();
  });

  test("the same run gives the same bits twice, gradients included", async ({ backend }) => {
    const layout = { panel: 16, panels: 6 } as const;
    const samples = Array.from({ length: 96 }, (_, k) => k);
    const nnz = skewedMatrix().nnz;
    const once = async (): Promise<Float32Array[]> => {
      const { buffers, run } = bindStep(backend, reverseProgram(nnz), samples, layout);
      run();
      const names = ["ct", "grad", "biasGrad"];
      return Promise.all(names.map(async (name) => (await backend.download(buffers[name]!)) as Float32Array));
    };
    const [first, second] = [await once(), await once()];
    first.forEach((values, k) => {
      assert.ok(values.every(Number.isFinite));
      assertBitEqual(second[k]!, values, `output ${k}`);
    });
  });

  test("a run in steady state makes no GPU object, and says what it does", async ({ backend }) => {
    const layout = backend.layoutFor(8);
    const { buffers, run } = bindStep(backend, stepProgram(), [1, 2, 3], layout);
    const step = async (): Promise<void> => {
      backend.upload(buffers.x!, stateValues(ROWS, [1, 2], layout));
      run();
      run();
      backend.copy(buffers.x!, buffers.y!);
      backend.fill(buffers.y!, 0);
      await backend.download(buffers.norm!);
    };
    await step();
    const before = backend.counts();
    for (let k = 0; k < 5; k++) await step();
    const after = backend.counts();
    for (const name of ["buffers", "pipelines", "bindGroups", "shaderModules", "querySets", "liveBuffers"] as const) {
      assert.is(after[name], before[name], name);
    }
    // Per run: the product, the rest of its phase with partial norms, their last step with the control, read-out, its epilogue.
    assert.is(after.dispatches - before.dispatches, 5 * 2 * 5);
    assert.ok(after.bytes > before.bytes);
  });

  test("a profile tells the time of each kind of kernel, once", async () => {
    const profiled = await createWebGpuBackend({ profile: true });
    const { run } = bindStep(profiled, stepProgram(), [1, 2, 3], profiled.layoutFor(3));
    run();
    run();
    await profiled.finish();
    const profile = profiled.profile();
    if (adapter.features.includes("timestamp-query")) {
      assert.is(profile["step: spmm"]?.runs, 2);
      assert.ok(profile["step: spmm"]!.ms > 0);
    } else {
      assert.equal(profile, {});
    }
    assert.equal(profiled.profile(), {});
    await profiled.dispose();
  });

  test("programs with panels of any width agree with the oracle", async ({ backend }) => {
    const layouts: readonly PanelLayout[] = [
      { panel: 4, panels: 3 },
      { panel: 8, panels: 2 },
      { panel: 4, panels: 7 },
    ];
    const wanted =
      /takes its epilogue|reverse of a product|sums the lanes of 37|two products|dense 10 × 301|lookup|scatter/;
    // Tiles of 32 and 64 lanes of a dense product, and more than one of them.
    const wide: readonly PanelLayout[] = [
      { panel: 8, panels: 4 },
      { panel: 16, panels: 2 },
      { panel: 16, panels: 5 },
    ];
    const cases = conformanceCases({ maxLanes: 7 }).filter((c) => c.lanes === 7 && wanted.test(c.name));
    assert.ok(cases.length >= 8);
    for (const layout of layouts) {
      const shaped = withLayout(backend, layout);
      for (const c of cases) await compareWithOracle(shaped, c);
    }
    const dense = conformanceCases({ maxLanes: 7 }).filter(
      (c) => c.lanes === 7 && /dense (10 × 301|70 × 1100)/.test(c.name),
    );
    assert.is(dense.length, 4);
    for (const layout of wide) {
      const shaped = withLayout(backend, layout);
      for (const c of dense) await compareWithOracle(shaped, c);
    }
  });

  test("buffers in several slabs meet in one kernel", async ({ backend }) => {
    const rows = 1_500_000;
    const b = new ProgramBuilder("spread");
    const from = ["a", "b", "c"].map((name) => b.input(name, "row", { rows }));
    const sum = b.output("sum", "row", { rows });
    b.plainPhase(rows, (p) =>
      p.store(
        sum,
        from.map((id) => p.load(id)).reduce((x, y) => p.op("add", x, y)),
      ),
    );
    const names = ["a", "b", "c", "sum"];
    const buffers = Object.fromEntries(names.map((name) => [name, backend.buffer(name, rows)]));
    names.slice(0, 3).forEach((name, k) => {
      backend.upload(
        buffers[name]!,
        Float32Array.from({ length: rows }, (_, row) => (row % 1000) * 10 ** k),
      );
    });
    backend.run(backend.bind(backend.compile(b.build(), backend.layoutFor(1)), buffers));
    const total = await backend.download(buffers.sum!);
    assert.ok(total.every((x, row) => x === (row % 1000) * 111));
    for (const buffer of Object.values(buffers)) buffer.release();
  });

  test("what a run uses may be released as soon as it is enqueued", async ({ backend }) => {
    const layout = backend.layoutFor(3);
    const matrix = backend.sparse("w", skewedMatrix());
    const b = new ProgramBuilder("product");
    const w = b.input("w", "sparse", { rows: ROWS, cols: ROWS });
    const x = b.input("x", "state", { rows: ROWS });
    const y = b.output("y", "state", { rows: ROWS });
    b.phase(ROWS, (p) => p.store(y, p.matmul(w, x)));
    const buffers = { x: backend.buffer("x", 4 * ROWS), y: backend.buffer("y", 4 * ROWS) };
    backend.upload(buffers.x, stateValues(ROWS, [1, 2, 3], layout));
    backend.run(backend.bind(backend.compile(b.build(), layout), { w: matrix, ...buffers }));
    matrix.release();
    assert.ok((await backend.download(buffers.y)).some((value) => value !== 0));
    for (const buffer of Object.values(buffers)) buffer.release();
  });

  test("buffers made and released at random keep their own numbers", async ({ backend }) => {
    const stream = new RandomStream(keyOfSeed(11));
    const live: { buffer: DeviceBuffer; value: number }[] = [];
    const before = backend.memory();
    for (let k = 0; k < 300; k++) {
      if (live.length > 20 || (live.length > 0 && stream.uniform() < 0.45)) {
        const [{ buffer, value }] = live.splice(stream.below(live.length), 1) as [(typeof live)[number]];
        if (k % 5 === 0) assert.ok((await backend.download(buffer)).every((x) => x === value));
        buffer.release();
      } else {
        const buffer = backend.buffer(`buffer ${k}`, 1 + stream.below(200_000));
        if (k % 7 === 0)
          assert.ok(
            (await backend.download(buffer)).every((x) => x === 0),
            "new memory is zero",
          );
        backend.fill(buffer, k + 1);
        live.push({ buffer, value: k + 1 });
      }
    }
    for (const { buffer, value } of live) {
      assert.ok((await backend.download(buffer)).every((x) => x === value));
      buffer.release();
    }
    assert.is(backend.memory().liveBuffers, before.liveBuffers);
    assert.is(backend.memory().bytes, before.bytes);
  });

  test.run();
}
