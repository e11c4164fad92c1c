// `axograd simulate`: runs a trained or untrained model on chosen inputs and writes the trajectories of its neurons.

import { join } from "node:path";
import { type Command, Option } from "commander";
import { ArgumentError, ShapeError } from "../core/errors.ts";
import { plural, quoteText } from "../core/text.ts";
import { PART_NAMES, type PartName } from "../data/sampleArrays.ts";
import type { SampleSet, Samples } from "../data/sampleSet.ts";
import { hasIds, idOf, type SelectableNeurons, selectNeurons } from "../data/selectors.ts";
import { replaceFile } from "../io/durable.ts";
import { readNpy } from "../io/npy.ts";
import type { Interventions } from "../models/interventions.ts";
import type { ModelInput } from "../models/options.ts";
import type { RecordedActivity } from "../models/recordActivity.ts";
import { metricValues } from "../models/task/sums.ts";
import type { Task } from "../models/task/task.ts";
import { standaloneSvg } from "../report/figure.ts";
import { type NeuronGroup, rolesByProjections } from "../report/groups.ts";
import { type ShownInput, shownSamples } from "../report/observation.ts";
import { activityFigure } from "../report/plots/activity.ts";
import { assertPng, pngOfSvg } from "../report/raster.ts";
import type { TrainConfig } from "../run/config.ts";
import { resolveConfig, type Settings } from "../run/configLayers.ts";
import { CONFIG_KEYS, CONFIG_OPTIONS, type Key } from "../run/configOptions.ts";
import { openDevice } from "../run/device.ts";
import { evaluationOf } from "../run/evaluation.ts";
import {
  createExperiment,
  loadRunInputs,
  type RunEvaluation,
  type RunInputs,
  type RunModel,
  restoreModel,
} from "../run/experiment.ts";
import { selectable } from "../run/network.ts";
import { RUN_FILES } from "../run/runFiles.ts";
import { readBegun } from "../run/runStart.ts";
import type { SampleSplits } from "../run/samples.ts";
import { numberOf } from "../run/settingTypes.ts";
import { trajectoryOf } from "../run/trajectory.ts";
import { StatusLine } from "../train/progress.ts";
import { metricText } from "../train/taskDescription.ts";
import { hasTargets, inputOf, targetsOf } from "../train/trainable.ts";
import { ACTIVITY_EXTENSIONS, type ActivityFile, writeActivity } from "./activityFiles.ts";
import { readConfigFile } from "./configFile.ts";
import { warnUser, writeJson, writeLine } from "./console.ts";
import { nounOf } from "./describe.ts";
import { refuseExisting } from "./newFile.ts";
import { neuronGroups } from "./report.ts";
import { countSelection, describeSelection } from "./selections.ts";
import { addSetting, settingsAmong } from "./trainOptions.ts";
import { path, wholeNumber } from "./values.ts";

const DEFAULT_TIMES = 25;

const EXAMPLES = `
Inputs:
  test:0-7       samples 0 to 7 of the test part (of a run: its own), or one: test:3; also train:… and validation:…
  digits:0-7     the same of the test part, or if there is none, of another
  constant:0.5   the same value at every input, for all time
  FILE.npy       [samples, inputs], constant in time, or [samples, frames, inputs]

Neurons: a selector, by any column of the neuron table (docs/simulate.md):
  T4a,T5a        types          type:T4* & side:left   both          index:0-99   by index
  output         a role         !input                 all others    @ids.txt     a file of ids

Interventions hold from the start to the end. A silenced neuron sends 0, also to the read-out; the state of a clamped one is held; a driven one
gets a current in addition to its input: a number, or a file [frames] or [samples, frames]. With a run and inputs that have targets, the metrics of
the run without and with interventions are reported.

Examples:
  npx axograd simulate runs/a --input digits:0-7 --out trajectories.npz --plot trajectories.svg
  npx axograd simulate runs/a --input digits:0-99 --silence "type:T4*" --record output --out silenced.csv
  npx axograd simulate --connectome flyvis_e6_csr.npz --input constant:1 --record T4a,T5a --out t4.npz

In Python: z = numpy.load("trajectories.npz"); z["hs"][sample, time, neuron], z["ts"], z["neurons"], z["types"], z["labels"]
`;

