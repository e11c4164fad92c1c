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

  clear(): void {
    this.#bytes = 0;
    this.#liveBuffers = 0;
    this.#livePrograms = 0;
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
  /** How matrices are laid out here. */
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
}

/** Puts numbers into a new buffer. */
export type Upload = (target: GpuDeviceBuffer, data: ArrayLike<number>) => void;

export class GpuDeviceSparse implements DeviceSparse {
  readonly label: string;
  readonly nRows: number;
  readonly nCols: number;
  readonly nnz: number;
  readonly valuesCsc: GpuDeviceBuffer;
  readonly valuesCsr: GpuDeviceBuffer;
  readonly cscOfCsr: GpuDeviceBuffer;
  readonly cscOfCsrHost: Uint32Array;
  /** Rows for W·X, columns for Wᵀ·G. */
  readonly csr: Compressed;
  readonly csc: Compressed;
  readonly #parts: readonly GpuDeviceBuffer[];

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
    try {
      this.valuesCsc = part("valuesCsc", nnz, "float", true);
      this.valuesCsr = part("valuesCsr", nnz, "float", true);
      this.cscOfCsr = part("cscOfCsr", nnz, "u32", false);
      this.csr = { structure: part("csr", csrWords.length, "u32", true), values: this.valuesCsr, blocks: csrBlocks };
      this.csc = { structure: part("csc", cscWords.length, "u32", true), values: this.valuesCsc, blocks: cscBlocks };
    } catch (error) {
      for (const buffer of parts) buffer.release();
      throw error;
    }
    this.#parts = parts;
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
    for (const part of this.#parts) part.release();
  }
}
