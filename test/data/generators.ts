// What the tests of made connectomes look at.

import type { Csr } from "../../src/core/csr.ts";

export function inDegrees({ nRows, rowPtr }: Csr): number[] {
  return Array.from({ length: nRows }, (_, i) => rowPtr[i + 1]! - rowPtr[i]!);
}

export function outDegrees({ nCols, colIdx }: Csr): number[] {
  const degrees = new Array<number>(nCols).fill(0);
  for (const j of colIdx) degrees[j]!++;
  return degrees;
}

/** The weights of each row (or column), sorted. */
export function weightsOf(csr: Csr, by: "row" | "column"): number[][] {
  const lists: number[][] = Array.from({ length: by === "row" ? csr.nRows : csr.nCols }, () => []);
  forEachEntry(csr, (i, j, w) => lists[by === "row" ? i : j]!.push(w));
  for (const list of lists) list.sort((a, b) => a - b);
  return lists;
}

export function forEachEntry(csr: Csr, visit: (row: number, col: number, value: number) => void): void {
  for (let i = 0; i < csr.nRows; i++) {
    for (let k = csr.rowPtr[i]!; k < csr.rowPtr[i + 1]!; k++) visit(i, csr.colIdx[k]!, csr.values[k]!);
  }
}

/** Entries as "row,col", for sets. */
export function pairsOf(csr: Csr): Set<string> {
  const pairs = new Set<string>();
  forEachEntry(csr, (i, j) => pairs.add(`${i},${j}`));
  return pairs;
}
