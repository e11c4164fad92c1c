// Checkpoints: everything that a run needs to continue exactly, in one safetensors file. Parameters have torch-biopl's names and
// orders, so that Python can load them; the rest of the state is JSON in the file's metadata, with a readable copy beside it.

import { ArgumentError, FileFormatError } from "../core/errors.ts";
import { replaceFile } from "../io/durable.ts";
import type { NumberArray } from "../io/numbers.ts";
import { readSafetensors, type SafeTensor, type SafetensorsType, writeSafetensors } from "../io/safetensors.ts";
import type { ConnectomeODEClassifier } from "../models/classifier.ts";
import { isSparse } from "../models/matrix.ts";
import type { Parameter } from "../models/parameters.ts";
import type { Optimizer } from "./optimizer.ts";
import type { TrainingPosition } from "./trainer.ts";
import { VERSION } from "./version.ts";

/** Raised when a file of this version could be misread by an older axograd. */
const FORMAT = 1;
const OPTIMIZER = "optimizer.";

/** What a checkpoint says besides its tensors. */
export interface CheckpointState {
  readonly position: TrainingPosition;
  readonly seed: number;
  /** The resolved configuration of the run; plain JSON. */
  readonly config: unknown;
}

export interface Checkpoint extends CheckpointState {
  /** The axograd that wrote it. */
  readonly version: string;
  readonly optimizerStep: number;
  readonly tensors: ReadonlyMap<string, SafeTensor>;
  /** Where it was read from, for error messages. */
  readonly file: string;
}

/** The parts of a run that a checkpoint holds. */
export interface Trained {
  readonly model: ConnectomeODEClassifier;
  readonly optimizer: Optimizer;
}

/**
 * Writes `file` (safetensors), durably and at once, then the readable copy of its state, `file` with the ending .json.
 *
 * @returns the names of both files
 */
export async function saveCheckpoint(
  file: string,
  { model, optimizer }: Trained,
  state: CheckpointState,
): Promise<string[]> {
  const parameters = model.parameters;
  // Constraints hold in what is written, as they would from the next forward pass on.
  parameters.refresh();
  const dtype = model.backend.dtype === "f32" ? "F32" : "F64";
  const tensors = new Map<string, SafeTensor>();
  const put = (
    name: string,
    data: NumberArray,
    shape: readonly number[] = [data.length],
    type: SafetensorsType = dtype,
  ) => {
    tensors.set(name, { dtype: type, shape, data });
  };
  for (const p of parameters.all()) {
    put(p.name, await parameters.values(p.name), shapeOf(p, model));
    if (p.sparse) put(indicesName(p.name), indicesOf(p.name, model), [2, p.size], "I64");
  }
  const { step, moments } = await optimizer.state();
  for (const [name, values] of Object.entries(moments)) {
    const p = parameters.get(parameterOf(name));
    put(OPTIMIZER + name, p.sparse ? rowMajor(values, p.sparse.cscOfCsrHost) : values, shapeOf(p, model));
  }
  const features = await model.featureStatistics();
  if (features) {
    put("features.mean", features.mean);
    put("features.scale", features.scale);
  }
  const description = { format: FORMAT, version: VERSION, optimizerStep: step, ...state };
  await writeSafetensors(file, tensors, { axograd: JSON.stringify(description) });
  const readable = file.replace(/(\.safetensors)?$/, ".json");
  await replaceFile(readable, [`${JSON.stringify(description, null, 2)}\n`]);
  return [file, readable];
}

/**
 * Reads a checkpoint; `restoreCheckpoint` puts it to use.
 *
 * @throws {FileFormatError} missing, damaged, no checkpoint of axograd, or of a later format
 */
export async function loadCheckpoint(file: string): Promise<Checkpoint> {
  const { tensors, metadata } = await readSafetensors(file);
  const text = metadata.axograd;
  if (text === undefined)
    throw new FileFormatError(file, "a checkpoint of axograd", "safetensors without its metadata");
  const state = parseState(text, file);
  return { ...state, tensors, file };
}

/**
 * Puts parameters, optimiser and feature statistics back, bit for bit. `trainer.seek(checkpoint.position)` does the rest.
 *
 * @throws {FileFormatError} a checkpoint of another network: a tensor is missing, has another size or other connections
 */
