// Samples in the form that a run needs, to predict from: its own, those of a file or folder, or generated ones.

import { ArgumentError } from "../core/errors.ts";
import { checkNames } from "../core/optionNames.ts";
import { quoteValue } from "../core/text.ts";
import { type OpenedSamples, openSamples } from "../data/openSamples.ts";
import { PART_NAMES, type PartName } from "../data/sampleArrays.ts";
import { type SampleSet, subsetOfSamples } from "../data/sampleSet.ts";
import type { Task } from "../models/task/task.ts";
import type { TrainConfig } from "./config.ts";
import { DIGITS, isTaskName } from "./configOptions.ts";
import type { OpenedRun } from "./openRun.ts";
import { hasIdxFiles, type LoadOptions, loadProgressOf, loadSamples, type SampleSplits } from "./samples.ts";

/** Which samples to take. */
export interface SamplesForOptions extends Pick<LoadOptions, "onProgress"> {
  /** Default: "test"; of a file that has no such part, the only one that it has. */
  readonly part?: PartName;
  /** Only the first ones of the part; of generated samples, as many. Default: all. */
  readonly count?: number;
  /** Of generated samples; default: those of the run if it was trained on them, else those of the task. */
  readonly dataOptions?: Readonly<Record<string, number | string>>;
  readonly signal?: AbortSignal;
}

const OPTIONS: Readonly<Record<keyof SamplesForOptions, true>> = {
  ...{ part: true, count: true, dataOptions: true, onProgress: true, signal: true },
};

/** Samples for a run. */
export interface SamplesFor {
  readonly samples: SampleSet;
  /** Which part of the source they are; null: all, as it has one part only. */
  readonly part: PartName | null;
  /** What a user should know, a sentence each. */
  readonly notes: readonly string[];
  /** Closes files; the samples are not used afterwards. */
  release(): Promise<void>;
}

/**
 * Samples for `predict`. Those of files are standardised with what the run recorded, may lack targets, and have the run's classes and
 * precision.
 *
 * @param data  a file or folder as `--data` takes it, the name of generated samples, or null: the run's own
 * @throws {ArgumentError} no such part, or fewer samples; {FileFormatError} as `openSamples`
 */
export async function samplesFor(
  run: Pick<OpenedRun, "config" | "data" | "model" | "taskNetwork">,
  data: string | null = null,
  options: SamplesForOptions = {},
): Promise<SamplesFor> {
  checkNames("samplesFor", options, OPTIONS);
  const { part, count } = options;
  if (part !== undefined && !PART_NAMES.includes(part))
    throw new ArgumentError("samplesFor", "part", PART_NAMES.join(", "), quoteValue(part));
  if (count !== undefined && !(Number.isSafeInteger(count) && count >= 1))
    throw new ArgumentError("samplesFor", "count", "a whole number of at least 1", quoteValue(count));
  if (data === null) return chosen(run.data, "the run", part ?? "test", count, async () => {});
  const isGenerated = data === DIGITS || isTaskName(data);
  if (isGenerated || (await hasIdxFiles(data))) {
    const made = await loadSamples(configFor(run, data, options), run.taskNetwork);
    return chosen(made, data, part ?? "test", isGenerated ? undefined : count, () => made.release());
  }
  const { normalisation } = run.data;
  const { dataMemory } = run.config;
  const form = { task: run.model.task, normalisation, dataMemory, dtype: run.model.backend.dtype };
  const opened = await openInForm(data, form, options);
  try {
    return chosen(opened, data, part ?? onlyPart(opened, data), count, () => opened.release());
  } catch (error) {
    await opened.release();
    throw error;
  }
}

/** The settings that generate samples, or read images. */
function configFor(
  { config }: Pick<OpenedRun, "config">,
  data: string,
  { part = "test", count, dataOptions }: SamplesForOptions,
): OpenedRun["config"] {
  const isOwn = config.data === data;
  const key = ({ train: "trainSamples", validation: "validationSamples", test: "testSamples" } as const)[part];
  const isGenerated = data === DIGITS || isTaskName(data);
  return {
    ...config,
    ...{ data, dataOptions: dataOptions ?? (isOwn ? config.dataOptions : {}), shift: 0 },
    ...{ scaleInputs: "none", targets: "auto", validationData: null, testData: null },
    // The set that is not wanted is small, but the draw for validation is that of the run.
    ...{ trainSamples: isGenerated ? 1 : null, testSamples: null },
    ...(isGenerated && count !== undefined ? { [key]: count } : {}),
    ...(isGenerated && part === "train" && count === undefined ? { trainSamples: config.trainSamples } : {}),
  };
}

/** What a run asks of the samples of a file. */
export interface SampleForm extends Pick<SampleSplits, "normalisation">, Pick<TrainConfig, "dataMemory" | "dtype"> {
  readonly task: Task;
}

/** Opens samples in the form that a run needs: standardised as its own, with its classes; targets may be missing. */
export function openInForm(
  path: string,
  { task: { target }, normalisation, dataMemory, dtype }: SampleForm,
  { onProgress, signal }: Pick<SamplesForOptions, "onProgress" | "signal"> = {},
): Promise<OpenedSamples> {
  return openSamples(path, {
    kind: target.kind,
    ...(target.classes !== null && { classes: target.classes }),
    unlabelled: target,
    normalise: normalisation ?? "none",
    memoryBytes: dataMemory * 2 ** 20,
    dtype,
    ...(signal && { signal }),
    ...(onProgress && { onProgress: loadProgressOf(onProgress) }),
  });
}

type Parts = Pick<SampleSplits, PartName> & { readonly notes: readonly string[] };

/** Of a file: its test part, or the only part. */
function onlyPart(parts: Parts, path: string): PartName {
  const there = PART_NAMES.filter((name) => parts[name] !== null);
  if (there.includes("test")) return "test";
  if (there.length === 1) return there[0]!;
  throw new ArgumentError("predict", "part", `one of ${there.join(", ")}, the parts of ${path}`, "none");
}

function chosen(
  parts: Parts,
  source: string,
  part: PartName,
  count: number | undefined,
  release: () => Promise<void>,
): SamplesFor {
  const set = parts[part];
  if (set === null) {
    const there = PART_NAMES.filter((name) => parts[name] !== null);
    throw new ArgumentError("predict", "part", `one of ${there.join(", ")}, the parts that ${source} has`, part);
  }
  if (count !== undefined && count > set.count)
    throw new ArgumentError("predict", "count", `at most ${set.count}, the samples there are`, `${count}`);
  const samples =
    count === undefined
      ? set
      : subsetOfSamples(
          set,
          Array.from({ length: count }, (_, i) => i),
        );
  const isAll = PART_NAMES.every((name) => name === part || parts[name] === null);
  return { samples, part: isAll ? null : part, notes: parts.notes, release };
}
