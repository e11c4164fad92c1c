// Results of a sweep: one row per run, and means over seeds.

import type { RunState, RunStatus } from "./sweepFolder.ts";

/** The collected numbers of a run. */
export const MEASURES = [
  "validationAccuracy",
  "testAccuracy",
  "validationLoss",
  "testLoss",
  "trainingLoss",
  "steps",
  "seconds",
] as const;

export type Measure = (typeof MEASURES)[number];
export type Measures = Readonly<Record<Measure, number | null>>;

export interface RunResult extends Measures {
  readonly run: string;
  /** The settings that vary within the sweep. */
  readonly options: Readonly<Record<string, unknown>>;
  readonly seed: number;
  readonly status: RunStatus;
  /** The error of a failed run. */
  readonly error: string | null;
}

/** Mean over the finished runs of a combination, and their standard deviation (n − 1); null for a single run. */
export interface Spread {
  readonly mean: number;
  readonly sd: number | null;
}

export interface GroupResult {
  readonly options: Readonly<Record<string, unknown>>;
  /** Finished runs, and all. */
  readonly finished: number;
  readonly runs: number;
  readonly measures: Readonly<Record<Measure, Spread | null>>;
}

export interface SweepResults {
  readonly runs: readonly RunResult[];
  /** One per combination of options, in the order of the runs. */
  readonly groups: readonly GroupResult[];
}

export function collectResults(states: readonly RunState[]): SweepResults {
  const runs = states.map(resultOf);
  const groups = new Map<string, RunResult[]>();
  for (const run of runs) {
    const own = groups.get(keyOf(run));
    if (own) own.push(run);
    else groups.set(keyOf(run), [run]);
  }
  return { runs, groups: [...groups.values()].map(groupOf) };
}

function keyOf({ options }: RunResult): string {
  return JSON.stringify(options);
}

function resultOf({ run, status, summary, error }: RunState): RunResult {
  const { validation = null, test = null } = summary ?? {};
  return {
    run: run.name,
    options: run.options,
    seed: run.config.seed,
    status,
    validationAccuracy: validation?.accuracy ?? null,
    testAccuracy: test?.accuracy ?? null,
    validationLoss: validation?.loss ?? null,
    testLoss: test?.loss ?? null,
    trainingLoss: summary?.trainingLoss ?? null,
    steps: summary?.steps ?? null,
    seconds: summary?.seconds ?? null,
    error,
  };
}

function groupOf(runs: readonly RunResult[]): GroupResult {
  const finished = runs.filter(({ status }) => status === "finished");
  const measures = MEASURES.map((measure) => [
    measure,
    spread(finished.map((run) => run[measure]).filter((value) => value !== null)),
  ]);
  return {
    options: runs[0]!.options,
    finished: finished.length,
    runs: runs.length,
    measures: Object.fromEntries(measures),
  };
}

/** Mean and sample standard deviation. */
export function spread(values: readonly number[]): Spread | null {
  const n = values.length;
  if (n === 0) return null;
  const mean = values.reduce((sum, v) => sum + v, 0) / n;
  const squares = values.reduce((sum, v) => sum + (v - mean) ** 2, 0);
  return { mean, sd: n > 1 ? Math.sqrt(squares / (n - 1)) : null };
}
