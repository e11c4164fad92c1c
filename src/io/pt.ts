// PyTorch .pt files, as torch.save writes them since version 1.6: a zip with a pickle that describes tensors, and their storages. The pickle may
// use only a list of allowed names; nothing in it is executed. Source: torch/serialization.py.

import { type Csr, csrFromCoo, csrFromParts, truthOf } from "../core/csr.ts";
import { FileFormatError, nearestName } from "../core/errors.ts";
import { quoteText } from "../core/text.ts";
import { checkDense, csrFromDense, piecesOf } from "./dense.ts";
import { isGzip, readBytes, readHead, unpackGzip } from "./files.ts";
import { checkExtents, type ExtentOptions, elementLimit } from "./limits.ts";
import { shapeText } from "./npy.ts";
import { expandPointers } from "./npz.ts";
import { bytesOfNumber, decodeNumbers, type NumberArray, type NumberType } from "./numbers.ts";
import {
  describe,
  isDict,
  isGlobal,
  isTuple,
  kindOf,
  type PickleHost,
  type PickleValue,
  shownName,
  unpickle,
} from "./pickle.ts";
import { checkZip, listOf, openZip, openZipBytes, type ZipArchive } from "./zip.ts";

/** Storage classes and their element types. */
const STORAGES: Readonly<Record<string, NumberType>> = {
  "torch.DoubleStorage": "f8",
  "torch.FloatStorage": "f4",
  "torch.HalfStorage": "f2",
  "torch.BFloat16Storage": "bf2",
  "torch.LongStorage": "i8",
  "torch.IntStorage": "i4",
  "torch.ShortStorage": "i2",
  "torch.CharStorage": "i1",
  "torch.ByteStorage": "u1",
  "torch.BoolStorage": "b1",
};

const SPARSE_TENSOR = "torch._utils._rebuild_sparse_tensor";
/** Function that rebuilt compressed layouts (CSR and its kin) before torch 2.0; its arguments are the same. */
const COMPRESSED_TENSOR = "torch._utils._rebuild_sparse_csr_tensor";

const CALLABLE: readonly string[] = [
  "torch._utils._rebuild_tensor_v2",
  SPARSE_TENSOR,
  COMPRESSED_TENSOR,
  "torch._utils._rebuild_parameter",
  "torch.serialization._get_layout",
  "torch.Size",
  "collections.OrderedDict",
];

const COO = "torch.sparse_coo";

/** dtypes appear as names beside tensors; they are read and ignored. */
const DTYPE = /^torch\.(float(16|32|64)|bfloat16|u?int(8|16|32|64)|bool|half|float|double|long|int|short)$/;

/** How a file begins that torch.save wrote before version 1.6: protocol 2 and the long integer 0x1950a86a20f9469cfc6c. */
const LEGACY_MAGIC = [0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19] as const;

/** More elements than a stored matrix may have. */
const MAX_ELEMENTS = 2 ** 29;
/** Opcodes of a pickle that any file may have, besides one for each of its bytes: a tensor takes some sixty of them, and more bytes. */
const FREE_OPCODES = 2 ** 16;

/** A storage, still in the archive. */
interface Storage {
  readonly kind: "storage";
  readonly type: NumberType;
  /** Entry `data/<key>` of the archive. */
  readonly key: string;
  readonly length: number;
}

interface Layout {
  readonly kind: "layout";
  readonly name: string;
}

/** A strided view of a storage; sizes and strides in elements. */
interface DenseTensor {
  readonly kind: "dense tensor";
  readonly storage: Storage;
  readonly offset: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
}

/** COO: parts are indices [2, nnz] and values; compressed layouts: offsets, indices and values. */
interface SparseTensor {
  readonly kind: "sparse tensor";
  readonly layout: string;
  readonly parts: readonly DenseTensor[];
  readonly shape: readonly number[];
}

type TorchObject = Storage | Layout | DenseTensor | SparseTensor;
type TorchValue = PickleValue<TorchObject>;

