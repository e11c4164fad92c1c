// The parameters of the members of an ensemble: what is kept of each, and how they compare.

import { distanceOfSorted, type MemberValues, type ParameterSpread, parameterSpread } from "../../analysis/ensemble.ts";
import type { DistributionSpread } from "../../analysis/ensembleResult.ts";
import type { FloatArray } from "../../core/dtype.ts";
import type { NamedNeurons } from "../../data/neuronGroups.ts";
import type { Parameter } from "../../models/parameters/parameter.ts";
import { dynamicsLabel } from "../../report/observation.ts";
import { squaredDeviations } from "../../stats/spread.ts";
import type { OpenedRun } from "../openRun.ts";
import { joined } from "./work.ts";

/** Of a parameter with more values, so many, evenly spaced, are compared one by one. */
const COMPARED_VALUES = 2 ** 18;

/** What is kept of a member. */
export interface Measured {
  readonly step: number;
  readonly parameters: readonly MeasuredParameter[];
  readonly hasSameWiring: boolean;
}

/** A parameter of a member. */
export interface MeasuredParameter {
  readonly name: string;
  readonly of: Parameter["of"];
  readonly size: number;
  /** At most `COMPARED_VALUES`. */
  readonly values: Float64Array;
  /** Means of groups of neurons or connections, by name. */
  readonly groups: ReadonlyMap<string, number>;
}

/** The parameters of the dynamics of a member. @param groups  of its neurons */
export async function parametersOf(run: OpenedRun, groups: readonly NamedNeurons[]): Promise<MeasuredParameter[]> {
  const { parameters } = run.model;
  const labels = labelsOf(groups, run.selectable.count);
  const measured: MeasuredParameter[] = [];
  for (const parameter of parameters.all()) {
    const { of, name, size } = parameter;
    const label = dynamicsLabel(parameter);
    if (label === null) continue;
    const values = await parameters.values(name);
    const unique = measured.some((it) => it.name === label) ? name : label;
    measured.push({
      ...{ name: unique, of, size, values: evenly(values) },
      groups: groupMeans(parameter, values, labels),
    });
  }
  return measured;
}

/** The group of each neuron; null: none. */
function labelsOf(groups: readonly NamedNeurons[], count: number): (string | null)[] {
  const labels = new Array<string | null>(count).fill(null);
  for (const { name, neurons } of groups) for (const i of neurons) labels[i] = name;
  return labels;
}

/** Means over groups of neurons, or over pairs of groups of what connections share. Connections with weights of their own are one group. */
function groupMeans(parameter: Parameter, values: FloatArray, labels: readonly (string | null)[]): Map<string, number> {
  const { of, shared, matrix } = parameter;
  const sums = new Map<string, [sum: number, count: number]>();
  const add = (group: string | null, value: number): void => {
    if (group === null) return;
    const own = sums.get(group);
    if (!own) sums.set(group, [value, 1]);
    else {
      own[0] += value;
      own[1]++;
    }
  };
  for (const value of of === "connections" ? values : []) add("all", value);
  if (of === "neurons" && !shared) for (const [i, value] of values.entries()) add(labels[i] ?? null, value);
  // A value that elements share belongs to the group of the first of them.
  const isSeen = new Uint8Array(values.length);
  const isFirst = (value: number): boolean => {
    if (isSeen[value] === 1) return false;
    isSeen[value] = 1;
    return true;
  };
  if (shared && of === "neuron types") {
    const { by } = shared;
    for (let i = 0; i < by.length; i++) if (isFirst(by[i]!)) add(labels[i] ?? null, values[by[i]!]!);
  }
  if (shared && of === "groups of connections" && matrix) {
    const { by } = shared;
    const { nRows, rowPtr, colIdx } = matrix;
    for (let post = 0; post < nRows; post++) {
      for (let k = rowPtr[post]!; k < rowPtr[post + 1]!; k++) {
        if (!isFirst(by[k]!)) continue;
        const [from, to] = [labels[colIdx[k]!] ?? null, labels[post] ?? null];
        add(from === null || to === null ? null : `${from} → ${to}`, values[by[k]!]!);
      }
    }
  }
  return new Map(Array.from(sums, ([group, [sum, count]]) => [group, sum / count]));
}

/** At most `COMPARED_VALUES` of the values, evenly spaced. */
function evenly(values: ArrayLike<number>): Float64Array {
  const n = Math.min(values.length, COMPARED_VALUES);
  return Float64Array.from({ length: n }, (_, k) => values[Math.floor((k * values.length) / n)]!);
}

/** The parameters that can be compared value by value. */
export function comparedParameters(measured: readonly Measured[], notes: string[]): MemberValues[] {
  const isRewired = measured.some(({ hasSameWiring }) => !hasSameWiring);
  return commonParameters(measured).flatMap(({ name, of, size, values }): MemberValues[] => {
    if (isRewired && (of === "connections" || of === "groups of connections")) {
      notes.push(
        `The members' connections are between different neurons, so their ${name} are compared as distributions only.`,
      );
      return [];
    }
    if (size < 2) return [];
    const compared = values[0]!.length;
    if (compared < size) notes.push(`Of ${size} ${name}, ${compared} are compared one by one, evenly spaced.`);
    return [{ name, values }];
  });
}

interface CommonParameter {
  readonly name: string;
  readonly of: string;
  readonly size: number;
  /** [members] */
  readonly values: readonly Float64Array[];
  readonly groups: readonly ReadonlyMap<string, number>[];
}

/** Parameters that all members have, with as many values. */
function commonParameters(measured: readonly Measured[]): CommonParameter[] {
  return measured[0]!.parameters.flatMap(({ name, of, size }) => {
    const own = measured.map(({ parameters }) =>
      parameters.find((it) => it.name === name && it.of === of && it.size === size),
    );
    if (!own.every((it) => it !== undefined)) return [];
    return [{ name, of, size, values: own.map((it) => it.values), groups: own.map((it) => it.groups) }];
  });
}

export function groupSpreads(measured: readonly Measured[]): ParameterSpread[] {
  return commonParameters(measured).flatMap(({ name, groups }) =>
    [...groups[0]!.keys()].flatMap((group) =>
      groups.every((own) => own.has(group))
        ? [
            parameterSpread(
              name,
              group,
              groups.map((own) => own.get(group)!),
            ),
          ]
        : [],
    ),
  );
}

export function distributionsOf(measured: readonly Measured[]): DistributionSpread[] {
  return commonParameters(measured)
    .filter(({ of }) => of === "connections" || of === "neurons")
    .map(({ name, of, size, values }) => {
      const sorted = values.map((own) => own.slice().sort());
      const pairs = sorted.flatMap((a, i) => sorted.slice(0, i).map((b) => distanceOfSorted(a, b)));
      const distance = pairs.reduce((sum, d) => sum + d, 0) / pairs.length;
      const all = joined(values);
      const sd = Math.sqrt(squaredDeviations(all) / all.length);
      return {
        parameter: name,
        of,
        values: size,
        compared: values[0]!.length,
        distance,
        relative: sd > 0 ? distance / sd : null,
      };
    });
}
