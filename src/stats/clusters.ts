// Clusters of few things by their distances: a tree by average linkage, and the number of clusters by silhouettes.

import { ArgumentError, ShapeError } from "../core/errors.ts";

/** Two clusters that become one. Things are clusters 0 … n − 1; merge k makes cluster n + k. */
export interface Merge {
  readonly left: number;
  readonly right: number;
  /** Distance of the two. */
  readonly height: number;
  /** Things in the new cluster. */
  readonly size: number;
}

/** How clearly things fall into so many clusters. */
export interface ClusterCount {
  readonly count: number;
  /** Mean silhouette. */
  readonly silhouette: number;
}

/** Clusters of n things. */
export interface Clusters {
  /** n − 1 merges, from the nearest pair on. */
  readonly merges: readonly Merge[];
  /** The things in an order in which no lines of the tree cross. */
  readonly order: readonly number[];
  /** Number of clusters; 1: no clear ones. */
  readonly count: number;
  /** [n], cluster of each thing, numbered in the order of the things. */
  readonly labels: readonly number[];
  /** Every number from 2 to n − 1, and its mean silhouette. */
  readonly counts: readonly ClusterCount[];
  /** Mean silhouette from which on clusters count as clear. */
  readonly leastSilhouette: number;
}

/** Kaufman and Rousseeuw call the structure reasonable from about 0.5 on. */
export const LEAST_SILHOUETTE = 0.5;

/**
 * Clusters by average linkage, as many of them as have the largest mean silhouette; one if that is below `leastSilhouette`, or there are fewer than
 * three things.
 *
 * @param distances        [n][n], symmetric, at least 0
 * @param leastSilhouette  from −1 to 1. Default 0.5
 * @throws {ShapeError | ArgumentError} as `averageLinkage`; `leastSilhouette` out of range
 * Sources: P. J. Rousseeuw, J. Computational and Applied Mathematics 20, 1987 (silhouettes); L. Kaufman, P. J. Rousseeuw, Finding Groups in
 * Data, 1990, table 4 (threshold).
 */
export function cluster(
  distances: readonly ArrayLike<number>[],
  { leastSilhouette = LEAST_SILHOUETTE }: { readonly leastSilhouette?: number } = {},
): Clusters {
  if (!(leastSilhouette >= -1 && leastSilhouette <= 1))
    throw new ArgumentError("cluster", "leastSilhouette", "a number from -1 to 1", `${leastSilhouette}`);
  const merges = averageLinkage(distances);
  const n = distances.length;
  const counts = Array.from({ length: Math.max(0, n - 2) }, (_, k): ClusterCount => {
    const own = silhouettesOf(distances, clustersAt(merges, k + 2));
    return { count: k + 2, silhouette: own.reduce((sum, s) => sum + s, 0) / n };
  });
  // Of equal ones the fewest clusters.
  const best = counts.reduce<ClusterCount | null>((a, b) => (a && a.silhouette >= b.silhouette ? a : b), null);
  const count = best && best.silhouette >= leastSilhouette ? best.count : 1;
  const order = n === 1 ? [0] : thingsOf(merges, n, 2 * n - 2);
  return { merges, order, count, labels: clustersAt(merges, count), counts, leastSilhouette };
}

/**
 * Hierarchical clustering by average linkage (UPGMA): the two nearest clusters become one, again and again. The distance of two clusters is the
 * mean over all pairs of their things,
 *
 * d(k, i ∪ j) = (nᵢ·d(k, i) + nⱼ·d(k, j)) / (nᵢ + nⱼ).
 *
 * Of equally near pairs the first is taken, in the order of the things. O(n³).
 *
 * @param distances  [n][n], symmetric, at least 0, n ≥ 1
 * @throws {ShapeError} no square; {ArgumentError} a distance that is negative, not a number, or differs from that of the reverse
 * Sources: R. R. Sokal, C. D. Michener, University of Kansas Science Bulletin 38, 1958; G. N. Lance, W. T. Williams, Computer Journal 9, 1967.
 */
