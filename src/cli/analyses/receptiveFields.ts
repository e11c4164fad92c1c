// `axograd receptive-fields`: what neurons respond to, by white noise.

import type { Command } from "commander";
import { type FieldMeasurement, fieldRecord, type NamedNeuron } from "../../analysis/fieldRecord.ts";
import type { InputPlaces } from "../../analysis/fieldSummary.ts";
import { type FieldEvaluation, type ReceptiveFields, receptiveFields } from "../../analysis/receptiveFields.ts";
import {
  checkFieldSize,
  fieldBytes,
  fieldStandardError,
  type LinearFields,
} from "../../analysis/reverseCorrelation.ts";
import { NOISE_KINDS } from "../../analysis/whiteNoise.ts";
import { ArgumentError } from "../../core/errors.ts";
import { formatBytes, formatCount, formatNumber, formatPercent } from "../../core/format.ts";
import { alignColumns, plural } from "../../core/text.ts";
import { hexagonalEyeOf } from "../../data/connectomes.ts";
import { groupingColumn, nearestToCentre, neuronsByColumn } from "../../data/neuronGroups.ts";
import { selectNeurons } from "../../data/selectors.ts";
import type { StepOptions } from "../../models/connectomeRnn.ts";
import { receptiveFieldFigures } from "../../report/analyses/receptiveFields.ts";
import { durationOf } from "../../run/evaluation.ts";
import type { OpenedRun } from "../../run/openRun.ts";
import { timeLeft } from "../../train/progress.ts";
import { addInterventionOptions, type InterventionOptions, readInterventions } from "../interventionOptions.ts";
import { samplesNeeded } from "../sampleOptions.ts";
import { oneOf, realNumber, wholeNumber } from "../values.ts";
import {
  type Analysis,
  type AnalysisOptions,
  type AnalysisWork,
  addAnalysisOptions,
  type CsvTable,
  runAnalysis,
} from "./analysis.ts";

const KIND = "receptive-fields";
/** More neurons are counted, not listed. */
const LISTED = 60;
/** Frames that a sample lasts whose input is constant in time. */
const FRAMES_OF_CONSTANT = 10;

const HELP = `
The field of a neuron is its mean response to a small change of each input, 0, 1, … frames before: the reverse correlation with white noise on
all inputs. "on": more input at the peak, more activity; "off": less. A field whose peak does not exceed what noise alone gives, in one of all its
coefficients with a probability of 5 %, counts as none. "linear" is the share of the variance of the response that the field explains, on noise that
it was not estimated from: where it is near 0, the neuron may respond strongly, but not linearly.

Defaults: one neuron per type, the central one where neurons have places. The noise is that of a grey 0.5 ± 0.25 where inputs are columns of a
hexagonal eye, around the resting input where the run starts at rest (--rest), else 0 ± 1, the mean and the deviation of standardised inputs.

Examples:
  npx axograd receptive-fields runs/a --plot fields.svg
  npx axograd receptive-fields runs/a --record "T4*" --sequences 200 --out fields.npz
  npx axograd receptive-fields runs/a --silence "type=L*" --name without-L

In Python: z = numpy.load("fields.npz"); z["fields"][neuron, lag, input], z["standard_errors"], z["neurons"], z["types"]
`;

interface GivenOptions extends AnalysisOptions, InterventionOptions {
  readonly record?: string;
  readonly noise: (typeof NOISE_KINDS)[number];
  readonly mean?: number;
  readonly contrast?: number;
  readonly lags: number;
  readonly frames: number;
  readonly settle?: number;
  readonly sequences: number;
  readonly hold: number;
  readonly frameTime?: number;
  readonly states?: boolean;
  readonly stimulusSeed: number;
}

/** The fields, and what is known of their neurons and inputs. */
interface Result {
  readonly fields: ReceptiveFields;
  readonly measurement: FieldMeasurement;
  readonly names: readonly NamedNeuron[];
}

