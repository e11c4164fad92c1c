// Device memory from a few large buffers. A kernel may bind only 8 to 16 storage buffers but touch 20 states, so buffers are pieces of
// *slabs*; a dispatch binds the slabs and gets the offsets in a uniform block. First fit in a sorted list of free ranges.
//
// Which of its buffers lie in one slab decides a shader's text, and a program that is bound to many sets of buffers (the tape's) would be compiled
// anew for each way they come to lie. So a set lies in one slab, and each kind of set has slabs of its own.

import { BackendError } from "../../core/errors.ts";
import type { BufferSetShape } from "../backend.ts";
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
  /** Of the sets that lie here; "": buffers that are in none. */
  readonly kind: string;
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
/** Arrays, or sets, that a new slab has room for at least. */
const FEWEST_PER_SLAB = { array: 4, set: 1 } as const;

export class SlabAllocator {
  readonly #device: Device;
  readonly #label: string;
  readonly #usage: GPUBufferUsageFlags;
  readonly #budget: number;
  /** Most bytes of one array. */
  readonly limit: number;
  readonly #slabs = new Set<Slab>();
  /** Pieces of sets that nobody has asked for so far. */
  readonly #sets = new WeakMap<BufferSetShape, Piece[]>();
  #reserved = 0;

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
   * @param set       beside the other buffers of this set, where there is room for all of them
   * @throws {BackendError} "limit": larger than one binding may be; "memory-budget": beyond the backend's budget
   */
  allocate(label: string, bytes: number, dedicated = false, set?: BufferSetShape): Piece {
    const byteLength = padded(bytes);
    if (byteLength > this.limit) {
      throw new BackendError(
        "limit",
        `webgpu: expected at most ${this.limit} bytes in one array (maxStorageBufferBindingSize of ${this.#device.info.name}), got ` +
          `${byteLength} (${label}). Use an adapter with a larger limit, or the wasm backend.`,
        { limit: this.limit, bytes: byteLength, label },
      );
    }
    const piece = dedicated
      ? this.#grow(byteLength, "", "dedicated")
      : ((set && this.#fromSet(set, byteLength)) ??
        this.#shared(byteLength, set?.kind ?? "") ??
        this.#anywhere(byteLength));
    if (piece) return piece;
    throw new BackendError(
      "memory-budget",
      `webgpu: expected at most ${this.#budget} bytes in all (memory budget), got ${byteLength} more on top of ${this.#reserved} ` +
        `(${label}). Use a smaller batch, a smaller tape, or a larger budget.`,
      { budget: this.#budget, reserved: this.#reserved, bytes: byteLength, label },
    );
  }

  /** A piece of the memory of a set, which is taken as a whole when the first one is asked for; null: there was no room for the whole. */
  #fromSet(set: BufferSetShape, byteLength: number): Piece | null {
    let pieces = this.#sets.get(set);
    if (!pieces) {
      const sizes = set.lengths.map((length) => padded(4 * length));
      const total = sizes.reduce((sum, size) => sum + size, 0);
      const whole = total <= this.limit ? this.#shared(total, set.kind, "set") : null;
      pieces = whole ? split(whole, sizes) : [];
      this.#sets.set(set, pieces);
    }
    const at = pieces.findIndex((piece) => piece.byteLength === byteLength);
    return at < 0 ? null : pieces.splice(at, 1)[0]!;
  }

  /** In a slab of this kind, an old or a new one; null: that would be beyond the budget. */
  #shared(byteLength: number, kind: string, what: "array" | "set" = "array"): Piece | null {
    for (const slab of this.#slabs) {
      const piece = slab.dedicated || slab.kind !== kind ? null : takeFrom(slab, byteLength);
      if (piece) return piece;
    }
    return this.#grow(byteLength, kind, what);
  }

  /** In a slab of any kind: what one kind has reserved must not be lost to the others when the budget is used up. */
  #anywhere(byteLength: number): Piece | null {
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

  /** A piece at the beginning of a new slab; null: that would be beyond the budget. */
  #grow(needed: number, kind: string, what: "array" | "set" | "dedicated"): Piece | null {
    const left = Math.floor((this.#budget - this.#reserved) / ALIGNMENT) * ALIGNMENT;
    if (needed > left) return null;
    const dedicated = what === "dedicated";
    const size = dedicated ? needed : Math.max(needed, Math.min(this.#roomy(needed, kind, what), left));
    const buffer = this.#device.buffer(`${this.#label} slab ${this.#slabs.size}`, size, this.#usage);
    const slab: Slab = { buffer, size, fresh: 0, free: [{ offset: 0, size }], kind, dedicated };
    this.#slabs.add(slab);
    this.#reserved += size;
    return takeFrom(slab, needed);
  }

  /** Slabs of a kind double what it has, so that there are few of them; but never past what can be bound. */
  #roomy(needed: number, kind: string, what: "array" | "set"): number {
    const alike = [...this.#slabs].filter((slab) => slab.kind === kind && !slab.dedicated);
    const sizes = alike.reduce((sum, slab) => sum + slab.size, 0);
    const doubled = Math.max(FIRST_SLAB, sizes, FEWEST_PER_SLAB[what] * needed);
    return Math.min(doubled, Math.max(LARGE_SLAB, ARRAYS_PER_SLAB * needed), this.limit);
  }

  #destroy(slab: Slab): void {
    this.#slabs.delete(slab);
    this.#reserved -= slab.size;
    this.#device.destroyBuffer(slab.buffer);
  }
}

function padded(bytes: number): number {
  return Math.max(ALIGNMENT, Math.ceil(bytes / ALIGNMENT) * ALIGNMENT);
}

/** Cuts a piece into pieces of these sizes. */
function split({ slab, byteOffset, reused }: Piece, sizes: readonly number[]): Piece[] {
  let at = byteOffset;
  return sizes.map((byteLength) => {
    const piece = { slab, byteOffset: at, byteLength, reused };
    at += byteLength;
    return piece;
  });
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
