// Options of an optimiser by parameter: groups choose parameters by pattern, and the last group with an option decides it.

import { ArgumentError } from "../../core/errors.ts";
import { checkNames } from "../../core/optionNames.ts";
import type { Parameter } from "../../models/parameters/parameter.ts";
import { matchingTrainable, type ParameterPattern } from "../../models/parameters/pattern.ts";
import { notNegative, positive } from "./rule.ts";

/**
 * Options for some parameters. Groups may overlap, unlike torch's: where several give a parameter the same option, the last one decides, so
 * general groups come first. A group without effect is an error.
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

/** What the groups decide for one parameter. */
export interface GroupSettings {
  /** null: the optimiser's. */
  readonly lr: number | null;
  /** null: the optimiser's. */
  readonly weightDecay: number | null;
  readonly frozen: boolean;
}

const GROUP_OPTIONS: Readonly<Record<keyof ParameterGroup, true>> = {
  parameters: true,
  lr: true,
  weightDecay: true,
  frozen: true,
};

/**
 * The settings of every trainable parameter.
 *
 * @throws {ArgumentError} a pattern that matches nothing or only what the model has frozen, numbers out of range, an option without effect,
 *   or no parameter that is left to train
 */
export function resolveGroups<P extends Parameter>(
  where: string,
  groups: readonly ParameterGroup[],
  parameters: readonly P[],
): ReadonlyMap<P, GroupSettings> {
  const members = groups.map((group, i) => {
    check(where, `groups[${i}]`, group);
    return matchingTrainable(where, `groups[${i}].parameters`, group.parameters, parameters);
  });
  const decider = (p: P, option: keyof ParameterGroup): number =>
    groups.findLastIndex((group, i) => group[option] !== undefined && members[i]!.includes(p));
  const decided = <O extends "lr" | "weightDecay" | "frozen">(p: P, option: O) => groups[decider(p, option)]?.[option];
  const settings = parameters
    .filter((p) => p.trainable)
    .map((p) => {
      const [lr, weightDecay] = [decided(p, "lr") ?? null, decided(p, "weightDecay") ?? null];
      return [p, { lr, weightDecay, frozen: decided(p, "frozen") ?? false }] as const;
    });
  const of = new Map(settings);
  groups.forEach((group, i) => {
    for (const option of ["lr", "weightDecay", "frozen"] as const) {
      if (group[option] === undefined) continue;
      const counts = (p: P): boolean => decider(p, option) === i && (option === "frozen" || !of.get(p)!.frozen);
      if (members[i]!.some(counts)) continue;
      const got = `"${group.parameters}", which later groups override or freeze as a whole`;
      throw new ArgumentError(where, `groups[${i}].${option}`, "parameters for which it has an effect", got);
    }
  });
  if (settings.length > 0 && settings.every(([, { frozen }]) => frozen))
    throw new ArgumentError(where, "groups", "at least one parameter that is trained", "all frozen");
  return of;
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
