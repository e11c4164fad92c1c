// The WASM backend: f32 (fast) or f64 (reference), SIMD, threads. Programs become code for a small interpreter inside WASM (assembly/),
// and their pointwise work becomes WASM itself (codegen.ts); a run is one call per thread. The number of threads does not change a bit
// of a result, nor do the other samples of a batch.

import { type Csr, checkRepresentable } from "../../core/csr.ts";
import { bytesOf, type DType, type FloatArray } from "../../core/dtype.ts";
import { BackendError } from "../../core/errors.ts";
import {
  type Backend,
  type Bindable,
  type BoundProgram,
  type DeviceBuffer,
  type DeviceSparse,
  type Executable,
  type MemoryStats,
  SPARED_ARRAYS,
} from "../backend.ts";
import {
  checkCopy,
  checkOwn,
  checkRange,
  checkTakenRows,
  disposedError,
  foreignError,
  resolveBindings,
} from "../checkBuffers.ts";
import { checkLayout, checkProgram } from "../checkProgram.ts";
import { HOST_TAPE_BYTES } from "../hostMemory.ts";
import { layoutFor } from "../layout.ts";
import type { PanelLayout, Program } from "../program.ts";
import { Arena, imaginedLand, landOf } from "./arena.ts";
import { WasmBound } from "./bound.ts";
import { BufferSpace, WasmBuffer, WasmSparse, WasmSparseRows } from "./buffers.ts";
import { WasmExecutable } from "./compile.ts";
import { GeneratedFunctions } from "./functions.ts";
import type { Functions } from "./fuse.ts";
import { CONTROL_LINE, CONTROL_TAKEN } from "./isa.ts";
import { createMemory, instantiate, loadModule, MAX_PAGES, PAGE_BYTES, type WasmMemory } from "./module.ts";
import { ThreadPool } from "./pool.ts";
import { PROFILE_BYTES, PROFILE_KINDS } from "./profile.ts";
import { defaultThreads, describeMachine, mostThreads, thisMachine } from "./threads.ts";
import { Workspace } from "./workspace.ts";

export interface WasmBackendOptions {
  /** Precision of all numbers. */
  readonly dtype?: DType;
  /** Threads, the caller's included; by default as many as the machine runs at once, at most `mostThreads()`. */
  readonly threads?: number;
  /** Measure where the time goes; see `Backend.profile`. */
  readonly profile?: boolean;
  /** Use the build that checks addresses and indices; AXOGRAD_WASM_DEBUG=1 in the environment does the same. */
  readonly debug?: boolean;
  /** How long the calling thread waits for another one within a run before it takes it for dead. Default 60 s. */
  readonly patienceMs?: number;
  /** Most memory to use; at most (and by default) the 4 GiB that WASM can address. */
  readonly memoryLimitBytes?: number;
}

/** Lanes of the widest panel; larger batches run chunk by chunk. */
const MAX_LANES = 16;

/**
 * Creates a backend with its own memory and threads.
 *
 * @throws {BackendError} "not-built" without the compiled module; "threads", "memory-limit" for options out of range; "no-webassembly";
 *   "address-space" where a limit of virtual memory is too low
 */
export async function createWasmBackend(options: WasmBackendOptions = {}): Promise<Backend> {
  const {
    dtype = "f32",
    threads = defaultThreads(),
    profile = false,
    debug = process.env.AXOGRAD_WASM_DEBUG === "1",
    memoryLimitBytes = MAX_PAGES * PAGE_BYTES,
    patienceMs = 60_000,
  } = options;
  if (!Number.isInteger(threads) || threads < 1) {
    throw new BackendError("threads", `wasm: expected a positive whole number of threads, got ${threads} (threads)`);
  }
  const machine = thisMachine();
  const most = mostThreads(machine);
  if (threads > most) {
    throw new BackendError(
      "threads",
      `wasm: expected at most ${most} thread${most === 1 ? "" : "s"} on this machine (${describeMachine(machine)}), got ${threads} (threads)`,
      { threads, most },
    );
  }
  const wantedPages = Math.min(MAX_PAGES, Math.floor(memoryLimitBytes / PAGE_BYTES));
  if (!(wantedPages >= 1)) {
    throw new BackendError(
      "memory-limit",
      `wasm: expected at least ${PAGE_BYTES} bytes, got ${memoryLimitBytes} (memoryLimitBytes)`,
    );
  }
  const module = await loadModule(debug);
  const { memory, maxPages } = createMemory(wantedPages);
  // Thread 0 gets generated code directly.
  const kernels = instantiate(module, memory, dtype, () => {}, patienceMs);
  const arena = new Arena(landOf(memory), kernels.heapBase, maxPages * PAGE_BYTES, adviceFor(maxPages, wantedPages));
  const control = arena.allocate("control block", CONTROL_TAKEN + threads * CONTROL_LINE).address;
  const profileTable = profile ? arena.allocate("profile", PROFILE_BYTES).address : 0;
  const pool = await ThreadPool.create({ module, memory, dtype, kernels, threads, control, profile: profileTable });
  const functions = new GeneratedFunctions({
    dtype,
    firstAddress: debug ? kernels.heapBase : null,
    kernels: kernels.places,
    table: kernels.table,
    publish: (generated, nFunctions) => pool.publish({ module: generated, nFunctions }),
  });
  const { heapBase } = kernels;
  const limit = maxPages * PAGE_BYTES;
  const imagine = (): WasmBackend => {
    const imagined = new Arena(imaginedLand(), heapBase, limit, adviceFor(maxPages, wantedPages));
    imagined.allocate("control block", CONTROL_TAKEN + threads * CONTROL_LINE);
    return new WasmBackend({
      ...parts,
      arena: imagined,
      pool: NO_THREADS,
      functions: noFunctions(dtype),
      isImagined: true,
    });
  };
  const parts: Parts = {
    ...{ dtype, threads, debug, memory, arena, pool, functions, profileTable },
    ...{ imagine, isImagined: false },
  };
  return new WasmBackend(parts);
}

