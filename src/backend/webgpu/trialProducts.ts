// The two sparse products of a training step on their own, to be timed and compared: Y = W·X, and ct = Wᵀ·G with grad += (G·Xᵀ at the entries).

import { type Csr, columnOffsets, lengthsOf } from "../../core/csr.ts";
import { unitRoundoff } from "../../core/dtype.ts";
import { BackendError } from "../../core/errors.ts";
import { keyOfSeed, RandomStream } from "../../core/random.ts";
import type { DeviceBuffer } from "../backend.ts";
import { lanesOf } from "../layout.ts";
import type { Binding, PanelLayout, Phase, Program } from "../program.ts";
import type { BesideBackend, WebGpuBackend } from "./backend.ts";
import type { GpuBound } from "./dispatches.ts";
import type { SparseTuning } from "./sparseTuning.ts";

export type TrialKernel = "spmm" | "spmmGrad";

/** What the products compute, in device order; grad from zero. */
export type TrialResults = Readonly<Partial<Record<"y" | "ct" | "grad", Float32Array>>>;

/** Operands repeat with this period: a prime, so that no two panels or rows have the same numbers. */
const PERIOD = 65521;
/** Words of a row table besides indices: at most this many per row, and a little for padding. */
const WORDS_PER_ROW = 5;
const PADDING = 2 ** 16;

/** Numbers of either sign with magnitudes in [0.5, 1): no zeros, which could hide an error, and known bounds. */
export function trialNumbers(length: number, seed: number): Float32Array {
  const stream = new RandomStream(keyOfSeed(seed));
  const numbers = new Float32Array(length);
  const first = Math.min(PERIOD, length);
  for (let k = 0; k < first; k++) {
    const x = stream.uniform() - 0.5;
    numbers[k] = Math.fround(x < 0 ? x - 0.5 : x + 0.5) * (1 - 2 ** -20);
  }
  for (let done = first; done < length; done *= 2) numbers.copyWithin(done, 0, Math.min(done, length - done));
  return numbers;
}

function programsOf({ nRows, nCols, nnz }: Csr): Readonly<Record<TrialKernel, Program>> {
  const w: Binding = { name: "w", kind: "sparse", rows: nRows, cols: nCols, access: "read" };
  const state = (name: string, rows: number, access: Binding["access"]): Binding => {
    return { name, kind: "state", rows, access };
  };
  const phase = (rows: number, instrs: Phase["instrs"]): readonly Phase[] => [{ rows, lanes: "batch", instrs }];
  return {
    spmm: {
      name: "trial",
      bindings: [w, state("x", nCols, "read"), state("y", nRows, "write")],
      phases: phase(nRows, [
        { op: "matmul", matrix: 0, x: 1 },
        { op: "store", binding: 2, value: 0, accumulate: false },
      ]),
    },
    spmmGrad: {
      name: "trial",
      bindings: [
        w,
        state("g", nRows, "read"),
        state("x", nCols, "read"),
        state("ct", nCols, "write"),
        { name: "grad", kind: "nnz", rows: nnz, access: "readwrite" },
      ],
      phases: phase(nCols, [
        { op: "load", binding: 2 },
        { op: "matmulT", matrix: 0, g: 1, needCt: true, grad: { x: 0, binding: 4 } },
        { op: "store", binding: 3, value: 1, accumulate: false },
      ]),
    },
  };
}

/** A matrix under one choice of row tables, its operands, and its products under any other choices; on a backend of their own. */
export class TrialProducts {
  readonly backend: BesideBackend;
  readonly layout: PanelLayout;
  readonly #programs: Readonly<Record<TrialKernel, Program>>;
  readonly #bindings: Readonly<Record<string, DeviceBuffer | ReturnType<WebGpuBackend["sparse"]>>>;

  private constructor(
    backend: BesideBackend,
    layout: PanelLayout,
    csr: Csr,
    buffers: Readonly<Record<string, DeviceBuffer>>,
  ) {
    this.backend = backend;
    this.layout = layout;
    this.#programs = programsOf(csr);
    this.#bindings = { ...buffers, w: backend.sparse("w", { ...csr, values: trialNumbers(csr.nnz, 1) }) };
  }

  /** @throws {BackendError} the device has no room, or is lost */
  static async create(
    beside: WebGpuBackend,
    csr: Csr,
    layout: PanelLayout,
    tuning: SparseTuning,
  ): Promise<TrialProducts> {
    const backend = beside.beside();
    try {
      backend.retune(tuning);
      const lanes = lanesOf(layout);
      const [rows, cols] = [csr.nRows * lanes, csr.nCols * lanes];
      const lengths = { x: cols, g: rows, y: rows, ct: cols, grad: csr.nnz };
      await checkRoom(backend, csr);
      const buffers = await backend.buffersIfRoom("trial", lengths);
      if (!buffers) throw noRoom();
      backend.upload(buffers.x, trialNumbers(cols, 2));
      backend.upload(buffers.g, trialNumbers(rows, 3));
      const products = new TrialProducts(backend, layout, csr, buffers);
      await products.settle();
      return products;
    } catch (error) {
      await backend.dispose();
      throw error;
    }
  }

