// Element types of array files and their decoding to typed arrays; shared by the .npy and the .pt reader.

import { FileFormatError } from "../core/errors.ts";

/** Arrays of decoded numbers; 64-bit integers become a Float64Array once all are known to fit. */
export type NumberArray =
  | Float32Array
  | Float64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | Uint8Array
  | Uint16Array
  | Uint32Array;

/** Kind (f float, bf bfloat, i signed, u unsigned, b boolean) and bytes of one element. */
export type NumberType = "f2" | "bf2" | "f4" | "f8" | "i1" | "i2" | "i4" | "i8" | "u1" | "u2" | "u4" | "u8" | "b1";

/** Bytes of one element. */
export function bytesOfNumber(type: NumberType): number {
  return type === "bf2" ? 2 : Number(type[1]);
}

/** The type of the elements of a typed array. */
export function numberTypeOf(data: NumberArray): NumberType {
  const float = data instanceof Float32Array || data instanceof Float64Array;
  const signed = data instanceof Int8Array || data instanceof Int16Array || data instanceof Int32Array;
  return `${float ? "f" : signed ? "i" : "u"}${data.BYTES_PER_ELEMENT}` as NumberType;
}

/** A zeroed array of the kind that `decodeNumbers` makes of a type. */
export function numberArray(type: NumberType, length: number): NumberArray {
  return new ARRAYS[type](length);
}

/** Bytes of one decoded element. */
export function decodedBytes(type: NumberType): number {
  return ARRAYS[type].BYTES_PER_ELEMENT;
}

const ARRAYS: Readonly<Record<NumberType, { new (length: number): NumberArray; readonly BYTES_PER_ELEMENT: number }>> =
  {
    ...{ f2: Float32Array, bf2: Float32Array, f4: Float32Array, f8: Float64Array },
    ...{ i1: Int8Array, i2: Int16Array, i4: Int32Array, i8: Float64Array },
    ...{ u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, u8: Float64Array, b1: Uint8Array },
  };

/**
 * Numbers from their bytes: f2 and bf2 widen to f32, i8 and u8 to f64, b1 to 0 and 1 in u8; the rest keep their type. The
 * result owns its memory.
 *
 * @param bytes a whole number of elements
 * @param file for the error message
 * @param isOwned the caller gives the bytes away: no copy where their memory is theirs alone
 * @throws {FileFormatError} a 64-bit integer beyond ±2^53
 */
export function decodeNumbers(
  bytes: Uint8Array,
  type: NumberType,
  littleEndian: boolean,
  file: string,
  isOwned = false,
): NumberArray {
  const size = bytesOfNumber(type);
  // Aligned for the typed array, and free to be swapped in place.
  const own = isOwned && bytes.byteLength === bytes.buffer.byteLength ? bytes : new Uint8Array(bytes);
  if (!littleEndian) swapBytes(own, size);
  const { buffer } = own;
  switch (type) {
    case "f2":
      return Float32Array.from(new Uint16Array(buffer), floatOfHalf);
    case "bf2":
      return new Float32Array(Uint32Array.from(new Uint16Array(buffer), (bits) => bits << 16).buffer);
    case "f4":
      return new Float32Array(buffer);
    case "f8":
      return new Float64Array(buffer);
    case "i1":
      return new Int8Array(buffer);
    case "i2":
      return new Int16Array(buffer);
    case "i4":
      return new Int32Array(buffer);
    case "u1":
      return own;
    case "u2":
      return new Uint16Array(buffer);
    case "u4":
      return new Uint32Array(buffer);
    case "b1":
      return own.map((byte) => (byte === 0 ? 0 : 1));
    case "i8":
      return wideIntegers(new Uint32Array(buffer), new Int32Array(buffer), file);
    case "u8": {
      const words = new Uint32Array(buffer);
      return wideIntegers(words, words, file);
    }
  }
}

/** 64-bit integers from their 32-bit words, low word first; `high` views the same words as signed or unsigned. */
function wideIntegers(low: Uint32Array, high: Int32Array | Uint32Array, file: string): Float64Array {
  const out = new Float64Array(low.length / 2);
  for (let i = 0; i < out.length; i++) {
    const value = high[2 * i + 1]! * 2 ** 32 + low[2 * i]!;
    if (!Number.isSafeInteger(value)) {
      throw new FileFormatError(file, "64-bit integers within ±2^53", `about ${value} at element ${i}`);
    }
    out[i] = value;
  }
  return out;
}

/** The value of an IEEE 754 binary16: 1 sign, 5 exponent, 10 fraction bits. */
function floatOfHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25);
}

/** Reverses the bytes of every element in place. */
function swapBytes(bytes: Uint8Array, size: number): void {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (size === 2) buffer.swap16();
  else if (size === 4) buffer.swap32();
  else if (size === 8) buffer.swap64();
}
