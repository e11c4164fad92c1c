// What commands that analyse a run have in common: they open it, compute, keep the result in its folder for the page, and write it as a table,
// arrays or a picture.

import type { Command } from "commander";
import {
  analysisFile,
  isAnalysisName,
  NAME_RULE,
  plainData,
  readAnalysis,
  writeAnalysis,
} from "../../analysis/record.ts";
import { ArgumentError } from "../../core/errors.ts";
import { csvLine, quoteText } from "../../core/text.ts";
import { replaceFile } from "../../io/durable.ts";
import type { Facts } from "../../io/jsonParts.ts";
import { type ArrayToWrite, writeArrays } from "../../io/writeArrays.ts";
import type { AnalysisFigures } from "../../report/analyses/index.ts";
import { stackedSvg, type Table } from "../../report/figure.ts";
import { assertPng, pngOfSvg } from "../../report/raster.ts";
import type { Settings } from "../../run/configLayers.ts";
import type { Key } from "../../run/configOptions.ts";
import { type OpenedRun, type OpenRunOptions, openRun, type RunPlace } from "../../run/openRun.ts";
import type { LoadProgress } from "../../run/samples.ts";
import { Console, writeJson } from "../console.ts";
import { untilInterrupted } from "../interruption.ts";
import { LongWork } from "../loading.ts";
import { checkOutput, refuseExisting } from "../outputFile.ts";
import { addSampleOptions } from "../sampleOptions.ts";
import { addSetting, settingsAmong } from "../trainOptions.ts";
import { path } from "../values.ts";

/** Settings that may differ from the run's. */
type PlaceKey = Key & keyof RunPlace;

/** The places of the network's files, and the device. */
const NETWORK_KEYS: readonly PlaceKey[] = [
  ...(["connectome", "neuronTable", "dataMemory", "device", "gather", "threads", "memoryBudget"] as const),
];
/** Also those of the run's samples, for commands whose `--data` does not choose other samples. */
export const ANALYSIS_KEYS: readonly PlaceKey[] = [...NETWORK_KEYS, "data", "validationData", "testData"];

/** Rows of a table that are written at once. */
const ROWS_AT_ONCE = 4096;

