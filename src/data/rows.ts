// The rows of an array: in memory, or in a file of which some blocks are in memory. Both give the same bits.

import type { FloatArray } from "../core/dtype.ts";
import { FileFormatError } from "../core/errors.ts";
import { SequentialBytes, type StoredArray } from "../io/arrayFiles.ts";
import { countOf } from "../io/npy.ts";
import { decodedBytes, decodeNumbers, type NumberArray, type NumberType, numberArray } from "../io/numbers.ts";

/** Bytes of a block in a file; a longer row is a block of its own. Short, as samples are mostly read in random order. */
const BLOCK_BYTES = 1 << 14;
/** Neighbouring blocks are read at once up to this many bytes. */
const RUN_BYTES = 1 << 20;
/** Bytes that are read before it is checked that the file has not changed. */
const UNCHECKED_BYTES = 1 << 23;

/** Rows of numbers of equal width. */
export interface Rows {
  readonly count: number;
  /** Numbers per row. */
  readonly width: number;
  readonly type: NumberType;
  /** Rows from `begin` to before `end`, read only. A pass calls it once for every row, from the first to the last. */
  scan(begin: number, end: number): NumberArray | Promise<NumberArray>;
  /** Writes the rows at `indices` into `into`, one behind the other. */
  gather(indices: ArrayLike<number>, into: FloatArray): void | Promise<void>;
}

/** An array of numbers whose first index counts rows. */
export interface NumericArray extends StoredArray {
  readonly type: NumberType;
}

/** Bytes of an array in memory. */
export function memoryBytesOf({ shape, type }: Pick<NumericArray, "shape" | "type">): number {
  return countOf(shape) * decodedBytes(type);
}

interface Source {
  readonly array: StoredArray;
  readonly bytes: SequentialBytes;
}

/** Rows in memory. */
export class MemoryRows implements Rows {
  readonly count: number;
  readonly width: number;
  readonly type: NumberType;
  readonly #data: NumberArray;
  /** Where they come from during the first pass. */
  #source: Source | null;

  /** @param source  the file from which the first pass fills `data` */
  constructor(data: NumberArray, type: NumberType, count: number, source: StoredArray | null = null) {
    this.count = count;
    this.width = data.length / count;
    this.type = type;
    this.#data = data;
    this.#source = source && { array: source, bytes: new SequentialBytes(source) };
  }

  scan(begin: number, end: number): NumberArray | Promise<NumberArray> {
    const part = this.#data.subarray(begin * this.width, end * this.width);
    return this.#source ? this.#fill(this.#source, part, end) : part;
  }

  async #fill({ array, bytes }: Source, part: NumberArray, end: number): Promise<NumberArray> {
    const raw = await bytes.next(part.length * array.itemBytes);
    part.set(decodeNumbers(raw, this.type, array.littleEndian, array.label));
    if (end === this.count) this.#source = null;
    return part;
  }

  gather(indices: ArrayLike<number>, into: FloatArray): void {
    const { width } = this;
    for (let k = 0; k < indices.length; k++) {
      const from = indices[k]! * width;
      into.set(this.#data.subarray(from, from + width), k * width);
    }
  }
}

/**
 * Rows of a file that are to be in memory; the first pass over them reads the file.
 *
 * @throws {FileFormatError} damaged data, an unreadable file
 */
export async function loadedRows(array: NumericArray): Promise<MemoryRows> {
  const { type, shape } = array;
  const count = shape[0]!;
  if (!array.fortranOrder || shape.length < 2)
    return new MemoryRows(numberArray(type, countOf(shape)), type, count, array);
  const columns = await new SequentialBytes(array).next(array.data.length);
  const data = inRowOrder(decodeNumbers(columns, type, array.littleEndian, array.label), shape);
  return new MemoryRows(data, type, count);
}

/** An array with its first index fastest, rewritten with its last index fastest. */
function inRowOrder(data: NumberArray, shape: readonly number[]): NumberArray {
  const out = new (data.constructor as new (length: number) => NumberArray)(data.length);
  const index = shape.map(() => 0);
  // Distance in `out` of neighbours along each index.
  const strides = shape.map((_, d) => countOf(shape.slice(d + 1)));
  for (let from = 0, to = 0; from < data.length; from++) {
    out[to] = data[from]!;
    for (let d = 0; d < shape.length; d++) {
      index[d]!++;
      to += strides[d]!;
      if (index[d]! < shape[d]!) break;
      to -= index[d]! * strides[d]!;
      index[d] = 0;
    }
  }
  return out;
}

/** Rows of zeros. */
export class ZeroRows implements Rows {
  readonly count: number;
  readonly width: number;
  readonly type = "u1" as const;

  constructor(count: number, width: number) {
    this.count = count;
    this.width = width;
  }

  scan(begin: number, end: number): NumberArray {
    return new Uint8Array((end - begin) * this.width);
  }

  gather(_indices: ArrayLike<number>, into: FloatArray): void {
    into.fill(0);
  }
}

/** The blocks of files that are in memory: those used last, up to a number of bytes. */
export class BlockCache {
  readonly limitBytes: number;
  /** Blocks read from files so far. */
  loads = 0;
  readonly #blocks = new Map<number, NumberArray>();
  #bytes = 0;
  #reserved = 0;

  constructor(limitBytes: number) {
    this.limitBytes = limitBytes;
  }

