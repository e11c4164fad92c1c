// `axograd ensemble`: several runs of one network, such as the seeds of a sweep, as one object.

import { rm } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import type { Command } from "commander";
import { spreadOfNumber } from "../../analysis/comparedNumbers.ts";
import type { EnsembleAnalysis, EnsembleResult } from "../../analysis/ensembleResult.ts";
import { isAnalysisName } from "../../analysis/record.ts";
import { ArgumentError, EngineError, nearestName } from "../../core/errors.ts";
import { alignColumns, csvLine, jsonText, quoteText } from "../../core/text.ts";
import { VERSION } from "../../core/version.ts";
import { PART_NAMES, type PartName } from "../../data/sampleArrays.ts";
import { makeFolder, replaceFile } from "../../io/durable.ts";
import {
  agreementTable,
  ensembleFigures,
  ensemblePage,
  ensembleStatements,
  metricsTable,
  predictionTable,
} from "../../report/ensemble.ts";
import { analysisTables } from "../../report/ensembleAnalysis.ts";
import { standaloneSvg, type Table } from "../../report/figure.ts";
import { assertPng, pngOfSvg } from "../../report/raster.ts";
import type { Settings } from "../../run/configLayers.ts";
import { CONFIG_KEYS, type Key, optionName } from "../../run/configOptions.ts";
import { measureEnsemble } from "../../run/ensemble/measureEnsemble.ts";
import { openEnsemble } from "../../run/ensemble/openEnsemble.ts";
import { readBegun } from "../../run/runStart.ts";
import { LEAST_SILHOUETTE } from "../../stats/clusters.ts";
import { spread } from "../../stats/spread.ts";
import { Console, writeJson } from "../console.ts";
import { untilInterrupted } from "../interruption.ts";
import { LongWork } from "../loading.ts";
import { refuseExisting } from "../outputFile.ts";
import { textOf } from "../sweep/plan.ts";
import { SweepFolder } from "../sweep/sweepFolder.ts";
import { addSetting, settingsAmong } from "../trainOptions.ts";
import { oneOf, path, realNumber, repeated, wholeNumber } from "../values.ts";
import { ANALYSIS_KEYS } from "./analysis.ts";

const FILES = {
  json: "ensemble.json",
  members: "members.csv",
  parameters: "parameters.csv",
  analysis: "analysis.csv",
  responses: "responses.csv",
  page: "ensemble.html",
  plots: "plots",
} as const;

/** Lines of a table about an analysis. */
const MOST_LINES = 30;

const HELP = `
Members are folders of runs, or folders of sweeps and controls, which stand for all their runs; --where chooses among them. They must have
equally many neurons and connections, the same types of neurons and the same task. Settings in which they differ, apart from the seed, are
reported as warnings.

Writes into the folder: ensemble.json (everything), members.csv, parameters.csv, responses.csv (or analysis.csv), plots, and the page
ensemble.html.

Examples:
  npx axograd ensemble runs/a runs/b runs/c --out ensembles/abc
  npx axograd ensemble sweeps/controls --where wiring=real --where trainConnectome=true --out ensembles/real
  npx axograd ensemble runs/a runs/b runs/c --from-analysis tuning --out ensembles/tuning
                                              what npx axograd tuning found in each run: mean and spread by type, clusters
`;

