// Tasks from names, losses and metrics, with their checks.

import { ArgumentError, ShapeError } from "../../core/errors.ts";
import { checkFinite } from "../../core/finite.ts";
import { checkNames } from "../../core/optionNames.ts";
import type { TargetShape } from "../../core/targets.ts";
import { lossByName } from "./losses/index.ts";
import { metricByName } from "./metrics/index.ts";
import type { Loss, Metric, Task } from "./task.ts";

/** What `makeTask` takes; names are those of the ready-made losses and metrics. */
export interface TaskOptions {
  readonly loss: Loss | string;
  /** Default: those that go with the loss. */
  readonly metrics?: readonly (Metric | string)[];
  readonly target: TargetShape;
  /** See `Task.centre`. */
  readonly centre?: ArrayLike<number>;
}

const OPTIONS: Readonly<Record<keyof TaskOptions, true>> = { loss: true, metrics: true, target: true, centre: true };
const WHERE = "task";
/** Losses by the targets that they are for, in words. */
const SUITABLE = { class: "classes, such as cross-entropy", numbers: "numbers, such as squared" } as const;

/** A task with its losses and metrics found by name. @throws {ArgumentError | ShapeError} what does not go together */
export function makeTask(options: TaskOptions): Task {
  checkNames(WHERE, options, OPTIONS);
  const { target, centre } = options;
  const loss = typeof options.loss === "string" ? lossByName(options.loss) : options.loss;
  const given = options.metrics ?? loss.metrics;
  const metrics = given.map((metric) => (typeof metric === "string" ? metricByName(metric) : metric));
  const task: Task = { loss, metrics, target, ...(centre && { centre: Float64Array.from(centre) }) };
  checkTask(task);
  return task;
}

/** Classes of samples: cross-entropy in nats, and accuracy. */
export function classification(classes: number): Task {
  return makeTask({ loss: "cross-entropy", target: { kind: "class", width: 1, classes, times: null } });
}

/** @throws {ArgumentError | ShapeError} loss, metrics, target and centre do not go together */
export function checkTask({ loss, metrics, target, centre }: Task): void {
  const { kind, width, classes, times } = target;
  const whole = (name: string, value: number | null, least: number) => {
    if (!Number.isInteger(value) || value! < least)
      throw new ArgumentError(WHERE, `target.${name}`, `a whole number of at least ${least}`, `${value}`);
  };
  if (kind !== "class" && kind !== "numbers")
    throw new ArgumentError(WHERE, "target.kind", '"class" or "numbers"', `${kind}`);
  whole("width", width, 1);
  if (kind === "class") whole("classes", classes, 2);
  if (kind === "class" && width !== 1) throw new ArgumentError(WHERE, "target.width", "1, for a class", `${width}`);
  if (times !== null) whole("times", times, 1);
  if (loss.target !== kind)
    throw new ArgumentError(WHERE, "loss", `one for ${SUITABLE[kind]}`, `${loss.name}, which is not one`);
  loss.outputs(target);
  const names = new Set<string>();
  for (const metric of metrics) {
    if (names.has(metric.name)) throw new ArgumentError(WHERE, "metrics", "each metric once", `${metric.name} twice`);
    names.add(metric.name);
    if (metric.target === "any" || metric.target === kind) {
      metric.matrices?.(target);
      continue;
    }
    const expected = `metrics for ${kind === "class" ? "classes" : "numbers"}`;
    throw new ArgumentError(WHERE, "metrics", expected, `${metric.name}, which is not one`);
  }
  if (!centre) return;
  if (kind === "class") throw new ArgumentError(WHERE, "centre", "no centre for a class", "one");
  if (centre.length !== width) throw new ShapeError(WHERE, "centre", `${width} numbers`, `${centre.length}`);
  checkFinite(WHERE, "centre", centre, "f64");
}
