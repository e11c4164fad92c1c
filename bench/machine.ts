// Facts about the machine, needed to judge a measurement.

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

/** Short hash of the commit, with "+" if sources may differ from it; "unknown" outside a repository. */
function commit(): string {
  const git = (...args: string[]): string =>
    execFileSync("git", args, { cwd: repositoryRoot(), encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  try {
    // Ignores results: otherwise the files of one run would mark the next run as changed.
    const sources = ["src", "assembly", "kernels", "bench", ":(exclude)bench/results"];
    const dirty = git("status", "--porcelain", "--", ...sources) !== "";
    return `${git("rev-parse", "--short", "HEAD")}${dirty ? "+" : ""}`;
  } catch {
    return "unknown";
  }
}
