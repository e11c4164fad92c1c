// Labels of neurons (cell types, classes, names, ids) from a file beside a connectome, and the set of types they form.

import { ArgumentError, FileFormatError } from "../core/errors.ts";
import { compareText, csvCell, quoteText } from "../core/text.ts";
import { type Column, columnIndex, forEachRow, namesText, placeOf, type Row, type TableFormat } from "./delimited.ts";
import { replaceFile } from "./durable.ts";
import { readBytes } from "./files.ts";
import { orderColumn, orderExpected, rowsOfIds } from "./joinIds.ts";
import { hasInvisible, isMissing, type NeuronId } from "./neuronIds.ts";
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

/** Options of `readLabels`. */
export interface ReadLabelsOptions extends TableFormat {
  /** Which column of a table; not needed where it has only one. */
  readonly column?: Column;
  /** Which entry of a .pt file that holds a dictionary. */
  readonly key?: string;
  /** Demand this many labels. */
  readonly neurons?: number;
  /**
   * Ids of the neurons in the order of the connectome, as `readLabelledConnectome` returns them: every neuron gets the label of the row
   * with its id. Without them, or null, labels are in the order of the file, which must be that of the connectome.
   */
  readonly ids?: readonly (string | number)[] | null;
  /** The column of the ids, for `ids`. Default "id". */
  readonly idColumn?: Column;
  /** Label of the neurons that have none (an empty cell, nan, NA, …). Default: they are an error. */
  readonly missing?: string;
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
 * cells are), a vector of whole numbers (.pt). A table is joined with the connectome by `ids`, other files have the order of its rows.
 *
 * @throws {FileFormatError} missing or damaged file, another extension, no such column, not one dimension, another number of labels, a
 *   label that is none, a neuron without a row or with two; without `ids`, a column `index`, or else of ids, that does not
 *   count 0, 1, 2, …
 * @throws {ArgumentError} a table with several columns and none chosen, `ids` for a file without ids
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
  const lines = labels.map((label, i) => `${i},${csvCell(String(label))}\n`);
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
  if (/\.[ct]sv(\.gz)?$/.test(name)) return readColumn(file, options);
  if (options.ids) {
    throw new ArgumentError("readLabels", "ids", "a table (.csv, .tsv), which has ids", file);
  }
  const labels = name.endsWith(".npy") ? await readNpyLabels(file) : await readPtLabels(file, options);
  return labels.map((label, i) => checkedLabel(label, () => `${file}: label ${i}`, options));
}

