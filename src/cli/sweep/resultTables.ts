// Results of a sweep as CSV, as Markdown, and as text with a plot for a terminal.

import { alignColumns, csvCell, escapeMarkdown, markdownTable, printable } from "../../core/text.ts";
import type { Spread } from "../../stats/spread.ts";
import { metricText } from "../../train/taskDescription.ts";
import { textOf } from "./plan.ts";
import type { GroupResult, Measure, RunResult, SweepResults } from "./results.ts";

const NOTHING = "–";

function optionKeys({ runs }: SweepResults): string[] {
  return Object.keys(runs[0]?.options ?? {});
}

/** One line per run; shares are from 0 to 1 (RFC 4180). */
export function resultsCsv(results: SweepResults): string {
  const keys = optionKeys(results);
  const rows = results.runs.map((run) => [
    run.run,
    ...keys.map((key) => textOf(run.options[key])),
    run.seed,
    run.status,
    ...results.measures.map(({ key }) => run[key] ?? ""),
    printable(run.error ?? ""),
  ]);
  const measures = results.measures.map(({ key }) => key);
  const lines = [["run", ...keys, "seed", "status", ...measures, "error"], ...rows];
  return lines.map((cells) => `${cells.map((cell) => csvCell(`${cell}`)).join(",")}\r\n`).join("");
}

/** Means over seeds, then each run. */
export function resultsMarkdown(results: SweepResults): string {
  const [groups, runs] = [groupTable(results), runTable(results)];
  const failed = results.runs.flatMap(({ run, error }) =>
    error === null ? [] : [`- \`${run}\`: ${escapeMarkdown(error)}\n`],
  );
  return `# Sweep

Mean ± standard deviation (n − 1) over the finished seeds of each combination.

${markdownTable(groups.columns, groups.rows)}
## Runs

${markdownTable(runs.columns, runs.rows)}${failed.length > 0 ? `\n## Failed runs\n\n${failed.join("")}` : ""}`;
}

interface TextTable {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

function groupTable(results: SweepResults): TextTable {
  const keys = optionKeys(results);
  const measures = results.measures.filter(({ key }) => results.groups.some((group) => group.measures[key] != null));
  return {
    columns: [...keys, "runs", ...measures.map(columnOf)],
    rows: results.groups.map((group) => [
      ...keys.map((key) => textOf(group.options[key])),
      group.finished === group.runs ? `${group.runs}` : `${group.finished} of ${group.runs}`,
      ...measures.map((m) => spreadText(m, group.measures[m.key] ?? null)),
    ]),
  };
}

function runTable(results: SweepResults): TextTable {
  const keys = optionKeys(results);
  const measures = results.measures.filter(({ key }) => results.runs.some((run) => run[key] != null));
  return {
    columns: [...keys, "seed", "status", ...measures.map(columnOf)],
    rows: results.runs.map((run) => [
      ...keys.map((key) => textOf(run.options[key])),
      `${run.seed}`,
      run.status,
      ...measures.map((m) => numberText(m, run[m.key] ?? null)),
    ]),
  };
}

function numberText({ format }: Measure, value: number | null): string {
  if (value === null) return NOTHING;
  switch (format) {
    case "share":
      return (100 * value).toFixed(2);
    case "count":
      return `${Math.round(value)}`;
    case "seconds":
      return value.toFixed(1);
    case "number":
      return value.toFixed(4);
  }
}

function spreadText(measure: Measure, spread: Spread | null): string {
  if (spread === null) return NOTHING;
  const mean = numberText(measure, spread.mean);
  return spread.sd === null || measure.format === "count" ? mean : `${mean} ± ${numberText(measure, spread.sd)}`;
}

/** "test accuracy (%)": shares are shown in percent. */
function columnOf({ name, format }: Measure): string {
  return format === "share" ? `${name} (%)` : name;
}

/** The groups with a plot of the measure that they are compared by, for a terminal. */
export function resultsText(results: SweepResults): string {
  const { columns, rows } = groupTable(results);
  const plot = textPlot(results);
  return [...alignColumns([columns, ...rows]), ...(plot.length > 0 ? ["", ...plot] : [])]
    .map((text) => `${text}\n`)
    .join("");
}

const PLOT_WIDTH = 50;

/** The plotted measure of each combination: `├` and `┤` one standard deviation away from the mean `●`. */
function textPlot(results: SweepResults): string[] {
  const measure = plottedMeasure(results);
  if (measure === null) return [];
  const groups = results.groups.flatMap((group) => {
    const spread = group.measures[measure.key];
    return spread ? [{ name: groupName(group), ...spread }] : [];
  });
  if (groups.length < 2) return [];
  const ends = groups.flatMap(({ mean, sd }) => [mean - (sd ?? 0), mean + (sd ?? 0)]);
  const [least, most] = measure.range;
  const low = Math.max(least ?? Number.NEGATIVE_INFINITY, Math.min(...ends));
  const high = Math.min(most ?? Number.POSITIVE_INFINITY, Math.max(...ends));
  const at = (value: number): number => {
    const share = high > low ? (value - low) / (high - low) : 0.5;
    return Math.round(Math.min(1, Math.max(0, share)) * (PLOT_WIDTH - 1));
  };
  const width = Math.max(...groups.map(({ name }) => name.length));
  const lines = groups.map(({ name, mean, sd }) => {
    const cells = new Array<string>(PLOT_WIDTH).fill(" ");
    const [from, to] = [at(mean - (sd ?? 0)), at(mean + (sd ?? 0))];
    if (to > from) cells.fill("─", from, to + 1).splice(from, 1, "├");
    if (to > from) cells[to] = "┤";
    cells[at(mean)] = "●";
    return `${name.padEnd(width)}  ${cells.join("").trimEnd()}`;
  });
  const [left, right] = [metricText(measure, low, 1), metricText(measure, high, 1)];
  return [...lines, `${" ".repeat(width)}  ${left}${right.padStart(PLOT_WIDTH - left.length)}  ${measure.name}`];
}

/** A measure of quality. */
export type PlottedMeasure = Measure & { readonly format: "share" | "number" };

/** The measure that all groups are compared by: the first one of a test, else of a validation; null: there is none. */
export function plottedMeasure({ groups, measures }: SweepResults): PlottedMeasure | null {
  const known = measures.filter(
    (measure): measure is PlottedMeasure =>
      measure.better !== null && groups.some((group) => group.measures[measure.key] != null),
  );
  return ["test", "validation"].map((set) => known.find(({ key }) => key.startsWith(set))).find((it) => it) ?? null;
}

/** `lr=0.001 gain=2`. */
export function groupName({ options }: Pick<GroupResult | RunResult, "options">): string {
  const parts = Object.entries(options).map(([key, value]) => `${key}=${textOf(value)}`);
  return parts.join(" ") || "all runs";
}
