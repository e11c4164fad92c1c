// Checks shared by the generators of connectomes.

import { ArgumentError, ShapeError } from "../core/errors.ts";

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

/**
 * @returns one more than the largest block
 * @throws {ShapeError | ArgumentError} no blocks, blocks of other neurons, or numbers that are none of a block
 */
export function checkBlocks(
  where: string,
  blocks: ArrayLike<number> | undefined,
  { nRows, nCols }: { readonly nRows: number; readonly nCols: number },
): number {
  if (!blocks) throw new ArgumentError(where, "blocks", "a block for each neuron", "none");
  if (nRows !== nCols || blocks.length !== nRows) {
    throw new ShapeError(where, "blocks", `blocks of ${nRows} × ${nCols} neurons`, `${blocks.length}`);
  }
  let extent = 1;
  for (let i = 0; i < nRows; i++) {
    if (!(Number.isInteger(blocks[i]) && blocks[i]! >= 0 && blocks[i]! < MAX_NEURONS)) {
      const expected = `whole numbers from 0 to ${MAX_NEURONS - 1}`;
      throw new ArgumentError(where, "blocks", expected, `${blocks[i]} of neuron ${i}`);
    }
    extent = Math.max(extent, blocks[i]! + 1);
  }
  return extent;
}