/** Settings that a simulation does not need, or has its own options for. */
const OTHERS: readonly Key[] = ["trainInput", "keepSigns", "numEvals", "input", "window"];
const GROUPS: readonly string[] = ["Recipe", "Network", "Solver", "Data", "Device"];
/** Options for an untrained model; a run has its settings in its folder. All others can be given in a file. */
const KEYS: readonly Key[] = CONFIG_KEYS.filter(
  (key) => !OTHERS.includes(key) && (key === "seed" || GROUPS.includes(CONFIG_OPTIONS[key].group)),
);

type GivenOptions = Settings & {
  readonly input: string;
  readonly times?: number;
  readonly at?: Float64Array;
  readonly out: string;
  readonly plot?: string;
  readonly record?: string;
  /** Earlier name of `record`. */
  readonly neurons?: string;
  readonly rates?: boolean;
  readonly silence?: readonly string[];
  readonly clamp?: readonly string[];
  readonly drive?: readonly string[];
  readonly config?: string;
  readonly overwrite?: boolean;
  readonly json?: boolean;
};

/** Adds the command to the program. */
export function register(program: Command): void {
  const command = program
    .command("simulate")
    .description("run a trained or untrained model on inputs and write the activity of its neurons")
    .argument("[run]", "folder of a run, whose checkpoint is used; without it, an untrained model")
    .requiredOption("--input <what>", "test:A-B, constant:X or FILE.npy", path("--input"))
    .requiredOption("--out <file>", "the activity, as .npz or .csv", outFile)
    .option("--record <neurons>", "neurons to record, as a selector (default: all)")
    .addOption(new Option("--neurons <selector>").hideHelp())
    .option("--rates", "record what neurons send instead of their states (the same, unless states are voltages)")
    .option(
      "--times <n>",
      `times, evenly spaced from 0 to --end-time (default: ${DEFAULT_TIMES}); in discrete time steps, with the last one`,
      wholeNumber("--times", 2),
    )
    .option(
      "--at <times>",
      "times as a list, like 0.5,1,3, up to --end-time; in discrete time steps done, from 1",
      timeList,
    )
    .option("--silence <neurons>", "neurons that send nothing; repeatable", collect)
    .option("--clamp <neurons=state>", "neurons whose state is held, like T4a=0.5; repeatable", collect)
    .option(
      "--drive <neurons=current>",
      "neurons with an additional input, like T4a=0.5 or T4a=FILE.npy (see below); repeatable",
      collect,
    )
    .option("--config <file>", "settings of an untrained model, from a YAML or JSON file", path("--config"))
    .option("--plot <file>", "write a picture of the activity: .svg, or .png (needs the package sharp)", plotFile)
    .option("--overwrite", "replace files that exist")
    .option("--json", "report as JSON what was done and written");
  for (const key of KEYS) addSetting(command, key);
  command.addHelpText("after", EXAMPLES).action(run);
}

async function run(folder: string | undefined, given: GivenOptions): Promise<void> {
  checkOptions(given);
  if (!given.overwrite) for (const file of [given.out, given.plot]) if (file !== undefined) await refuseExisting(file);
  if (given.plot?.endsWith(".png")) await assertPng();
  const config = await configOf(folder, given);
  const inputs = await loadRunInputs(config);
  try {
    await simulateInputs(folder, config, inputs, given);
  } finally {
    await inputs.samples.release();
  }
}

