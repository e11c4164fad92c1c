// Dense matrices with the ids or names of neurons in the first line and the first column: the larva's brain, and C. elegans.

import { join } from "node:path";
import { writeCsv } from "./files.ts";
import { expectedOf, type SyntheticSet } from "./synthetic.ts";

/** Rows are presynaptic; a pair without synapses is 0. The set loses its fragments. */
export function writeLarva(folder: string, set: SyntheticSet): Promise<string> {
  return writeMatrix(join(folder, "all-all_connectivity_matrix.csv"), set, 0);
}

/** A sheet saved as CSV: rows are presynaptic; a pair without synapses is an empty cell. */
export function writeCelegans(folder: string, set: SyntheticSet): Promise<string> {
  return writeMatrix(join(folder, "hermaphrodite_chemical.csv"), set, null);
}

async function writeMatrix(file: string, set: SyntheticSet, none: 0 | null): Promise<string> {
  const { ids, connections } = expectedOf(set);
  const rows = ids.map((id): (string | number | null)[] => [id, ...ids.map(() => none)]);
  for (const { pre, post, synapses } of connections) rows[pre]![post + 1] = synapses;
  await writeCsv(file, ["", ...ids], rows);
  return file;
}
