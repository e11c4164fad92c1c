// Element types of the engine: f32 everywhere it must be fast, f64 as the reference on the CPU.

/** The names of precisions. */
export const DTYPES = ["f32", "f64"] as const;

/** Precision of the numbers of a device: single or double. */
export type DType = (typeof DTYPES)[number];

/** A typed array of either precision. */
export type FloatArray = Float32Array | Float64Array;

/** Bytes of one element. */
export function bytesOf(dtype: DType): 4 | 8 {
  return dtype === "f32" ? 4 : 8;
}

/** Unit roundoff u of a dtype: 2^-24 (f32), 2^-53 (f64). */
export function unitRoundoff(dtype: DType): number {
  return dtype === "f32" ? 2 ** -24 : 2 ** -53;
}

/** The smallest normal number of a dtype, whose reciprocal is finite: devices may take less for 0. */
export function smallestNormal(dtype: DType): number {
  return dtype === "f32" ? 2 ** -126 : 2 ** -1022;
}

/** A zeroed array of `length` elements of `dtype`. */
export function floatArray(dtype: DType, length: number): FloatArray {
  return dtype === "f32" ? new Float32Array(length) : new Float64Array(length);
}