async function simulateInputs(
  folder: string | undefined,
  config: TrainConfig,
  inputs: RunInputs,
  given: GivenOptions,
): Promise<void> {
  const subject = selectableNeurons(inputs);
  const acted = await readInterventions(given, subject);
  const recorded = select(subject, given.record ?? given.neurons ?? "all", given.neurons ? "--neurons" : "--record");
  const stimulus = await readStimulus(given.input, inputs);
  const { activity, comparison } = await simulate(folder, config, inputs, given, { stimulus, recorded, acted });
  const { neurons, shape } = activity;
  await writeActivity(given.out, {
    activity,
    name: given.rates ? "rates" : "hs",
    isDiscrete: config.time === "discrete",
    ids: hasIds(subject) ? Array.from(neurons, (i) => idOf(subject, i)) : null,
    types: subject.types ? Array.from(neurons, (i) => subject.types![subject.typeIdx![i]!]!) : null,
    ...answersOf(stimulus),
  });
  if (given.plot) await drawActivity(given.plot, stimulus, activity, neuronGroups(inputs));
  const [samples, times] = shape;
  if (given.json) {
    writeJson({
      ...{ out: given.out, plot: given.plot ?? null, samples, times, neurons: neurons.length },
      recorded: countSelection(subject, neurons),
      interventions: acted.list.map(({ kind, selector, indices, value }) => ({
        ...{ kind, selector, value },
        ...countSelection(subject, indices),
      })),
      comparison,
    });
    return;
  }
  for (const { done, indices } of acted.list) writeLine(`${done} ${describeSelection(subject, indices)}`);
  if (comparison) for (const line of comparisonLines(comparison, inputs.task)) writeLine(line);
  writeLine(`recorded ${describeSelection(subject, neurons)}`);
  const files = `${given.out}: ${given.rates ? "rates" : "hs"} [${shape.join(", ")}]`;
  writeLine(`${files}${given.plot ? `; ${given.plot}` : ""}`);
}

/** @throws {ArgumentError} options that contradict each other */
function checkOptions({ times, at, record, neurons }: GivenOptions): void {
  if (times !== undefined && at) throw new ArgumentError("simulate", "--at", "it dropped, or no --times", "both");
  if (record !== undefined && neurons !== undefined)
    throw new ArgumentError("simulate", "--neurons", "it dropped, as --record is its new name", "both");
}

/** Neurons by the columns of the table; without roles there, by their projections. */
function selectableNeurons({ connectome, projections }: RunInputs): SelectableNeurons {
  const { inputProjection, outputProjection } = projections;
  const read = new Set(outputProjection?.colIdx);
  const isDriven = (i: number) =>
    inputProjection === null || inputProjection.rowPtr[i + 1]! > inputProjection.rowPtr[i]!;
  const isRead = (i: number) => outputProjection === null || read.has(i);
  return selectable(connectome, rolesByProjections(connectome.csr.nRows, isDriven, isRead));
}

function select(neurons: SelectableNeurons, selector: string, argument: string): Uint32Array {
  return selectNeurons(neurons, selector, { where: "simulate", argument });
}

/** One option that acts on neurons. */
interface Act {
  readonly kind: "silence" | "clamp" | "drive";
  /** In the past tense, for people. */
  readonly done: string;
  readonly selector: string;
  readonly indices: Uint32Array;
  /** State or current; a file of currents; null: none. */
  readonly value: number | string | null;
}

interface Acts {
  readonly list: readonly Act[];
  /** null: none. */
  readonly interventions: Interventions | null;
}

