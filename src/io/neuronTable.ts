// Tables of neurons beside a connectome: cell type, role, sign and place in the visual field, read from CSV.

import { FileFormatError } from "../core/errors.ts";
import type { NeuronColumn } from "../core/selector.ts";
import { compareText, csvCell, quoteText } from "../core/text.ts";
import { type Column, columnIndex, forEachRow, namesText, placeOf, type Row } from "./delimited.ts";
import { replaceFile } from "./durable.ts";
import { orderColumn, orderExpected, rowsOfIds } from "./joinIds.ts";
import { hasInvisible, isMissing, type NeuronId } from "./neuronIds.ts";
import { TextDictionary } from "./textDictionary.ts";

/** Whether a neuron gets the input, is read out, or neither. */
export type NeuronRole = "input" | "hidden" | "output";

/** Properties of the neurons of a network, in the order of its rows. */
export interface NeuronTable {
  /** How many neurons. */
  readonly count: number;
  /** Names of the cell types. */
  readonly types: readonly string[];
  /** [count], index into `types`. */
  readonly typeIdx: Uint32Array;
  /** [count]; null: the table does not say it. */
  readonly role: readonly NeuronRole[] | null;
  /** [count], +1 excitatory, −1 inhibitory, 0 both or unknown; null: the table does not say it. */
  readonly sign: Int8Array | null;
  /** [count], place in the visual field from 0 (left) to 1 (right), NaN for neurons without one; null: the table has no places. */
  readonly x: Float64Array | null;
  /** [count], from 0 (top) to 1 (bottom), as `x`. */
  readonly y: Float64Array | null;
  /** Every column of the file as text, by its name, to select neurons by; not those without a name, or with that of another. */
  readonly columns?: ReadonlyMap<string, NeuronColumn>;
}

/** Options of `readNeuronTable`. */
export interface ReadNeuronTableOptions {
  /**
   * Ids of the neurons in the order of the connectome, as `readLabelledConnectome` returns them: every neuron gets the row with its
   * id. Without them, or null, rows are in the order of the connectome.
   */
  readonly ids?: readonly (string | number)[] | null;
  /** The column of the ids, for `ids`. Default "id". */
  readonly idColumn?: Column;
  /** Type of the neurons that have none (an empty cell, nan, NA, …). Default: they are an error. */
  readonly missing?: string;
  /** One character, see `TableFormat`. */
  readonly delimiter?: string;
}

const DEFAULT_ID = "id";
/** Lines that are written at once. */
const ROWS_AT_ONCE = 4096;
/** Names of the column of cell types; the first of them that there is. */
const TYPE_NAMES = ["cell_type", "type"] as const;
/** In the order of their numbers in files. */
export const NEURON_ROLES: readonly NeuronRole[] = ["input", "hidden", "output"];
/** Names of columns that mean more than their text. */
const READ_NAMES: readonly string[] = ["cell_type", "type_index", "role", "sign_class", "u", "v"];
const SIGNS: ReadonlyMap<string, number> = new Map([
  ["exc", 1],
  ["inh", -1],
  ["mixed", 0],
  ["none", 0],
]);
/** Numbers of types that no neuron has are allowed below this, so that parts of a network keep the numbers of the whole. */
const MAX_UNUSED_TYPES = 2 ** 16;
/** Columns of an eye are counted; larger numbers are no columns. */
const MAX_COORDINATE = 2 ** 31;

/**
 * Reads a table with a column cell_type (or type, where that is missing) and, where they are there, type_index, u, v, role, sign_class (any order), one line per neuron.
 * Other columns are kept as text (`columns`). The hexagonal column (u, v) lies at x = 1.5 v, y = −√3 (u + v/2); both axes are then scaled to [0, 1]. Types
 * without type_index are numbered in the order of their names.
 *
 * Lines have the order of the connectome (a column `index`, or else of ids, must count from 0), unless its neurons have ids: then
 * they are joined by them, see `ids`. Lines about other neurons are then allowed.
 *
 * @throws {FileFormatError} missing file or column, a line that does not fit (with its number and column), a neuron without a line or
 *   with two
 */
