// The compiled module and its instances: one per thread, all on the same shared memory.

import { readFile } from "node:fs/promises";
import type { DType } from "../../core/dtype.ts";
import { BackendError } from "../../core/errors.ts";
import { KERNEL_OPS } from "../pointwise.ts";
import type { PointwiseOp } from "../program.ts";
import { addressSpaceLeft, memorySpace, RESERVED_BYTES } from "./addressSpace.ts";
import { nameOfOpcode } from "./machine.ts";

/** 64 KiB, the unit of growth; 65,536 pages are all that 32-bit addresses reach. */
export const PAGE_BYTES = 65536;
export const MAX_PAGES = 65536;
/** `initialMemory` of asconfig.json. */
const INITIAL_PAGES = 16;

/** Shared linear memory. Growth replaces `buffer`. */
export interface WasmMemory {
  readonly buffer: SharedArrayBuffer;
  grow(pages: number): number;
}

declare const compiled: unique symbol;
/** A compiled module; workers receive it by message. */
export interface WasmModule {
  readonly [compiled]: true;
}

/** Where the interpreter finds the functions that it calls; one per thread. */
export interface Table {
  readonly length: number;
  grow(by: number): number;
  set(index: number, entry: unknown): void;
}

/** The exports of assembly/index.ts for one precision. */
export interface Kernels {
  /** First byte available to the host. */
  readonly heapBase: number;
  readonly table: Table;
  /** Places of the kernels of assembly/elementary.ts in the table, the same on all threads. */
  readonly places: ReadonlyMap<PointwiseOp, number>;
  /** Runs an image as thread 0; false when another thread has failed. */
  submit(control: number, image: number): boolean;
  /** Serves jobs as a worker until a thread fails. */
  workerLoop(control: number, thread: number): void;
}

/** The part of the WebAssembly interface used here; TypeScript declares it only in its browser library. */
export interface WebAssemblyApi {
  readonly Memory: new (descriptor: { initial: number; maximum: number; shared: true }) => WasmMemory;
  readonly Module: new (bytes: Uint8Array) => WasmModule;
  readonly Instance: new (
    module: WasmModule,
    imports: object,
  ) => { readonly exports: Readonly<Record<string, unknown>> };
  compile(bytes: Uint8Array): Promise<WasmModule>;
  validate(bytes: Uint8Array): boolean;
}

/** @throws {BackendError} "no-webassembly": Node.js runs without WebAssembly */
export function webAssembly(): WebAssemblyApi {
  const { WebAssembly: api } = globalThis as { readonly WebAssembly?: WebAssemblyApi };
  if (api) return api;
  const message = "wasm: expected WebAssembly, got Node.js without it; start Node without --jitless";
  throw new BackendError("no-webassembly", message);
}

/**
 * Reads and compiles the module that the build placed beside the compiled sources.
 *
 * @param debug the build with range assertions instead of the fast one
 * @throws {BackendError} "not-built" if the file is missing; "no-webassembly"
 */
export async function loadModule(debug: boolean): Promise<WasmModule> {
  const api = webAssembly();
  const file = new URL(`../../../wasm/axograd${debug ? ".debug" : ""}.wasm`, import.meta.url);
  let bytes: Uint8Array;
  try {
    bytes = await readFile(file);
  } catch (cause) {
    const command = debug ? "npm run build:wasm:debug" : "npm run build";
    throw new BackendError("not-built", `wasm: expected ${file.pathname}, got no file; run ${command}`, {}, cause);
  }
  return api.compile(bytes);
}

/** Compiles generated code synchronously: it is small. */
export function compileModule(bytes: Uint8Array): WasmModule {
  return new (webAssembly().Module)(bytes);
}

/** Appends the functions of a module of generated code (codegen.ts) to a thread's table. */
export function extendTable(table: Table, module: WasmModule, nFunctions: number, memory: WasmMemory): void {
  const { exports } = new (webAssembly().Instance)(module, { env: { memory } });
  const first = table.grow(nFunctions);
  for (let i = 0; i < nFunctions; i++) table.set(first + i, exports[`${i}`]);
}

/**
 * Puts the kernels at the end of a thread's table.
 *
 * @throws {BackendError} "not-built" if one is not among the exports
 */
export function addKernels(
  table: Table,
  exports: Readonly<Record<string, unknown>>,
  suffix: string,
): Map<PointwiseOp, number> {
  const first = table.grow(KERNEL_OPS.length);
  KERNEL_OPS.forEach((op, i) => {
    const kernel = exports[op + suffix];
    if (!kernel)
      throw new BackendError(
        "not-built",
        `wasm: expected the kernel ${op}${suffix}, got none; export it from assembly/elementary.ts, or run npm run build`,
      );
    table.set(first + i, kernel);
  });
  return new Map(KERNEL_OPS.map((op, i) => [op, first + i]));
}

