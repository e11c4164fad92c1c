// Fuzzing of readers in a process of its own, which may hang, run out of memory or end: each case is named before it is read, so that
// the one that did it is known, and the next process goes on behind it.

import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** Enough to look at. */
const MOST_FINDINGS = 10;

/** What a process is to do. */
export interface FuzzTask {
  /** Where it writes its files; `case` holds the name of the case that it is at. */
  readonly dir: string;
  readonly seed: number;
  readonly subject: string;
  readonly firstCase: number;
  readonly cases: number;
  /** Resident memory, in MiB, that reading one file may add to that of the process. */
  readonly megabytes: number;
}

/** A case that came out as neither a value nor a typed error. */
export interface Finding {
  /** `subject#case`. */
  readonly name: string;
  readonly what: string;
}

/** What a process says of itself. */
export type FuzzReport =
  | { readonly finding: Finding }
  | { readonly done: { readonly typed: number; readonly read: number } };

/** How many cases there were, and how they ended. */
export interface FuzzResult {
  readonly findings: readonly Finding[];
  /** Cases that ended in a typed error, and that were read. */
  readonly typed: number;
  readonly read: number;
}

/**
 * Reads `cases` damaged files of a subject (fuzzSubjects.ts).
 *
 * @param patienceS seconds without a new case after which the process counts as hung
 */
export async function fuzz(task: Omit<FuzzTask, "dir" | "firstCase">, patienceS: number): Promise<FuzzResult> {
  const dir = mkdtempSync(join(tmpdir(), "axograd-fuzz-"));
  const findings: Finding[] = [];
  const counts = { typed: 0, read: 0 };
  try {
    for (let firstCase = 0; firstCase < task.cases && findings.length < MOST_FINDINGS; ) {
      writeFileSync(join(dir, "case"), caseText(firstCase));
      const end = await run({ ...task, dir, firstCase }, patienceS, (report) => {
        if ("finding" in report) findings.push(report.finding);
        else for (const key of ["typed", "read"] as const) counts[key] += report.done[key];
      });
      if (end === null) break;
      const at = Number(readFileSync(join(dir, "case"), "utf8"));
      findings.push({ name: `${task.subject}#${at}`, what: end });
      firstCase = at + 1;
    }
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
  return { findings, ...counts };
}

/** The number of a case, always as long: it is written over the last one, and so never half there. */
export function caseText(at: number): string {
  return String(at).padStart(9, "0");
}

/** Runs a process to its end; null where it came to it by itself, else what happened. */
async function run(task: FuzzTask, patienceS: number, hear: (report: FuzzReport) => void): Promise<string | null> {
  const child = fork(fileURLToPath(new URL("./fuzzProcess.js", import.meta.url)), [JSON.stringify(task)], {
    execArgv: [`--max-old-space-size=${Math.max(128, task.megabytes)}`, "--enable-source-maps"],
    stdio: ["ignore", "ignore", "pipe", "ipc"],
  });
  let said = "";
  let finished = false;
  child.stderr!.setEncoding("utf8").on("data", (text: string) => {
    said = (said + text).slice(0, 2000);
  });
  child.on("message", (report: FuzzReport) => {
    finished ||= "done" in report;
    hear(report);
  });
  let last = "";
  let hung = false;
  const guard = setInterval(() => {
    const now = readFileSync(join(task.dir, "case"), "utf8");
    hung = now === last;
    if (hung) child.kill("SIGKILL");
    last = now;
  }, patienceS * 1000);
  const [code, signal] = (await once(child, "close")) as [number | null, string | null];
  clearInterval(guard);
  if (hung) return `no end within ${patienceS} s`;
  return finished ? null : `the process ended (${signal ?? code}): ${said.trim().split("\n").slice(0, 6).join(" | ")}`;
}
