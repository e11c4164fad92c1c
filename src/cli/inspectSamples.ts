// axograd inspect DATA: a sample set in words and numbers.

import { stat } from "node:fs/promises";
import { formatCount, formatNumber } from "../core/format.ts";
import { alignColumns } from "../core/text.ts";
import { imageSamples } from "../data/imageSamples.ts";
import { readMnist } from "../data/mnist.ts";
import { type OpenSamplesOptions, openSamples } from "../data/openSamples.ts";
import { PART_NAMES, type PartName } from "../data/sampleArrays.ts";
import { constantLoss, type SampleStatistics, type Spread, StatisticsBuilder } from "../data/sampleChecks.ts";
import type { SampleSet } from "../data/sampleSet.ts";
import { withFile } from "../io/files.ts";
import { readSafetensorsHeader } from "../io/safetensors.ts";
import { openZip } from "../io/zip.ts";
import { hasIdxFiles } from "../run/samples.ts";
import { shapeText } from "./tasks.ts";

/** What is known of a sample set. */
export interface SampleInspection extends Pick<SampleSet, "inputSize" | "steps" | "target" | "weighted"> {
  readonly parts: Readonly<Partial<Record<PartName, PartInspection>>>;
  readonly times: readonly number[] | null;
  readonly classNames: readonly string[] | null;
  readonly outputNames: readonly string[] | null;
  /** Squared error, or cross-entropy in nats, of the best constant prediction for the training part. */
  readonly constantLoss: number;
  readonly notes: readonly string[];
}

/** One part of it. */
export interface PartInspection {
  readonly samples: number;
  readonly withoutTargets: number;
  /** Of the inputs' means: the least and the largest, and so on. */
  readonly inputs: { readonly mean: readonly number[]; readonly std: readonly number[] };
  /** Of each output; null: classes. */
  readonly targets: { readonly mean: readonly number[]; readonly std: readonly number[] } | null;
  /** Sum of the weights of the targets of each class, or each output. */
  readonly weights: readonly number[];
}

/** Whether a path has samples, by the names of its arrays; else it may be a connectome. */
export async function isSampleSet(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => null);
  if (found === null) return false;
  if (found.isDirectory()) return true;
  const name = path.toLowerCase();
  if (name.endsWith(".npz")) return (await npzNames(path)).includes("inputs.npy");
  if (!name.endsWith(".safetensors")) return false;
  const { places } = await withFile(path, "a safetensors file", (source) => readSafetensorsHeader(source, path));
  return places.some(({ name: tensor }) => tensor === "inputs");
}

async function npzNames(path: string): Promise<readonly string[]> {
  const zip = await openZip(path, "a .npz file");
  try {
    return zip.names;
  } finally {
    zip.close();
  }
}

/** Reads and checks all samples. @throws {FileFormatError} as `openSamples` and `readMnist` */
export async function inspectSamples(
  path: string,
  options: Pick<OpenSamplesOptions, "kind" | "onProgress"> = {},
): Promise<SampleInspection> {
  if (await hasIdxFiles(path)) return inspectImages(path);
  const opened = await openSamples(path, options);
  try {
    const { train, statistics, notes } = opened;
    const parts = PART_NAMES.flatMap((name) => (statistics[name] ? [[name, partOf(statistics[name])] as const] : []));
    return inspectionOf(train, Object.fromEntries(parts), constantLoss(statistics.train), notes);
  } finally {
    await opened.release();
  }
}

/** Images that are examined at once. */
const IMAGES_AT_ONCE = 1024;

/** Pixels are scaled to [0, 1]. */
async function inspectImages(path: string): Promise<SampleInspection> {
  const { train, test } = await readMnist(path);
  const sets = { train: imageSamples(train, { mean: 0, std: 1 }), test: imageSamples(test, { mean: 0, std: 1 }) };
  const statistics = { train: await statisticsOf(sets.train), test: await statisticsOf(sets.test) };
  const parts = { train: partOf(statistics.train), test: partOf(statistics.test) };
  return inspectionOf(sets.train, parts, constantLoss(statistics.train), []);
}

async function statisticsOf(set: SampleSet): Promise<SampleStatistics> {
  const builder = new StatisticsBuilder(set);
  for (let begin = 0; begin < set.count; begin += IMAGES_AT_ONCE) {
    const size = Math.min(IMAGES_AT_ONCE, set.count - begin);
    const samples = await set.read(
      Uint32Array.from({ length: size }, (_, k) => begin + k),
      null,
    );
    for (let k = 0; k < size; k++) builder.add(samples, k);
  }
  return builder.finish(set.target.classes!);
}

function partOf({ samples, withoutTargets, inputs, targets, weights }: SampleStatistics): PartInspection {
  const plain = ({ mean, std }: Spread) => ({ mean: [...mean], std: [...std] });
  return { samples, withoutTargets, inputs: plain(inputs), targets: targets && plain(targets), weights: [...weights] };
}

function inspectionOf(
  set: SampleSet,
  parts: SampleInspection["parts"],
  constant: number,
  notes: readonly string[],
): SampleInspection {
  const { inputSize, steps, target, weighted, times, classNames = null, outputNames = null } = set;
  return {
    ...{ inputSize, steps, target, weighted, parts, classNames, outputNames, notes },
    ...{ times: times ? [...times] : null, constantLoss: constant },
  };
}

/** Most classes or outputs that are listed; all are in the JSON. */
const MOST_LISTED = 24;

/** The report for people. */
export function sampleText(path: string, it: SampleInspection): string {
  const lines: (readonly [label: string, text: string])[] = [["samples", shapeText(it)]];
  for (const [name, part] of Object.entries(it.parts)) {
    const { samples, withoutTargets, inputs } = part;
    const without = withoutTargets > 0 ? `, ${formatCount(withoutTargets)} without a target that counts` : "";
    lines.push([name, `${formatCount(samples)}${without}`], ["  inputs", spreadText(inputs)], ...targetLines(it, part));
  }
  const unit = it.target.kind === "class" ? "cross-entropy in nats" : "squared error";
  lines.push(["constant", `the best constant prediction has a ${unit} of ${formatNumber(it.constantLoss)}`]);
  lines.push(...it.notes.map((note) => ["note", note] as const));
  return [path, ...alignColumns(lines).map((line) => `  ${line}`), ""].join("\n");
}

function spreadText({ mean, std }: PartInspection["inputs"]): string {
  const range = (values: readonly number[]): string => {
    const [least, most] = [values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b))];
    return least === most ? formatNumber(least) : `${formatNumber(least)} to ${formatNumber(most)}`;
  };
  const constant = std.filter((value) => value === 0).length;
  const flat = constant > 0 ? `; ${formatCount(constant)} of ${formatCount(std.length)} constant` : "";
  return `mean ${range(mean)}, standard deviation ${range(std)}${flat}`;
}

function targetLines(it: SampleInspection, { targets, weights }: PartInspection): (readonly [string, string])[] {
  const shown = weights.slice(0, MOST_LISTED);
  const more = weights.length > shown.length ? `, … (${formatCount(weights.length)} in all)` : "";
  if (!targets) {
    const each = shown.map((weight, c) => `${it.classNames?.[c] ?? c}: ${formatNumber(weight)}`);
    return [["  classes", each.join(", ") + more]];
  }
  const each = shown.map(
    (_, j) => `${it.outputNames?.[j] ?? j}: ${formatNumber(targets.mean[j]!)} ± ${formatNumber(targets.std[j]!)}`,
  );
  return [["  targets", each.join(", ") + more]];
}
