// axograd inspect FILE: statistics of a connectome, and the memory needed to train it; or those of samples.

import type { Command } from "commander";
import type { DType } from "../core/dtype.ts";
import { DTYPES } from "../core/dtype.ts";
import { ArgumentError } from "../core/errors.ts";
import { formatCount, formatNumber } from "../core/format.ts";
import { alignColumns, plural, printable } from "../core/text.ts";
import { absolute } from "../data/connectomes.ts";
import { idOf, selectNeurons } from "../data/selectors.ts";
import { CONNECTOME_EXTENSIONS, readLabelledConnectome } from "../io/connectome.ts";
import { writeIdList } from "../io/idList.ts";
import { SOLVERS, type SolverName, TIMES } from "../run/config.ts";
import type { Settings } from "../run/configLayers.ts";
import type { Key } from "../run/configOptions.ts";
import { hyphenated } from "../run/names.ts";
import { selectable, withTable } from "../run/network.ts";
import { loadProgressOf } from "../run/samples.ts";
import { addReadOptions, describeLabels, type GivenReadOptions, readOptionsOf } from "./connectomeOptions.ts";
import { Console, writeJson, writeLine, writeText } from "./console.ts";
import { describeBaseline } from "./describe.ts";
import { type Bin, type Inspection, inspect } from "./inspection.ts";
import { type InspectedMemory, inspectRun, memoryOfConnectome, memoryRows } from "./inspectMemory.ts";
import { inspectNeurons, neuronLines } from "./inspectNeurons.ts";
import { inspectSamples, isSampleSet, sampleText } from "./inspectSamples.ts";
import { LongWork } from "./loading.ts";
import { checkOutput } from "./outputFile.ts";
import { countSelection, describeSelection } from "./selections.ts";
import { configOf } from "./trainOptions.ts";
import { nonlinearity, oneOf, path, realNumber, repeated, wholeNumber } from "./values.ts";

interface GivenOptions extends GivenReadOptions {
  readonly abs?: boolean;
  readonly nonlinearity: string;
  readonly rate?: number;
  readonly batchSize: number;
  readonly time: (typeof TIMES)[number];
  readonly method?: SolverName;
  readonly dtype: DType;
  readonly attempts?: number;
  readonly frames: number;
  readonly inputs?: number;
  readonly samples: number;
  readonly memoryBudget?: number;
  readonly device: "wasm" | "webgpu";
  readonly preset?: string;
  readonly config?: string;
  readonly set?: readonly string[];
  readonly select?: string;
  readonly neuronTable?: string;
  readonly out?: string;
  readonly overwrite?: boolean;
  readonly targets?: "class" | "numbers";
  readonly json?: boolean;
}

const MIB = 2 ** 20;
const DEFAULT_METHOD: SolverName = "dopri5";

