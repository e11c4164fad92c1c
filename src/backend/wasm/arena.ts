// Allocates the bytes of the shared memory: a free list over a range that grows at its end. Knows nothing about their content.

import { BackendError } from "../../core/errors.ts";
import type { MemoryStats } from "../backend.ts";
import { PAGE_BYTES, type WasmMemory } from "./module.ts";

/** Blocks start at a cache line and consist of whole cache lines, so vector loops may run past the end of an array. */
const ALIGNMENT = 64;
/** Smallest growth of the memory. */
const GROWTH_BYTES = 64 * PAGE_BYTES;

/** A block of memory. `bytes` is the padded length. */
export interface Block {
  readonly address: number;
  readonly bytes: number;
}

/** Size of the block for `bytes` bytes. */
export function padded(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}

/** First-fit allocator. Free blocks are sorted by address; neighbours are merged. */
export class Arena {
  readonly #memory: WasmMemory;
  readonly #limit: number;
  readonly #advice: string;
  readonly #free: { address: number; bytes: number }[] = [];
  /** Memory from here on was never allocated, and is zero. */
  #fresh: number;
  #bytes = 0;
  #peakBytes = 0;
  #largestBytes = 0;

  /**
   * @param limit end of the usable memory, in bytes
   * @param advice how to raise the limit, for the error message when memory runs out
   */
  constructor(memory: WasmMemory, base: number, limit: number, advice: string) {
    this.#memory = memory;
    this.#fresh = padded(base);
    this.#limit = limit;
    this.#advice = advice;
  }

  /**
   * A block of at least `bytes` bytes, all zero.
   *
   * @param label for the error message when memory runs out
   * @throws {BackendError} "out-of-memory"; nothing has changed then
   */
  allocate(label: string, bytes: number): Block {
    const size = padded(Math.max(1, bytes));
    const block = this.#reuse(size) ?? this.#extend(label, size);
    this.#bytes += size;
    this.#peakBytes = Math.max(this.#peakBytes, this.#bytes);
    this.#largestBytes = Math.max(this.#largestBytes, size);
    return block;
  }

  free(block: Block): void {
    this.#bytes -= block.bytes;
    const next = this.#free.findIndex((f) => f.address > block.address);
    const at = next < 0 ? this.#free.length : next;
    this.#free.splice(at, 0, { ...block });
    this.#merge(at);
    if (at > 0) this.#merge(at - 1);
  }

  /** Bytes left, possibly in several pieces. */
  get left(): number {
    return this.#limit - this.#bytes;
  }

  /** The backend's statistics, without the numbers of buffers and programs. */
  stats(): Omit<MemoryStats, "liveBuffers" | "livePrograms"> {
    return { bytes: this.#bytes, peakBytes: this.#peakBytes, largestBytes: this.#largestBytes };
  }

  #reuse(size: number): Block | null {
    const at = this.#free.findIndex((f) => f.bytes >= size);
    const free = this.#free[at];
    if (!free) return null;
    const block = { address: free.address, bytes: size };
    if (free.bytes === size) this.#free.splice(at, 1);
    else this.#free[at] = { address: free.address + size, bytes: free.bytes - size };
    new Uint8Array(this.#memory.buffer, block.address, size).fill(0);
    return block;
  }

  /** Takes fresh memory, and the free block that adjoins it, if any. */
  #extend(label: string, size: number): Block {
    const last = this.#free.at(-1);
    const adjoining = last && last.address + last.bytes === this.#fresh ? last : null;
    const address = adjoining?.address ?? this.#fresh;
    const end = address + size;
    if (end > this.#limit) throw this.#outOfMemory(label, size);
    const missing = end - this.#memory.buffer.byteLength;
    if (missing > 0) this.#grow(label, size, missing);
    if (adjoining) {
      this.#free.pop();
      new Uint8Array(this.#memory.buffer, adjoining.address, adjoining.bytes).fill(0);
    }
    this.#fresh = end;
    return { address, bytes: size };
  }

  #grow(label: string, size: number, missing: number): void {
    const held = this.#memory.buffer.byteLength;
    const wanted = Math.max(missing, Math.min(GROWTH_BYTES, this.#limit - held));
    try {
      this.#memory.grow(Math.ceil(wanted / PAGE_BYTES));
    } catch (cause) {
      throw this.#outOfMemory(label, size, cause);
    }
  }

  /** Joins the free block at `at` with the one after it, if they touch. */
  #merge(at: number): void {
    const [left, right] = [this.#free[at], this.#free[at + 1]];
    if (!left || !right || left.address + left.bytes !== right.address) return;
    left.bytes += right.bytes;
    this.#free.splice(at + 1, 1);
  }

  #outOfMemory(label: string, asked: number, cause?: unknown): BackendError {
    const mib = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
    const advice = `use a smaller batch, fewer stored states, f32 instead of f64, ${this.#advice}`;
    return new BackendError(
      "out-of-memory",
      `wasm: expected ${mib(asked)} for ${label}, got ${mib(this.#limit - this.#bytes)} left: ` +
        `${mib(this.#bytes)} of ${mib(this.#limit)} in use; ${advice}`,
      { label, askedBytes: asked, usedBytes: this.#bytes, limitBytes: this.#limit },
      cause,
    );
  }
}