/** Of a backend with imagined memory, which runs nothing. */
const NO_THREADS: Parts["pool"] = { run: () => {}, check: () => {}, close: async () => {} };

function noFunctions(dtype: DType): Parts["functions"] {
  return { dtype, firstAddress: null, place: () => 0, kernel: () => 0, install: () => {} };
}

/** What helps where there is no memory left, besides using less of it. */
function adviceFor(maxPages: number, wantedPages: number): string {
  if (maxPages < wantedPages) return "or a higher limit of virtual memory (ulimit -v)";
  return "or a higher memoryLimitBytes (at most 4 GiB)";
}

interface Parts {
  readonly dtype: DType;
  readonly threads: number;
  readonly debug: boolean;
  readonly memory: WasmMemory;
  readonly arena: Arena;
  readonly pool: Pick<ThreadPool, "run" | "check" | "close">;
  readonly functions: Functions & Pick<GeneratedFunctions, "install">;
  /** Address, or 0. */
  readonly profileTable: number;
  readonly imagine: () => Backend;
  readonly isImagined: boolean;
}

class WasmBackend implements Backend {
  readonly name = "wasm";
  readonly dtype: DType;
  readonly description: string;
  readonly maxLanes: number = MAX_LANES;
  readonly tapeBudgetBytes: number = HOST_TAPE_BYTES;
  readonly isAsynchronous = false;
  readonly usesHostMemory = true;
  readonly maxArrayBytes: number;
  readonly #parts: Parts;
  readonly #space: BufferSpace;
  readonly #workspace: Workspace;
  #livePrograms = 0;
  #disposed = false;

  constructor(parts: Parts) {
    const { dtype, threads, debug, memory, arena } = parts;
    this.#parts = parts;
    this.maxArrayBytes = arena.limit;
    this.dtype = dtype;
    this.description = `wasm ${dtype}, ${threads} thread${threads === 1 ? "" : "s"}, SIMD${debug ? ", checked" : ""}`;
    this.#space = new BufferSpace(memory, arena, dtype, parts.isImagined);
    this.#workspace = new Workspace(memory, arena, threads);
  }

  lanesFor(): number {
    return MAX_LANES;
  }

  layoutFor(lanes: number): PanelLayout {
    return layoutFor(lanes, MAX_LANES);
  }