export async function readNeuronTable(file: string, options: ReadNeuronTableOptions = {}): Promise<NeuronTable> {
  const { ids: wanted = null, idColumn = DEFAULT_ID, missing, delimiter } = options;
  const lines = new Numbers();
  const ids: NeuronId[] = [];
  let idPlace = 0;
  let order: number | null = null;
  let read: TableColumns | null = null;
  const format = { header: true, ...(delimiter !== undefined && { delimiter }) };
  await forEachRow(file, "a table of neurons (CSV)", format, {
    start(names, width) {
      const indexOf = (column: Column): number => columnIndex(column, names, width, file);
      read = new TableColumns(file, names!, indexOf, missing);
      if (wanted !== null) idPlace = idIndex(file, idColumn, names!);
      const counter = wanted === null ? orderColumn(names!) : null;
      order = counter === null ? null : indexOf(counter);
    },
    row(row) {
      if (wanted !== null) ids.push(row.checkedId(idPlace));
      else if (order !== null && row.number(order) !== lines.length) {
        throw row.error(order, orderExpected(lines.length));
      }
      lines.push(row.line);
      read!.add(row);
    },
  });
  if (lines.length === 0) throw new FileFormatError(file, "a line per neuron", "none");
  const placeOfId = (row: number): string => placeOf(file, lines.at(row), idColumn);
  const chosen = wanted === null ? null : rowsOfIds({ file, ids, placeOf: placeOfId }, wanted);
  return read!.table(lines, chosen);
}

function idIndex(file: string, column: Column, names: readonly string[]): number {
  if (typeof column === "number" || names.includes(column)) return columnIndex(column, names, names.length, file);
  const expected = `a column ${quoteText(column)} with the ids of the neurons, which the connectome's file has`;
  throw new FileFormatError(file, expected, `columns ${namesText(names)}`);
}

/** Whole numbers below 2^32, as many as come. */
class Numbers {
  length = 0;
  #data = new Uint32Array(1024);

