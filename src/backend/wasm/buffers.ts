// Buffers and sparse matrices in shared memory.

import { type Csr, columnOffsets, fillCsc, type IndexArray, indexArray } from "../../core/csr.ts";
import { bytesOf, type DType, type FloatArray } from "../../core/dtype.ts";
import type { DeviceBuffer, DeviceSparse } from "../backend.ts";
import { checkLength } from "../checkBuffers.ts";
import type { Arena, Block } from "./arena.ts";
import type { WasmMemory } from "./module.ts";

/** The memory of one backend, and how its buffers get and lose theirs. */
export class BufferSpace {
  readonly dtype: DType;
  /** Nothing can be read or written. */
  readonly isImagined: boolean;
  readonly #memory: WasmMemory;
  readonly #arena: Arena;
  #live = 0;

  constructor(memory: WasmMemory, arena: Arena, dtype: DType, isImagined = false) {
    this.dtype = dtype;
    this.isImagined = isImagined;
    this.#memory = memory;
    this.#arena = arena;
  }

  /** Buffers not yet released. */
  get live(): number {
    return this.#live;
  }

  allocate(label: string, bytes: number): Block {
    const block = this.#arena.allocate(label, bytes);
    this.#live++;
    return block;
  }

  free(block: Block): void {
    this.#arena.free(block);
    this.#live--;
  }

  /** A view of `length` floats; not to be kept, memory may grow. */
  floats(address: number, length: number): FloatArray {
    const { buffer } = this.#memory;
    return this.dtype === "f32" ? new Float32Array(buffer, address, length) : new Float64Array(buffer, address, length);
  }

  u32(address: number, length: number): Uint32Array {
    return new Uint32Array(this.#memory.buffer, address, length);
  }

  u16(address: number, length: number): Uint16Array {
    return new Uint16Array(this.#memory.buffer, address, length);
  }
}

/** An array in shared memory. */
export class WasmBuffer implements DeviceBuffer {
  readonly label: string;
  readonly length: number;
  readonly type: "float" | "u32";
  readonly space: BufferSpace;
  readonly #block: Block;
  #released = false;

  constructor(space: BufferSpace, label: string, length: number, type: "float" | "u32") {
    checkLength(label, length);
    this.space = space;
    this.label = label;
    this.length = length;
    this.type = type;
    this.#block = space.allocate(label, length * (type === "u32" ? 4 : bytesOf(space.dtype)));
  }

  get address(): number {
    return this.#block.address;
  }

  get released(): boolean {
    return this.#released;
  }

  /** The elements from `offset` on; not to be kept, memory may grow. */
  view(offset = 0, length: number = this.length - offset): FloatArray | Uint32Array {
    if (this.type === "u32") return this.space.u32(this.address + 4 * offset, length);
    return this.space.floats(this.address + bytesOf(this.space.dtype) * offset, length);
  }

  /** Idempotent. */
  release(): void {
    if (this.#released) return;
    this.#released = true;
    this.space.free(this.#block);
  }
}

/** A sparse matrix in shared memory, with the offsets of its rows and columns also on the host, to balance work. */
export class WasmSparse implements DeviceSparse {
  readonly label: string;
  readonly nRows: number;
  readonly nCols: number;
  readonly nnz: number;
  readonly valuesCsc: WasmBuffer;
  readonly valuesCsr: WasmBuffer;
  readonly cscOfCsr: WasmBuffer;
  readonly rowPtrHost: Uint32Array;
  readonly colPtrHost: Uint32Array;
  readonly rowPtr: IndexBlock;
  readonly colIdx: IndexBlock;
  readonly colPtr: IndexBlock;
  readonly rowIdx: IndexBlock;
  readonly #space: BufferSpace;
  readonly #acquired: { release(): void }[] = [];

  constructor(space: BufferSpace, label: string, csr: Csr) {
    this.#space = space;
    this.label = label;
    this.nRows = csr.nRows;
    this.nCols = csr.nCols;
    this.nnz = csr.nnz;
    this.rowPtrHost = csr.rowPtr;
    try {
      this.rowPtr = this.#index("rowPtr", 4, csr.nRows + 1);
      this.colIdx = this.#index("colIdx", csr.colIdx.BYTES_PER_ELEMENT, csr.nnz);
      this.colPtr = this.#index("colPtr", 4, csr.nCols + 1);
      this.rowIdx = this.#index("rowIdx", indexArray(csr.nRows, 0).BYTES_PER_ELEMENT, csr.nnz);
      this.valuesCsr = this.#buffer("valuesCsr", "float");
      this.valuesCsc = this.#buffer("valuesCsc", "float");
      this.cscOfCsr = this.#buffer("cscOfCsr", "u32");
    } catch (error) {
      this.release();
      throw error;
    }
    if (space.isImagined) {
      this.colPtrHost = columnOffsets(csr);
      return;
    }
    this.rowPtr.view().set(csr.rowPtr);
    this.colIdx.view().set(csr.colIdx);
    // Built in place: of the largest arrays there is no copy on the host.
    const cscOfCsr = this.cscOfCsrHost;
    this.colPtrHost = fillCsc(csr, this.rowIdx.view(), cscOfCsr);
    this.colPtr.view().set(this.colPtrHost);
    this.valuesCsr.view().set(csr.values);
    const ordered = this.valuesCsc.view();
    for (let k = 0; k < csr.nnz; k++) ordered[cscOfCsr[k]!] = csr.values[k]!;
  }

  get space(): BufferSpace {
    return this.#space;
  }

  /** The host reads the device's memory: there is no second copy. */
  get cscOfCsrHost(): Uint32Array {
    // Any order will do where nothing is computed.
    if (this.#space.isImagined) return new Uint32Array(this.nnz);
    return this.cscOfCsr.view() as Uint32Array;
  }

  get released(): boolean {
    return this.valuesCsc.released;
  }

  /** Idempotent. */
  release(): void {
    for (const part of this.#acquired) part.release();
  }

  #buffer(name: string, type: "float" | "u32"): WasmBuffer {
    const buffer = new WasmBuffer(this.#space, `${this.label}.${name}`, this.nnz, type);
    this.#acquired.push(buffer);
    return buffer;
  }

  #index(name: string, bytesPerIndex: number, length: number): IndexBlock {
    const block = new IndexBlock(this.#space, `${this.label}.${name}`, bytesPerIndex === 2 ? 2 : 4, length);
    this.#acquired.push(block);
    return block;
  }
}

/** Indices or offsets of a matrix. */
export class IndexBlock {
  readonly bytesPerIndex: 2 | 4;
  readonly length: number;
  readonly #space: BufferSpace;
  readonly #block: Block;
  #released = false;

  constructor(space: BufferSpace, label: string, bytesPerIndex: 2 | 4, length: number) {
    this.#space = space;
    this.bytesPerIndex = bytesPerIndex;
    this.length = length;
    this.#block = space.allocate(label, bytesPerIndex * length);
  }

  /** Not to be kept, memory may grow. */
  view(): IndexArray {
    const { address, length } = this;
    return this.bytesPerIndex === 2 ? this.#space.u16(address, length) : this.#space.u32(address, length);
  }

  get address(): number {
    return this.#block.address;
  }

  release(): void {
    if (this.#released) return;
    this.#released = true;
    this.#space.free(this.#block);
  }
}
