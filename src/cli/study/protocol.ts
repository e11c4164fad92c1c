// A protocol: everything about a study that is decided before its runs, with the hashes of what goes into them. Written before, it makes the study
// a pre-registration.

import { createHash } from "node:crypto";
import { ArgumentError } from "../../core/errors.ts";
import { VERSION } from "../../core/version.ts";
import { replaceFile } from "../../io/durable.ts";
import { type HashedFile, hashedFileOf } from "../../io/hash.ts";
import { JsonParts } from "../../io/jsonParts.ts";
import { readTextFile } from "../../io/textFile.ts";
import { codeHash } from "../../run/codeIdentity.ts";
import type { TrainConfig } from "../../run/config.ts";
import { type Settings, settingsOf } from "../../run/configLayers.ts";
import type { Key } from "../../run/configOptions.ts";
import { loadRunInputs } from "../../run/experiment.ts";
import { wiringContext } from "../../run/network.ts";
import { describeTask, type MetricDescription } from "../../train/taskDescription.ts";
import { keysOf, REAL } from "./arms.ts";
import { type Design, designTexts, readDesign } from "./design.ts";

export interface Protocol {
  /** Version, and SHA-256 of the program. */
  readonly axograd: string;
  readonly code: string;
  /** ISO 8601. */
  readonly created: string;
  readonly design: Design;
  /** Direction of the metric. */
  readonly better: MetricDescription["better"];
  /** All settings that the runs share, except for `NEUTRAL` ones. */
  readonly settings: Settings;
  /** The files that the runs read. */
  readonly inputs: readonly HashedFile[];
}

/** A protocol file as it lies on the disk. */
export interface ProtocolFile {
  readonly protocol: Protocol;
  readonly text: string;
  /** Of the text in UTF-8. */
  readonly sha256: string;
}

/** Settings on which no number depends. */
const NEUTRAL: readonly Key[] = ["threads"];

/** A design whose samples are still to be chosen: null takes the test, or the validation where there is none. */
export type DesignRequest = Omit<Design, "split"> & { readonly split: Design["split"] | null };

/**
 * What goes into the runs of a design, as it is now: reads the inputs, and completes metric and samples.
 *
 * @param configs  of all runs, that of the real network first
 * @throws {ArgumentError} an unknown metric, no samples to judge by, or a control that needs what the neuron table does not have
 */
export async function protocolOf(request: DesignRequest, configs: readonly TrainConfig[]): Promise<Protocol> {
  const config = configs[0]!;
  const inputs = await loadRunInputs(config);
  try {
    // Before the first run: else the study would fail after hours.
    for (const own of configs) wiringContext(inputs.connectome, own);
    const design: Design = { ...request, split: request.split ?? (inputs.samples.test ? "test" : "validation") };
    const { metric, better } = judgedMetric(design, inputs);
    const own = new Set<string>([...keysOf([REAL, ...design.controls]), "seed", ...NEUTRAL]);
    const settings = Object.fromEntries(Object.entries(config).filter(([key]) => !own.has(key)));
    return {
      axograd: VERSION,
      code: await codeHash(),
      created: new Date().toISOString(),
      design: { ...design, metric },
      better,
      settings,
      inputs: inputs.files,
    };
  } finally {
    await inputs.samples.release();
  }
}

function judgedMetric(
  { metric, split }: Design,
  { task, samples }: Pick<Awaited<ReturnType<typeof loadRunInputs>>, "task" | "samples">,
): { metric: string; better: MetricDescription["better"] } {
  if (!samples[split])
    throw new ArgumentError("controls", "--judge-on", "samples that the runs have", `${split}, with none`);
  const { metrics } = describeTask(task);
  const all = [...metrics, { name: "loss", better: "lower" } as const];
  const chosen = metric === null ? all[0]! : all.find(({ name }) => name === metric);
  if (chosen) return { metric: chosen.name, better: chosen.better };
  const names = all.map(({ name }) => name).join(", ");
  throw new ArgumentError("controls", "--judge-by", `a metric of the task: ${names}`, `${metric}`);
}

/** A protocol in texts by name: two protocols are the same if these are. */
export function protocolTexts({ axograd, code, design, better, settings, inputs }: Protocol): Record<string, string> {
  const given = Object.entries(settings).map(([key, value]) => [`setting ${key}`, JSON.stringify(value)]);
  const files = inputs.map(({ role, sha256 }, k) => [`input ${k + 1}, ${role}`, `SHA-256 ${sha256}`]);
  // The question is for people.
  const { question, ...texts } = designTexts(design);
  return { axograd, code: `SHA-256 ${code}`, ...texts, better, ...Object.fromEntries([...given, ...files]) };
}

export async function writeProtocol(file: string, protocol: Protocol): Promise<string> {
  const text = `${JSON.stringify(protocol, null, 2)}\n`;
  await replaceFile(file, [text]);
  return sha256Of(text);
}

/** @throws {FileFormatError | ArgumentError} no protocol, or one with wrong parts */
export async function readProtocol(file: string): Promise<ProtocolFile> {
  const text = await readTextFile(file, "a protocol of axograd controls");
  const parts = JsonParts.parse(file, text, "a protocol of axograd controls");
  const settings = settingsOf(parts.object("settings").all, (key) => `${file}, ${key}`);
  const protocol: Protocol = {
    axograd: parts.text("axograd"),
    code: parts.text("code"),
    created: parts.text("created"),
    design: readDesign(file, parts.object("design")),
    better: parts.oneOf("better", ["higher", "lower"]),
    settings,
    inputs: parts.objects("inputs").map(hashedFileOf),
  };
  return { protocol, text, sha256: sha256Of(text) };
}

function sha256Of(text: string): string {
  return createHash("sha256").update(text, "utf8").digest("hex");
}