/**
 * A sparse matrix from a .pt file (or one packed with gzip): a sparse COO, CSR or CSC tensor of two dimensions, or a small dense
 * one, alone or in a dictionary. Duplicates of a COO tensor are summed, whether or not it says that it is coalesced (those of a
 * boolean one stay 1); zeros of a dense one are dropped.
 *
 * @throws {FileFormatError} missing, truncated, legacy format, something other than tensors (named, never executed), a dense
 *   tensor too large for that (`code` "file-dense", with its shape), extents out of proportion to what is stored ("file-limit")
 * @throws {SparseFormatError} an index out of range, a value that is not finite
 */
export async function readSparsePt(file: string, options: ReadPtOptions = {}): Promise<Csr> {
  return withTorchFile(file, async (zip, root, value) => {
    const tensor = selectMatrix(value, options.key, file);
    if (isDense(tensor)) return csrOfDense(zip, root, tensor);
    const csr = await csrOf(tensor, (part) => readTensor(zip, root, part), file, options);
    return tensor.parts.at(-1)!.storage.type === "b1" ? truthOf(csr) : csr;
  });
}

/** How a .pt file is read. */
export interface ReadPtOptions extends ExtentOptions {
  /** Which entry of a dictionary; not needed when just one is a sparse tensor, or the only entry. */
  readonly key?: string;
}

/** Numbers with their shape, last index fastest. */
export interface PtTensor {
  readonly shape: readonly number[];
  readonly data: NumberArray;
}

/**
 * A dense tensor of at most two dimensions from a .pt file, e.g. one label per neuron.
 *
 * @param options.key which entry of a dictionary; not needed when it is the only one
 * @throws {FileFormatError} as `readSparsePt`; no dense tensor
 */
export async function readDensePt(file: string, options: { readonly key?: string } = {}): Promise<PtTensor> {
  return withTorchFile(file, async (zip, root, value) => {
    const tensor = selectEntry(value, options.key, file, isDense, "dense tensor");
    if (!isDense(tensor) || tensor.shape.length > 2) {
      throw new FileFormatError(file, "a dense tensor of at most two dimensions", describe(tensor));
    }
    return { shape: tensor.shape, data: await readTensor(zip, root, tensor) };
  });
}

/** Opens a file for `use`, which gets the archive, its folder and the value that was saved; closes it afterwards. */
async function withTorchFile<T>(
  file: string,
  use: (zip: ZipArchive, root: string, value: TorchValue) => Promise<T>,
): Promise<T> {
  const zip = await openTorchZip(file);
  try {
    const root = rootOf(zip);
    return await use(zip, root, await savedIn(zip, root));
  } finally {
    zip.close();
  }
}

/** The saved value, with its storages still in the archive. */
async function savedIn(zip: ZipArchive, root: string): Promise<TorchValue> {
  return unpickle(await zip.read(`${root}data.pkl`), torchHost(zip.file), zip.file, FREE_OPCODES + zip.diskBytes);
}

async function openTorchZip(file: string): Promise<ZipArchive> {
  const expected = "a PyTorch file";
  const head = await readHead(file, LEGACY_MAGIC.length, expected);
  refuseLegacy(head, file);
  if (!isGzip(head)) return openZip(file, expected);
  const packed = await readBytes(file, expected);
  const unpacked = await unpackGzip(packed, file, (bytes) => {
    refuseLegacy(bytes, file);
    checkZip(bytes, file, expected);
    return Number.POSITIVE_INFINITY;
  });
  return openZipBytes(unpacked, file, expected, packed.length);
}

function refuseLegacy(head: Uint8Array, file: string): void {
  if (!LEGACY_MAGIC.every((byte, i) => head[i] === byte)) return;
  throw new FileFormatError(
    file,
    "a PyTorch file in the zip format of torch ≥ 1.6",
    "the older format; in PyTorch, save it again: torch.save(torch.load(path), path)",
    "file-legacy-torch",
  );
}

/** The folder of the archive that everything lies in, with its slash. */
function rootOf(zip: ZipArchive): string {
  const pickle = zip.names.find((name) => name === "data.pkl" || name.endsWith("/data.pkl"));
  if (pickle === undefined) {
    throw new FileFormatError(zip.file, "a PyTorch file with a data.pkl", `a zip with ${listOf(zip.names)}`);
  }
  return pickle.slice(0, -"data.pkl".length);
}

