// What a run writes, and under which names.

import { stat } from "node:fs/promises";
import { join } from "node:path";

/** The files of a run. */
export const RUN_FILES = {
  config: "config.json",
  metrics: "metrics.jsonl",
  /** Lines of an earlier one that could not be read. */
  damaged: "metrics.jsonl.damaged",
  checkpoint: "checkpoint.safetensors",
  checkpointState: "checkpoint.json",
  best: "best.safetensors",
  bestState: "best.json",
  curves: "curves.svg",
  /** As EventFile names the first one. */
  events: "events.out.tfevents.0000000000.axograd",
  report: "report.html",
  summary: "summary.json",
} as const;

export type RunFile = keyof typeof RUN_FILES;

/** The last checkpoint of a run, where its folder is named; a file is what it is. */
export async function checkpointOf(runOrFile: string): Promise<string> {
  const isFolder = await stat(runOrFile).then(
    (found) => found.isDirectory(),
    () => false,
  );
  return isFolder ? join(runOrFile, RUN_FILES.checkpoint) : runOrFile;
}
