// Allocates the bytes of the shared memory: a free list over a range that grows at its end. Knows nothing about their content.

import { BackendError } from "../../core/errors.ts";
import type { MemoryStats } from "../backend.ts";
import { PAGE_BYTES, type WasmMemory } from "./module.ts";

/** The memory that an arena divides. */
export interface Land {
  readonly bytes: number;
  /** By pages of PAGE_BYTES. Throws where it cannot. */
  grow(pages: number): void;
  /** Sets a range to zero. */
  clear(address: number, bytes: number): void;
}

export function landOf(memory: WasmMemory): Land {
  return {
    get bytes() {
      return memory.buffer.byteLength;
    },
    grow: (pages) => {
      memory.grow(pages);
    },
    clear: (address, bytes) => {
      new Uint8Array(memory.buffer, address, bytes).fill(0);
    },
  };
}

/** Memory that grows and holds nothing. */
export function imaginedLand(): Land {
  let bytes = 0;
  return {
    get bytes() {
      return bytes;
    },
    grow: (pages) => {
      bytes += pages * PAGE_BYTES;
    },
    clear: () => {},
  };
}

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
  readonly #land: Land;
  readonly #base: number;
  /** End of the usable memory, in bytes. */
  readonly limit: number;
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
  constructor(land: Land, base: number, limit: number, advice: string) {
    this.#land = land;
    this.#base = base;
    this.#fresh = padded(base);
    this.limit = limit;
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
    return this.limit - this.#bytes;
  }

  /** The backend's statistics, without the numbers of buffers and programs. */
  stats(): Omit<MemoryStats, "liveBuffers" | "livePrograms"> {
    const [bytes, peakBytes, largestBytes] = [this.#bytes, this.#peakBytes, this.#largestBytes];
    return { bytes, peakBytes, largestBytes, takenBytes: this.#fresh - this.#base };
  }

  #reuse(size: number): Block | null {
    const at = this.#free.findIndex((f) => f.bytes >= size);
    const free = this.#free[at];
    if (!free) return null;
    const block = { address: free.address, bytes: size };
    if (free.bytes === size) this.#free.splice(at, 1);
    else this.#free[at] = { address: free.address + size, bytes: free.bytes - size };
    this.#land.clear(block.address, size);
    return block;
  }

  /** Takes fresh memory, and the free block that adjoins it, if any. */
  #extend(label: string, size: number): Block {
    const last = this.#free.at(-1);
    const adjoining = last && last.address + last.bytes === this.#fresh ? last : null;
    const address = adjoining?.address ?? this.#fresh;
    const end = address + size;
    if (end > this.limit) throw this.#outOfMemory(label, size);
    const missing = end - this.#land.bytes;
    if (missing > 0) this.#grow(label, size, missing);
    if (adjoining) {
      this.#free.pop();
      this.#land.clear(adjoining.address, adjoining.bytes);
    }
    this.#fresh = end;
    return { address, bytes: size };
  }

  #grow(label: string, size: number, missing: number): void {
    const held = this.#land.bytes;
    const wanted = Math.max(missing, Math.min(GROWTH_BYTES, this.limit - held));
    try {
      this.#land.grow(Math.ceil(wanted / PAGE_BYTES));
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
      `wasm: expected ${mib(asked)} for ${label}, got ${mib(this.limit - this.#bytes)} left: ` +
        `${mib(this.#bytes)} of ${mib(this.limit)} in use; ${advice}`,
      { label, askedBytes: asked, usedBytes: this.#bytes, limitBytes: this.limit },
      cause,
    );
  }
}