/** Adds the command to the program. */
export function register(program: Command): void {
  const command = program
    .command("inspect")
    .description(
      "describe a connectome (degrees, weights, components, spectrum, memory needed to train it) or samples (shapes, classes, statistics)",
    )
    .argument(
      "[file]",
      `connectome: ${CONNECTOME_EXTENSIONS.join(", ")}; samples: .npz or .safetensors with an array "inputs", or a folder`,
    );
  addReadOptions(command)
    .option("--abs", "take absolute values of the weights")
    .option("--nonlinearity <name>", "for the estimate of saturation", nonlinearity("--nonlinearity"), "sigmoid")
    .option(
      "--rate <rate>",
      "typical rate of a neuron (default: 0.5, or 1 if the nonlinearity has no limit)",
      realNumber("--rate", { above: 0 }),
    )
    .option("--batch-size <count>", "samples, for the memory plan", wholeNumber("--batch-size", 1), 32)
    .option("--time <kind>", `for the memory plan: ${TIMES.join(" or ")}`, oneOf("--time", TIMES), "continuous")
    .option(
      "--method <name>",
      `solver, for the memory plan: ${SOLVERS.join(", ")} (default: ${DEFAULT_METHOD})`,
      oneOf("--method", SOLVERS),
    )
    .option("--dtype <type>", "precision, for the memory plan: f32 or f64", oneOf("--dtype", DTYPES), "f32")
    .option(
      "--attempts <count>",
      `attempted steps per solve, or steps in discrete time, for the memory plan (default: one per frame; of an adaptive solver a guess)`,
      wholeNumber("--attempts", 1),
    )
    .option("--frames <count>", "frames of an input, for the memory plan", wholeNumber("--frames", 1), 1)
    .option(
      "--inputs <count>",
      "numbers per frame, for the memory plan (default: one per neuron)",
      wholeNumber("--inputs", 1),
    )
    .option("--samples <count>", "samples held in memory, for the memory plan", wholeNumber("--samples", 0), 0)
    .option(
      "--memory-budget <mib>",
      "of the tape, in MiB, for the memory plan (default: the device's)",
      realNumber("--memory-budget", { above: 0 }),
    )
    .option(
      "--device <name>",
      "for the memory plan: wasm or webgpu, with what it can bind",
      oneOf("--device", ["wasm", "webgpu"]),
      "wasm",
    )
    .option("--preset <name>", "instead of a file: the memory that npx axograd train will take with this preset")
    .option("--config <file>", "the same with the settings of a file", path("--config"))
    .option(
      "--set <key=value>",
      "with --preset or --config: one setting, by its name in such a file; may be repeated",
      repeated,
    )
    .option("--select <neurons>", "instead of the statistics: the neurons of a selector, counted by type")
    .option(
      "--neuron-table <file>",
      "with --select: CSV with the columns to select by (default: the table of the connectome's file, or X_neurons.csv beside it)",
      path("--neuron-table"),
    )
    .option("--out <file>", "with --select: write their ids, one per line, for id=@FILE", path("--out"))
    .option("--overwrite", "with --out: replace a file that exists")
    .option("--targets <kind>", "samples: class or numbers (default: by the type of the targets)", targetKind)
    .option("--json", "print everything as one JSON object")
    .addHelpText("after", EXAMPLES)
    .action((file: string | undefined, given: GivenOptions) => runOn(file, given, givenNames(command)));
}

const EXAMPLES = `
Examples:
  npx axograd inspect fly.safetensors                              as npx axograd import wrote it: neurons, origin, memory
  npx axograd inspect --preset nervous-system --set connectome=fly.safetensors --set batchSize=64

Selectors (docs/simulate.md):
  npx axograd inspect flyvis_e6_csr.npz --select "type=T4*,T5* & role=output"
  npx axograd inspect edges.csv --neuron-table neurons.csv --select "side=left & type!=R*" --out left.txt
`;

/** @throws {ArgumentError} options without effect */
function checkOptions({ select, neuronTable, out, overwrite }: GivenOptions): void {
  const needs = { "--neuron-table": neuronTable, "--out": out, "--overwrite": overwrite };
  for (const [option, value] of Object.entries(needs)) {
    if (value !== undefined && select === undefined) throw new ArgumentError("inspect", option, "--select", "none");
  }
  if (overwrite && out === undefined) throw new ArgumentError("inspect", "--overwrite", "--out", "none");
}

/** Says which neurons a selector names, and writes their ids. */
async function inspectSelection(file: string, selector: string, given: GivenOptions): Promise<void> {
  const { out, overwrite = false, neuronTable = null, json = false } = given;
  if (out !== undefined) await checkOutput(out, overwrite);
  const connectome = await withTable(file, await readLabelledConnectome(file, readOptionsOf(given)), neuronTable);
  const neurons = selectable(connectome, null);
  const indices = selectNeurons(neurons, selector, { where: "inspect", argument: "--select" });
  if (out !== undefined)
    await writeIdList(
      out,
      Array.from(indices, (i) => idOf(neurons, i)),
    );
  if (json) writeJson({ file, selector, of: neurons.count, ...countSelection(neurons, indices), out: out ?? null });
  else {
    writeLine(`${selector}: ${describeSelection(neurons, indices)}, of ${formatCount(neurons.count)}`);
    if (out !== undefined) writeLine(`ids: ${out}`);
  }
}

const targetKind = oneOf("--targets", ["class", "numbers"]);

/** The options that the user typed. */
function givenNames(command: Command): string[] {
  return Object.keys(command.opts()).filter((name) => command.getOptionValueSource(name) === "cli");
}

/** Options that apply to samples. */
const OF_SAMPLES: readonly string[] = ["targets", "json"];

async function runOnSamples(file: string, given: GivenOptions, typed: readonly string[]): Promise<void> {
  const other = typed.find((name) => !OF_SAMPLES.includes(name));
  if (other !== undefined)
    throw new ArgumentError("axograd inspect", `--${hyphenated(other)}`, "a connectome", `${file}, which has samples`);
  const reading = new LongWork(new Console({ json: given.json ?? false, quiet: false }));
  const inspection = await inspectSamples(file, {
    ...(given.targets && { kind: given.targets }),
    onProgress: loadProgressOf(reading.onProgress),
  });
  reading.done();
  if (given.json) writeJson({ file, kind: "samples", ...inspection });
  else writeText(sampleText(printable(file), inspection));
}