/** Memory, and the pages that it can grow to. */
export interface ReservedMemory {
  readonly memory: WasmMemory;
  readonly maxPages: number;
}

/**
 * Shared memory that can grow to `maxPages`, or to fewer if the address space is limited.
 *
 * @throws {BackendError} "address-space": not even the smallest can be reserved
 */
export function createMemory(maxPages: number, spaceLeft: number = addressSpaceLeft()): ReservedMemory {
  const { Memory } = webAssembly();
  const reachable = Math.floor(memorySpace(spaceLeft) / PAGE_BYTES);
  if (reachable < INITIAL_PAGES) throw addressSpaceError(spaceLeft);
  const maximum = Math.min(maxPages, reachable);
  try {
    const memory = new Memory({ initial: Math.min(INITIAL_PAGES, maximum), maximum, shared: true });
    return { memory, maxPages: maximum };
  } catch (cause) {
    throw addressSpaceError(spaceLeft, cause);
  }
}

const NO_TRAP_HANDLER = "--disable-wasm-trap-handler";

function addressSpaceError(spaceLeft: number, cause?: unknown): BackendError {
  const gib = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
  const got = Number.isFinite(spaceLeft) ? `a limit that leaves ${gib(spaceLeft)}` : `${cause}`;
  // Available in Node.js 20.15, 22.2 and later.
  const without = process.allowedNodeEnvironmentFlags.has(NO_TRAP_HANDLER)
    ? `, or set NODE_OPTIONS=${NO_TRAP_HANDLER}: slower, but in little virtual memory`
    : "";
  return new BackendError(
    "address-space",
    `wasm: expected ${gib(RESERVED_BYTES)} of virtual memory to reserve (little of it is used), got ${got}; ` +
      `raise the limit (ulimit -v unlimited)${without}`,
    { neededBytes: RESERVED_BYTES, leftBytes: spaceLeft },
    cause,
  );
}

/** A timeout consists of this many sleeps: a process that was suspended for an hour has slept once, not for an hour. */
const LOOKS = 20;

/**
 * An instance of the module for the calling thread.
 *
 * @param install installs modules of generated code in a worker until it has the given number
 * @param patienceMs timeout in ms, after which the thread considers the others dead; a waiting thread cannot receive messages
 */
export function instantiate(
  module: WasmModule,
  memory: WasmMemory,
  dtype: DType,
  install: (count: number) => void,
  patienceMs: number = Number.POSITIVE_INFINITY,
): Kernels {
  const imports = {
    env: { memory, abort: abort.bind(null, memory) },
    executor: { now: () => performance.now(), install },
    interpreter: { unknownOpcode },
    barrier: { sleep: sleeper(memory, patienceMs) },
  };
  const { exports } = new (webAssembly().Instance)(module, imports);
  const suffix = dtype === "f32" ? "F32" : "F64";
  const table = exports.table as Table;
  const submit = exports[`submit${suffix}`] as (control: number, image: number) => number;
  return {
    // WASM returns addresses as signed numbers.
    heapBase: (exports.heapBase as () => number)() >>> 0,
    table,
    places: addKernels(table, exports, suffix),
    submit: (control, image) => submit(control, image) !== 0,
    workerLoop: exports[`workerLoop${suffix}`] as (control: number, thread: number) => void,
  };
}

/** The import of assembly/barrier.ts. Throws if no thread wakes this one within the timeout. */
function sleeper(memory: WasmMemory, patienceMs: number): (address: number, old: number) => void {
  // The words to sleep on lie in the initial part of the memory, which growth does not replace.
  const words = new Int32Array(memory.buffer);
  let looks = 0;
  return (address, old) => {
    if (Atomics.wait(words, address / 4, old | 0, patienceMs / LOOKS) !== "timed-out") looks = 0;
    else if (++looks === LOOKS) {
      throw new Error(`a thread has not come in ${patienceMs / 1000} s: it is dead, or the machine is far too busy`);
    }
  };
}

/** The import of assembly/interpreter.ts. */
export function unknownOpcode(op: number): never {
  const name = nameOfOpcode(op);
  throw new Error(`expected an opcode that the interpreter knows here, got ${op}${name ? ` (${name})` : ""}`);
}

/** Called by a failed assertion of the debug build; the texts are UTF-16 with their length in bytes before them. */
function abort(memory: WasmMemory, message: number, file: number, line: number, column: number): never {
  const text = (address: number): string => {
    if (address === 0) return "";
    const view = new DataView(memory.buffer);
    const units = view.getUint32(address - 4, true) / 2;
    return String.fromCharCode(...Array.from({ length: units }, (_, i) => view.getUint16(address + 2 * i, true)));
  };
  throw new Error(`assertion failed: ${text(message)} (${text(file)}:${line}:${column})`);
}
