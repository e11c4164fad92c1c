// The WASM backend: f32 (fast) or f64 (reference), SIMD, threads. Programs are compiled to the code of a small interpreter that runs
// inside WASM (assembly/), and their pointwise work to WASM itself (codegen.ts); a run is one call per thread. Results have the same
// bits for any number of threads, and a sample's results do not depend on the other lanes.

import { type Csr, checkRepresentable } from "../../core/csr.ts";
import { bytesOf, type DType, type FloatArray } from "../../core/dtype.ts";
import { BackendError, nearestName } from "../../core/errors.ts";
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
import { HOST_TAPE_BYTES } from "../hostMemory.ts";
import type { Binding, PanelLayout, Program } from "../program.ts";
import { Arena } from "./arena.ts";
import { type Bound, WasmBound } from "./bound.ts";
import { BufferSpace, WasmBuffer, WasmSparse } from "./buffers.ts";
import { lengthOf, WasmExecutable } from "./compile.ts";
import { GeneratedFunctions } from "./functions.ts";
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
  const arena = new Arena(memory, kernels.heapBase, maxPages * PAGE_BYTES, adviceFor(maxPages, wantedPages));
  const control = arena.allocate("control block", CONTROL_TAKEN + threads * CONTROL_LINE).address;
  const profileTable = profile ? arena.allocate("profile", PROFILE_BYTES).address : 0;
  const pool = await ThreadPool.create({ module, memory, dtype, kernels, threads, control, profile: profileTable });
  const functions = new GeneratedFunctions({
    dtype,
    firstAddress: debug ? kernels.heapBase : null,
    table: kernels.table,
    publish: (generated, nFunctions) => pool.publish({ module: generated, nFunctions }),
  });
  return new WasmBackend({ dtype, threads, debug, memory, arena, pool, functions, profileTable });
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
  readonly pool: ThreadPool;
  readonly functions: GeneratedFunctions;
  /** Address, or 0. */
  readonly profileTable: number;
}

class WasmBackend implements Backend {
  readonly name = "wasm";
  readonly dtype: DType;
  readonly description: string;
  readonly maxLanes: number = MAX_LANES;
  readonly tapeBudgetBytes: number = HOST_TAPE_BYTES;
  readonly isAsynchronous = false;
  readonly #parts: Parts;
  readonly #space: BufferSpace;
  readonly #workspace: Workspace;
  #livePrograms = 0;
  #disposed = false;

  constructor(parts: Parts) {
    const { dtype, threads, debug, memory, arena } = parts;
    this.#parts = parts;
    this.dtype = dtype;
    this.description = `wasm ${dtype}, ${threads} thread${threads === 1 ? "" : "s"}, SIMD${debug ? ", checked" : ""}`;
    this.#space = new BufferSpace(memory, arena, dtype);
    this.#workspace = new Workspace(memory, arena, threads);
  }

  lanesFor(): number {
    return MAX_LANES;
  }

