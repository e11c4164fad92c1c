// From a configuration to a model that is ready to train: everything that can be wrong with the input comes out here.

import type { Backend } from "../backend/backend.ts";
import type { Csr } from "../core/csr.ts";
import { ConnectomeODEClassifier } from "../models/classifier.ts";
import type { Constraint } from "../models/constraint.ts";
import { Adam, AdamW, type Optimizer } from "../train/optimizer.ts";
import { constant, cosine, oneCycle, type Schedule, stepDecay, warmUp } from "../train/schedule.ts";
import { Trainer } from "../train/trainer.ts";
import type { TrainConfig } from "./config.ts";
import { type Digits, loadDigits } from "./digits.ts";
import { type Connectome, initialWeights, loadConnectome, type Wiring, wire } from "./network.ts";
import { solveOptionsOf } from "./solver.ts";

/** The input of a run, read and checked. */
export interface Materials {
  readonly connectome: Connectome;
  /** The connectome with the weights that training starts from. */
  readonly weights: Csr;
  readonly wiring: Wiring;
  readonly digits: Digits;
}

export interface Experiment {
  readonly model: ConnectomeODEClassifier;
  readonly optimizer: Optimizer;
  readonly trainer: Trainer;
  dispose(): void;
}

export async function loadMaterials(config: TrainConfig): Promise<Materials> {
  const connectome = await loadConnectome(config);
  const digits = await loadDigits(config);
  const wiring = wire(connectome, digits.train, config);
  return { connectome, weights: initialWeights(connectome.csr, config), wiring, digits };
}

export function createExperiment(backend: Backend, config: TrainConfig, materials: Materials): Experiment {
  const { weights, wiring, digits } = materials;
  const { train } = digits;
  const model = new ConnectomeODEClassifier(backend, {
    rnn: {
      inputSize: train.height * train.width,
      numNeurons: weights.nRows,
      connectome: weights,
      inputProjection: wiring.inputProjection,
      trainInputProjection: config.trainInput,
      trainConnectome: isConnectomeTrained(config),
      trainTau: isConnectomeTrained(config),
      outputProjection: wiring.outputProjection,
      outputProjectionBias: false,
      trainOutputProjection: false,
      neuronNonlinearity: config.nonlinearity,
      weightConstraint: constraintOf(config),
      solve: solveOptionsOf(config),
    },
    numClasses: train.classes,
    fcDim: config.fcDim,
    dropout: config.dropout,
    seed: config.seed,
    // Neurons that nothing reaches have features that do not differ between images, and so no statistics.
    standardise: config.standardise && !(config.wiring === "none" && wiring.readout !== "all"),
  });
  const { lr, weightDecay, clipNorm } = config;
  const adam = { lr, ...(clipNorm !== null && { clipNorm }) };
  const optimizer =
    weightDecay > 0
      ? new AdamW(backend, model.parameters, { ...adam, weightDecay })
      : new Adam(backend, model.parameters, adam);
  const trainer = new Trainer({
    model,
    optimizer,
    train,
    batchSize: config.batchSize,
    seed: config.seed,
    shift: config.shift,
    schedule: (lastStep) => scheduleOf(config, lastStep),
    evaluation: { numEvals: config.numEvals, endTime: config.endTime },
  });
  const dispose = () => {
    optimizer.dispose();
    model.dispose();
  };
  return { model, optimizer, trainer, dispose };
}

/** A network without synapses must stay one: training would grow them. */
export function isConnectomeTrained({ trainConnectome, wiring }: TrainConfig): boolean {
  return trainConnectome && wiring !== "none";
}

function scheduleOf(config: TrainConfig, lastStep: number): Schedule {
  const { schedule, warmUp: rise, decayEvery, decayFactor } = config;
  const steps = Math.max(1, lastStep - rise);
  const after = {
    constant,
    step: stepDecay(decayEvery ?? Math.ceil(steps / 3), decayFactor),
    cosine: cosine(steps),
    "one-cycle": oneCycle(steps),
  }[schedule];
  return rise > 0 ? warmUp(rise, after) : after;
}

function constraintOf({ weights, keepSigns }: TrainConfig): Constraint {
  if (weights === "abs") return { min: 0 };
  return keepSigns ? "sign" : "none";
}