/** Adds the command to the program. */
export function register(program: Command): void {
  const command = program
    .command(KIND)
    .description("measure the receptive fields of neurons with white noise (reverse correlation)");
  addAnalysisOptions(command, KIND)
    .option("--record <neurons>", "neurons, as a selector (default: one per type, the central one)")
    .option("--noise <kind>", "gaussian, or binary: mean + or − contrast", oneOf("--noise", NOISE_KINDS), "gaussian")
    .option("--mean <x>", "mean of the noise (default: see below)", realNumber("--mean", {}))
    .option("--contrast <x>", "its standard deviation (default: see below)", realNumber("--contrast", { above: 0 }))
    .option("--lags <n>", "frames before the response that the field covers", wholeNumber("--lags", 1), 10)
    .option("--frames <n>", "frames whose responses count, per sequence", wholeNumber("--frames", 1), 250)
    .option("--settle <n>", "frames of noise before them, at least lags − 1 (default: 20)", wholeNumber("--settle", 0))
    .option("--sequences <n>", "independent sequences; a fifth of them is held out", wholeNumber("--sequences", 3), 40)
    .option("--hold <n>", "each frame of noise lasts so many frames of the run", wholeNumber("--hold", 1), 1)
    .option(
      "--frame-time <t>",
      "in continuous time, time constants of a frame (default: as in the run's sequences; of constant inputs a tenth of the run's time)",
      realNumber("--frame-time", { above: 0 }),
    )
    .option("--states", "of the neurons' states, not of what they send (the same, unless states are voltages)")
    .option("--stimulus-seed <n>", "seed of the noise", wholeNumber("--stimulus-seed", 0), 0);
  addInterventionOptions(command, { files: false });
  command.addHelpText("after", HELP).action(run);
}

async function run(folder: string, given: GivenOptions): Promise<void> {
  const analysis: Analysis<Result> = {
    kind: KIND,
    options: optionsOf(given),
    samples: await samplesNeeded(folder, given.checkpoint),
    compute: (opened, work) => measure(opened, given, work),
    record: ({ fields, measurement, names }) => fieldRecord(fields, measurement, names),
    figures: receptiveFieldFigures,
    table: tableOf,
    arrays: arraysOf,
    lines: linesOf,
  };
  await runAnalysis(folder, given, analysis);
}

function optionsOf({ record, lags, frames, settle, sequences, hold, stimulusSeed, ...given }: GivenOptions) {
  const { silence = [], clamp = [], drive = [], states = false } = given;
  return {
    ...{ record: record ?? null, noise: given.noise, mean: given.mean ?? null, contrast: given.contrast ?? null },
    ...{ lags, frames, settle: settle ?? null, sequences, hold, frameTime: given.frameTime ?? null },
    ...{ states, stimulusSeed, silence, clamp, drive },
  };
}

async function measure(run: OpenedRun, given: GivenOptions, work: AnalysisWork): Promise<Result> {
  const { selectable } = run;
  const place = { where: KIND, argument: "--record" };
  const neurons = given.record === undefined ? centralNeurons(run) : selectNeurons(selectable, given.record, place);
  const interventions = await readInterventions(given, selectable, { where: KIND, note: work.note, files: false });
  const places = placesOfRun(run);
  const { evaluation, frame } = timeOf(run, given.frameTime);
  const { mean, contrast } = noiseOf(run, places, given);
  const shape = { neurons: neurons.length, lags: given.lags, inputs: run.data.train.inputSize };
  checkFieldSize(KIND, shape);
  const product = `${plural(shape.neurons, "neuron")} × ${plural(shape.lags, "lag")} × ${plural(shape.inputs, "input")}`;
  work.note(`${product}: ${formatBytes(fieldBytes(shape))} for their sums and fields`);
  const left = timeLeft();
  const response = given.states ? "states" : "rates";
  const { noise, lags, frames, settle, sequences, hold, stimulusSeed } = given;
  const fields = await receptiveFields(run.model.rnn, {
    ...{ neurons, noise, mean, contrast, seed: stimulusSeed, lags, frames, sequences, hold, response, places },
    ...(settle !== undefined && { settle }),
    ...(frame.unit === "time constants" && { frameTime: frame.length }),
    evaluation: { ...evaluation, interventions, signal: work.signal },
    onProgress: (done, of) => work.show(() => `noise  ${done}/${plural(of, "sequence")}  ${left(done / of)}`),
  });
  const held = { ...frame, length: frame.length * hold };
  return {
    fields,
    measurement: { noise, mean, contrast, response, frame: held, places },
    names: namesOf(run, neurons),
  };
}

