// Buffers and sparse matrices in shared memory.

import { type Csr, columnOffsets, fillCsc, type IndexArray, indexArray } from "../../core/csr.ts";
import { bytesOf, type DType, type FloatArray } from "../../core/dtype.ts";
import type { DeviceBuffer, DeviceSparse } from "../backend.ts";
import { checkLength } from "../checkBuffers.ts";
import type { Arena, Block } from "./arena.ts";
import { blocksOf, CsrCopy } from "./csrCopy.ts";
import type { WasmMemory } from "./module.ts";

/** Typed arrays: new ones, or of memory that is there. */
interface ViewMaker<A> {
  new (length: number): A;
  new (buffer: ArrayBufferLike, address: number, length: number): A;
}

/** The memory of one backend, and how its buffers get and lose theirs. */
export class BufferSpace {
  readonly dtype: DType;
  /** Nothing that is written can be read. */
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

  /** A view of `length` floats; not to be kept, memory may grow. Of imagined memory it is an array of its own. */
  floats(address: number, length: number): FloatArray {
    return this.dtype === "f32" ? this.#view(Float32Array, address, length) : this.#view(Float64Array, address, length);
  }

  u32(address: number, length: number): Uint32Array {
    return this.#view(Uint32Array, address, length);
  }

  u16(address: number, length: number): Uint16Array {
    return this.#view(Uint16Array, address, length);
  }

  #view<A>(View: ViewMaker<A>, address: number, length: number): A {
    return this.isImagined ? new View(length) : new View(this.#memory.buffer, address, length);
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

/** The permutation from CSR to CSC order of a matrix's entries. */
export class WasmPermutation extends WasmBuffer {
  readonly permutes: WasmSparse;

  constructor(matrix: WasmSparse, label: string) {
    super(matrix.space, label, matrix.nnz, "u32");
    this.permutes = matrix;
  }
}

/** Where an array of a matrix lies. */
interface Placed {
  readonly address: number;
}

/** A sparse matrix as kernels read it. Numbers of entries are also on the host, to balance work. */
export interface WasmMatrix extends DeviceSparse {
  readonly space: BufferSpace;
  readonly released: boolean;
  /** Entries before each row, and before each column. */
  readonly rowPtrHost: Uint32Array;
  readonly colPtrHost: Uint32Array;
  /** W·X reads the entries of row i in CSR order from rowPtr[i] up to rowEnd[i]. */
  readonly rowPtr: Placed;
  readonly rowEnd: Placed;
  readonly colIdx: Placed & { readonly bytesPerIndex: 2 | 4 };
  /** Wᵀ·G reads those of column j from colPtr[j] up to colPtr[j + 1]: entry k is at k in CSC order, or at places[k] if `places` has an address. */
  readonly colPtr: Placed;
  readonly rowIdx: Placed & { readonly bytesPerIndex: 2 | 4 };
  readonly places: Placed;
  readonly valuesCsc: WasmBuffer;
  readonly valuesCsr: WasmBuffer;
}

const NOWHERE: Placed = { address: 0 };

/** A sparse matrix in shared memory. */
export class WasmSparse implements WasmMatrix {
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
  readonly places: Placed = NOWHERE;
  /** How its values are copied from CSC to CSR order; null: by a gather. */
  readonly csrCopy: CsrCopy | null;
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
      this.valuesCsr = this.#buffer("valuesCsr");
      this.valuesCsc = this.#buffer("valuesCsc");
      this.cscOfCsr = this.#keep(new WasmPermutation(this, `${label}.cscOfCsr`));
      const blocks = blocksOf(csr, space.dtype);
      this.csrCopy = blocks && new CsrCopy(this, blocks, (...of) => this.#index(...of));
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
    this.csrCopy?.fill();
  }

  get space(): BufferSpace {
    return this.#space;
  }

  /** A row ends where the next one begins. */
  get rowEnd(): Placed {
    return { address: this.rowPtr.address + 4 };
  }

  /** The host reads the device's memory: there is no second copy. */
  get cscOfCsrHost(): Uint32Array {
    if (this.#space.isImagined) return new Uint32Array(0);
    return this.cscOfCsr.view() as Uint32Array;
  }

  get released(): boolean {
    return this.valuesCsc.released;
  }

  /** Idempotent. */
  release(): void {
    for (const part of this.#acquired) part.release();
  }

  #buffer(name: string): WasmBuffer {
    return this.#keep(new WasmBuffer(this.#space, `${this.label}.${name}`, this.nnz, "float"));
  }

  #index(name: string, bytesPerIndex: number, length: number): IndexBlock {
    return this.#keep(new IndexBlock(this.#space, `${this.label}.${name}`, bytesPerIndex === 2 ? 2 : 4, length));
  }

  #keep<T extends { release(): void }>(part: T): T {
    this.#acquired.push(part);
    return part;
  }
}

/** Up to this share of a matrix's entries, Wᵀ·G finds those of some rows one by one; else it walks all columns. */
const FEW_ENTRIES = 1 / 4;

/** Some rows of a matrix, whose entries it shares. See Backend.sparseRows. */
export class WasmSparseRows implements WasmMatrix {
  readonly label: string;
  readonly rowPtrHost: Uint32Array;
  readonly colPtrHost: Uint32Array;
  readonly rowPtr: IndexBlock;
  readonly rowEnd: IndexBlock;
  readonly colPtr: Placed;
  readonly places: Placed;
  readonly #whole: WasmSparse;
  readonly #acquired: IndexBlock[] = [];
  #released = false;

