// `axograd collect`: the results of a sweep, finished or not, as tables and a plot.

import { basename, join, resolve } from "node:path";
import type { Command } from "commander";
import { printable } from "../../core/text.ts";
import { replaceFile } from "../../io/durable.ts";
import { standaloneSvg } from "../../report/figure.ts";
import { comparisonFigure } from "../../report/plots/comparison.ts";
import { differencesFigure } from "../../report/plots/differences.ts";
import { assertPng, pngOfSvg } from "../../report/raster.ts";
import { writeJson, writeText } from "../console.ts";
import { type Outcome, outcomeOf } from "../study/outcome.ts";
import { outcomeMarkdown, outcomePage, outcomeText } from "../study/outcomeTables.ts";
import { readStudy } from "../study/study.ts";
import type { PlannedRun } from "./plan.ts";
import { collectResults, type SweepResults } from "./results.ts";
import { groupName, plottedMeasure, resultsCsv, resultsMarkdown, resultsText } from "./resultTables.ts";
import { SweepFolder } from "./sweepFolder.ts";

const FILES = {
  csv: "results.csv",
  markdown: "results.md",
  json: "results.json",
  plot: "results.svg",
  picture: "results.png",
  differences: "differences.svg",
  page: "results.html",
} as const;

const HELP = `
Writes results.csv (one line per run; accuracies and other shares from 0 to 1), results.md, results.json and results.svg into the folder; of
npx axograd controls also its verdicts, as the page results.html and the figure differences.svg.
A run is finished, running, interrupted (npx axograd sweep continues it), failed (its log is in logs/) or waiting.
`;

/** Adds the command to the program. */
export function register(program: Command): void {
  program
    .command("collect")
    .description("collect the results of a sweep: tables, means over seeds, a plot")
    .argument("<dir>", "folder of a sweep, finished or not")
    .option("--png", "also write the plot as a PNG file; needs the package sharp")
    .option("--json", "print the results as JSON on stdout")
    .addHelpText("after", HELP)
    .action(async (dir: string, { png = false, json = false }: { readonly png?: boolean; readonly json?: boolean }) => {
      const folder = new SweepFolder(dir);
      printResults(await collect(folder, await folder.runs(), { png }), { json });
    });
}

/** Results, and the written files. */
export interface Collected extends SweepResults {
  /** Of controls: the verdicts; null: there is nothing to judge yet. */
  readonly outcome?: Outcome | null;
  readonly files: readonly string[];
}

/** Reads the runs, and writes their results into the sweep's folder. */
export async function collect(
  folder: SweepFolder,
  runs: readonly PlannedRun[],
  { png = false }: { readonly png?: boolean } = {},
): Promise<Collected> {
  if (png) await assertPng();
  const swept = collectResults(await folder.states(runs));
  const study = await readStudy(folder.path);
  const outcome = study && (await outcomeOf(folder, study, swept));
  const results = { ...swept, ...(study && { outcome }) };
  const plot = plotOf(results);
  const contents: readonly (readonly [name: string, content: string | Uint8Array])[] = [
    [FILES.csv, resultsCsv(results)],
    [FILES.markdown, resultsMarkdown(results) + (outcome ? outcomeMarkdown(outcome) : "")],
    [FILES.json, `${JSON.stringify(results, null, 2)}\n`],
    ...(plot ? [[FILES.plot, plot] as const] : []),
    ...(plot && png ? [[FILES.picture, await pngOfSvg(plot)] as const] : []),
    ...(outcome ? verdictFiles(outcome, basename(resolve(folder.path))) : []),
  ];
  for (const [name, content] of contents) await replaceFile(join(folder.path, name), [content]);
  return { ...results, files: contents.map(([name]) => join(folder.path, name)) };
}

function verdictFiles(outcome: Outcome, name: string): (readonly [name: string, content: string])[] {
  const { verdicts, measure, rules } = outcome;
  return [
    [FILES.differences, standaloneSvg(differencesFigure(verdicts, measure, rules))],
    [FILES.page, outcomePage(outcome, name)],
  ];
}

export function printResults(collected: Collected, { json }: { readonly json: boolean }): void {
  if (json) writeJson(collected);
  else writeText(collectedText(collected));
}

/** For a terminal. */
export function collectedText(collected: Collected): string {
  const { outcome, files } = collected;
  const verdict = outcome ? outcomeText(outcome) : "\nno verdict yet: no run has been evaluated on its samples\n";
  const paths = files.map((file) => printable(file)).join("  ");
  return `${resultsText(collected)}${outcome === undefined ? "" : verdict}\n${paths}\n`;
}

/** null: no run has been evaluated yet. */
function plotOf(results: SweepResults): string | null {
  const measure = plottedMeasure(results);
  if (measure === null) return null;
  const groups = results.groups.flatMap((group) => {
    const spread = group.measures[measure.key];
    if (!spread) return [];
    const name = groupName(group);
    const values = results.runs.filter((run) => run.status === "finished" && groupName(run) === name);
    return [{ name, values: values.flatMap((run) => run[measure.key] ?? []), ...spread }];
  });
  return standaloneSvg(comparisonFigure(groups, measure));
}
