// Device memory from a few large buffers. A kernel may bind only 8 to 16 storage buffers but touches up to 20 states. So buffers are pieces
// of *slabs*: a dispatch binds the slabs and gets the offsets in a uniform block. First fit in a sorted list of free ranges.
//
// A shader's text depends on which of its buffers share a slab. A program that is bound to many sets of buffers (the tape's) would be
// compiled again for each arrangement. So a set lies in one slab, and each kind of set has its own slabs.

import { BackendError } from "../../core/errors.ts";
import { formatCount } from "../../core/format.ts";
import { SPARED_ARRAYS } from "../backend.ts";
import type { Device } from "./device.ts";

/** A piece of a slab. Offsets and sizes are multiples of `ALIGNMENT`. */
export interface Piece {
  readonly slab: Slab;
  readonly byteOffset: number;
  readonly byteLength: number;
  /** Whether it had another owner, whose data it still holds; otherwise it is zero. */
  readonly reused: boolean;
}

export interface Slab {
  readonly buffer: GPUBuffer;
  readonly size: number;
  /** Bytes from here on were never allocated: they are zero. */
  fresh: number;
  /** Sorted by offset; neighbours are merged. */
  readonly free: { offset: number; size: number }[];
  readonly kind: Kind;
}

/** Contents of a slab: sets of this name, single buffers, or one dedicated piece, with which the slab is released. */
type Kind = string | typeof SINGLE | typeof DEDICATED;

const SINGLE: unique symbol = Symbol("single");
const DEDICATED: unique symbol = Symbol("dedicated");

export interface SlabLimits {
  /** Of all slabs together. */
  readonly memoryBudgetBytes: number;
  readonly maxArrayBytes: number;
}

/** A cache line of most GPUs, and enough for uniform blocks. */
export const ALIGNMENT = 256;
const FIRST_SLAB = 4 * 2 ** 20;
const LARGE_SLAB = 2 ** 30;
/** Large arrays that should fit into one slab. Kernels touch up to twenty, which then need no more slabs than any device can bind. */
export const ARRAYS_PER_SLAB = 16;
/** A new slab for single buffers has room for at least this many of the requested size. */
const FEWEST_PER_SLAB = 4;

/** Purpose of a new slab. */
interface Wish {
  readonly kind: Kind;
  /** Bytes of the largest array. */
  readonly largest: number;
}

export class SlabAllocator {
  readonly #device: Device;
  readonly #label: string;
  readonly #usage: GPUBufferUsageFlags;
  readonly #budget: number;
  /** Most bytes of one array. */
  readonly limit: number;
  readonly #slabs = new Set<Slab>();
  #reserved = 0;
  /** Largest slab to request, in bytes: the device has refused larger ones. */
  #granted = Number.POSITIVE_INFINITY;

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
   * @param dedicated in its own slab, for buffers that kernels bind separately
   * @throws {BackendError} "limit": larger than one binding may be; "memory-budget": beyond the backend's budget
   */
  allocate(label: string, bytes: number, dedicated = false): Piece {
    const byteLength = this.#lengthOf(label, bytes);
    const piece = dedicated ? this.#grow(byteLength, DEDICATED) : this.#single(byteLength);
    if (piece) return piece;
    throw new BackendError(
      "memory-budget",
      `webgpu: expected at most ${this.#budget} bytes in all (memory budget), got ${byteLength} more on top of ${this.#reserved} ` +
        `(${label}). Use a smaller batch, a smaller tape, or a larger budget.`,
      { budget: this.#budget, reserved: this.#reserved, bytes: byteLength, label },
    );
  }

  #single(byteLength: number): Piece | null {
    const alike = this.#reuse(byteLength, ({ kind }) => kind === SINGLE);
    if (alike) return alike;
    const amongSets = () => this.#reuse(byteLength, ({ kind }) => typeof kind === "string");
    // If the device has refused memory before, reuse what sets have released before asking it again.
    if (this.#granted < Number.POSITIVE_INFINITY) return amongSets() ?? this.#grow(byteLength, SINGLE);
    return this.#grow(byteLength, SINGLE) ?? amongSets();
  }

  /**
   * Pieces of a set, in one slab if they fit into one. null: the budget or the device has no room for them and for the spare that others, who
   * cannot do without, may need: SPARED_ARRAYS arrays of the largest size.
   */
  async allocateIfRoom(label: string, sizes: readonly number[], kind: string): Promise<readonly Piece[] | null> {
    const lengths = sizes.map((bytes) => this.#lengthOf(label, bytes));
    const total = lengths.reduce((sum, length) => sum + length, 0);
    if (sizes.length === 0) return [];
    const wish = { kind, largest: Math.max(...lengths) };
    if (total <= this.limit) {
      const whole = await this.#inSet(total, wish);
      return whole && cut(whole, lengths);
    }
    const pieces: Piece[] = [];
    for (const length of lengths) {
      const piece = await this.#inSet(length, wish);
      if (!piece) {
        for (const taken of pieces) this.release(taken);
        return null;
      }
      pieces.push(piece);
    }
    return pieces;
  }

  /** In a slab of its kind, else in a new one, else in one of another kind of set. Slabs of single buffers are left to single buffers. */
  async #inSet(byteLength: number, wish: Wish): Promise<Piece | null> {
    return (
      this.#reuse(byteLength, ({ kind }) => kind === wish.kind) ??
      (await this.#growIfRoom(byteLength, wish)) ??
      this.#reuse(byteLength, ({ kind }) => typeof kind === "string")
    );
  }

  /** A piece at the start of a new slab; null: there is no room. */
  async #growIfRoom(byteLength: number, wish: Wish): Promise<Piece | null> {
    const spare = Math.min(this.limit, SPARED_ARRAYS * wish.largest);
    const size = this.#slabSize(byteLength, wish, spare);
    if (size === null) return null;
    this.#reserved += size;
    const buffer = await this.#device.bufferIfRoom(this.#nextLabel, size, this.#usage, spare);
    if (buffer) return takeFrom(this.#add(buffer, size, wish), byteLength);
    this.#reserved -= size;
    // A smaller slab may still fit: the previous slab left that much to spare.
    this.#granted = Math.min(this.#granted, Math.floor(Math.min(size, spare) / 4 / ALIGNMENT) * ALIGNMENT);
    return null;
  }

  /** @throws {BackendError} "limit" */
  #lengthOf(label: string, bytes: number): number {
    const byteLength = padded(bytes);
    if (byteLength > this.limit) {
      throw new BackendError(
        "limit",
        `webgpu: expected at most ${this.limit} bytes in one array (maxStorageBufferBindingSize of ${this.#device.info.name}), ` +
          `${formatCount(this.limit / 4)} numbers, got ${byteLength} (${label}). Use an adapter with a larger limit, or the wasm backend.`,
        { limit: this.limit, bytes: byteLength, label },
      );
    }
    return byteLength;
  }

  /** The first free piece in a slab for which `isMeant` holds. */
  #reuse(byteLength: number, isMeant: (slab: Slab) => boolean): Piece | null {
    for (const slab of this.#slabs) {
      const piece = isMeant(slab) ? takeFrom(slab, byteLength) : null;
      if (piece) return piece;
    }
    return null;
  }