async function readInterventions(
  { silence = [], clamp = [], drive = [] }: GivenOptions,
  subject: SelectableNeurons,
): Promise<Acts> {
  const silenced = silence.map((selector): Act => {
    const indices = select(subject, selector, "--silence");
    return { kind: "silence", done: "silenced", selector, indices, value: null };
  });
  const clamped = clamp.map((text): Act & { readonly value: number } => {
    const [selector, right] = splitAssignment(text, "--clamp", "NEURONS=STATE, like T4a=0.5");
    const value = numberOf(right);
    if (typeof value !== "number") {
      throw new ArgumentError("simulate", "--clamp", "a number behind the last =", quoteText(right));
    }
    const indices = select(subject, selector, "--clamp");
    return { kind: "clamp", done: `clamped at ${value}:`, selector, indices, value };
  });
  const driven: (Act & { readonly current: number | ArrayLike<number> })[] = [];
  for (const text of drive) {
    const [selector, right] = splitAssignment(text, "--drive", "NEURONS=CURRENT, like T4a=0.5");
    const value = numberOf(right) as number | string;
    const current = typeof value === "number" ? value : await readCurrents(value);
    const indices = select(subject, selector, "--drive");
    driven.push({ kind: "drive", done: `driven by ${value}:`, selector, indices, value, current });
  }
  const list = [...silenced, ...clamped, ...driven];
  if (list.length === 0) return { list, interventions: null };
  const all = new Set(silenced.flatMap(({ indices }) => [...indices]));
  return {
    list,
    interventions: {
      ...(all.size > 0 && { silence: [...all] }),
      clamp: clamped.map(({ indices, value }) => ({ neurons: indices, value })),
      drive: driven.map(({ indices, current }) => ({ neurons: indices, current })),
    },
  };
}

/** A selector may hold = in quotes: the last one counts. */
function splitAssignment(text: string, option: string, expected: string): readonly [selector: string, value: string] {
  const at = text.lastIndexOf("=");
  if (at < 0) throw new ArgumentError("simulate", option, expected, quoteText(text));
  return [text.slice(0, at), text.slice(at + 1).trim()];
}

/** [frames], [samples] or [samples, frames]: which fits the input is checked with it. */
async function readCurrents(file: string): Promise<Float64Array> {
  if (!file.endsWith(".npy")) {
    throw new ArgumentError("simulate", "--drive", "a number or FILE.npy behind the last =", quoteText(file));
  }
  const { shape, data, fortranOrder } = await readNpy(file);
  if (shape.length < 1 || shape.length > 2 || fortranOrder) {
    const got = `[${shape.join(", ")}]${fortranOrder ? " in Fortran order" : ""}`;
    throw new ShapeError("simulate", file, "[frames] or [samples, frames] in C order", got);
  }
  return Float64Array.from(data, Number);
}

/** Metrics by name, without and with interventions. */
interface Comparison {
  /** That reached their end, both times. */
  readonly samples: number;
  readonly metrics: Readonly<Record<string, { readonly intact: number; readonly intervened: number }>>;
}

/** "accuracy 92.0 % → 32.0 % of 100 samples, intact → with interventions", a line per metric. */
function comparisonLines({ metrics, samples }: Comparison, task: Task): string[] {
  return task.metrics.map((metric) => {
    const { intact, intervened } = metrics[metric.name]!;
    const text = (value: number) => metricText(metric, value, 1);
    const values = `${metric.name} ${text(intact)} → ${text(intervened)}`;
    return `${values} of ${plural(samples, "sample")}, intact → with interventions`;
  });
}

async function drawActivity(
  file: string,
  { shown }: Stimulus,
  { data, ts, neurons }: RecordedActivity,
  groups: readonly NeuronGroup[],
): Promise<void> {
  const places = new Map(Array.from(neurons, (i, c) => [i, c]));
  const recorded = groups
    .map((group) => ({ ...group, neurons: group.neurons.filter((i) => places.has(i)).map((i) => places.get(i)!) }))
    .filter((group) => group.neurons.length > 0);
  const figure = activityFigure({ inputs: shown, ts: [...ts], numNeurons: neurons.length, hs: data, groups: recorded });
  const svg = standaloneSvg(figure);
  await replaceFile(file, [file.endsWith(".png") ? await pngOfSvg(svg) : svg]);
}

