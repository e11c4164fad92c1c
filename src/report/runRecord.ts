// What a run left in its folder, read back: as much of it as is there.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { FileFormatError } from "../core/errors.ts";
import type { Finding } from "../train/diagnosis.ts";
import type { EvaluationRecord, RunEvent } from "../train/metrics.ts";
import type { StepMetrics } from "../train/trainer.ts";

/** Plain JSON. */
export type Facts = Readonly<Record<string, unknown>>;

/** config.json: what the run started from. */
export interface RunStartFacts extends Facts {
  readonly version: string;
  readonly config: Facts;
  readonly network: Facts & { readonly source: string; readonly neurons: number; readonly synapses: number };
  readonly data: Facts & { readonly source: string; readonly train: number; readonly classes: number };
  readonly device: string;
  readonly stepsPerEpoch: number;
  readonly lastStep: number;
  readonly environment: Facts;
}

/** The part of summary.json that only a finished run knows. */
export interface RunSummaryFacts extends Facts {
  readonly peakMemoryBytes: number;
  readonly deviceMemory: { readonly peakBytes: number; readonly largestBytes: number };
  /** The signal that stopped it early. */
  readonly interrupted: string | null;
}

export interface RunRecord {
  readonly folder: string;
  readonly start: RunStartFacts;
  readonly steps: readonly StepMetrics[];
  readonly evaluations: readonly EvaluationRecord[];
  /** What the last diagnosis says against the run. */
  readonly findings: readonly Finding[];
  /** The error that ended the run; null: none did, or it was resumed since. */
  readonly failure: string | null;
  /** null: the run has not finished. */
  readonly summary: RunSummaryFacts | null;
}

/**
 * Reads config.json, metrics.jsonl and summary.json. Only the first must be there; a last line that is being written is left out.
 *
 * @throws {FileFormatError} no run folder, or damaged files
 */
export async function readRunRecord(folder: string): Promise<RunRecord> {
  const configFile = join(folder, "config.json");
  const text = await readIfThere(configFile);
  if (text === null) throw new FileFormatError(configFile, "the configuration of a run", "no such file");
  const start = parse(configFile, text) as Partial<RunStartFacts> | null;
  if (typeof start?.config !== "object" || typeof start.network !== "object" || typeof start.data !== "object") {
    throw new FileFormatError(configFile, "config, network and data of a run", "other content");
  }
  const events = await readEvents(join(folder, "metrics.jsonl"));
  const summaryFile = join(folder, "summary.json");
  const summary = await readIfThere(summaryFile);
  return {
    folder,
    start: start as RunStartFacts,
    ...historyOf(events),
    summary: summary === null ? null : (parse(summaryFile, summary) as RunSummaryFacts),
  };
}

/** Steps and evaluations in order, the last findings, and how the run failed. A run that was resumed goes on from its checkpoint: what came after that is told anew. */
export function historyOf(
  events: readonly RunEvent[],
): Pick<RunRecord, "steps" | "evaluations" | "findings" | "failure"> {
  let steps: StepMetrics[] = [];
  let evaluations: EvaluationRecord[] = [];
  let findings: readonly Finding[] = [];
  const last = events.at(-1);
  for (const event of events) {
    if (event.event === "evaluation") evaluations.push(event);
    if (event.event === "diagnosis") findings = event.findings;
    if (event.event !== "step") continue;
    if (event.step <= (steps.at(-1)?.step ?? 0)) {
      steps = steps.filter((earlier) => earlier.step < event.step);
      evaluations = evaluations.filter((earlier) => earlier.step < event.step);
    }
    steps.push(event);
  }
  return { steps, evaluations, findings, failure: last?.event === "error" ? last.message : null };
}

async function readEvents(file: string): Promise<RunEvent[]> {
  const lines = ((await readIfThere(file)) ?? "").split("\n");
  // What follows the last line end is no whole line.
  return lines.slice(0, -1).map((line, k) => parse(`${file}:${k + 1}`, line) as RunEvent);
}

async function readIfThere(file: string): Promise<string | null> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR")) return null;
    throw error;
  }
}

function parse(where: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new FileFormatError(where, "JSON", "other text");
  }
}
