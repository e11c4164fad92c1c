// The WASM backend beyond the single instruction: threads and batch mates do not show in the bits, memory is accounted for, mistakes
// are named, and a thread that fails takes nobody with it.

import { spawnSync } from "node:child_process";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Backend, Bindable, DeviceBuffer } from "../../src/backend/backend.ts";
import type { Program } from "../../src/backend/program.ts";
import { createBackend } from "../../src/backend/select.ts";
import { createWasmBackend } from "../../src/backend/wasm/backend.ts";
import type { WasmExecutable } from "../../src/backend/wasm/compile.ts";
import { OP_GEMM } from "../../src/backend/wasm/isa.ts";
import { addKernels, unknownOpcode } from "../../src/backend/wasm/module.ts";
import { type Csr, csrFromCoo } from "../../src/core/csr.ts";
import type { FloatArray } from "../../src/core/dtype.ts";
import { ArgumentError, BackendError, SparseFormatError } from "../../src/core/errors.ts";
import { keyOfSeed, RandomStream } from "../../src/core/random.ts";
import { assertBitEqual } from "../support/close.ts";
import { DEFAULT_SEED } from "../support/matrices.ts";
import { ProgramBuilder } from "../support/programBuilder.ts";

const test = suite("wasm backend");

/** Runs `body` with a backend of its own. */
async function withBackend(
  options: Parameters<typeof createWasmBackend>[0],
  body: (backend: Backend) => Promise<void> | void,
): Promise<void> {
  const backend = await createWasmBackend(options);
  try {
    await body(backend);
  } finally {
    await backend.dispose();
  }
}

/** The error that `action` throws, which must be a BackendError with this code. */
function errorOf(code: string, action: () => unknown): BackendError {
  try {
    action();
  } catch (error) {
    if (!(error instanceof BackendError)) throw error;
    assert.is(error.code, code, error.message);
    return error;
  }
  throw new Error(`expected an error with code ${code}, got none`);
}

function buffer(backend: Backend, data: ArrayLike<number>, type: "float" | "u32" = "float"): DeviceBuffer {
  const result = backend.buffer("test", data.length, type);
  backend.upload(result, data);
  return result;
}

test("buffers that can be done without: none where there is no room for them, and some is left", async () => {
  await withBackend({ threads: 1, memoryLimitBytes: 16 * 2 ** 20 }, async (backend) => {
    const ask = () => backend.buffersIfRoom("set", { a: 2 ** 16, b: 2 ** 14 });
    const sets = [];
    for (let set = await ask(); set; set = await ask()) sets.push(set);
    assert.ok(sets.length > 5, `${sets.length} sets`);
    assert.equal([sets[0]!.a.label, sets[0]!.b.length], ["set a", 2 ** 14]);
    for (let k = 0; k < 15; k++) backend.buffer("others", 2 ** 16);
    errorOf("out-of-memory", () => backend.buffer("too much", 2 ** 22));
    assert.is(await ask(), null);
  });
});

// ---- a program large enough to be shared among threads -----------------------------------------------------------------------

const N = 3000;
const CLASSES = 37;
const stream = new RandomStream(keyOfSeed(DEFAULT_SEED));

/** About 100 entries per row; one row has 1,500, every seventh none. */
const CONNECTOME: Csr = (() => {
  const rows: number[] = [];
  const cols: number[] = [];
  for (let row = 0; row < N; row++) {
    const degree = row === 5 ? 1500 : row % 7 === 0 ? 0 : 50 + stream.below(100);
    for (let k = 0; k < degree; k++) {
      rows.push(row);
      cols.push(stream.below(N));
    }
  }
  return csrFromCoo({ nRows: N, nCols: N, rows, cols, values: rows.map(() => 0.1 * stream.normal()) });
})();

const BIAS = Float64Array.from({ length: N }, () => stream.normal());
const READOUT = Float64Array.from({ length: CLASSES * N }, () => 0.02 * stream.normal());

