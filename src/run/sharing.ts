// Parameters that the cells of a type share in a run.

import type { Csr } from "../core/csr.ts";
import { ArgumentError } from "../core/errors.ts";
import { deriveKey, keyOfSeed, RandomStream } from "../core/random.ts";
import { hexagonalEyeOf, sharedByTypeOffset, sharedByTypePair, typeLabels } from "../data/connectomes.ts";
import { type ConnectomeNetworkOptions, hasTimeConstants, type SharedWeights } from "../models/options.ts";
import type { TrainConfig } from "./config.ts";
import type { Connectome } from "./network.ts";

/** Which connections share a strength, and which neurons τ and b. */
export interface Sharing {
  /** What strengths multiply: signs, or initial weights. */
  readonly magnitudes: Csr;
  readonly shared: SharedWeights & { readonly group: Uint32Array };
  /** Type of each neuron. */
  readonly labels: readonly string[];
  /** [neurons], its number. */
  readonly typeIdx: ArrayLike<number>;
}

/**
 * The sharing of a run; null: every connection and neuron has parameters of its own.
 *
 * @param weights  the initial ones: connections of the wiring that is trained
 * @throws {ArgumentError} no neuron table, or for "columns" neurons that do not lie in hexagonal columns
 */
export function sharingOf({ share }: Pick<TrainConfig, "share">, { table }: Connectome, weights: Csr): Sharing | null {
  if (share === "none") return null;
  if (!table) {
    const expected = "a neuron table (--neuron-table) to know the cell types";
    throw new ArgumentError("train", "--share", expected, "none");
  }
  const types = { labels: typeLabels(table).map(String), typeIdx: table.typeIdx };
  if (share === "columns") return { ...sharedByTypeOffset(weights, table, hexagonalEyeOf(table)), ...types };
  const { group, nGroups } = sharedByTypePair(weights, table);
  return { magnitudes: weights, shared: { group, nGroups, strengthInit: 1 }, ...types };
}

type NetworkParameters = Pick<
  ConnectomeNetworkOptions,
  "connectome" | "sharedWeights" | "neuronType" | "neuronTau" | "neuronTauMode" | "biasInit" | "biasMode"
>;

type Initial = Pick<TrainConfig, "tau" | "dynamics" | "bias" | "biasSpread" | "seed">;

/**
 * Weights, initial values and sharing of a network's parameters. A type whose neurons have different initial values starts with those of its
 * last neuron.
 */
export function parameterOptions(
  config: Initial,
  {
    connectome,
    weights,
    sharing,
  }: { readonly connectome: Connectome; readonly weights: Csr; readonly sharing: Sharing | null },
): NetworkParameters {
  const { initial } = connectome;
  const { tau, dynamics } = config;
  const given = (values: Float64Array) => (sharing ? byLabel(sharing.labels, values) : values);
  const biases = initialBiases(config, weights.nRows, initial?.bias ?? null, sharing);
  const neuronTau = tau ?? (initial ? given(initial.tau) : 1);
  const mode = "perNeuronType";
  return {
    connectome: sharing?.magnitudes ?? weights,
    ...(hasTimeConstants(dynamics) && { neuronTau, ...(sharing && { neuronTauMode: mode }) }),
    ...(biases && { biasInit: given(biases) }),
    ...(sharing && {
      sharedWeights: sharing.shared,
      neuronType: sharing.labels,
      biasMode: mode,
    }),
  };
}

/** Means, plus a normal draw of each neuron, or of each type with sharing. null: all 0. */
function initialBiases(
  { bias, biasSpread, seed }: Initial,
  neurons: number,
  own: Float64Array | null,
  sharing: Sharing | null,
): Float64Array | null {
  if (bias === null && own === null && biasSpread === 0) return null;
  const means = bias === null && own ? own : new Float64Array(neurons).fill(bias ?? 0);
  if (biasSpread === 0) return means;
  const stream = new RandomStream(deriveKey(keyOfSeed(seed), "biases"));
  const draws = sharing ? Array.from(sharing.typeIdx).reduce((most, t) => Math.max(most, t + 1), 0) : neurons;
  const drawn = Float64Array.from({ length: draws }, () => biasSpread * stream.normal());
  return means.map((mean, i) => mean + drawn[sharing ? sharing.typeIdx[i]! : i]!);
}

function byLabel(labels: readonly string[], values: Float64Array): Record<string, number> {
  return Object.fromEntries(labels.map((label, i) => [label, values[i]!]));
}
