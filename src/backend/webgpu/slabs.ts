// Device memory from a few large buffers. A kernel may bind only 8 to 16 storage buffers but touch 20 states, so buffers are pieces of
// *slabs*; a dispatch binds the slabs and gets the offsets in a uniform block. First fit in a sorted list of free ranges.

import { BackendError } from "../../core/errors.ts";
import type { Device } from "./device.ts";

/** A piece of a slab. Offsets and sizes are multiples of `ALIGNMENT`. */
export interface Piece {
  readonly slab: Slab;
  readonly byteOffset: number;
  readonly byteLength: number;
  /** Whether it has had another owner, whose numbers it still holds; otherwise it is zero. */
  readonly reused: boolean;
}

export interface Slab {
  readonly buffer: GPUBuffer;
  readonly size: number;
  /** Bytes from here on were never handed out: they are zero. */
  fresh: number;
  /** Sorted by offset; neighbours are merged. */
  readonly free: { offset: number; size: number }[];
  /** Made for one piece only: it goes when that goes. */
  readonly dedicated: boolean;
}

export interface SlabLimits {
  /** Of all slabs together. */
  readonly memoryBudgetBytes: number;
  readonly maxArrayBytes: number;
}

/** A cache line of most GPUs, and enough for uniform blocks. */
export const ALIGNMENT = 256;
const FIRST_SLAB = 4 * 2 ** 20;
const LARGE_SLAB = 2 ** 30;
/** Large arrays that should fit into one slab: kernels touch up to twenty, which then lie in no more slabs than any device binds. */
export const ARRAYS_PER_SLAB = 16;

export class SlabAllocator {
  readonly #device: Device;
  readonly #label: string;
  readonly #usage: GPUBufferUsageFlags;
  readonly #budget: number;
  /** Most bytes of one array. */
  readonly limit: number;
  readonly #slabs = new Set<Slab>();
  #reserved = 0;
  /** Size of the smallest slab that the device has refused. */
  #refused = Number.POSITIVE_INFINITY;

  constructor(device: Device, label: string, usage: GPUBufferUsageFlags, limits: Partial<SlabLimits> = {}) {
    const { memoryBudgetBytes = Number.POSITIVE_INFINITY, maxArrayBytes = Number.POSITIVE_INFINITY } = limits;
    this.#device = device;
    this.#label = label;
    this.#usage = usage;
    this.#budget = memoryBudgetBytes;
    const bindable = Math.min(device.limit("maxBufferSize"), device.limit("maxStorageBufferBindingSize"));
    this.limit = Math.floor(Math.min(bindable, maxArrayBytes) / ALIGNMENT) * ALIGNMENT;
  }

  /** Bytes of all slabs. */
  get reserved(): number {
    return this.#reserved;
  }

