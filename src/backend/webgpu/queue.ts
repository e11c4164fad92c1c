// The order of work: dispatches are recorded into one command buffer until enough has come together, copies and clears go in
// between, and uploads wait for what was recorded before them.

import type { Device } from "./device.ts";
import type { Profiler } from "./profiler.ts";

/** One dispatch, ready to be recorded: everything it needs exists. */
export interface BoundDispatch {
  /** "program: kernel", for profiles. */
  readonly label: string;
  readonly pipeline: GPUComputePipeline;
  readonly bindGroup: GPUBindGroup;
  readonly grid: readonly [number, number, number];
  readonly work: Work;
}

/** What a dispatch does, from sizes alone. */
export interface Work {
  /** Multiplications, additions and the like. */
  readonly operations: number;
  /** Bytes that have to move: every operand once. */
  readonly bytes: number;
  /** Bytes that products gather, row by row, most of them from cache. */
  readonly gatheredBytes: number;
}

export interface QueueCounts {
  readonly dispatches: number;
  readonly submits: number;
  readonly bytes: number;
  readonly gatheredBytes: number;
}

/** Work between two submits: enough to hide their cost, and far from what makes a driver's watchdog bite (2 s and more). */
const MAX_OPERATIONS = 5e10;
const MAX_DISPATCHES = 64;
/** After a wait the device has nothing to do: it gets a little at once, then twice as much each time. */
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

  /** Takes effect after everything recorded so far. */
  write(target: GPUBuffer, offset: number, data: Float32Array | Uint32Array): void {
    this.submit();
    this.#device.gpu.queue.writeBuffer(target, offset, data.buffer, data.byteOffset, data.byteLength);
  }

  /** Hands over what is recorded. */
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

  /** To be told when somebody has waited for the device. */
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
