// `axograd simulate`: runs a trained or untrained model on chosen inputs and writes the trajectories of its neurons.

import { join } from "node:path";
import { type Command, Option } from "commander";
import { ArgumentError } from "../core/errors.ts";
import { plural } from "../core/text.ts";
import { hasIds, idOf, type SelectableNeurons, selectNeurons } from "../data/selectors.ts";
import { replaceFile } from "../io/durable.ts";
import type { Interventions } from "../models/interventions.ts";
import type { RecordedActivity } from "../models/recordActivity.ts";
import { metricValues } from "../models/task/sums.ts";
import type { Task } from "../models/task/task.ts";
import { standaloneSvg } from "../report/figure.ts";
import type { NeuronGroup } from "../report/groups.ts";
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
import { neuronsOfRun } from "../run/projections.ts";
import { RUN_FILES } from "../run/runFiles.ts";
import { readBegun } from "../run/runStart.ts";
import { trajectoryOf } from "../run/trajectory.ts";
import { StatusLine } from "../train/progress.ts";
import { metricText } from "../train/taskDescription.ts";
import { inputOf, targetsOf } from "../train/trainable.ts";
import { ACTIVITY_EXTENSIONS, writeActivity } from "./activityFiles.ts";
import { readConfigFile } from "./configFile.ts";
import { warnUser, writeJson, writeLine } from "./console.ts";
import {
  addInterventionOptions,
  describeAct,
  type InterventionOptions,
  interventionsOf,
  readActs,
} from "./interventionOptions.ts";
import { checkOutput } from "./outputFile.ts";
import { neuronGroups } from "./report.ts";
import { countSelection, describeSelection } from "./selections.ts";
import { type Answered, answersOf, readStimulus, type Stimulus } from "./stimulus.ts";
import { addSetting, settingsAmong } from "./trainOptions.ts";
import { path, timeList, wholeNumber } from "./values.ts";

const DEFAULT_TIMES = 25;

const EXAMPLES = `
Inputs:
  test:0-7       samples 0 to 7 of the run's test part, or one: test:3; also train:0-7 and validation:0-7
  digits:0-7     the same of the test part, or if there is none, of another
  FILE.npz:0-7   samples of a file or folder (docs/data.md), standardised as those of the run; of its part "test" or the only one, or of the one
                 that is named: FOLDER:validation:0-7. Without numbers all samples
  constant:0.5   the same value at every input, for all time
  FILE.npy       [samples, inputs], constant in time, or [samples, frames, inputs]

Neurons: a selector, by any column of the neuron table (docs/simulate.md):
  T4a,T5a        types          type=T4* & side=left   both          index:0-99   by index
  output         a role         !input                 all others    @ids.txt     a file of ids

Interventions hold from the start to the end. A silenced neuron sends 0, also to the read-out; the state of a clamped one is held; a driven one
gets a current in addition to its input: a number, or a file [frames] or [samples, frames]. With a run and inputs that have targets, the metrics of
the run without and with interventions are reported.

Examples:
  npx axograd simulate runs/a --input test:0-7 --out trajectories.npz --plot trajectories.svg
  npx axograd simulate runs/a --input test:0-99 --silence "type=T4*" --record output --out silenced.csv
  npx axograd simulate --connectome flyvis_e6_csr.npz --input constant:1 --record T4a,T5a --out t4.npz

In Python: z = numpy.load("trajectories.npz"); z["hs"][sample, time, neuron], z["ts"], z["neurons"], z["types"], z["labels"]
`;

/** Settings that a simulation does not need, or has its own options for. */
const OTHERS: readonly Key[] = ["trainInput", "keepSigns", "numEvals", "input", "window", "tune"];
const GROUPS: readonly string[] = ["Recipe", "Network", "Solver", "Data", "Device"];
/** Options for an untrained model; a run has its settings in its folder. All others can be given in a file. */
const KEYS: readonly Key[] = CONFIG_KEYS.filter(
  (key) => !OTHERS.includes(key) && (key === "seed" || GROUPS.includes(CONFIG_OPTIONS[key].group)),
);

