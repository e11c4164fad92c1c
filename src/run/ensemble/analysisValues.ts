// The numbers that the same analysis found of every member of an ensemble.

import { basename, resolve } from "node:path";
import { comparedNumbers, standardisedNumbers } from "../../analysis/comparedNumbers.ts";
import type { MemberValues } from "../../analysis/ensemble.ts";
import type { EnsembleAnalysis } from "../../analysis/ensembleResult.ts";
import { numbersOf } from "../../analysis/numbersOf.ts";
import { analysisFile, readAnalysis } from "../../analysis/record.ts";
import { ArgumentError, nearestName } from "../../core/errors.ts";
import { plural, quoteText } from "../../core/text.ts";
import type { EnsembleMember } from "./openEnsemble.ts";
import { WHERE } from "./work.ts";

/** What an analysis says about the members. */
export interface AnalysisValues {
  readonly analysis: EnsembleAnalysis;
  /** What members are correlated by. */
  readonly values: MemberValues;
  readonly notes: readonly string[];
}

/**
 * Reads the analysis of every member, and puts their numbers beside each other.
 *
 * @param paths  only the numbers at these paths, or at paths that end with them; empty: all
 * @throws {ArgumentError} a path that is none, no numbers that differ between members; {FileFormatError} a member without the analysis
 */
export async function analysisValues(
  members: readonly EnsembleMember[],
  name: string,
  paths: readonly string[],
): Promise<AnalysisValues> {
  const records = await Promise.all(members.map(({ folder }) => readAnalysis(analysisFile(folder, name), name)));
  const kind = records[0]!.kind;
  const other = records.findIndex((record) => record.kind !== kind);
  if (other >= 0) throw new ArgumentError(WHERE, "analysis", `an analysis of axograd ${kind}`, records[other]!.kind);
  const parts = records.map(({ result }, m) => {
    const own = basename(resolve(members[m]!.folder));
    return numbersOf(result.all, (part) => basename(part) === own);
  });
  const known = [...parts[0]!.keys()];
  const isMeant = (path: string, wanted: string): boolean => path === wanted || path.endsWith(`.${wanted}`);
  for (const wanted of paths) {
    if (known.some((path) => isMeant(path, wanted))) continue;
    const near = nearestName(wanted, known);
    throw new ArgumentError(WHERE, "arrays", `${near ? `${near}? ` : ""}one of ${known.join(", ")}`, wanted);
  }
  const chosen = comparedNumbers(parts).filter(
    ({ path }) => paths.length === 0 || paths.some((wanted) => isMeant(path, wanted)),
  );
  const values = standardisedNumbers(chosen, members.length);
  if (values[0]!.length < 2) {
    const expected = "at least two numbers that all members have, and that differ between them";
    throw new ArgumentError(WHERE, "analysis", expected, `${values[0]!.length} in ${quoteText(name)}`);
  }
  const notes: string[] = [];
  if (new Set(records.map(({ options }) => JSON.stringify(options))).size > 1)
    notes.push(`The analyses ${name} were made with different options.`);
  const missing = chosen.map(({ of, values: own }) =>
    of.filter((_, k) => own.some((list) => Number.isFinite(list[k])) && !own.every((list) => Number.isFinite(list[k]))),
  );
  const count = missing.reduce((sum, { length }) => sum + length, 0);
  if (count > 0) {
    const things = [...new Set(missing.flat())].filter((of) => of !== "");
    const some = things.length === 0 ? "" : `, of ${things.slice(0, 5).join("; ")}${things.length > 5 ? "; …" : ""}`;
    notes.push(
      `Some member lacks ${plural(count, "number")} of ${name}${some}: left out of correlations and clusters.`,
    );
  }
  return { analysis: { name, kind, numbers: chosen }, values: { name: "analysis", values }, notes };
}