/** Products and their reverses, sparse and dense, reductions both ways, lookup, random numbers, and a pass over all weights. */
function everything(): Program {
  const b = new ProgramBuilder("everything");
  const nnz = CONNECTOME.nnz;
  const w = b.input("w", "sparse", { rows: N, cols: N });
  const readout = b.input("readout", "dense", { rows: CLASSES, cols: N });
  const bias = b.input("bias", "row", { rows: N });
  const x = b.input("x", "state", { rows: N });
  const t = b.input("t", "sample");
  const key = b.input("key", "key");
  const table = b.input("table", "table", { rows: N, cols: 3 });
  const y = b.output("y", "state", { rows: N });
  const logits = b.output("logits", "state", { rows: CLASSES });
  const norm = b.output("norm", "sample");
  const ct = b.output("ct", "state", { rows: N });
  const dw = b.inout("dw", "nnz", { rows: nnz });
  const dReadout = b.inout("dReadout", "dense", { rows: CLASSES, cols: N });
  const dBias = b.output("dBias", "row", { rows: N });
  const total = b.output("total", "scalar");
  const g = b.temp("g", "state", N, 2, 3);
  b.phase(N, (p) => {
    const z = p.op("add", p.matmul(w, x), p.load(bias));
    const noise = p.push({ op: "random", key, sampleId: p.load(t) });
    const drive = p.push({ op: "lookup", table, index: p.op("floor", p.op("mul", p.load(t), p.const(0.5))) });
    const value = p.op("sub", p.op("sigmoid", p.op("add", z, p.op("mul", noise, drive))), p.load(x));
    p.store(y, value);
    p.push({ op: "reduceRows", binding: norm, value: p.op("mul", value, value), how: "sum", accumulate: false });
  });
  b.phase(CLASSES, (p) => p.store(logits, p.matmul(readout, y)));
  b.phase(N, (p) => {
    const grad = { x: p.load(y), binding: dReadout };
    const back = p.push({ op: "matmulT", matrix: readout, g: logits, needCt: true, grad });
    p.store(g, p.op("mul", back, p.load(norm)));
  });
  b.phase(N, (p) => {
    const back = p.push({ op: "matmulT", matrix: w, g, needCt: true, grad: { x: p.load(x), binding: dw } });
    p.store(ct, back);
    p.push({ op: "reduceLanes", binding: dBias, value: back, accumulate: false });
  });
  b.plainPhase(nnz, (p) => {
    const value = p.op("mul", p.load(dw), p.const(0.5));
    p.store(dw, value);
    p.push({ op: "reduceRows", binding: total, value: p.op("abs", value), how: "sum", accumulate: false });
  });
  return b.build();
}

/** Samples: their states, drives and ids. Lanes without a sample are zero. */
interface Batch {
  readonly panel: 4 | 8 | 16;
  /** By lane: the sample in it, or null. */
  readonly lanes: readonly (number | null)[];
}

const SAMPLES = Array.from({ length: 16 }, () => Float64Array.from({ length: 4 * N }, () => stream.normal()));

/** Runs `everything` on a batch; the outputs by name. */
async function runEverything(backend: Backend, { panel, lanes }: Batch): Promise<Record<string, FloatArray>> {
  const state = (part: number): Float64Array =>
    Float64Array.from({ length: N * panel }, (_, i) => {
      const sample = lanes[i % panel];
      return sample === null || sample === undefined ? 0 : SAMPLES[sample]![part * N + Math.floor(i / panel)]!;
    });
  const program = everything();
  const zeros = (name: string): DeviceBuffer => {
    const { kind, rows, cols = 1 } = program.bindings.find((b) => b.name === name)!;
    return backend.buffer(name, rows * cols * (kind === "state" || kind === "sample" ? panel : 1));
  };
  const outputs = ["y", "logits", "norm", "ct", "dw", "dReadout", "dBias", "total"];
  const bindings: Record<string, Bindable> = {
    w: backend.sparse("w", CONNECTOME),
    readout: buffer(backend, READOUT),
    bias: buffer(backend, BIAS),
    x: buffer(backend, state(0)),
    t: buffer(
      backend,
      Float64Array.from({ length: panel }, (_, lane) => (lanes[lane] ?? 0) % 6),
    ),
    key: buffer(backend, [1, 2], "u32"),
    table: buffer(backend, Float64Array.from([1, 2, 3].flatMap((part) => [...state(part)]))),
    ...Object.fromEntries(outputs.map((name) => [name, zeros(name)])),
  };
  backend.run(backend.bind(backend.compile(program, { panel, panels: 1 }), bindings));
  const results: Record<string, FloatArray> = {};
  for (const name of outputs) results[name] = (await backend.download(bindings[name] as DeviceBuffer)) as FloatArray;
  for (const bindable of Object.values(bindings)) bindable.release();
  return results;
}

