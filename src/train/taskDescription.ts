// Loss and metrics of a task as plain JSON: for files, tables, pages and progress, which show any metric without knowing it.

import { formatNumber } from "../core/format.ts";
import type { TargetShape } from "../core/targets.ts";
import type { KnownAnswer } from "../data/tasks/taskSet.ts";
import type { Facts, JsonParts } from "../io/jsonParts.ts";
import type { Task } from "../models/task/task.ts";

/** A loss, as it is shown. */
export interface LossDescription {
  readonly name: string;
  /** Such as "nats"; null: none. */
  readonly unit: string | null;
  /** Loss without knowledge of the inputs; null: unknown. */
  readonly chance: number | null;
}

/** A metric, as it is shown and compared. */
export interface MetricDescription {
  readonly name: string;
  readonly better: "higher" | "lower";
  /** "share": from 0 to 1, shown in percent. */
  readonly format: "share" | "number";
  /** Possible values; null: open. */
  readonly range: readonly [least: number | null, most: number | null];
  /** Value without knowledge of the inputs; null: unknown. */
  readonly chance: number | null;
}

/** How a network is judged. The first metric decides which checkpoint is best; without metrics the loss does. */
export interface TaskDescription {
  readonly loss: LossDescription;
  readonly metrics: readonly MetricDescription[];
  readonly target: TargetShape;
}

/** Values of metrics by name. A metric may be undefined on some samples: NaN. */
export type MetricValues = Readonly<Record<string, number>>;

/** Loss and metrics of a task as plain JSON. */
export function describeTask({ loss, metrics, target }: Task): TaskDescription {
  return {
    loss: { name: loss.name, unit: loss.unit ?? null, chance: loss.chance?.(target) ?? null },
    metrics: metrics.map(({ name, better, format, range, chance }) => ({
      name,
      better,
      format,
      range,
      chance: chance?.(target) ?? null,
    })),
    target,
  };
}

/** The task of all runs before 0.3.0, whose files do not describe it. */
export function classificationTask(classes: number): TaskDescription {
  return {
    loss: { name: "cross-entropy", unit: "nats", chance: Math.log(classes) },
    metrics: [{ name: "accuracy", better: "higher", format: "share", range: [0, 1], chance: 1 / classes }],
    target: { kind: "class", width: 1, classes, times: null },
  };
}

/** Loss and metrics of some samples. */
export interface Judgement {
  readonly loss: number;
  readonly metrics: MetricValues;
}

/** Whether `a` is better than `b`: by the first metric, then by the loss. A value that is not a number is worse than any. */
export function isBetter({ metrics: [first] }: Pick<TaskDescription, "metrics">, a: Judgement, b: Judgement): boolean {
  const score = ({ metrics }: Judgement): number => {
    const value = first ? (metrics[first.name] ?? Number.NaN) : 0;
    if (Number.isNaN(value)) return Number.NEGATIVE_INFINITY;
    return first?.better === "lower" ? -value : value;
  };
  const cost = ({ loss }: Judgement): number => (Number.isNaN(loss) ? Number.POSITIVE_INFINITY : loss);
  return score(a) === score(b) ? cost(a) < cost(b) : score(a) > score(b);
}

/** The description of a metric; of an unknown one, one that shows it as a number. */
export function descriptionOf({ metrics }: Pick<TaskDescription, "metrics">, name: string): MetricDescription {
  const unknown = { name, better: "higher", format: "number", range: [null, null], chance: null } as const;
  return metrics.find((metric) => metric.name === name) ?? unknown;
}

/** "98.62 %", or a number with four digits that count. */
export function metricText({ format }: Pick<MetricDescription, "format">, value: number, digits = 2): string {
  if (!Number.isFinite(value)) return "–";
  return format === "share" ? `${(100 * value).toFixed(digits)} %` : formatNumber(value);
}

/** "best possible 98.2 %, chance 50.0 %": a known answer, as far as it is known. */
export function answerText(
  { best, memoryless, chance }: Omit<KnownAnswer, "reason">,
  metric: Pick<MetricDescription, "format">,
): string {
  const values = [
    ["best possible", best],
    ["with the latest input only", memoryless === chance ? null : memoryless],
    ["chance", chance],
  ] as const;
  return values
    .flatMap(([name, value]) => (value === null ? [] : [`${name} ${metricText(metric, value, 1)}`]))
    .join(", ");
}

/** "loss (nats)". */
export function lossLabel({ unit }: LossDescription): string {
  return unit === null ? "loss" : `loss (${unit})`;
}

/** "accuracy (%)". */
export function metricLabel({ name, format }: Pick<MetricDescription, "name" | "format">): string {
  return format === "share" ? `${name} (%)` : name;
}

// ---- files -------------------------------------------------------------------------------------------------------------

/** @throws {FileFormatError} a part of a description that is missing or wrong */
export function readTaskDescription(parts: JsonParts): TaskDescription {
  const [loss, target] = [parts.object("loss"), parts.object("target")];
  return {
    loss: { name: loss.text("name"), unit: loss.textOrNull("unit"), chance: loss.numberOrNull("chance") },
    metrics: parts.objects("metrics").map((metric) => ({
      name: metric.text("name"),
      better: metric.oneOf("better", ["higher", "lower"]),
      format: metric.oneOf("format", ["share", "number"]),
      range: metric.rangeOrNull("range"),
      chance: metric.numberOrNull("chance"),
    })),
    target: {
      kind: target.oneOf("kind", ["class", "numbers"]),
      width: target.count("width", 1),
      classes: target.countOrNull("classes", 1),
      times: target.countOrNull("times", 1),
    },
  };
}

/** Under which name files before 0.3.0 have the only metric that there was. */
const EARLIER = { metrics: "accuracy", meanMetrics: "meanAccuracy" } as const;

/**
 * Values of metrics, also of files before 0.3.0, which have an accuracy. Values out of the range that `task` gives them are refused.
 *
 * @throws {FileFormatError} no metrics, or a value that is no number
 */
export function readMetricValues(
  parts: JsonParts,
  name: keyof typeof EARLIER,
  task: Pick<TaskDescription, "metrics"> | null,
): MetricValues {
  if (!parts.has(name) && parts.has(EARLIER[name]))
    return { accuracy: parts.numberOrNaN(EARLIER[name], { least: 0, most: 1 }) };
  const own = parts.object(name);
  const values = Object.keys(own.all).map((metric) => {
    const [least, most] = task ? descriptionOf(task, metric).range : [null, null];
    return [metric, own.numberOrNaN(metric, { ...(least !== null && { least }), ...(most !== null && { most }) })];
  });
  return Object.fromEntries(values);
}

/** What is in a line or a file besides the values that files before 0.3.0 had in other places. */
export function withoutEarlier({ accuracy: _, meanAccuracy: __, ...rest }: Facts): Facts {
  return rest;
}
