// Several networks as one object: mean and spread of what was measured of each, how much they agree, and clusters of solutions.

import { ArgumentError, ShapeError } from "../core/errors.ts";
import { distributionOf } from "../data/statistics.ts";
import { correlationMatrix, type IntraclassCorrelation, intraclassCorrelation } from "../stats/agreement.ts";
import { type Clusters, cluster } from "../stats/clusters.ts";
import { spread } from "../stats/spread.ts";

/** Mean and spread of a number over members. */
export interface MemberSpread {
  /** Members that have it. */
  readonly n: number;
  readonly mean: number;
  /** Standard deviation (n − 1); null: a single member. */
  readonly sd: number | null;
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** A number of each member; NaN: it has none. */
export interface MemberNumbers {
  readonly name: string;
  /** [members] */
  readonly values: readonly number[];
}

/** A measure of quality. */
export interface MemberMetric extends MemberNumbers {
  readonly better: "higher" | "lower";
}

/** Values that all members have, in the same order: weights, or responses. */
export interface MemberValues {
  readonly name: string;
  /** [members][values] */
  readonly values: readonly ArrayLike<number>[];
}

/** How much members agree on some values. */
export interface Agreement {
  readonly name: string;
  /** Values per member. */
  readonly count: number;
  /** [members][members], Pearson's; null: the values of one are constant. */
  readonly correlations: readonly (readonly (number | null)[])[];
  /** Mean over pairs of members; null: one of them is not known. */
  readonly meanCorrelation: number | null;
  readonly intraclass: IntraclassCorrelation;
}

/** A metric of the members of a cluster. */
export interface ClusterMetric extends MemberSpread {
  readonly name: string;
}

/** A cluster of solutions. */
export interface SolutionCluster {
  /** Indices of members. */
  readonly members: readonly number[];
  readonly metrics: readonly ClusterMetric[];
}

/** Clusters of members by the correlation distance 1 − r of some values. */
export interface Solutions extends Clusters {
  /** Name of the values. */
  readonly by: string;
  readonly clusters: readonly SolutionCluster[];
}

/** What members have in common, and where they differ. */
export interface EnsembleStatistics {
  /** `best`: index of the member with the best value, the first of equal ones; null: none has a value. */
  readonly metrics: readonly (MemberMetric & { readonly spread: MemberSpread | null; readonly best: number | null })[];
  readonly agreement: readonly Agreement[];
  /** null: a correlation is not known, or there is nothing to cluster by. */
  readonly solutions: Solutions | null;
}

/** What `ensembleStatistics` takes. */
export interface EnsembleMeasures {
  readonly metrics: readonly MemberMetric[];
  readonly values: readonly MemberValues[];
  /** Name of the values by which members are clustered; default: the first. */
  readonly clusterBy?: string;
  /** See `cluster`. */
  readonly leastSilhouette?: number;
}

/**
 * Statistics of two members or more: spread of metrics, agreement of values, clusters of solutions.
 *
 * The correlation r of two members is taken over the values; their distance is 1 − r. The intraclass correlation is the share of the variance of the
 * values that members have in common. Clusters are those of average linkage, as many as silhouettes tell (`cluster`).
 *
 * @throws {ArgumentError} fewer than two members, values with NaN, `clusterBy` that is none of the values
 * @throws {ShapeError} members with different numbers of values
 */
export function ensembleStatistics(measures: EnsembleMeasures): EnsembleStatistics {
  const { metrics, values, clusterBy = values[0]?.name, leastSilhouette } = measures;
  const where = "ensembleStatistics";
  const n = metrics[0]?.values.length ?? values[0]?.values.length ?? 0;
  if (n < 2) throw new ArgumentError(where, "members", "at least two", `${n}`);
  for (const { name, values: own } of [...metrics, ...values])
    if (own.length !== n) throw new ShapeError(where, name, `${n} members`, `${own.length}`);
  const by = values.find(({ name }) => name === clusterBy);
  if (!by && clusterBy !== undefined)
    throw new ArgumentError(where, "clusterBy", `one of ${values.map(({ name }) => name).join(", ")}`, clusterBy);
  const agreement = values.map(agreementOf);
  return {
    metrics: metrics.map((metric) => ({ ...metric, spread: memberSpread(metric.values), best: bestOf(metric) })),
    agreement,
    solutions: by ? solutionsOf(agreement[values.indexOf(by)]!, metrics, leastSilhouette) : null,
  };
}

/** Mean and spread of the values that are finite; null: there are none. */
export function memberSpread(values: readonly number[]): MemberSpread | null {
  const known = values.filter(Number.isFinite);
  const own = spread(known);
  return own && { n: known.length, ...distributionOf(known), ...own };
}

/** The first of the best members; null: none has a value. */
function bestOf({ values, better }: MemberMetric): number | null {
  const known = values.filter(Number.isFinite);
  if (known.length === 0) return null;
  return values.indexOf(better === "higher" ? Math.max(...known) : Math.min(...known));
}

function agreementOf({ name, values }: MemberValues): Agreement {
  for (const [m, own] of values.entries()) {
    for (let i = 0; i < own.length; i++)
      if (!Number.isFinite(own[i]))
        throw new ArgumentError("ensembleStatistics", name, "finite values", `${own[i]} at ${i} of member ${m}`);
  }
  const correlations = correlationMatrix(values).map((row) => row.map((r) => (Number.isNaN(r) ? null : r)));
  const pairs = correlations.flatMap((row, a) => row.slice(0, a));
  const isKnown = pairs.every((r): r is number => r !== null);
  return {
    name,
    count: values[0]!.length,
    correlations,
    meanCorrelation: isKnown ? pairs.reduce((sum, r) => sum + r, 0) / pairs.length : null,
    intraclass: intraclassCorrelation(values),
  };
}

function solutionsOf(
  { name, correlations, meanCorrelation }: Agreement,
  metrics: readonly MemberMetric[],
  leastSilhouette: number | undefined,
): Solutions | null {
  if (meanCorrelation === null) return null;
  const distances = correlations.map((row) => row.map((r) => 1 - r!));
  const found = cluster(distances, leastSilhouette === undefined ? {} : { leastSilhouette });
  const clusters = Array.from({ length: found.count }, (_, c): SolutionCluster => {
    const members = found.labels.flatMap((label, m) => (label === c ? [m] : []));
    const own = metrics.flatMap(({ name: metric, values }): ClusterMetric[] => {
      const known = memberSpread(members.map((m) => values[m]!));
      return known ? [{ name: metric, ...known }] : [];
    });
    return { members, metrics: own };
  });
  return { ...found, by: name, clusters };
}

/** A parameter of a group of neurons or connections, over members. */
export interface ParameterSpread extends MemberSpread {
  readonly parameter: string;
  /** A type, a pair of types ("T4a → T5a"), or "all". */
  readonly group: string;
  /** [members], mean of each over the group. */
  readonly values: readonly number[];
  /** Coefficient of variation sd/|mean|; null: a single member, or a mean of 0. */
  readonly variation: number | null;
}

/** Mean and spread over members of the means over a group. */
export function parameterSpread(parameter: string, group: string, values: readonly number[]): ParameterSpread {
  const own = memberSpread(values)!;
  const variation = own.sd === null || own.mean === 0 ? null : own.sd / Math.abs(own.mean);
  return { parameter, group, values, ...own, variation };
}

/**
 * How far apart the distributions of two lists of equally many numbers are: the mean difference of numbers of equal rank,
 * W₁ = (1/n)·Σ |x₍ᵢ₎ − y₍ᵢ₎|, in the unit of the numbers. Which number belongs to what does not matter.
 *
 * @throws {ShapeError} lists of different lengths
 * Source: S. S. Vallender, Theory of Probability and its Applications 18, 1974 (Wasserstein's distance on the line).
 */
export function distributionDistance(x: ArrayLike<number>, y: ArrayLike<number>): number {
  return distanceOfSorted(Float64Array.from(x).sort(), Float64Array.from(y).sort());
}

/** `distributionDistance` of ascending lists. */
export function distanceOfSorted(x: ArrayLike<number>, y: ArrayLike<number>): number {
  const n = x.length;
  if (y.length !== n) throw new ShapeError("distributionDistance", "y", `${n} numbers`, `${y.length}`);
  let sum = 0;
  for (let i = 0; i < n; i++) sum += Math.abs(x[i]! - y[i]!);
  return sum / Math.max(1, n);
}
