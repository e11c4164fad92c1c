// Keeps the order of work. Dispatches, copies and clears are recorded into one command buffer until there is enough to submit; an upload
// first submits what was recorded before it.

import type { Device } from "./device.ts";
import type { Profiler } from "./profiler.ts";

/** One dispatch, ready to be recorded: its pipeline and buffers exist. */
export interface BoundDispatch {
  /** "program: kernel", for profiles. */
  readonly label: string;
  readonly pipeline: GPUComputePipeline;
  readonly bindGroup: GPUBindGroup;
  readonly grid: readonly [number, number, number];
  readonly work: Work;
}

/** Work of a dispatch, computed from sizes alone. */
export interface Work {
  /** Arithmetic operations. */
  readonly operations: number;
  /** Bytes that must move at least: every operand once. */
  readonly bytes: number;
  /** Bytes that products gather row by row, mostly from cache. */
  readonly gatheredBytes: number;
}

export interface QueueCounts {
  readonly dispatches: number;
  readonly submits: number;
  readonly bytes: number;
  readonly gatheredBytes: number;
}

/** Most work between two submits: enough to hide the cost of a submit, and far below a driver's watchdog (2 s and more). */
const MAX_OPERATIONS = 5e10;
const MAX_DISPATCHES = 64;
/** After a wait the device is idle: it gets a little work at once, then twice as much each time. */
const FIRST_DISPATCHES = 8;

export class CommandQueue {
  readonly #device: Device;
  readonly #profiler: Profiler | null;
  #encoder: GPUCommandEncoder | null = null;
  #pass: GPUComputePassEncoder | null = null;
  #pendingOperations = 0;
  #pendingDispatches = 0;
  #enough = FIRST_DISPATCHES;
  #counts = { dispatches: 0, submits: 0, bytes: 0, gatheredBytes: 0 };

  constructor(device: Device, profiler: Profiler | null) {
    this.#device = device;
    this.#profiler = profiler;
    device.beforeDestroy = () => this.submit();
  }

  /** Since the queue was made. */
  get counts(): QueueCounts {
    return { ...this.#counts };
  }

  dispatch(dispatches: readonly BoundDispatch[]): void {
    for (const { label, pipeline, bindGroup, grid, work } of dispatches) {
      const pass = this.#computePass(label);
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, bindGroup);
      pass.dispatchWorkgroups(...(grid as [number, number, number]));
      if (this.#profiler) this.#endPass();
      this.#counts.dispatches++;
      this.#counts.bytes += work.bytes;
      this.#counts.gatheredBytes += work.gatheredBytes;
      this.#pendingOperations += work.operations;
      if (++this.#pendingDispatches >= this.#enough || this.#pendingOperations >= MAX_OPERATIONS) this.submit();
    }
  }

  copy(source: GPUBuffer, sourceOffset: number, target: GPUBuffer, targetOffset: number, bytes: number): void {
    this.#commands().copyBufferToBuffer(source, sourceOffset, target, targetOffset, bytes);
  }

  clear(target: GPUBuffer, offset: number, bytes: number): void {
    this.#commands().clearBuffer(target, offset, bytes);
  }

  /** Takes effect after all work recorded so far. */
  write(target: GPUBuffer, offset: number, data: Float32Array | Uint32Array): void {
    this.submit();
    this.#device.gpu.queue.writeBuffer(target, offset, data.buffer, data.byteOffset, data.byteLength);
  }

  /** Submits the recorded work. */
  submit(): void {
    this.#endPass();
    if (!this.#encoder) return;
    this.#profiler?.resolve(this.#encoder);
    this.#device.gpu.queue.submit([this.#encoder.finish()]);
    this.#profiler?.submitted();
    this.#encoder = null;
    if (this.#pendingDispatches >= this.#enough) this.#enough = Math.min(MAX_DISPATCHES, 2 * this.#enough);
    this.#pendingOperations = 0;
    this.#pendingDispatches = 0;
    this.#counts.submits++;
  }

  /** Must be called after a wait for the device. */
  waited(): void {
    this.#enough = FIRST_DISPATCHES;
  }

  async finish(): Promise<void> {
    this.submit();
    try {
      await this.#device.gpu.queue.onSubmittedWorkDone();
      this.waited();
      await this.#profiler?.collect();
    } catch (error) {
      throw this.#device.failure(error);
    }
    await this.#device.settle();
  }

  /** An encoder outside any pass. */
  #commands(): GPUCommandEncoder {
    this.#endPass();
    this.#encoder ??= this.#device.gpu.createCommandEncoder();
    return this.#encoder;
  }

  #computePass(label: string): GPUComputePassEncoder {
    if (!this.#pass) {
      const timestampWrites = this.#profiler?.next(label);
      this.#pass = this.#commands().beginComputePass(timestampWrites ? { timestampWrites } : {});
    }
    return this.#pass;
  }

  #endPass(): void {
    this.#pass?.end();
    this.#pass = null;
  }
}
