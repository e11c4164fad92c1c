// What measures of the members of an ensemble have in common.

import { ArgumentError } from "../../core/errors.ts";
import { groupingColumn, type NamedNeurons, neuronsByColumn } from "../../data/neuronGroups.ts";
import { PART_NAMES, type PartName } from "../../data/sampleArrays.ts";
import type { OpenedRun } from "../openRun.ts";

/** Where errors about ensembles come from. */
export const WHERE = "ensemble";

/** How a measure stops, and shows its progress. */
export interface Work {
  readonly signal: AbortSignal | undefined;
  readonly show: (what: string) => void;
}

/** Groups of neurons: by a column, by default type, or role where the neurons have no types. */
export function groupsOf(run: OpenedRun, column: string | undefined): NamedNeurons[] {
  return neuronsByColumn(run.selectable, column ?? groupingColumn(run.selectable), null, {
    where: WHERE,
    argument: "by",
  });
}

/** The part to take the samples from. @throws {ArgumentError} the run has no such part */
export function partOfRun({ data }: OpenedRun, part: PartName | undefined): PartName {
  const chosen = part ?? (["test", "validation", "train"] as const).find((name) => data[name] !== null)!;
  if (data[chosen] !== null) return chosen;
  const there = PART_NAMES.filter((name) => data[name] !== null).join(", ");
  throw new ArgumentError(WHERE, "part", `one of ${there}, the parts of the runs' samples`, chosen);
}

/** The numbers of all lists, in one. */
export function joined(parts: readonly Float64Array[]): Float64Array {
  const all = new Float64Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