for (const dtype of ["f32", "f64"] as const) {
  test(`${dtype}: any number of threads gives the same bits`, async () => {
    const batch: Batch = { panel: 8, lanes: [0, 1, 2, 3, 4, 5, 6, 7] };
    let expected: Record<string, FloatArray> | null = null;
    for (const threads of [1, 2, 3, 5]) {
      await withBackend({ dtype, threads, profile: true }, async (backend) => {
        const actual = await runEverything(backend, batch);
        assert.is("barrier" in backend.profile(), threads > 1, "the work was shared");
        for (const name of Object.keys(actual)) {
          assert.ok(actual[name]!.some((v) => v !== 0) && actual[name]!.every(Number.isFinite), name);
          if (expected) assertBitEqual(actual[name]!, expected[name]!, `${threads} threads: ${name}`);
        }
        expected ??= actual;
      });
    }
  });

  test(`${dtype}: sums of what refers to a row have the same bits for any number of threads`, async () => {
    const [rows, entries] = [50_000, 200_000];
    const b = new ProgramBuilder("sums by index");
    const source = b.input("source", "row", { rows: entries });
    const index = b.input("index", "index", { rows: entries });
    const sums = b.output("sums", "row", { rows });
    b.plainPhase(rows, (p) => p.store(sums, p.push({ op: "gatherT", source, index, offsets: null })));
    const stream = new RandomStream(keyOfSeed(DEFAULT_SEED));
    const data = Float64Array.from({ length: entries }, () => stream.normal());
    const at = Uint32Array.from({ length: entries }, (_, k) => (k % 5 === 0 ? 7 : stream.below(rows)));
    let expected: FloatArray | null = null;
    for (const threads of [1, 2, 5]) {
      await withBackend({ dtype, threads }, async (backend) => {
        const target = backend.buffer("sums", rows);
        const bound = { source: buffer(backend, data), index: buffer(backend, at, "u32"), sums: target };
        backend.run(backend.bind(backend.compile(b.build(), backend.layoutFor(1)), bound));
        const actual = (await backend.download(target)) as FloatArray;
        assert.ok(actual.some((x) => x !== 0));
        assertBitEqual(actual, expected ?? actual, `${threads} threads`);
        expected ??= actual;
      });
    }
  });

  test(`${dtype}: a sample's results do not depend on its lane, its panel or its batch mates`, async () => {
    await withBackend({ dtype }, async (backend) => {
      const perSample = async (batch: Batch, lane: number): Promise<Record<string, FloatArray>> => {
        const results = await runEverything(backend, batch);
        const ofLane = (name: string): FloatArray => results[name]!.filter((_, i) => i % batch.panel === lane);
        return Object.fromEntries(["y", "logits", "norm", "ct"].map((name) => [name, ofLane(name)]));
      };
      const alone = await perSample({ panel: 4, lanes: [3, null, null, null] }, 0);
      const among8 = await perSample({ panel: 8, lanes: [0, 1, 2, 4, 5, 6, 7, 3] }, 7);
      const among16 = await perSample({ panel: 16, lanes: SAMPLES.map((_, i) => i) }, 3);
      for (const name of Object.keys(alone)) {
        assertBitEqual(among8[name]!, alone[name]!, `panel of 8: ${name}`);
        assertBitEqual(among16[name]!, alone[name]!, `panel of 16: ${name}`);
      }
    });
  });

  test(`${dtype}: sums over lanes do not depend on the width of the panel`, async () => {
    await withBackend({ dtype }, async (backend) => {
      const narrow = await runEverything(backend, { panel: 4, lanes: [0, 1, 2, 3] });
      const wide = await runEverything(backend, { panel: 16, lanes: [0, 1, 2, 3, ...Array(12).fill(null)] });
      // Lanes without a sample have no state; their bias still makes a cotangent, but its product with x = 0 is 0.
      assertBitEqual(wide.dw!, narrow.dw!, "dw");
    });
  });
}

