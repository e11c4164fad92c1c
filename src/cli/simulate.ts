// `axograd simulate`: runs a trained or untrained model on chosen inputs and writes the trajectories of its neurons.

import { join } from "node:path";
import type { Command } from "commander";
import { ArgumentError, ShapeError } from "../core/errors.ts";
import type { SampleSet } from "../data/sampleSet.ts";
import { replaceFile } from "../io/durable.ts";
import { readNpy } from "../io/npy.ts";
import { writeNpz } from "../io/npz.ts";
import type { ModelInput } from "../models/options.ts";
import { standaloneSvg } from "../report/figure.ts";
import type { NeuronGroup } from "../report/groups.ts";
import { type ShownInput, shownSamples } from "../report/observation.ts";
import { activityFigure } from "../report/plots/activity.ts";
import { assertPng, pngOfSvg } from "../report/raster.ts";
import type { TrainConfig } from "../run/config.ts";
import { resolveConfig, type Settings } from "../run/configLayers.ts";
import { CONFIG_KEYS, CONFIG_OPTIONS, type Key } from "../run/configOptions.ts";
import { openDevice } from "../run/device.ts";
import { createExperiment, loadRunInputs, type RunInputs, restoreModel } from "../run/experiment.ts";
import { RUN_FILES } from "../run/runFiles.ts";
import { readBegun } from "../run/runStart.ts";
import { type RunTrajectory, trajectoryOf } from "../run/trajectory.ts";
import { inputOf } from "../train/trainable.ts";
import { readConfigFile } from "./configFile.ts";
import { warnUser, writeJson, writeLine } from "./console.ts";
import { neuronGroups } from "./report.ts";
import { addSetting, settingsAmong } from "./trainOptions.ts";
import { path, wholeNumber } from "./values.ts";

const DEFAULT_TIMES = 25;

const EXAMPLES = `
Inputs:
  digits:0-7     images 0 to 7 of the test set (of a run: its own), or one: digits:3
  constant:0.5   the same value at every input, for all time
  FILE.npy       [samples, inputs], constant in time, or [samples, steps, inputs]

Examples:
  npx axograd simulate runs/a --input digits:0-7 --out trajectories.npz --plot trajectories.svg
  npx axograd simulate --connectome flyvis_e6_csr.npz --input constant:1 --neurons T4a,T5a --out t4.npz

In Python: z = numpy.load("trajectories.npz"); z["hs"][sample, time, neuron], z["ts"], z["neurons"], z["labels"]
`;

/** Settings that a simulation does not need, or has its own options for. */
const OTHERS: readonly Key[] = ["trainInput", "keepSigns", "numEvals", "input"];
const GROUPS: readonly string[] = ["Recipe", "Network", "Solver", "Data", "Device"];
/** Options for an untrained model; a run has its settings in its folder. All others can be given in a file. */
const KEYS: readonly Key[] = CONFIG_KEYS.filter(
  (key) => !OTHERS.includes(key) && (key === "seed" || GROUPS.includes(CONFIG_OPTIONS[key].group)),
);

type GivenOptions = Settings & {
  readonly input: string;
  readonly times: number;
  readonly out: string;
  readonly plot?: string;
  readonly neurons?: string;
  readonly config?: string;
  readonly json?: boolean;
};

/** Adds the command to the program. */
export function register(program: Command): void {
  const command = program
    .command("simulate")
    .description("run a trained or untrained model on inputs and write the trajectories of its neurons")
    .argument("[run]", "folder of a run, whose checkpoint is used; without it, an untrained model")
    .requiredOption("--input <what>", "digits:A-B, constant:X or FILE.npy", path("--input"))
    .requiredOption("--out <file>", "trajectories as .npz: hs [samples, times, neurons], ts, neurons, labels", npz)
    .option("--times <n>", "evaluation times, from 0 to --end-time", wholeNumber("--times", 2), DEFAULT_TIMES)
    .option("--neurons <which>", "cell types, roles, indices and ranges, like T4a,output,0-99 (default: all)")
    .option("--config <file>", "settings of an untrained model, from a YAML or JSON file", path("--config"))
    .option("--plot <file>", "write a picture of the activity: .svg, or .png (needs the package sharp)", plotFile)
    .option("--json", "report the written files as JSON");
  for (const key of KEYS) addSetting(command, key);
  command.addHelpText("after", EXAMPLES).action(run);
}