  buffer(label: string, length: number, type: "float" | "u32" = "float"): DeviceBuffer {
    this.#check();
    return new WasmBuffer(this.#space, label, length, type);
  }

  async buffersIfRoom<Name extends string>(
    label: string,
    lengths: Readonly<Record<Name, number>>,
  ): Promise<Readonly<Record<Name, DeviceBuffer>> | null> {
    const sizes = Object.values<number>(lengths).map((length) => length * bytesOf(this.dtype));
    const total = sizes.reduce((sum, bytes) => sum + bytes, 0);
    if (this.#parts.arena.left < total + SPARED_ARRAYS * Math.max(0, ...sizes)) return null;
    const made: Partial<Record<Name, DeviceBuffer>> = {};
    try {
      for (const name in lengths) made[name] = this.buffer(`${label} ${name}`, lengths[name]);
      return made as Record<Name, DeviceBuffer>;
    } catch (error) {
      for (const name in made) made[name]!.release();
      if (error instanceof BackendError && error.code === "out-of-memory") return null;
      throw error;
    }
  }

  sparse(label: string, csr: Csr): DeviceSparse {
    this.#check();
    checkRepresentable(csr, this.dtype, label);
    return new WasmSparse(this.#space, label, csr);
  }

  sparseRows(matrix: DeviceSparse, isTaken: ArrayLike<number>): DeviceSparse {
    this.#check();
    const own = checkOwn("sparseRows", matrix, (b): b is WasmSparse => b instanceof WasmSparse && this.#isOwn(b));
    checkTakenRows(own, isTaken);
    return new WasmSparseRows(own, isTaken);
  }

  upload(target: DeviceBuffer, data: ArrayLike<number>, offset = 0): void {
    const own = this.#own("upload", target);
    checkRange("upload", own, offset, data.length);
    own.view(offset, data.length).set(data);
  }

  // Synchronous but for the interface: all work is done when it is asked for.
  async download(
    source: DeviceBuffer,
    offset = 0,
    length: number = source.length - offset,
  ): Promise<FloatArray | Uint32Array> {
    const own = this.#own("download", source);
    checkRange("download", own, offset, length);
    return own.view(offset, length).slice();
  }

  downloadAll(sources: readonly DeviceBuffer[]): Promise<readonly (FloatArray | Uint32Array)[]> {
    return Promise.all(sources.map((source) => this.download(source)));
  }

  fill(target: DeviceBuffer, value: number): void {
    this.#own("fill", target).view().fill(value);
  }

  copy(target: DeviceBuffer, source: DeviceBuffer): void {
    const [to, from] = [this.#own("copy", target), this.#own("copy", source)];
    checkCopy(to, from);
    to.view().set(from.view());
  }

  compile(program: Program, layout: PanelLayout): Executable {
    this.#check();
    checkProgram(program);
    checkLayout(program, layout, 1);
    const { functions } = this.#parts;
    const executable = new WasmExecutable(program, layout, functions);
    functions.install();
    this.#workspace.reserve(executable);
    return executable;
  }

  bind(executable: Executable, bindings: Readonly<Record<string, Bindable>>): BoundProgram {
    this.#check();
    if (!this.#isOwnExecutable(executable)) throw foreignError(executable.program.name, "an executable");
    const bound = resolveBindings(executable, bindings, this.#isOwn);
    const result = new WasmBound(executable, bound, () => this.#livePrograms--);
    this.#workspace.reserve(result.executable);
    this.#workspace.link(result);
    this.#livePrograms++;
    return result;
  }

  run(bound: BoundProgram): void {
    this.#check();
    if (!(bound instanceof WasmBound && this.#isOwnExecutable(bound.executable))) {
      throw foreignError(bound.executable.program.name, "a bound program");
    }
    bound.checkLive();
    // Code is no buffer: it would go to where the memory is not imagined.
    if (this.#parts.isImagined || bound.isIdle()) return;
    this.#parts.pool.run(this.#workspace.load(bound));
  }

  async finish(): Promise<void> {
    this.#check();
  }

  traffic(): null {
    return null;
  }

  memory(): MemoryStats {
    return { ...this.#parts.arena.stats(), liveBuffers: this.#space.live, livePrograms: this.#livePrograms };
  }

  imagined(): Backend {
    this.#check();
    return this.#parts.imagine();
  }

  profile(): Readonly<Record<string, { readonly ms: number; readonly runs: number }>> {
    const { memory, profileTable } = this.#parts;
    if (profileTable === 0) return {};
    const table = new Float64Array(memory.buffer, profileTable, PROFILE_BYTES / 8);
    const entries = PROFILE_KINDS.map((kind, i) => [kind, { ms: table[2 * i]!, runs: table[2 * i + 1]! }] as const);
    table.fill(0);
    return Object.fromEntries(entries.filter(([, { runs }]) => runs > 0));
  }

  async dispose(): Promise<void> {
    this.#disposed = true;
    await this.#parts.pool.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }

  #check(): void {
    if (this.#disposed) throw disposedError(this.name);
    this.#parts.pool.check();
  }

  /** The backend's own buffer behind `buffer`. */
  #own(where: string, buffer: DeviceBuffer): WasmBuffer {
    this.#check();
    return checkOwn(where, buffer, (b): b is WasmBuffer => b instanceof WasmBuffer && this.#isOwn(b));
  }

  readonly #isOwn = (given: Bindable): given is WasmBuffer | WasmSparse | WasmSparseRows =>
    (given instanceof WasmBuffer || given instanceof WasmSparse || given instanceof WasmSparseRows) &&
    given.space === this.#space;

  #isOwnExecutable(executable: Executable): executable is WasmExecutable {
    return executable instanceof WasmExecutable && executable.functions === this.#parts.functions;
  }
}
