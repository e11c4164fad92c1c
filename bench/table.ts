// Prints the tables of runs as Markdown: `node dist/bench/table.js FILE.json …`. --write writes them into bench/README.md and, shortened, into
// README.md, between markers.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { repositoryRoot } from "../test/support/shared.ts";
import { replaceTable, reportTable, summaryTable } from "./report/markdown.ts";
import type { Report } from "./row.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { write: { type: "boolean", default: false } },
});
if (positionals.length === 0) {
  console.error(
    "table: expected files of bench/results, as in: node dist/bench/table.js bench/results/run.json [--write]",
  );
  process.exitCode = 2;
} else {
  // Results before 0.2.0 call connections synapses.
  const renamed = (key: string, value: unknown) => (key === "against" && value === "synapses" ? "connections" : value);
  const reports = positionals.map((file) => JSON.parse(readFileSync(file, "utf8"), renamed) as Report);
  const all = reports.map(reportTable).join("\n\n");
  if (values.write) {
    writeTable("README.md", reports.map(summaryTable).join("\n\n"));
    writeTable(join("bench", "README.md"), all);
  } else console.log(all);
}

/** Leaves documents without markers unchanged. */
function writeTable(name: string, table: string): void {
  const document = join(repositoryRoot(), name);
  if (!existsSync(document)) return;
  const text = readFileSync(document, "utf8");
  const replaced = replaceTable(text, table);
  if (replaced !== text) writeFileSync(document, replaced);
}
