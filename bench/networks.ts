// The networks of the benchmarks. Processes share one as a folder of raw arrays (CSR, CSC, values in both orders).

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Csr, cscOf, csrFromParts } from "../src/core/csr.ts";
import { ArgumentError, nearestName } from "../src/core/errors.ts";
import { absolute, logNormalConnectome, retinotopicConnectome } from "../src/data/connectomes.ts";
import { readConnectome } from "../src/io/connectome.ts";
import { sharedPath } from "../test/support/shared.ts";
import { readRawF32, readRawU32, writeRaw } from "./arrays.ts";

/** Weights are magnitudes (≥ 0), as the model constrains them. */
export interface Network {
  readonly name: string;
  readonly csr: Csr;
}

/** Makes a network; null if it needs a file that is missing. */
type Maker = () => Promise<Csr | null> | Csr;

const generated =
  (neurons: number, connections: number): Maker =>
  () =>
    logNormalConnectome({ neurons, connections, seed: 1 });

const NAMED: Readonly<Record<string, Maker>> = {
  tiny: generated(500, 10_000),
  default: () => retinotopicConnectome().csr,
  tutorial: generated(47_521, 4_623_254),
  flyvis15: async () => {
    const file = sharedPath("data", "flyvis", "flyvis_e15_csr.npz");
    return file === null ? null : readConnectome(file);
  },
  brain: generated(139_255, 15_000_000),
  fly: generated(166_700, 25_582_938),
};

/**
 * A network by name, or generated as "2000x100000" (neurons x connections).
 *
 * @returns null if the network's file is missing
 * @throws {ArgumentError} another name, or counts out of range
 */
export async function makeNetwork(name: string): Promise<Network | null> {
  const counts = /^(\d+)x(\d+)$/.exec(name);
  const make = counts
    ? generated(Number(counts[1]), Number(counts[2]))
    : Object.hasOwn(NAMED, name)
      ? NAMED[name]!
      : null;
  if (!make) {
    const near = nearestName(name, Object.keys(NAMED));
    throw new ArgumentError("bench", "--sizes", near ? `${near}?` : Object.keys(NAMED).join(", "), name);
  }
  const csr = await make();
  return csr && { name, csr: absolute(csr) };
}

const FILES = {
  rowPtr: "rowPtr.u32",
  colIdx: "colIdx.u32",
  values: "values.f32",
  colPtr: "colPtr.u32",
  rowIdx: "rowIdx.u32",
  valuesCsc: "valuesCsc.f32",
} as const;

export function storeNetwork(folder: string, { name, csr }: Network): void {
  const csc = cscOf(csr);
  const valuesCsc = new Float32Array(csr.nnz);
  csc.cscOfCsr.forEach((at, k) => {
    valuesCsc[at] = csr.values[k]!;
  });
  const path = (file: string): string => join(folder, file);
  writeRaw(path(FILES.rowPtr), csr.rowPtr);
  writeRaw(path(FILES.colIdx), Uint32Array.from(csr.colIdx));
  writeRaw(path(FILES.values), Float32Array.from(csr.values));
  writeRaw(path(FILES.colPtr), csc.colPtr);
  writeRaw(path(FILES.rowIdx), Uint32Array.from(csc.rowIdx));
  writeRaw(path(FILES.valuesCsc), valuesCsc);
  writeFileSync(path("network.json"), JSON.stringify({ name, neurons: csr.nRows, connections: csr.nnz }));
}

export function loadNetwork(folder: string): Network {
  const path = (file: string): string => join(folder, file);
  const { name, neurons } = JSON.parse(readFileSync(path("network.json"), "utf8")) as { name: string; neurons: number };
  const csr = csrFromParts({
    nRows: neurons,
    nCols: neurons,
    rowPtr: readRawU32(path(FILES.rowPtr)),
    colIdx: readRawU32(path(FILES.colIdx)),
    values: readRawF32(path(FILES.values)),
  });
  return { name, csr };
}

/** Σ|w| of every row. */
export function rowSums({ nRows, rowPtr, values }: Csr): Float64Array {
  const sums = new Float64Array(nRows);
  for (let row = 0; row < nRows; row++) {
    for (let k = rowPtr[row]!; k < rowPtr[row + 1]!; k++) sums[row]! += Math.abs(values[k]!);
  }
  return sums;
}