export function restoreCheckpoint(checkpoint: Checkpoint, { model, optimizer }: Trained): void {
  const { parameters } = model;
  const take = (name: string, size: number): NumberArray => {
    const tensor = checkpoint.tensors.get(name);
    if (tensor?.data.length === size) return tensor.data;
    throw new FileFormatError(
      checkpoint.file,
      `"${name}" of ${size} numbers`,
      tensor ? `${tensor.data.length}` : "no such tensor",
    );
  };
  // All is checked before anything is changed.
  const values = parameters.all().map((p) => {
    if (p.sparse) {
      const found = take(indicesName(p.name), 2 * p.size);
      if (indicesOf(p.name, model).some((index, k) => index !== found[k])) {
        throw new FileFormatError(checkpoint.file, `the connections of ${p.name}`, "those of another network");
      }
    }
    return [p.name, take(p.name, p.size)] as const;
  });
  const moments = [...checkpoint.tensors.keys()]
    .filter((name) => name.startsWith(OPTIMIZER))
    .map((name) => name.slice(OPTIMIZER.length))
    .map((name) => {
      const p = parameters.get(parameterOf(name));
      const saved = floats(take(OPTIMIZER + name, p.size));
      return [name, p.sparse ? deviceOrder(saved, p.sparse.cscOfCsrHost) : saved] as const;
    });
  const standardised = model.options.standardise ?? false;
  const features = standardised && {
    mean: take("features.mean", model.rnn.nOutputs),
    scale: take("features.scale", model.rnn.nOutputs),
  };
  optimizer.restore({ step: checkpoint.optimizerStep, moments: Object.fromEntries(moments) });
  for (const [name, data] of values) parameters.set(name, data);
  if (features) model.setFeatureStatistics(features.mean, features.scale);
}

/** A moment's name is `<moment>.<parameter>`. */
function parameterOf(moment: string): string {
  return moment.slice(moment.indexOf(".") + 1);
}

/** `rnn.hh.values` → `rnn.hh.indices`. */
function indicesName(values: string): string {
  return values.replace(/values$/, "indices");
}

/** Coordinates [2, nnz] of a sparse parameter: all rows, then all columns, in row-major order. */
function indicesOf(name: string, { rnn }: ConnectomeODEClassifier): Uint32Array {
  const { connectome, inputProjection, outputProjection } = rnn.options;
  const csr = { "rnn.hh.values": connectome, "rnn.ih.values": inputProjection, "rnn.ho.values": outputProjection }[
    name
  ];
  if (!csr) throw new ArgumentError("checkpoint", name, "a matrix of the network", "another parameter");
  if (!isSparse(csr)) throw new ArgumentError("checkpoint", name, "a sparse matrix", "a dense one");
  const { nRows, nnz, rowPtr, colIdx } = csr;
  const indices = new Uint32Array(2 * nnz);
  for (let i = 0; i < nRows; i++) indices.fill(i, rowPtr[i]!, rowPtr[i + 1]!);
  indices.set(colIdx, nnz);
  return indices;
}

/** torch's shape: [nOut, nIn] for the weights of a dense layer, else a vector. */
function shapeOf(p: Parameter, { parameters }: ConnectomeODEClassifier): number[] {
  if (!p.name.endsWith(".weight")) return [p.size];
  const nOut = parameters.get(p.name.replace(/weight$/, "bias")).size;
  return [nOut, p.size / nOut];
}

function rowMajor<T extends NumberArray>(values: T, cscOfCsr: Uint32Array): T {
  const out = values.slice() as T;
  for (let k = 0; k < values.length; k++) out[k] = values[cscOfCsr[k]!]!;
  return out;
}

function deviceOrder<T extends NumberArray>(values: T, cscOfCsr: Uint32Array): T {
  const out = values.slice() as T;
  for (let k = 0; k < values.length; k++) out[cscOfCsr[k]!] = values[k]!;
  return out;
}

function floats(data: NumberArray): Float32Array | Float64Array {
  return data instanceof Float32Array || data instanceof Float64Array ? data : Float64Array.from(data);
}

function parseState(text: string, file: string): Omit<Checkpoint, "tensors" | "file"> {
  const state = tryParse(text);
  if (state === null) throw new FileFormatError(file, "the state of a checkpoint in its metadata", "other text");
  if (state.format !== FORMAT) {
    throw new FileFormatError(
      file,
      `checkpoint format ${FORMAT}`,
      `format ${state.format}, written by axograd ${state.version}`,
    );
  }
  const { version, optimizerStep, position, seed, config } = state;
  const counts = [optimizerStep, seed, position?.epoch, position?.batch, position?.step];
  if (!counts.every((n) => Number.isSafeInteger(n) && n! >= 0)) {
    throw new FileFormatError(
      file,
      "position, seed and optimizerStep as whole numbers",
      JSON.stringify({ position, seed, optimizerStep }),
    );
  }
  return { version, optimizerStep, position, seed, config };
}

type SavedState = { format: number } & Omit<Checkpoint, "tensors" | "file">;

function tryParse(text: string): SavedState | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as SavedState) : null;
  } catch {
    return null;
  }
}
