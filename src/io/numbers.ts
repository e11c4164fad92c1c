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
    case "u8": {
      const wide = type === "i8" ? new BigInt64Array(buffer) : new BigUint64Array(buffer);
      return exactNumbers(wide, (k) => `${file}: element ${k}`);
    }
  }
}

/** Whole numbers of 64 bits, with or without sign. */
export type WideArray = BigInt64Array | BigUint64Array;

/** Of ±2^53, the high one of its two words of 32 bits. */
export const HIGH_OF_EXACT: number = 2 ** 21;

/**
 * Whole numbers of 64 bits in double precision, without a BigInt for each.
 *
 * @param placeOf where number k stands, for messages
 * @param nulls 1 where there is none, which becomes NaN
 * @throws {FileFormatError} a number beyond ±2^53, where double precision rounds
 */
export function exactNumbers(
  wide: WideArray,
  placeOf: (k: number) => string,
  nulls: Uint8Array | null = null,
  out: Float64Array = new Float64Array(wide.length),
): Float64Array {
  const low = new Uint32Array(wide.buffer, wide.byteOffset, 2 * wide.length);
  const high = wide instanceof BigInt64Array ? new Int32Array(wide.buffer, wide.byteOffset, 2 * wide.length) : low;
  for (let k = 0; k < wide.length; k++) {
    const upper = high[2 * k + 1]!;
    const lower = low[2 * k]!;
    if (nulls?.[k] === 1) out[k] = Number.NaN;
    else if ((upper >= HIGH_OF_EXACT && (upper > HIGH_OF_EXACT || lower > 0)) || upper < -HIGH_OF_EXACT) {
      throw new FileFormatError(placeOf(k), EXACT_NUMBER, String(wide[k]));
    } else out[k] = upper * 2 ** 32 + lower;
  }
  return out;
}

export const EXACT_NUMBER = "a number within ±2^53, where whole numbers are exact";

/** The value of an IEEE 754 binary16: 1 sign, 5 exponent, 10 fraction bits. */
export function floatOfHalf(bits: number): number {
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
