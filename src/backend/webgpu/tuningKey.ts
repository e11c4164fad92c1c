// What a choice of the tuner holds for, as a key, and the choice as JSON: in a cache, in a checkpoint, in a file of the user.

import { createHash } from "node:crypto";
import { type Csr, columnOffsets, lengthsOf } from "../../core/csr.ts";
import { ArgumentError, FileFormatError } from "../../core/errors.ts";
import { isObject } from "../../core/plainObject.ts";
import { quoteText, quoteValue } from "../../core/text.ts";
import { VERSION } from "../../core/version.ts";
import { layoutKey } from "../layout.ts";
import type { WebGpuBackend } from "./backend.ts";
import { checkChoices, type SparseTuning } from "./sparseTuning.ts";
import { kernelSources } from "./wgsl.gen.ts";

/** A choice and what it was made for. */
export interface TuningRecord {
  /** `tuningKey` of the device, matrix and batch. */
  readonly key: string;
  readonly tuning: SparseTuning;
  /** Name of the adapter, for the reader. */
  readonly adapter: string;
  readonly lanes: number;
  readonly regroup: boolean;
}

/**
 * Whether two choices hold for the same thing: adapter, driver, version, kernels, Dawn's toggles, the shape of the matrix (not its weights, so
 * that a resumed run has the same key), panels of the batch, `regroup`. SHA-256 in hexadecimal digits.
 */
export function tuningKey(backend: WebGpuBackend, csr: Csr, lanes: number, regroup: boolean): string {
  const { vendor, architecture, driver } = backend.adapter;
  const kernels = kernelSources.spmm + kernelSources.spmmGrad;
  const facts = {
    // The description has the adapter's name, the API and Dawn's toggles.
    ...{ version: VERSION, description: backend.description, vendor, architecture, driver },
    standard: tuningJson(backend.standardTuning),
    kernels: createHash("sha256").update(kernels).digest("hex"),
    ...{ rows: csr.nRows, cols: csr.nCols, nnz: csr.nnz, indexBytes: csr.colIdx.BYTES_PER_ELEMENT },
    ...histogramsOf(csr),
    layout: layoutKey(backend.layoutFor(lanes)),
    regroup,
  };
  return createHash("sha256").update(JSON.stringify(facts)).digest("hex");
}

interface Histograms {
  readonly rowLengths: readonly number[];
  readonly colLengths: readonly number[];
}

/** A run asks for several keys of its matrix, which may have millions of entries to count. */
const known = new WeakMap<Csr, Histograms>();

function histogramsOf(csr: Csr): Histograms {
  const histograms = known.get(csr) ?? {
    rowLengths: histogram(lengthsOf(csr.rowPtr)),
    colLengths: histogram(lengthsOf(columnOffsets(csr))),
  };
  known.set(csr, histograms);
  return histograms;
}

/** Element 0 counts the empty ones, element k ≥ 1 those with 2^(k−1) ≤ length < 2^k. */
function histogram(lengths: Uint32Array): readonly number[] {
  const bins: number[] = new Array(33).fill(0);
  for (const length of lengths) bins[32 - Math.clz32(length)]!++;
  return bins;
}

/** A choice as JSON has it: null where it is Infinity. */
export interface TuningJson {
  readonly limits: readonly (number | null)[];
  readonly window: number | null;
  readonly panels: number;
  readonly gradPanels: number;
  readonly exchange: SparseTuning["exchange"];
}

/** The counterpart of `parseChoices`. */
export function tuningJson({ limits, window, panels, gradPanels, exchange }: SparseTuning): TuningJson {
  return { limits: limits.map(finite), window: finite(window), panels, gradPanels, exchange };
}

function finite(x: number): number | null {
  return Number.isFinite(x) ? x : null;
}

/**
 * A choice out of JSON.
 *
 * @param where  the file, and the place in it
 * @throws {FileFormatError} something is missing, unknown, or no kernel supports it
 */
export function parseChoices(json: unknown, where: string): SparseTuning {
  const fields = fieldsOf(json, where, ["limits", "window", "panels", "gradPanels", "exchange"]);
  const number = (value: unknown): unknown => (value === null ? Number.POSITIVE_INFINITY : value);
  const { limits } = fields;
  const tuning = {
    ...fields,
    limits: Array.isArray(limits) ? limits.map(number) : limits,
    window: number(fields.window),
  } as unknown as SparseTuning;
  try {
    checkChoices(tuning, where);
  } catch (error) {
    if (!(error instanceof ArgumentError)) throw error;
    const { argument, expected, got } = error.facts as Readonly<Record<string, string>>;
    throw new FileFormatError(where, `${expected} (${argument})`, got!);
  }
  return tuning;
}

/**
 * A record out of JSON.
 *
 * @throws {FileFormatError} something is missing, unknown, or of the wrong type
 */
export function checkTuning(json: unknown, where: string): TuningRecord {
  const { key, adapter, lanes, regroup, tuning } = fieldsOf(json, where, [
    "key",
    "tuning",
    "adapter",
    "lanes",
    "regroup",
  ]);
  if (typeof key !== "string" || !/^[0-9a-f]{64}$/.test(key)) throw refused(where, "key", "64 digits", key);
  if (typeof adapter !== "string") throw refused(where, "adapter", "a name", adapter);
  if (typeof lanes !== "number" || !Number.isInteger(lanes) || lanes < 1) {
    throw refused(where, "lanes", "a whole number of at least 1", lanes);
  }
  if (typeof regroup !== "boolean") throw refused(where, "regroup", "true or false", regroup);
  return { key, tuning: parseChoices(tuning, where), adapter, lanes, regroup };
}

/** The counterpart of `checkTuning`. */
export function recordJson(record: TuningRecord): Readonly<Record<keyof TuningRecord, unknown>> {
  const { key, adapter, lanes, regroup } = record;
  return { key, adapter, lanes, regroup, tuning: tuningJson(record.tuning) };
}

function fieldsOf<Name extends string>(
  json: unknown,
  where: string,
  names: readonly Name[],
): Readonly<Record<Name, unknown>> {
  if (!isObject(json)) throw new FileFormatError(where, `an object with ${names.join(", ")}`, quoteValue(json));
  for (const name of names) if (!(name in json)) throw refused(where, name, "a value", undefined);
  for (const name of Object.keys(json)) {
    if (!(names as readonly string[]).includes(name)) {
      throw new FileFormatError(where, `${names.join(", ")}`, `another field: ${quoteText(name)}`);
    }
  }
  return json as Readonly<Record<Name, unknown>>;
}

function refused(where: string, name: string, expected: string, got: unknown): FileFormatError {
  return new FileFormatError(where, `${expected} (${name})`, quoteValue(got));
}
