// Tables of neurons beside a connectome: cell type, role, sign and place in the visual field, read from CSV.

import { FileFormatError } from "../core/errors.ts";
import type { NeuronColumn } from "../core/selector.ts";
import { compareText, csvCell, quoteText } from "../core/text.ts";
import { type Column, columnIndex, forEachRow, namesText, placeOf, type Row } from "./delimited.ts";
import { replaceFile } from "./durable.ts";
import { orderColumn, orderExpected, rowsOfIds } from "./joinIds.ts";
import { hasInvisible, isMissing, type NeuronId } from "./neuronIds.ts";

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
const OPTIONAL = ["type_index", "u", "v", "role", "sign_class"] as const;
type Optional = (typeof OPTIONAL)[number];
/** In the order of their numbers in files. */
export const NEURON_ROLES: readonly NeuronRole[] = ["input", "hidden", "output"];
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

/** A line of the table; what it has no column for is null. */
interface TableRow {
  readonly line: number;
  readonly type: string;
  readonly typeIndex: number | null;
  readonly role: NeuronRole | null;
  readonly sign: number | null;
  /** Hexagonal coordinates; NaN where the cells are empty. */
  readonly u: number;
  readonly v: number;
}

/**
 * Reads a table with a column cell_type and, where they are there, type_index, u, v, role, sign_class (any order), one line per neuron.
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
  const rows: TableRow[] = [];
  const ids: NeuronId[] = [];
  let typePlace = 0;
  let idPlace = 0;
  let order: number | null = null;
  let place: ReadonlyMap<Optional, number> = new Map();
  let texts: readonly TextColumn[] = [];
  const format = { header: true, ...(delimiter !== undefined && { delimiter }) };
  await forEachRow(file, "a table of neurons (CSV)", format, {
    start(names, width) {
      const indexOf = (column: Column): number => columnIndex(column, names, width, file);
      typePlace = indexOf("cell_type");
      place = new Map(OPTIONAL.filter((name) => names!.includes(name)).map((name) => [name, indexOf(name)]));
      if (place.has("u") !== place.has("v"))
        throw new FileFormatError(file, "columns u and v, or neither", "one of them");
      if (wanted !== null) idPlace = idIndex(file, idColumn, names!);
      texts = names!.flatMap((name, at) => (isOnlyName(name, names!) ? [new TextColumn(name, at)] : []));
      const counter = wanted === null ? orderColumn(names!) : null;
      order = counter === null ? null : indexOf(counter);
    },
    row(row) {
      if (wanted !== null) ids.push(row.checkedId(idPlace));
      else if (order !== null && row.number(order) !== rows.length) {
        throw row.error(order, orderExpected(rows.length));
      }
      rows.push(tableRow(row, typePlace, place, missing));
      for (const column of texts) column.add(row);
    },
  });
  if (rows.length === 0) throw new FileFormatError(file, "a line per neuron", "none");
  const columnsOf = (chosen: ArrayLike<number> | null) =>
    new Map(texts.map((column) => [column.name, column.of(chosen)]));
  if (wanted === null) return { ...tableOf(file, rows, place), columns: columnsOf(null) };
  const placeOfId = (row: number): string => placeOf(file, rows[row]!.line, idColumn);
  const chosen = rowsOfIds({ file, ids, placeOf: placeOfId }, wanted);
  const own = Array.from(chosen, (row) => rows[row]!);
  return { ...tableOf(file, own, place), columns: columnsOf(chosen) };
}

function isOnlyName(name: string, names: readonly string[]): boolean {
  return name !== "" && names.indexOf(name) === names.lastIndexOf(name);
}

/** The texts of a column, each distinct one once. */
class TextColumn {
  readonly name: string;
  readonly #at: number;
  readonly #numbers = new Map<string, number>();
  readonly #rows: number[] = [];

  constructor(name: string, at: number) {
    this.name = name;
    this.#at = at;
  }

