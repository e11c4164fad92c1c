// State dictionaries under torch-biopl's names and shapes, in safetensors: weights go to Python and come back.

import type { Backend, DeviceBuffer } from "../backend/backend.ts";
import { callsOf } from "../core/callQueue.ts";
import type { Csr } from "../core/csr.ts";
import type { FloatArray } from "../core/dtype.ts";
import { FileFormatError } from "../core/errors.ts";
import type { NumberArray } from "../io/numbers.ts";
import { readSafetensors, type SafeTensor, type StreamedTensor, writeSafetensors } from "../io/safetensors.ts";
import { NETWORK_PREFIX } from "../models/network/parameters.ts";
import type { NeuronTypes } from "../models/neuronTypes.ts";
import type { ConnectomeNetworkOptions } from "../models/options.ts";
import { indicesName, type Parameter, type SharedValues } from "../models/parameters/parameter.ts";
import type { ParameterSet, SetOptions } from "../models/parameters/parameterSet.ts";

/** What state dictionaries need of a network; any connectome network has it. */
export interface ExchangedNetwork {
  readonly options: Pick<ConnectomeNetworkOptions, "numNeurons" | "dynamics">;
  readonly types: NeuronTypes | null;
  readonly signs: Float64Array | null;
}

/** What state dictionaries need of a model. */
export interface Exchanged {
  readonly backend: Backend;
  readonly parameters: ParameterSet;
}

/** A classifier, or a network without a read-out: its names lack the prefix "rnn.", as in torch-biopl. */
export type ExchangedModel = Exchanged & (ExchangedNetwork | { readonly rnn: ExchangedNetwork });

/**
 * Writes the parameters of a model as torch-biopl has them: names, shapes ([N, 1] for biases and τ), connections as
 * `indices` [2, nnz], and what is frozen there: the signs of neurons and, with neuron types, which type each has. In Python:
 *
 *     from safetensors.torch import load_file, save_file
 *     model = ConnectomeODEClassifier(...)                        # the same options
 *     model.load_state_dict(load_file("model.safetensors"))       # from axograd
 *     state = {name: t.contiguous() for name, t in model.state_dict().items()}
 *     save_file(state, "model.safetensors")                       # to axograd
 *
 * torch-biopl does not share strengths or biases. Those that are shared here are written twice: once per connection or neuron under its
 * names, and once per group or type as `rnn.hh.strength` and `rnn.hh.type_bias`, which Python has to leave out.
 */
export async function exportStateDict(model: ExchangedModel, file: string): Promise<void> {
  // In its turn: no step comes between the pieces.
  await callsOf(model.parameters).run("exportStateDict", () => write(model, file));
}

async function write(model: ExchangedModel, file: string): Promise<void> {
  const { parameters, backend } = model;
  const network = networkOf(model);
  // Constraints hold in what is written, as they would from the next forward pass on.
  parameters.refresh();
  const tensors = new Map<string, SafeTensor | StreamedTensor>(frozenTensors(network));
  for (const p of parameters.all()) {
    const sharing = sharingOf(p);
    for (const [name, tensor] of parameterTensors(p, backend)) {
      tensors.set(sharing && name === p.name ? sharing.name : name, tensor);
    }
    if (!sharing) continue;
    const { spreadName, spreadShape } = sharing;
    const spread = spreadOf(sharing, await parameters.read(p.name, "value"));
    const data = backend.dtype === "f32" ? Float32Array.from(spread) : spread;
    tensors.set(spreadName, { dtype: backend.dtype === "f32" ? "F32" : "F64", shape: spreadShape, data });
  }
  await writeSafetensors(file, new Map([...tensors].map(([name, tensor]) => [foreignName(model, name), tensor])));
}

/**
 * Sets the parameters of a model from a file that `exportStateDict` or Python has written; everything is checked before anything is
 * changed.
 *
 * Values that contradict a constraint are refused, unless `options` say `clamp: true`: torch-biopl restores its constraints before a
 * forward pass, not after a training step, so that its files may have some.
 *
 * Shared parameters are taken from what they are spread over, too, where the file has only that (Python's has).
 *
 * @throws {FileFormatError} a tensor is missing, unknown or of another shape; other connections, signs or types of neurons; numbers
 *   that differ where they are shared
 * @throws {ArgumentError} values that contradict the constraint of their parameter
 */