  layoutFor(lanes: number): PanelLayout {
    if (!Number.isInteger(lanes) || lanes < 1 || lanes > MAX_LANES) {
      throw new BackendError("lanes", `layoutFor: expected 1 to ${MAX_LANES} lanes, got ${lanes} (lanes)`);
    }
    return { panel: lanes <= 4 ? 4 : lanes <= 8 ? 8 : 16, panels: 1 };
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

  upload(target: DeviceBuffer, data: ArrayLike<number>, offset = 0): void {
    const own = this.#own(target);
    checkRange("upload", own, offset, data.length);
    own.view(offset, data.length).set(data);
  }

  // Synchronous but for the interface: all work is done when it is asked for.
  async download(
    source: DeviceBuffer,
    offset = 0,
    length: number = source.length - offset,
  ): Promise<FloatArray | Uint32Array> {
    const own = this.#own(source);
    checkRange("download", own, offset, length);
    return own.view(offset, length).slice();
  }

  downloadAll(sources: readonly DeviceBuffer[]): Promise<readonly (FloatArray | Uint32Array)[]> {
    return Promise.all(sources.map((source) => this.download(source)));
  }

  fill(target: DeviceBuffer, value: number): void {
    this.#own(target).view().fill(value);
  }

  copy(target: DeviceBuffer, source: DeviceBuffer): void {
    const [to, from] = [this.#own(target), this.#own(source)];
    if (to.length !== from.length || to.type !== from.type) {
      const [expected, got] = [to, from].map((b) => `${b.length} of type ${b.type} (${b.label})`);
      throw new BackendError("length", `copy: expected ${expected}, got ${got}`);
    }
    to.view().set(from.view());
  }

  compile(program: Program, layout: PanelLayout): Executable {
    this.#check();
    const { panel, panels } = layout;
    if (panels !== 1 || ![4, 8, 16].includes(panel)) {
      throw new BackendError(
        "layout",
        `${program.name}: expected one panel of 4, 8 or 16 lanes, got ${panels} of ${panel} (layout)`,
      );
    }
    const { functions } = this.#parts;
    const executable = new WasmExecutable(program, layout, functions);
    functions.install();
    this.#workspace.reserve(executable);
    return executable;
  }

  bind(executable: Executable, bindings: Readonly<Record<string, Bindable>>): BoundProgram {
    this.#check();
    if (!(executable instanceof WasmExecutable)) {
      throw new BackendError(
        "foreign",
        `${executable.program.name}: expected an executable of this backend, got another's`,
      );
    }
    const { program, layout } = executable;
    const known = program.bindings.filter((b) => !b.temp).map((b) => b.name);
    for (const name of Object.keys(bindings)) {
      if (known.includes(name)) continue;
      const near = nearestName(name, known);
      throw bindError(program, `one of its bindings${near === null ? "" : `, perhaps ${near}`}`, "another name", name);
    }
    const bound = program.bindings.map((b) => this.#resolve(program, b, layout, bindings[b.name]));
    const result = new WasmBound(executable, bound, () => this.#livePrograms--);
    this.#workspace.link(result);
    this.#livePrograms++;
    return result;
  }

  run(bound: BoundProgram): void {
    this.#check();
    if (!(bound instanceof WasmBound)) {
      throw new BackendError(
        "foreign",
        `${bound.executable.program.name}: expected a program bound by this backend, got another's`,
      );
    }
    bound.checkLive();
    if (!bound.isIdle()) this.#parts.pool.run(this.#workspace.load(bound));
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
    if (this.#disposed)
      throw new BackendError("disposed", "wasm: expected a backend in use, got one that was disposed of");
    this.#parts.pool.check();
  }

  /** The backend's own buffer behind `buffer`. */
  #own(buffer: DeviceBuffer): WasmBuffer {
    this.#check();
    if (!(buffer instanceof WasmBuffer) || buffer.space !== this.#space) throw foreign(buffer);
    if (buffer.released) throw released(buffer);
    return buffer;
  }

  #resolve(program: Program, binding: Binding, layout: PanelLayout, given: Bindable | undefined): Bound {
    const { name, kind, rows, cols } = binding;
    if (binding.temp) return null;
    if (!given) throw bindError(program, `a ${kind}`, "nothing", name);
    if (!(given instanceof WasmBuffer || given instanceof WasmSparse) || given.space !== this.#space)
      throw foreign(given);
    if (given.released) throw released(given);
    const expected = lengthOf(binding, layout);
    if (given instanceof WasmSparse) {
      const got = `a sparse matrix of ${given.nRows} × ${given.nCols} (${given.label})`;
      if (expected !== null) throw bindError(program, `a ${kind} of ${expected} elements`, got, name);
      if (given.nRows !== rows || given.nCols !== cols) throw bindError(program, `${rows} × ${cols}`, got, name);
      return given;
    }
    const got = `${given.length} of type ${given.type} (${given.label})`;
    if (expected === null) throw bindError(program, `a sparse matrix of ${rows} × ${cols}`, got, name);
    const type = kind === "index" || kind === "key" ? "u32" : "float";
    if (given.type === type && given.length === expected) return given;
    throw bindError(program, `${expected} elements of type ${type} (${kind})`, got, name);
  }
}

function checkRange(where: string, buffer: WasmBuffer, offset: number, length: number): void {
  if (
    Number.isInteger(offset) &&
    offset >= 0 &&
    Number.isInteger(length) &&
    length >= 0 &&
    offset + length <= buffer.length
  )
    return;
  const expected = `a range within ${buffer.length} elements`;
  throw new BackendError(
    "range",
    `${where}: expected ${expected}, got ${offset} to ${offset + length} (${buffer.label})`,
  );
}

function bindError(program: Program, expected: string, got: string, argument: string): BackendError {
  return new BackendError("binding", `${program.name}: expected ${expected}, got ${got} (${argument})`, { argument });
}

function foreign({ label }: Bindable): BackendError {
  return new BackendError("foreign", `wasm: expected a buffer of this backend, got another's (${label})`);
}

function released({ label }: Bindable): BackendError {
  return new BackendError("released", `wasm: expected a live buffer, got a released one (${label})`);
}
