// Numbers on their way to a file that needs them in another order: kept on the disk, not in memory.

import { type FileHandle, open, rm } from "node:fs/promises";
import { type DType, type FloatArray, floatArray } from "../core/dtype.ts";
import { writeError } from "./durable.ts";

/** Numbers that are read at once, at most; or a row, if that is longer. */
const NUMBERS_AT_ONCE = 1 << 18;

/** A temporary file of rows of numbers: written once, read as often as needed. `close()` removes it. */
export class Spool {
  readonly #file: string;
  readonly #handle: FileHandle;
  readonly #dtype: DType;
  #count = 0;

  private constructor(file: string, handle: FileHandle, dtype: DType) {
    this.#file = file;
    this.#handle = handle;
    this.#dtype = dtype;
  }

  /** Opens one beside the file that its numbers are for. @throws {EngineError} "file-write" */
  static async beside(file: string, dtype: DType): Promise<Spool> {
    const temporary = `${file}.${process.pid}.spool.tmp`;
    try {
      return new Spool(temporary, await open(temporary, "w+"), dtype);
    } catch (cause) {
      throw writeError(file, cause);
    }
  }

  get dtype(): DType {
    return this.#dtype;
  }

  /** Numbers so far. */
  get count(): number {
    return this.#count;
  }

  /** @throws {EngineError} "file-write": the disk is full */
  async append(numbers: FloatArray): Promise<void> {
    const bytes = new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength);
    const start = this.#count * numbers.BYTES_PER_ELEMENT;
    try {
      for (let at = 0; at < bytes.length; ) {
        at += (await this.#handle.write(bytes, at, bytes.length - at, start + at)).bytesWritten;
      }
    } catch (cause) {
      throw writeError(this.#file, cause);
    }
    this.#count += numbers.length;
  }

  /** All numbers in their order, in pieces of whole rows of `width` numbers. */
  async *pieces(width = 1): AsyncGenerator<FloatArray> {
    const step = Math.max(1, Math.floor(NUMBERS_AT_ONCE / width)) * width;
    for (let begin = 0; begin < this.#count; begin += step) {
      const piece = floatArray(this.#dtype, Math.min(step, this.#count - begin));
      const bytes = new Uint8Array(piece.buffer);
      for (let at = 0; at < bytes.length; ) {
        const place = begin * piece.BYTES_PER_ELEMENT + at;
        const { bytesRead } = await this.#handle.read(bytes, at, bytes.length - at, place);
        if (bytesRead === 0) throw writeError(this.#file, new Error("a temporary file that was cut off"));
        at += bytesRead;
      }
      yield piece;
    }
  }

  async close(): Promise<void> {
    await this.#handle.close();
    await rm(this.#file, { force: true });
  }
}
