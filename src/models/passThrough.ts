// A model whose outputs are its input, to the bit: what it computes besides is loss and metrics, and the gradient of its input is that of
// its outputs.

import type { Backend } from "../backend/backend.ts";
import { csrFromCoo } from "../core/csr.ts";
import { ConnectomeModel, type ConnectomeModelOptions } from "./networkModel.ts";
import type { ConnectomeNetworkOptions, ModelInput } from "./options.ts";
import type { Task } from "./task/task.ts";

/** h_k = x_k + 0·h_{k−1}. */
function network(rows: number): ConnectomeNetworkOptions {
  const connectome = csrFromCoo({ nRows: rows, nCols: rows, rows: [0], cols: [0], values: [0] });
  const fixed = { connectomeBias: false, trainConnectome: false, inputGradient: true };
  return { numNeurons: rows, inputSize: rows, connectome, dynamics: "plain", neuronNonlinearity: null, ...fixed };
}

/** A model that judges its input, a sequence or one vector: read out at `readout.times`, by default at all. */
export function passThrough(
  backend: Backend,
  task: Task,
  more: Partial<Pick<ConnectomeModelOptions, "readout" | "penalties">> = {},
): ConnectomeModel {
  const readout = { layers: [], times: "all", ...more.readout } as const;
  return new ConnectomeModel(backend, {
    rnn: network(task.loss.outputs(task.target)),
    task,
    ...more,
    readout,
  });
}

/** [batch, times, rows] as the input of such a model, and how many steps it takes. */
export function asInput(outputs: ArrayLike<number>, batch: number, times: number): [ModelInput, { numSteps: number }] {
  return [times === 1 ? { data: outputs, batch } : { data: outputs, batch, steps: times }, { numSteps: times }];
}
