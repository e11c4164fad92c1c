// Checkpoints: everything that a run needs to continue exactly, in one safetensors file. Parameters have torch-biopl's names and
// orders, so that Python can load them; the rest of the state is JSON in the file's metadata, with a readable copy beside it.

import type { Backend, DeviceBuffer } from "../backend/backend.ts";
import { callsOf } from "../core/callQueue.ts";
import type { FloatArray } from "../core/dtype.ts";
import { EngineError, FileFormatError } from "../core/errors.ts";
import { VERSION } from "../core/version.ts";
import { replaceFile } from "../io/durable.ts";
import { withFile } from "../io/files.ts";
import { JsonParts } from "../io/jsonParts.ts";
import type { NumberArray } from "../io/numbers.ts";
import {
  readSafetensors,
  readSafetensorsHeader,
  readTensor,
  type SafeTensor,
  type StreamedTensor,
  TensorReader,
  writeSafetensors,
} from "../io/safetensors.ts";
import { inDeviceOrder, indicesName, type Parameter } from "../models/parameters/parameter.ts";
import type { ParameterSet } from "../models/parameters/parameterSet.ts";
import type { Task } from "../models/task/task.ts";
import { isMeanOfSquares } from "./optimizer/rule.ts";
import type { Optimizer } from "./optimizer.ts";
import type { ParameterPenalties } from "./parameterPenalties.ts";
import { downloaded, floatTensor, indexPieces, indicesOf, parameterTensors, permuted } from "./stateDict.ts";
import { describeTask, readTaskDescription, type TaskDescription } from "./taskDescription.ts";
import type { TrainingPosition } from "./trainer.ts";

/** Raised when a file of this version could be misread by an older axograd. */
const FORMAT = 1;
/** Prefixes of tensors that are no parameters. */
const OPTIMIZER = "optimizer.";
const FEATURES = "features.";
const STARTS = "start.";

/** Numbers of a tensor that is not taken, which are read for its checksum. */
const SKIPPED_AT_ONCE = 2 ** 20;

/** What a checkpoint says besides its tensors. */
export interface CheckpointState {
  readonly position: TrainingPosition;
  readonly seed: number;
  /** The resolved configuration of the run; plain JSON. */
  readonly config: unknown;
  /** Choices of a GPU's sparse kernels, on which the last bits of the numbers depend; plain JSON. Absent or null: none are recorded. */
  readonly tuning?: unknown;
}

/** A checkpoint as it was read from a file. */
export interface Checkpoint extends CheckpointState {
  /** The axograd that wrote it. */
  readonly version: string;
  /** Name of the optimiser; null: none, or an earlier version wrote the file. */
  readonly optimizer: string | null;
  readonly optimizerStep: number;
  /** How the model is judged; null: the file does not say. */
  readonly task: TaskDescription | null;
  readonly tensors: ReadonlyMap<string, SafeTensor>;
  /** It has checksums, which are right. Earlier versions wrote none: damage can pass unnoticed. */
  readonly verified: boolean;
  /** Where it was read from, for error messages. */
  readonly file: string;
}

/** What a checkpoint needs of a network without a read-out; any connectome network has it. */
export interface CheckpointNetwork {
  readonly backend: Backend;
  readonly parameters: ParameterSet;
}

/** What a checkpoint needs of a classifier; any NetworkClassifier has it. */
export interface CheckpointClassifier {
  readonly backend: Backend;
  readonly parameters: ParameterSet;
  readonly standardised: boolean;
  readonly task: Task;
  readonly rnn: { readonly nOutputs: number };
  readFeatureStatistics(): Promise<{ readonly mean: FloatArray; readonly scale: FloatArray } | null>;
  setFeatureStatistics(mean: ArrayLike<number>, scale: ArrayLike<number>): void;
}

/** A classifier, or a network without a read-out. */
export type CheckpointModel = CheckpointClassifier | CheckpointNetwork;

/** The parts of a run that a checkpoint holds. */
export interface Trained {
  readonly model: CheckpointModel;
  /** Absent: none is saved, and that of a checkpoint is left alone. */
  readonly optimizer?: Optimizer;
  /** The values at the beginning of training that penalties read are saved and restored. */
  readonly penalties?: ParameterPenalties;
}

/**
 * Writes `file` (safetensors), durably and at once, then the readable copy of its state, `file` with the ending .json.
 *
 * @param state  default: as many steps as the optimiser has taken, seed 0, no configuration
 * @returns the names of both files
 * @throws {EngineError} "non-finite-parameter", of a moment, too; nothing is written, so an earlier checkpoint is not lost to one that is of no use
 */
