// The events of a run as JSON lines: one object per step, evaluation and event, in order. Each line is written at once, as a whole.

import { type FileHandle, open, readFile } from "node:fs/promises";
import { EngineError, FileFormatError } from "../core/errors.ts";
import { jsonText } from "../core/text.ts";
import { replaceFile, writeError } from "../io/durable.ts";
import { type Facts, JsonParts } from "../io/jsonParts.ts";
import type { Diagnosis, Fault, Finding } from "./diagnosis.ts";
import type { SolverMetrics } from "./solverMetrics.ts";
import { type MetricValues, readMetricValues, type TaskDescription, withoutEarlier } from "./taskDescription.ts";
import type { Evaluation, StepMetrics } from "./trainer.ts";

/** One line of metrics. */
export type RunEvent =
  | ({ readonly event: "step" } & RecordedStep)
  | ({ readonly event: "evaluation" } & EvaluationRecord)
  | { readonly event: "config" | "memory" | "summary"; readonly [name: string]: unknown }
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
      readonly facts: Readonly<Record<string, unknown>>;
    };

/** A step as it is written. */
export interface RecordedStep extends StepMetrics {
  /** Of one of several processes: what this step spent on the exchange with the others and on waiting for them. */
  readonly exchangeSeconds?: number;
}

/** The samples of an evaluation. */
export type EvaluationSet = "validation" | "test";

/** An evaluation as it is written. */
export interface EvaluationRecord {
  readonly set: EvaluationSet;
  /** Training steps done before the evaluation. */
  readonly step: number;
  readonly loss: number;
  readonly metrics: MetricValues;
  /** Metrics of each output, where targets are several numbers. */
  readonly perOutput?: Readonly<Record<string, readonly number[]>>;
  readonly count: number;
  /** Samples whose solve failed, left out (`--on-failure mask`). */
  readonly failed: number;
  readonly seconds: number;
  /** One row per label, one column per prediction; where a sample has one class. */
  readonly confusion?: readonly (readonly number[])[];
}

/** An evaluation as it is written: plain JSON, with the confusion matrix as rows. */
export function evaluationRecord(set: EvaluationSet, step: number, evaluation: Evaluation): EvaluationRecord {
  const { confusion, ...rest } = evaluation;
  return { set, step, ...rest, ...(confusion && { confusion: rowsOf(confusion) }) };
}

function rowsOf(confusion: Uint32Array): number[][] {
  const classes = Math.sqrt(confusion.length);
  return Array.from({ length: classes }, (_, c) => [...confusion.subarray(c * classes, (c + 1) * classes)]);
}

/** One event as a line of JSON, with its line end. Numbers that are not finite become null. Control characters are escaped. */
export function jsonLine(event: RunEvent): string {
  return `${jsonText(event)}\n`;
}

/** A continued file of metrics. */
export interface ResumedMetrics {
  readonly metrics: MetricsFile;
  /** The events that were kept. */
  readonly events: readonly RunEvent[];
  /** Faults of the file, in words; a run leaves a file without faults, even if it is killed. */
  readonly faults: readonly string[];
}

