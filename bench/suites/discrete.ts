// One whole training step of a network in discrete time: a sequence in, a linear read-out at its end, gradients through all updates, Adam.

import type { Backend } from "../../src/backend/backend.ts";
import { type Csr, csrFromCoo } from "../../src/core/csr.ts";
import { deriveKey, keyOfSeed } from "../../src/core/random.ts";
import { createSparseProjection, normaliseRows, randomIndices } from "../../src/data/connectomes.ts";
import { ConnectomeModel } from "../../src/models/networkModel.ts";
import { makeTask } from "../../src/models/task/makeTask.ts";
import { Adam } from "../../src/train/optimizer.ts";
import { uniformArray } from "../arrays.ts";
import type { SuiteJob } from "../job.ts";
import type { Network } from "../networks.ts";
import { LEARNING_RATE, type Training } from "./training.ts";

/** As many neurons of a fly as descend from its brain: these are read out. */
const READ = 1314;
/** Neurons that get a number of the input each. */
const DRIVEN = 1000;
/** The share of neurons that inhibit. */
const INHIBITORY = 0.4;

/** What tells two steps of one network apart: `steps` updates, and whether the weights are trained, or only biases and leaks. */
export type DiscreteWork = Pick<SuiteJob, "steps" | "frozen"> & {
  /** Whether only connections that can matter are read; default true. */
  readonly lightCone?: boolean;
};

/** Learning to give two numbers after a sequence, on one fixed batch. */
export class DiscreteTraining implements Training {
  readonly op: string;
  readonly model: ConnectomeModel;
  readonly compared: string;
  readonly #adam: Adam;
  readonly #input: { readonly data: Float32Array; readonly batch: number; readonly steps: number };
  readonly #targets: { readonly values: Float32Array; readonly weights: null };
  rhsEvaluations = 0;
  /** By the updates of the last step, all together; null: not counted. */
  connectionsRead: number | null = null;

  constructor(backend: Backend, { csr }: Network, batch: number, { steps, frozen, lightCone = true }: DiscreteWork) {
    const n = csr.nRows;
    const [driven, read] = [Math.min(DRIVEN, n), Math.min(READ, n)];
    this.op = frozen ? "frozen" : "discrete";
    this.compared = frozen ? "rnn.hh.bias" : "rnn.hh.values";
    const inhibits = uniformArray(n, "signs", 0, 1);
    this.model = new ConnectomeModel(backend, {
      rnn: {
        inputSize: driven,
        numNeurons: n,
        // With larger weights the states are chaotic, and no two precisions agree after hundreds of updates.
        connectome: normaliseRows(csr),
        inputProjection: createSparseProjection({
          size: driven,
          numNeurons: n,
          indices: chosen("driven", driven, n),
          mode: "ih",
        }),
        trainInputProjection: false,
        outputProjection: rowsOf(chosen("read", read, n), n),
        outputProjectionBias: false,
        trainOutputProjection: false,
        dynamics: "leaky",
        neuronAlpha: 0.5,
        neuronClass: Array.from(inhibits, (u) => (u < INHIBITORY ? "inhibitory" : "excitatory")),
        trainConnectome: !frozen,
        trainBias: true,
        lightCone,
      },
      task: makeTask({ loss: "squared", target: { kind: "numbers", width: 2, classes: null, times: null } }),
      readout: { fcDim: null },
    });
    this.#adam = new Adam(backend, this.model.parameters, { lr: LEARNING_RATE });
    this.#input = { data: uniformArray(batch * steps * driven, "frames", -1, 1), batch, steps };
    this.#targets = { values: uniformArray(batch * 2, "targets", -1, 1), weights: null };
  }

  async step(): Promise<number> {
    const { loss, stats } = await this.model.gradients(this.#input, this.#targets, this.#adam.stepCount);
    this.#adam.step();
    this.rhsEvaluations = stats.reduce((sum, { nFEvals }) => sum + nFEvals, 0);
    this.connectionsRead = stats[0]?.connections?.read.reduce((sum, read) => sum + read, 0) ?? null;
    return loss;
  }

  dispose(): void {
    this.#adam.dispose();
    this.model.dispose();
  }
}

function chosen(what: string, count: number, n: number): Uint32Array {
  return randomIndices(count, n, deriveKey(keyOfSeed(1), `bench ${what}`));
}

/** Reads out each of `neurons`. */
function rowsOf(neurons: Uint32Array, n: number): Csr {
  const { length } = neurons;
  const rows = Uint32Array.from(neurons.keys());
  return csrFromCoo({ nRows: length, nCols: n, rows, cols: neurons, values: new Float32Array(length).fill(1) });
}

export function discreteTraining(backend: Backend, network: Network, batch: number, work: DiscreteWork): Training {
  return new DiscreteTraining(backend, network, batch, work);
}
