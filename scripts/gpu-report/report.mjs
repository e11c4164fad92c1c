// gpu-report: runs the parts, each in a process of its own, and prints the table of what they found. Text on stdout, everything in a file.
//
// Exit code: 0 everything that was asked for was done and is right, 1 not so (the table names what), 2 wrong usage.

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
// For the commands and the tests as for the times.
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

/** Prints the table; true when everything that was asked for is done and right. What a machine lacks, and says so, is neither. */
function conclude() {
  const report = record.read();
  console.log(`\n${textOf(tablesOf(findings([report])))}\nwritten to ${out}`);
  const isDone = report.parts.every(({ outcome }) => outcome === "done");
  return isDone && report.rows.every(({ passed, error }) => passed !== false && error === undefined);
}

/** From outside: what runs is ended, what is known is told. */
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
