// The test runner: runs every compiled test file in a process of its own, because uvu alone is content with running nothing.
//
//   node dist/test/run.js [options] [filter …]      only files whose path contains one of the filters
//     --concurrency <n>   files at a time (2)
//     --timeout <s>       seconds that one file may take (600)
//     --dir <folder>      where to look for *.test.js (the folder of this file)

import { readdirSync } from "node:fs";
import { dirname, join, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { ADAPTER_NOTE } from "./support/note.ts";
import { type FileResult, runTestFile } from "./support/testProcess.ts";

const { values, positionals: filters } = parseArgs({
  allowPositionals: true,
  options: {
    concurrency: { type: "string", default: "2" },
    timeout: { type: "string", default: "600" },
    dir: { type: "string", default: dirname(fileURLToPath(import.meta.url)) },
  },
});

const files = testFiles(values.dir, filters);
const results = await runAll(values.dir, files, {
  concurrency: positive("concurrency", values.concurrency),
  timeoutS: positive("timeout", values.timeout),
});
process.exitCode = report(results) ? 0 : 1;

function positive(name: string, text: string): number {
  const value = Number(text);
  if (value > 0 && Number.isFinite(value)) return value;
  throw new RangeError(`run: expected a number above 0, got ${text} (--${name})`);
}

/** Paths below `folder`, with "/" on every system. */
function testFiles(folder: string, filters: readonly string[]): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .map((path) => path.replaceAll(sep, "/"))
    .filter((path) => path.endsWith(".test.js"))
    .filter((path) => filters.length === 0 || filters.some((filter) => path.includes(filter)))
    .sort();
}

async function runAll(
  folder: string,
  files: readonly string[],
  options: { readonly concurrency: number; readonly timeoutS: number },
): Promise<FileResult[]> {
  const results: FileResult[] = [];
  const waiting = files.values();
  const worker = async (): Promise<void> => {
    // One iterator for all workers: each takes the next file that nobody has.
    for (const file of waiting) {
      const result = await runTestFile(join(folder, file), options.timeoutS);
      reportFile(file, result);
      results.push(result);
    }
  };
  await Promise.all(Array.from({ length: Math.ceil(options.concurrency) }, worker));
  return results;
}

function reportFile(file: string, result: FileResult): void {
  const verdict = result.failed === 0 ? "ok  " : "FAIL";
  const problem = result.problem ? `: ${result.problem}` : "";
  console.log(`${verdict}  ${file}  ${counts(result)}  (${result.seconds.toFixed(1)} s)${problem}`);
  if (result.failed > 0) console.log(indent(result.output));
}

/** Prints notes and totals; true when tests ran and all of them passed. */
function report(results: readonly FileResult[]): boolean {
  const sum = (field: "passed" | "failed" | "skipped"): number => results.reduce((total, r) => total + r[field], 0);
  const total = { passed: sum("passed"), failed: sum("failed"), skipped: sum("skipped") };
  for (const line of new Set(results.flatMap((r) => r.notes))) console.log(`# ${line}${adapterUse(line, results)}`);
  if (total.passed + total.failed === 0) console.log("no tests ran");
  console.log(counts(total));
  return total.failed === 0 && total.passed > 0;
}

/** After the note of a GPU adapter: how many tests ran on it, counted by files. */
function adapterUse(note: string, results: readonly FileResult[]): string {
  if (!note.startsWith(ADAPTER_NOTE)) return "";
  const files = results.filter((r) => r.notes.includes(note));
  const tests = files.reduce((sum, { passed, failed }) => sum + passed + failed, 0);
  return `; files that use it: ${files.length}, with ${tests} tests`;
}

function counts({ passed, failed, skipped }: { passed: number; failed: number; skipped: number }): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`;
}

function indent(text: string): string {
  return text.replace(/^(?=.)/gm, "    ");
}