/** The names that tensors need, and what they make. */
function torchHost(file: string): PickleHost<TorchObject> {
  const bad = (what: string, args: readonly TorchValue[]): FileFormatError =>
    new FileFormatError(file, `arguments that ${what} takes`, `(${args.map(describe).join(", ")})`);
  return {
    checkGlobal(name) {
      if (CALLABLE.includes(name) || name in STORAGES || DTYPE.test(name)) return;
      throw new FileFormatError(
        file,
        "a file with tensors only",
        `the Python object ${shownName(name)}, which is refused (nothing was executed)`,
        "pickle-refused",
      );
    },
    persistent(id) {
      const [tag, storage, key, , length] = isTuple(id) ? id.items : [];
      const type = isGlobal(storage) ? STORAGES[storage.name] : undefined;
      if (tag !== "storage" || type === undefined || typeof key !== "string" || !isCount(length)) {
        throw new FileFormatError(file, "the id of a tensor's storage", describe(id));
      }
      return { kind: "storage", type, key, length };
    },
    call(name, args) {
      switch (name) {
        case "collections.OrderedDict":
          if (args.length > 0) throw bad(name, args);
          return { kind: "dict", entries: new Map() };
        case "torch.Size":
          if (!isTuple(args[0])) throw bad(name, args);
          return args[0];
        case "torch.serialization._get_layout":
          if (typeof args[0] !== "string") throw bad(name, args);
          return { kind: "layout", name: args[0] };
        case "torch._utils._rebuild_parameter":
          if (!isTensor(args[0])) throw bad(name, args);
          return args[0];
        case "torch._utils._rebuild_tensor_v2": {
          const [storage, offset, size, strides] = args;
          const shape = counts(size);
          const steps = counts(strides);
          if (!isStorage(storage) || !isCount(offset) || !shape || steps?.length !== shape.length)
            throw bad(name, args);
          return { kind: "dense tensor", storage, offset, shape, strides: steps };
        }
        case SPARSE_TENSOR:
        case COMPRESSED_TENSOR: {
          const [layout, data] = args;
          if (!isLayout(layout) || !isTuple(data)) throw bad(name, args);
          // COO: indices, values, size and since torch 2.0 whether it is coalesced; others: offsets, indices, values, size.
          const nParts = layout.name === COO ? 2 : 3;
          const parts = data.items.slice(0, nParts);
          const shape = counts(data.items[nParts]);
          if (!parts.every(isDense) || parts.length !== nParts || !shape) throw bad(name, args);
          return { kind: "sparse tensor", layout: layout.name, parts, shape };
        }
        default:
          // A dtype or a storage class: harmless as names, not to be called.
          throw new FileFormatError(
            file,
            "a file with tensors only",
            `a call of ${name}, which is refused`,
            "pickle-refused",
          );
      }
    },
  };
}

/** The matrix meant: the value itself, the entry under `key`, the only sparse entry, or the only entry. */
function selectMatrix(value: TorchValue, key: string | undefined, file: string): SparseTensor | DenseTensor {
  const tensor = selectEntry(value, key, file, isSparse, "sparse tensor");
  if (isSparse(tensor)) return tensor;
  const label = key === undefined ? file : `${file}[${key}]`;
  if (!isDense(tensor)) throw new FileFormatError(label, "a sparse tensor", describe(tensor));
  checkDense({ shape: tensor.shape, type: tensor.storage.type }, label);
  return tensor;
}

/** The value itself, or of a dictionary the entry under `key`, the only one that is `wanted`, or the only one. */
function selectEntry(
  value: TorchValue,
  key: string | undefined,
  file: string,
  wanted: (entry: TorchValue) => boolean,
  what: string,
): TorchValue {
  if (!isDict(value)) {
    if (key !== undefined) throw new FileFormatError(file, `a dictionary with "${key}"`, describe(value));
    return value;
  }
  const names = [...value.entries.keys()].map((name) => (typeof name === "string" ? name : describe(name)));
  if (key !== undefined) {
    const entry = value.entries.get(key);
    if (entry !== undefined) return entry;
    const near = nearestName(key, names);
    const hint = near ? ` (did you mean "${near}"?)` : "";
    throw new FileFormatError(file, `an entry "${key}"`, `entries ${listOf(names)}${hint}`);
  }
  const found = [...value.entries].filter(([, entry]) => wanted(entry));
  if (found.length === 1) return found[0]![1];
  if (found.length > 1) {
    const choices = listOf(found.map(([name]) => String(name)));
    throw new FileFormatError(file, `one ${what}, or the key of one`, `several: ${choices}`);
  }
  const [only] = value.entries.values();
  if (only !== undefined && value.entries.size === 1) return only;
  throw new FileFormatError(file, `a ${what}`, `a dictionary without one: ${listOf(names)}`, "file-dense");
}

