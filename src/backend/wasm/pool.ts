// The threads of a backend. Thread 0 is the caller's; the others are workers that wait inside WASM (assembly/executor.ts) for the number of
// jobs in the control block to change. A thread that fails signals the others, so none waits for it. A thread that dies silently (is
// terminated) is detected by its "exit" event while idle, and by the caller's timeout within a run (module.ts).

import { once } from "node:events";
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from "node:worker_threads";
import type { DType } from "../../core/dtype.ts";
import { BackendError } from "../../core/errors.ts";
import {
  CONTROL_FAILED,
  CONTROL_GENERATION,
  CONTROL_JOB,
  CONTROL_MODULES,
  CONTROL_PROFILE,
  CONTROL_THREADS,
} from "./isa.ts";
import { extendTable, type Kernels, type WasmMemory, type WasmModule } from "./module.ts";

export interface PoolOptions {
  readonly module: WasmModule;
  readonly memory: WasmMemory;
  readonly dtype: DType;
  readonly kernels: Kernels;
  readonly threads: number;
  /** Address of the control block (isa.ts), zeroed. */
  readonly control: number;
  /** Address of the profile table, or 0. */
  readonly profile: number;
}

/** The data passed to a worker (worker.ts). */
export interface WorkerStart {
  readonly module: WasmModule;
  readonly memory: WasmMemory;
  readonly dtype: DType;
  readonly control: number;
  readonly thread: number;
  /** Carries modules of generated code to the worker, and the reason back if it fails. Both sides poll it. */
  readonly port: MessagePort;
}

/** A module of generated code on its way to a thread. */
export interface GeneratedModule {
  readonly module: WasmModule;
  readonly nFunctions: number;
}

interface Member {
  readonly worker: Worker;
  readonly port: MessagePort;
}

/** Marks the pool as failed and wakes all waiting threads. Called by the thread that failed. */
export function raiseFailure(memory: WasmMemory, control: number): void {
  const words = new Int32Array(memory.buffer);
  Atomics.store(words, (control + CONTROL_FAILED) / 4, 1);
  for (const counter of [CONTROL_GENERATION, CONTROL_JOB]) {
    Atomics.add(words, (control + counter) / 4, 1);
    Atomics.notify(words, (control + counter) / 4);
  }
}

/** Runs images on all threads. */
export class ThreadPool {
  readonly #options: PoolOptions;
  readonly #members: Member[] = [];
  #failure: BackendError | null = null;
  #closing = false;

  private constructor(options: PoolOptions) {
    this.#options = options;
    const words = new Uint32Array(options.memory.buffer, options.control);
    words[CONTROL_THREADS / 4] = options.threads;
    words[CONTROL_PROFILE / 4] = options.profile;
  }

  /** Starts the workers and waits until all are ready. */
  static async create(options: PoolOptions): Promise<ThreadPool> {
    const pool = new ThreadPool(options);
    try {
      await Promise.all(Array.from({ length: options.threads - 1 }, (_, i) => pool.#start(i + 1)));
    } catch (error) {
      await pool.close();
      throw error;
    }
    return pool;
  }

  /**
   * Runs the image at `address` to completion.
   *
   * @throws {BackendError} "thread-failed", in this and all later calls, if any thread traps
   */
  run(address: number): void {
    this.check();
    const { kernels, memory, control } = this.#options;
    let finished = false;
    try {
      finished = kernels.submit(control, address);
    } catch (error) {
      raiseFailure(memory, control);
      this.#fail(`${error}`);
    }
    if (!finished) this.#fail(this.#reason());
    this.check();
  }

  /** Passes a module of generated code to all threads; workers install it when their next job begins. */
  publish(generated: GeneratedModule): void {
    const { kernels, memory, control } = this.#options;
    extendTable(kernels.table, generated.module, generated.nFunctions, memory);
    for (const { port } of this.#members) port.postMessage(generated);
    new Uint32Array(memory.buffer, control)[CONTROL_MODULES / 4]!++;
  }

  /** @throws {BackendError} if a thread has failed */
  check(): void {
    if (this.#failure) throw this.#failure;
  }

  /** Ends the workers. Idempotent. */
  async close(): Promise<void> {
    this.#closing = true;
    // Keep the process alive until the workers have ended.
    for (const { worker } of this.#members) worker.ref();
    await Promise.all(this.#members.map(({ worker }) => worker.terminate()));
  }

  async #start(thread: number): Promise<void> {
    const { module, memory, dtype, control } = this.#options;
    const { port1, port2 } = new MessageChannel();
    const start: WorkerStart = { module, memory, dtype, control, thread, port: port2 };
    // execArgv: the caller's options of node, such as --input-type, may be invalid for a worker.
    // stdout, stderr: a worker writes nothing, but by default Node pipes its streams to the caller's, which then warn of too many listeners.
    const options = { workerData: start, transferList: [port2], execArgv: [], stdout: true, stderr: true };
    const worker = new Worker(new URL("./worker.js", import.meta.url), options);
    this.#members.push({ worker, port: port1 });
    port1.unref();
    try {
      await once(worker, "message");
    } catch (cause) {
      const message = `wasm: expected thread ${thread} of ${this.#options.threads} to start, got ${cause}`;
      throw new BackendError("thread-start", message, {}, cause);
    }
    worker.on("error", (error) => this.#lose(`${error}`));
    worker.on("exit", () => this.#lose("it ended"));
    // A waiting worker must not keep the process alive.
    worker.unref();
  }

  /** Handles a worker that ended while no job was running. */
  #lose(reason: string): void {
    if (this.#closing) return;
    raiseFailure(this.#options.memory, this.#options.control);
    this.#fail(reason);
  }

  #fail(reason: string): void {
    this.#failure ??= new BackendError(
      "thread-failed",
      `wasm: expected every thread to finish, got a failure in one of them: ${reason}; this backend cannot be used any longer, ` +
        "create another one (its debug option checks addresses)",
      { reason },
    );
  }

  /** The reason that a failed worker reported. */
  #reason(): string {
    for (const { port } of this.#members) {
      const received = receiveMessageOnPort(port) as { readonly message: string } | undefined;
      if (received) return received.message;
    }
    return "a worker stopped";
  }
}
