// ConnectomeRNN: the connectome rate model in discrete time.

import type { Backend } from "../backend/backend.ts";
import { ConnectomeNetwork } from "./connectomeNetwork.ts";
import type { SampleLoss } from "./lossCotangents.ts";
import { forward, lossGradients, type NetworkOutputs, vjp } from "./network/hostBatch.ts";
import { Network } from "./network/network.ts";
import { type StepOptions, type StepSettings, stepEvolution } from "./network/stepEvolution.ts";
import type { ConnectomeNetworkOptions, InputGradients, ModelInput } from "./options.ts";
import type { ParameterSet } from "./parameters/parameterSet.ts";

export type { StepOptions, StepSettings } from "./network/stepEvolution.ts";

/** A network in discrete time, and how it is run. */
export interface ConnectomeRNNOptions extends ConnectomeNetworkOptions, StepSettings {}

/** h ← (1/τ)·relu( φ( U·x_k + W·(s ⊙ h) + b ) ) + (1 − 1/τ)·h, or another of the `dynamics`; outputs are the states after each frame. */
export class ConnectomeRNN extends ConnectomeNetwork<StepOptions> {
  /** @param parameters where to register the parameters (a classifier shares one set); default: an own set */
  constructor(backend: Backend, options: ConnectomeRNNOptions, parameters?: ParameterSet) {
    super(new Network(backend, options, (model) => stepEvolution(model, options), parameters));
  }

  /** Runs a batch and returns outputs and states at the output times. */
  async forward(input: ModelInput, evaluation: StepOptions = {}): Promise<NetworkOutputs> {
    return forward(this.network, { input, evaluation });
  }

  /** Runs a batch, pulls `ctOuts` (cotangents of `outs`, same layout) back, and adds the gradients to those of `parameters`. */
  async vjp(
    input: ModelInput,
    ctOuts: ArrayLike<number>,
    evaluation: StepOptions = {},
  ): Promise<{ outputs: NetworkOutputs; gradients: InputGradients }> {
    return vjp(this.network, { input, evaluation }, ctOuts);
  }

  /** Runs a batch once forward and back: the gradients of Σ loss over the samples replace those of `parameters`. */
  async gradients(
    input: ModelInput,
    loss: SampleLoss,
    evaluation: StepOptions = {},
  ): Promise<{ loss: number; outputs: NetworkOutputs; gradients: InputGradients }> {
    return lossGradients(this.network, { input, evaluation }, loss);
  }
}
