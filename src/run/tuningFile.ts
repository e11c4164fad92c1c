// Choices of sparse kernels in files: what `axograd tune` writes, and what is remembered on a machine. Both have the same format.

import { dirname, join } from "node:path";
import type { SparseTuning } from "../backend/webgpu/sparseTuning.ts";
import type { TuningTrial } from "../backend/webgpu/tuneSparse.ts";
import { checkTuning, parseChoices, recordJson, type TuningRecord, tuningJson } from "../backend/webgpu/tuningKey.ts";
import { cacheFolder } from "../core/cacheFolder.ts";
import { EngineError, FileFormatError } from "../core/errors.ts";
import { jsonText } from "../core/text.ts";
import { makeFolder, replaceFile } from "../io/durable.ts";
import { type Facts, JsonParts } from "../io/jsonParts.ts";
import { readTextFile } from "../io/textFile.ts";
import { nullIfMissing } from "../report/runRecord.ts";

/** Raised when an older axograd could misread the file. */
const FORMAT = 1;
const WHAT = "choices of sparse kernels, as npx axograd tune writes them";
/** Choices that a machine remembers; the oldest go first. */
const MOST_REMEMBERED = 256;
const KERNELS = ["spmm", "spmmGrad"] as const;

/** The choice for one card, matrix and number of samples, and how it came about. */
export interface TuningEntry extends TuningRecord {
  readonly driver: string;
  /** The axograd that tried. */
  readonly version: string;
  /** Date and time, ISO 8601. */
  readonly created: string;
  readonly trials: readonly TuningTrial[];
}

/**
 * The entries of a file, at least one.
 *
 * @param instead  what else might have been meant, for the error message
 * @throws {FileFormatError} missing, no such file, or an entry that no kernel supports; names the part
 */
export async function readTuningFile(file: string, instead = ""): Promise<readonly TuningEntry[]> {
  const entries = (await entriesIn(file, `${instead} ${WHAT}`.trimStart())).map((parts) => entryOf(file, parts));
  if (entries.length === 0) throw new FileFormatError(file, `${WHAT}, at least one`, "none");
  return entries;
}

/** Replaces the file. */
export async function writeTuningFile(file: string, entries: readonly TuningEntry[]): Promise<void> {
  await writeFacts(file, entries.map(entryJson));
}

/** In the folder for what a machine remembers; see `cacheFolder`. */
export function tuningCacheFile(...place: Parameters<typeof cacheFolder>): string {
  return join(cacheFolder(...place), "tuning.json");
}

type Warn = (message: string) => void;

/** The remembered choice of a key; null: there is none. Warns about a file that cannot be read. */
export async function recall(key: string, warn: Warn, file: string = tuningCacheFile()): Promise<TuningEntry | null> {
  try {
    // Other entries may be of another version, which has other choices.
    const found = (await nullIfMissing(entriesIn(file)))?.find(({ all }) => all.key === key);
    return found ? entryOf(file, found) : null;
  } catch (error) {
    warn(`ignores remembered choices: ${messageOf(error)}`);
    return null;
  }
}

/**
 * Remembers a choice in place of the earlier one with its key. Reads the file just before it is replaced: of two processes that write at the
 * same moment, one may lose its entry, which is then tried again. A failure is a warning.
 */
export function remember(entry: TuningEntry, warn: Warn, file: string = tuningCacheFile()): Promise<void> {
  const work = turn.then(async () => {
    try {
      await makeFolder(dirname(file));
      // A damaged file is replaced; `recall` has reported it.
      const known = await entriesIn(file).catch(() => []);
      const others = known.filter(({ all }) => all.key !== entry.key).map(({ all }) => all);
      await writeFacts(file, [...others, entryJson(entry)].slice(-MOST_REMEMBERED));
    } catch (error) {
      warn(`the choices are not remembered: ${messageOf(error)}`);
    }
  });
  turn = work;
  return work;
}

/** Runs of one process write one after another, as they share the name of the temporary file. */
let turn: Promise<void> = Promise.resolve();

/** How many choices of each card are remembered, by the names of adapters. */
export async function rememberedByCard(file: string = tuningCacheFile()): Promise<ReadonlyMap<string, number>> {
  const counts = new Map<string, number>();
  for (const { all } of (await nullIfMissing(entriesIn(file))) ?? []) {
    if (typeof all.adapter === "string") counts.set(all.adapter, (counts.get(all.adapter) ?? 0) + 1);
  }
  return counts;
}

async function entriesIn(file: string, expected = WHAT): Promise<readonly JsonParts[]> {
  const parts = JsonParts.parse(file, await readTextFile(file, expected, MOST_BYTES), WHAT);
  const format = parts.count("tuning");
  if (format !== FORMAT) throw new FileFormatError(file, `format ${FORMAT} (tuning)`, `${format}, of a later axograd`);
  return parts.objects("entries");
}

/** Some 20 trials of 200 bytes for each entry. */
const MOST_BYTES = 2 ** 24;

async function writeFacts(file: string, entries: readonly Facts[]): Promise<void> {
  const lines = entries.map((entry) => jsonText(entry)).join(",\n");
  await replaceFile(file, [`{"tuning": ${FORMAT}, "entries": [\n${lines}\n]}\n`]);
}

function entryJson(entry: TuningEntry): Facts {
  const { driver, version, created } = entry;
  const trials = entry.trials.map((trial) => ({ ...trial, tuning: tuningJson(trial.tuning) }));
  return { ...recordJson(entry), driver, version, created, trials };
}

function entryOf(file: string, parts: JsonParts): TuningEntry {
  const { driver: _, version: __, created: ___, trials: ____, ...record } = parts.all;
  const trials = parts.objects("trials").map(
    (trial): TuningTrial => ({
      tuning: parseChoices(trial.object("tuning").all, file),
      kernel: trial.oneOf("kernel", KERNELS),
      us: trial.numberOrNull("us"),
      problem: trial.textOrNull("problem"),
    }),
  );
  const facts = { driver: parts.text("driver"), version: parts.text("version"), created: parts.text("created") };
  return { ...checkTuning(record, file), ...facts, trials };
}

function messageOf(error: unknown): string {
  if (error instanceof EngineError) return error.message;
  throw error;
}

/** "panels 8, window 1024": where choices differ from the default ones. */
export function choicesText(tuning: SparseTuning, standard: SparseTuning): string {
  const names = Object.keys(tuning) as (keyof SparseTuning)[];
  const other = names.filter((name) => `${tuning[name]}` !== `${standard[name]}`);
  return other.length === 0 ? "default" : other.map((name) => `${name} ${tuning[name]}`).join(", ");
}