export async function saveCheckpoint(
  file: string,
  trained: Trained,
  state: CheckpointState = stateOf(trained.optimizer),
): Promise<string[]> {
  // In its turn: no step comes between the pieces.
  return callsOf(trained.model.parameters).run("saveCheckpoint", () => save(file, trained, state));
}

async function save(file: string, { model, optimizer, penalties }: Trained, state: CheckpointState): Promise<string[]> {
  const { parameters } = model;
  // Constraints hold in what is written, as they would from the next forward pass on.
  parameters.refresh();
  const { backend } = model;
  const tensors = new Map<string, SafeTensor | StreamedTensor>();
  for (const p of parameters.all()) {
    for (const [name, tensor] of parameterTensors(p, backend)) {
      tensors.set(name, finite(name, tensor, state.position.step));
    }
  }
  for (const [name, buffer] of optimizer?.moments() ?? []) {
    const p = parameters.get(parameterOf(name));
    const tensor = floatTensor(backend, p.shape, () => piecesOf(backend, buffer, p));
    tensors.set(OPTIMIZER + name, finite(OPTIMIZER + name, tensor, state.position.step));
  }
  for (const [p, buffer] of penalties?.starts() ?? []) {
    const tensor = floatTensor(backend, p.shape, () => piecesOf(backend, buffer, p));
    tensors.set(STARTS + p.name, finite(STARTS + p.name, tensor, state.position.step));
  }
  const features = isClassifier(model) ? await model.readFeatureStatistics() : null;
  for (const [name, data] of Object.entries(features ?? {})) {
    tensors.set(FEATURES + name, { dtype: backend.dtype === "f32" ? "F32" : "F64", shape: [data.length], data });
  }
  const { kind = null, stepCount = 0 } = optimizer ?? {};
  const task = isClassifier(model) ? { task: describeTask(model.task) } : {};
  const steps = { optimizer: kind, optimizerStep: stepCount };
  const description = { format: FORMAT, version: VERSION, ...steps, ...state, ...task };
  await writeSafetensors(file, tensors, { axograd: JSON.stringify(description) }, { checksums: true });
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
  const { tensors, metadata, verified } = await readSafetensors(file);
  return { ...stateIn(metadata, file), tensors, verified, file };
}

/** A checkpoint without its tensors. */
export type CheckpointFacts = Omit<Checkpoint, "tensors">;

/**
 * `loadCheckpoint` and `restoreCheckpoint`, with less memory: reads one tensor at a time, and keeps only those that are taken. Connections
 * are compared piece by piece. All is checked before anything is changed.
 *
 * @param accept  called before tensors are read; may throw
 * @throws {FileFormatError} as both
 */
export async function restoreFrom(
  file: string,
  trained: Trained,
  accept: (facts: CheckpointFacts) => void = () => {},
): Promise<CheckpointFacts> {
  const all = trained.model.parameters.all();
  const sparse = new Map(all.flatMap((p) => (p.matrix ? [[indicesName(p), p] as const] : [])));
  const names = new Set(all.map(({ name }) => name));
  const isTaken = (name: string): boolean =>
    names.has(name) ||
    (name.startsWith(OPTIMIZER) && trained.optimizer !== undefined) ||
    (name.startsWith(STARTS) && trained.penalties !== undefined) ||
    (name.startsWith(FEATURES) && isClassifier(trained.model));
  const checkpoint = await withFile(file, "a safetensors file", async (source): Promise<Checkpoint> => {
    const { places, metadata, verified } = await readSafetensorsHeader(source, file);
    const facts: CheckpointFacts = { ...stateIn(metadata, file), verified, file };
    accept(facts);
    const tensors = new Map<string, SafeTensor>();
    for (const place of places) {
      const { name } = place;
      const p = sparse.get(name);
      if (p) await checkConnections(new TensorReader(source, place, file), p, file);
      else if (isTaken(name)) tensors.set(name, await readTensor(source, place, file));
      else for (const rest = new TensorReader(source, place, file); rest.left > 0; ) await rest.next(SKIPPED_AT_ONCE);
      sparse.delete(name);
    }
    const [missing] = sparse.keys();
    if (missing !== undefined) throw new FileFormatError(file, `"${missing}"`, "no such tensor");
    return { ...facts, tensors };
  });
  restoreTensors(checkpoint, trained);
  const { tensors: _, ...facts } = checkpoint;
  return facts;
}