/** One neuron of each type, the central one where neurons have places. */
function centralNeurons({ selectable, neurons: table }: OpenedRun): Uint32Array {
  const place = { where: KIND, argument: "--record" };
  const groups = neuronsByColumn(selectable, groupingColumn(selectable), null, place);
  const central = nearestToCentre(groups, { x: table?.x ?? null, y: table?.y ?? null });
  return Uint32Array.from(central, ({ neurons }) => neurons[0]!);
}

/** Where the inputs of a run lie; null: nowhere that is known. */
function placesOfRun({ config, neurons, data: { train } }: OpenedRun): InputPlaces | null {
  const { picture, inputSize } = train;
  if (picture && picture.width * picture.height === inputSize) return { kind: "pixels", ...picture };
  if (config.input !== "hexagonal" || !neurons) return null;
  return { kind: "hexagons", extent: hexagonalEyeOf(neurons).extent };
}

/** How the network runs, and how long a frame of it is. */
function timeOf(
  run: OpenedRun,
  frameTime: number | undefined,
): { readonly evaluation: FieldEvaluation; readonly frame: FieldMeasurement["frame"] } {
  const { config, data, evaluation } = run;
  const { h0 } = evaluation;
  const common = h0 === undefined ? {} : { h0 };
  const { steps } = data.train;
  if (config.time === "discrete") {
    if (frameTime !== undefined)
      throw new ArgumentError(
        KIND,
        "--frame-time",
        "it dropped, as time is discrete (--hold repeats frames)",
        `${frameTime}`,
      );
    // A constant input has no frames: each step is one.
    const { recurrences = 1 } = steps === null ? {} : (evaluation as StepOptions);
    return { evaluation: { ...common, recurrences }, frame: { length: recurrences, unit: "steps" } };
  }
  const length = frameTime ?? durationOf(config, data.train) / (steps ?? FRAMES_OF_CONSTANT);
  return { evaluation: common, frame: { length, unit: "time constants" } };
}

/** Columns of an eye see luminances, unless these are standardised. */
function noiseOf({ config, data }: OpenedRun, places: InputPlaces | null, { mean, contrast }: GivenOptions) {
  const isLuminance = places?.kind === "hexagons" && !data.normalisation;
  return { mean: mean ?? config.rest ?? (isLuminance ? 0.5 : 0), contrast: contrast ?? (isLuminance ? 0.25 : 1) };
}

/** Types name neurons where one of each is recorded. */
function namesOf({ selectable: { types, typeIdx } }: OpenedRun, neurons: Uint32Array): NamedNeuron[] {
  const known = Array.from(neurons, (i) => (types && typeIdx ? types[typeIdx[i]!]! : null));
  const counts = new Map<string | null, number>();
  for (const type of known) counts.set(type, (counts.get(type) ?? 0) + 1);
  return known.map((type, n) => {
    const name = type === null || type === "" ? `neuron ${neurons[n]}` : type;
    return { name: type !== null && counts.get(type)! > 1 ? `${name} ${neurons[n]}` : name, type };
  });
}

/** A row per coefficient. */
function tableOf({ fields, names }: Result): CsvTable {
  return {
    columns: ["neuron", "type", "lag", "input", "value", "standard error"],
    rows: coefficients(fields, names),
  };
}

