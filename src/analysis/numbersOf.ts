// The numbers in the result of any analysis, as lists by path: what results of several runs are compared by.

import { isObject } from "../core/plainObject.ts";

/** What a result consists of. */
export interface ResultParts {
  /** Numbers by path, like "types.dsi", in the order of the result; null (not finite) is NaN. */
  readonly numbers: ReadonlyMap<string, Float64Array>;
  /** Texts by path: names of what the numbers belong to. */
  readonly texts: ReadonlyMap<string, readonly string[]>;
}

/**
 * Collects numbers and texts of plain data. The path of a part is that of its names, joined by dots; the elements of a list share the path of
 * the list. So { types: [{ name: "T4a", dsi: 0.4 }, { name: "T4b", dsi: 0.5 }] } has the numbers "types.dsi" [0.4, 0.5] and the texts
 * "types.name" ["T4a", "T4b"]. A path with nulls only has no numbers.
 */
export function numbersOf(result: unknown): ResultParts {
  const numbers = new Map<string, number[]>();
  const texts = new Map<string, string[]>();
  const add = <T>(to: Map<string, T[]>, path: string, value: T): void => {
    const known = to.get(path);
    if (known) known.push(value);
    else to.set(path, [value]);
  };
  const visit = (value: unknown, path: string): void => {
    if (typeof value === "number" || value === null) add(numbers, path, value ?? Number.NaN);
    else if (typeof value === "string") add(texts, path, value);
    else if (Array.isArray(value)) for (const part of value) visit(part, path);
    else if (isObject(value))
      for (const [name, part] of Object.entries(value)) visit(part, path === "" ? name : `${path}.${name}`);
  };
  visit(result, "");
  const known = [...numbers].filter(([, list]) => !list.every(Number.isNaN));
  return { numbers: new Map(known.map(([path, list]) => [path, Float64Array.from(list)])), texts };
}