  push(value: number): void {
    if (this.length === this.#data.length) {
      const more = new Uint32Array(2 * this.length);
      more.set(this.#data);
      this.#data = more;
    }
    this.#data[this.length++] = value;
  }

  at(i: number): number {
    return this.#data[i]!;
  }

  /** Those of some rows; null: all. */
  of(rows: Uint32Array | null): Uint32Array {
    return rows ? rows.map((row) => this.#data[row]!) : this.#data.slice(0, this.length);
  }
}

/** A column as numbers of its different texts, and what each of them means, which is read once. */
class CodedColumn<T> {
  readonly name: string;
  readonly at: number;
  readonly codes: Numbers = new Numbers();
  /** By the number of a text. */
  readonly meanings: T[] = [];
  readonly #texts = new TextDictionary();
  readonly #read: (row: Row, at: number) => T;

  constructor(name: string, at: number, read: (row: Row, at: number) => T) {
    this.name = name;
    this.at = at;
    this.#read = read;
  }

  /** The meaning of the cell in this row. */
  add(row: Row): T {
    const code = row.textIdx(this.at, this.#texts);
    if (code === this.meanings.length) this.meanings.push(this.#read(row, this.at));
    this.codes.push(code);
    return this.meanings[code]!;
  }

  /** As text. */
  column(rows: Uint32Array | null): NeuronColumn {
    return { values: this.#texts.values(), valueIdx: this.codes.of(rows) };
  }

  /** The meanings of some rows; null: of all. */
  of(rows: Uint32Array | null): T[] {
    return Array.from(this.codes.of(rows), (code) => this.meanings[code]!);
  }
}

/** The columns of a table: all as text, some of them with a meaning. */
class TableColumns {
  readonly #file: string;
  readonly #type: CodedColumn<string>;
  readonly #typeIndex: CodedColumn<number> | null;
  readonly #role: CodedColumn<NeuronRole> | null;
  readonly #sign: CodedColumn<number> | null;
  /** Hexagonal coordinates; NaN where the cells are empty. */
  readonly #u: CodedColumn<number> | null;
  readonly #v: CodedColumn<number> | null;
  /** Those with a name of their own, which mean no more than their text. */
  readonly #others: readonly CodedColumn<null>[];
  readonly #names: readonly string[];

  constructor(file: string, names: readonly string[], indexOf: (column: Column) => number, missing?: string) {
    this.#file = file;
    this.#names = names;
    const optional = <T>(name: string, read: (row: Row, at: number) => T): CodedColumn<T> | null =>
      names.includes(name) ? new CodedColumn(name, indexOf(name), read) : null;
    const typeName = TYPE_NAMES.find((name) => names.includes(name)) ?? TYPE_NAMES[0];
    this.#type = new CodedColumn(typeName, indexOf(typeName), (row, at) => typeIn(row, at, missing));
    this.#typeIndex = optional("type_index", typeIndexIn);
    this.#role = optional("role", roleIn);
    this.#sign = optional("sign_class", signIn);
    this.#u = optional("u", coordinate);
    this.#v = optional("v", coordinate);
    if ((this.#u === null) !== (this.#v === null)) {
      throw new FileFormatError(file, "columns u and v, or neither", "one of them");
    }
    const own = new Set(this.#meaningful().map(({ name }) => name));
    this.#others = names.flatMap((name, at) =>
      isOnlyName(name, names) && !own.has(name) ? [new CodedColumn(name, at, () => null)] : [],
    );
  }

  add(row: Row): void {
    this.#type.add(row);
    this.#typeIndex?.add(row);
    this.#role?.add(row);
    this.#sign?.add(row);
    if (this.#u && this.#v) {
      const noU = Number.isNaN(this.#u.add(row));
      if (noU !== Number.isNaN(this.#v.add(row))) {
        throw row.error((noU ? this.#u : this.#v).at, "numbers u and v, or neither");
      }
    }
    for (const column of this.#others) column.add(row);
  }

  /** @param chosen  the row of every neuron; null: rows are neurons */
  table(lines: Numbers, chosen: Uint32Array | null): NeuronTable {
    const count = chosen?.length ?? lines.length;
    const [u, v] = [this.#u, this.#v].map((column) => column && Float64Array.from(column.of(chosen)));
    const { x = null, y = null } = u && v ? hexagonalPlaces(u, v) : {};
    const all = new Map([...this.#meaningful(), ...this.#others].map((column) => [column.name, column]));
    return {
      count,
      ...(this.#typeIndex ? this.#numberedTypes(this.#typeIndex, lines, chosen) : this.#namedTypes(chosen)),
      role: this.#role?.of(chosen) ?? null,
      sign: this.#sign && Int8Array.from(this.#sign.of(chosen)),
      x,
      y,
      columns: new Map(
        this.#names.flatMap((name) => {
          const column = all.get(name);
          return column ? [[name, column.column(chosen)] as const] : [];
        }),
      ),
    };
  }

  #meaningful(): readonly CodedColumn<unknown>[] {
    const some = [this.#type, this.#typeIndex, this.#role, this.#sign, this.#u, this.#v];
    return some.filter((column) => column !== null);
  }

  /** Types with the numbers that the table gives them. */
  #numberedTypes(numbers: CodedColumn<number>, lines: Numbers, chosen: Uint32Array | null): Types {
    const [type, typeIdx] = [this.#type.codes.of(chosen), Uint32Array.from(numbers.of(chosen))];
    const limit = Math.max(MAX_UNUSED_TYPES, typeIdx.length);
    const types: string[] = [];
    const known = new Map<string, number>();
    typeIdx.forEach((t, i) => {
      const name = this.#type.meanings[type[i]!]!;
      const bad = (expected: string, got: string): FileFormatError =>
        new FileFormatError(placeOf(this.#file, lines.at(chosen?.[i] ?? i), numbers.name), expected, got);
      const given = numbers.meanings[numbers.codes.at(chosen?.[i] ?? i)]!;
      if (given >= limit) throw bad(`a whole number from 0 to ${limit - 1}`, `${given}`);
      if (types[t] === name) return;
      if (types[t] !== undefined) throw bad(`cell type ${quoteText(types[t])} for type_index ${t}`, quoteText(name));
      if (known.has(name)) throw bad(`${known.get(name)}, the type_index of ${quoteText(name)}`, `${t}`);
      types[t] = name;
      known.set(name, t);
    });
    for (let t = 0; t < types.length; t++) types[t] ??= "";
    return { types, typeIdx };
  }

  #namedTypes(chosen: Uint32Array | null): Types {
    const codes = this.#type.codes.of(chosen);
    const used = new Uint8Array(this.#type.meanings.length);
    for (const code of codes) used[code] = 1;
    const types = [...new Set(this.#type.meanings.filter((_, code) => used[code]))].sort(compareText);
    const numbers = new Map(types.map((type, t) => [type, t]));
    const numberOf = Uint32Array.from(this.#type.meanings, (type) => numbers.get(type) ?? 0);
    return { types, typeIdx: codes.map((code) => numberOf[code]!) };
  }
}

type Types = Pick<NeuronTable, "types" | "typeIdx">;

function isOnlyName(name: string, names: readonly string[]): boolean {
  return name !== "" && names.indexOf(name) === names.lastIndexOf(name);
}

function typeIn(row: Row, at: number, missing?: string): string {
  const type = row.text(at);
  if (isMissing(type)) {
    if (missing !== undefined) return missing;
    throw row.error(at, "a cell type for every neuron (the option `missing` gives one to those without)");
  }
  if (hasInvisible(type)) throw row.error(at, "a cell type of visible characters");
  return type;
}

function typeIndexIn(row: Row, at: number): number {
  const index = row.number(at);
  if (!(Number.isInteger(index) && index >= 0)) throw row.error(at, "a whole number from 0");
  return index;
}

function roleIn(row: Row, at: number): NeuronRole {
  const role = NEURON_ROLES.find((name) => name === row.text(at));
  if (role === undefined) throw row.error(at, "role input, hidden or output");
  return role;
}

function signIn(row: Row, at: number): number {
  const sign = SIGNS.get(row.text(at));
  if (sign === undefined) throw row.error(at, `sign_class ${[...SIGNS.keys()].join(", ")}`);
  return sign;
}

/** A hexagonal coordinate; NaN where the cell is empty. */
function coordinate(row: Row, at: number): number {
  if (row.text(at) === "") return Number.NaN;
  const value = row.number(at);
  if (!(Math.abs(value) <= MAX_COORDINATE)) throw row.error(at, "numbers u and v within ±2^31");
  return value;
}

/**
 * Places of hexagonal columns in the visual field: x = 1.5 v, y = −√3 (u + v/2), each scaled to [0, 1]; NaN stays.
 *
 * @param u,v  [neurons], oblique coordinates
 */
export function hexagonalPlaces(
  u: Float64Array,
  v: Float64Array,
): { readonly x: Float64Array; readonly y: Float64Array } {
  return {
    x: toUnitInterval(v.map((column) => 1.5 * column)),
    y: toUnitInterval(u.map((column, i) => -Math.sqrt(3) * (column + v[i]! / 2))),
  };
}

/** Maps the range of the values to [0, 1] in place; all equal ones to the middle; NaN stays. */
function toUnitInterval(values: Float64Array): Float64Array {
  const low = values.reduce((a, b) => (b < a ? b : a), Number.POSITIVE_INFINITY);
  const high = values.reduce((a, b) => (b > a ? b : a), Number.NEGATIVE_INFINITY);
  return values.map((value) => (Number.isNaN(value) || high > low ? (value - low) / (high - low) : 0.5));
}

/** Options of `writeNeuronTable`. */
export interface WriteNeuronTableOptions {
  /** Ids of the neurons, in the order of the table, for the column `id`. */
  readonly ids?: readonly (string | number)[] | null;
  /** Type of the neurons that have none (""). Default: their cells are empty, and reading demands a type for them. */
  readonly missing?: string;
}

/**
 * Writes a table of neurons as CSV, durably: a line per neuron in their order, with `index`, their ids if they have some, what `readNeuronTable`
 * reads, and all other columns as they are. One whose name is taken, or means something else to the reader, becomes NAME_text. Places that no
 * column (u, v) tells are computed; reading scales them to [0, 1].
 */
export async function writeNeuronTable(
  file: string,
  table: NeuronTable,
  { ids = null, missing = "" }: WriteNeuronTableOptions = {},
): Promise<void> {
  const { count, typeIdx, role, sign, x, y } = table;
  const types = table.types.map((type) => (type === "" ? missing : type));
  const own = table.columns ?? new Map<string, NeuronColumn>();
  const cells = new Map<string, (i: number) => string>([["index", (i) => String(i)]]);
  const addOwn = (name: string, as = name): void => {
    const { values, valueIdx } = own.get(name)!;
    cells.set(as, (i) => values[valueIdx[i]!]!);
  };
  if (ids) cells.set(DEFAULT_ID, (i) => String(ids[i]));
  cells.set("cell_type", (i) => types[typeIdx[i]!]!);
  const isSorted = types.every((type, t) => type !== "" && (t === 0 || compareText(types[t - 1]!, type) < 0));
  const used = [...new Set(typeIdx)];
  const areDistinct = new Set(used.map((t) => types[t])).size === used.length;
  if (!isSorted && areDistinct) cells.set("type_index", (i) => String(typeIdx[i]));
  if (role) cells.set("role", (i) => role[i]!);
  if (sign) cells.set("sign_class", (i) => ["inh", "mixed", "exc"][sign[i]! + 1]!);
  if (x && y && own.has("u") && own.has("v")) {
    addOwn("u");
    addOwn("v");
  } else if (x && y) {
    const text = (value: number): string => (Number.isNaN(value) ? "" : String(value));
    cells.set("u", (i) => text(-y[i]! / Math.sqrt(3) - x[i]! / 3));
    cells.set("v", (i) => text(x[i]! / 1.5));
  }
  for (const [name, { values, valueIdx }] of own) {
    const same = cells.get(name);
    const meanings = name === "sign_class" ? SIGNS : null;
    const differs = (text: string, written: string): boolean =>
      meanings ? meanings.get(text) !== meanings.get(written) : text !== written;
    const isSame = same && !Array.from(valueIdx).some((v, i) => differs(values[v]!, same(i)));
    if (isSame) addOwn(name);
    else addOwn(name, same || READ_NAMES.includes(name) ? freeName(`${name}_text`, own, cells) : name);
  }
  const line = (texts: Iterable<string>): string => `${Array.from(texts, csvCell).join(",")}\n`;
  const columns = [...cells.values()];
  await replaceFile(
    file,
    linesOf(count, line(cells.keys()), (i) => line(columns.map((cell) => cell(i)))),
  );
}

/** The name, or with more at its end, that no column has. */
function freeName(name: string, ...taken: readonly ReadonlyMap<string, unknown>[]): string {
  return taken.some((names) => names.has(name)) ? freeName(`${name}_`, ...taken) : name;
}

function* linesOf(count: number, header: string, lineOf: (i: number) => string): Generator<string> {
  yield header;
  for (let begin = 0; begin < count; begin += ROWS_AT_ONCE) {
    let text = "";
    for (let i = begin; i < Math.min(count, begin + ROWS_AT_ONCE); i++) text += lineOf(i);
    yield text;
  }
}
