// Checks that numbers for a device are finite in its precision.

import type { DType } from "./dtype.ts";
import { ArgumentError } from "./errors.ts";

/** Position of the first number that is NaN or infinite, or becomes infinite in single precision where `dtype` is f32; −1: none. */
export function findNonFinite(values: ArrayLike<number>, dtype: DType): number {
  const round = dtype === "f32" && !(values instanceof Float32Array) ? Math.fround : (x: number) => x;
  // 0 times a number that is not finite is NaN, and so is every sum with it.
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += 0 * round(values[i]!);
  if (sum === 0) return -1;
  for (let i = 0; i < values.length; i++) if (!Number.isFinite(round(values[i]!))) return i;
  return -1;
}

/**
 * @param place  where in the argument a number is; default "at i"
 * @throws {ArgumentError} the first number that `findNonFinite` finds
 */
export function checkFinite(
  where: string,
  argument: string,
  values: ArrayLike<number>,
  dtype: DType,
  place: (i: number) => string = (i) => `at ${i}`,
): void {
  const i = findNonFinite(values, dtype);
  if (i < 0) return;
  const expected = Number.isFinite(values[i]) ? "finite numbers in the range of f32, up to 3.4e38" : "finite numbers";
  throw new ArgumentError(where, argument, expected, `${values[i]} ${place(i)}`);
}
