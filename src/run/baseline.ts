// Baselines from outside: a dense recurrent network or a GRU in place of the connectome, with as many trained parameters. The task, its
// samples, their order, loss and training stay; the wiring of inputs and read-outs, which is the connectome's, goes with it.

import { ArgumentError } from "../core/errors.ts";
import { formatCount } from "../core/format.ts";
import { deriveKey, keyOfSeed, RandomStream } from "../core/random.ts";
import { denseInput, denseRecurrence } from "../data/completeMatrix.ts";
import { type Gate, type GateWeights, gatesOf, hasTimeConstants } from "../models/options.ts";
import type { ParameterSpec } from "../models/parameters/parameter.ts";
import { readoutParameters, readoutShape } from "../models/readout/layers.ts";
import { BASELINES, type BaselineName, type TrainConfig } from "./config.ts";
import type { Connectome } from "./network.ts";
import type { Projections } from "./projections.ts";

/** What people call them. */
export const BASELINE_NAMES: Readonly<Record<BaselineName, string>> = { dense: "dense network", gru: "GRU" };

/** What they are, in a list of controls. */
export const BASELINE_SUMMARIES: Readonly<Record<BaselineName, string>> = {
  dense: "a dense recurrent network in place of the connectome, with as many trained parameters",
  gru: "a GRU in place of the connectome, with as many trained parameters",
};

/** A network in place of the connectome, and what it is measured by. */
export interface Baseline {
  readonly name: BaselineName;
  readonly units: number;
  /** Trained numbers: recurrent and input weights, biases, time constants and read-out. */
  readonly parameters: number;
  /** The connectome, and the trained numbers of a run with it; the baseline has the most units that need no more. */
  readonly connectome: {
    readonly source: string;
    readonly neurons: number;
    readonly connections: number;
    readonly parameters: number;
  };
  /** Initial weights of a GRU's gates; null: a dense network. */
  readonly gates: Readonly<Record<Gate, GateWeights>> | null;
}

/** What records say of a baseline. */
export type BaselineFacts = Omit<Baseline, "gates">;

export function factsOfBaseline({ gates: _, ...facts }: Baseline): BaselineFacts {
  return facts;
}

/** Network and projections of a run. */
export interface NetworkInputs {
  readonly connectome: Connectome;
  readonly weights: Connectome["csr"];
  readonly projections: Projections;
  readonly baseline: Baseline;
}

/** The name of the baseline that `wiring` asks for; null: a wiring of the connectome's neurons. */
export function baselineOf({ wiring }: Pick<TrainConfig, "wiring">): BaselineName | null {
  return BASELINES.find((name) => name === wiring) ?? null;
}

/**
 * The settings of the network that is trained. Those of a baseline differ from those of the connectome: inputs reach all units through
 * trained weights, all units are read out by trained layers, and nothing is shared or keeps its sign.
 */
export function networkSettings(config: TrainConfig): TrainConfig {
  const name = baselineOf(config);
  if (name === null) return config;
  const { head, fcDim, dropout } = config;
  return {
    ...config,
    ...(name === "gru" && { dynamics: "gru", nonlinearity: "Tanh", tau: null }),
    trainInput: config.trainConnectome,
    ...{ share: "none", weights: "signed", normalise: "none", gain: 1, keepSigns: false },
    ...{ bias: null, biasSpread: 0 },
    ...{ readout: "all", head: "layers", ...(head === "layers" ? { fcDim, dropout } : { fcDim: null, dropout: 0 }) },
  };
}

/** What is trained of some parameters. */
export function trainedNumbers(parameters: readonly ParameterSpec[]): number {
  return parameters.reduce((sum, p) => sum + (p.trainable ? ("size" in p ? p.size : p.values.length) : 0), 0);
}

/** Numbers of a task's frames and of the outputs that its loss needs. */
interface Ends {
  readonly inputSize: number;
  readonly outputs: number;
}

/** Trained numbers of a baseline with n units: with G = 1 recurrent matrix, or of a GRU 3, G·n² + G·n·inputs, biases, τ and read-out. */
export function baselineParameters(config: TrainConfig, { inputSize, outputs }: Ends, n: number): number {
  const { dynamics, trainTau, fcDim, dropout } = networkSettings(config);
  const gates = gatesOf({ dynamics }).length;
  const matrices = 1 + gates;
  // A GRU has a second bias in the state that it is driven to.
  const biases = gates > 0 ? matrices + 1 : 1;
  const taus = trainTau && hasTimeConstants(dynamics) ? 1 : 0;
  const head = readoutParameters(readoutShape({ fcDim, dropout }, n, outputs), 0);
  return matrices * n * (n + inputSize) + (biases + taus) * n + trainedNumbers(head);
}

/** The most units whose trained numbers are at most `limit`. @throws {ArgumentError} one unit has more */
function unitsWithin(config: TrainConfig, ends: Ends, limit: number): number {
  const fits = (n: number): boolean => baselineParameters(config, ends, n) <= limit;
  if (!fits(1)) {
    const least = baselineParameters(config, ends, 1);
    const expected = `a connectome that trains at least ${formatCount(least)} numbers, as a ${config.wiring} network of one unit does`;
    throw new ArgumentError("train", "--wiring", expected, formatCount(limit));
  }
  let [units, beyond] = [1, 2];
  while (fits(beyond)) [units, beyond] = [beyond, 2 * beyond];
  while (beyond - units > 1) {
    const middle = Math.floor((units + beyond) / 2);
    if (fits(middle)) units = middle;
    else beyond = middle;
  }
  return units;
}

/**
 * The network that stands in for a connectome. Initial weights: recurrent N(0, 1/n), input as of Glorot and Bengio, biases 0.
 *
 * @param parameters  trained numbers of the run with the connectome
 */
export function baselineNetwork(
  name: BaselineName,
  config: TrainConfig,
  ends: Ends,
  connectome: Connectome,
  parameters: number,
): NetworkInputs {
  const units = unitsWithin(config, ends, parameters);
  const key = deriveKey(keyOfSeed(config.seed), `${name} baseline`);
  const stream = (part: string) => new RandomStream(deriveKey(key, part));
  const recurrent = (part: string) => denseRecurrence(units, stream(`recurrent ${part}`));
  const input = (part: string) => denseInput(units, ends.inputSize, stream(`input ${part}`));
  const weights = recurrent("state");
  const { source, csr } = connectome;
  const gate = (name: Gate): GateWeights => ({ connections: recurrent(name).values, input: input(name).values });
  return {
    connectome: {
      ...connectome,
      csr: weights,
      table: null,
      ids: null,
      initial: null,
      source: `${BASELINE_NAMES[name]} in place of ${source}`,
    },
    weights,
    projections: {
      ...{ input: "dense", inputProjection: input("state"), nDriven: units, inputSelected: null },
      ...{
        readout: "all",
        readoutSelected: null,
        readsDriven: true,
        outputProjection: null,
        convolutions: [],
        featureChannel: null,
      },
    },
    baseline: {
      name,
      units,
      parameters: baselineParameters(config, ends, units),
      connectome: { source, neurons: csr.nRows, connections: csr.nnz, parameters },
      gates: name === "gru" ? { reset: gate("reset"), update: gate("update") } : null,
    },
  };
}
