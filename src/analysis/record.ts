// What analyses of a run found, as files in the folder of the run: one per analysis, whole or not at all.

import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { ArgumentError, FileFormatError } from "../core/errors.ts";
import { formatBytes, formatMebibytes } from "../core/format.ts";
import { compareText, jsonText, quoteText } from "../core/text.ts";
import { VERSION } from "../core/version.ts";
import { makeFolder, replaceFile } from "../io/durable.ts";
import { type Facts, JsonParts } from "../io/jsonParts.ts";
import { readTextFile } from "../io/textFile.ts";

/** Longest record: thousands of rows with hundreds of numbers. */
const MAX_BYTES = 256 * 2 ** 20;

/** Folder of the records, within that of the run. */
export const ANALYSES_FOLDER = "analyses";

/** An analysis of a run, as its file keeps it. */
export interface AnalysisRecord {
  /** Name of the file, without its ending, and what people call it. */
  readonly name: string;
  /** Which analysis it is: the name of its command. */
  readonly kind: string;
  /** Of axograd, that made it. */
  readonly version: string;
  /** ISO 8601. */
  readonly created: string;
  /** Training steps done at the checkpoint. */
  readonly step: number;
  /** The options that it was made with. */
  readonly options: Facts;
  /** In the form of the analysis. Numbers that are not finite are null. */
  readonly result: JsonParts;
}

/** A record to be written. */
export interface NewAnalysis extends Omit<AnalysisRecord, "version" | "created" | "result"> {
  /** Plain data; typed arrays are written as lists. */
  readonly result: object;
}

/** File of an analysis. */
export function analysisFile(run: string, name: string): string {
  return join(run, ANALYSES_FOLDER, `${name}.json`);
}

/** Which names `isAnalysisName` accepts. */
export const NAME_RULE = "a name of at most 64 letters, digits, _ and -, which begins with a letter or a digit";

/** Names are parts of file names, and of the ids of figures. */
export function isAnalysisName(name: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/.test(name);
}

/**
 * Writes the record of an analysis.
 *
 * @returns its file
 * @throws {ArgumentError} a name that is none, a result that is longer than records are read
 * @throws {EngineError} "file-write"
 */
export async function writeAnalysis(run: string, { name, result, ...facts }: NewAnalysis): Promise<string> {
  if (!isAnalysisName(name)) throw new ArgumentError("writeAnalysis", "name", NAME_RULE, quoteText(name));
  const file = analysisFile(run, name);
  await makeFolder(join(run, ANALYSES_FOLDER));
  const created = new Date().toISOString();
  const content = { version: VERSION, created, ...facts, result: plainData(result) };
  const text = `${jsonText(content)}\n`;
  const bytes = Buffer.byteLength(text);
  if (bytes > MAX_BYTES)
    throw new ArgumentError("writeAnalysis", "result", `at most ${formatMebibytes(MAX_BYTES)}`, formatBytes(bytes));
  await replaceFile(file, [text]);
  return file;
}

/**
 * Reads the record of an analysis.
 *
 * @throws {FileFormatError} a missing or damaged file; names the part
 */
export async function readAnalysis(file: string, name: string): Promise<AnalysisRecord> {
  const expected = "the record of an analysis";
  const parts = JsonParts.parse(file, await readTextFile(file, expected, MAX_BYTES), expected);
  return {
    name,
    kind: parts.text("kind"),
    version: parts.text("version"),
    created: parts.text("created"),
    step: parts.count("step"),
    options: parts.object("options").all,
    result: parts.object("result"),
  };
}

/** All analyses of a run, by name; those whose file cannot be read are given as errors. */
export async function readAnalyses(run: string): Promise<(AnalysisRecord | FileFormatError)[]> {
  const files = await readdir(join(run, ANALYSES_FOLDER)).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    throw new FileFormatError(join(run, ANALYSES_FOLDER), "a folder of analyses", quoteText(error.message));
  });
  const names = files.filter((file) => file.endsWith(".json")).map((file) => file.slice(0, -".json".length));
  const found: (AnalysisRecord | FileFormatError)[] = [];
  for (const name of names.sort(compareText)) found.push(await readOrError(analysisFile(run, name), name));
  return found;
}

async function readOrError(file: string, name: string): Promise<AnalysisRecord | FileFormatError> {
  if (!isAnalysisName(name)) return new FileFormatError(file, NAME_RULE, quoteText(name));
  return readAnalysis(file, name).catch((error: unknown) => {
    if (error instanceof FileFormatError) return error;
    throw error;
  });
}

/** Data as JSON has it: lists instead of typed arrays. */
export function plainData(value: unknown): unknown {
  if (ArrayBuffer.isView(value)) return Array.from(value as Float64Array);
  if (Array.isArray(value)) return value.map(plainData);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, plainData(part)]));
}
