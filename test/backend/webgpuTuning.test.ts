// The tuner of sparse products, with a clock by hand: what it chooses, drops, leaves and checks. And what retuning a backend does.

import * as assert from "uvu/assert";
import { createWebGpuBackend, type WebGpuBackend } from "../../src/backend/webgpu/backend.ts";
import { SPARSE_TUNING, type SparseTuning } from "../../src/backend/webgpu/sparseTuning.ts";
import { mostApart, problemOf, sameGroups, trialNumbers } from "../../src/backend/webgpu/trialProducts.ts";
import { type TuneOptions, type TuningTools, tuneSparse } from "../../src/backend/webgpu/tuneSparse.ts";
import { kernelCandidates, limitsCandidates } from "../../src/backend/webgpu/tuningCandidates.ts";
import { checkTuning, recordJson, type TuningRecord, tuningKey } from "../../src/backend/webgpu/tuningKey.ts";
import { type Csr, csrFromCoo } from "../../src/core/csr.ts";
import { ArgumentError, BackendError, FileFormatError } from "../../src/core/errors.ts";
import { requireTestAdapter } from "../support/softwareAdapter.ts";
import { suite } from "../support/suite.ts";

/** Rows of these lengths in turn. */
function smallMatrix(size = 120): Csr {
  const lengths = [0, 1, 6, 17, 40, 100];
  const rows: number[] = [];
  const cols: number[] = [];
  for (let row = 0; row < size; row++) {
    for (let k = 0; k < Math.min(size, lengths[row % 6]!); k++) {
      rows.push(row);
      cols.push((row + k) % size);
    }
  }
  return csrFromCoo({ nRows: size, nCols: size, rows, cols, values: rows.map((_, k) => 1 + k / 7) });
}

const SAME = { y: true, ct: true, grad: true };
const ROUNDING = { y: false, ct: false, grad: false };
/** Three panels: candidates with 1, 2 and (as the default has) 4 at a time. */
const LANES = 48;

const adapter = await requireTestAdapter();