type GivenOptions = Settings &
  InterventionOptions & {
    readonly input: string;
    readonly times?: number;
    readonly at?: Float64Array;
    readonly out: string;
    readonly plot?: string;
    readonly record?: string;
    /** Earlier name of `record`. */
    readonly neurons?: string;
    readonly rates?: boolean;
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
    .requiredOption("--input <what>", "test:A-B, constant:X, FILE.npy or samples (see below)", path("--input"))
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
      timeList("--at"),
    );
  addInterventionOptions(command);
  command
    .option("--config <file>", "settings of an untrained model, from a YAML or JSON file", path("--config"))
    .option("--plot <file>", "write a picture of the activity: .svg, or .png (needs the package sharp)", plotFile)
    .option("--overwrite", "replace files that exist")
    .option("--json", "report as JSON what was done and written");
  for (const key of KEYS) addSetting(command, key);
  command.addHelpText("after", EXAMPLES).action(run);
}

async function run(folder: string | undefined, given: GivenOptions): Promise<void> {
  checkOptions(given);
  for (const file of [given.out, given.plot]) if (file !== undefined) await checkOutput(file, given.overwrite ?? false);
  if (given.plot?.endsWith(".png")) await assertPng();
  const config = await configOf(folder, given);
  const inputs = await loadRunInputs(config, { hashes: false });
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
  const subject = neuronsOfRun(inputs.connectome, inputs.projections);
  const acts = await readActs(given, subject, "simulate");
  const recorded = select(subject, given.record ?? given.neurons ?? "all", given.neurons ? "--neurons" : "--record");
  const stimulus = await readStimulus(given.input, config, inputs);
  const { activity, comparison } = await simulate(folder, config, inputs, given, {
    ...{ stimulus, recorded },
    interventions: interventionsOf(acts),
  });
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
      interventions: acts.map(({ kind, selector, indices, value }) => ({
        ...{ kind, selector, value },
        ...countSelection(subject, indices),
      })),
      comparison,
    });
    return;
  }
  for (const act of acts) writeLine(describeAct(act, subject));
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

function select(neurons: SelectableNeurons, selector: string, argument: string): Uint32Array {
  return selectNeurons(neurons, selector, { where: "simulate", argument });
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

/** What a simulation is about. */
interface Subject {
  readonly stimulus: Stimulus;
  readonly recorded: Uint32Array;
  /** null: none. */
  readonly interventions: Interventions | null;
}

/** Activity with the interventions; where a trained network sees inputs with targets, its metrics without and with them, too. */
async function simulate(
  folder: string | undefined,
  config: TrainConfig,
  inputs: RunInputs,
  { times = DEFAULT_TIMES, at, rates = false, json = false }: GivenOptions,
  { stimulus, recorded, interventions }: Subject,
): Promise<{ readonly activity: RecordedActivity; readonly comparison: Comparison | null }> {
  const checkpoint = folder === undefined ? null : join(folder, RUN_FILES.checkpoint);
  const { train } = inputs.samples;
  const line = json && !process.stderr.isTTY ? null : new StatusLine(process.stderr);
  const tuning = folder === undefined ? null : (await readBegun(folder)).tuning;
  const backend = await openDevice(config, { warn: warnUser, tuning });
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
      const evaluation = evaluationOf(config, train, answered.set.steps);
      return { activity, comparison: await compare(model, evaluation, answered, interventions) };
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

function plotFile(text: string): string {
  if (/\.(svg|png)$/.test(text)) return text;
  throw new ArgumentError("command line", "--plot", "a file that ends with .svg or .png", JSON.stringify(text));
}

function outFile(text: string): string {
  if (ACTIVITY_EXTENSIONS.some((extension) => text.endsWith(extension))) return text;
  const expected = `a file that ends with ${ACTIVITY_EXTENSIONS.join(" or ")}`;
  throw new ArgumentError("command line", "--out", expected, JSON.stringify(text));
}
