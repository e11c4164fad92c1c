// How weights differ by pair of groups of neurons (pre → post).

import { finish, type Steps } from "../../core/abort.ts";
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

/** Places of the sums over the connections of a pair, in an array. */
const AT = {
  connections: 0,
  sumBefore: 1,
  sumAfter: 2,
  absBefore: 3,
  absAfter: 4,
  squareBefore: 5,
  squareMoved: 6,
  signChanged: 7,
  // Welford's mean and Σ(w₀ − mean w₀)²: 0 exactly where w₀ are equal.
  mean: 8,
  variation: 9,
} as const;
const WIDTH = 10;

/**
 * Changes of weights from w₀ to w by pair of groups. One walk over the rows, group by group; memory O(groups + pairs).
 * Source of the variances behind R²: B. P. Welford, Technometrics 4, 419–420, 1962.
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
  return finish(groupSteps(csr, before, after, groups));
}

/** `changesByGroups`, a receiving group at a time. */
export function* groupSteps(
  csr: Csr,
  before: ArrayLike<number>,
  after: ArrayLike<number>,
  groups: TypedNeurons,
): Steps<GroupChanges> {
  const where = "changesByGroups";
  for (const [name, { length }] of Object.entries({ before, after })) {
    if (length !== csr.nnz) throw new ShapeError(where, name, `${csr.nnz}, one per connection`, `${length}`);
  }
  checkTypedNeurons(where, csr, groups);
  const { typeIdx, types } = groups;
  const { members, begin } = groupsBy(csr.nRows, () => true, [{ extent: types.length, of: (i) => typeIdx[i]! }]);
  const receivers = Array.from({ length: begin.length - 1 }, (_, g) => members.subarray(begin[g]!, begin[g + 1]!));
  const nPairs = countPairs(csr, receivers, groups);
  yield;
  const [pre, post, kept] = [new Uint32Array(nPairs), new Uint32Array(nPairs), new Float64Array(nPairs * WIDTH)];
  const sums = new Float64Array(types.length * WIDTH);
  let pairs = 0;
  for (const neurons of receivers) {
    const senders = sumUp(csr, neurons, groups, before, after, sums);
    for (const sender of senders) {
      pre[pairs] = sender;
      post[pairs] = typeIdx[neurons[0]!]!;
      const own = sums.subarray(sender * WIDTH, (sender + 1) * WIDTH);
      kept.set(own, pairs++ * WIDTH);
      own.fill(0);
    }
    yield;
  }
  const value = (pair: number, name: keyof typeof AT): number => kept[pair * WIDTH + AT[name]]!;
  const squares = new Float64Array(nPairs);
  for (let p = 0; p < nPairs; p++) squares[p] = value(p, "squareMoved");
  const order = Uint32Array.from(pre.keys()).sort((a, b) => squares[b]! - squares[a]! || a - b);
  const counts = (of: (pair: number) => number) => Uint32Array.from(order, of);
  const numbers = (of: (pair: number) => number) => Float64Array.from(order, of);
  return {
    pre: counts((p) => pre[p]!),
    post: counts((p) => post[p]!),
    connections: counts((p) => value(p, "connections")),
    sumBefore: numbers((p) => value(p, "sumBefore")),
    sumAfter: numbers((p) => value(p, "sumAfter")),
    absBefore: numbers((p) => value(p, "absBefore")),
    absAfter: numbers((p) => value(p, "absAfter")),
    moved: numbers((p) => Math.sqrt(value(p, "squareMoved"))),
    relativeL2: numbers((p) => relative(Math.sqrt(value(p, "squareMoved")), Math.sqrt(value(p, "squareBefore")))),
    signChanged: counts((p) => value(p, "signChanged")),
    r2: numbers((p) => {
      const variation = value(p, "variation");
      return variation > 0 ? 1 - value(p, "squareMoved") / variation : Number.NaN;
    }),
  };
}

/** How many pairs of groups have connections. */
function countPairs(
  { rowPtr, colIdx }: Csr,
  receivers: readonly Uint32Array[],
  { types, typeIdx }: TypedNeurons,
): number {
  const seenBy = new Uint32Array(types.length);
  let pairs = 0;
  receivers.forEach((neurons, g) => {
    for (const i of neurons) {
      for (let k = rowPtr[i]!; k < rowPtr[i + 1]!; k++) {
        const sender = typeIdx[colIdx[k]!]!;
        if (seenBy[sender] === g + 1) continue;
        seenBy[sender] = g + 1;
        pairs++;
      }
    }
  });
  return pairs;
}

/** Adds up the connections to some neurons by the group that sends, into zeros. @returns these groups, ascending */
function sumUp(
  { rowPtr, colIdx }: Csr,
  neurons: Uint32Array,
  { typeIdx }: TypedNeurons,
  before: ArrayLike<number>,
  after: ArrayLike<number>,
  sums: Float64Array,
): readonly number[] {
  const senders: number[] = [];
  for (const i of neurons) {
    for (let k = rowPtr[i]!; k < rowPtr[i + 1]!; k++) {
      const sender = typeIdx[colIdx[k]!]!;
      const at = sender * WIDTH;
      const [x, y] = [before[k]!, after[k]!];
      if (sums[at + AT.connections]!++ === 0) senders.push(sender);
      sums[at + AT.sumBefore]! += x;
      sums[at + AT.sumAfter]! += y;
      sums[at + AT.absBefore]! += Math.abs(x);
      sums[at + AT.absAfter]! += Math.abs(y);
      sums[at + AT.squareBefore]! += x * x;
      sums[at + AT.squareMoved]! += (y - x) ** 2;
      if (Math.sign(x) * Math.sign(y) < 0) sums[at + AT.signChanged]!++;
      const deviation = x - sums[at + AT.mean]!;
      sums[at + AT.mean]! += deviation / sums[at + AT.connections]!;
      sums[at + AT.variation]! += deviation * (x - sums[at + AT.mean]!);
    }
  }
  return senders.sort((a, b) => a - b);
}