async function run(folder: string | undefined, given: GivenOptions): Promise<void> {
  if (given.plot?.endsWith(".png")) await assertPng();
  const config = await configOf(folder, given);
  const inputs = await loadRunInputs(config, { hashes: false });
  const groups = neuronGroups(inputs);
  const neurons = selectNeurons(given.neurons, groups, inputs.weights.nRows);
  const stimulus = await readStimulus(given.input, inputs);
  const trajectory = await simulate(folder, config, inputs, stimulus.model, given.times);
  const { hs, ts } = trajectory;
  const { batch } = stimulus.model;
  await writeNpz(given.out, {
    hs: { shape: [batch, ts.length, neurons.length], data: columnsOf(hs, inputs.weights.nRows, neurons) },
    ts: { shape: [ts.length], data: ts },
    neurons: { shape: [neurons.length], data: neurons },
    ...(stimulus.labels ? { labels: { shape: [batch], data: stimulus.labels } } : {}),
  });
  if (given.plot) {
    const chosen = new Set(neurons);
    const shown = groups
      .map((group) => ({ ...group, neurons: group.neurons.filter((i) => chosen.has(i)) }))
      .filter((group) => group.neurons.length > 0);
    const figure = activityFigure({
      inputs: stimulus.shown,
      ts: [...ts],
      numNeurons: inputs.weights.nRows,
      hs,
      groups: shown,
    });
    const svg = standaloneSvg(figure);
    await replaceFile(given.plot, [given.plot.endsWith(".png") ? await pngOfSvg(svg) : svg]);
  }
  const written = { out: given.out, plot: given.plot ?? null };
  const summary = { ...written, samples: batch, times: ts.length, neurons: neurons.length };
  if (given.json) writeJson(summary);
  else writeLine(`${given.out}: hs [${batch}, ${ts.length}, ${neurons.length}]${given.plot ? `; ${given.plot}` : ""}`);
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

async function simulate(
  folder: string | undefined,
  config: TrainConfig,
  inputs: RunInputs,
  input: ModelInput,
  numEvals: number,
): Promise<RunTrajectory> {
  const checkpoint = folder === undefined ? null : join(folder, RUN_FILES.checkpoint);
  const backend = await openDevice(config, { warn: warnUser });
  try {
    const experiment = createExperiment(backend, config, inputs);
    try {
      if (checkpoint) await restoreModel(experiment.model, checkpoint, warnUser);
      return await trajectoryOf(experiment.model, config, inputs.samples.train, input, numEvals);
    } finally {
      experiment.dispose();
    }
  } finally {
    await backend.dispose();
  }
}

interface Stimulus {
  readonly model: ModelInput;
  readonly shown: readonly ShownInput[];
  /** The classes of the inputs, if they have any. */
  readonly labels: Uint8Array | null;
}

/** @throws {ArgumentError | ShapeError | FileFormatError} an --input of another form or shape */
async function readStimulus(text: string, { samples }: RunInputs): Promise<Stimulus> {
  const { inputSize } = samples.train;
  const range = /^digits:(\d+)(?:-(\d+))?$/.exec(text);
  if (range) return digitInputs(samples.test ?? samples.validation ?? samples.train, range[1]!, range[2] ?? range[1]!);
  const constant = /^constant:(.+)$/.exec(text);
  if (constant) {
    const value = Number(constant[1]);
    if (!Number.isFinite(value)) throw new ArgumentError("simulate", "--input", "a number after constant:", text);
    const shown = [{ name: `constant ${value}`, picture: null }];
    return { model: { data: new Float64Array(inputSize).fill(value), batch: 1 }, shown, labels: null };
  }
  if (!text.endsWith(".npy")) {
    throw new ArgumentError("simulate", "--input", "digits:A-B, constant:X or FILE.npy", JSON.stringify(text));
  }
  return arrayInputs(text, inputSize);
}

async function digitInputs(set: SampleSet, from: string, to: string): Promise<Stimulus> {
  const [first, last] = [Number(from), Number(to)];
  if (!(first <= last && last < set.count)) {
    throw new ArgumentError("simulate", "--input", `images from 0 to ${set.count - 1}`, `digits:${from}-${to}`);
  }
  const indices = Uint32Array.from({ length: last - first + 1 }, (_, k) => first + k);
  const samples = await set.read(indices, null);
  const { kind, times } = set.target;
  const labels = kind === "class" && times === null ? Uint8Array.from(samples.targets) : null;
  return { model: inputOf(set, samples), shown: shownSamples(set, samples), labels };
}

async function arrayInputs(file: string, inputSize: number): Promise<Stimulus> {
  const { shape, data, fortranOrder } = await readNpy(file);
  const [batch = 0, steps] = shape.length === 3 ? shape : [shape[0]];
  if (fortranOrder || ![2, 3].includes(shape.length) || shape.at(-1) !== inputSize || batch === 0) {
    const expected = `[samples, ${inputSize}] or [samples, steps, ${inputSize}] in C order`;
    throw new ShapeError("simulate", file, expected, `[${shape.join(", ")}]${fortranOrder ? " in Fortran order" : ""}`);
  }
  const shown = Array.from({ length: batch }, (_, k) => ({ name: `input ${k}`, picture: null }));
  const values = Float64Array.from(data, Number);
  return { model: { data: values, batch, ...(steps === undefined ? {} : { steps }) }, shown, labels: null };
}

/** Neurons by cell type, role, index or range of indices, in ascending order; all neurons by default. */
function selectNeurons(text: string | undefined, groups: readonly NeuronGroup[], numNeurons: number): Uint32Array {
  if (text === undefined) return Uint32Array.from({ length: numNeurons }, (_, i) => i);
  const chosen = text.split(",").flatMap((part) => {
    const named = groups.filter(({ name, role }) => name === part || role === part);
    if (named.length > 0) return named.flatMap(({ neurons }) => [...neurons]);
    const range = /^(\d+)(?:-(\d+))?$/.exec(part);
    const [first, last] = range ? [Number(range[1]), Number(range[2] ?? range[1])] : [1, 0];
    if (!(first <= last && last < numNeurons)) {
      const known = `cell types, roles, or indices from 0 to ${numNeurons - 1}`;
      throw new ArgumentError("simulate", "--neurons", known, JSON.stringify(part));
    }
    return Array.from({ length: last - first + 1 }, (_, k) => first + k);
  });
  return Uint32Array.from(new Set(chosen)).sort();
}

/** [rows, columns] of a row-major array with `width` columns. */
function columnsOf(values: RunTrajectory["hs"], width: number, columns: Uint32Array): RunTrajectory["hs"] {
  const rows = values.length / width;
  const picked = values.slice(0, rows * columns.length);
  for (let r = 0; r < rows; r++) {
    columns.forEach((column, c) => {
      picked[r * columns.length + c] = values[r * width + column]!;
    });
  }
  return picked;
}

function plotFile(text: string): string {
  if (/\.(svg|png)$/.test(text)) return text;
  throw new ArgumentError("command line", "--plot", "a file that ends with .svg or .png", JSON.stringify(text));
}

function npz(text: string): string {
  if (text.endsWith(".npz")) return text;
  throw new ArgumentError("command line", "--out", "a file that ends with .npz", JSON.stringify(text));
}
