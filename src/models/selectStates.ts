// Parts of the states of a run, by time, sample, neuron or type of neuron.

import { type FloatArray, floatArray } from "../core/dtype.ts";
import { ArgumentError, nearestName, ShapeError } from "../core/errors.ts";
import type { Label, NeuronTypes } from "./neuronTypes.ts";

/** States of a run as the models give them: [batch, times, neurons], or time first. */
export interface StateArray {
  readonly hs: FloatArray;
}

/** What the layout of the states follows from; every connectome network has it. */
export interface StateLayout {
  readonly options: { readonly numNeurons: number; readonly batchFirst?: boolean };
  readonly types: NeuronTypes | null;
}

/** Which states are wanted; what is left out is taken whole. Numbers are indices. */
export interface StateQuery {
  /** Label of a neuron type; not together with `neurons`. */
  readonly type?: Label;
  readonly neurons?: ArrayLike<number>;
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
 * @throws {ArgumentError} an index out of range, an unknown type (with the nearest known one), a type together with neurons
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
    throw new ShapeError("selectStates", "hs", `${batch} × times × ${numNeurons} numbers`, `${hs.length}`);
  }
  const neurons = chosenNeurons(network, query);
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

function chosenNeurons({ options, types }: StateLayout, { type, neurons }: StateQuery): number[] {
  if (type === undefined) return chosen("neurons", neurons, options.numNeurons);
  const where = "selectStates";
  if (neurons) throw new ArgumentError(where, "type", "a type or neurons", "both");
  if (!types) throw new ArgumentError(where, "type", "a network with neuronType", `type "${type}" without types`);
  const index = types.types.indexOf(type);
  if (index < 0) {
    const near = nearestName(String(type), types.types.map(String));
    const known = types.types.join(", ");
    throw new ArgumentError(where, "type", `${near ? `"${near}"? one of ` : "one of "}${known}`, `"${type}"`);
  }
  return [...types.typeIdx.keys()].filter((i) => types.typeIdx[i] === index);
}

/** The indices asked for, or all. */
function chosen(name: string, indices: ArrayLike<number> | undefined, extent: number): number[] {
  if (!indices) return Array.from({ length: extent }, (_, i) => i);
  const all = Array.from(indices);
  const bad = all.find((i) => !(Number.isInteger(i) && i >= 0 && i < extent));
  if (bad !== undefined) throw new ArgumentError("selectStates", name, `indices 0 to ${extent - 1}`, `${bad}`);
  return all;
}
