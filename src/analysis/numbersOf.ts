// The numbers in the result of any analysis, by path and by the names of what they belong to: what results of several runs are compared by.

import { isObject } from "../core/plainObject.ts";

/** Numbers of one thing: a single one, or those of a list. */
export interface NamedNumbers {
  /** Names of the parts that they belong to: "T4a"; "" where no part has a name. */
  readonly of: string;
  readonly isList: boolean;
  /** Names of the elements of a list, or of rows and columns of a square, that stand beside it; "": none. */
  readonly names: string;
  /** null (not finite) is NaN. */
  readonly values: readonly number[];
}

/**
 * Collects the numbers of plain data by path. The path of a number is that of its names, joined by dots. Elements of a list share the
 * path of the list; their `name`, or else their texts, tell them apart; without such ones, their positions from 1. So
 * { types: [{ name: "T4a", dsi: 0.4 }, { name: "T4b", dsi: 0.5 }] } has at "types.dsi" 0.4 of "T4a" and 0.5 of "T4b".
 *
 * @param isSelf  whether a name is that of the run: it says nothing
 */
export function numbersOf(
  result: unknown,
  isSelf: (name: string) => boolean = () => false,
): ReadonlyMap<string, readonly NamedNumbers[]> {
  const numbers = new Map<string, NamedNumbers[]>();
  const visit = (value: unknown, path: string, names: readonly string[], beside: readonly string[][] = []): void => {
    const add = (values: readonly (number | null)[], isList: boolean): void => {
      const n = values.length;
      const labels = isList ? beside.filter(({ length }) => length === n || length ** 2 === n) : [];
      const own = {
        ...{ of: names.join(", "), isList, names: labels.length === 0 ? "" : JSON.stringify(labels) },
        values: values.map((x) => x ?? Number.NaN),
      };
      const known = numbers.get(path);
      if (known) known.push(own);
      else numbers.set(path, [own]);
    };
    if (isNumber(value)) add([value], false);
    else if (Array.isArray(value)) {
      const flat: unknown[] = value.flat(Number.POSITIVE_INFINITY);
      if (flat.every(isNumber)) {
        if (flat.length > 0) add(flat, true);
        return;
      }
      const partNames = namesOf(value);
      value.forEach((part, k) => {
        const name = partNames[k]!;
        visit(part, path, isSelf(name) ? names : [...names, name]);
      });
    } else if (isObject(value)) {
      const texts = Object.values(value).filter(isTexts);
      for (const [name, part] of Object.entries(value))
        visit(part, path === "" ? name : `${path}.${name}`, names, texts);
    }
  };
  visit(result, "", []);
  return numbers;
}

function isNumber(value: unknown): value is number | null {
  return typeof value === "number" || value === null;
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.length > 0 && value.every((part) => typeof part === "string");
}

/** Names of the elements of a list, none twice: their own if all have one, or their positions. */
function namesOf(list: readonly unknown[]): string[] {
  const own = list.map(nameOf);
  const isNamed = own.every((name) => name !== "") && new Set(own).size === own.length;
  return isNamed ? own : list.map((_, k) => `${k + 1}`);
}

/** The `name` of a part, or else all of its texts: "T4a, T5a" of { pre: "T4a", post: "T5a", … }; "": it has none. */
function nameOf(part: unknown): string {
  if (!isObject(part)) return "";
  if (typeof part.name === "string") return part.name;
  return Object.values(part)
    .filter((text) => typeof text === "string")
    .join(", ");
}
