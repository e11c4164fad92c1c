// The numbers that one analysis found of several runs, beside each other.

import { circularSpread } from "../stats/circular.ts";
import { meanOf, type Spread, spread, squaredDeviations } from "../stats/spread.ts";
import type { NamedNumbers, numbersOf } from "./numbersOf.ts";

/** Numbers at a path of the results of all members. */
export interface ComparedNumbers {
  readonly path: string;
  /** Angles, in degrees. */
  readonly isAngle: boolean;
  /** [numbers], what each belongs to: "T4a"; "" where no part has a name. */
  readonly of: readonly string[];
  /** [numbers], position in a list, from 1; null: no list. */
  readonly place: readonly (number | null)[];
  /** [members][numbers]; NaN: the member has none. */
  readonly values: readonly (readonly number[])[];
}

type Numbers = ReturnType<typeof numbersOf>;

/** In results of analyses, numbers of these names are angles in degrees: direction, preferredDirection, directionBySpeed. */
const ANGLES = /(^|\.)(d|\w*D)irection(By[A-Z]\w*)?$/;

/**
 * Puts the numbers of members beside each other, by path and by the names of what they belong to, whatever their order. Paths and names are those of
 * the first member; paths whose numbers are the same in all members are left out.
 */
export function comparedNumbers(members: readonly Numbers[]): ComparedNumbers[] {
  return Array.from(members[0]!, ([path, first]): ComparedNumbers => {
    const byName = members.map((numbers) => new Map(numbers.get(path)?.map((own) => [own.of, own])));
    const rows = first.flatMap((own) => {
      const others = byName.map((named) => valuesLike(own, named.get(own.of)));
      return own.values.map((_, k) => ({
        of: own.of,
        place: own.isList ? k + 1 : null,
        values: others.map((values) => values?.[k] ?? Number.NaN),
      }));
    });
    return {
      ...{ path, isAngle: ANGLES.test(path), of: rows.map(({ of }) => of), place: rows.map(({ place }) => place) },
      values: members.map((_, m) => rows.map(({ values }) => values[m]!)),
    };
  }).filter(({ values }) => values[0]!.some((x, k) => values.some((own) => !Object.is(own[k], x))));
}

/** Lists of different lengths, or whose elements have other names, are of different things. */
function valuesLike(first: NamedNumbers, other: NamedNumbers | undefined): readonly number[] | undefined {
  if (other?.isList !== first.isList || other.names !== first.names) return undefined;
  return other.values.length === first.values.length ? other.values : undefined;
}

/** Mean and spread over members of number k; of angles those on the circle. null: no member has it. */
export function spreadOfNumber({ values, isAngle }: ComparedNumbers, k: number): (Spread & { n: number }) | null {
  const known = values.map((own) => own[k]!).filter(Number.isFinite);
  const own = isAngle ? circularSpread(known) : spread(known);
  return own && { n: known.length, ...own };
}

/**
 * One list of numbers per member to correlate: of each path those that all members have, in standard deviations about their mean over all members, so
 * that units do not matter; an angle is its cosine and its sine.
 *
 * @returns [members][numbers]
 */
export function standardisedNumbers(all: readonly ComparedNumbers[], members: number): Float64Array[] {
  const lists: number[][] = Array.from({ length: members }, () => []);
  for (const { values, isAngle } of all) {
    const complete = Array.from(values[0]!.keys()).filter((k) => values.every((own) => Number.isFinite(own[k])));
    for (const turn of isAngle ? [Math.cos, Math.sin] : [null]) {
      const own = values.map((list) =>
        complete.map((k) => (turn === null ? list[k]! : turn((list[k]! * Math.PI) / 180))),
      );
      const flat = own.flat();
      const mean = meanOf(flat);
      const sd = Math.sqrt(squaredDeviations(flat, mean) / flat.length);
      if (sd > 0) for (const [m, list] of own.entries()) for (const x of list) lists[m]!.push((x - mean) / sd);
    }
  }
  return lists.map((list) => Float64Array.from(list));
}
