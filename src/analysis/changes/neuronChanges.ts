// How values of neurons (biases, time constants) differ, by group.

import { ShapeError } from "../../core/errors.ts";
import type { TypedNeurons } from "../../data/typePairs.ts";

/** Groups of neurons, those with the largest root-mean-square change first. Arrays: [groups]. */
export interface NeuronChanges {
  /** Numbers of the groups. */
  readonly group: Uint32Array;
  readonly neurons: Uint32Array;
  readonly meanBefore: Float64Array;
  readonly meanAfter: Float64Array;
  /** √mean((v − v₀)²). */
  readonly rms: Float64Array;
}

/**
 * Changes of a value per neuron from v₀ to v, by group; groups without neurons are left out.
 *
 * @param before  v₀, [neurons]
 * @param after   v, [neurons]
 * @throws {ShapeError} another number of values
 */
export function neuronChanges(
  before: ArrayLike<number>,
  after: ArrayLike<number>,
  { types, typeIdx }: TypedNeurons,
): NeuronChanges {
  const n = typeIdx.length;
  for (const [name, { length }] of Object.entries({ before, after })) {
    if (length !== n) throw new ShapeError("neuronChanges", name, `${n}, one per neuron`, `${length}`);
  }
  const neurons = new Uint32Array(types.length);
  const [sumBefore, sumAfter, squared] = [1, 2, 3].map(() => new Float64Array(types.length)) as [
    Float64Array,
    Float64Array,
    Float64Array,
  ];
  for (let i = 0; i < n; i++) {
    const g = typeIdx[i]!;
    neurons[g]!++;
    sumBefore[g]! += before[i]!;
    sumAfter[g]! += after[i]!;
    squared[g]! += (after[i]! - before[i]!) ** 2;
  }
  const rms = squared.map((sum, g) => Math.sqrt(sum / neurons[g]!));
  const group = Uint32Array.from(types.keys())
    .filter((g) => neurons[g]! > 0)
    .sort((a, b) => rms[b]! - rms[a]! || a - b);
  const perNeuron = (sum: Float64Array) => Float64Array.from(group, (g) => sum[g]! / neurons[g]!);
  return {
    group,
    neurons: group.map((g) => neurons[g]!),
    meanBefore: perNeuron(sumBefore),
    meanAfter: perNeuron(sumAfter),
    rms: Float64Array.from(group, (g) => rms[g]!),
  };
}