function* coefficients(fields: ReceptiveFields, names: readonly NamedNeuron[]): Generator<(string | number)[]> {
  const { lags, inputs, values, indices } = fields;
  for (const [n, { type }] of names.entries()) {
    for (let lag = 0; lag < lags; lag++) {
      for (let i = 0; i < inputs; i++) {
        const value = values[(n * lags + lag) * inputs + i]!;
        yield [indices[n]!, type ?? "", lag, i, value, fieldStandardError(fields, n, lag, i)];
      }
    }
  }
}

function arraysOf({ fields, names }: Result): ReturnType<Analysis<Result>["arrays"]> {
  const { values, lags, inputs, indices, mean, sd, summaries } = fields;
  const shape = [indices.length, lags, inputs];
  const perNeuron = (data: Float64Array) => ({ shape: [indices.length], data });
  const { share, standardError } = explainedOf(summaries);
  return {
    fields: { shape, data: values },
    standard_errors: { type: "f4", shape, pieces: () => standardErrors(fields) },
    neurons: { shape: [indices.length], data: indices },
    types: names.map(({ type }) => type ?? ""),
    mean: perNeuron(mean),
    sd: perNeuron(sd),
    explained: perNeuron(share),
    explained_standard_error: perNeuron(standardError),
  };
}

function explainedOf(summaries: ReceptiveFields["summaries"]) {
  return {
    share: Float64Array.from(summaries, ({ explained }) => explained.share),
    standardError: Float64Array.from(summaries, ({ explained }) => explained.standardError),
  };
}

/** Those of one neuron after the other. */
function* standardErrors(fields: LinearFields): Generator<Float32Array> {
  const { neurons, lags, inputs } = fields;
  for (let n = 0; n < neurons; n++) {
    yield Float32Array.from({ length: lags * inputs }, (_, k) =>
      fieldStandardError(fields, n, Math.floor(k / inputs), k % inputs),
    );
  }
}

function linesOf({ fields, measurement, names }: Result): string[] {
  const { summaries, threshold, count, heldOut } = fields;
  const { noise, mean, contrast, frame } = measurement;
  const { length: frameLength, unit } = frame;
  const length = unit === "steps" ? plural(frameLength, "step") : `${formatNumber(frameLength)} ${unit}`;
  const rows = summaries.slice(0, LISTED).map(({ centreSign, peak, radius, biphasic, explained }, n) => {
    const cell = (value: number | null) => (value === null ? "–" : formatNumber(value));
    return [
      names[n]!.name,
      peak === null ? "constant" : (centreSign ?? "none"),
      ...(peak ? [`${formatNumber(peak.value)} ± ${formatNumber(peak.standardError)}`, `${peak.lag}`] : ["–", "–"]),
      ...[peak ? `${peak.input}` : "–", cell(radius), cell(biphasic)],
      `${formatPercent(explained.share)} ± ${formatPercent(explained.standardError)}`,
    ];
  });
  const head = ["neuron", "field", "peak", "lag", "input", "radius", "biphasic", "linear"];
  const left = summaries.length - rows.length;
  const unfinished = unfinishedFields(fields);
  return [
    `${noise} noise ${mean} ± ${contrast}, frames of ${length}; ${formatCount(count)} responses, ${plural(heldOut, "sequence")} held out; fields above ${formatNumber(threshold)} standard errors`,
    ...alignColumns([head, ...rows], [2, 3, 4, 5, 6, 7]),
    ...(left > 0 ? [`and ${plural(left, "more neuron")} (--out has all)`] : []),
    ...(unfinished > 0 ? [`${plural(unfinished, "field")} not over at the last lag: --lags covers more`] : []),
  ];
}

/** Fields that still exceed noise at the last lag. */
function unfinishedFields(fields: ReceptiveFields): number {
  const { summaries, values, lags, inputs, threshold } = fields;
  const lag = lags - 1;
  return summaries.filter(({ centreSign, peak }, n) => {
    if (centreSign === null || peak === null) return false;
    const last = Math.abs(values[(n * lags + lag) * inputs + peak.input]!);
    return last > threshold * fieldStandardError(fields, n, lag, peak.input);
  }).length;
}
