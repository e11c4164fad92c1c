// The classifier as a subject: sparse input projection, neuron types with their own τ and nonlinearity, sparse read-out and two
// dense layers, loss at every evaluation time (so that dense output has gradients).

import type { Backend } from "../backend/backend.ts";
import type { Csr } from "../core/csr.ts";
import type { RandomStream } from "../core/random.ts";
import { createSparseProjection } from "../data/connectomes.ts";
import {
  ConnectomeODEClassifier,
  type ConnectomeODEClassifierOptions,
  classifierParameters,
} from "../models/classifier.ts";
import { dopri5 } from "../ode/tableaus/index.ts";
import { longestSum } from "./degrees.ts";
import { parametersAt } from "./modelPoint.ts";
import { normals, type Point, representable, streamOf } from "./point.ts";
import {
  END_TIME,
  type Evaluation,
  INITIAL_STATE,
  INPUT,
  type OpenSubject,
  type StepSizes,
  type Subject,
} from "./subject.ts";

/** Five samples: a panel of eight with three unused lanes. */
const BATCH = 5;
const PIXELS = 64;
const OUTPUTS = 64;
const HIDDEN = 24;
const CLASSES = 4;
const TIMES = 3;
const DURATION = 2;
/** Smooth ones: at a kink two precisions may rightly disagree about the derivative. */
const NONLINEARITIES = { a: "Sigmoid", b: "Softplus", c: "Sigmoid" };
/** Of the pointwise chain of a right-hand side, an elementary function (at most 3 units in the last place) counting 6. */
const POINTWISE_ROUNDINGS = 20;

/** @param csr  row = post; its weights are taken as they are */
export function classifierSubject(name: string, csr: Csr, seed: number): Subject {
  const stream = streamOf(seed, "check classifier");
  const n = csr.nRows;
  const options = modelOptions(csr, stream);
  const labels = Uint8Array.from({ length: BATCH }, (_, s) => s % CLASSES);
  const point = representable({
    ...parametersAt(classifierParameters(options), stream),
    [INPUT]: normals(stream, BATCH * PIXELS),
    [INITIAL_STATE]: normals(stream, BATCH * n, 0.3, 0.5),
    [END_TIME]: Float64Array.of(DURATION),
  });
  return {
    name,
    description: `classifier: ${n} neurons, ${csr.nnz} connections, batch ${BATCH}`,
    point,
    roundings: {
      perEvaluation: POINTWISE_ROUNDINGS + Math.max(longestSum(csr), PIXELS, HIDDEN),
      tableau: dopri5,
      samples: BATCH * TIMES,
    },
    open: (backend, steps) => new OpenClassifier(backend, options, labels, steps),
  };
}

function modelOptions(csr: Csr, stream: RandomStream): ConnectomeODEClassifierOptions {
  const n = csr.nRows;
  const projection = (size: number, mode: "ih" | "ho"): Csr => {
    const indices = Array.from({ length: size }, () => stream.below(n));
    return createSparseProjection({ size, numNeurons: n, indices, mode });
  };
  return {
    rnn: {
      inputSize: PIXELS,
      numNeurons: n,
      connectome: csr,
      inputProjection: projection(PIXELS, "ih"),
      outputProjection: projection(OUTPUTS, "ho"),
      neuronType: Array.from({ length: n }, (_, i) => "abc"[i % 3]!),
      neuronNonlinearity: NONLINEARITIES,
      neuronClass: Array.from({ length: n }, (_, i) => (i % 4 === 0 ? "inhibitory" : "excitatory")),
      neuronTau: { a: 1.5, b: 2, c: 3 },
      neuronTauMode: "perNeuronType",
      weightConstraint: "none",
      inputGradient: true,
    },
    numClasses: CLASSES,
    fcDim: HIDDEN,
    dropout: 0,
  };
}

class OpenClassifier implements OpenSubject {
  readonly #model: ConnectomeODEClassifier;
  readonly #labels: Uint8Array;

  constructor(backend: Backend, options: ConnectomeODEClassifierOptions, labels: Uint8Array, steps: StepSizes | null) {
    const solve = steps
      ? { controller: { type: "replay", steps } as const, backpropThroughStepSizeControl: false }
      : { backpropThroughStepSizeControl: true };
    this.#model = new ConnectomeODEClassifier(backend, { ...options, rnn: { ...options.rnn, solve } });
    this.#labels = labels;
  }

  async evaluate(point: Point, want: { readonly gradients: boolean }): Promise<Evaluation> {
    const model = this.#model;
    const trained = model.parameters.trainable().map((p) => p.name);
    // Moved by roundings, τ may lie below its minimum.
    for (const name of trained) model.parameters.set(name, point[name]!, { clamp: true });
    const input = { data: point[INPUT]!, batch: BATCH };
    const evaluation = { numEvals: TIMES, endTime: point[END_TIME]![0]!, h0: point[INITIAL_STATE]! };
    const { hs, stats } = await model.rnn.forward(input, evaluation);
    const trajectory = Float64Array.from(hs);
    const { steps } = stats[0]!;
    const overTime = { ...evaluation, lossAllTimesteps: true };
    if (!want.gradients) {
      const { loss } = await model.evaluate(input, this.#labels, overTime);
      return { trajectory, loss, gradients: {}, steps };
    }
    const { loss, x } = await model.gradients(input, this.#labels, 0, overTime);
    const gradients: Record<string, Float64Array> = { [INPUT]: Float64Array.from(x!) };
    for (const name of trained) gradients[name] = Float64Array.from(await model.parameters.gradient(name));
    return { trajectory, loss, gradients, steps };
  }

  dispose(): void {
    this.#model.dispose();
  }
}
