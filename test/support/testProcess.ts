// Runs one compiled test file as a process of its own and says what came of it. A crash, a hang, or silence is a failure.

import { spawn } from "node:child_process";
import { NOTE_PREFIX } from "./note.ts";

export interface FileResult {
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

export async function runTestFile(file: string, timeoutS: number): Promise<FileResult> {
  const start = performance.now();
  const chunks: Buffer[] = [];
  const ending = await runProcess(file, timeoutS, chunks);
  const output = Buffer.concat(chunks).toString("utf8");
  const totals = parseTotals(output);
  const problem = problemOf(ending, totals, timeoutS);
  const failed = totals ? totals.total - totals.passed : 0;
  return {
    passed: totals?.passed ?? 0,
    failed: problem ? Math.max(failed, 1) : failed,
    skipped: totals?.skipped ?? 0,
    seconds: (performance.now() - start) / 1000,
    problem,
    notes: output
      .split(/\r?\n/)
      .flatMap((line) => (line.startsWith(NOTE_PREFIX) ? line.slice(NOTE_PREFIX.length) : [])),
    output,
  };
}

function runProcess(file: string, timeoutS: number, chunks: Buffer[]): Promise<Ending> {
  const child = spawn(process.execPath, ["--enable-source-maps", file], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, NO_COLOR: "1" },
  });
  return new Promise((resolve, reject) => {
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      child.kill("SIGKILL");
      // A grandchild that still holds the pipes would keep "close" from coming.
      child.stdout.destroy();
      child.stderr.destroy();
    }, timeoutS * 1000);
    child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => chunks.push(chunk));
    child.on("error", reject);
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      resolve({ code, signal, timedOut });
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
  if (timedOut) return `timed out after ${timeoutS} s`;
  if (signal) return `killed by ${signal}`;
  if (!totals) return code === 0 ? "printed no totals: does it call test.run()?" : `crashed with exit code ${code}`;
  if (totals.total + totals.skipped === 0) return "has no tests";
  if (code !== 0 && totals.passed === totals.total) return `exit code ${code} although its tests passed`;
  if (code === 0 && totals.passed < totals.total) return "exit code 0 although a test failed";
  return null;
}
