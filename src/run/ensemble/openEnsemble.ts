// Several runs of one network as one object, opened one at a time.

import { createHash } from "node:crypto";
import { basename, join, resolve } from "node:path";
import type { Csr } from "../../core/csr.ts";
import { ArgumentError, EngineError } from "../../core/errors.ts";
import { checkNames } from "../../core/optionNames.ts";
import { quoteValue } from "../../core/text.ts";
import { readRunStart, readRunSummary } from "../../report/runRecord.ts";
import type { Judgement, TaskDescription } from "../../train/taskDescription.ts";
import type { TrainConfig } from "../config.ts";
import { type OpenedRun, type OpenRunOptions, openRun } from "../openRun.ts";
import { RUN_FILES } from "../runFiles.ts";
import { readBegun } from "../runStart.ts";
import { WHERE } from "./work.ts";

/** Options of `openEnsemble`. Those of `openRun` are for every member; each has a device of its own, one at a time. */
export interface EnsembleOptions extends Omit<OpenRunOptions, "backend" | "samples"> {
  readonly checkpoint?: "last" | "best";
  /** Runs that are unfinished or cannot be read are left out and named in `leftOut`. Default false: they are refused. */
  readonly allowUnfinished?: boolean;
}

const OPTIONS: Readonly<Record<keyof EnsembleOptions, true>> = {
  ...{ connectome: true, neuronTable: true, data: true, validationData: true, testData: true, dataMemory: true },
  ...{ device: true, gather: true, threads: true, memoryBudget: true },
  ...{ checkpoint: true, onProgress: true, allowUnfinished: true },
};

/** A run of an ensemble, by its record. */
export interface EnsembleMember {
  /** Of its folder; the whole path where two have the same. */
  readonly name: string;
  readonly folder: string;
  readonly config: TrainConfig;
  /** Of axograd, that trained it. */
  readonly version: string;
  readonly neurons: number;
  readonly connections: number;
  readonly task: TaskDescription;
  /** At the end of training; null: there are no such samples. */
  readonly validation: Judgement | null;
  readonly test: Judgement | null;
}

/** A member with its network on the device. */
export interface OpenedMember {
  readonly member: EnsembleMember;
  /** Closed when the next member is asked for. */
  readonly run: OpenedRun;
  /** Its connections are between the same neurons as those of the first member. */
  readonly hasSameWiring: boolean;
}

/** A setting in which members differ. */
export interface SettingDifference {
  readonly setting: keyof TrainConfig;
  /** [members] */
  readonly values: readonly unknown[];
}

/** A run that is no member, and why. */
export interface LeftOut {
  readonly folder: string;
  readonly reason: string;
}

/** Runs of one network, in the order of their folders. Iterating opens one after another: there is never more than one on the device. */
export interface Ensemble extends AsyncIterable<OpenedMember> {
  readonly members: readonly EnsembleMember[];
  readonly leftOut: readonly LeftOut[];
  /** Settings other than the seed in which members differ. */
  readonly differences: readonly SettingDifference[];
  /** What a user should know, a sentence each. */
  readonly warnings: readonly string[];
}

/**
 * Runs of one network as one object: they have equally many neurons and connections, the same types of neurons, and the same task. Reads the
 * records; iterating opens the networks, one at a time.
 *
 *     const ensemble = await openEnsemble(["runs/a", "runs/b", "runs/c"]);
 *     for await (const { member, run } of ensemble) console.log(member.name, await run.model.parameters.values("rnn.bias"));
 *
 * @param folders  of at least two runs, each once
 * @throws {ArgumentError} fewer; runs that are unfinished or cannot be read (unless `allowUnfinished`), or that differ in neurons, connections,
 *   task, or (when they are opened) types of neurons; names the run
 * @throws {FileFormatError | BackendError} as `openRun`, when a member is opened
 */
export async function openEnsemble(folders: readonly string[], options: EnsembleOptions = {}): Promise<Ensemble> {
  checkNames("openEnsemble", options, OPTIONS);
  const { allowUnfinished = false, ...place } = options;
  const paths = folders.map((folder) => resolve(folder));
  const twice = paths.findIndex((path, k) => paths.indexOf(path) < k);
  if (twice >= 0) throw new ArgumentError(WHERE, "runs", "each run once", `${folders[twice]} twice`);
  const read = await Promise.all(folders.map((folder) => memberOf(folder, nameOf(folder, folders))));
  const leftOut = read.filter((it): it is LeftOut => "reason" in it);
  if (leftOut.length > 0 && !allowUnfinished) {
    const list = leftOut.map(({ folder, reason }) => `${folder}: ${reason}`).join("; ");
    throw new ArgumentError(WHERE, "runs", "finished runs, or --allow-unfinished to leave the others out", list);
  }
  const members = read.filter((it): it is EnsembleMember => !("reason" in it));
  if (members.length < 2)
    throw new ArgumentError(
      WHERE,
      "runs",
      "at least two finished runs",
      members.map(({ name }) => name).join(", ") || "none",
    );
  for (const member of members) checkSameShape(members[0]!, member);
  const differences = differencesOf(members);
  return {
    ...{ members, leftOut, differences },
    warnings: warningsOf(members, differences),
    [Symbol.asyncIterator]: () => opened(members, place),
  };
}

