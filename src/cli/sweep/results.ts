// Results of a sweep: one row per run, and means over seeds.

import { type Spread, spread } from "../../stats/spread.ts";
import type { MetricDescription } from "../../train/taskDescription.ts";
import type { RunState, RunStatus } from "./sweepFolder.ts";

/** Name of a collected number: of a metric or the loss of a set ("testAccuracy", "testLoss"), or of the work. */
export type MeasureKey = `validation${string}` | `test${string}` | `training${string}` | "steps" | "seconds";

/** A number that is collected of every run, and how it is shown. */
export interface Measure {
  readonly key: MeasureKey;
  /** In words: "test accuracy". */
  readonly name: string;
  readonly format: MetricDescription["format"] | "count" | "seconds";
  readonly range: MetricDescription["range"];
  /** null: it does not say how good a network is. */
  readonly better: MetricDescription["better"] | null;
}

type Measures = Readonly<Record<MeasureKey, number | null>>;

export interface RunResult extends Measures {
  readonly run: string;
  /** The settings that vary within the sweep. */
  readonly options: Readonly<Record<string, unknown>>;
  readonly seed: number;
  readonly status: RunStatus;
  /** The error of a failed run. */
  readonly error: string | null;
}

export interface GroupResult {
  readonly options: Readonly<Record<string, unknown>>;
  /** Finished runs, and all. */
  readonly finished: number;
  readonly runs: number;
  /** Over the finished runs. */
  readonly measures: Readonly<Record<MeasureKey, Spread | null>>;
}

export interface SweepResults {
  /** What was collected; metrics in the order of the tasks that have them. */
  readonly measures: readonly Measure[];
  readonly runs: readonly RunResult[];
  /** One per combination of options, in the order of the runs. */
  readonly groups: readonly GroupResult[];
}

export function collectResults(states: readonly RunState[]): SweepResults {
  const collected = collectedFrom(states);
  const runs = states.map((state) => resultOf(state, collected));
  const measures = collected.map(({ measure }) => measure);
  const groups = new Map<string, RunResult[]>();
  for (const run of runs) {
    const own = groups.get(keyOf(run));
    if (own) own.push(run);
    else groups.set(keyOf(run), [run]);
  }
  return { measures, runs, groups: [...groups.values()].map((own) => groupOf(own, measures)) };
}

function keyOf({ options }: RunResult): string {
  return JSON.stringify(options);
}

/** A measure, and where a run has it. */
interface Collected {
  readonly measure: Measure;
  readonly of: (summary: NonNullable<RunState["summary"]>) => number | null;
}

/** Metrics of validation and test, then losses, then the work. */
function collectedFrom(states: readonly RunState[]): Collected[] {
  const metrics = new Map(states.flatMap(({ task }) => task?.metrics.map((metric) => [metric.name, metric]) ?? []));
  const sets = ["validation", "test"] as const;
  const ofMetrics = [...metrics.values()].flatMap(({ name, format, range, better }) =>
    sets.map(
      (set): Collected => ({
        measure: { key: `${set}${inKey(name)}`, name: `${set} ${name}`, format, range, better },
        of: (summary) => summary[set]?.metrics[name] ?? null,
      }),
    ),
  );
  const number = { format: "number", range: [null, null] } as const;
  const losses = sets.map(
    (set): Collected => ({
      measure: { key: `${set}Loss`, name: `${set} loss`, ...number, better: "lower" },
      of: (summary) => summary[set]?.loss ?? null,
    }),
  );
  const work = { range: [0, null], better: null } as const;
  return [
    ...ofMetrics,
    ...losses,
    {
      measure: { key: "trainingLoss", name: "training loss", ...number, better: "lower" },
      of: ({ trainingLoss }) => trainingLoss,
    },
    { measure: { key: "steps", name: "steps", format: "count", ...work }, of: ({ steps }) => steps },
    { measure: { key: "seconds", name: "seconds", format: "seconds", ...work }, of: ({ seconds }) => seconds },
  ];
}

/** "mean error" → "MeanError". */
function inKey(metric: string): string {
  const words = metric.split(/[^\p{L}\p{N}]+/u).filter((word) => word !== "");
  return words.map((word) => `${word.charAt(0).toUpperCase()}${word.slice(1)}`).join("");
}

function resultOf({ run, status, summary, error }: RunState, collected: readonly Collected[]): RunResult {
  const values = collected.map(({ measure, of }) => [measure.key, summary ? finiteOrNull(of(summary)) : null]);
  const measures: Measures = Object.fromEntries(values);
  return { run: run.name, options: run.options, seed: run.config.seed, status, ...measures, error };
}

/** A metric that is undefined is NaN; JSON has null. */
function finiteOrNull(value: number | null): number | null {
  return Number.isFinite(value) ? value : null;
}

function groupOf(runs: readonly RunResult[], measures: readonly Measure[]): GroupResult {
  const finished = runs.filter(({ status }) => status === "finished");
  const spreads = measures.map(({ key }) => [key, spread(finished.flatMap((run) => run[key] ?? []))]);
  return {
    options: runs[0]!.options,
    finished: finished.length,
    runs: runs.length,
    measures: Object.fromEntries(spreads),
  };
}
