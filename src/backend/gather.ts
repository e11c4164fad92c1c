// In what precision products gather.

/** Names of the precisions. */
export const GATHERS = ["f32", "f16"] as const;

/**
 * What a sparse product W·X gathers on WebGPU: rows of X, or of a copy of X in half precision (IEEE 754 binary16), rounded to nearest. Weights,
 * sums, what is stored, and products of reverse passes are f32 either way.
 */
export type Gather = (typeof GATHERS)[number];

/** Relative error of a number rounded to half precision; below 2^-14 the absolute error is up to 2^-25 instead. */
export const HALF_ROUNDOFF: number = 2 ** -11;