// ---- memory ------------------------------------------------------------------------------------------------------------------

test("buffers start as zeros, also in memory that was used before", async () => {
  await withBackend({ threads: 1 }, async (backend) => {
    const first = backend.buffer("first", 1000);
    backend.fill(first, 7);
    first.release();
    for (const length of [10, 990, 3000]) {
      const again = backend.buffer("again", length);
      assert.ok((await backend.download(again)).every((x) => x === 0));
    }
  });
});

test("released memory is used again, whatever the order of release", async () => {
  await withBackend({ threads: 1 }, (backend) => {
    const before = backend.memory();
    const make = (): DeviceBuffer[] => [1000, 50, 20000, 3, 4000].map((n) => backend.buffer(`${n}`, n));
    for (const order of [
      [0, 1, 2, 3, 4],
      [4, 3, 2, 1, 0],
      [2, 0, 4, 1, 3],
    ]) {
      const buffers = make();
      assert.is(backend.memory().liveBuffers, 5);
      for (const i of order) buffers[i]!.release();
      buffers[0]!.release();
      assert.is(backend.memory().bytes, before.bytes);
      assert.is(backend.memory().liveBuffers, 0);
    }
    const { peakBytes, largestBytes } = backend.memory();
    assert.ok(peakBytes < before.bytes + 4 * (1000 + 50 + 20000 + 3 + 4000) + 5 * 64);
    assert.ok(largestBytes >= 80000 && largestBytes < 80064);
  });
});

test("out of memory names the buffer and the numbers, changes nothing, and ends when memory is released", async () => {
  await withBackend({ threads: 1, memoryLimitBytes: 8 * 2 ** 20 }, async (backend) => {
    const held = backend.buffer("held", 1.25 * 2 ** 20);
    backend.fill(held, 3);
    const before = backend.memory();
    const error = errorOf("out-of-memory", () => backend.buffer("too much", 2 ** 20));
    assert.match(
      error.message,
      /too much.*4\.0 MiB.*8\.0 MiB.*memoryLimitBytes|4\.0 MiB for too much.*of 8\.0 MiB.*memoryLimitBytes/,
    );
    assert.is(error.facts.askedBytes, 2 ** 22);
    assert.equal(backend.memory(), before);
    errorOf("out-of-memory", () => backend.sparse("matrix", CONNECTOME));
    assert.equal(backend.memory().liveBuffers, before.liveBuffers, "the parts of the matrix are released");
    assert.ok((await backend.download(held)).every((x) => x === 3));
    held.release();
    backend.buffer("enough", 2 ** 20);
  });
});

test("a program whose temporaries do not fit is refused when it is compiled, and others go on", async () => {
  await withBackend({ threads: 1, memoryLimitBytes: 4 * 2 ** 20 }, async (backend) => {
    const doubling = (rows: number): Program => {
      const b = new ProgramBuilder("doubling");
      const x = b.inout("x", "state", { rows });
      const temp = b.temp("temp", "state", rows, 0, 1);
      b.phase(rows, (p) => p.store(temp, p.load(x)));
      b.phase(rows, (p) => p.accumulate(x, p.load(temp)));
      return b.build();
    };
    const layout = backend.layoutFor(4);
    const x = buffer(
      backend,
      Float32Array.from({ length: 400 }, (_, i) => i),
    );
    const bound = backend.bind(backend.compile(doubling(100), layout), { x });
    errorOf("out-of-memory", () => backend.compile(doubling(1_000_000), layout));
    backend.run(bound);
    assert.equal(
      Array.from(await backend.download(x)),
      Array.from({ length: 400 }, (_, i) => 2 * i),
    );
  });
});

