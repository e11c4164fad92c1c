// gpu-report: runs the parts, each in its own process, and prints a table of their findings. Text goes to stdout, all data to a file.
//
// Exit code: 0 all requested parts are done and correct, 1 some are not (the table names them), 2 wrong usage.

import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { findings } from "./findings.mjs";
import { optionsOf, USAGE, UsageError } from "./options.mjs";
import { plannedParts } from "./parts.mjs";
import { stopAll } from "./process.mjs";
import { Record, rowsFileOf } from "./record.mjs";
import { runParts } from "./run.mjs";
import { tablesOf } from "./tables.mjs";
import { textOf } from "./write.mjs";

const options = readOptions();
// For commands, tests and times alike.
if (options.adapter !== null) process.env.AXOGRAD_ADAPTER = options.adapter;
const out = resolve(options.out);
const folder = mkdtempSync(join(tmpdir(), "gpu-report-"));
process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
const parts = plannedParts(options, folder, rowsFileOf(out));
mkdirSync(dirname(out), { recursive: true });
const record = new Record(out, { date: new Date().toISOString(), options, planned: parts.map(({ title }) => title) });
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.once(signal, stop);

await runParts(parts, record, options.budgetS);
process.exitCode = conclude() ? 0 : 1;

/** Prints the table; true if all requested parts are done and correct. A part that the machine cannot run does not count as failed. */
function conclude() {
  const report = record.read();
  console.log(`\n${textOf(tablesOf(findings([report])))}\nwritten to ${out}`);
  const isDone = report.parts.every(({ outcome }) => outcome === "done");
  return isDone && report.rows.every(({ passed, error }) => passed !== false && error === undefined);
}

/** On a signal: ends running parts and reports the results so far. */
function stop(signal) {
  stopAll();
  record.end("report", "whole report", { outcome: `ended by ${signal}`, seconds: performance.now() / 1000 });
  conclude();
  process.exit(1);
}

function readOptions() {
  try {
    const parsed = optionsOf(process.argv.slice(2));
    if (!parsed.help) return parsed;
    process.stdout.write(USAGE);
    return process.exit(0);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`gpu-report: ${error.message}\n`);
    return process.exit(2);
  }
}