  add(row: Row): void {
    const text = row.text(this.#at);
    const known = this.#numbers.get(text) ?? this.#numbers.size;
    this.#numbers.set(text, known);
    this.#rows.push(known);
  }

  /** The column of some rows; null: all of them. */
  of(chosen: ArrayLike<number> | null): NeuronColumn {
    const rows = chosen ? Array.from(chosen, (row) => this.#rows[row]!) : this.#rows;
    return { values: [...this.#numbers.keys()], valueIdx: Uint32Array.from(rows) };
  }
}

function idIndex(file: string, column: Column, names: readonly string[]): number {
  if (typeof column === "number" || names.includes(column)) return columnIndex(column, names, names.length, file);
  const expected = `a column ${quoteText(column)} with the ids of the neurons, which the connectome's file has`;
  throw new FileFormatError(file, expected, `columns ${namesText(names)}`);
}

function tableRow(row: Row, typePlace: number, place: ReadonlyMap<Optional, number>, missing?: string): TableRow {
  const given = <T>(name: Optional, read: (at: number) => T): T | null => {
    const at = place.get(name);
    return at === undefined ? null : read(at);
  };
  const [u, v] = [given("u", (at) => coordinate(row, at)), given("v", (at) => coordinate(row, at))];
  if (u !== null && Number.isNaN(u) !== Number.isNaN(v)) {
    throw row.error(place.get(Number.isNaN(u) ? "u" : "v")!, "numbers u and v, or neither");
  }
  return {
    line: row.line,
    type: typeIn(row, typePlace, missing),
    typeIndex: given("type_index", (at) => typeIndexIn(row, at)),
    role: given("role", (at) => roleIn(row, at)),
    sign: given("sign_class", (at) => signIn(row, at)),
    u: u ?? Number.NaN,
    v: v ?? Number.NaN,
  };
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

function tableOf(file: string, rows: readonly TableRow[], place: ReadonlyMap<Optional, number>): NeuronTable {
  const count = rows.length;
  const column = <T>(name: Optional, make: () => T): T | null => (place.has(name) ? make() : null);
  const places = column("u", () =>
    hexagonalPlaces(
      Float64Array.from(rows, ({ u }) => u),
      Float64Array.from(rows, ({ v }) => v),
    ),
  );
  return {
    count,
    ...(place.has("type_index") ? numberedTypes(file, rows) : namedTypes(rows)),
    role: column("role", () => rows.map(({ role }) => role!)),
    sign: column("sign_class", () => Int8Array.from(rows, ({ sign }) => sign!)),
    x: places?.x ?? null,
    y: places?.y ?? null,
  };
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

type Types = Pick<NeuronTable, "types" | "typeIdx">;

/** Types with the numbers that the table gives them. */
function numberedTypes(file: string, rows: readonly TableRow[]): Types {
  const limit = Math.max(MAX_UNUSED_TYPES, rows.length);
  const types: string[] = [];
  const numbers = new Map<string, number>();
  for (const { line, type, typeIndex } of rows) {
    const t = typeIndex!;
    const bad = (expected: string, got: string): FileFormatError =>
      new FileFormatError(placeOf(file, line, "type_index"), expected, got);
    if (t >= limit) throw bad(`a whole number from 0 to ${limit - 1}`, `${t}`);
    if (types[t] !== undefined && types[t] !== type) {
      throw bad(`cell type ${quoteText(types[t])} for type_index ${t}`, quoteText(type));
    }
    if ((numbers.get(type) ?? t) !== t) throw bad(`${numbers.get(type)}, the type_index of ${quoteText(type)}`, `${t}`);
    types[t] = type;
    numbers.set(type, t);
  }
  for (let t = 0; t < types.length; t++) types[t] ??= "";
  return { types, typeIdx: Uint32Array.from(rows, ({ typeIndex }) => typeIndex!) };
}

function namedTypes(rows: readonly TableRow[]): Types {
  const types = [...new Set(rows.map(({ type }) => type))].sort(compareText);
  const numbers = new Map(types.map((type, t) => [type, t]));
  return { types, typeIdx: Uint32Array.from(rows, ({ type }) => numbers.get(type)!) };
}

/** Maps the range of the values to [0, 1] in place; all equal ones to the middle; NaN stays. */
function toUnitInterval(values: Float64Array): Float64Array {
  const low = values.reduce((a, b) => (b < a ? b : a), Number.POSITIVE_INFINITY);
  const high = values.reduce((a, b) => (b > a ? b : a), Number.NEGATIVE_INFINITY);
  return values.map((value) => (Number.isNaN(value) || high > low ? (value - low) / (high - low) : 0.5));
}

/**
 * Writes a table of neurons as CSV, durably: a line per neuron in their order, with `index`, their ids if they have some, what `readNeuronTable`
 * reads, and all other columns. Places that no
 * column (u, v) tells are computed; reading scales them to [0, 1].
 */
export async function writeNeuronTable(
  file: string,
  table: NeuronTable,
  { ids = null }: { readonly ids?: readonly (string | number)[] | null } = {},
): Promise<void> {
  const { count, types, typeIdx, role, sign, x, y } = table;
  const own = table.columns ?? new Map<string, NeuronColumn>();
  const cells = new Map<string, (i: number) => string>([["index", (i) => String(i)]]);
  if (ids) cells.set(DEFAULT_ID, (i) => String(ids[i]));
  cells.set("cell_type", (i) => types[typeIdx[i]!]!);
  const isInOrder = types.every((type, t) => type !== "" && (t === 0 || compareText(types[t - 1]!, type) < 0));
  if (!isInOrder) cells.set("type_index", (i) => String(typeIdx[i]));
  if (role) cells.set("role", (i) => role[i]!);
  if (sign && !own.has("sign_class")) cells.set("sign_class", (i) => ["inh", "mixed", "exc"][sign[i]! + 1]!);
  if (x && y && !own.has("u")) {
    const text = (value: number): string => (Number.isNaN(value) ? "" : String(value));
    cells.set("u", (i) => text(-y[i]! / Math.sqrt(3) - x[i]! / 3));
    cells.set("v", (i) => text(x[i]! / 1.5));
  }
  for (const [name, { values, valueIdx }] of own) {
    if (!cells.has(name)) cells.set(name, (i) => values[valueIdx[i]!]!);
  }
  const line = (texts: Iterable<string>): string => `${Array.from(texts, csvCell).join(",")}\n`;
  const columns = [...cells.values()];
  await replaceFile(
    file,
    linesOf(count, line(cells.keys()), (i) => line(columns.map((cell) => cell(i)))),
  );
}

function* linesOf(count: number, header: string, lineOf: (i: number) => string): Generator<string> {
  yield header;
  for (let begin = 0; begin < count; begin += ROWS_AT_ONCE) {
    let text = "";
    for (let i = begin; i < Math.min(count, begin + ROWS_AT_ONCE); i++) text += lineOf(i);
    yield text;
  }
}