  release(piece: Piece): void {
    const { slab } = piece;
    giveBack(slab, piece.byteOffset, piece.byteLength);
    const empty = slab.free.length === 1 && slab.free[0]!.size === slab.size;
    // Keep one empty slab, so that creating and releasing a buffer in a loop does not create and destroy slabs.
    if (empty && (slab.kind === DEDICATED || this.#sharedSlabs() > 1)) this.#destroy(slab);
  }

  dispose(): void {
    for (const slab of [...this.#slabs]) this.#destroy(slab);
  }

  #sharedSlabs(): number {
    return [...this.#slabs].filter(({ kind }) => kind !== DEDICATED).length;
  }

  /** A piece at the start of a new slab; null: that would exceed the budget. */
  #grow(needed: number, kind: typeof SINGLE | typeof DEDICATED): Piece | null {
    const wish: Wish = { kind, largest: needed };
    const size = this.#slabSize(needed, wish);
    if (size === null) return null;
    const buffer = this.#device.buffer(this.#nextLabel, size, this.#usage);
    this.#reserved += size;
    return takeFrom(this.#add(buffer, size, wish), needed);
  }

  /** Size of the next slab, for a piece of `needed` bytes; null: the budget has no room for it and `spare` more bytes. */
  #slabSize(needed: number, wish: Wish, spare = 0): number | null {
    const left = Math.floor((this.#budget - this.#reserved - spare) / ALIGNMENT) * ALIGNMENT;
    if (needed > left) return null;
    if (wish.kind === DEDICATED) return needed;
    // A new slab doubles what its kind has, so that there are few; it never exceeds the budget left or the binding limit.
    const alike = [...this.#slabs].filter(({ kind }) => kind === wish.kind).reduce((sum, { size }) => sum + size, 0);
    const fewest = wish.kind === SINGLE ? FEWEST_PER_SLAB * needed : needed;
    const doubled = Math.max(FIRST_SLAB, alike, fewest);
    const large = Math.max(LARGE_SLAB, ARRAYS_PER_SLAB * wish.largest);
    return Math.max(needed, Math.min(doubled, large, this.#granted, this.limit, left));
  }

  get #nextLabel(): string {
    return `${this.#label} slab ${this.#slabs.size}`;
  }

  #add(buffer: GPUBuffer, size: number, { kind }: Wish): Slab {
    const slab: Slab = { buffer, size, fresh: 0, free: [{ offset: 0, size }], kind };
    this.#slabs.add(slab);
    return slab;
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

/** Consecutive parts of a piece. */
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
