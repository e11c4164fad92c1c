// Checked access to the parts of a JSON file: errors about missing or wrong parts name the file and the place in it.

import { FileFormatError } from "../core/errors.ts";
import { isObject } from "../core/plainObject.ts";
import { quoteValue } from "../core/text.ts";

/** Plain JSON. */
export type Facts = Readonly<Record<string, unknown>>;

/** An object of a JSON file. */
export class JsonParts {
  /** As it is in the file. */
  readonly all: Facts;
  readonly #where: string;
  readonly #path: string;

  private constructor(where: string, path: string, all: Facts) {
    this.#where = where;
    this.#path = path;
    this.all = all;
  }

  /**
   * @param where  file, perhaps with a line
   * @param what   what the object is, for error messages
   * @throws {FileFormatError} no JSON, or no object
   */
  static parse(where: string, text: string, what: string): JsonParts {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      throw new FileFormatError(where, `${what}, as JSON`, "other text");
    }
    if (!isObject(value)) throw new FileFormatError(where, what, quoteValue(value));
    return new JsonParts(where, "", value);
  }

  has(name: string): boolean {
    return this.#at(name) !== undefined;
  }

  /** A part that is an object itself. */
  object(name: string): JsonParts {
    const value = this.#part(name, "an object", isObject);
    return new JsonParts(this.#where, `${this.#path}${name}.`, value);
  }

  /** A part that is an object, or null. */
  objectOrNull(name: string): JsonParts | null {
    return this.#at(name) === null ? null : this.object(name);
  }

  text(name: string): string {
    return this.#part(name, "text", isText);
  }

  textOrNull(name: string): string | null {
    return this.#at(name) === null ? null : this.text(name);
  }

  /** true or false. */
  flag(name: string): boolean {
    return this.#part(name, "true or false", (value): value is boolean => typeof value === "boolean");
  }

  number(
    name: string,
    { least = -Infinity, most = Infinity }: { readonly least?: number; readonly most?: number } = {},
  ): number {
    const limits = `${least > -Infinity ? ` of at least ${least}` : ""}${most < Infinity ? ` and at most ${most}` : ""}`;
    const fits = (x: unknown): x is number => isNumber(x) && x >= least && x <= most;
    return this.#part(name, `a number${limits}`, fits);
  }

  /** A number that was not finite when it was written is null in JSON: NaN here. */
  numberOrNaN(name: string, limits: { readonly least?: number; readonly most?: number } = {}): number {
    return this.#at(name) === null ? Number.NaN : this.number(name, limits);
  }

  numberOrNull(name: string): number | null {
    return this.#at(name) === null ? null : this.number(name);
  }

  /** A whole number. */
  count(name: string, least = 0): number {
    const fits = (x: unknown): x is number => Number.isSafeInteger(x) && (x as number) >= least;
    return this.#part(name, `a whole number of at least ${least}`, fits);
  }

  countOrNull(name: string, least = 0): number | null {
    return this.#at(name) === null ? null : this.count(name, least);
  }

  /** One of some texts. */
  oneOf<T extends string>(name: string, known: readonly T[]): T {
    const fits = (x: unknown): x is T => (known as readonly unknown[]).includes(x);
    return this.#part(name, known.map((text) => JSON.stringify(text)).join(" or "), fits);
  }

  /** Two numbers, either of which may be null. */
  rangeOrNull(name: string): readonly [number | null, number | null] {
    const isEnd = (x: unknown): boolean => x === null || isNumber(x);
    const fits = (x: unknown): x is [number | null, number | null] =>
      Array.isArray(x) && x.length === 2 && x.every(isEnd) && (x.includes(null) || x[0] <= x[1]);
    return this.#part(name, "two ascending numbers, or null for either", fits);
  }

  /** A square table of whole numbers. */
  squareOfCounts(name: string): readonly (readonly number[])[] {
    const isCount = (x: unknown): boolean => Number.isSafeInteger(x) && (x as number) >= 0;
    const fits = (rows: unknown): rows is number[][] =>
      Array.isArray(rows) &&
      rows.every((row) => Array.isArray(row) && row.length === rows.length && row.every(isCount)) &&
      rows.length > 0;
    return this.#part(name, "a square table of whole numbers", fits);
  }

  /** A list of numbers; null: NaN. @param length  how many there have to be; default: any number */
  numbersOrNaN(name: string, length?: number): number[] {
    const fits = (list: unknown): list is (number | null)[] =>
      Array.isArray(list) &&
      (length === undefined || list.length === length) &&
      list.every((x) => x === null || isNumber(x));
    const expected = length === undefined ? "a list of numbers" : `a list of ${length} numbers`;
    return this.#part(name, expected, fits).map((x) => x ?? Number.NaN);
  }

  /** A list of texts. */
  texts(name: string): string[] {
    return this.#part(name, "a list of texts", (list): list is string[] => Array.isArray(list) && list.every(isText));
  }

  /** A list of objects. */
  objects(name: string): JsonParts[] {
    const fits = (list: unknown): list is Facts[] => Array.isArray(list) && list.every(isObject);
    const list = this.#part(name, "a list of objects", fits);
    return list.map((value, k) => new JsonParts(this.#where, `${this.#path}${name}.${k}.`, value));
  }

  /** The error about a part that is not `expected`. */
  error(name: string, expected: string): FileFormatError {
    return new FileFormatError(this.#where, `${expected} at ${this.#path}${name}`, quoteValue(this.#at(name)));
  }

  #part<T>(name: string, expected: string, fits: (value: unknown) => value is T): T {
    const value = this.#at(name);
    if (fits(value)) return value;
    throw this.error(name, expected);
  }

  /** Own properties only. */
  #at(name: string): unknown {
    return Object.hasOwn(this.all, name) ? this.all[name] : undefined;
  }
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}

/** JSON.parse makes Infinity of 1e999. */
function isNumber(value: unknown): value is number {
  return Number.isFinite(value);
}
