// Sparse products with rows of every length on WebGPU: they are right, and what may be tuned leaves them as they are.

import * as assert from "uvu/assert";
import type { PanelLayout, Program } from "../../src/backend/program.ts";
import { createWebGpuBackend, type WebGpuBackend } from "../../src/backend/webgpu/backend.ts";
import { SPARSE_TUNING, type SparseTuning } from "../../src/backend/webgpu/sparseTuning.ts";
import { kernelCandidates, limitsCandidates } from "../../src/backend/webgpu/tuningCandidates.ts";
import { type Csr, csrFromCoo } from "../../src/core/csr.ts";
import { keyOfSeed, RandomStream } from "../../src/core/random.ts";
import { assertBitEqual, assertClose, gamma } from "../support/close.ts";
import { ProgramBuilder } from "../support/programBuilder.ts";
import { matrixOfLengths } from "../support/rowLengths.ts";
import { requireTestAdapter } from "../support/softwareAdapter.ts";
import { suite } from "../support/suite.ts";

/** Wᵀ as a matrix of its own. */
function transposed(csr: Csr): Csr {
  const rows: number[] = [];
  const cols: number[] = [];
  for (let row = 0; row < csr.nRows; row++) {
    for (let k = csr.rowPtr[row]!; k < csr.rowPtr[row + 1]!; k++) {
      rows.push(csr.colIdx[k]!);
      cols.push(row);
    }
  }
  return csrFromCoo({ nRows: csr.nCols, nCols: csr.nRows, rows, cols, values: csr.values });
}

/** Five rows, each of more entries than 16 threads walk. */
function longRows(): Csr {
  const [nRows, nCols] = [5, 1100];
  const rows = Array.from({ length: nRows * nCols }, (_, k) => Math.floor(k / nCols));
  const values = rows.map((_, k) => 1 - (k % 7) / 4);
  return csrFromCoo({ nRows, nCols, rows, cols: rows.map((_, k) => k % nCols), values });
}

function forward(csr: Csr): Program {
  const b = new ProgramBuilder("forward");
  const w = b.input("w", "sparse", { rows: csr.nRows, cols: csr.nCols });
  const x = b.input("x", "state", { rows: csr.nCols });
  const y = b.output("y", "state", { rows: csr.nRows });
  return b.phase(csr.nRows, (p) => p.store(y, p.matmul(w, x))).build();
}

function reverse(csr: Csr): Program {
  const b = new ProgramBuilder("reverse");
  const w = b.input("w", "sparse", { rows: csr.nRows, cols: csr.nCols });
  const g = b.input("g", "state", { rows: csr.nRows });
  const x = b.input("x", "state", { rows: csr.nCols });
  const ct = b.output("ct", "state", { rows: csr.nCols });
  const grad = b.inout("grad", "nnz", { rows: csr.nnz });
  return b
    .phase(csr.nCols, (p) => {
      p.store(ct, p.push({ op: "matmulT", matrix: w, g, needCt: true, grad: { x: p.load(x), binding: grad } }));
    })
    .build();
}

/** Y = W·X, whose rows are also summed over lanes in the same dispatch. */
function forwardWithSum(csr: Csr): Program {
  const b = new ProgramBuilder("forward with sum");
  const w = b.input("w", "sparse", { rows: csr.nRows, cols: csr.nCols });
  const x = b.input("x", "state", { rows: csr.nCols });
  const sum = b.output("sum", "row", { rows: csr.nRows });
  return b
    .phase(csr.nRows, (p) => {
      p.push({ op: "reduceLanes", binding: sum, value: p.matmul(w, x), accumulate: false });
    })
    .build();
}

/** Rows without entries, with one, 17, 257 and 5,000, twice each. */
function extremeRows(): Csr {
  const nCols = 5003;
  const lengths = [0, 1, 17, 257, 5000, 5000, 257, 17, 1, 0];
  const rows = lengths.flatMap((length, row) => new Array<number>(length).fill(row));
  const cols = lengths.flatMap((length) => Array.from({ length }, (_, k) => (3 * k + length) % nCols));
  return csrFromCoo({ nRows: lengths.length, nCols, rows, cols, values: rows.map((_, k) => 1 - (k % 7) / 4) });
}

function numbers(rows: number, { panel, panels }: PanelLayout, seed: number): Float32Array {
  const stream = new RandomStream(keyOfSeed(seed));
  return Float32Array.from({ length: rows * panel * panels }, () => stream.normal());
}

/** Y = W·X in f64, and how far f32 may be from it: γ of the sum's length times Σ |w·x|. */
function productOf(
  csr: Csr,
  x: Float32Array,
  { panel, panels }: PanelLayout,
): { readonly y: Float64Array; readonly bounds: Float64Array } {
  const y = new Float64Array(csr.nRows * panel * panels);
  const bounds = new Float64Array(y.length);
  for (let p = 0; p < panels; p++) {
    for (let row = 0; row < csr.nRows; row++) {
      const [first, end] = [csr.rowPtr[row]!, csr.rowPtr[row + 1]!];
      for (let lane = 0; lane < panel; lane++) {
        const at = (p * csr.nRows + row) * panel + lane;
        for (let k = first; k < end; k++) {
          const term = Math.fround(csr.values[k]!) * x[(p * csr.nCols + csr.colIdx[k]!) * panel + lane]!;
          y[at]! += term;
          bounds[at]! += gamma(end - first + 1, "f32") * Math.abs(term);
        }
      }
    }
  }
  return { y, bounds };
}

