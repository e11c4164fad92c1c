// All methods, by name.

import { ArgumentError, nearestName } from "../../core/errors.ts";
import type { Tableau } from "../tableau.ts";
import * as methods from "./methods.ts";

export * from "./methods.ts";

/** Names of the methods. */
export type MethodName = keyof typeof methods;

/** All methods, by order, number of stages and name. */
export const METHODS: readonly Tableau[] = Object.values(methods).sort(
  (a, b) => a.order - b.order || a.stages - b.stages || (a.name < b.name ? -1 : 1),
);

/** The explicit Runge–Kutta methods among them. */
export const TABLEAUS: readonly Tableau[] = METHODS.filter(({ exponential }) => !exponential);

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