/** Options that all these commands have. */
export interface AnalysisOptions extends Settings {
  readonly checkpoint: string;
  readonly name?: string;
  readonly out?: string;
  readonly plot?: string;
  readonly overwrite?: boolean;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

/** An analysis of one run. */
export interface Analysis<R extends object> {
  /** Name of the command, and of the record unless `--name` gives another. */
  readonly kind: string;
  /** Its own options, for the record, as they were given; undefined: not given. */
  readonly options: Facts;
  /** Whether the samples of the run are read. Default "read". */
  readonly samples?: OpenRunOptions["samples"];
  /** Whether the command chooses its samples (`addSampleOptions`): its `--data` is not the place of the run's. */
  readonly choosesSamples?: boolean;
  /** @param work  shows progress and stops at a signal */
  compute(run: OpenedRun, work: AnalysisWork): Promise<R>;
  readonly figures: AnalysisFigures;
  /** What the record, and `--json`, have of a result that is too large for them. Default: all of it. */
  record?(result: R): object;
  /** What `--out FILE.csv` has. */
  table(result: R): CsvTable;
  /** What `--out FILE.npz` has. */
  arrays(result: R): Readonly<Record<string, ArrayToWrite>>;
  /** Lines for people. */
  lines(result: R, run: OpenedRun): readonly string[];
}

/** A table that is written row by row. */
export interface CsvTable extends Pick<Table, "columns"> {
  readonly rows: Iterable<Table["rows"][number]>;
}

/** How an analysis reports its progress. */
export interface AnalysisWork {
  /** Shows a line now and then: "silencing  T4a  12/65". */
  show(text: () => string): void;
  /** For the options of what reads files. */
  readonly onProgress: (progress: LoadProgress) => void;
  /** A line about the work, unless only the result is wanted. */
  note(text: string): void;
  readonly signal: AbortSignal;
}

/** Adds the argument and the options that all these commands have. */
export function addAnalysisOptions(
  command: Command,
  kind: string,
  { choosesSamples = false }: Pick<Analysis<object>, "choosesSamples"> = {},
): Command {
  command
    .argument("<run>", "folder of a run")
    .option(
      "--checkpoint <which>",
      "last, best, none (the run as it began), or the file of a checkpoint of this run",
      path("--checkpoint"),
      "last",
    )
    .option("--name <name>", `name of the result on the run's page (default: ${kind})`, analysisName)
    .option("--out <file>", "also write the result as .csv or .npz", outFile)
    .option("--plot <file>", "also write its figures: .svg, or .png (needs the package sharp)", plotFile)
    .option("--overwrite", "replace results and files that exist")
    .option("--json", "report as JSON")
    .option("--quiet", "print only the result");
  if (choosesSamples) addSampleOptions(command);
  for (const key of keysOf({ choosesSamples })) addSetting(command, key);
  return command;
}

function keysOf({ choosesSamples = false }: Pick<Analysis<object>, "choosesSamples">): readonly PlaceKey[] {
  return choosesSamples ? NETWORK_KEYS : ANALYSIS_KEYS;
}

/** Runs an analysis from the options of its command. */
export async function runAnalysis<R extends object>(
  folder: string,
  given: AnalysisOptions,
  analysis: Analysis<R>,
): Promise<void> {
  const { kind } = analysis;
  const { name = kind, out, plot, overwrite = false, json = false, quiet = false } = given;
  const record = analysisFile(folder, name);
  if (!overwrite) await refuseExisting(record, "no result of this name (--name gives another), or --overwrite");
  for (const file of [out, plot]) if (file !== undefined) await checkOutput(file, overwrite);
  if (plot?.endsWith(".png")) await assertPng();
  const console = new Console({ json, quiet });
  const work = new LongWork(console);
  await untilInterrupted(console, async (signal) => {
    await using run = await openRun(folder, {
      ...settingsAmong(keysOf(analysis), given),
      ...{ checkpoint: checkpointOf(given.checkpoint), samples: analysis.samples ?? "read" },
      onProgress: work.onProgress,
    });
    const result = await analysis.compute(run, {
      show: (text) => work.show(text),
      note: (text) => console.info(text),
      onProgress: work.onProgress,
      signal,
    });
    work.done();
    const { options } = analysis;
    const facts = { checkpoint: given.checkpoint, ...options };
    const kept = analysis.record?.(result) ?? result;
    const file = await writeAnalysis(folder, { name, kind, step: run.step, options: facts, result: kept });
    if (out !== undefined) await writeResult(out, analysis, result);
    if (plot !== undefined) await drawResult(plot, analysis.figures, file, name);
    if (json) {
      const written = { file, out: out ?? null, plot: plot ?? null };
      writeJson({ run: folder, kind, name, step: run.step, ...written, result: plainData(kept) });
    }
    for (const line of analysis.lines(result, run)) console.result(line);
    const files = [file, out, plot].filter((it) => it !== undefined).join(", ");
    console.info(`${files}; npx axograd report ${folder} puts it on the run's page`);
  });
}

async function writeResult<R extends object>(file: string, analysis: Analysis<R>, result: R): Promise<void> {
  if (file.endsWith(".npz")) return writeArrays(file, analysis.arrays(result));
  await replaceFile(file, csvLines(analysis.table(result)));
}

/** Some rows at a time. */
function* csvLines({ columns, rows }: CsvTable): Generator<string> {
  let text = csvLine(columns);
  let held = 0;
  for (const row of rows) {
    text += csvLine(row);
    if (++held < ROWS_AT_ONCE) continue;
    yield text;
    [text, held] = ["", 0];
  }
  yield text;
}

/** Draws what the page will show, from the record. */
async function drawResult(plot: string, figures: AnalysisFigures, file: string, name: string): Promise<void> {
  const svg = stackedSvg(name, figures(await readAnalysis(file, name)), { titles: true });
  await replaceFile(plot, [plot.endsWith(".png") ? await pngOfSvg(svg) : svg]);
}

function checkpointOf(which: string): NonNullable<OpenRunOptions["checkpoint"]> {
  return which === "last" || which === "best" || which === "none" ? which : { file: which };
}

function analysisName(text: string): string {
  if (isAnalysisName(text)) return text;
  throw new ArgumentError("command line", "--name", NAME_RULE, quoteText(text));
}

function outFile(text: string): string {
  if (/\.(csv|npz)$/.test(text)) return text;
  throw new ArgumentError("command line", "--out", "a file that ends with .csv or .npz", quoteText(text));
}

function plotFile(text: string): string {
  if (/\.(svg|png)$/.test(text)) return text;
  throw new ArgumentError("command line", "--plot", "a file that ends with .svg or .png", quoteText(text));
}
