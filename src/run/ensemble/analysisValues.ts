// The numbers that the same analysis found of every member of an ensemble.

import type { MemberValues } from "../../analysis/ensemble.ts";
import { numbersOf } from "../../analysis/numbersOf.ts";
import { analysisFile, readAnalysis } from "../../analysis/record.ts";
import { ArgumentError, nearestName } from "../../core/errors.ts";
import { quoteText } from "../../core/text.ts";
import { pooledSd } from "./memberParameters.ts";
import type { EnsembleMember } from "./openEnsemble.ts";
import { joined, WHERE } from "./work.ts";

/**
 * The numbers of the same analysis of every member, as one list per member: those that differ between members and are numbers in all. Each path is
 * counted in standard deviations about its mean, over all members, so that units do not matter.
 */
export async function analysisValues(
  members: readonly EnsembleMember[],
  name: string,
  paths: readonly string[],
): Promise<{ readonly values: MemberValues; readonly notes: readonly string[] }> {
  const records = await Promise.all(members.map(({ folder }) => readAnalysis(analysisFile(folder, name), name)));
  const parts = records.map(({ result }) => numbersOf(result.all));
  const [first] = parts;
  const notes: string[] = [];
  const options = new Set(records.map((record) => JSON.stringify(record.options)));
  if (options.size > 1) notes.push(`The analyses ${name} were made with different options.`);
  for (const [path, texts] of first!.texts) {
    const other = parts.findIndex((it) => JSON.stringify(it.texts.get(path)) !== JSON.stringify(texts));
    if (other >= 0)
      throw new ArgumentError(
        WHERE,
        "analysis",
        `the same names at ${path} in all members`,
        `others in ${members[other]!.name}`,
      );
  }
  const unknown = paths.find((path) => !first!.numbers.has(path));
  if (unknown !== undefined) {
    const near = nearestName(unknown, first!.numbers.keys());
    throw new ArgumentError(
      WHERE,
      "arrays",
      `${near ? `${near}? ` : ""}one of ${[...first!.numbers.keys()].join(", ")}`,
      unknown,
    );
  }
  const lists: Float64Array[][] = members.map(() => []);
  for (const [path, { length }] of first!.numbers) {
    if (paths.length > 0 && !paths.includes(path)) continue;
    const own = parts.map(({ numbers }, m) => {
      const list = numbers.get(path);
      if (list?.length === length) return list;
      throw new ArgumentError(
        WHERE,
        "analysis",
        `${length} numbers at ${path}`,
        `${list?.length ?? 0} in ${members[m]!.name}`,
      );
    });
    const kept = Array.from({ length }, (_, i) => i).filter((i) => own.every((list) => Number.isFinite(list[i])));
    if (kept.length < length)
      notes.push(`${length - kept.length} of ${length} numbers at ${path} are missing in some member, and left out.`);
    const isSame = own.every((list) => kept.every((i) => list[i] === own[0]![i]));
    if (isSame || kept.length === 0) continue;
    const chosen = own.map((list) => Float64Array.from(kept, (i) => list[i]!));
    const sd = pooledSd(chosen);
    const mean =
      chosen.reduce((sum, list) => sum + list.reduce((part, v) => part + v, 0), 0) / (chosen.length * kept.length);
    chosen.forEach((list, m) => {
      lists[m]!.push(list.map((v) => (v - mean) / sd));
    });
  }
  if (lists[0]!.length === 0)
    throw new ArgumentError(WHERE, "analysis", "numbers that differ between members", `none in ${quoteText(name)}`);
  return { values: { name: "analysis", values: lists.map(joined) }, notes };
}
