// Options of an optimiser by parameter, or by element: groups choose them by pattern, and the last group with an option decides it.

import { ArgumentError } from "../../core/errors.ts";
import { checkNames } from "../../core/optionNames.ts";
import type { Parameter } from "../../models/parameters/parameter.ts";
import type { ParameterPattern } from "../../models/parameters/pattern.ts";
import { chosenElements, type PatternScope } from "../parameterElements.ts";
import { notNegative, positive } from "./rule.ts";

/**
 * Options for some parameters, or for their elements at some neurons (`biases[type=T4*]`). Groups may overlap, unlike torch's: where several
 * give a parameter the same option, the last one decides, so general groups come first. A group without effect is an error.
 */
export interface ParameterGroup {
  readonly parameters: ParameterPattern;
  /** Learning rate in place of the optimiser's; schedules multiply it as well. */
  readonly lr?: number;
  /** In place of the optimiser's. */
  readonly weightDecay?: number;
  /** true: neither updated, nor part of the norm that clipping takes. Its gradient is still computed; a model that freezes it saves that. */
  readonly frozen?: boolean;
}

/** What the groups decide for the elements of a class. */
export interface GroupSettings {
  /** null: the optimiser's. */
  readonly lr: number | null;
  /** null: the optimiser's. */
  readonly weightDecay: number | null;
  readonly frozen: boolean;
}

/** What the groups decide for one parameter. */
export interface ParameterSettings {
  /** At least one; each has elements. */
  readonly classes: readonly GroupSettings[];
  /** [size], the class of each element in the device's order; null: there is one class. */
  readonly classIdx: Uint8Array | null;
}

const GROUP_OPTIONS: Readonly<Record<keyof ParameterGroup, true>> = {
  parameters: true,
  lr: true,
  weightDecay: true,
  frozen: true,
};

/** What a group can decide. */
const DECISIONS = ["lr", "weightDecay", "frozen"] as const;
/** The number of the group that decides each option; −1: none. */
type Deciders = Readonly<Record<(typeof DECISIONS)[number], number>>;
const UNDECIDED: Deciders = { lr: -1, weightDecay: -1, frozen: -1 };
/** Twice as many fit an index of a byte. */
const MOST_CLASSES = 128;

/** Elements of a parameter by class. */
interface Classes<T> {
  readonly classes: readonly T[];
  readonly classIdx: Uint8Array | null;
}

/**
 * The settings of every trainable parameter.
 *
 * @throws {ArgumentError} a pattern that matches nothing or only what the model has frozen, numbers out of range, an option without effect,
 *   more than 128 kinds of elements in a parameter, or no parameter that is left to train
 */
export function resolveGroups<P extends Parameter>(
  where: string,
  groups: readonly ParameterGroup[],
  parameters: readonly P[],
  scope: PatternScope = {},
): ReadonlyMap<P, ParameterSettings> {
  const members = groups.map((group, i) => {
    check(where, `groups[${i}]`, group);
    return chosenElements(where, `groups[${i}].parameters`, group.parameters, parameters, scope);
  });
  const settingsOf = ({ lr, weightDecay, frozen }: Deciders): GroupSettings => ({
    lr: groups[lr]?.lr ?? null,
    weightDecay: groups[weightDecay]?.weightDecay ?? null,
    frozen: groups[frozen]?.frozen ?? false,
  });
  const decided = parameters.filter((p) => p.trainable).map((p) => [p, decidersOf(where, groups, members, p)] as const);
  const used = decided.flatMap(([, { classes }]) => classes);
  groups.forEach((group, i) => {
    for (const option of DECISIONS) {
      if (group[option] === undefined) continue;
      const counts = (by: Deciders): boolean => by[option] === i && (option === "frozen" || !settingsOf(by).frozen);
      if (used.some(counts)) continue;
      const got = `"${group.parameters}", which later groups override or freeze as a whole`;
      throw new ArgumentError(where, `groups[${i}].${option}`, "parameters for which it has an effect", got);
    }
  });
  const settings = decided.map(([p, { classes, classIdx }]) => {
    const own = { classes: classes.map(settingsOf), classIdx };
    return [p, compacted(own, ({ lr, weightDecay, frozen }) => `${lr} ${weightDecay} ${frozen}`)] as const;
  });
  if (settings.length > 0 && settings.every(([, { classes }]) => classes.every(({ frozen }) => frozen)))
    throw new ArgumentError(where, "groups", "at least one parameter that is trained", "all frozen");
  return new Map(settings);
}

/** The groups that decide for the elements of a parameter. */
function decidersOf<P extends Parameter>(
  where: string,
  groups: readonly ParameterGroup[],
  members: readonly ReadonlyMap<P, Uint8Array | null>[],
  p: P,
): Classes<Deciders> {
  let all: Classes<Deciders> = { classes: [UNDECIDED], classIdx: null };
  for (const [i, group] of groups.entries()) {
    const chosen = members[i]!.get(p);
    if (chosen === undefined) continue;
    const own = Object.fromEntries(DECISIONS.flatMap((o) => (group[o] === undefined ? [] : [[o, i] as const])));
    const { classes, classIdx } = all;
    const changed = classes.map((by) => ({ ...by, ...own }));
    if (chosen === null) all = { classes: changed, classIdx };
    else {
      if (classes.length > MOST_CLASSES) {
        const expected = `at most ${MOST_CLASSES} kinds of elements in ${p.name} before it`;
        throw new ArgumentError(where, `groups[${i}]`, expected, `${classes.length}`);
      }
      const idx = chosen.map((isIn, e) => (classIdx?.[e] ?? 0) + isIn * classes.length);
      all = { classes: [...classes, ...changed], classIdx: idx };
    }
    all = compacted(all, ({ lr, weightDecay, frozen }) => `${lr} ${weightDecay} ${frozen}`);
  }
  return all;
}

/** The same with each class that has elements once. */
function compacted<T>({ classes, classIdx }: Classes<T>, keyOf: (one: T) => string): Classes<T> {
  if (classIdx === null) return { classes, classIdx };
  const isUsed = new Uint8Array(classes.length);
  for (const c of classIdx) isUsed[c] = 1;
  const numbers = new Map<string, number>();
  const kept: T[] = [];
  const number = Uint8Array.from(classes, (one, c) => {
    const key = keyOf(one);
    if (isUsed[c] === 0) return 0;
    const known = numbers.get(key);
    if (known !== undefined) return known;
    numbers.set(key, kept.length);
    return kept.push(one) - 1;
  });
  return { classes: kept, classIdx: kept.length === 1 ? null : classIdx.map((c) => number[c]!) };
}

function check(where: string, path: string, group: ParameterGroup): void {
  checkNames(where, group, GROUP_OPTIONS, `${path}.`);
  const { parameters, lr, weightDecay, frozen } = group;
  if (typeof parameters !== "string")
    throw new ArgumentError(where, `${path}.parameters`, "a pattern of names or roles", `${parameters}`);
  if (lr === undefined && weightDecay === undefined && frozen === undefined)
    throw new ArgumentError(where, path, "lr, weightDecay or frozen", "none of them");
  if (lr !== undefined) positive(where, `${path}.lr`, lr);
  if (weightDecay !== undefined) notNegative(where, `${path}.weightDecay`, weightDecay);
  if (frozen !== undefined && typeof frozen !== "boolean")
    throw new ArgumentError(where, `${path}.frozen`, "true or false", `${frozen}`);
}
