// Reads a table of edges, and prints what it found, how long it took and the peak resident set, as JSON: the counterpart of peers/read_edges.py.
//
//   node readEdges.js FILE read|filter NEURONS

import { openTable } from "../../src/io/openTable.ts";
import type { Cells } from "../../src/io/tableFile.ts";
import { IdSet } from "./idSet.ts";

export interface Reading {
  readonly reader: string;
  readonly seconds: number;
  readonly maxRssBytes: number;
  /** `kept`: rows both of whose ends are neurons, if they were asked for. */
  readonly found: { readonly rows: number; readonly synapses: number; readonly kept: number | null };
}

const [file = "", operation = "read", neurons = "0"] = process.argv.slice(2);
const kept = new IdSet(BigInt64Array.from({ length: Number(neurons) }, (_, k) => BigInt(10_000 + 7 * k)));

const start = performance.now();
const found = { rows: 0, synapses: 0, kept: operation === "filter" ? 0 : null };
const table = await openTable(file);
const columns = [
  { name: "body_pre", as: "id" },
  { name: "body_post", as: "id" },
  { name: "weight", as: "number" },
] as const;
await table.read(columns, ({ count, cells: [pre, post, weight] }) => {
  found.rows += count;
  if (weight!.as === "number") for (let k = 0; k < count; k++) found.synapses += weight!.numbers[k]!;
  if (found.kept !== null) found.kept += kept.countPairs(idsOf(pre!), idsOf(post!), count);
  return true;
});
await table.close();
const result: Reading = {
  reader: "axograd",
  seconds: (performance.now() - start) / 1000,
  maxRssBytes: 1024 * process.resourceUsage().maxRSS,
  found,
};
console.log(JSON.stringify(result));

function idsOf(cells: Cells): BigInt64Array {
  if (cells.as === "id" && cells.ids instanceof BigInt64Array) return cells.ids;
  throw new Error("expected whole numbers as ids");
}
