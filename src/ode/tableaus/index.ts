// All methods, by name.

import { ArgumentError, nearestName } from "../../core/errors.ts";
import type { Tableau } from "../tableau.ts";
import { dopri5 } from "./dopri5.ts";
import { exponentialEuler } from "./exponentialEuler.ts";
import { bosh3, euler, heun, rk4 } from "./simple.ts";
import { tsit5 } from "./tsit5.ts";

export { bosh3, dopri5, euler, exponentialEuler, heun, rk4, tsit5 };

/** Explicit Runge–Kutta methods. */
export const TABLEAUS: readonly Tableau[] = [euler, heun, bosh3, rk4, tsit5, dopri5];

const METHODS: readonly Tableau[] = [...TABLEAUS, exponentialEuler];

/** Any method; upper and lower case are the same. @throws {ArgumentError} with the nearest known name */
export function tableauByName(name: string): Tableau {
  const found = METHODS.find((t) => t.name.toLowerCase() === name.toLowerCase());
  if (found) return found;
  const names = METHODS.map((t) => t.name);
  const near = nearestName(name, names);
  throw new ArgumentError(
    "tableau",
    "method",
    `${near ? `${near}? one of ` : "one of "}${names.join(", ")}`,
    `"${name}"`,
  );
}