test("memory above two gigabytes is addressed as any other", async () => {
  await withBackend({ threads: 2, debug: true }, async (backend) => {
    // Never touched, so it costs no physical memory.
    backend.buffer("filler", 2.25 * 2 ** 28);
    const results = await runEverything(backend, { panel: 4, lanes: [0, 1, 2, 3] });
    await withBackend({ threads: 2 }, async (low) => {
      const expected = await runEverything(low, { panel: 4, lanes: [0, 1, 2, 3] });
      for (const name of Object.keys(expected)) assertBitEqual(results[name]!, expected[name]!, name);
    });
  });
});

test("options out of range are refused", async () => {
  const codeOf = (options: Parameters<typeof createWasmBackend>[0]): Promise<string> =>
    createWasmBackend(options).then(
      () => "none",
      (error) => error.code,
    );
  assert.is(await codeOf({ threads: 0 }), "threads");
  assert.is(await codeOf({ threads: 1.5 }), "threads");
  assert.is(await codeOf({ memoryLimitBytes: 10 }), "memory-limit");
});

// ---- failing threads ---------------------------------------------------------------------------------------------------------

const LONG = 400_000;

/** out[i] = source[index[i]] over a vector long enough to be shared, and once more, so that there is a barrier to hang in. */
function gatherTwice(backend: Backend, index: Uint32Array): () => void {
  const b = new ProgramBuilder("gatherTwice");
  const source = b.input("source", "row", { rows: 4 });
  const at = b.input("at", "index", { rows: LONG });
  const out = b.output("out", "row", { rows: LONG });
  for (let i = 0; i < 2; i++) b.plainPhase(LONG, (p) => p.store(out, p.push({ op: "gather", source, index: at })));
  const bindings = {
    source: backend.buffer("source", 4),
    at: buffer(backend, index, "u32"),
    out: backend.buffer("out", LONG),
  };
  const bound = backend.bind(backend.compile(b.build(), backend.layoutFor(1)), bindings);
  return () => backend.run(bound);
}

for (const [who, broken] of [
  ["a worker", LONG - 1],
  ["the main thread", 0],
] as const) {
  test(`when ${who} traps, the run ends with an error and the backend says that it is unusable`, async () => {
    await withBackend({ threads: 3 }, (backend) => {
      const index = new Uint32Array(LONG);
      gatherTwice(backend, index)();
      index[broken] = 0x30000000;
      const error = errorOf("thread-failed", gatherTwice(backend, index));
      assert.match(error.message, /memory access out of bounds.*create another/);
      errorOf("thread-failed", () => backend.buffer("later", 1));
    });
  });
}

test("the debug build finds an index that points to the wrong place inside memory", async () => {
  const index = new Uint32Array(LONG);
  index[LONG - 1] = 4;
  await withBackend({ threads: 2 }, (backend) => gatherTwice(backend, index)());
  await withBackend({ threads: 2, debug: true }, (backend) => {
    const error = errorOf("thread-failed", gatherTwice(backend, index));
    assert.match(error.message, /assertion failed: index out of range/);
  });
});

