// Parts of the states of a run, by time, sample, neuron or type of neuron.

import { type FloatArray, floatArray } from "../core/dtype.ts";
import { ArgumentError, ShapeError } from "../core/errors.ts";
import { selectorWord } from "../core/selector.ts";
import { type ChoosableNeurons, checkedIndices, chosenNeurons, type NeuronChoice } from "./neuronChoice.ts";
import type { Label } from "./neuronTypes.ts";

const WHERE = "selectStates";

/** States of a run as the models give them: [batch, times, neurons], or time first. */
export interface StateArray {
  readonly hs: FloatArray;
}

/** What the layout of the states follows from; every connectome network has it. */
export interface StateLayout extends ChoosableNeurons {
  readonly options: { readonly numNeurons: number; readonly batchFirst?: boolean };
}

/** Which states are wanted; what is left out is taken whole. Numbers are indices. */
export interface StateQuery {
  /** Label of a neuron type; not together with `neurons`. */
  readonly type?: Label;
  /** Indices, or a selector. */
  readonly neurons?: NeuronChoice;
  readonly times?: ArrayLike<number>;
  readonly samples?: ArrayLike<number>;
}

/** A part of a trajectory, and which neurons it is of. */
export interface SelectedStates {
  /** [samples, times, neurons], or [times, samples, neurons] where the network has time first. */
  readonly data: FloatArray;
  readonly shape: readonly [number, number, number];
  /** Indices of the chosen neurons, in the order of the last axis. */
  readonly neurons: readonly number[];
}

/**
 * Chooses states of a run of `network` on `batch` samples.
 *
 * @throws {ArgumentError} an index out of range, an unknown type (with the nearest known one), a selector that is none, a type together with
 *   neurons
 * @throws {ShapeError} states that are not those of `batch` samples of this network
 */
export function selectStates(
  network: StateLayout,
  { hs }: StateArray,
  batch: number,
  query: StateQuery = {},
): SelectedStates {
  const { numNeurons, batchFirst = true } = network.options;
  const nTimes = hs.length / (batch * numNeurons);
  if (!Number.isInteger(nTimes) || nTimes < 1) {
    throw new ShapeError(WHERE, "hs", `${batch} × times × ${numNeurons} numbers`, `${hs.length}`);
  }
  const neurons = neuronsOf(network, query);
  const times = chosen("times", query.times, nTimes);
  const samples = chosen("samples", query.samples, batch);
  const [outer, inner] = batchFirst ? [samples, times] : [times, samples];
  const innerExtent = batchFirst ? nTimes : batch;
  const data = floatArray(hs instanceof Float32Array ? "f32" : "f64", outer.length * inner.length * neurons.length);
  let next = 0;
  for (const o of outer) {
    for (const i of inner) {
      const start = (o * innerExtent + i) * numNeurons;
      for (const neuron of neurons) data[next++] = hs[start + neuron]!;
    }
  }
  return { data, shape: [outer.length, inner.length, neurons.length], neurons };
}

function neuronsOf(network: StateLayout, { type, neurons }: StateQuery): number[] {
  if (type === undefined) return [...chosenNeurons(WHERE, "neurons", network, neurons ?? "all")];
  if (neurons !== undefined) throw new ArgumentError(WHERE, "type", "a type or neurons", "both");
  if (!network.types) {
    throw new ArgumentError(WHERE, "type", "a network with neuronType", `type "${type}" without types`);
  }
  return [...chosenNeurons(WHERE, "type", network, `type:${selectorWord(String(type))}`)];
}

/** The indices asked for, or all. */
function chosen(name: string, indices: ArrayLike<number> | undefined, extent: number): number[] {
  if (indices) return checkedIndices(WHERE, name, indices, extent);
  return Array.from({ length: extent }, (_, i) => i);
}
