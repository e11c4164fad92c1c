// The tables of runs as Markdown: `node dist/bench/table.js FILE.json …`, or with --write into README.md and bench/README.md, between
// their markers.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { repositoryRoot } from "../test/support/shared.ts";
import { replaceTable, reportTable } from "./report/markdown.ts";
import type { Report } from "./row.ts";

const DOCUMENTS = ["README.md", join("bench", "README.md")];

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
  const tables = positionals.map((file) => reportTable(JSON.parse(readFileSync(file, "utf8")) as Report));
  const text = tables.join("\n\n");
  if (values.write) for (const document of DOCUMENTS) writeTable(join(repositoryRoot(), document), text);
  else console.log(text);
}

/** Documents without markers stay as they are. */
function writeTable(document: string, table: string): void {
  if (!existsSync(document)) return;
  const text = readFileSync(document, "utf8");
  const replaced = replaceTable(text, table);
  if (replaced !== text) writeFileSync(document, replaced);
}
