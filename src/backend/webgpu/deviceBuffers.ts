// Buffers and sparse matrices on the device, and the books on the memory they take.

import { type Csr, cscOf } from "../../core/csr.ts";
import type { DeviceBuffer, DeviceSparse, MemoryStats } from "../backend.ts";
import { checkLength } from "../checkBuffers.ts";
import { type RowBlocks, rowBlocks } from "./rowBlocks.ts";
import type { Piece, SlabAllocator } from "./slabs.ts";
import type { SparseTuning } from "./sparseTuning.ts";

/** Bytes in use, as callers asked for them; what slabs reserve beyond that is the allocator's business. */
export class Ledger {
  #bytes = 0;
  #peakBytes = 0;
  #liveBuffers = 0;
  #livePrograms = 0;
  #liveMatrices = 0;
  #largestBytes = 0;

  /** `counted`: someone can release it. */
  add(bytes: number, counted: boolean): void {
    this.#bytes += bytes;
    this.#peakBytes = Math.max(this.#peakBytes, this.#bytes);
    this.#largestBytes = Math.max(this.#largestBytes, bytes);
    if (counted) this.#liveBuffers++;
  }

  remove(bytes: number, counted: boolean): void {
    this.#bytes -= bytes;
    if (counted) this.#liveBuffers--;
  }

  bound(): void {
    this.#livePrograms++;
  }

  unbound(): void {
    this.#livePrograms--;
  }

  /** Matrices that no one has released. */
  get liveMatrices(): number {
    return this.#liveMatrices;
  }

  matrixMade(): void {
    this.#liveMatrices++;
  }

  matrixReleased(): void {
    this.#liveMatrices--;
  }

  clear(): void {
    this.#bytes = 0;
    this.#liveBuffers = 0;
    this.#livePrograms = 0;
    this.#liveMatrices = 0;
  }

  stats(): Omit<MemoryStats, "takenBytes"> {
    return {
      bytes: this.#bytes,
      peakBytes: this.#peakBytes,
      liveBuffers: this.#liveBuffers,
      livePrograms: this.#livePrograms,
      largestBytes: this.#largestBytes,
    };
  }
}

/** Where buffers get their memory and account for it. One per backend; its identity tells own buffers from foreign ones. */
export interface Memory {
  readonly slabs: SlabAllocator;
  readonly ledger: Ledger;
  /** How matrices are laid out and programs compiled from now on. */
  readonly tuning: SparseTuning;
}

export class GpuDeviceBuffer implements DeviceBuffer {
  readonly label: string;
  readonly length: number;
  readonly type: "float" | "u32";
  readonly piece: Piece;
  readonly memory: Memory;
  #released = false;

  /** @param dedicated in a slab of its own */
  static create(
    memory: Memory,
    label: string,
    length: number,
    type: "float" | "u32",
    dedicated = false,
  ): GpuDeviceBuffer {
    checkLength(label, length);
    return new GpuDeviceBuffer(memory, label, length, type, memory.slabs.allocate(label, 4 * length, dedicated));
  }

  /** A set; null: the device has no room for it. */
  static async createIfRoom<Name extends string>(
    memory: Memory,
    label: string,
    lengths: Readonly<Record<Name, number>>,
    kind: string,
  ): Promise<Record<Name, GpuDeviceBuffer> | null> {
    const entries = Object.entries<number>(lengths);
    for (const [name, length] of entries) checkLength(`${label} ${name}`, length);
    const pieces = await memory.slabs.allocateIfRoom(
      label,
      entries.map(([, length]) => 4 * length),
      kind,
    );
    if (!pieces) return null;
    const made = entries.map(([name, length], k) => {
      return [name, new GpuDeviceBuffer(memory, `${label} ${name}`, length, "float", pieces[k]!)] as const;
    });
    return Object.fromEntries(made) as Record<Name, GpuDeviceBuffer>;
  }

  private constructor(memory: Memory, label: string, length: number, type: "float" | "u32", piece: Piece) {
    this.label = label;
    this.length = length;
    this.type = type;
    this.memory = memory;
    this.piece = piece;
    memory.ledger.add(4 * length, true);
  }

  get released(): boolean {
    return this.#released;
  }

  release(): void {
    if (this.#released) return;
    this.#released = true;
    this.memory.slabs.release(this.piece);
    this.memory.ledger.remove(4 * this.length, true);
  }
}

/** One order of a sparse matrix as kernels bind it: structure and values, each in a buffer of its own, read only there. */
export interface Compressed {
  readonly structure: GpuDeviceBuffer;
  readonly values: GpuDeviceBuffer;
  readonly blocks: Omit<RowBlocks, "words">;
  /** Entries that a product goes through. */
  readonly entries: number;
  /** Where the structure has a word of marks per row, and the mark of the rows that count; 0: all of them. */
  readonly marksAt: number;
  readonly mark: number;
}

/** A sparse matrix as kernels bind it. */
export interface GpuMatrix extends DeviceSparse {
  readonly memory: Memory;
  readonly released: boolean;
  readonly valuesCsc: GpuDeviceBuffer;
  /** Rows for W·X, columns for Wᵀ·G. */
  readonly csr: Compressed;
  readonly csc: Compressed;
}

/** Puts numbers into a new buffer. */
export type Upload = (target: GpuDeviceBuffer, data: ArrayLike<number>) => void;

export class GpuDeviceSparse implements GpuMatrix {
  readonly label: string;
  readonly nRows: number;
  readonly nCols: number;
  readonly nnz: number;
  readonly valuesCsc: GpuDeviceBuffer;
  readonly valuesCsr: GpuDeviceBuffer;
  readonly cscOfCsr: GpuDeviceBuffer;
  readonly cscOfCsrHost: Uint32Array;
  readonly csr: Compressed;
  readonly csc: Compressed;
  /** Entries before each row. */
  readonly rowPtrHost: Uint32Array;
  readonly #parts: readonly GpuDeviceBuffer[];
  /** The marks of each row, and all that are in use. */
  #marks: Uint32Array | null = null;
  #marksInUse = 0;