export function averageLinkage(distances: readonly ArrayLike<number>[]): Merge[] {
  checkDistances("averageLinkage", distances);
  const n = distances.length;
  const d = distances.map((row) => Array.from(row));
  // The cluster that each row stands for now, and its size.
  const active = distances.map((_, i) => ({ row: i, id: i, size: 1 }));
  return Array.from({ length: n - 1 }, (_, k): Merge => {
    let [a, b] = [0, 1];
    for (let i = 0; i < active.length; i++) {
      for (let j = i + 1; j < active.length; j++)
        if (d[active[i]!.row]![active[j]!.row]! < d[active[a]!.row]![active[b]!.row]!) [a, b] = [i, j];
    }
    const [left, right] = [active[a]!, active[b]!];
    const size = left.size + right.size;
    const height = d[left.row]![right.row]!;
    for (const { row } of active) {
      const mean = (left.size * d[left.row]![row]! + right.size * d[right.row]![row]!) / size;
      d[left.row]![row] = mean;
      d[row]![left.row] = mean;
    }
    active[a] = { row: left.row, id: n + k, size };
    active.splice(b, 1);
    return { left: left.id, right: right.id, height, size };
  });
}

/** The cluster of each thing once the first merges have left `count` clusters, numbered in the order of the things. */
export function clustersAt(merges: readonly Merge[], count: number): number[] {
  const n = merges.length + 1;
  const roots = new Set(Array.from({ length: n }, (_, i) => i));
  merges.slice(0, n - count).forEach(({ left, right }, k) => {
    roots.delete(left);
    roots.delete(right);
    roots.add(n + k);
  });
  const rootOf = new Array<number>(n);
  for (const root of roots) for (const thing of thingsOf(merges, n, root)) rootOf[thing] = root;
  const numbers = new Map([...new Set(rootOf)].map((root, number) => [root, number]));
  return rootOf.map((root) => numbers.get(root)!);
}

/** The things of a cluster, from left to right. */
function thingsOf(merges: readonly Merge[], n: number, cluster: number): number[] {
  const things: number[] = [];
  const open = [cluster];
  for (let id = open.pop(); id !== undefined; id = open.pop()) {
    if (id < n) things.push(id);
    else open.push(merges[id - n]!.right, merges[id - n]!.left);
  }
  return things;
}

/**
 * Silhouette of each thing: s = (b − a) / max(a, b), with a its mean distance from the others of its cluster and b the least mean distance from
 * those of another cluster; 0 where it is alone. From −1 (nearer to another cluster) to 1. Source: Rousseeuw 1987, eq. 1.
 *
 * @param distances  as for `cluster`
 * @param labels     [n], cluster of each; at least two clusters
 * @throws {ShapeError | ArgumentError} as `averageLinkage`; another number of labels, or a single cluster
 */
export function silhouettes(distances: readonly ArrayLike<number>[], labels: readonly number[]): number[] {
  const where = "silhouettes";
  checkDistances(where, distances);
  const n = distances.length;
  if (labels.length !== n) throw new ShapeError(where, "labels", `${n} labels`, `${labels.length}`);
  if (new Set(labels).size < 2) throw new ArgumentError(where, "labels", "at least two clusters", "one");
  return silhouettesOf(distances, labels);
}

/** O(n²). */
function silhouettesOf(distances: readonly ArrayLike<number>[], labels: readonly number[]): number[] {
  const size = new Map<number, number>();
  for (const label of labels) size.set(label, (size.get(label) ?? 0) + 1);
  return labels.map((own, i) => {
    if (size.get(own) === 1) return 0;
    const total = new Map<number, number>();
    labels.forEach((label, j) => {
      if (j !== i) total.set(label, (total.get(label) ?? 0) + distances[i]![j]!);
    });
    const a = total.get(own)! / (size.get(own)! - 1);
    let b = Number.POSITIVE_INFINITY;
    for (const [label, sum] of total) if (label !== own) b = Math.min(b, sum / size.get(label)!);
    return Math.max(a, b) === 0 ? 0 : (b - a) / Math.max(a, b);
  });
}

function checkDistances(where: string, distances: readonly ArrayLike<number>[]): void {
  const n = distances.length;
  if (n === 0) throw new ShapeError(where, "distances", "at least one row", "none");
  distances.forEach((row, i) => {
    if (row.length !== n) throw new ShapeError(where, `distances[${i}]`, `${n} numbers`, `${row.length}`);
    for (let j = 0; j < n; j++) {
      const got = row[j]!;
      const fits = got >= 0 && Number.isFinite(got) && got === distances[j]![i];
      if (!fits && i !== j)
        throw new ArgumentError(where, `distances[${i}][${j}]`, "finite, at least 0, symmetric", `${got}`);
    }
  });
}
