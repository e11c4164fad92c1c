// ConnectomeODERNN: the connectome rate model in continuous time.

import type { Backend } from "../backend/backend.ts";
import { ArgumentError } from "../core/errors.ts";
import { ConnectomeNetwork } from "./connectomeNetwork.ts";
import { evaluationSchedule } from "./evaluationTimes.ts";
import { clearUnreached } from "./failures.ts";
import type { SampleLoss } from "./lossCotangents.ts";
import { forward, lossGradients, type NetworkOutputs, vjp } from "./network/hostBatch.ts";
import { Network } from "./network/network.ts";
import { type EvaluationOptions, odeEvolution } from "./network/odeEvolution.ts";
import type { ConnectomeNetworkOptions, InputGradients, ModelInput } from "./options.ts";
import type { ParameterSet } from "./parameters/parameterSet.ts";
import { resolveSolve, type SolveOptions } from "./solveOptions.ts";

export type { EvaluationOptions } from "./network/odeEvolution.ts";
export type { SolveOptions } from "./solveOptions.ts";

/** A network in continuous time, and how it is solved. */
export interface ConnectomeODERNNOptions extends ConnectomeNetworkOptions {
  readonly solve?: SolveOptions;
}

/** States and outputs of a network at its evaluation times. */
export interface Trajectory extends NetworkOutputs {
  /** The evaluation times, in double precision. */
  readonly ts: Float64Array;
}

/** dh/dt = ( relu( φ( U·x(t) + W·(s ⊙ h) + b ) ) − h ) / τ, solved per sample; see rateDynamics. */
export class ConnectomeODERNN extends ConnectomeNetwork<EvaluationOptions> {
  /** @param parameters where to register the parameters (a classifier shares one set); default: an own set */
  constructor(backend: Backend, options: ConnectomeODERNNOptions, parameters?: ParameterSet) {
    if ("memoryBudgetBytes" in options)
      throw new ArgumentError("ConnectomeODERNN", "memoryBudgetBytes", "it in solve", "it beside solve");
    if ("lightCone" in options)
      throw new ArgumentError("ConnectomeODERNN", "lightCone", "it for a network in discrete time", "continuous time");
    const solve = resolveSolve(options.solve ?? {});
    super(new Network(backend, options, (model) => odeEvolution(model, solve), parameters));
  }

  /** Solves a batch and returns outputs and states at the evaluation times. */
  async forward(input: ModelInput, evaluation: EvaluationOptions = {}): Promise<Trajectory> {
    const outputs = await forward(this.network, { input, evaluation });
    return this.#trajectory(outputs, input, evaluation);
  }

  /** Solves a batch, pulls `ctOuts` (cotangents of `outs`, same layout) back, and adds the gradients to those of `parameters`. */
  async vjp(
    input: ModelInput,
    ctOuts: ArrayLike<number>,
    evaluation: EvaluationOptions = {},
  ): Promise<{ trajectory: Trajectory; gradients: InputGradients }> {
    const { outputs, gradients } = await vjp(this.network, { input, evaluation }, ctOuts);
    return { trajectory: this.#trajectory(outputs, input, evaluation), gradients };
  }

  /**
   * Solves a batch once forward and back: the gradients of Σ loss over the samples replace those of `parameters`. Samples that failed,
   * where that is allowed, do not count.
   */
  async gradients(
    input: ModelInput,
    loss: SampleLoss,
    evaluation: EvaluationOptions = {},
  ): Promise<{ loss: number; trajectory: Trajectory; gradients: InputGradients }> {
    const { outputs, ...result } = await lossGradients(this.network, { input, evaluation }, loss);
    return { ...result, trajectory: this.#trajectory(outputs, input, evaluation) };
  }

  /** States and outputs that a sample did not reach are NaN. */
  #trajectory(outputs: NetworkOutputs, { batch }: ModelInput, evaluation: EvaluationOptions): Trajectory {
    const { hs, outs, stats } = outputs;
    const schedule = evaluationSchedule("ConnectomeODERNN", evaluation);
    const { ts } = schedule;
    const rows = (width: number) => this.network.rowsOf(batch, ts.length, width);
    clearUnreached(stats, schedule, this.backend.dtype, [
      [hs, rows(this.options.numNeurons)],
      [outs, rows(this.nOutputs)],
    ]);
    return { ...outputs, ts };
  }
}