async function runOn(file: string | undefined, given: GivenOptions, typed: readonly string[]): Promise<void> {
  const { preset, config, set, json = false } = given;
  if (preset !== undefined || config !== undefined) return inspectSettings(file, given, typed);
  if (set !== undefined) throw new ArgumentError("inspect", "--set", "--preset or --config with it", "none");
  if (file === undefined) throw new ArgumentError("inspect", "file", "a file, --preset or --config", "none");
  return run(file, { ...given, json }, typed);
}

/** Options that apply to the settings of a run: sources, and names of settings. */
const OF_SETTINGS: Readonly<Record<string, Key | null>> = {
  ...{ preset: null, config: null, set: null, json: null, batchSize: "batchSize", time: "time", method: "solver" },
  ...{ dtype: "dtype", memoryBudget: "memoryBudget", device: "device" },
};

/** The memory that `train` takes. */
async function inspectSettings(file: string | undefined, given: GivenOptions, typed: readonly string[]): Promise<void> {
  const other = typed.find((name) => !Object.hasOwn(OF_SETTINGS, name));
  if (other !== undefined)
    throw new ArgumentError("inspect", `--${hyphenated(other)}`, "a connectome without --preset and --config", "both");
  const { preset, config: source, set, json = false, ...values } = given;
  const own = typed.flatMap((name) => (OF_SETTINGS[name] ? [[OF_SETTINGS[name], Reflect.get(values, name)]] : []));
  const options: Settings = {
    ...(preset !== undefined && { preset }),
    ...(file !== undefined && { connectome: file }),
    ...Object.fromEntries(own),
  };
  const sources = { ...(source !== undefined && { config: source }), ...(set && { set }), ...options };
  const config = await configOf(sources);
  const { memory, baseline } = await inspectRun(config, new LongWork(new Console({ json, quiet: false })));
  const network = baseline === null ? [] : [["network", describeBaseline(baseline)] as const];
  if (json) writeJson({ kind: "settings", preset: config.preset, memory, ...(baseline && { baseline }) });
  else
    writeText(
      `${alignColumns([...network, ...memoryRows(memory)])
        .map((line) => `  ${line}`)
        .join("\n")}\n`,
    );
}

async function run(file: string, given: GivenOptions, typed: readonly string[]): Promise<void> {
  checkOptions(given);
  if (given.select !== undefined) return inspectSelection(file, given.select, given);
  // The name of a matrix says that there is one.
  if (given.key === undefined && (await isSampleSet(file))) return runOnSamples(file, given, typed);
  if (given.targets !== undefined)
    throw new ArgumentError("axograd inspect", "--targets", "samples", `${file}, which is none of their files`);
  const { time, method, frames } = given;
  const isDiscrete = time === "discrete";
  if (isDiscrete && method !== undefined)
    throw new ArgumentError("inspect", "--method", "--time continuous with it, as discrete time has no solver", method);
  const content = await readLabelledConnectome(file, { ...readOptionsOf(given), square: false });
  const { csr: read, labels } = content;
  const csr = given.abs ? absolute(read) : read;
  // Before the statistics, whose arrays would count.
  const memory: InspectedMemory | null =
    csr.nRows !== csr.nCols
      ? null
      : await memoryOfConnectome(file, csr, {
          ...{ device: given.device, batchSize: given.batchSize, time, method: method ?? DEFAULT_METHOD },
          ...{ dtype: given.dtype, attempts: given.attempts ?? null, frames, inputs: given.inputs ?? null },
          samples: given.samples,
          memoryBudgetBytes: given.memoryBudget === undefined ? null : given.memoryBudget * MIB,
        });
  const inspection = inspect(csr, { nonlinearity: given.nonlinearity, rate: given.rate ?? null }, memory);
  const neurons = inspectNeurons(content);
  if (given.json) writeJson({ file, kind: "connectome", ...inspection, labels: labels?.length ?? null, ...neurons });
  else writeText([textOf(printable(file), inspection, labels), ...neuronLines(neurons)].join("\n"));
}