async function csrOfDense(zip: ZipArchive, root: string, tensor: DenseTensor): Promise<Csr> {
  const { storage, offset, shape, strides } = tensor;
  const columnMajor = !isContiguous(shape, strides);
  if (columnMajor && !isContiguous(shape.toReversed(), strides.toReversed())) {
    throw new FileFormatError(
      zip.file,
      "a contiguous dense tensor (in PyTorch, .contiguous())",
      "a part of a larger one",
    );
  }
  const size = bytesOfNumber(storage.type);
  const bytes = await storageBytes(zip, root, storage);
  const count = shape.reduce((product, extent) => product * extent, 1);
  checkInside(zip, tensor, count, offset + count - 1);
  const own = bytes.subarray(offset * size, (offset + count) * size);
  const matrix = { shape, type: storage.type, littleEndian: await isLittleEndian(zip, root), columnMajor };
  return csrFromDense(matrix, piecesOf(own, storage.type), zip.file);
}

async function csrOf(
  tensor: SparseTensor,
  read: (part: DenseTensor) => Promise<NumberArray>,
  file: string,
  options: ExtentOptions,
): Promise<Csr> {
  const { layout, parts, shape } = tensor;
  const [nRows, nCols] = shape;
  if (nRows === undefined || nCols === undefined || shape.length !== 2) {
    throw new FileFormatError(file, "a sparse matrix of two dimensions", `shape ${shapeText(shape)}`);
  }
  const last = parts.at(-1)!;
  if (last.shape.length !== 1) {
    throw new FileFormatError(file, "one number per stored entry", `values of shape ${shapeText(last.shape)}`);
  }
  const nnz = last.shape[0]!;
  const values = await read(last);
  const vector = (part: DenseTensor): Promise<NumberArray> => {
    if (part.shape.length === 1) return read(part);
    throw new FileFormatError(file, "offsets and indices of one matrix", `parts of shape ${shapeText(part.shape)}`);
  };
  switch (layout) {
    case COO: {
      const indices = parts[0]!;
      if (indices.shape.length !== 2 || indices.shape[0] !== 2 || indices.shape[1] !== nnz) {
        throw new FileFormatError(file, `indices of shape (2, ${nnz})`, shapeText(indices.shape));
      }
      const both = await read(indices);
      checkExtents({ nRows, nCols }, nnz, file, options);
      return csrFromCoo({ nRows, nCols, rows: both.subarray(0, nnz), cols: both.subarray(nnz), values }, file);
    }
    case "torch.sparse_csr": {
      const rowPtr = await vector(parts[0]!);
      checkExtents({ nRows, nCols }, nnz + rowPtr.length, file, options);
      return csrFromParts({ nRows, nCols, rowPtr, colIdx: await vector(parts[1]!), values }, file);
    }
    case "torch.sparse_csc": {
      const colPtr = await vector(parts[0]!);
      checkExtents({ nRows, nCols }, nnz + colPtr.length, file, options);
      const cols = expandPointers(colPtr, nCols, nnz, file);
      return csrFromCoo({ nRows, nCols, rows: await vector(parts[1]!), cols, values }, file);
    }
    default:
      throw new FileFormatError(file, "a sparse tensor of layout COO, CSR or CSC", `layout ${layout}`);
  }
}

/** The numbers of a tensor, last index fastest, without the rest of its storage. */
async function readTensor(zip: ZipArchive, root: string, tensor: DenseTensor): Promise<NumberArray> {
  const { storage, offset, shape, strides } = tensor;
  const size = bytesOfNumber(storage.type);
  const count = shape.reduce((product, extent) => product * extent, 1);
  if (count > 0) checkInside(zip, tensor, count, lastOf(tensor));
  const all = await storageBytes(zip, root, storage);
  const begin = count > 0 ? offset * size : 0;
  const own = isContiguous(shape, strides)
    ? all.subarray(begin, begin + count * size)
    : gathered(all, tensor, count, size);
  return decodeNumbers(own, storage.type, await isLittleEndian(zip, root), zip.file);
}

