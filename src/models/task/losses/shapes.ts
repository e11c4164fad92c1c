// Outputs that the ready-made losses need for the shape of a target.

import { ArgumentError } from "../../../core/errors.ts";
import type { TargetShape } from "../../../core/targets.ts";

/** The number of classes. @throws {ArgumentError} targets are numbers */
export function classesOf(loss: string, { kind, classes }: TargetShape): number {
  if (kind === "class" && classes !== null) return classes;
  throw new ArgumentError("task", "loss", "one for numbers, such as squared", `${loss}, which is for classes`);
}

/** One output per number. @throws {ArgumentError} targets are classes */
export function widthOf(loss: string, { kind, width }: TargetShape): number {
  if (kind === "numbers") return width;
  const expected = "one for classes, such as cross-entropy";
  throw new ArgumentError("task", "loss", expected, `${loss}, which is for numbers`);
}
