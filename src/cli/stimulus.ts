// The input of a simulation: samples of a run or of a file, a constant, or an array.

import { stat } from "node:fs/promises";
import { ArgumentError, ShapeError } from "../core/errors.ts";
import { quoteText } from "../core/text.ts";
import { PART_NAMES, type PartName } from "../data/sampleArrays.ts";
import type { SampleSet, Samples } from "../data/sampleSet.ts";
import { ARRAY_EXTENSIONS } from "../io/arrayFiles.ts";
import { readNpy } from "../io/npy.ts";
import type { ModelInput } from "../models/options.ts";
import { type ShownInput, shownSamples } from "../report/observation.ts";
import type { TrainConfig } from "../run/config.ts";
import type { RunInputs } from "../run/experiment.ts";
import { openInForm } from "../run/samplesFor.ts";
import { checkSamples, hasTargets, inputOf } from "../train/trainable.ts";
import type { ActivityFile } from "./activityFiles.ts";
import { nounOf } from "./describe.ts";

/** Samples with their targets. */
export interface Answered {
  readonly set: SampleSet;
  readonly samples: Samples;
}

/** What a simulated network sees. */
export interface Stimulus {
  readonly model: ModelInput;
  readonly shown: readonly ShownInput[];
  /** The samples that the inputs are from, if any has a target that counts. */
  readonly answered: Answered | null;
}

/** The targets of the inputs, as files have them: one class per sample, or what else the task asks for. */
export function answersOf({ answered }: Stimulus): Pick<ActivityFile, "labels" | "targets"> {
  if (!answered) return { labels: null, targets: null };
  const { set, samples } = answered;
  const { kind, times, width } = set.target;
  if (kind === "class" && times === null) return { labels: Int32Array.from(samples.targets), targets: null };
  const shape = [samples.size, ...(times === null ? [] : [times]), ...(kind === "class" ? [] : [width])];
  return { labels: null, targets: { shape, data: samples.targets } };
}

/** Parts of the samples, and "digits": the test part, or if there is none, another. */
const SETS = [...PART_NAMES, "digits"] as const;
const OWN_SAMPLES = new RegExp(`^(${SETS.join("|")}):(\\d+)(?:-(\\d+))?$`);
const FILE_SAMPLES = new RegExp(`^(.+?)(?::(${PART_NAMES.join("|")}))?(?::(\\d+)(?:-(\\d+))?)?$`);

/**
 * Reads an input by its text: `test:0-7`, `samples.npz:0-7`, `constant:0.5` or `input.npy`.
 *
 * @throws {ArgumentError | ShapeError | FileFormatError} another form or shape, samples that there are not or that do not fit the run
 */
export async function readStimulus(text: string, config: TrainConfig, inputs: RunInputs): Promise<Stimulus> {
  const { samples } = inputs;
  const { inputSize } = samples.train;
  const own = OWN_SAMPLES.exec(text);
  if (own) {
    const { train, validation, test } = samples;
    const set = own[1] === "digits" ? (test ?? validation ?? train) : partOf(own[1] as PartName, samples);
    return sampleInputs(set, text, own[2], own[3]);
  }
  const constant = /^constant:(.+)$/.exec(text);
  if (constant) {
    const value = Number(constant[1]);
    if (!Number.isFinite(value)) throw new ArgumentError("simulate", "--input", "a number after constant:", text);
    const shown = [{ name: `constant ${value}`, picture: null }];
    return { model: { data: new Float64Array(inputSize).fill(value), batch: 1 }, shown, answered: null };
  }
  if (text.endsWith(".npy")) return arrayInputs(text, inputSize);
  const [, path, part, first, last] = FILE_SAMPLES.exec(text) ?? [];
  if (path !== undefined && (await isSampleFile(path)))
    return fileInputs(text, { path, part: part as PartName | undefined, first, last }, config, inputs);
  const expected = `${SETS.join(", ")}:A-B, constant:X, FILE.npy, or a file or folder of samples`;
  throw new ArgumentError("simulate", "--input", expected, quoteText(text));
}

type Parts = Readonly<Record<PartName, SampleSet | null>>;

/** @throws {ArgumentError} no such part */
function partOf(name: PartName, parts: Parts): SampleSet {
  const set = parts[name];
  if (set) return set;
  throw new ArgumentError("simulate", "--input", `a part that there is: ${partsThere(parts).join(", ")}`, name);
}

function partsThere(parts: Parts): PartName[] {
  return PART_NAMES.filter((name) => parts[name] !== null);
}

/** The samples of a set from `from` to `to`; default: that one, or all. */
async function sampleInputs(set: SampleSet, text: string, from: string = "0", to: string = from): Promise<Stimulus> {
  const [first, last] = [Number(from), Number(to)];
  if (!(first <= last && last < set.count)) {
    throw new ArgumentError("simulate", "--input", `${nounOf(set)} from 0 to ${set.count - 1}`, quoteText(text));
  }
  const indices = Uint32Array.from({ length: last - first + 1 }, (_, k) => first + k);
  const samples = await set.read(indices, null);
  const answered = hasTargets(samples) ? { set, samples } : null;
  return { model: inputOf(set, samples), shown: shownSamples(set, samples), answered };
}

async function isSampleFile(path: string): Promise<boolean> {
  if (ARRAY_EXTENSIONS.some((extension) => path.toLowerCase().endsWith(extension))) return true;
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

/** Which samples of a file. */
interface FileRange {
  readonly path: string;
  readonly part: PartName | undefined;
  readonly first: string | undefined;
  readonly last: string | undefined;
}

/** Samples of a file, in the form that the run needs. */
async function fileInputs(
  text: string,
  { path, part, first, last }: FileRange,
  { dataMemory, dtype }: TrainConfig,
  { samples, task }: RunInputs,
): Promise<Stimulus> {
  const { normalisation } = samples;
  const opened = await openInForm(path, { task, normalisation, dataMemory, dtype });
  try {
    const set = partOf(part ?? onlyPart(opened, path), opened);
    checkSamples("simulate", "--input", set, { task, rnn: { options: samples.train } });
    return first === undefined
      ? await sampleInputs(set, text, "0", `${set.count - 1}`)
      : await sampleInputs(set, text, first, last);
  } finally {
    await opened.release();
  }
}

/** The test part, or the only one. @throws {ArgumentError} there are others */
function onlyPart(parts: Parts, path: string): PartName {
  const there = partsThere(parts);
  if (there.includes("test")) return "test";
  if (there.length === 1) return there[0]!;
  const expected = there.map((name) => `${path}:${name}`).join(" or ");
  throw new ArgumentError("simulate", "--input", expected, quoteText(path));
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