async function memberOf(folder: string, name: string): Promise<EnsembleMember | LeftOut> {
  try {
    const { config } = await readBegun(folder);
    const start = await readRunStart(join(folder, RUN_FILES.config));
    const summary = await readRunSummary(join(folder, RUN_FILES.summary));
    if (!summary) return { folder, reason: "unfinished" };
    if (summary.interrupted !== null) return { folder, reason: `interrupted by ${summary.interrupted}` };
    const { version, network, task } = start;
    const { neurons, connections } = network;
    const { validation, test } = summary;
    return { name, folder, config, version, neurons, connections, task, validation, test };
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    return { folder, reason: error.message };
  }
}

function nameOf(folder: string, all: readonly string[]): string {
  const name = basename(resolve(folder));
  return all.filter((other) => basename(resolve(other)) === name).length > 1 ? folder : name;
}

/** @throws {ArgumentError} another size or task than the first member */
function checkSameShape(first: EnsembleMember, member: EnsembleMember): void {
  const check = (what: string, of: (member: EnsembleMember) => unknown): void => {
    const [expected, got] = [quoteValue(of(first)), quoteValue(of(member))];
    if (expected === got) return;
    throw new ArgumentError(WHERE, what, `${expected}, as ${first.name} has`, `${got} in ${member.name}`);
  };
  check("neurons", ({ neurons }) => neurons);
  check("connections", ({ connections }) => connections);
  check("target", ({ task }) => task.target);
  check("loss", ({ task }) => task.loss.name);
  check("metrics", ({ task }) => task.metrics.map(({ name }) => name));
}

function differencesOf(members: readonly EnsembleMember[]): SettingDifference[] {
  const keys = Object.keys(members[0]!.config).filter((key) => key !== "seed") as (keyof TrainConfig)[];
  return keys.flatMap((setting) => {
    const values = members.map(({ config }) => config[setting]);
    return new Set(values.map((value) => JSON.stringify(value))).size > 1 ? [{ setting, values }] : [];
  });
}

function warningsOf(members: readonly EnsembleMember[], differences: readonly SettingDifference[]): string[] {
  const versions = [...new Set(members.map(({ version }) => version))];
  const texts = members.map(({ config }) => JSON.stringify(config));
  const same = texts.findIndex((text, k) => texts.indexOf(text) < k);
  const other = members[texts.indexOf(texts[same]!)];
  return [
    ...differences.map(
      ({ setting, values }) =>
        `members differ in ${setting}: ${[...new Set(values.map((value) => quoteValue(value)))].join(", ")}`,
    ),
    ...(versions.length > 1 ? [`members were trained with different versions of axograd: ${versions.join(", ")}`] : []),
    ...(same < 0 ? [] : [`${other!.name} and ${members[same]!.name} have the same settings and seed`]),
  ];
}

async function* opened(
  members: readonly EnsembleMember[],
  place: Omit<EnsembleOptions, "allowUnfinished">,
): AsyncGenerator<OpenedMember, void, undefined> {
  let first: Readonly<Record<"types" | "wiring", string>> | null = null;
  for (const member of members) {
    const run = await openMember(member, place);
    try {
      const own = { types: typesOf(run), wiring: wiringOf(run.connectome) };
      first ??= own;
      if (own.types !== first.types)
        throw new ArgumentError(
          WHERE,
          "types",
          `those of the neurons of ${members[0]!.name}`,
          `others in ${member.name}`,
        );
      yield { member, run, hasSameWiring: own.wiring === first.wiring };
    } finally {
      await run.dispose();
    }
  }
}

/** Errors name the member. */
async function openMember({ folder }: EnsembleMember, place: OpenRunOptions): Promise<OpenedRun> {
  try {
    return await openRun(folder, place);
  } catch (error) {
    if (!(error instanceof ArgumentError)) throw error;
    const { argument, expected, got } = error.facts;
    throw new ArgumentError(`${WHERE}, ${folder}`, String(argument), String(expected), String(got));
  }
}

/** Identity of the neurons' types. */
function typesOf({ neurons }: OpenedRun): string {
  if (!neurons) return "none";
  const { types, typeIdx } = neurons;
  return createHash("sha256")
    .update(JSON.stringify(types))
    .update(bytesOf(Uint32Array.from(typeIdx)))
    .digest("hex");
}

/** Identity of the pattern of connections. */
function wiringOf({ rowPtr, colIdx }: Csr): string {
  return createHash("sha256").update(bytesOf(rowPtr)).update(bytesOf(colIdx)).digest("hex");
}

function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength);
}
