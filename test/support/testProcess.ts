// Runs one compiled test file as a process of its own and says what came of it. A crash, a hang, or silence is a failure.

import { spawn } from "node:child_process";
import { NOTE_PREFIX } from "./note.ts";

export interface FileResult {
  /** Of a file that did not run to its end: those that had passed. */
  readonly passed: number;
  /** At least 1 when there is a problem. */
  readonly failed: number;
  readonly skipped: number;
  readonly seconds: number;
  /** What went wrong apart from failing tests; null when the file ran to its end. */
  readonly problem: string | null;
  /** Lines for people, without their prefix. */
  readonly notes: readonly string[];
  /** Everything written to stdout and stderr, in order of arrival. */
  readonly output: string;
}

/** How a process ended. */
interface Ending {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly timedOut: boolean;
}

/** @param onNote gets each note as it comes, for files that take long */
export async function runTestFile(
  file: string,
  timeoutS: number,
  onNote: (note: string) => void = () => {},
): Promise<FileResult> {
  const start = performance.now();
  const notes: string[] = [];
  const { output, ...ending } = await runProcess(file, timeoutS, (line) => {
    if (!line.startsWith(NOTE_PREFIX)) return;
    notes.push(line.slice(NOTE_PREFIX.length));
    onNote(notes.at(-1)!);
  });
  const totals = parseTotals(output);
  const problem = problemOf(ending, totals, timeoutS);
  const failed = totals ? totals.total - totals.passed : count(output, FAILED_MARK);
  return {
    passed: totals?.passed ?? count(output, PASSED_MARK),
    failed: problem ? Math.max(failed, 1) : failed,
    skipped: totals?.skipped ?? 0,
    seconds: (performance.now() - start) / 1000,
    problem,
    notes,
    output,
  };
}

/** What uvu writes after each test. */
const PASSED_MARK = "• ";
const FAILED_MARK = "✘ ";

function count(text: string, mark: string): number {
  return text.split(mark).length - 1;
}

/** @param onLine gets each whole line of stdout as it comes */
function runProcess(
  file: string,
  timeoutS: number,
  onLine: (line: string) => void,
): Promise<Ending & { readonly output: string }> {
  const child = spawn(process.execPath, ["--enable-source-maps", file], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, NO_COLOR: "1" },
  });
  let output = "";
  let begun = "";
  return new Promise((resolve, reject) => {
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      child.kill("SIGKILL");
      // A grandchild that still holds the pipes would keep "close" from coming.
      child.stdout.destroy();
      child.stderr.destroy();
    }, timeoutS * 1000);
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      output += text;
      const lines = (begun + text).split(/\r?\n/);
      begun = lines.pop()!;
      for (const line of lines) onLine(line);
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
    child.on("error", reject);
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      if (begun !== "") onLine(begun);
      resolve({ code, signal, timedOut, output });
    });
  });
}

interface Totals {
  readonly total: number;
  readonly passed: number;
  readonly skipped: number;
}

/** uvu's closing lines; the last ones, should a test have printed some of its own. */
function parseTotals(output: string): Totals | null {
  const match = [...output.matchAll(/^ {2}Total: +(\d+)\s+Passed: +(\d+)\s+Skipped: +(\d+)/gm)].at(-1);
  return match ? { total: Number(match[1]), passed: Number(match[2]), skipped: Number(match[3]) } : null;
}

function problemOf({ code, signal, timedOut }: Ending, totals: Totals | null, timeoutS: number): string | null {
  if (timedOut) return `timed out after ${Number(timeoutS.toFixed(1))} s`;
  if (signal) return `killed by ${signal}`;
  if (!totals) return code === 0 ? "printed no totals: does it call test.run()?" : `crashed with exit code ${code}`;
  if (totals.total + totals.skipped === 0) return "has no tests";
  if (code !== 0 && totals.passed === totals.total) return `exit code ${code} although its tests passed`;
  if (code === 0 && totals.passed < totals.total) return "exit code 0 although a test failed";
  return null;
}