  /**
   * @param dedicated in a slab of its own, for what kernels bind separately
   * @throws {BackendError} "limit": larger than one binding may be; "memory-budget": beyond the backend's budget
   */
  allocate(label: string, bytes: number, dedicated = false): Piece {
    const byteLength = this.#lengthOf(label, bytes);
    const piece = dedicated ? null : this.#reuse(byteLength);
    if (piece) return piece;
    const roomy = this.#slabSize(byteLength);
    if (roomy === null) {
      throw new BackendError(
        "memory-budget",
        `webgpu: expected at most ${this.#budget} bytes in all (memory budget), got ${byteLength} more on top of ${this.#reserved} ` +
          `(${label}). Use a smaller batch, a smaller tape, or a larger budget.`,
        { budget: this.#budget, reserved: this.#reserved, bytes: byteLength, label },
      );
    }
    const size = dedicated ? byteLength : roomy;
    const buffer = this.#device.buffer(this.#nextLabel, size, this.#usage);
    this.#reserved += size;
    return takeFrom(this.#add(buffer, size, dedicated), byteLength)!;
  }

  /**
   * Pieces that are used together, in one slab: the fewer ways there are in which the arrays of a kernel lie in slabs, the fewer shaders there
   * are. null: the budget or the device has no room for them, or not as much to spare as large arrays of that size take of others, who cannot
   * do without.
   */
  async allocateIfRoom(label: string, sizes: readonly number[]): Promise<readonly Piece[] | null> {
    const lengths = sizes.map((bytes) => this.#lengthOf(label, bytes));
    const total = lengths.reduce((sum, length) => sum + length, 0);
    const largest = Math.max(0, ...lengths);
    if (total <= this.limit) {
      const whole = this.#reuse(total) ?? (await this.#growIfRoom(total, largest));
      return whole && cut(whole, lengths);
    }
    const pieces: Piece[] = [];
    for (const length of lengths) {
      const piece = this.#reuse(length) ?? (await this.#growIfRoom(length, largest));
      if (!piece) {
        for (const taken of pieces) this.release(taken);
        return null;
      }
      pieces.push(piece);
    }
    return pieces;
  }

  /** A piece of a new slab. */
  async #growIfRoom(byteLength: number, largest: number): Promise<Piece | null> {
    const spare = Math.min(this.limit, ARRAYS_PER_SLAB * largest);
    const size = this.#slabSize(byteLength, { largest, spare });
    if (size === null) return null;
    this.#reserved += size;
    const buffer = await this.#device.bufferIfRoom(this.#nextLabel, size, this.#usage, spare);
    if (buffer) return takeFrom(this.#add(buffer, size, false), byteLength);
    this.#reserved -= size;
    this.#refused = Math.min(this.#refused, size);
    return null;
  }

  /** @throws {BackendError} "limit" */
  #lengthOf(label: string, bytes: number): number {
    const byteLength = Math.max(ALIGNMENT, Math.ceil(bytes / ALIGNMENT) * ALIGNMENT);
    if (byteLength > this.limit) {
      throw new BackendError(
        "limit",
        `webgpu: expected at most ${this.limit} bytes in one array (maxStorageBufferBindingSize of ${this.#device.info.name}), got ` +
          `${byteLength} (${label}). Use an adapter with a larger limit, or the wasm backend.`,
        { limit: this.limit, bytes: byteLength, label },
      );
    }
    return byteLength;
  }

  #reuse(byteLength: number): Piece | null {
    for (const slab of this.#slabs) {
      const piece = slab.dedicated ? null : takeFrom(slab, byteLength);
      if (piece) return piece;
    }
    return null;
  }

  release(piece: Piece): void {
    const { slab } = piece;
    giveBack(slab, piece.byteOffset, piece.byteLength);
    const empty = slab.free.length === 1 && slab.free[0]!.size === slab.size;
    // One empty slab stays, so that a buffer made and released in a loop does not make and destroy slabs.
    if (empty && (slab.dedicated || this.#sharedSlabs() > 1)) this.#destroy(slab);
  }

  dispose(): void {
    for (const slab of [...this.#slabs]) this.#destroy(slab);
  }

  #sharedSlabs(): number {
    return [...this.#slabs].filter((slab) => !slab.dedicated).length;
  }

  /**
   * Bytes of the next slab, for a piece of `needed` bytes; null: more than the budget leaves, but for `spare` bytes.
   *
   * @param largest of the arrays in the piece
   */
  #slabSize(needed: number, { largest = needed, spare = 0 } = {}): number | null {
    const left = this.#budget - this.#reserved - spare;
    if (needed > left) return null;
    // Slabs double, so that there are few of them; but never past what is left or what can be bound.
    const doubled = Math.max(FIRST_SLAB, this.#reserved);
    const large = Math.max(LARGE_SLAB, ARRAYS_PER_SLAB * largest);
    // Where a device is nearly full, a smaller slab may still fit.
    const granted = Math.floor(this.#refused / 4 / ALIGNMENT) * ALIGNMENT;
    return Math.max(needed, Math.min(doubled, large, granted, this.limit, Math.floor(left / ALIGNMENT) * ALIGNMENT));
  }

  get #nextLabel(): string {
    return `${this.#label} slab ${this.#slabs.size}`;
  }

  #add(buffer: GPUBuffer, size: number, dedicated: boolean): Slab {
    const slab: Slab = { buffer, size, fresh: 0, free: [{ offset: 0, size }], dedicated };
    this.#slabs.add(slab);
    return slab;
  }

  #destroy(slab: Slab): void {
    this.#slabs.delete(slab);
    this.#reserved -= slab.size;
    this.#device.destroyBuffer(slab.buffer);
  }
}

function takeFrom(slab: Slab, byteLength: number): Piece | null {
  const at = slab.free.findIndex((range) => range.size >= byteLength);
  const range = slab.free[at];
  if (!range) return null;
  const byteOffset = range.offset;
  if (range.size === byteLength) slab.free.splice(at, 1);
  else slab.free[at] = { offset: byteOffset + byteLength, size: range.size - byteLength };
  const reused = byteOffset < slab.fresh;
  slab.fresh = Math.max(slab.fresh, byteOffset + byteLength);
  return { slab, byteOffset, byteLength, reused };
}

/** The parts of a piece, one after another. */
function cut({ slab, byteOffset, reused }: Piece, lengths: readonly number[]): Piece[] {
  let at = byteOffset;
  return lengths.map((byteLength) => {
    const piece = { slab, byteOffset: at, byteLength, reused };
    at += byteLength;
    return piece;
  });
}

function giveBack(slab: Slab, offset: number, size: number): void {
  const { free } = slab;
  const after = free.findIndex((range) => range.offset > offset);
  const at = after < 0 ? free.length : after;
  free.splice(at, 0, { offset, size });
  mergeWithNext(free, at);
  mergeWithNext(free, at - 1);
}

function mergeWithNext(free: { offset: number; size: number }[], at: number): void {
  const [range, next] = [free[at], free[at + 1]];
  if (!range || !next || range.offset + range.size !== next.offset) return;
  range.size += next.size;
  free.splice(at + 1, 1);
}
