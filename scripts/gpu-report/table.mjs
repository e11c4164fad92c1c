// node scripts/gpu-report/table.mjs FILE… [--markdown]: prints the tables of one or more reports of gpu-report. Also reads the files of the first
// run's scripts (report.json, probe.json, peers.json).

import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { findings } from "./findings.mjs";
import { tablesOf } from "./tables.mjs";
import { markdownOf, textOf } from "./write.mjs";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { markdown: { type: "boolean", default: false } },
});
if (positionals.length === 0) {
  process.stderr.write("table: expected one or more report files, got none\n");
  process.exit(2);
}
const tables = tablesOf(findings(positionals.map((file) => JSON.parse(readFileSync(file, "utf8")))));
console.log(values.markdown ? markdownOf(tables) : textOf(tables));
