// What a reader must know about the machine to read a number.

import { execFileSync } from "node:child_process";
import { availableParallelism, cpus, release, totalmem, type } from "node:os";
import { repositoryRoot } from "../test/support/shared.ts";
import type { Machine } from "./row.ts";

export function describeMachine(): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    os: `${type()} ${release()}`,
    node: process.version,
    commit: commit(),
  };
}

/** Short hash of the commit, with "+" when compiled sources may differ from it; "unknown" outside a repository. */
function commit(): string {
  const git = (...args: string[]): string =>
    execFileSync("git", args, { cwd: repositoryRoot(), encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  try {
    // Results are what a session writes: the second of a series would otherwise carry the mark of the first.
    const sources = ["src", "assembly", "kernels", "bench", ":(exclude)bench/results"];
    const dirty = git("status", "--porcelain", "--", ...sources) !== "";
    return `${git("rev-parse", "--short", "HEAD")}${dirty ? "+" : ""}`;
  } catch {
    return "unknown";
  }
}
