// Checks shared by the generators of connectomes.

import { ArgumentError } from "../core/errors.ts";

/** @throws {ArgumentError} unless `value` is a whole number from `least` to `most` */
export function checkWhole(where: string, name: string, value: number, least: number, most: number): void {
  if (Number.isSafeInteger(value) && value >= least && value <= most) return;
  throw new ArgumentError(where, name, `a whole number from ${least} to ${most}`, `${value}`);
}

/** @throws {ArgumentError} unless `value` is a finite number above 0 */
export function checkPositive(where: string, name: string, value: number): void {
  if (value > 0 && Number.isFinite(value)) return;
  throw new ArgumentError(where, name, "a number > 0", `${value}`);
}

/** @throws {ArgumentError} unless `value` is from 0 to 1 */
export function checkProbability(where: string, name: string, value: number): void {
  if (value >= 0 && value <= 1) return;
  throw new ArgumentError(where, name, "a probability from 0 to 1", `${value}`);
}

/** Rows and columns that a made connectome may have. */
export const MAX_NEURONS: number = 2 ** 26;
