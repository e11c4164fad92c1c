// The common part of connectome networks, whatever the evolution of their state.

import type { Backend } from "../backend/backend.ts";
import type { Network } from "./network/network.ts";
import type { NeuronTypes } from "./neuronTypes.ts";
import type { ConnectomeNetworkOptions } from "./options.ts";
import type { ParameterSet } from "./parameters/parameterSet.ts";

/** ConnectomeODERNN or ConnectomeRNN. `E`: how a run is evaluated (times, initial state). */
export class ConnectomeNetwork<E> {
  /** For read-outs: runs of batches chunk by chunk, on the device. */
  readonly network: Network<E>;
  readonly backend: Backend;
  readonly parameters: ParameterSet;
  readonly options: ConnectomeNetworkOptions;
  readonly nOutputs: number;
  readonly types: NeuronTypes | null;
  /** ±1 per neuron; null: all excitatory. */
  readonly signs: Float64Array | null;

  constructor(network: Network<E>) {
    this.network = network;
    this.backend = network.backend;
    this.parameters = network.parameters;
    this.options = network.options;
    this.nOutputs = network.model.nOutputs;
    this.types = network.model.types;
    this.signs = network.model.signs;
  }

  /** Releases everything when the calls before it have ended; calls after it are refused. */
  dispose(): void {
    this.network.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