test("an opcode that the interpreter does not know is told, by its name if it has one", async () => {
  for (const debug of [false, true]) {
    await withBackend({ threads: 1, debug }, (backend) => {
      const b = new ProgramBuilder("unknown opcode");
      const y = b.output("y", "row", { rows: 4 });
      b.plainPhase(4, (p) => p.store(y, p.push({ op: "rowIndex" })));
      const executable = backend.compile(b.build(), backend.layoutFor(1)) as WasmExecutable;
      Object.assign(executable.phases[0]!.body[0]!, { op: 255 });
      const bound = backend.bind(executable, { y: backend.buffer("y", 4) });
      assert.match(errorOf("thread-failed", () => backend.run(bound)).message, /an opcode .*, got 255;/);
    });
  }
  assert.throws(() => unknownOpcode(OP_GEMM), /got 68 \(gemm\)/);
});

test("a kernel that the module lacks is named, with the place to export it from", () => {
  const table = { length: 0, grow: () => 0, set: () => {} };
  const none = { expF32: () => {}, logF32: () => {} };
  assert.throws(() => addKernels(table, none, "F32"), /got none; export it from assembly\/elementary\.ts, or run/);
  assert.throws(() => addKernels(table, none, "F32"), /the kernel log1pF32,/);
});

test("a process ends by itself although its backend was not disposed of", () => {
  const url = new URL("../../src/backend/wasm/backend.js", import.meta.url).href;
  const script = `const { createWasmBackend } = await import(${JSON.stringify(url)}); await createWasmBackend({ threads: 4 });`;
  const { status, signal, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", script], {
    timeout: 20_000,
  });
  assert.is(signal, null);
  assert.is(status, 0, stderr.toString());
});

test("a backend that was disposed of says so, and can be disposed of again", async () => {
  const backend = await createWasmBackend({ threads: 2 });
  await backend.dispose();
  await backend.dispose();
  errorOf("disposed", () => backend.buffer("late", 1));
});

// ---- profile -----------------------------------------------------------------------------------------------------------------

test("a profile tells kinds of work apart, starts again at every look, and is empty unless asked for", async () => {
  await withBackend({ threads: 2, profile: true }, async (backend) => {
    await runEverything(backend, { panel: 4, lanes: [0, 1, 2, 3] });
    const profile = backend.profile();
    const kinds = ["matmul sparse", "matmulT sparse", "matmul dense", "matmulT dense", "reduction", "barrier"];
    assert.equal(Object.keys(profile).sort(), kinds.sort());
    assert.ok(Object.values(profile).every(({ ms, runs }) => ms >= 0 && runs >= 1));
    assert.equal(backend.profile(), {});
  });
  await withBackend({ threads: 1 }, async (backend) => {
    await runEverything(backend, { panel: 4, lanes: [0, 1, 2, 3] });
    assert.equal(backend.profile(), {});
  });
});

test("devices, precisions and options that do not exist are refused by name", async () => {
  const wrong: readonly [object, RegExp][] = [
    [{ device: "cuda" }, /expected "auto", "wasm", "webgpu", got "cuda" \(device\)/],
    [{ dtype: "f16" }, /expected "f32", "f64", got "f16" \(dtype\)/],
    [{ thread: 1 }, /expected threads, .* got "thread"/],
  ];
  for (const [selection, message] of wrong) {
    try {
      await createBackend(selection);
    } catch (error) {
      assert.instance(error, ArgumentError);
      assert.match((error as ArgumentError).message, message);
      continue;
    }
    assert.unreachable(JSON.stringify(selection));
  }
});

test("a weight that single precision does not have is refused where it would become infinite", async () => {
  const csr = csrFromCoo({ nRows: 1, nCols: 2, rows: [0, 0], cols: [0, 1], values: [1, 1e300] });
  await withBackend({ threads: 1 }, (backend) => {
    try {
      backend.sparse("W", csr);
    } catch (error) {
      assert.instance(error, SparseFormatError);
      assert.match(
        (error as SparseFormatError).message,
        /W: expected numbers in the range of f32, .* got 1e\+300 at entry 1/,
      );
      return;
    }
    assert.unreachable();
  });
  await withBackend({ threads: 1, dtype: "f64" }, async (backend) => {
    assert.equal(Array.from(await backend.download(backend.sparse("W", csr).valuesCsr)), [1, 1e300]);
  });
});

test.run();