/** The settings of a run or a file, overridden by the given options. */
async function configOf(folder: string | undefined, given: GivenOptions): Promise<TrainConfig> {
  if (folder !== undefined && given.config !== undefined) {
    throw new ArgumentError("simulate", "--config", "either a run or settings of an untrained model", "both");
  }
  const options = settingsAmong(KEYS, given);
  if (folder !== undefined) return resolveConfig([(await readBegun(folder)).config, options]);
  return resolveConfig([given.config === undefined ? {} : await readConfigFile(given.config), options]);
}

/** Activity with the interventions; where a trained network sees inputs with targets, its metrics without and with them, too. */
async function simulate(
  folder: string | undefined,
  config: TrainConfig,
  inputs: RunInputs,
  { times = DEFAULT_TIMES, at, rates = false, json = false }: GivenOptions,
  { stimulus, recorded, acted }: { readonly stimulus: Stimulus; readonly recorded: Uint32Array; readonly acted: Acts },
): Promise<{ readonly activity: RecordedActivity; readonly comparison: Comparison | null }> {
  const checkpoint = folder === undefined ? null : join(folder, RUN_FILES.checkpoint);
  const { interventions } = acted;
  const { train } = inputs.samples;
  const line = json && !process.stderr.isTTY ? null : new StatusLine(process.stderr);
  const backend = await openDevice(config, { warn: warnUser });
  try {
    const experiment = createExperiment(backend, config, inputs);
    try {
      const { model } = experiment;
      if (checkpoint) await restoreModel(model, checkpoint, warnUser);
      const activity = await trajectoryOf(model, config, train, stimulus.model, {
        ...(at ? { at } : { numTimes: times }),
        interventions,
        neurons: recorded,
        rates,
        onProgress: (done, samples) => {
          if (done < samples) line?.show(() => `recorded ${done} of ${plural(samples, "sample")}`);
        },
      });
      line?.clear();
      const { answered } = stimulus;
      if (!checkpoint || !answered || !interventions) return { activity, comparison: null };
      return { activity, comparison: await compare(model, evaluationOf(config, train), answered, interventions) };
    } finally {
      experiment.dispose();
    }
  } finally {
    await backend.dispose();
  }
}

async function compare(
  model: RunModel,
  evaluation: RunEvaluation,
  { set, samples }: Answered,
  interventions: Interventions,
): Promise<Comparison> {
  const own = { ...evaluation, ...(set.times && { times: set.times }) };
  const evaluate = (given: RunEvaluation) => model.evaluate(inputOf(set, samples), targetsOf(samples), given);
  const [intact, intervened] = [await evaluate(own), await evaluate({ ...own, interventions })];
  const [before, after] = [intact, intervened].map(({ metrics }) => metricValues(model.task, metrics));
  const failed = new Set([...intact.failed, ...intervened.failed]);
  return {
    samples: samples.size - failed.size,
    metrics: Object.fromEntries(
      model.task.metrics.map(({ name }) => [name, { intact: before![name]!, intervened: after![name]! }]),
    ),
  };
}

/** Samples with their targets. */
interface Answered {
  readonly set: SampleSet;
  readonly samples: Samples;
}

interface Stimulus {
  readonly model: ModelInput;
  readonly shown: readonly ShownInput[];
  /** The samples that the inputs are from, if any has a target that counts. */
  readonly answered: Answered | null;
}

/** The targets of the inputs, as files have them: one class per sample, or what else the task asks for. */
function answersOf({ answered }: Stimulus): Pick<ActivityFile, "labels" | "targets"> {
  if (!answered) return { labels: null, targets: null };
  const { set, samples } = answered;
  const { kind, times, width } = set.target;
  if (kind === "class" && times === null) return { labels: Int32Array.from(samples.targets), targets: null };
  const shape = [samples.size, ...(times === null ? [] : [times]), ...(kind === "class" ? [] : [width])];
  return { labels: null, targets: { shape, data: samples.targets } };
}

