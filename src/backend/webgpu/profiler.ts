// Time on the device by kind of work, from timestamp queries: each dispatch is a pass of its own with a query at either end.

import type { Device } from "./device.ts";

/** Dispatches between two submits, at most (queue.ts submits earlier). */
const CAPACITY = 128;
const BYTES = 16 * CAPACITY;

interface Batch {
  readonly labels: readonly string[];
  readonly staging: GPUBuffer;
}

export class Profiler {
  readonly #device: Device;
  readonly #queries: GPUQuerySet;
  readonly #resolved: GPUBuffer;
  readonly #idle: GPUBuffer[] = [];
  #labels: string[] = [];
  #submitting: Batch | null = null;
  #submitted: Batch[] = [];
  #totals = new Map<string, { ms: number; runs: number }>();

  constructor(device: Device) {
    this.#device = device;
    this.#queries = device.querySet({ label: "timestamps", type: "timestamp", count: 2 * CAPACITY });
    this.#resolved = device.buffer("timestamps", BYTES, GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC);
  }

  /** The queries of the next pass; undefined when there are none left before the next submit. */
  next(label: string): GPUComputePassTimestampWrites | undefined {
    if (this.#labels.length === CAPACITY) return undefined;
    const at = 2 * this.#labels.length;
    this.#labels.push(label);
    return { querySet: this.#queries, beginningOfPassWriteIndex: at, endOfPassWriteIndex: at + 1 };
  }

  /** Records the read-out of all queries used since the last submit. */
  resolve(encoder: GPUCommandEncoder): void {
    const count = this.#labels.length;
    if (count === 0) return;
    const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
    const staging = this.#idle.pop() ?? this.#device.buffer("timestamps, staging", BYTES, usage);
    encoder.resolveQuerySet(this.#queries, 0, 2 * count, this.#resolved, 0);
    encoder.copyBufferToBuffer(this.#resolved, 0, staging, 0, 16 * count);
    this.#submitting = { labels: this.#labels, staging };
    this.#labels = [];
  }

  submitted(): void {
    if (this.#submitting) this.#submitted.push(this.#submitting);
    this.#submitting = null;
  }

  /** Reads what has been submitted; to be awaited when the queue is idle. */
  async collect(): Promise<void> {
    const batches = this.#submitted;
    this.#submitted = [];
    for (const { labels, staging } of batches) {
      await staging.mapAsync(GPUMapMode.READ, 0, 16 * labels.length);
      const ns = new BigUint64Array(staging.getMappedRange(0, 16 * labels.length));
      labels.forEach((label, k) => {
        const total = this.#totals.get(label) ?? { ms: 0, runs: 0 };
        // Clocks of some devices step back; such a pair says nothing.
        total.ms += Math.max(0, Number(ns[2 * k + 1]! - ns[2 * k]!) / 1e6);
        total.runs++;
        this.#totals.set(label, total);
      });
      staging.unmap();
      this.#idle.push(staging);
    }
  }

  /** Totals since the last call. */
  take(): Readonly<Record<string, { readonly ms: number; readonly runs: number }>> {
    const totals = Object.fromEntries(this.#totals);
    this.#totals = new Map();
    return totals;
  }
}