export async function importStateDict(model: ExchangedModel, file: string, options: SetOptions = {}): Promise<void> {
  const { parameters } = model;
  const network = networkOf(model);
  const { tensors } = await readSafetensors(file);
  const unread = new Set(tensors.keys());
  const take = (own: string, shape: readonly number[]): NumberArray => {
    const name = foreignName(model, own);
    const tensor = tensors.get(name);
    const expected = `"${name}" of shape [${shape.join(", ")}]`;
    if (!tensor) throw new FileFormatError(file, expected, "no such tensor");
    if (tensor.shape.join() !== shape.join()) throw new FileFormatError(file, expected, `[${tensor.shape.join(", ")}]`);
    unread.delete(name);
    return tensor.data;
  };
  const values: [string, ArrayLike<number>][] = [];
  for (const p of parameters.all()) {
    const sharing = sharingOf(p);
    const { shape } = p;
    if (!sharing) {
      values.push([p.name, take(p.name, shape)]);
      continue;
    }
    const spread = take(sharing.spreadName, sharing.spreadShape);
    const own = tensors.has(foreignName(model, sharing.name)) ? take(sharing.name, shape) : null;
    const shared = own ?? fitted(sharing, spread, await parameters.values(p.name));
    const expected = spreadOf(sharing, shared);
    const at = expected.findIndex((x, i) => !(Math.abs(x - spread[i]!) <= SPREAD_TOLERANCE * Math.abs(x)));
    if (at >= 0) {
      const name = `"${foreignName(model, sharing.spreadName)}"`;
      const what = `${name} as ${p.size} shared numbers give, ${expected[at]} at ${at}`;
      throw new FileFormatError(file, what, `${spread[at]}`);
    }
    values.push([p.name, shared]);
  }
  const facts = new Map(frozenTensors(network));
  for (const p of parameters.all()) {
    const indices = indicesOf(p);
    if (indices) facts.set(indicesName(p), indicesTensor(indices));
  }
  for (const [name, { shape, data }] of facts) {
    const found = take(name, shape);
    const at = found.findIndex((x, i) => x !== data[i]);
    if (at >= 0)
      throw new FileFormatError(
        file,
        `"${foreignName(model, name)}" as in the model, ${data[at]} at ${at}`,
        `${found[at]}`,
      );
  }
  const [stranger] = unread;
  if (stranger !== undefined) throw new FileFormatError(file, "tensors of the model only", `"${stranger}" as well`);
  parameters.setAll(values, options);
}

// ---- names, shapes and connections -----------------------------------------------------------------------------------------

/** Elements in one piece of a streamed tensor. */
const PIECE = 2 ** 20;

/** Values of a refreshed parameter and, if it is sparse, its connections. */
export function parameterTensors(p: Parameter, backend: Backend): [string, StreamedTensor][] {
  const { fileOrder, sparse, value, matrix } = p;
  // The copy of a sparse matrix's values that its product reads has the order of files.
  const source = fileOrder ? sparse!.valuesCsr : value;
  const values = floatTensor(backend, p.shape, () => downloaded(backend, source));
  if (!matrix) return [[p.name, values]];
  const indices: StreamedTensor = { dtype: "I64", shape: [2, matrix.nnz], pieces: () => indexPieces(matrix) };
  return [
    [p.name, values],
    [indicesName(p), indices],
  ];
}

export function floatTensor(
  { dtype }: Backend,
  shape: readonly number[],
  pieces: () => AsyncIterable<FloatArray>,
): StreamedTensor {
  return { dtype: dtype === "f32" ? "F32" : "F64", shape, pieces };
}

/** A buffer's content, piece by piece. */
export async function* downloaded(backend: Backend, buffer: DeviceBuffer): AsyncGenerator<FloatArray> {
  for (let at = 0; at < buffer.length; at += PIECE) {
    yield (await backend.download(buffer, at, Math.min(PIECE, buffer.length - at))) as FloatArray;
  }
}

/** values[order[k]] for all k, piece by piece. */
export function* permuted(values: FloatArray, order: Uint32Array): Generator<FloatArray> {
  for (let at = 0; at < order.length; at += PIECE) {
    const piece = values.slice(0, Math.min(PIECE, order.length - at));
    for (let k = 0; k < piece.length; k++) piece[k] = values[order[at + k]!]!;
    yield piece;
  }
}