  constructor(whole: WasmSparse, isTaken: ArrayLike<number>) {
    const { nRows, nCols, nnz, space } = whole;
    const ptr = whole.rowPtrHost;
    this.#whole = whole;
    this.label = `${whole.label}.rows`;
    this.rowPtrHost = new Uint32Array(nRows + 1);
    for (let row = 0; row < nRows; row++) {
      const entries = isTaken[row] ? ptr[row + 1]! - ptr[row]! : 0;
      this.rowPtrHost[row + 1] = this.rowPtrHost[row]! + entries;
    }
    const taken = this.rowPtrHost[nRows]!;
    const index = (name: string, length: number): IndexBlock => {
      const block = new IndexBlock(space, `${this.label}.${name}`, 4, length);
      this.#acquired.push(block);
      return block;
    };
    try {
      this.rowPtr = index("rowPtr", nRows);
      this.rowEnd = index("rowEnd", nRows);
      this.rowPtr.view().set(ptr.subarray(0, nRows));
      this.rowEnd.view().set(ptr.subarray(0, nRows).map((first, row) => (isTaken[row] ? ptr[row + 1]! : first)));
      if (taken > FEW_ENTRIES * nnz) {
        this.colPtrHost = whole.colPtrHost;
        this.colPtr = whole.colPtr;
        this.places = NOWHERE;
        return;
      }
      const colPtr = index("colPtr", nCols + 1);
      const places = index("places", taken);
      // Of imagined memory any balance will do.
      this.colPtrHost = space.isImagined ? whole.colPtrHost : fillPlaces(whole, isTaken, places.view());
      colPtr.view().set(this.colPtrHost);
      this.colPtr = colPtr;
      this.places = places;
    } catch (error) {
      this.release();
      throw error;
    }
  }

  get space(): BufferSpace {
    return this.#whole.space;
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

  get valuesCsc(): WasmBuffer {
    return this.#whole.valuesCsc;
  }

  get valuesCsr(): WasmBuffer {
    return this.#whole.valuesCsr;
  }

  get cscOfCsr(): WasmBuffer {
    return this.#whole.cscOfCsr;
  }

  get cscOfCsrHost(): Uint32Array {
    return this.#whole.cscOfCsrHost;
  }

  get colIdx(): IndexBlock {
    return this.#whole.colIdx;
  }

  get rowIdx(): IndexBlock {
    return this.#whole.rowIdx;
  }

  get walked(): { readonly product: number; readonly reverse: number } {
    return { product: this.rowPtrHost[this.nRows]!, reverse: this.colPtrHost[this.nCols]! };
  }

  get released(): boolean {
    return this.#released || this.#whole.released;
  }

  /** Idempotent. The matrix itself stays. */
  release(): void {
    this.#released = true;
    for (const part of this.#acquired) part.release();
  }
}

/** The places in CSC order of the entries of some rows, in that order. @returns how many there are before each column */
function fillPlaces(
  { nCols, colPtrHost, rowIdx }: WasmSparse,
  isTaken: ArrayLike<number>,
  places: IndexArray,
): Uint32Array {
  const rows = rowIdx.view();
  const before = new Uint32Array(nCols + 1);
  let taken = 0;
  for (let col = 0; col < nCols; col++) {
    const end = colPtrHost[col + 1]!;
    for (let k = colPtrHost[col]!; k < end; k++) if (isTaken[rows[k]!]) places[taken++] = k;
    before[col + 1] = taken;
  }
  return before;
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