/** @throws {ArgumentError | ShapeError | FileFormatError} an --input of another form or shape */
async function readStimulus(text: string, { samples }: RunInputs): Promise<Stimulus> {
  const { inputSize } = samples.train;
  const range = RANGE.exec(text);
  if (range) return sampleInputs(partOf(range[1]!, samples), text, range[2]!, range[3] ?? range[2]!);
  const constant = /^constant:(.+)$/.exec(text);
  if (constant) {
    const value = Number(constant[1]);
    if (!Number.isFinite(value)) throw new ArgumentError("simulate", "--input", "a number after constant:", text);
    const shown = [{ name: `constant ${value}`, picture: null }];
    return { model: { data: new Float64Array(inputSize).fill(value), batch: 1 }, shown, answered: null };
  }
  if (!text.endsWith(".npy")) {
    const expected = `${[...PART_NAMES, "digits"].join(", ")}:A-B, constant:X or FILE.npy`;
    throw new ArgumentError("simulate", "--input", expected, JSON.stringify(text));
  }
  return arrayInputs(text, inputSize);
}

const RANGE = new RegExp(`^(${[...PART_NAMES, "digits"].join("|")}):(\\d+)(?:-(\\d+))?$`);

/** A part of a run's samples; "digits": the test part, or if there is none, another. @throws {ArgumentError} no such part */
function partOf(name: string, samples: SampleSplits): SampleSet {
  const { train, validation, test } = samples;
  if (name === "digits") return test ?? validation ?? train;
  const set = samples[name as PartName];
  if (set) return set;
  const there = PART_NAMES.filter((part) => samples[part] !== null);
  throw new ArgumentError("simulate", "--input", `a part that there is: ${there.join(", ")}`, name);
}

async function sampleInputs(set: SampleSet, text: string, from: string, to: string): Promise<Stimulus> {
  const [first, last] = [Number(from), Number(to)];
  if (!(first <= last && last < set.count)) {
    throw new ArgumentError("simulate", "--input", `${nounOf(set)} from 0 to ${set.count - 1}`, text);
  }
  const indices = Uint32Array.from({ length: last - first + 1 }, (_, k) => first + k);
  const samples = await set.read(indices, null);
  const answered = hasTargets(samples) ? { set, samples } : null;
  return { model: inputOf(set, samples), shown: shownSamples(set, samples), answered };
}

async function arrayInputs(file: string, inputSize: number): Promise<Stimulus> {
  const { shape, data, fortranOrder } = await readNpy(file);
  const [batch = 0, steps] = shape.length === 3 ? shape : [shape[0]];
  if (fortranOrder || ![2, 3].includes(shape.length) || shape.at(-1) !== inputSize || batch === 0) {
    const expected = `[samples, ${inputSize}] or [samples, frames, ${inputSize}] in C order`;
    throw new ShapeError("simulate", file, expected, `[${shape.join(", ")}]${fortranOrder ? " in Fortran order" : ""}`);
  }
  const shown = Array.from({ length: batch }, (_, k) => ({ name: `input ${k}`, picture: null }));
  const values = Float64Array.from(data, Number);
  return { model: { data: values, batch, ...(steps === undefined ? {} : { steps }) }, shown, answered: null };
}

function plotFile(text: string): string {
  if (/\.(svg|png)$/.test(text)) return text;
  throw new ArgumentError("command line", "--plot", "a file that ends with .svg or .png", JSON.stringify(text));
}

function outFile(text: string): string {
  if (ACTIVITY_EXTENSIONS.some((extension) => text.endsWith(extension))) return text;
  const expected = `a file that ends with ${ACTIVITY_EXTENSIONS.join(" or ")}`;
  throw new ArgumentError("command line", "--out", expected, JSON.stringify(text));
}

/** Ascending numbers; their order and range are checked with the end of the solve. */
function timeList(text: string): Float64Array {
  const times = text.split(",").map((part) => numberOf(part.trim()));
  const bad = times.find((t) => typeof t !== "number");
  if (bad !== undefined) throw new ArgumentError("command line", "--at", "times like 0.5,1,3", quoteText(String(bad)));
  return Float64Array.from(times as number[]);
}

function collect(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, text];
}
