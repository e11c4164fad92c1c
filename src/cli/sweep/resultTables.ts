// Results of a sweep as CSV, as Markdown, and as text with a plot for a terminal.

import { formatPercent } from "../../core/format.ts";
import { alignColumns, csvCell, escapeMarkdown, printable } from "../../core/text.ts";
import { textOf } from "./plan.ts";
import { type GroupResult, MEASURES, type Measure, type RunResult, type Spread, type SweepResults } from "./results.ts";

/** Accuracies are shown in percent. */
function isShare(measure: Measure): boolean {
  return measure === "validationAccuracy" || measure === "testAccuracy";
}

const NAMES: Readonly<Record<Measure, string>> = {
  validationAccuracy: "validation (%)",
  testAccuracy: "test (%)",
  validationLoss: "validation loss",
  testLoss: "test loss",
  trainingLoss: "training loss",
  steps: "steps",
  seconds: "seconds",
};

const NOTHING = "–";

function optionKeys({ runs }: SweepResults): string[] {
  return Object.keys(runs[0]?.options ?? {});
}

/** One line per run; accuracies are shares from 0 to 1 (RFC 4180). */
export function resultsCsv(results: SweepResults): string {
  const keys = optionKeys(results);
  const rows = results.runs.map((run) => [
    run.run,
    ...keys.map((key) => textOf(run.options[key])),
    run.seed,
    run.status,
    ...MEASURES.map((measure) => run[measure] ?? ""),
    printable(run.error ?? ""),
  ]);
  const lines = [["run", ...keys, "seed", "status", ...MEASURES, "error"], ...rows];
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

${markdownTable(groups)}
## Runs

${markdownTable(runs)}${failed.length > 0 ? `\n## Failed runs\n\n${failed.join("")}` : ""}`;
}

interface TextTable {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

function groupTable(results: SweepResults): TextTable {
  const keys = optionKeys(results);
  const measures = MEASURES.filter((m) => results.groups.some((group) => group.measures[m] !== null));
  return {
    columns: [...keys, "runs", ...measures.map((m) => NAMES[m])],
    rows: results.groups.map((group) => [
      ...keys.map((key) => textOf(group.options[key])),
      group.finished === group.runs ? `${group.runs}` : `${group.finished} of ${group.runs}`,
      ...measures.map((m) => spreadText(m, group.measures[m])),
    ]),
  };
}

function runTable(results: SweepResults): TextTable {
  const keys = optionKeys(results);
  const measures = MEASURES.filter((m) => results.runs.some((run) => run[m] !== null));
  return {
    columns: [...keys, "seed", "status", ...measures.map((m) => NAMES[m])],
    rows: results.runs.map((run) => [
      ...keys.map((key) => textOf(run.options[key])),
      `${run.seed}`,
      run.status,
      ...measures.map((m) => numberText(m, run[m])),
    ]),
  };
}

function numberText(measure: Measure, value: number | null): string {
  if (value === null) return NOTHING;
  if (isShare(measure)) return (100 * value).toFixed(2);
  if (measure === "steps") return `${Math.round(value)}`;
  return value.toFixed(measure === "seconds" ? 1 : 4);
}

function spreadText(measure: Measure, spread: Spread | null): string {
  if (spread === null) return NOTHING;
  const mean = numberText(measure, spread.mean);
  return spread.sd === null || measure === "steps" ? mean : `${mean} ± ${numberText(measure, spread.sd)}`;
}

function markdownTable({ columns, rows }: TextTable): string {
  const line = (cells: readonly string[]): string => `| ${cells.map((cell) => escapeMarkdown(cell)).join(" | ")} |\n`;
  return `${line(columns)}${"| --- ".repeat(columns.length)}|\n${rows.map(line).join("")}`;
}

/** The groups with a plot of their accuracies, for a terminal. */
export function resultsText(results: SweepResults): string {
  const { columns, rows } = groupTable(results);
  const plot = textPlot(results);
  return [...alignColumns([columns, ...rows]), ...(plot.length > 0 ? ["", ...plot] : [])]
    .map((text) => `${text}\n`)
    .join("");
}

const PLOT_WIDTH = 50;

/** Accuracy of each combination: `├` and `┤` one standard deviation away from the mean `●`. */
function textPlot(results: SweepResults): string[] {
  const measure = plottedMeasure(results);
  const groups = results.groups.flatMap((group) => {
    const spread = measure && group.measures[measure];
    return spread ? [{ name: groupName(group), ...spread }] : [];
  });
  if (measure === null || groups.length < 2) return [];
  const ends = groups.flatMap(({ mean, sd }) => [mean - (sd ?? 0), mean + (sd ?? 0)]);
  const [low, high] = [Math.max(0, Math.min(...ends)), Math.min(1, Math.max(...ends))];
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
  const [left, right] = [formatPercent(low), formatPercent(high)];
  return [
    ...lines,
    `${" ".repeat(width)}  ${left}${right.padStart(PLOT_WIDTH - left.length)}  ${MEASURE_WORDS[measure]}`,
  ];
}

/** Accuracies in words. */
export const MEASURE_WORDS = { testAccuracy: "test accuracy", validationAccuracy: "validation accuracy" } as const;

/** The accuracy that all groups are compared by; null: there is none. */
export function plottedMeasure({ groups }: SweepResults): "testAccuracy" | "validationAccuracy" | null {
  const found = (["testAccuracy", "validationAccuracy"] as const).find((m) =>
    groups.some((g) => g.measures[m] !== null),
  );
  return found ?? null;
}

/** `lr=0.001 gain=2`. */
export function groupName({ options }: Pick<GroupResult | RunResult, "options">): string {
  const parts = Object.entries(options).map(([key, value]) => `${key}=${textOf(value)}`);
  return parts.join(" ") || "all runs";
}