  constructor(memory: Memory, label: string, csr: Csr, upload: Upload) {
    const { nnz } = csr;
    const { colPtr, rowIdx, cscOfCsr } = cscOf(csr);
    const { words: csrWords, ...csrBlocks } = rowBlocks(csr.rowPtr, csr.colIdx, memory.tuning);
    const { words: cscWords, ...cscBlocks } = rowBlocks(colPtr, rowIdx, memory.tuning);
    const parts: GpuDeviceBuffer[] = [];
    const part = (name: string, length: number, type: "float" | "u32", dedicated: boolean): GpuDeviceBuffer => {
      const buffer = GpuDeviceBuffer.create(memory, `${label}.${name}`, length, type, dedicated);
      parts.push(buffer);
      return buffer;
    };
    this.label = label;
    this.nRows = csr.nRows;
    this.nCols = csr.nCols;
    this.nnz = nnz;
    this.cscOfCsrHost = cscOfCsr;
    this.rowPtrHost = csr.rowPtr;
    const marksAt = csrWords.length;
    const all = { entries: nnz, mark: 0 };
    try {
      this.valuesCsc = part("valuesCsc", nnz, "float", true);
      this.valuesCsr = part("valuesCsr", nnz, "float", true);
      this.cscOfCsr = part("cscOfCsr", nnz, "u32", false);
      const ofRows = part("csr", marksAt + csr.nRows, "u32", true);
      this.csr = { structure: ofRows, values: this.valuesCsr, blocks: csrBlocks, ...all, marksAt };
      const ofColumns = part("csc", cscWords.length, "u32", true);
      this.csc = { structure: ofColumns, values: this.valuesCsc, blocks: cscBlocks, ...all, marksAt: 0 };
    } catch (error) {
      for (const buffer of parts) buffer.release();
      throw error;
    }
    this.#parts = parts;
    memory.ledger.matrixMade();
    const valuesCsc = new Float32Array(nnz);
    for (let k = 0; k < nnz; k++) valuesCsc[cscOfCsr[k]!] = csr.values[k]!;
    upload(this.valuesCsr, csr.values);
    upload(this.valuesCsc, valuesCsc);
    upload(this.cscOfCsr, cscOfCsr);
    upload(this.csr.structure, csrWords);
    upload(this.csc.structure, cscWords);
  }

  get memory(): Memory {
    return this.valuesCsc.memory;
  }

  get released(): boolean {
    return this.valuesCsc.released;
  }

  release(): void {
    if (this.released) return;
    for (const part of this.#parts) part.release();
    this.memory.ledger.matrixReleased();
  }

  /** Puts a mark on some rows and takes it from the others. null: all 32 are in use */
  mark(isTaken: ArrayLike<number>, upload: (data: Uint32Array, offset: number) => void): number | null {
    const free = ~this.#marksInUse;
    if (free === 0) return null;
    // The lowest bit, without a sign.
    const mark = (free & -free) >>> 0;
    this.#marksInUse |= mark;
    this.#marks ??= new Uint32Array(this.nRows);
    const marks = this.#marks;
    for (let row = 0; row < this.nRows; row++) marks[row] = isTaken[row] ? marks[row]! | mark : marks[row]! & ~mark;
    upload(marks, this.csr.marksAt);
    return mark;
  }

  unmark(mark: number): void {
    this.#marksInUse &= ~mark;
  }
}

/** Some rows of a matrix, which bear a mark there. See Backend.sparseRows. */
export class GpuSparseRows implements GpuMatrix {
  readonly label: string;
  readonly csr: Compressed;
  readonly #whole: GpuDeviceSparse;
  #released = false;

  constructor(whole: GpuDeviceSparse, mark: number, isTaken: ArrayLike<number>) {
    const ptr = whole.rowPtrHost;
    let entries = 0;
    for (let row = 0; row < whole.nRows; row++) if (isTaken[row]) entries += ptr[row + 1]! - ptr[row]!;
    this.label = `${whole.label}.rows`;
    this.csr = { ...whole.csr, entries, mark };
    this.#whole = whole;
  }

  get memory(): Memory {
    return this.#whole.memory;
  }

  get nRows(): number {
    return this.#whole.nRows;
  }

  get nCols(): number {
    return this.#whole.nCols;
  }

  get nnz(): number {
    return this.#whole.nnz;
  }

  get valuesCsc(): GpuDeviceBuffer {
    return this.#whole.valuesCsc;
  }

  get valuesCsr(): GpuDeviceBuffer {
    return this.#whole.valuesCsr;
  }

  get cscOfCsr(): GpuDeviceBuffer {
    return this.#whole.cscOfCsr;
  }

  get cscOfCsrHost(): Uint32Array {
    return this.#whole.cscOfCsrHost;
  }

  /** All of it: in the reverse, rows that do not count are zeros of G. */
  get csc(): Compressed {
    return this.#whole.csc;
  }

  get walked(): { readonly product: number; readonly reverse: number } {
    return { product: this.csr.entries, reverse: this.nnz };
  }

  get released(): boolean {
    return this.#released || this.#whole.released;
  }

  /** Idempotent. The matrix itself stays. */
  release(): void {
    if (this.#released) return;
    this.#released = true;
    this.#whole.unmark(this.csr.mark);
  }
}