  /**
   * A product under these choices; its row table is the matrix's.
   *
   * @throws {BackendError} it does not compile, or the device has no room
   */
  async bind(kernel: TrialKernel, { limits: _, window: __, ...choices }: SparseTuning): Promise<GpuBound> {
    this.backend.retune(choices);
    const program = this.#programs[kernel];
    const names = program.bindings.map(({ name }) => name);
    const bindings = Object.fromEntries(names.map((name) => [name, this.#bindings[name]!]));
    const bound = this.backend.bind(this.backend.compile(program, this.layout), bindings);
    await this.settle();
    return bound;
  }

  /** Of one run. @throws {BackendError} it fails */
  async results(kernel: TrialKernel, bound: GpuBound): Promise<TrialResults> {
    const names = kernel === "spmm" ? (["y"] as const) : (["ct", "grad"] as const);
    const buffers = names.map((name) => this.#bindings[name] as DeviceBuffer);
    // What an earlier candidate left there could pass for this one's.
    for (const buffer of buffers) this.backend.fill(buffer, 0);
    this.backend.run(bound);
    const arrays = await this.backend.downloadAll(buffers);
    return Object.fromEntries(names.map((name, k) => [name, arrays[k]]));
  }

  /** Waits for checks of what was made. @throws {BackendError} what they found */
  async settle(): Promise<void> {
    const error = await this.backend.takeError();
    if (error) throw error;
  }

  async dispose(): Promise<void> {
    await this.backend.dispose();
  }
}

/** A matrix is not made "if there is room"; so its room is taken and given back before. */
async function checkRoom(backend: BesideBackend, csr: Csr): Promise<void> {
  const { nnz, nRows, nCols } = csr;
  const [rowTable, colTable] = [nRows, nCols].map((count) => nnz + WORDS_PER_ROW * count + PADDING) as [number, number];
  const lengths = { values: nnz, valuesCsc: nnz, cscOfCsr: nnz, rowTable, colTable };
  const room = await backend.buffersIfRoom("trial matrix", lengths);
  if (!room) throw noRoom();
  for (const buffer of Object.values(room)) buffer.release();
}

function noRoom(): BackendError {
  return new BackendError("out-of-memory", "webgpu: the device has no room for a trial of the sparse products");
}

/** Which results must agree to the bit: what is grouped in the same way. */
export function sameGroups(a: SparseTuning, b: SparseTuning): Readonly<Record<"y" | "ct" | "grad", boolean>> {
  const sameLimits = a.limits.every((limit, k) => limit === b.limits[k]);
  return { y: sameLimits, ct: sameLimits, grad: a.gradPanels === b.gradPanels };
}

/**
 * How far two right results of a product may be from each other, whatever the order of their sums: 2·γ_k·Σ|terms|, which is at most 2·γ_k·k
 * for k products of numbers below 1. Source: Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., lemma 3.1.
 */
export function mostApart(terms: number): number {
  const ku = terms * unitRoundoff("f32");
  return ku < 1 ? (2 * terms * ku) / (1 - ku) : Number.POSITIVE_INFINITY;
}

/**
 * What is wrong with results, compared with those of the default choices; null: nothing.
 *
 * @param same  which results must have the same bits
 */
export function problemOf(
  csr: Csr,
  layout: PanelLayout,
  got: TrialResults,
  expected: TrialResults,
  same: Readonly<Record<"y" | "ct" | "grad", boolean>>,
): string | null {
  for (const name of ["y", "ct", "grad"] as const) {
    const [array, reference] = [got[name], expected[name]];
    if (!array || !reference) continue;
    const bits = same[name];
    const at = bits ? firstOtherBits(array, reference) : firstApart(array, reference, boundOf(csr, layout, name));
    if (at < 0) continue;
    const wanted = bits ? "the bits" : "within rounding";
    return `wrong: ${name}[${at}] is ${array[at]}, not ${wanted} of the default's ${reference[at]}`;
  }
  return null;
}

/** The bound of an element of a result. */
function boundOf(csr: Csr, layout: PanelLayout, name: "y" | "ct" | "grad") {
  if (name === "grad") {
    // A term per lane, and an addition to what is there per block of panels.
    const bound = mostApart(lanesOf(layout) + layout.panels);
    return (): number => bound;
  }
  const lengths = lengthsOf(name === "y" ? csr.rowPtr : columnOffsets(csr));
  return (at: number): number => mostApart(lengths[Math.floor(at / layout.panel) % lengths.length]!);
}

function firstOtherBits(a: Float32Array, b: Float32Array): number {
  const bytes = (x: Float32Array): Buffer => Buffer.from(x.buffer, x.byteOffset, x.byteLength);
  if (a.length === b.length && bytes(a).equals(bytes(b))) return -1;
  return a.findIndex((x, k) => !Object.is(x, b[k]));
}

function firstApart(a: Float32Array, b: Float32Array, boundAt: (at: number) => number): number {
  // Not `> bound`: every comparison with NaN is false.
  return a.findIndex((x, k) => !(Math.abs(x - b[k]!) <= boundAt(k)));
}