/** Position of a tensor's last element in its storage. */
function lastOf({ offset, shape, strides }: DenseTensor): number {
  return shape.reduce((at, extent, d) => at + (extent - 1) * strides[d]!, offset);
}

/** The bytes of the elements of a strided view, last index fastest. */
function gathered(all: Uint8Array, { offset, shape, strides }: DenseTensor, count: number, size: number): Uint8Array {
  // Sparse parts have at most two dimensions; the missing one counts as a single row.
  const [rows, columns] = shape.length === 2 ? [shape[0]!, shape[1]!] : [1, count];
  const [rowStep, columnStep] = shape.length === 2 ? [strides[0]!, strides[1]!] : [0, strides[0]!];
  const Word = size === 1 ? Uint8Array : size === 2 ? Uint16Array : Uint32Array;
  const words = size / Word.BYTES_PER_ELEMENT;
  const source = new Word(all.buffer as ArrayBuffer, all.byteOffset, all.byteLength / Word.BYTES_PER_ELEMENT);
  const out = new Word(count * words);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      const from = (offset + i * rowStep + j * columnStep) * words;
      const to = (i * columns + j) * words;
      for (let w = 0; w < words; w++) out[to + w] = source[from + w]!;
    }
  }
  return new Uint8Array(out.buffer);
}

/** The bytes of a storage, which must be as many as the pickle says. */
async function storageBytes(zip: ZipArchive, root: string, { key, type, length }: Storage): Promise<Uint8Array> {
  const bytes = await zip.read(`${root}data/${key}`);
  const needed = length * bytesOfNumber(type);
  if (bytes.length === needed) return bytes;
  throw new FileFormatError(zip.file, `${needed} bytes in storage ${key}`, `${bytes.length}`, "file-truncated");
}

/** @param last position in the storage of the last of `count` elements */
function checkInside(
  { file, diskBytes }: ZipArchive,
  { storage, shape, strides, offset }: DenseTensor,
  count: number,
  last: number,
): void {
  const most = Math.min(MAX_ELEMENTS, elementLimit(diskBytes));
  if (count > most) {
    const got = `shape ${shapeText(shape)}, strides ${shapeText(strides)}`;
    throw new FileFormatError(
      file,
      `a tensor of at most ${most} elements in a file of ${diskBytes} bytes`,
      got,
      "file-limit",
    );
  }
  if (last < storage.length) return;
  throw new FileFormatError(
    file,
    `a tensor within its storage of ${storage.length} elements`,
    `shape ${shapeText(shape)}, strides ${shapeText(strides)}, offset ${offset}`,
  );
}

/** Files from before torch 2.1 do not say; they were nearly all written on little-endian machines. */
async function isLittleEndian(zip: ZipArchive, root: string): Promise<boolean> {
  const name = `${root}byteorder`;
  if (!zip.has(name)) return true;
  const order = new TextDecoder().decode(await zip.read(name));
  if (order !== "little" && order !== "big") {
    throw new FileFormatError(zip.file, "byte order little or big", quoteText(order));
  }
  return order === "little";
}

function isContiguous(shape: readonly number[], strides: readonly number[]): boolean {
  let step = 1;
  for (let d = shape.length - 1; d >= 0; d--) {
    if (shape[d] !== 1 && strides[d] !== step) return false;
    step *= shape[d]!;
  }
  return true;
}

function isCount(value: TorchValue | undefined): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function counts(value: TorchValue | undefined): number[] | null {
  return isTuple(value) && value.items.every(isCount) ? [...value.items] : null;
}

function isStorage(value: TorchValue | undefined): value is Storage {
  return kindOf(value) === "storage";
}

function isLayout(value: TorchValue | undefined): value is Layout {
  return kindOf(value) === "layout";
}

function isDense(value: TorchValue | undefined): value is DenseTensor {
  return kindOf(value) === "dense tensor";
}

function isSparse(value: TorchValue | undefined): value is SparseTensor {
  return kindOf(value) === "sparse tensor";
}

function isTensor(value: TorchValue | undefined): value is DenseTensor | SparseTensor {
  return isDense(value) || isSparse(value);
}