if (adapter) {
  const test = suite("tuner of sparse products");
  const csr = smallMatrix();
  const backend = await createWebGpuBackend();
  const usual = backend.standardTuning;

  /** Times of 100 µs, but for what `of` says. */
  const clockOf =
    (of: (tuning: SparseTuning, kernel: string) => number | undefined): NonNullable<TuningTools["clock"]> =>
    (kernel, tuning) =>
      of(tuning, kernel) ?? 100;

  async function tuned(
    of: (tuning: SparseTuning, kernel: string) => number | undefined,
    options: Partial<TuneOptions> = {},
    tools: Partial<TuningTools> = {},
  ) {
    const before = backend.memory();
    const result = await tuneSparse(
      backend,
      csr,
      { lanes: LANES, ...options },
      { force: true, clock: clockOf(of), now: () => 0, ...tools },
    );
    assert.equal(backend.memory(), before);
    return result;
  }

  /** Runs `work` while shaders are rewritten on their way to the compiler. */
  async function withShaders<T>(rewrite: (code: string) => string, work: () => Promise<T>): Promise<T> {
    const { device } = backend;
    const make = device.createShaderModule;
    device.createShaderModule = (descriptor) =>
      make.call(device, { ...descriptor, code: rewrite(descriptor.code as string) });
    try {
      return await work();
    } finally {
      device.createShaderModule = make;
    }
  }

  const isForwardOf = (panels: number, code: string): boolean =>
    code.includes(`const BLOCK_PANELS = ${panels}u;`) && !code.includes("fn growGrad");

  test("the fastest of each kernel is chosen, by 3 % or more, and nothing else changes", async () => {
    const result = await tuned(({ panels }, kernel) =>
      kernel === "spmm" && panels === 2 ? 90 : panels === 1 ? 96 : 100,
    );
    assert.equal(result.tuning, { ...usual, panels: 2 });
    assert.equal(result.skipped, null);
    assert.is(result.untried, 0);
    assert.equal(backend.sparseTuning, usual);
    const [forward, backward] = result.trials;
    assert.equal(forward, { kernel: "spmm", tuning: usual, us: 100, problem: null });
    assert.equal(backward, { kernel: "spmmGrad", tuning: usual, us: 100, problem: null });
  });

  test("the default stays where nothing is 3 % faster", async () => {
    const result = await tuned(({ panels }) => (panels === 1 ? 97.5 : 100));
    assert.equal(result.tuning, usual);
  });

  test("a candidate that wins once by chance loses when it is timed again", async () => {
    let calls = 0;
    const result = await tuned(({ panels }) => (panels === 1 && calls++ < 1 ? 50 : 100));
    assert.equal(result.tuning, usual);
    assert.is(calls, 4);
  });

  test("without regroup, sums keep their groups; with it, limits are one choice for both products", async () => {
    const plain = await tuned(({ gradPanels, limits }) => (gradPanels !== 4 || limits[0] !== 16 ? 1 : 100));
    assert.equal(plain.tuning, usual);
    const result = await tuned(
      ({ limits, gradPanels }, kernel) => {
        if (limits[0] === 4) return kernel === "spmm" ? 60 : 90;
        if (limits[0] === 8) return kernel === "spmm" ? 40 : 140;
        return kernel === "spmmGrad" && gradPanels === 2 ? 80 : 100;
      },
      { regroup: true },
    );
    assert.equal(result.tuning, { ...usual, gradPanels: 2, limits: [4, 64, 512] });
    assert.ok(
      result.trials.every(({ problem }) => problem === null),
      JSON.stringify(result.trials),
    );
  });

  test("trials end with the budget, and the best so far is kept", async () => {
    let ms = 0;
    const clock = clockOf(({ panels }) => {
      ms += 100;
      return panels === 1 ? 50 : panels === 2 ? 10 : 100;
    });
    const result = await tuned(() => undefined, { budgetMs: 500 }, { clock, now: () => ms });
    assert.equal(result.tuning, { ...usual, panels: 1 });
    assert.is(result.untried, kernelCandidates(usual, backend.layoutFor(LANES), false).length - 1);
  });

  test("a wrong kernel is dropped", async () => {
    const result = await withShaders(
      (code) => (isForwardOf(2, code) ? code.replace("w.w * g[3]", "w.w * g[2]") : code),
      () => tuned(({ panels }) => (panels === 2 ? 1 : panels === 1 ? 90 : 100)),
    );
    assert.equal(result.tuning, { ...usual, panels: 1 });
    const wrong = result.trials.find(({ tuning }) => tuning.panels === 2)!;
    assert.is(wrong.us, null);
    assert.match(wrong.problem!, /^wrong: y\[\d+\] is .*, not the bits of the default's/);
  });

  test("a kernel that does not compile is dropped, and the backend is none the worse", async () => {
    const result = await withShaders(
      (code) => (isForwardOf(1, code) ? code.replace("fn main(", "fn main(x: nonsense, ") : code),
      () => tuned(({ panels }) => (panels === 1 ? 1 : panels === 2 ? 90 : 100)),
    );
    assert.equal(result.tuning, { ...usual, panels: 2 });
    const failed = result.trials.find(({ tuning }) => tuning.panels === 1)!;
    assert.is(failed.us, null);
    assert.match(failed.problem!, /does not compile/);
    await backend.finish();
  });

  test("an aborted signal ends the trials with its reason, and nothing is left behind", async () => {
    const controller = new AbortController();
    const before = backend.memory();
    const clock = (): number => {
      controller.abort();
      return 100;
    };
    const options = { lanes: LANES, signal: controller.signal };
    try {
      await tuneSparse(backend, csr, options, { force: true, clock });
      assert.unreachable();
    } catch (error) {
      assert.is(error, controller.signal.reason);
    }
    assert.equal(backend.memory(), before);
    const live = backend.counts().liveBuffers;
    assert.ok(live < 10, `${live} buffers`);
  });

  test("without force, a software adapter and small products are left alone", async () => {
    const result = await tuneSparse(backend, csr, { lanes: LANES });
    assert.equal(result.tuning, usual);
    assert.equal(result.trials, []);
    assert.match(
      result.skipped!,
      backend.adapter.isSoftware ? /is a software adapter$/ : /terms, fewer than 1,000,000/,
    );
    for (const budgetMs of [0, Number.NaN]) {
      await rejects(tuneSparse(backend, csr, { lanes: LANES, budgetMs }), ArgumentError, /budgetMs/);
    }
    await rejects(tuneSparse(backend, csr, { lanes: 1000 }), BackendError, /lanes/);
  });

  test("times are taken where no clock is given", async () => {
    const result = await tuneSparse(backend, smallMatrix(16), { lanes: 4, budgetMs: 60 }, { force: true });
    assert.ok(
      result.trials.every(({ us, problem }) => problem !== null || us! > 0),
      JSON.stringify(result.trials),
    );
    assert.is(result.trials[0]!.kernel, "spmm");
  });

  test("retune concerns what is made later, and not the row tables of matrices that are there", async () => {
    const own = await createWebGpuBackend();
    assert.equal(own.sparseTuning, usual);
    const matrix = own.sparse("w", csr);
    own.retune({ panels: 1 });
    assert.equal(own.sparseTuning, { ...usual, panels: 1 });
    assert.is((own.imagined() as WebGpuBackend).sparseTuning.panels, 1);
    assert.throws(
      () => own.retune({ limits: [8, 64, 256] }),
      (e: unknown) => e instanceof BackendError && e.code === "matrix",
    );
    assert.throws(
      () => own.retune({ window: 1 }),
      (e: unknown) => e instanceof BackendError && e.code === "matrix",
    );
    assert.throws(
      () => own.retune({ panels: 3 }),
      (e: unknown) => e instanceof ArgumentError && /retune/.test(e.message),
    );
    own.retune({ limits: [...usual.limits] });
    matrix.release();
    matrix.release();
    own.retune({ limits: [8, 64, 256] });
    assert.equal(own.sparseTuning.limits, [8, 64, 256]);
    await own.dispose();
  });

  test("a backend beside another one has its own memory, and goes alone", async () => {
    const before = backend.memory();
    const beside = backend.beside();
    const buffer = beside.buffer("b", 1000);
    beside.fill(buffer, 3);
    assert.is((await beside.download(buffer))[999], 3);
    assert.throws(
      () => backend.fill(buffer, 0),
      (e: unknown) => e instanceof BackendError,
    );
    await beside.dispose();
    assert.equal(backend.memory(), before);
    const own = backend.buffer("own", 8);
    assert.is((await backend.download(own))[7], 0);
    own.release();
  });

  test("the key names device, kernels, shape and batch, but no weights", () => {
    const key = tuningKey(backend, csr, LANES, false);
    assert.match(key, /^[0-9a-f]{64}$/);
    const others = { ...csr, values: csr.values.map((x) => 2 * x) as Float64Array };
    assert.is(tuningKey(backend, others, LANES, false), key);
    assert.is(tuningKey(backend, csr, LANES - 1, false), key, "as many panels");
    for (const other of [
      tuningKey(backend, csr, LANES, true),
      tuningKey(backend, csr, LANES - 16, false),
      tuningKey(backend, smallMatrix(63), LANES, false),
    ]) {
      assert.is.not(other, key);
    }
  });

  test.after(() => backend.dispose());
  test("of a device that is lost meanwhile nothing is chosen: the loss is thrown", async () => {
    const lost = await createWebGpuBackend();
    const clock = (): number => {
      lost.device.destroy();
      return 100;
    };
    const options = { lanes: LANES, regroup: true };
    const error = await tuneSparse(lost, csr, options, { force: true, clock, now: () => 0 }).catch((e: unknown) => e);
    assert.instance(error, BackendError);
    assert.is((error as BackendError).code, "device-lost");
    await lost.dispose();
  });

  test.run();
}

async function rejects(
  promise: Promise<unknown>,
  kind: new (...args: never[]) => Error,
  message: RegExp,
): Promise<void> {
  const error = await promise.then(
    () => null,
    (e: unknown) => e,
  );
  assert.instance(error, kind);
  assert.match((error as Error).message, message);
}

const plain = suite("what the tuner compares");

plain("bits that differ, and errors beyond rounding, are found", () => {
  const csr = smallMatrix();
  const layout = { panel: 4, panels: 1 } as const;
  const y = trialNumbers(csr.nRows * 4, 1);
  const changed = (at: number, x: number): { y: Float32Array } => ({ y: y.map((old, k) => (k === at ? x : old)) });
  assert.is(problemOf(csr, layout, { y: y.slice() }, { y }, SAME), null);
  // Row 4 has 40 entries.
  const nearly = y[17]! + 0.9 * mostApart(40);
  assert.match(problemOf(csr, layout, changed(17, nearly), { y }, SAME)!, /^wrong: y\[17\]/);
  assert.is(problemOf(csr, layout, changed(17, nearly), { y }, ROUNDING), null);
  assert.match(problemOf(csr, layout, changed(17, y[17]! + 1.1 * mostApart(40)), { y }, ROUNDING)!, /within rounding/);
  // Row 0 is empty.
  assert.match(problemOf(csr, layout, changed(0, y[0]! * (1 + 2 ** -23)), { y }, ROUNDING)!, /^wrong: y\[0\]/);
  assert.match(problemOf(csr, layout, changed(17, Number.NaN), { y }, ROUNDING)!, /is NaN/);
  const grad = trialNumbers(csr.nnz, 2);
  const wrongGrad = { grad: grad.map((x, k) => (k === 5 ? x + 1.1 * mostApart(5) : x)) };
  assert.match(problemOf(csr, layout, wrongGrad, { grad }, ROUNDING)!, /^wrong: grad\[5\]/);
});

plain("limits and gradPanels group sums; nothing else does", () => {
  assert.equal(sameGroups(SPARSE_TUNING, { ...SPARSE_TUNING, panels: 1, window: 1, exchange: "workgroup" }), SAME);
  assert.equal(sameGroups(SPARSE_TUNING, { ...SPARSE_TUNING, gradPanels: 1 }), { ...SAME, grad: false });
  assert.equal(sameGroups(SPARSE_TUNING, { ...SPARSE_TUNING, limits: [8, 64, 256] }), {
    y: false,
    ct: false,
    grad: true,
  });
});

plain("candidates that come to the same are tried once", () => {
  const panelsOf = (panels: number, regroup = false): string =>
    kernelCandidates(SPARSE_TUNING, { panel: 16, panels }, regroup)
      .map(({ kernel, tuning: t }) => `${kernel} ${t.panels} ${t.gradPanels} ${t.exchange}`)
      .join(", ");
  assert.is(panelsOf(1), "spmmGrad 4 4 workgroup");
  assert.is(panelsOf(4), "spmm 1 4 quads, spmmGrad 4 4 workgroup, spmm 2 4 quads");
  assert.match(panelsOf(16, true), /spmm 8 4 quads/);
  assert.match(panelsOf(16, true), /spmmGrad 4 8 quads/);
  // All rows and columns of one kind under any limits.
  const thin = csrFromCoo({ nRows: 3, nCols: 3, rows: [0, 1, 2], cols: [0, 1, 2], values: [1, 1, 1] });
  assert.equal(limitsCandidates(thin, SPARSE_TUNING), []);
  assert.ok(limitsCandidates(smallMatrix(), SPARSE_TUNING).length > 0);
});

plain("a record survives JSON; one that is malformed is refused by name", () => {
  const record: TuningRecord = {
    key: "0".repeat(64),
    tuning: { ...SPARSE_TUNING, limits: [16, 256, Number.POSITIVE_INFINITY], panels: 1 },
    ...{ adapter: "card", lanes: 64, regroup: false },
  };
  const json = JSON.parse(JSON.stringify(recordJson(record)));
  assert.equal(checkTuning(json, "tuning.json"), record);
  const malformed: readonly [unknown, RegExp][] = [
    [null, /an object/],
    [{ ...json, key: "abc" }, /key/],
    [{ ...json, lanes: 0 }, /lanes/],
    [{ ...json, regroup: "no" }, /regroup/],
    [{ ...json, adapter: 3 }, /adapter/],
    [{ ...json, more: 1 }, /another field: "more"/],
    [{ ...json, tuning: undefined }, /tuning/],
    [{ ...json, tuning: { ...json.tuning, panels: 3 } }, /1, 2, 4 or 8.*panels/],
    [{ ...json, tuning: { ...json.tuning, panels: "4" } }, /panels/],
    [{ ...json, tuning: { ...json.tuning, limits: [1, 2] } }, /limits/],
    [{ ...json, tuning: { ...json.tuning, limits: "16,256,1024" } }, /limits/],
    [{ ...json, tuning: { ...json.tuning, window: 0 } }, /window/],
    [{ ...json, tuning: { ...json.tuning, exchange: "mail" } }, /exchange/],
    [{ ...json, tuning: { ...json.tuning, speed: 1 } }, /another field: "speed"/],
  ];
  for (const [data, message] of malformed) {
    assert.throws(
      () => checkTuning(data, "tuning.json"),
      (error: unknown) => error instanceof FileFormatError && message.test(error.message),
    );
  }
});

plain.run();
