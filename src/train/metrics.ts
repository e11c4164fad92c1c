// What happens in a run as JSON lines: one object per step, evaluation and event, in order. Whole lines only, each written at once.

import { type FileHandle, open, readFile } from "node:fs/promises";
import { jsonText } from "../core/text.ts";
import { writeError } from "../io/durable.ts";
import type { Diagnosis } from "./diagnosis.ts";
import type { Evaluation, StepMetrics } from "./trainer.ts";

/** One line of metrics. */
export type RunEvent =
  | ({ readonly event: "step" } & StepMetrics)
  | ({ readonly event: "evaluation" } & EvaluationRecord)
  | { readonly event: "config" | "summary"; readonly [name: string]: unknown }
  | { readonly event: "tape"; readonly strategy: string; readonly attempts: number; readonly [name: string]: unknown }
  | { readonly event: "profile"; readonly step: number; readonly [name: string]: unknown }
  | { readonly event: "checkpoint"; readonly step: number; readonly file: string }
  | ({ readonly event: "diagnosis" } & Diagnosis)
  | { readonly event: "warning"; readonly message: string }
  | { readonly event: "interrupted"; readonly step: number; readonly signal: string }
  | { readonly event: "resumed"; readonly step: number; readonly checkpoint: string | null }
  | {
      /** A step that was not taken because its loss or gradient was not finite. */
      readonly event: "nonfinite";
      readonly step: number;
      readonly action: "skip" | "rollback";
      readonly message: string;
    }
  | {
      readonly event: "error";
      readonly code: string;
      readonly message: string;
      readonly details: Readonly<Record<string, unknown>>;
    };

/** Which images an evaluation was on. */
export type EvaluationSet = "validation" | "test";

/** An evaluation as it is written. */
export interface EvaluationRecord {
  readonly set: EvaluationSet;
  /** Training steps done before it. */
  readonly step: number;
  readonly loss: number;
  readonly accuracy: number;
  readonly count: number;
  /** Images whose solve failed, left out (`--on-failure mask`). */
  readonly failed: number;
  readonly seconds: number;
  /** One row per label, one column per prediction. */
  readonly confusion: readonly (readonly number[])[];
}

/** An evaluation as it is written: plain JSON, with the confusion matrix as rows. */
export function evaluationRecord(set: EvaluationSet, step: number, evaluation: Evaluation): EvaluationRecord {
  const { confusion, loss, accuracy, count, failed, seconds } = evaluation;
  const classes = Math.sqrt(confusion.length);
  const rows = Array.from({ length: classes }, (_, c) => [...confusion.subarray(c * classes, (c + 1) * classes)]);
  return { set, step, loss, accuracy, count, failed, seconds, confusion: rows };
}

/** One event as a line of JSON, with its line end. Numbers that are not finite become null, as JSON has none. No character acts on a terminal. */
export function jsonLine(event: RunEvent): string {
  return `${jsonText(event)}\n`;
}

/** A file of metrics that grows line by line; each line is handed to the system in one piece before `write` resolves. */
export class MetricsFile {
  readonly file: string;
  readonly #handle: FileHandle;

  // Private, so that the declarations do without Node's types.
  private constructor(file: string, handle: FileHandle) {
    this.file = file;
    this.#handle = handle;
  }

  /** Begins a new file; an existing one is emptied. */
  static async create(file: string): Promise<MetricsFile> {
    try {
      return new MetricsFile(file, await open(file, "w"));
    } catch (cause) {
      throw writeError(file, cause);
    }
  }

  /**
   * Continues a file after step `step`: later lines, and one that was cut off, are removed.
   *
   * @returns the file and the events that stay
   */
  static async resume(file: string, step: number): Promise<{ metrics: MetricsFile; events: readonly RunEvent[] }> {
    try {
      const { bytes, events } = eventsUntil(await readFile(file).catch(nothingIfMissing), step);
      const handle = await open(file, "a");
      await handle.truncate(bytes);
      await handle.sync();
      return { metrics: new MetricsFile(file, handle), events };
    } catch (cause) {
      throw writeError(file, cause);
    }
  }

  async write(event: RunEvent): Promise<void> {
    try {
      await this.#handle.appendFile(jsonLine(event));
    } catch (cause) {
      throw writeError(this.file, cause);
    }
  }

  /** Makes what was written durable. */
  async sync(): Promise<void> {
    try {
      await this.#handle.sync();
    } catch (cause) {
      throw writeError(this.file, cause);
    }
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

const LINE_END = 10;

/** What a run had written when step `step` was done, before anything that followed from it; all lines must be whole. */
function eventsUntil(content: Uint8Array, step: number): { bytes: number; events: RunEvent[] } {
  const decoder = new TextDecoder();
  const kept: RunEvent[] = [];
  const pending: RunEvent[] = [];
  let bytes = 0;
  for (
    let start = 0, end = content.indexOf(LINE_END);
    end >= 0;
    start = end + 1, end = content.indexOf(LINE_END, start)
  ) {
    const event = parseEvent(decoder.decode(content.subarray(start, end)));
    if (!event) break;
    pending.push(event);
    const isStep = event.event === "step" || event.event === "nonfinite";
    if (isStep && event.step > step) break;
    // The plan of the tape belongs to the step before it.
    if (!isStep && event.event !== "config" && event.event !== "tape") continue;
    kept.push(...pending.splice(0));
    bytes = end + 1;
  }
  return { bytes, events: kept };
}

function parseEvent(line: string): RunEvent | null {
  try {
    return JSON.parse(line) as RunEvent;
  } catch {
    return null;
  }
}

function nothingIfMissing(error: NodeJS.ErrnoException): Uint8Array {
  if (error.code === "ENOENT") return new Uint8Array();
  throw error;
}