/** Damage is reported rather than the difference that it makes. */
async function checkConnections(reader: TensorReader, p: Parameter, file: string): Promise<void> {
  const { left } = reader;
  const matrix = p.matrix!;
  let isSame = left === 2 * matrix.nnz;
  if (isSame) {
    for (const piece of indexPieces(matrix)) {
      const found = await reader.next(piece.length);
      for (let k = 0; k < piece.length && isSame; k++) isSame = piece[k] === found[k];
    }
  } else while (reader.left > 0) await reader.next(SKIPPED_AT_ONCE);
  if (left !== 2 * matrix.nnz)
    throw new FileFormatError(file, `"${indicesName(p)}" of ${2 * matrix.nnz} numbers`, `${left}`);
  if (!isSame) throw otherConnections(file, p);
}

function otherConnections(file: string, { name }: Parameter): FileFormatError {
  return new FileFormatError(file, `the connections of ${name}`, "those of another network");
}

function stateIn(metadata: Readonly<Record<string, string>>, file: string): ReturnType<typeof parseState> {
  const text = metadata.axograd;
  if (text === undefined)
    throw new FileFormatError(file, "a checkpoint of axograd", "safetensors without its metadata");
  return parseState(text, file);
}

/**
 * The position of a checkpoint, for a training with `stepsPerEpoch` steps in an epoch, from its beginning on.
 *
 * @throws {FileFormatError} epoch, batch, step and the optimiser's steps contradict each other
 */
export function positionOf(
  { position, optimizerStep, file }: CheckpointFacts,
  stepsPerEpoch: number,
): TrainingPosition {
  const { epoch, batch, step } = position;
  // A stream has one epoch, without an end.
  const before = epoch === 0 ? 0 : epoch * stepsPerEpoch;
  if (batch >= stepsPerEpoch || before + batch !== step) {
    const expected = `step ${step} as the position, in epochs of ${stepsPerEpoch} steps`;
    throw new FileFormatError(file, expected, `batch ${batch} of epoch ${epoch}`);
  }
  // A step that was skipped is none of the optimiser's.
  if (optimizerStep > step)
    throw new FileFormatError(file, `at most ${step} steps of the optimiser`, `${optimizerStep}`);
  return position;
}

/**
 * Puts parameters, optimiser and feature statistics back, bit for bit. `trainer.seek(checkpoint.position)` does the rest.
 *
 * @throws {FileFormatError} a checkpoint of another network: a tensor is missing, has another size or other connections
 */
export function restoreCheckpoint(checkpoint: Checkpoint, trained: Trained): void {
  const { file, tensors } = checkpoint;
  for (const p of trained.model.parameters.all()) {
    const indices = indicesOf(p);
    if (!indices) continue;
    const found = tensors.get(indicesName(p))?.data;
    if (found?.length !== indices.length) {
      const got = found ? `${found.length}` : "no such tensor";
      throw new FileFormatError(file, `"${indicesName(p)}" of ${indices.length} numbers`, got);
    }
    if (indices.some((index, k) => index !== found[k])) throw otherConnections(file, p);
  }
  restoreTensors(checkpoint, trained);
}

/** The rest of `restoreCheckpoint`, for a network with the connections of the checkpoint. */
function restoreTensors(checkpoint: Checkpoint, { model, optimizer, penalties }: Trained): void {
  const { parameters } = model;
  const { file, tensors } = checkpoint;
  const take = (name: string, shape: readonly number[]): FloatArray => {
    const tensor = tensors.get(name);
    const got = tensor ? `[${tensor.shape.join(", ")}]` : "no such tensor";
    const expected = `"${name}" of shape [${shape.join(", ")}]`;
    if (tensor?.shape.join() !== shape.join()) throw new FileFormatError(file, expected, got);
    const data = floats(tensor.data);
    checkNumbers(file, name, data);
    return data;
  };
  // All is checked before anything is changed.
  const values = parameters.all().map((p) => [p.name, take(p.name, p.shape)] as const);
  const moments = [...(optimizer ? tensors.keys() : [])]
    .filter((name) => name.startsWith(OPTIMIZER))
    .map((name) => {
      const moment = name.slice(OPTIMIZER.length);
      const p = parameters.get(parameterOf(moment));
      return [moment, inDeviceOrder(take(name, p.shape), p)] as const;
    });
  const starts = (penalties?.keptParameters ?? []).map((p) => [p.name, take(STARTS + p.name, p.shape)] as const);
  const features = (["mean", "scale"] as const).map((name) =>
    isClassifier(model) && model.standardised ? take(FEATURES + name, [model.rnn.nOutputs]) : null,
  );
  parameters.checkAll(values);
  const kind = checkpoint.optimizer ?? undefined;
  const step = checkpoint.optimizerStep;
  optimizer?.restore({ ...(kind && { kind }), step, moments: Object.fromEntries(moments) });
  parameters.setAll(values);
  penalties?.restore(new Map(starts));
  const [mean, scale] = features;
  if (mean && scale && isClassifier(model)) model.setFeatureStatistics(mean, scale);
}

