// Which lines of src the tests run: `npm run coverage [-- FILTER…]`, with the options and filters of the test runner.
//
// V8 counts in every process and thread that a test starts (NODE_V8_COVERAGE); c8 merges the counts and maps them to TypeScript. Code that
// does not run in V8 as it stands in src is not counted: WebAssembly, shaders, and processes that a test kills.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const C8 = createRequire(import.meta.url).resolve("c8/bin/c8.js");
/** How many files are named as the least covered. */
const LEAST = 20;
/** How many ranges of lines are shown of each. */
const RANGES = 6;

const folder = mkdtempSync(join(tmpdir(), "axograd-coverage-"));
try {
  process.exitCode = testWithCounts(folder, process.argv.slice(2));
  const counts = JSON.parse(readFileSync(join(folder, "report", "coverage-final.json"), "utf8"));
  const files = Object.values(counts).map(coverageOf);
  printFolders(files);
  printLeastCovered(files);
  printNotLoaded(new Set(files.map(({ path }) => path)));
} finally {
  rmSync(folder, { recursive: true });
}

/** Runs the tests. @returns {number} their exit code */
function testWithCounts(temporary, given) {
  const settings = {
    "temp-directory": join(temporary, "counts"),
    "reports-dir": join(temporary, "report"),
    reporter: "json",
    include: "dist/src/**",
  };
  const options = Object.entries(settings).map(([name, value]) => `--${name}=${value}`);
  const command = [C8, ...options, process.execPath, "dist/test/run.js", ...given];
  return spawnSync(process.execPath, command, { cwd: ROOT, stdio: "inherit" }).status ?? 1;
}

/** @param file  counts of a file as Istanbul writes them; its statements are the lines */
function coverageOf({ path, statementMap, s }) {
  const missed = Object.keys(s)
    .filter((k) => s[k] === 0)
    .map((k) => statementMap[k].start.line);
  return { path: slashed(relative(ROOT, path)), lines: Object.keys(s).length, missed };
}

function printFolders(files) {
  const names = [...new Set(files.map(folderOf))].sort();
  const rows = names.map((name) => {
    const own = files.filter((file) => folderOf(file) === name);
    return [name, own.length, ...totals(own)];
  });
  printTable(["folder", "files", "lines", "covered"], [...rows, ["all", files.length, ...totals(files)]]);
}

function totals(files) {
  const lines = files.reduce((sum, file) => sum + file.lines, 0);
  const missed = files.reduce((sum, file) => sum + file.missed.length, 0);
  return [lines, percent(lines - missed, lines)];
}

function printLeastCovered(files) {
  const share = ({ lines, missed }) => missed.length / lines;
  const least = files.filter(({ missed }) => missed.length > 0).sort((a, b) => share(b) - share(a));
  const rows = least.slice(0, LEAST).map((file) => {
    const ranges = rangesOf(file.missed);
    const more = ranges.length > RANGES ? ` … ${ranges.length - RANGES} more` : "";
    return [file.path, ...totals([file]), ranges.slice(0, RANGES).join(" ") + more];
  });
  printTable(["least covered", "lines", "covered", "lines that did not run"], rows);
}

/** Files that no test loaded have no counts; those that hold nothing but types never have. */
function printNotLoaded(loaded) {
  const all = readdirSync(join(ROOT, "src"), { recursive: true, encoding: "utf8" });
  const missing = all.map((path) => `src/${slashed(path)}`).filter((path) => path.endsWith(".ts") && !loaded.has(path));
  const names = missing.length <= LEAST ? missing.join(" ") : "too many to list";
  console.log(`\n${missing.length} files were not loaded, or hold only types: ${names}`);
}

function folderOf({ path }) {
  return path.split("/").slice(0, 2).join("/");
}

/** [3, 4, 5, 9] → ["3-5", "9"]. */
function rangesOf(lines) {
  const ranges = [];
  for (const line of lines) {
    const last = ranges.at(-1);
    if (last?.[1] === line - 1) last[1] = line;
    else ranges.push([line, line]);
  }
  return ranges.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`));
}

function percent(part, whole) {
  return whole === 0 ? "–" : `${((100 * part) / whole).toFixed(1)} %`;
}

/** The first column is text, those with numbers are aligned to the right. */
function printTable(columns, rows) {
  const cells = [columns, ...rows].map((row) => row.map(String));
  const widths = columns.map((_, c) => Math.max(...cells.map((row) => row[c].length)));
  const isText = (c) => c === 0 || columns[c].startsWith("lines that");
  const line = (row) => row.map((cell, c) => (isText(c) ? cell.padEnd(widths[c]) : cell.padStart(widths[c])));
  console.log(`\n${cells.map((row) => line(row).join("  ").trimEnd()).join("\n")}`);
}

function slashed(path) {
  return path.replaceAll(sep, "/");
}