/** The gradient of the entries of Wᵀ in their CSC order, which is the CSR order of `csr` = W: Σ g·x over all lanes. */
function gradOf(csr: Csr, layout: PanelLayout): { readonly grad: Float64Array; readonly bounds: Float64Array } {
  const { panel, panels } = layout;
  const [g, x] = [numbers(csr.nCols, layout, 2), numbers(csr.nRows, layout, 3)];
  const grad = new Float64Array(csr.nnz);
  const bounds = new Float64Array(csr.nnz);
  for (let row = 0; row < csr.nRows; row++) {
    for (let k = csr.rowPtr[row]!; k < csr.rowPtr[row + 1]!; k++) {
      for (let lane = 0; lane < panel * panels; lane++) {
        const at = (rows: number, r: number): number => (Math.floor(lane / panel) * rows + r) * panel + (lane % panel);
        const term = g[at(csr.nCols, csr.colIdx[k]!)]! * x[at(csr.nRows, row)]!;
        grad[k]! += term;
        bounds[k]! += gamma(panel * panels + 1, "f32") * Math.abs(term);
      }
    }
  }
  return { grad, bounds };
}

/** Compares W·X, Wᵀ·G by the transposed matrix, and its gradient, with f64. */
async function compareProducts(backend: WebGpuBackend, csr: Csr, layout: PanelLayout): Promise<void> {
  const what = `${csr.nRows} × ${csr.nCols}, ${layout.panels} panels of ${layout.panel}`;
  const { y, bounds } = productOf(csr, numbers(csr.nCols, layout, 1), layout);
  assertClose(await runForward(backend, csr, layout), y, bounds, `y, ${what}`);
  const { ct, grad } = await runReverse(backend, transposed(csr), layout);
  const back = productOf(csr, numbers(csr.nCols, layout, 2), layout);
  assertClose(ct, back.y, back.bounds, `ct, ${what}`);
  const ofEntries = gradOf(csr, layout);
  assertClose(grad, ofEntries.grad, ofEntries.bounds, `grad, ${what}`);
}

async function runForward(backend: WebGpuBackend, csr: Csr, layout: PanelLayout): Promise<Float32Array> {
  const x = numbers(csr.nCols, layout, 1);
  const buffers = {
    x: backend.buffer("x", x.length),
    y: backend.buffer("y", csr.nRows * layout.panel * layout.panels),
  };
  backend.upload(buffers.x, x);
  const w = backend.sparse("w", csr);
  backend.run(backend.bind(backend.compile(forward(csr), layout), { w, ...buffers }));
  const y = (await backend.download(buffers.y)) as Float32Array;
  for (const made of [w, ...Object.values(buffers)]) made.release();
  return y;
}

interface Reverse {
  readonly ct: Float32Array;
  readonly grad: Float32Array;
}

async function runReverse(backend: WebGpuBackend, csr: Csr, layout: PanelLayout): Promise<Reverse> {
  const [g, x] = [numbers(csr.nRows, layout, 2), numbers(csr.nCols, layout, 3)];
  const buffers = {
    g: backend.buffer("g", g.length),
    x: backend.buffer("x", x.length),
    ct: backend.buffer("ct", x.length),
    grad: backend.buffer("grad", csr.nnz),
  };
  backend.upload(buffers.g, g);
  backend.upload(buffers.x, x);
  const w = backend.sparse("w", csr);
  backend.run(backend.bind(backend.compile(reverse(csr), layout), { w, ...buffers }));
  const [ct, grad] = await backend.downloadAll([buffers.ct, buffers.grad]);
  for (const made of [w, ...Object.values(buffers)]) made.release();
  return { ct: ct as Float32Array, grad: grad as Float32Array };
}

const adapter = await requireTestAdapter();