interface GivenOptions extends Settings {
  readonly out: string;
  readonly where?: readonly Choice[];
  readonly allowUnfinished?: boolean;
  readonly checkpoint: "last" | "best";
  readonly part?: PartName;
  readonly samples: number;
  readonly times: number;
  readonly by?: string;
  readonly fromAnalysis?: string;
  readonly array?: readonly string[];
  readonly clusterBy?: string;
  readonly leastSilhouette: number;
  readonly png?: boolean;
  readonly overwrite?: boolean;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

/** A setting that members must have. */
interface Choice {
  readonly key: Key;
  readonly value: string;
}

/** Adds the command to the program. */
export function register(program: Command): void {
  const command = program
    .command("ensemble")
    .description(
      "several runs (seeds) of one network as one object: means and spread, agreement, clusters of solutions",
    )
    .argument("<runs...>", "folders of runs, sweeps or controls")
    .requiredOption("--out <folder>", "folder of the results", path("--out"))
    .option("--where <key=value>", "only runs with this setting, like wiring=real; repeatable", gatherChoice)
    .option("--allow-unfinished", "leave out runs that are unfinished or cannot be read; else they are refused")
    .option("--checkpoint <which>", "last or best", oneOf("--checkpoint", ["last", "best"]), "last")
    .option("--part <name>", `samples: ${PART_NAMES.join(", ")} (default: test)`, oneOf("--part", PART_NAMES))
    .option(
      "--samples <n>",
      "responses are means over the first n samples; predictions use all",
      wholeNumber("--samples", 1),
      100,
    )
    .option("--times <n>", "times of the responses", wholeNumber("--times", 2), 20)
    .option("--by <column>", "groups of neurons by this column (default: type, or role without types)", path("--by"))
    .option("--from-analysis <name>", "compare this analysis of every run in place of responses", analysisName)
    .option("--array <path>", "of the analysis only these numbers, like on.dsi or types.on.dsi; repeatable", repeated)
    .option(
      "--cluster-by <what>",
      "responses, analysis, weights, strengths, bias or tau (default: responses, or the analysis)",
      path("--cluster-by"),
    )
    .option(
      "--least-silhouette <s>",
      "mean silhouette from which on clusters count",
      realNumber("--least-silhouette", { least: -1, below: 1 }),
      LEAST_SILHOUETTE,
    )
    .option("--png", "also write the plots as PNG files; needs the package sharp")
    .option("--overwrite", "replace the results in the folder")
    .option("--json", "report as JSON")
    .option("--quiet", "print only the result");
  for (const key of ANALYSIS_KEYS) addSetting(command, key);
  command.addHelpText("after", HELP).action(run);
}

async function run(given: readonly string[], options: GivenOptions): Promise<void> {
  const {
    out,
    where = [],
    allowUnfinished = false,
    checkpoint,
    overwrite = false,
    json = false,
    quiet = false,
  } = options;
  const { part, samples, times, by, fromAnalysis, array, clusterBy, leastSilhouette, png = false } = options;
  if (array && fromAnalysis === undefined)
    throw new ArgumentError("ensemble", "--array", "--from-analysis with it", "none");
  if (png) await assertPng();
  if (!overwrite) await refuseExisting(join(out, FILES.json), "a folder without results, or --overwrite");
  const console = new Console({ json, quiet });
  const work = new LongWork(console);
  await untilInterrupted(console, async (signal) => {
    const ensemble = await openEnsemble(await foldersOf(given, where), {
      ...settingsAmong(ANALYSIS_KEYS, options),
      ...{ allowUnfinished, checkpoint, onProgress: work.onProgress },
    });
    for (const warning of ensemble.warnings) console.warn(warning);
    for (const { folder, reason } of ensemble.leftOut) console.warn(`left out ${folder}: ${reason}`);
    const result = await measureEnsemble(ensemble, {
      ...{ samples, times, leastSilhouette, signal },
      ...(part && { part }),
      ...(by !== undefined && { by }),
      ...(fromAnalysis !== undefined && { analysis: fromAnalysis }),
      ...(array && { arrays: array }),
      ...(clusterBy !== undefined && { clusterBy }),
      onProgress: (member, members, what) => work.show(() => `member ${member + 1}/${members}  ${what}`),
    });
    signal.throwIfAborted();
    work.done();
    const facts = {
      checkpoint,
      part: part ?? null,
      samples,
      times,
      where: where.map(({ key, value }) => `${key}=${value}`),
    };
    const isDiscrete = ensemble.members[0]!.config.time === "discrete";
    const files = await writeEnsemble(out, result, facts, { isDiscrete, png });
    if (json) writeJson({ out, files, result });
    for (const line of linesOf(result)) console.result(line);
    for (const note of result.notes.filter((own) => !ensemble.warnings.includes(own))) console.info(`note: ${note}`);
    const beside = [FILES.json, ...files.filter((name) => name.endsWith(".csv")), `${FILES.plots}/`];
    console.info(`${join(out, FILES.page)}; beside it ${beside.join(", ")}`);
  });
}

/**
 * The folders of runs that are meant: those given, and all of given sweeps; only those with the wanted settings.
 *
 * @throws {ArgumentError} no run has them
 */
async function foldersOf(given: readonly string[], where: readonly Choice[]): Promise<string[]> {
  const folders: string[] = [];
  const seen = new Map<Key, Set<string>>(where.map(({ key }) => [key, new Set()]));
  const fits = (config: Readonly<Record<string, unknown>>): boolean =>
    where
      .map(({ key, value }) => {
        const own = textOf(config[key]);
        seen.get(key)!.add(own);
        return own === value;
      })
      .every((isSame) => isSame);
  for (const folder of given) {
    const sweep = new SweepFolder(folder);
    if (await sweep.isThere()) {
      for (const { name, config } of await sweep.runs()) if (fits({ ...config })) folders.push(sweep.run(name));
    } else if (where.length === 0) folders.push(folder);
    else {
      // A run that cannot be read is named with the others that cannot.
      const begun = await readBegun(folder).catch((error: unknown) => {
        if (error instanceof EngineError) return null;
        throw error;
      });
      if (!begun || fits({ ...begun.config })) folders.push(folder);
    }
  }
  if (folders.length > 0) return folders;
  const choices = where.map(({ key, value }) => `${key}=${value}`).join(" ");
  const there = [...seen].map(([key, values]) => `${key}=${[...values].join("|")}`).join(" ");
  throw new ArgumentError("ensemble", "--where", "settings that some run has", `${choices}; there are ${there}`);
}

/** Writes the results once all of them are there. @returns their names in the folder */
async function writeEnsemble(
  out: string,
  result: EnsembleResult,
  options: object,
  { isDiscrete, png }: { readonly isDiscrete: boolean; readonly png: boolean },
): Promise<string[]> {
  const figures = ensembleFigures(result, isDiscrete);
  const drawn = Object.values(figures)
    .flat()
    .filter((figure) => !("missing" in figure));
  const svgs = drawn.map((figure) => [join(FILES.plots, `${figure.id}.svg`), standaloneSvg(figure)] as const);
  const pngs: (readonly [name: string, content: Uint8Array])[] = [];
  if (png) for (const [name, svg] of svgs) pngs.push([name.replace(/svg$/, "png"), await pngOfSvg(svg)]);
  const record = { version: VERSION, created: new Date().toISOString(), options, ...result };
  const contents: readonly (readonly [name: string, content: string | Uint8Array])[] = [
    [FILES.members, csv(membersTable(result))],
    [FILES.parameters, csv(parametersTable(result))],
    ...(result.analysis ? [[FILES.analysis, csv(analysisTable(result.analysis, result.members))] as const] : []),
    ...(result.responses ? [[FILES.responses, csv(responsesTable(result.responses))] as const] : []),
    ...svgs,
    ...pngs,
    [FILES.page, ensemblePage(result, figures, basename(resolve(out)))],
    [FILES.json, `${jsonText(record)}\n`],
  ];
  await makeFolder(join(out, FILES.plots));
  for (const [name, content] of contents) await replaceFile(join(out, name), [content]);
  // Tables of results that were replaced.
  for (const name of [FILES.analysis, FILES.responses])
    if (!contents.some(([own]) => own === name)) await rm(join(out, name), { force: true });
  return contents.map(([name]) => name);
}

function csv({ columns, rows }: Table): string {
  return [columns, ...rows].map(csvLine).join("");
}

/** A number for a file; nothing where there is none. */
function cell(value: number | null | undefined): number | "" {
  return Number.isFinite(value) ? value! : "";
}

/** A line per member: settings in which they differ, cluster, metrics at the end of training, and of the predictions here. */
function membersTable({ members, differences, statistics, prediction }: EnsembleResult): Table {
  const { metrics, solutions } = statistics;
  const predicted = prediction?.metrics ?? [];
  return {
    columns: [
      ...["member", "folder", "seed", "step", "version", ...differences.map(({ setting }) => setting), "cluster"],
      ...metrics.map(({ name }) => name),
      ...predicted.map(({ name }) => `predicted ${prediction!.part} ${name}`),
    ],
    rows: members.map(({ name, folder, seed, step, version }, m) => [
      ...[name, folder, seed, step, version],
      ...differences.map(({ values }) => textOf(values[m])),
      solutions ? solutions.labels[m]! + 1 : "",
      ...metrics.map(({ values }) => cell(values[m])),
      ...predicted.map((metric) => cell(metric.members[m])),
    ]),
  };
}

/** A line per parameter and group, with the value of each member. */
function parametersTable({ members, parameters }: EnsembleResult): Table {
  return {
    columns: ["parameter", "group", "mean", "sd", "variation", "min", "max", ...members.map(({ name }) => name)],
    rows: parameters.map(({ parameter, group, mean, sd, variation, min, max, values }) => [
      ...[parameter, group, mean, cell(sd), cell(variation), min, max, ...values],
    ]),
  };
}

/** A line per group and time. */
function responsesTable({ groups, ts, values }: NonNullable<EnsembleResult["responses"]>): Table {
  return {
    columns: ["group", "neurons", "time", "mean", "sd"],
    rows: groups.flatMap(({ name, neurons }, g) =>
      ts.map((t, k) => {
        const own = spread(values.map((member) => member[g]![k]!))!;
        return [name, neurons, t, own.mean, cell(own.sd)];
      }),
    ),
  };
}

/** A line per number of the analysis, with that of each member. Lists take a line per element. */
function analysisTable({ numbers }: EnsembleAnalysis, members: EnsembleResult["members"]): Table {
  return {
    columns: ["number", "of", "place", "members", "mean", "sd", ...members.map(({ name }) => name)],
    rows: numbers.flatMap((own) =>
      own.of.map((of, k) => {
        const all = spreadOfNumber(own, k);
        return [
          ...[own.path, of, own.place[k] ?? "", all?.n ?? 0, cell(all?.mean), cell(all?.sd)],
          ...own.values.map((list) => cell(list[k])),
        ];
      }),
    ),
  };
}

/** For a terminal. */
function linesOf(result: EnsembleResult): string[] {
  const found = result.analysis ? analysisTables(result.analysis, MOST_LINES).map(({ table }) => table) : [];
  const tables = [metricsTable(result), predictionTable(result), agreementTable(result), ...found];
  const texts = tables.flatMap((table) =>
    table && table.rows.length > 0
      ? [...alignColumns([table.columns, ...table.rows.map((row) => row.map(String))]), ""]
      : [],
  );
  return [...texts, ...ensembleStatements(result)];
}

/** Names of settings are those of configuration files, or of options without their dashes. */
function gatherChoice(text: string, before: readonly Choice[] = []): readonly Choice[] {
  const at = text.indexOf("=");
  const fail = (expected: string): never => {
    throw new ArgumentError("command line", "--where", expected, quoteText(text));
  };
  if (at < 1) return fail("KEY=VALUE, like wiring=real");
  const name = text.slice(0, at);
  const key = CONFIG_KEYS.find(
    (known) => known === name || optionName(known) === name || optionName(known) === `--${name}`,
  );
  if (key) return [...before, { key, value: text.slice(at + 1) }];
  const near = nearestName(name, CONFIG_KEYS);
  return fail(`the name of a setting${near ? `, did you mean "${near}"?` : ""}`);
}

function analysisName(text: string): string {
  if (isAnalysisName(text)) return text;
  throw new ArgumentError("command line", "--from-analysis", "the name of an analysis", quoteText(text));
}
