// All methods, by name.

import { ArgumentError, nearestName } from "../../core/errors.ts";
import type { Tableau } from "../tableau.ts";
import { dopri5 } from "./dopri5.ts";
import { bosh3, euler, heun, rk4 } from "./simple.ts";
import { tsit5 } from "./tsit5.ts";

export { bosh3, dopri5, euler, heun, rk4, tsit5 };

export const TABLEAUS: readonly Tableau[] = [euler, heun, bosh3, rk4, tsit5, dopri5];

/** @throws {ArgumentError} with the nearest known name */
export function tableauByName(name: string): Tableau {
  const found = TABLEAUS.find((t) => t.name === name.toLowerCase());
  if (found) return found;
  const names = TABLEAUS.map((t) => t.name);
  const near = nearestName(name, names);
  throw new ArgumentError(
    "tableau",
    "method",
    `${near ? `${near}? one of ` : "one of "}${names.join(", ")}`,
    `"${name}"`,
  );
}