/** A file of metrics that grows by lines; each line is passed to the system as a whole before `write` resolves. */
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
   * Continues a file after step `step`: removes later lines and a truncated one, moves damaged lines to `<file>.damaged`, and keeps the others.
   */
  static async resume(file: string, step: number): Promise<ResumedMetrics> {
    try {
      const content = await readFile(file).catch(nothingIfMissing);
      const { kept, damaged } = linesUntil(content ?? new Uint8Array(), step);
      if (damaged.length > 0) await setAside(file, kept, damaged);
      const handle = await open(file, "a");
      await handle.truncate(kept.reduce((sum, { bytes }) => sum + bytes.length, 0));
      await handle.sync();
      const events = kept.map(({ event }) => event);
      const faults = [
        ...damaged.map(({ number }) => damage(file, number)),
        ...gaps(file, content === null, events, step),
      ];
      return { metrics: new MetricsFile(file, handle), events, faults };
    } catch (cause) {
      throw cause instanceof EngineError ? cause : writeError(file, cause);
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

/** A whole line, with its line end. */
interface Line<E> {
  /** From 1. */
  readonly number: number;
  readonly bytes: Uint8Array;
  readonly event: E;
}

/**
 * The lines written up to step `step`, without those of work that the resumed run repeats: valid and damaged ones. The diagnosis of that step
 * is kept, as it cannot be repeated without its gradients.
 */
function linesUntil(content: Uint8Array, step: number): { kept: Line<RunEvent>[]; damaged: Line<null>[] } {
  const kept: Line<RunEvent>[] = [];
  const pending: Line<RunEvent>[] = [];
  const damaged: Line<null>[] = [];
  for (const { text, ...line } of wholeLines(content)) {
    const event = eventIfWhole(text);
    if (event === null) {
      damaged.push({ ...line, event });
      continue;
    }
    const isStep = event.event === "step" || event.event === "nonfinite";
    if (isStep && event.step > step) break;
    pending.push({ ...line, event });
    // The plan of the tape and the profile belong to the step before them.
    const belongs = ["config", "tape", "profile"].includes(event.event) || isDiagnosisOf(event, step);
    if (isStep || belongs) kept.push(...pending.splice(0));
  }
  return { kept, damaged };
}

/** The lines of a file of metrics, from 1, without an incomplete last one. */
export function* wholeLines(
  content: Uint8Array,
): Generator<{ readonly number: number; readonly bytes: Uint8Array; readonly text: string }> {
  const decoder = new TextDecoder();
  let start = 0;
  for (let number = 1; ; number++) {
    const end = content.indexOf(LINE_END, start);
    if (end < 0) return;
    const bytes = content.subarray(start, end + 1);
    yield { number, bytes, text: decoder.decode(bytes) };
    start = end + 1;
  }
}

function isDiagnosisOf(event: RunEvent, step: number): boolean {
  return step > 0 && event.event === "diagnosis" && event.step === step;
}

/** Copies the damaged lines before it removes them, so that nothing is lost if this is interrupted. */
async function setAside(file: string, kept: readonly Line<RunEvent>[], damaged: readonly Line<null>[]): Promise<void> {
  const handle = await open(damagedFile(file), "a");
  try {
    for (const { bytes } of damaged) await handle.appendFile(bytes);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await replaceFile(
    file,
    kept.map(({ bytes }) => bytes),
  );
}

function damagedFile(file: string): string {
  return `${file}.damaged`;
}

function damage(file: string, number: number): string {
  return `line ${number} of ${file} is damaged; it is now in ${damagedFile(file)}`;
}

/** Reports the steps up to `step` that have no line. */
function gaps(file: string, isMissing: boolean, events: readonly RunEvent[], step: number): string[] {
  const found = new Set(
    events.map((event) => (event.event === "step" || event.event === "nonfinite" ? event.step : 0)),
  );
  const missing = Array.from({ length: step }, (_, k) => k + 1).filter((k) => !found.has(k));
  if (missing.length === 0) return [];
  const which =
    missing.length === 1 ? `step ${missing[0]}` : `${missing.length} steps from ${missing[0]} to ${missing.at(-1)}`;
  return [
    `${file} ${isMissing ? "is gone" : "is not whole"}: the record of ${which} is lost; the run continues without it`,
  ];
}

function eventIfWhole(line: string): RunEvent | null {
  try {
    return parseEvent("", line);
  } catch (error) {
    if (error instanceof FileFormatError) return null;
    throw error;
  }
}

function nothingIfMissing(error: NodeJS.ErrnoException): null {
  if (error.code === "ENOENT") return null;
  throw error;
}

type Diagnosed = Extract<RunEvent, { readonly event: "diagnosis" }>;
type PassedOver = Extract<RunEvent, { readonly event: "nonfinite" }>;

/**
 * The event of a line. Checks the parts that a page or a resumed run reads.
 *
 * @param where  file and line
 * @param task   of the run, to check the values of its metrics; null: unknown
 * @throws {FileFormatError} the line is damaged, or lacks a part
 */
export function parseEvent(where: string, line: string, task: TaskDescription | null = null): RunEvent {
  const parts = JsonParts.parse(where, line, "an event of a run");
  const name = parts.text("event");
  switch (name) {
    case "step":
      return { event: name, ...stepOf(parts, task) };
    case "evaluation":
      return { event: name, ...evaluationOf(parts, task) };
    case "diagnosis":
      return {
        ...(parts.all as unknown as Diagnosed),
        findings: parts.objects("findings").map(findingOf),
      };
    case "nonfinite":
      return { ...(parts.all as unknown as PassedOver), step: parts.count("step", 1) };
    case "error":
      return { event: name, code: parts.text("code"), message: parts.text("message"), facts: errorFacts(parts) };
    case "resumed":
      return { event: name, step: parts.count("step"), checkpoint: parts.textOrNull("checkpoint") };
    default:
      return parts.all as unknown as RunEvent;
  }
}

/** Under `details` in files that were written before 0.2.0. */
function errorFacts(parts: JsonParts): Facts {
  const name = parts.has("facts") ? "facts" : "details";
  return parts.has(name) ? parts.object(name).all : {};
}

function stepOf(parts: JsonParts, task: TaskDescription | null): StepMetrics {
  const positive = { least: 0 };
  return {
    ...(withoutEarlier(parts.all) as unknown as StepMetrics),
    step: parts.count("step", 1),
    epoch: parts.count("epoch"),
    loss: parts.numberOrNaN("loss"),
    metrics: readMetricValues(parts, "metrics", task),
    meanLoss: parts.numberOrNaN("meanLoss"),
    meanMetrics: readMetricValues(parts, "meanMetrics", task),
    learningRate: parts.number("learningRate", positive),
    solver: solverOf(parts.objectOrNull("solver")),
    seconds: parts.number("seconds", positive),
    stepsPerSecond: parts.numberOrNaN("stepsPerSecond", positive),
    eta: parts.numberOrNaN("eta", positive),
    lastStep: parts.countOrNull("lastStep") ?? Number.POSITIVE_INFINITY,
  };
}

function solverOf(parts: JsonParts | null): SolverMetrics | null {
  if (!parts) return null;
  const steps = parts.object("steps");
  return {
    rhsEvaluations: parts.number("rhsEvaluations", { least: 0 }),
    steps: { min: steps.count("min"), mean: steps.number("mean", { least: 0 }), max: steps.count("max") },
    rejected: parts.count("rejected"),
    failed: failedOf(parts),
  };
}

function evaluationOf(parts: JsonParts, task: TaskDescription | null): EvaluationRecord {
  const set = parts.text("set");
  if (set !== "validation" && set !== "test") throw parts.error("set", "validation or test");
  return {
    set,
    step: parts.count("step"),
    loss: parts.numberOrNaN("loss"),
    metrics: readMetricValues(parts, "metrics", task),
    ...(parts.has("perOutput") && { perOutput: perOutputOf(parts.object("perOutput")) }),
    count: parts.count("count"),
    failed: failedOf(parts),
    seconds: parts.number("seconds", { least: 0 }),
    ...(parts.has("confusion") && { confusion: parts.squareOfCounts("confusion") }),
  };
}

function perOutputOf(parts: JsonParts): Readonly<Record<string, readonly number[]>> {
  return Object.fromEntries(Object.keys(parts.all).map((metric) => [metric, parts.numbersOrNaN(metric)]));
}

/** Earlier runs did not record it. */
function failedOf(parts: JsonParts): number {
  return parts.has("failed") ? parts.count("failed") : 0;
}

function findingOf(parts: JsonParts): Finding {
  return { fault: parts.text("fault") as Fault, message: parts.text("message") };
}