/** What `indicesOf` has, piece by piece. */
export function* indexPieces({ nRows, nnz, rowPtr, colIdx }: Csr): Generator<NumberArray> {
  let row = 0;
  for (let at = 0; at < nnz; at += PIECE) {
    const piece = new Uint32Array(Math.min(PIECE, nnz - at));
    for (const end = at + piece.length; row < nRows; row++) {
      piece.fill(row, Math.max(0, rowPtr[row]! - at), Math.min(piece.length, rowPtr[row + 1]! - at));
      if (rowPtr[row + 1]! > end) break;
    }
    yield piece;
  }
  for (let at = 0; at < nnz; at += PIECE) yield colIdx.subarray(at, at + PIECE);
}

function indicesTensor(indices: Uint32Array): SafeTensor {
  return { dtype: "I64", shape: [2, indices.length / 2], data: indices };
}

/** Coordinates [2, nnz] of a sparse parameter, all rows, then all columns, in row-major order; null for a dense one. */
export function indicesOf({ matrix }: Parameter): Uint32Array | null {
  if (!matrix) return null;
  const { nRows, nnz, rowPtr, colIdx } = matrix;
  const indices = new Uint32Array(2 * nnz);
  for (let i = 0; i < nRows; i++) indices.fill(i, rowPtr[i]!, rowPtr[i + 1]!);
  indices.set(colIdx, nnz);
  return indices;
}

/** What torch-biopl keeps as frozen parameters and axograd as facts of the network. */
function frozenTensors({ options, signs, types }: ExchangedNetwork): [string, SafeTensor][] {
  const { numNeurons, dynamics } = options;
  if (dynamics === "plain") return [];
  const mask = signs ? Float32Array.from(signs) : new Float32Array(numNeurons).fill(1);
  const tensors: [string, SafeTensor][] = [
    ["rnn.neuron_sign_mask", { dtype: "F32", shape: [numNeurons, 1], data: mask }],
  ];
  if (!types) return tensors;
  const { typeIdx } = types;
  tensors.push(["rnn.neuron_type_mask", { dtype: "I32", shape: [numNeurons], data: Int32Array.from(typeIdx) }]);
  types.types.forEach((_, type) => {
    const members = Uint32Array.from([...typeIdx.keys()].filter((i) => typeIdx[i] === type));
    tensors.push([`rnn.neuron_type_indices.${type}`, { dtype: "I64", shape: [members.length], data: members }]);
  });
  return tensors;
}

function networkOf(model: ExchangedModel): ExchangedNetwork {
  return "rnn" in model ? model.rnn : model;
}

/** The name in files: without a read-out there is no prefix. */
function foreignName(model: ExchangedModel, name: string): string {
  return "rnn" in model ? name : name.slice(NETWORK_PREFIX.length);
}

/** A parameter that connections or neurons share, where torch-biopl has one number for each of them. */
interface Sharing extends SharedValues {
  /** Its own name in files. */
  readonly name: string;
  /** Name and shape of what torch-biopl has instead. */
  readonly spreadName: string;
  readonly spreadShape: readonly number[];
}

/** Relative difference between spread numbers and the product that gives them: a few roundings of f32. */
const SPREAD_TOLERANCE = 1e-6;

/** null: torch-biopl has the same numbers. */
function sharingOf({ shared, shape }: Parameter): Sharing | null {
  if (!shared?.dictionary) return null;
  const { own, spread } = shared.dictionary;
  return { ...shared, name: own, spreadName: spread, spreadShape: [shared.by.length, ...shape.slice(1)] };
}

function spreadOf({ by, factor }: Sharing, shared: ArrayLike<number>): Float64Array {
  return Float64Array.from(by, (g, i) => shared[g]! * (factor ? factor[i]! : 1));
}

/** The shared numbers whose spread comes nearest (least squares); `known` for those that multiply zeros only. */
function fitted({ by, factor }: Sharing, spread: ArrayLike<number>, known: ArrayLike<number>): Float64Array {
  const products = new Float64Array(known.length);
  const squares = new Float64Array(known.length);
  for (let i = 0; i < by.length; i++) {
    const f = factor ? factor[i]! : 1;
    products[by[i]!]! += f * spread[i]!;
    squares[by[i]!]! += f * f;
  }
  return products.map((product, g) => (squares[g]! > 0 ? product / squares[g]! : known[g]!));
}