  /** Bytes of the blocks in memory. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Numbers for `count` blocks; returns the first. */
  reserve(count: number): number {
    const first = this.#reserved;
    this.#reserved += count;
    return first;
  }

  get(id: number): NumberArray | undefined {
    const block = this.#blocks.get(id);
    if (block) {
      this.#blocks.delete(id);
      this.#blocks.set(id, block);
    }
    return block;
  }

  add(id: number, block: NumberArray): void {
    this.loads++;
    if (block.byteLength > this.limitBytes || this.#blocks.has(id)) return;
    this.#blocks.set(id, block);
    this.#bytes += block.byteLength;
    for (const [oldest, { byteLength }] of this.#blocks) {
      if (this.#bytes <= this.limitBytes) return;
      this.#blocks.delete(oldest);
      this.#bytes -= byteLength;
    }
  }

  clear(): void {
    this.#blocks.clear();
    this.#bytes = 0;
  }
}

/** Rows in a file, read in blocks of whole rows. */
export class FileRows implements Rows {
  readonly count: number;
  readonly width: number;
  readonly type: NumberType;
  readonly #array: NumericArray;
  readonly #cache: BlockCache;
  readonly #rowBytes: number;
  readonly #rowsPerBlock: number;
  readonly #firstBlock: number;
  #pass: SequentialBytes;

  /** @throws {FileFormatError} "file-limit": rows that do not lie in one piece */
  constructor(array: NumericArray, cache: BlockCache) {
    const { shape, type, itemBytes, label } = array;
    if (array.fortranOrder && shape.length > 1) {
      const expected = "rows in one piece (numpy.ascontiguousarray), or an array that fits in memoryBytes";
      throw new FileFormatError(label, expected, "an array in Fortran order", "file-limit");
    }
    this.count = shape[0]!;
    this.width = countOf(shape.slice(1));
    this.type = type;
    this.#array = array;
    this.#cache = cache;
    this.#rowBytes = this.width * itemBytes;
    this.#rowsPerBlock = Math.max(1, Math.floor(BLOCK_BYTES / this.#rowBytes));
    this.#firstBlock = cache.reserve(Math.ceil(this.count / this.#rowsPerBlock));
    this.#pass = new SequentialBytes(array);
  }

  async scan(begin: number, end: number): Promise<NumberArray> {
    if (begin === 0) this.#pass = new SequentialBytes(this.#array);
    return this.#decode(await this.#pass.next((end - begin) * this.#rowBytes));
  }

  async gather(indices: ArrayLike<number>, into: FloatArray): Promise<void> {
    // In the order of the file, whatever the order of the samples.
    const order = Uint32Array.from({ length: indices.length }, (_, k) => k);
    order.sort((a, b) => indices[a]! - indices[b]!);
    const blocks = new Map<number, number[]>();
    for (const k of order) {
      const block = Math.floor(indices[k]! / this.#rowsPerBlock);
      const places = blocks.get(block);
      if (places) places.push(k);
      else blocks.set(block, [k]);
    }
    const copy = (block: number, data: NumberArray): void => {
      for (const k of blocks.get(block)!) {
        const from = (indices[k]! - block * this.#rowsPerBlock) * this.width;
        into.set(data.subarray(from, from + this.width), k * this.width);
      }
    };
    const most = Math.max(1, Math.floor(RUN_BYTES / (this.#rowsPerBlock * this.#rowBytes)));
    let run: number[] = [];
    const loaded = new Map<number, NumberArray>();
    let unchecked = 0;
    const load = async (): Promise<void> => {
      for (const [block, data] of await this.#load(run)) {
        copy(block, data);
        loaded.set(block, data);
        unchecked += data.byteLength;
      }
      run = [];
      if (unchecked >= UNCHECKED_BYTES) await check();
    };
    // Only what is checked may stay.
    const check = async (): Promise<void> => {
      await this.#array.data.check();
      for (const [block, data] of loaded) this.#cache.add(this.#firstBlock + block, data);
      loaded.clear();
      unchecked = 0;
    };
    for (const block of blocks.keys()) {
      const cached = this.#cache.get(this.#firstBlock + block);
      if (cached) {
        copy(block, cached);
        continue;
      }
      if (run.length === most || (run.length > 0 && block !== run.at(-1)! + 1)) await load();
      run.push(block);
    }
    if (run.length > 0) await load();
    if (loaded.size > 0) await check();
  }

  /** Reads neighbouring blocks. */
  async #load(run: readonly number[]): Promise<[block: number, data: NumberArray][]> {
    const begin = run[0]! * this.#rowsPerBlock;
    const bytes = await this.#array.data.read(begin * this.#rowBytes, this.#end(run.at(-1)!) * this.#rowBytes);
    return run.map((block) => {
      const from = block * this.#rowsPerBlock - begin;
      const end = (this.#end(block) - begin) * this.#rowBytes;
      return [block, this.#decode(bytes.subarray(from * this.#rowBytes, end))];
    });
  }

  /** The row behind a block. */
  #end(block: number): number {
    return Math.min(this.count, (block + 1) * this.#rowsPerBlock);
  }

  #decode(bytes: Uint8Array): NumberArray {
    return decodeNumbers(bytes, this.type, this.#array.littleEndian, this.#array.label);
  }
}
