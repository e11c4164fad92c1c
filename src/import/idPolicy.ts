// What the ids of neurons are: numbers, names, or positions in a matrix. The rules are those of io/neuronIds.ts; here they are applied to columns of
// millions of ids, forced by an option, and stated.

import { FileFormatError } from "../core/errors.ts";
import { formatCount } from "../core/format.ts";
import { plural, quoteText } from "../core/text.ts";
import {
  arePositions,
  checkIdText,
  checkSpellings,
  compareIds,
  idOfText,
  isName,
  MAX_POSITION,
  type NeuronId,
  numbersOfIds,
} from "../io/neuronIds.ts";
import type { NeuronIds } from "./types.ts";

/**
 * What ids are taken for. "auto": the rules decide. "number": whole numbers, equal by value (7, 7.0, 7e0); names, and numbers padded with zeros, are
 * refused. "name": text as written. "position": whole numbers that are the indices of the neurons, from 0; only for edges without a table of neurons.
 */
export type IdPolicy = "auto" | "number" | "name" | "position";

export const ID_POLICIES: readonly IdPolicy[] = ["auto", "number", "name", "position"];

/** What was decided about ids, and why. Plain JSON. */
export interface IdDecision {
  readonly policy: IdPolicy;
  readonly taken: "numbers" | "names" | "positions";
  /** A sentence for people. */
  readonly why: string;
  /** Different ids. */
  readonly count: number;
  /** The least and the greatest number, as text since they may exceed 2^53; null: ids are names. */
  readonly smallest: string | null;
  readonly largest: string | null;
}

/** Ids by their meaning, in their order. */
export interface SettledIds {
  readonly ids: NeuronIds;
  readonly decision: IdDecision;
}

const LARGEST_64 = "9223372036854775807";

/**
 * The meaning of the ids of a table of neurons. Their order stays.
 *
 * @param placeOf where the i-th id stands, for messages
 * @returns numbers that fit 64 bits as such, all else as text
 * @throws {FileFormatError} an id that is none, two that may be one neuron or two, a name where numbers are demanded
 */
export function settleNeuronIds(ids: NeuronIds, policy: IdPolicy, placeOf: (i: number) => string): SettledIds {
  if (ids instanceof BigInt64Array) {
    const negative = ids.findIndex((id) => id < 0n);
    if (negative >= 0) checkIdText(String(ids[negative]), () => placeOf(negative));
    const asNames = policy === "name";
    return {
      ids: asNames ? Array.from(ids, String) : ids,
      decision: decisionOf(ids, policy, asNames ? "names" : "numbers", null),
    };
  }
  const found = ids.map((text, i) => {
    checkIdText(text, () => placeOf(i));
    return idOfText(text);
  });
  const named = policy === "name" ? -1 : found.findIndex(isName);
  if (named >= 0 && policy !== "auto") {
    const expected = "whole numbers as ids (--ids name takes them as written)";
    throw new FileFormatError(placeOf(named), expected, quoteText(ids[named]!));
  }
  if (policy === "name" || named >= 0) {
    const settled = checkSpellings(found, placeOf).map(String);
    return { ids: settled, decision: decisionOf(settled, policy, "names", named >= 0 ? ids[named]! : null) };
  }
  const numbers = wholeNumbers(numbersOfIds(found, placeOf));
  return { ids: numbers, decision: decisionOf(numbers, policy, "numbers", null) };
}

/** Whole numbers as 64 bits where all fit, else as text. */
function wholeNumbers(ids: readonly NeuronId[]): NeuronIds {
  const texts = ids.map(String);
  const fits = texts.every((text) => compareIds(text, LARGEST_64) <= 0);
  return fits ? BigInt64Array.from(texts, BigInt) : texts;
}

/**
 * The neurons of edges that have no table: all ids that occur, in order (numbers by size, names by code points), or all positions up to the largest.
 *
 * @param found different ids, settled
 * @param first what the meaning of the ids was decided as
 * @throws {FileFormatError} positions that are demanded, and cannot be
 */
export function neuronsOfIds(found: NeuronIds, first: IdDecision, place: string): SettledIds {
  const { policy } = first;
  if (!(found instanceof BigInt64Array)) {
    const ids = [...new Set(found)].sort((a, b) => compareIds(idOfText(a), idOfText(b)));
    if (policy === "position") throw positionError(place, ids.at(-1)!);
    return { ids, decision: { ...first, count: ids.length } };
  }
  const sorted = found.slice().sort();
  const ids = sorted.filter((id, i) => i === 0 || id !== sorted[i - 1]);
  const [smallest, largest] = [Number(ids[0] ?? 0n), Number(ids.at(-1) ?? -1n)];
  const count = ids.length;
  if (policy === "position" && largest >= MAX_POSITION) throw positionError(place, String(ids.at(-1)));
  if (policy !== "position" && (policy !== "auto" || !arePositions(count, smallest, largest))) {
    return { ids, decision: decisionOf(ids, policy, "numbers", null) };
  }
  const why =
    policy === "position"
      ? "as demanded"
      : `since ${formatCount(count)} of the numbers from 0 to ${formatCount(largest)} occur (--ids number takes only those for neurons)`;
  return {
    ids: BigInt64Array.from({ length: largest + 1 }, (_, i) => BigInt(i)),
    decision: { ...decisionOf(ids, policy, "positions", null), why: `Ids are positions in the matrix, ${why}.` },
  };
}

function positionError(place: string, id: string): FileFormatError {
  return new FileFormatError(place, `positions below ${MAX_POSITION}`, quoteText(id));
}

/** @param example a name that makes all ids names; null: there is none */
function decisionOf(
  ids: NeuronIds,
  policy: IdPolicy,
  taken: "numbers" | "names" | "positions",
  example: string | null,
): IdDecision {
  const record = { policy, taken, count: ids.length };
  if (taken === "names") {
    const why =
      example === null ? "as demanded" : `since ${quoteText(example)} is no whole number in its shortest form`;
    return { ...record, why: `Ids are names as written, ${why}.`, smallest: null, largest: null };
  }
  const [smallest, largest] = rangeOf(ids);
  const range = smallest === null ? "" : ` (${smallest} to ${largest})`;
  const isWide = largest !== null && compareIds(idOfText(largest), 2 ** 53) > 0;
  const exact = isWide ? "; those above 2^53 are kept to the last digit" : "";
  return {
    ...record,
    why: `Ids are whole numbers that name neurons, not positions: ${plural(ids.length, "id")}${range}${exact}.`,
    smallest,
    largest,
  };
}

function rangeOf(ids: NeuronIds): [smallest: string | null, largest: string | null] {
  if (ids.length === 0) return [null, null];
  if (ids instanceof BigInt64Array) {
    let [smallest, largest] = [ids[0]!, ids[0]!];
    for (const id of ids) {
      if (id < smallest) smallest = id;
      if (id > largest) largest = id;
    }
    return [String(smallest), String(largest)];
  }
  const order = (a: string, b: string): number => compareIds(idOfText(a), idOfText(b));
  return [ids.reduce((a, b) => (order(b, a) < 0 ? b : a)), ids.reduce((a, b) => (order(b, a) > 0 ? b : a))];
}
