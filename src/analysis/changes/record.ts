// The part of changes that a record keeps: all sums, and of many pairs and groups those that changed most.

import type { Changes, NeuronValues, RecoveredFrom, RecoveredOfNeurons } from "./changes.ts";
import type { GroupChanges } from "./changesByGroups.ts";
import type { NeuronChanges } from "./neuronChanges.ts";
import type { SignMixing } from "./signMixing.ts";

/** Pairs that are kept. */
const MOST_PAIRS = 200;
/** Groups in the map of pairs, and in lists of groups. */
const MOST_GROUPS = 60;

type Names = Changes["groups"]["types"];

/**
 * Changes as plain data. Of more than 200 pairs those with the largest change are kept, of more than 60 groups those whose connections (or values,
 * or mixed signs) changed (or weigh) most; the numbers of all are there, too.
 */
export function changesRecord(changes: Changes): object {
  const { groups, after, parameters, weights, connectome, pairs, signs, amplification, neurons, recovered } = changes;
  return {
    ...{ neurons: after.nRows, connections: after.nnz, parameters, weights, connectome },
    pairs: { count: pairs.pre.length, strongest: strongest(pairs, groups.types) },
    map: mapOf(changes),
    signs: { before: signCounts(signs.before), after: signCounts(signs.after), groups: mixingByGroup(changes) },
    amplification,
    neuronValues: neurons.map((values) => neuronRecord(values, groups.types)),
    recovered: recovered && recoveredRecord(recovered, groups.types),
  };
}

function recoveredRecord({ pairs, tau, bias, ...found }: RecoveredFrom, names: Names): object {
  const ofNeurons = (values: RecoveredOfNeurons | null) =>
    values && { ...values, byGroup: byGroupRecord(values.byGroup, names) };
  return { ...found, tau: ofNeurons(tau), bias: ofNeurons(bias), pairs: pairs ? strongest(pairs, names) : [] };
}

function strongest(pairs: GroupChanges, names: Names): object[] {
  return Array.from({ length: Math.min(MOST_PAIRS, pairs.pre.length) }, (_, p) => ({
    ...{ pre: `${names[pairs.pre[p]!]!}`, post: `${names[pairs.post[p]!]!}`, connections: pairs.connections[p] },
    ...{ sumBefore: pairs.sumBefore[p], sumAfter: pairs.sumAfter[p] },
    ...{ moved: pairs.moved[p], relativeL2: pairs.relativeL2[p], signChanged: pairs.signChanged[p], r2: pairs.r2[p] },
  }));
}

/** Pairs of the groups whose connections changed most, as a square: row, the receiving group. NaN: no connections. */
function mapOf({ groups: { types }, pairs }: Changes): object {
  const moved = new Float64Array(types.length);
  const weight = new Float64Array(types.length);
  const isWired = new Uint8Array(types.length);
  for (let p = 0; p < pairs.pre.length; p++) {
    const [pre, post] = [pairs.pre[p]!, pairs.post[p]!];
    for (const g of pre === post ? [pre] : [pre, post]) {
      moved[g]! += pairs.moved[p]! ** 2;
      weight[g]! += pairs.absBefore[p]!;
      isWired[g] = 1;
    }
  }
  const wired = Uint32Array.from(types.keys()).filter((g) => isWired[g] === 1);
  const byChange = wired.sort((a, b) => moved[b]! - moved[a]! || weight[b]! - weight[a]! || a - b);
  const chosen = byChange.slice(0, MOST_GROUPS).sort();
  const place = new Map([...chosen].map((g, k) => [g, k]));
  const size = chosen.length;
  const [relativeL2, growth] = [0, 1].map(() => new Float64Array(size * size).fill(Number.NaN)) as [
    Float64Array,
    Float64Array,
  ];
  for (let p = 0; p < pairs.pre.length; p++) {
    const [row, col] = [place.get(pairs.post[p]!), place.get(pairs.pre[p]!)];
    if (row === undefined || col === undefined) continue;
    relativeL2[row * size + col] = pairs.relativeL2[p]!;
    growth[row * size + col] = pairs.absAfter[p]! - pairs.absBefore[p]!;
  }
  return { groups: [...chosen].map((g) => `${types[g]!}`), leftOut: wired.length - size, relativeL2, growth };
}

function signCounts({ excitatory, inhibitory, mixed, silent, share, inputs }: SignMixing): object {
  const mean = (totals: Float64Array) => totals.reduce((sum, x) => sum + x, 0) / totals.length;
  const perNeuron = { excitation: mean(inputs.positive), inhibition: mean(inputs.negative) };
  return { excitatory, inhibitory, mixed, silent, share, perNeuron };
}

/** Shares of |w| of the sign that is rarer in its neuron, by group of neurons; the groups with the largest ones. */
function mixingByGroup({ groups: { types, typeIdx }, signs }: Changes): object {
  const sums = ({ outputs: { positive, negative }, minorityShare }: SignMixing) => {
    const [minority, total, mixed] = [0, 1, 2].map(() => new Float64Array(types.length)) as [
      Float64Array,
      Float64Array,
      Float64Array,
    ];
    for (let i = 0; i < typeIdx.length; i++) {
      const g = typeIdx[i]!;
      minority[g]! += Math.min(positive[i]!, negative[i]!);
      total[g]! += positive[i]! + negative[i]!;
      if (minorityShare[i]! > 0) mixed[g]!++;
    }
    return { share: minority.map((x, g) => (x === 0 ? 0 : x / total[g]!)), mixed };
  };
  const [before, after] = [sums(signs.before), sums(signs.after)];
  const mixing = Uint32Array.from(types.keys())
    .filter((g) => before.mixed[g]! + after.mixed[g]! > 0)
    .sort((a, b) => after.share[b]! - after.share[a]! || before.share[b]! - before.share[a]! || a - b);
  const size = new Uint32Array(types.length);
  for (let i = 0; i < typeIdx.length; i++) size[typeIdx[i]!]!++;
  const strongest = [...mixing.slice(0, MOST_GROUPS)].map((g) => ({
    ...{ name: `${types[g]!}`, neurons: size[g]!, mixedBefore: before.mixed[g]!, mixedAfter: after.mixed[g]! },
    ...{ shareBefore: before.share[g]!, shareAfter: after.share[g]! },
  }));
  return { count: mixing.length, strongest };
}

function neuronRecord({ name, distributions, byGroup }: NeuronValues, names: Names): object {
  return { name, distributions, groups: byGroupRecord(byGroup, names), groupCount: byGroup.group.length };
}

function byGroupRecord({ group, neurons, meanBefore, meanAfter, rms }: NeuronChanges, names: Names): object[] {
  return Array.from(group.subarray(0, MOST_GROUPS), (g, k) => ({
    ...{ name: `${names[g]!}`, neurons: neurons[k]! },
    ...{ meanBefore: meanBefore[k]!, meanAfter: meanAfter[k]!, rms: rms[k]! },
  }));
}
