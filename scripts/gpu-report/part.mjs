// Runs one part of the report in this process: node part.mjs MODULE '{"part": …, "title": …, "rowsFile": …}'. Its findings are rows.

import { appendRow } from "./record.mjs";

const [module, text] = process.argv.slice(2);
const job = JSON.parse(text);

/** Adds a row to the record, and prints it. */
function row(facts) {
  appendRow(job.rowsFile, { part: job.part, title: job.title, ...facts });
  console.log(`   ${lineOf(facts)}`);
}

function lineOf({ name, batch, ...facts }) {
  const about = batch === undefined ? name : `${name}, batch ${batch}`;
  return [about, ...Object.entries(facts).flatMap(([key, value]) => wordOf(key, value))].join("  ");
}

/** Lists and records go only to the file. */
function wordOf(key, value) {
  if (value === null || typeof value === "object") return [];
  const isFraction = typeof value === "number" && !Number.isInteger(value);
  return [`${key} ${isFraction ? Number(value.toPrecision(4)) : value}`];
}

const { run } = await import(new URL(`parts/${module}.mjs`, import.meta.url));
try {
  await run({ ...job, row });
} catch (error) {
  row({ name: "failed", error: String(error?.stack ?? error).slice(0, 2000) });
  process.exit(1);
}
// Do not wait for a driver's threads.
process.exit(process.exitCode ?? 0);