if (adapter) {
  const test = suite("rows of every length on webgpu");
  const layouts: readonly PanelLayout[] = [
    { panel: 4, panels: 1 },
    { panel: 8, panels: 1 },
    { panel: 16, panels: 1 },
    { panel: 16, panels: 5 },
  ];
  const short: SparseTuning = { limits: [8, 64, 512], window: 7, panels: 1, gradPanels: 2, exchange: "workgroup" };

  for (const [name, tuning] of [
    ["the default", SPARSE_TUNING],
    ["another tuning", short],
  ] as const) {
    test(`products with ${name} are within their bounds of f64`, async () => {
      const backend = await createWebGpuBackend({ sparseTuning: tuning });
      const csr = matrixOfLengths();
      for (const layout of layouts) await compareProducts(backend, csr, layout);
      await backend.dispose();
    });
  }

  test("windows, panels per thread and exchange leave every bit of a product as it is", async () => {
    const csr = matrixOfLengths();
    const turned = transposed(csr);
    const changes: readonly Partial<SparseTuning>[] = [
      {},
      { window: 1 },
      { window: Number.POSITIVE_INFINITY },
      { panels: 1 },
      { panels: 8 },
      { exchange: "workgroup" },
    ];
    for (const layout of layouts) {
      const results: { y: Float32Array; ct: Float32Array; grad: Float32Array }[] = [];
      for (const sparseTuning of changes) {
        const backend = await createWebGpuBackend({ sparseTuning });
        results.push({ y: await runForward(backend, csr, layout), ...(await runReverse(backend, turned, layout)) });
        await backend.dispose();
      }
      for (const { y, ct, grad } of results.slice(1)) {
        assertBitEqual(y, results[0]!.y, "y");
        assertBitEqual(ct, results[0]!.ct, "ct");
        assertBitEqual(grad, results[0]!.grad, "grad");
      }
    }
  });

  test("every choice that the tuner tries is within its bounds of f64", async () => {
    const backend = await createWebGpuBackend();
    const csr = extremeRows();
    const wide: PanelLayout = { panel: 16, panels: 5 };
    const usual = backend.sparseTuning;
    const ofKernels = kernelCandidates(usual, wide, true).map(({ tuning }) => tuning);
    const ofRows = limitsCandidates(csr, usual).map((limits) => ({ ...usual, limits }));
    assert.ok(ofKernels.length >= 6 && ofRows.length >= 2, `${ofKernels.length}, ${ofRows.length}`);
    for (const tuning of [...ofKernels, ...ofRows]) {
      backend.retune(tuning);
      // With one and three panels a block is not full, or not of the size that was chosen.
      for (const panels of ofRows.includes(tuning) ? [2] : [1, 3, 5])
        await compareProducts(backend, csr, { panel: 16, panels });
    }
    await backend.dispose();
  });

  test("panels per thread leave every bit of a sum over lanes beside a product", async () => {
    const csr = matrixOfLengths();
    const layout: PanelLayout = { panel: 16, panels: 5 };
    const backend = await createWebGpuBackend();
    const program = forwardWithSum(csr);
    const buffers = { x: backend.buffer("x", csr.nCols * 80), sum: backend.buffer("sum", csr.nRows) };
    backend.upload(buffers.x, numbers(csr.nCols, layout, 1));
    const w = backend.sparse("w", csr);
    const sums: Float32Array[] = [];
    for (const panels of [4, 1, 2, 8]) {
      backend.retune({ panels });
      backend.run(backend.bind(backend.compile(program, layout), { w, ...buffers }));
      sums.push((await backend.download(buffers.sum)) as Float32Array);
    }
    assert.ok(sums[0]!.some((x) => x !== 0));
    for (const sum of sums.slice(1)) assertBitEqual(sum, sums[0]!, "sum");
    await backend.dispose();
  });

  test("a program that was bound before the backend was retuned stays right, to the bit", async () => {
    const csr = matrixOfLengths();
    const layout: PanelLayout = { panel: 16, panels: 5 };
    const backend = await createWebGpuBackend();
    const program = forward(csr);
    const buffers = { x: backend.buffer("x", csr.nCols * 80), y: backend.buffer("y", csr.nRows * 80) };
    backend.upload(buffers.x, numbers(csr.nCols, layout, 1));
    const w = backend.sparse("w", csr);
    const executable = backend.compile(program, layout);
    const before = backend.bind(executable, { w, ...buffers });
    const results: Float32Array[] = [];
    const run = async (bound: typeof before): Promise<void> => {
      backend.fill(buffers.y, 0);
      backend.run(bound);
      results.push((await backend.download(buffers.y)) as Float32Array);
    };
    await run(before);
    backend.retune({ panels: 1 });
    await run(before);
    await run(backend.bind(executable, { w, ...buffers }));
    const again = backend.compile(program, layout);
    assert.is.not(again, executable);
    await run(backend.bind(again, { w, ...buffers }));
    for (const result of results.slice(1)) assertBitEqual(result, results[0]!, "y");
    await backend.dispose();
  });

  test("products of a matrix whose rows are all long are within their bounds of f64", async () => {
    const backend = await createWebGpuBackend();
    await compareProducts(backend, longRows(), { panel: 16, panels: 1 });
    await backend.dispose();
  });

  test("without the feature subgroups the reverse of a product runs all the same", async () => {
    const backend = await createWebGpuBackend({ sparseTuning: { exchange: "workgroup" } });
    assert.not(backend.device.features.has("subgroups"));
    const csr = matrixOfLengths();
    const { ct, grad } = await runReverse(backend, transposed(csr), { panel: 16, panels: 1 });
    assert.ok(ct.every(Number.isFinite) && grad.some((x) => x !== 0));
    await backend.dispose();
  });

  test.run();
}