function isClassifier(model: CheckpointModel): model is CheckpointClassifier {
  return "rnn" in model;
}

function stateOf(optimizer: Optimizer | undefined): CheckpointState {
  return { position: { epoch: 0, batch: 0, step: optimizer?.stepCount ?? 0 }, seed: 0, config: null };
}

/** The same tensor; streaming it fails at the first value that is not finite. */
function finite(parameter: string, tensor: StreamedTensor, step: number): StreamedTensor {
  const pieces = async function* (): AsyncGenerator<NumberArray> {
    let begin = 0;
    for await (const piece of tensor.pieces()) {
      const at = firstOutside(piece, Number.NEGATIVE_INFINITY);
      if (at >= 0) {
        const index = begin + at;
        const expected = `checkpoint: expected finite values of ${parameter} after step ${step}`;
        const facts = { parameter, index, step };
        throw new EngineError("non-finite-parameter", `${expected}, got ${piece[at]} at ${index}`, facts);
      }
      begin += piece.length;
      yield piece;
    }
  };
  return { ...tensor, pieces };
}

/** @throws {FileFormatError} a number that no training leaves */
function checkNumbers(file: string, name: string, data: FloatArray): void {
  const isSquare = name.startsWith(OPTIMIZER) && isMeanOfSquares(name.slice(OPTIMIZER.length));
  const at = firstOutside(data, isSquare ? 0 : Number.NEGATIVE_INFINITY);
  if (at < 0) return;
  const expected = `finite values of "${name}"${isSquare ? ", 0 or above" : ""}`;
  throw new FileFormatError(file, expected, `${data[at]} at ${at}`);
}

/** The index of the first value that is not finite or is below `least`; −1: there is none. */
function firstOutside(values: NumberArray, least: number): number {
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    // False of NaN, too.
    if (!(value >= least && value - value === 0)) return i;
  }
  return -1;
}

/** A moment's name is `<moment>.<parameter>`. */
function parameterOf(moment: string): string {
  return moment.slice(moment.indexOf(".") + 1);
}

/** A buffer in the order in which files have the values of a parameter, piece by piece. */
async function* piecesOf(backend: Backend, buffer: DeviceBuffer, { fileOrder }: Parameter): AsyncGenerator<FloatArray> {
  if (!fileOrder) yield* downloaded(backend, buffer);
  else yield* permuted((await backend.download(buffer)) as FloatArray, fileOrder);
}

function floats(data: NumberArray): FloatArray {
  return data instanceof Float32Array || data instanceof Float64Array ? data : Float64Array.from(data);
}

function parseState(text: string, file: string): Omit<Checkpoint, "tensors" | "verified" | "file"> {
  const state = tryParse(text);
  if (state === null) throw new FileFormatError(file, "the state of a checkpoint in its metadata", "other text");
  if (state.format !== FORMAT) {
    throw new FileFormatError(
      file,
      `checkpoint format ${FORMAT}`,
      `format ${state.format}, written by axograd ${state.version}`,
    );
  }
  const { version, optimizer = null, optimizerStep, position, seed, config, tuning = null, task } = state;
  const counts = [optimizerStep, seed, position?.epoch, position?.batch, position?.step];
  if (!counts.every((n) => Number.isSafeInteger(n) && n! >= 0)) {
    throw new FileFormatError(
      file,
      "position, seed and optimizerStep as whole numbers",
      JSON.stringify({ position, seed, optimizerStep }),
    );
  }
  if (optimizer !== null && typeof optimizer !== "string")
    throw new FileFormatError(file, "the name of the optimiser", JSON.stringify(optimizer));
  const description =
    task && readTaskDescription(JsonParts.parse(file, JSON.stringify({ task }), "a checkpoint").object("task"));
  return { version, optimizer, optimizerStep, position, seed, config, tuning, task: description ?? null };
}

type SavedState = { format: number } & Omit<Checkpoint, "tensors" | "verified" | "file">;

function tryParse(text: string): SavedState | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as SavedState) : null;
  } catch {
    return null;
  }
}
