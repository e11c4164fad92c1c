// The files of a run, and their names.

import { stat } from "node:fs/promises";
import { join } from "node:path";
import { FileFormatError } from "../core/errors.ts";

/** The files of a run. */
export const RUN_FILES = {
  config: "config.json",
  metrics: "metrics.jsonl",
  /** Lines of metrics.jsonl that could not be read. */
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

/**
 * The last checkpoint of a run, given its folder; a file is returned as it is.
 *
 * @throws {FileFormatError} neither exists
 */
export async function checkpointOf(runOrFile: string): Promise<string> {
  const found = await stat(runOrFile).catch(() => null);
  if (found === null)
    throw new FileFormatError(
      runOrFile,
      "the folder of a run, a checkpoint or a state dictionary",
      "nothing that can be opened",
    );
  return found.isDirectory() ? join(runOrFile, RUN_FILES.checkpoint) : runOrFile;
}