/** The report for people. */
export function textOf(file: string, it: Inspection, labels: readonly string[] | null = null): string {
  const [rows, columns] = it.neurons;
  const { weights, columnSigns, components, spectralRadius, saturation, memory } = it;
  const lines: (readonly [label: string, text: string])[] = [
    [
      "neurons",
      rows === columns ? formatCount(rows) : `${formatCount(rows)} post × ${formatCount(columns)} pre (not square)`,
    ],
    ["connections", `${formatCount(it.connections)}, ${percent(it.density)} of all pairs`],
    ["repeated", `${plural(it.duplicatesSummed, "entry", "entries")} summed into others`],
    ["self loops", formatCount(it.selfLoops)],
    ["without input", plural(it.emptyRows, "neuron")],
    ["without output", plural(it.emptyColumns, "neuron")],
    ["in-degree", range(it.inDegree)],
    ["out-degree", range(it.outDegree)],
    ["weights", range(weights)],
    ["inhibitory", `${percent(weights.shareInhibitory)} of the connections (${formatCount(weights.zero)} are zero)`],
    [
      "Dale's law",
      columnSigns.mixed === 0
        ? `holds: ${formatCount(columnSigns.excitatory)} excitatory, ${plural(columnSigns.inhibitory, "inhibitory neuron")}`
        : `broken by ${formatCount(columnSigns.mixed)} of ${formatCount(columns)} neurons, which have weights of both signs`,
    ],
  ];
  if (labels !== null) lines.splice(1, 0, ["ids", describeLabels(labels)]);
  if (components !== null) {
    lines.push(
      ["connected", componentsText(components.weak, components.largestWeak)],
      ["strongly", componentsText(components.strong, components.largestStrong)],
    );
  }
  if (spectralRadius !== null) {
    const signed =
      weights.negative === 0
        ? "the same, as no weight is negative"
        : `about ${formatNumber(spectralRadius.signedEstimate)}, estimated from the growth of norms`;
    const settled = spectralRadius.absoluteConverged ? "" : " (not settled)";
    lines.push(["radius of |W|", `${formatNumber(spectralRadius.absolute)}${settled}`], ["radius of W", signed]);
  }
  lines.push([
    "saturation",
    saturation.share === null
      ? `none: ${saturation.nonlinearity} has no limit`
      : `${percent(saturation.share)} of the neurons beyond ±${saturation.threshold} before ${saturation.nonlinearity}, at rate ${saturation.rate}`,
  ]);
  if (memory !== null) {
    lines.push(...memoryRows(memory), [
      "assumed",
      "Adam on all weights, a linear read-out of all neurons to 10 classes",
    ]);
  }
  return [
    file,
    ...alignColumns(lines).map((line) => `  ${line}`),
    ...histogram("in-degree", it.inDegree.histogram),
    ...histogram("out-degree", it.outDegree.histogram),
    ...histogram("|weight|", weights.histogram),
    "",
  ].join("\n");
}

const BAR_WIDTH = 40;
const MAX_BINS = 24;

/** Bars by powers of two; if there are too many bins, the lowest are merged. */
function histogram(title: string, bins: readonly Bin[]): string[] {
  if (bins.length === 0) return [];
  const merged = bins.slice(0, Math.max(0, bins.length - MAX_BINS) + 1);
  const shown: Bin[] = [
    { from: merged[0]!.from, to: merged.at(-1)!.to, count: merged.reduce((sum, bin) => sum + bin.count, 0) },
    ...bins.slice(merged.length),
  ];
  const most = Math.max(...shown.map((bin) => bin.count));
  const names = shown.map(({ from, to }) => (from === to ? "0" : `${formatNumber(from)} … ${formatNumber(to)}`));
  const width = Math.max(...names.map((name) => name.length));
  return [
    "",
    `  ${title}`,
    ...shown.map(({ count }, k) => {
      const bar = "█".repeat(Math.ceil((count / most) * BAR_WIDTH));
      return `  ${names[k]!.padStart(width)}  ${bar.padEnd(BAR_WIDTH)}  ${formatCount(count)}`;
    }),
  ];
}

function componentsText(count: number, largest: number): string {
  return count === 1
    ? "all in one component"
    : `${formatCount(count)} components, the largest of ${plural(largest, "neuron")}`;
}

function range({ min, median, mean, max }: Inspection["inDegree"] | Inspection["weights"]): string {
  return `${formatNumber(min)} to ${formatNumber(max)}, median ${formatNumber(median)}, mean ${formatNumber(mean)}`;
}

function percent(share: number): string {
  return `${Number((100 * share).toPrecision(3))} %`;
}
