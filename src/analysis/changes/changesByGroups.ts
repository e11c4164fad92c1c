// How weights differ by pair of groups of neurons (pre → post).

import type { Csr } from "../../core/csr.ts";
import { ShapeError } from "../../core/errors.ts";
import { groupsBy } from "../../data/groupsBy.ts";
import { checkTypedNeurons, type TypedNeurons } from "../../data/typePairs.ts";
import { relative } from "./weightChange.ts";

/** Pairs of groups with connections between them, those with the largest Σ(w − w₀)² first. Arrays: [pairs]. */
export interface GroupChanges {
  /** Numbers of the groups that send and receive. */
  readonly pre: Uint32Array;
  readonly post: Uint32Array;
  readonly connections: Uint32Array;
  /** Σw₀ and Σw. */
  readonly sumBefore: Float64Array;
  readonly sumAfter: Float64Array;
  /** Σ|w₀| and Σ|w|. */
  readonly absBefore: Float64Array;
  readonly absAfter: Float64Array;
  /** √Σ(w − w₀)². */
  readonly moved: Float64Array;
  /** √Σ(w − w₀)² / √Σw₀². 0 where nothing changed; NaN where it did and all w₀ are 0. */
  readonly relativeL2: Float64Array;
  /** Connections with w·w₀ < 0. */
  readonly signChanged: Uint32Array;
  /** 1 − Σ(w − w₀)²/Σ(w₀ − mean w₀)²: R² where w₀ are known weights and w those that were found. NaN where w₀ do not vary. */
  readonly r2: Float64Array;
}

/** Sums over the connections of a pair. */
const SUMS = [
  ...["connections", "sumBefore", "sumAfter", "absBefore", "absAfter", "squareBefore", "squareMoved", "signChanged"],
  ...["shift", "shifted", "shiftedSquare"],
] as const;
type Sum = (typeof SUMS)[number];

/**
 * Changes of weights from w₀ to w by pair of groups. One walk over the rows, group by group; memory O(groups + pairs).
 *
 * @param csr     the connections, [post, pre]; its values are not read
 * @param before  w₀, [connections], row-major
 * @param after   w, in the same order
 * @param groups  the group of every neuron: its type, side, …
 * @throws {ShapeError} another number of weights or groups
 */
export function changesByGroups(
  csr: Csr,
  before: ArrayLike<number>,
  after: ArrayLike<number>,
  groups: TypedNeurons,
): GroupChanges {
  const where = "changesByGroups";
  for (const [name, { length }] of Object.entries({ before, after })) {
    if (length !== csr.nnz) throw new ShapeError(where, name, `${csr.nnz}, one per connection`, `${length}`);
  }
  checkTypedNeurons(where, csr, groups);
  const { rowPtr, colIdx, nRows } = csr;
  const { typeIdx, types } = groups;
  const nGroups = types.length;
  const sum = Object.fromEntries(SUMS.map((name) => [name, new Float64Array(nGroups)])) as Record<Sum, Float64Array>;
  const found = { pre: [] as number[], post: [] as number[] };
  const kept = Object.fromEntries(SUMS.map((name) => [name, [] as number[]])) as Record<Sum, number[]>;
  const { members, begin } = groupsBy(nRows, () => true, [{ extent: nGroups, of: (i) => typeIdx[i]! }]);
  for (let g = 0; g + 1 < begin.length; g++) {
    const senders: number[] = [];
    for (let m = begin[g]!; m < begin[g + 1]!; m++) {
      const i = members[m]!;
      for (let k = rowPtr[i]!; k < rowPtr[i + 1]!; k++) {
        const pre = typeIdx[colIdx[k]!]!;
        const [x, y] = [before[k]!, after[k]!];
        if (sum.connections[pre]!++ === 0) {
          senders.push(pre);
          sum.shift[pre] = x;
        }
        sum.sumBefore[pre]! += x;
        sum.sumAfter[pre]! += y;
        sum.absBefore[pre]! += Math.abs(x);
        sum.absAfter[pre]! += Math.abs(y);
        sum.squareBefore[pre]! += x * x;
        sum.squareMoved[pre]! += (y - x) ** 2;
        if (Math.sign(x) * Math.sign(y) < 0) sum.signChanged[pre]!++;
        // Variances from differences with the first weight: those of equal weights are exactly 0.
        const shifted = x - sum.shift[pre]!;
        sum.shifted[pre]! += shifted;
        sum.shiftedSquare[pre]! += shifted * shifted;
      }
    }
    const post = typeIdx[members[begin[g]!]!]!;
    for (const pre of senders.sort((a, b) => a - b)) {
      found.pre.push(pre);
      found.post.push(post);
      for (const name of SUMS) {
        kept[name].push(sum[name][pre]!);
        sum[name][pre] = 0;
      }
    }
  }
  const order = Uint32Array.from(found.pre.keys()).sort((a, b) => kept.squareMoved[b]! - kept.squareMoved[a]! || a - b);
  const counts = (values: readonly number[]) => Uint32Array.from(order, (p) => values[p]!);
  const numbers = (of: (p: number) => number) => Float64Array.from(order, of);
  return {
    ...{ pre: counts(found.pre), post: counts(found.post), connections: counts(kept.connections) },
    sumBefore: numbers((p) => kept.sumBefore[p]!),
    sumAfter: numbers((p) => kept.sumAfter[p]!),
    absBefore: numbers((p) => kept.absBefore[p]!),
    absAfter: numbers((p) => kept.absAfter[p]!),
    moved: numbers((p) => Math.sqrt(kept.squareMoved[p]!)),
    relativeL2: numbers((p) => relative(Math.sqrt(kept.squareMoved[p]!), Math.sqrt(kept.squareBefore[p]!))),
    signChanged: counts(kept.signChanged),
    r2: numbers((p) => {
      const spread = kept.shiftedSquare[p]! - kept.shifted[p]! ** 2 / kept.connections[p]!;
      return spread > 0 ? 1 - kept.squareMoved[p]! / spread : Number.NaN;
    }),
  };
}
