// Labels of neurons (cell types, classes, names, ids) beside a connectome, and the types that they make.

import { ArgumentError, FileFormatError } from "../core/errors.ts";
import { compareText } from "../core/text.ts";
import { type Column, columnIndex, forEachRow, type TableFormat } from "./delimited.ts";
import { replaceFile } from "./durable.ts";
import { readBytes } from "./files.ts";
import { decodeNpy, decodeNpyStrings, parseNpyHeader, shapeText } from "./npy.ts";
import { readDensePt } from "./pt.ts";

/** Labels and types of neurons, in the order of the rows of the connectome. */
export interface NeuronLabels {
  /** [neurons] */
  readonly labels: readonly (string | number)[];
  /** [neurons], index into `types`. */
  readonly typeIdx: Uint32Array;
  /** Every label once, sorted as torch-biopl does (numpy.unique): numbers by size, text by code points. */
  readonly types: readonly (string | number)[];
}

/** How labels are read. */
export interface ReadLabelsOptions extends TableFormat {
  /** Which column of a table; not needed where it has only one. */
  readonly column?: Column;
  /** Which entry of a .pt file that holds a dictionary. */
  readonly key?: string;
  /** Demand this many labels. */
  readonly neurons?: number;
}

/** Extensions that `readLabels` takes. */
export const LABEL_EXTENSIONS: readonly string[] = [
  ".npy",
  ".csv",
  ".csv.gz",
  ".tsv",
  ".tsv.gz",
  ".pt",
  ".pth",
  ".pt.gz",
];

/**
 * One label per neuron: a vector of numbers or of fixed-width strings (.npy), a column of a table (.csv, .tsv; numbers if all its
 * cells are), a vector of whole numbers (.pt).
 *
 * @throws {FileFormatError} missing or damaged file, another extension, no such column, not one dimension, another number of labels
 * @throws {ArgumentError} a table with several columns and none chosen
 */
export async function readLabels(file: string, options: ReadLabelsOptions = {}): Promise<NeuronLabels> {
  const { neurons } = options;
  const labels = await readAny(file, options);
  if (neurons !== undefined && labels.length !== neurons) {
    throw new FileFormatError(file, `${neurons} labels, one per neuron`, `${labels.length}`);
  }
  return { labels, ...typesOf(labels) };
}

/** Writes the labels of neurons as a table with the columns index and label, durably; `readLabels` reads it back as text. */
export async function writeLabels(file: string, labels: readonly (string | number)[]): Promise<void> {
  const quoted = (text: string): string => (/[",\t]|^ | $/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const lines = labels.map((label, i) => `${i},${quoted(String(label))}\n`);
  await replaceFile(file, ["index,label\n", lines.join("")]);
}

/** The distinct labels in order, and which of them each neuron has. */
export function typesOf(labels: readonly (string | number)[]): Pick<NeuronLabels, "types" | "typeIdx"> {
  const types = [...new Set(labels)].sort(compareLabels);
  const place = new Map(types.map((type, t) => [type, t]));
  return { types, typeIdx: Uint32Array.from(labels, (label) => place.get(label)!) };
}

/** Order of labels: numbers before text, numbers by size, text by code points. */
export function compareLabels(a: string | number, b: string | number): number {
  if (typeof a === "number" && typeof b === "number") return a - b;
  if (typeof a === "number") return -1;
  if (typeof b === "number") return 1;
  return compareText(a, b);
}

async function readAny(file: string, options: ReadLabelsOptions): Promise<(string | number)[]> {
  const name = file.toLowerCase();
  if (!LABEL_EXTENSIONS.some((extension) => name.endsWith(extension))) {
    throw new FileFormatError(file, `a file ending in ${LABEL_EXTENSIONS.join(", ")}`, "another extension");
  }
  if (name.endsWith(".npy")) return readNpyLabels(file);
  if (/\.[ct]sv(\.gz)?$/.test(name)) return readColumn(file, options);
  const { shape, data } = await readDensePt(file, options.key === undefined ? {} : { key: options.key });
  return Array.from(oneDimension(data, shape, file));
}

async function readNpyLabels(file: string): Promise<(string | number)[]> {
  const bytes = await readBytes(file, "labels (a .npy file)");
  const { type, shape } = parseNpyHeader(bytes, file);
  const text = type === "S" || type === "U";
  return Array.from<string | number>(
    oneDimension<ArrayLike<string | number>>(
      text ? decodeNpyStrings(bytes, file) : decodeNpy(bytes, file).data,
      shape,
      file,
    ),
  );
}

async function readColumn(file: string, options: ReadLabelsOptions): Promise<(string | number)[]> {
  const texts: string[] = [];
  const numbers: number[] = [];
  let at = 0;
  await forEachRow(file, "a table of labels (CSV)", options, {
    start(names, width) {
      if (options.column === undefined && width > 1) {
        const got = names ? `columns ${names.join(", ")}` : `${width} columns`;
        throw new ArgumentError("readLabels", "column", "the column of the labels", `none for ${file} with ${got}`);
      }
      at = options.column === undefined ? 0 : columnIndex(options.column, names, width, file);
    },
    row(row) {
      texts.push(row.text(at));
      // As soon as one cell is text, all are.
      if (numbers.length < texts.length - 1) return;
      const number = row.number(at);
      if (!Number.isNaN(number)) numbers.push(number);
    },
  });
  return numbers.length === texts.length ? numbers : texts;
}

/** The elements themselves, once they are known to form a vector, or a matrix of one column. */
function oneDimension<T>(data: T, shape: readonly number[], file: string): T {
  if (shape.length === 1 || (shape.length === 2 && shape[1] === 1)) return data;
  throw new FileFormatError(file, "one label per neuron (one dimension)", `shape ${shapeText(shape)}`);
}