async function readPtLabels(file: string, { key }: ReadLabelsOptions): Promise<(string | number)[]> {
  const { shape, data } = await readDensePt(file, key === undefined ? {} : { key });
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

/** A label, or what stands for a missing one. */
function checkedLabel(label: string | number, place: () => string, { missing }: ReadLabelsOptions): string | number {
  const isNone = typeof label === "number" ? !Number.isFinite(label) : isMissing(label);
  if (isNone && missing !== undefined) return missing;
  if (!isNone && !(typeof label === "string" && hasInvisible(label))) return label;
  const expected = isNone
    ? "a label for every neuron (the option `missing` gives one to those without)"
    : "a label of visible characters";
  throw new FileFormatError(place(), expected, typeof label === "number" ? `${label}` : quoteText(label));
}

/** Content of a table of labels. */
class LabelColumn {
  /** Columns of the labels and of the ids. */
  readonly place: number;
  readonly #idPlace: number | null;
  readonly #file: string;
  readonly #texts: string[] = [];
  /** NaN where a label is text, or a whole number that is not exact, so that two could become one. */
  readonly #numbers: number[] = [];
  readonly #ids: NeuronId[] = [];
  readonly #lines: number[] = [];

  constructor(file: string, place: number, idPlace: number | null) {
    this.#file = file;
    this.place = place;
    this.#idPlace = idPlace;
  }

  get length(): number {
    return this.#texts.length;
  }

  add(row: Row): void {
    if (this.#idPlace !== null) this.#ids.push(row.checkedId(this.#idPlace));
    this.#lines.push(row.line);
    this.#texts.push(row.text(this.place));
    const number = row.number(this.place);
    this.#numbers.push(Number.isInteger(number) && !Number.isSafeInteger(number) ? Number.NaN : number);
  }

  /** Drops the first row where it must be the names of the columns, though nothing said so when it was read. */
  dropHeader({ neurons }: ReadLabelsOptions): void {
    const onlyNumbersFollow =
      this.length > 1 && this.#numbers.every((number, row) => Number.isNaN(number) === (row === 0));
    const isHeader = neurons === undefined ? onlyNumbersFollow : this.length === neurons + 1;
    if (!isHeader && this.length !== neurons) {
      const expected =
        "the option header: true or false, as it is unclear whether the first line holds names, or the name of the column";
      throw new FileFormatError(this.#placeOf(0, this.place), expected, quoteText(this.#texts[0]!));
    }
    if (isHeader) for (const list of [this.#texts, this.#numbers, this.#ids, this.#lines]) list.shift();
  }

  /** One label per neuron. */
  labels(options: ReadLabelsOptions): (string | number)[] {
    const areNumbers = !this.#numbers.some(Number.isNaN);
    const all: readonly (string | number)[] = areNumbers ? this.#numbers : this.#texts;
    const labelOf = (row: number): string | number =>
      checkedLabel(all[row]!, () => this.#placeOf(row, this.place), options);
    const { ids } = options;
    if (!ids) return all.map((_, row) => labelOf(row));
    const placeOfId = (row: number): string => this.#placeOf(row, this.#idPlace!);
    return Array.from(rowsOfIds({ file: this.#file, ids: this.#ids, placeOf: placeOfId }, ids), labelOf);
  }

  #placeOf(row: number, column: number): string {
    return placeOf(this.#file, this.#lines[row]!, column);
  }
}

async function readColumn(file: string, options: ReadLabelsOptions): Promise<(string | number)[]> {
  const { column, ids, idColumn = "id" } = options;
  let labels: LabelColumn | undefined;
  let order: number | null = null;
  let maybeHeader = false;
  await forEachRow(file, "a table of labels (CSV)", options, {
    isHeader(first) {
      const isName = (asked: Column | undefined): boolean => asked !== undefined && !/^\d+$/.test(String(asked));
      if (isName(column) || (ids && isName(idColumn)) || (column === undefined && first.width > 1)) return true;
      // Labels may be text, so the header must be known.
      const at = column === undefined ? 0 : Number(column);
      maybeHeader = at < first.width && Number.isNaN(first.number(at));
      return false;
    },
    start(names, width) {
      if (column === undefined && width > 1) {
        const got = names ? `columns ${namesText(names)}` : `${width} columns`;
        throw new ArgumentError("readLabels", "column", "the column of the labels", `none for ${file} with ${got}`);
      }
      const indexOf = (asked: Column): number => columnIndex(asked, names, width, file);
      labels = new LabelColumn(file, column === undefined ? 0 : indexOf(column), ids ? indexOf(idColumn) : null);
      const counter = ids || !names ? null : orderColumn(names, names[labels.place]);
      order = counter === null ? null : indexOf(counter);
    },
    row(row) {
      if (order !== null && row.number(order) !== labels!.length) throw row.error(order, orderExpected(labels!.length));
      labels!.add(row);
    },
  });
  if (maybeHeader) labels!.dropHeader(options);
  return labels!.labels(options);
}

/** The elements themselves, once they are known to form a vector, or a matrix of one column. */
function oneDimension<T>(data: T, shape: readonly number[], file: string): T {
  if (shape.length === 1 || (shape.length === 2 && shape[1] === 1)) return data;
  throw new FileFormatError(file, "one label per neuron (one dimension)", `shape ${shapeText(shape)}`);
}
