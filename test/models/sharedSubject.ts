// A network whose parameters belong to types of neurons, as a subject of the cross-check: strengths per pair of types, bias and τ per type.

import type { Backend } from "../../src/backend/backend.ts";
import { longestSum } from "../../src/check/degrees.ts";
import { normals, type Point, representable, streamOf } from "../../src/check/point.ts";
import {
  END_TIME,
  type Evaluation,
  INITIAL_STATE,
  INPUT,
  type OpenSubject,
  type StepSizes,
  type Subject,
} from "../../src/check/subject.ts";
import type { Csr } from "../../src/core/csr.ts";
import { sharedByTypePair, type TypedNeurons, typeLabels } from "../../src/data/connectomes.ts";
import { ConnectomeODERNN, type ConnectomeODERNNOptions } from "../../src/models/connectomeOdeRnn.ts";
import { dopri5 } from "../../src/ode/tableaus/index.ts";

export const STRENGTH = "rnn.hh.strength";
export const BIAS = "rnn.hh.bias";
export const TAU = "rnn.tau";

const BATCH = 2;
const NUM_EVALS = 3;
const DURATION = 2;
/** Of the pointwise chain of a right-hand side, and of the weight's own product. */
const POINTWISE_ROUNDINGS = 17;

/** flyvis' network: potentials, rectified; time in units of the shortest time constant allowed. */
export function sharedNetwork(csr: Csr, neurons: TypedNeurons, scale: number): ConnectomeODERNNOptions {
  return {
    numNeurons: csr.nRows,
    inputSize: csr.nRows,
    connectome: csr,
    dynamics: "voltage",
    sharedWeights: sharedByTypePair(csr, neurons, { scale }),
    neuronType: typeLabels(neurons),
    biasInit: 0.5,
    biasMode: "perNeuronType",
    neuronTau: 2.5,
    neuronTauMode: "perNeuronType",
    inputGradient: true,
  };
}

/** @param scale  initial strengths are scale / mean |weight| of a pair */
export function sharedSubject(name: string, csr: Csr, neurons: TypedNeurons, scale: number, seed: number): Subject {
  const stream = streamOf(seed, "check shared");
  const n = csr.nRows;
  const nTypes = neurons.types.length;
  const options = sharedNetwork(csr, neurons, scale);
  const { pairs, strengthInit } = sharedByTypePair(csr, neurons, { scale });
  const jitter = (x: ArrayLike<number>) => Float64Array.from(x, (value) => value * (0.8 + 0.4 * stream.uniform()));
  const point = representable({
    [STRENGTH]: jitter(strengthInit),
    [BIAS]: normals(stream, nTypes, 0.05, 0.5),
    [TAU]: jitter(new Float64Array(nTypes).fill(2.5)),
    [INPUT]: normals(stream, BATCH * n, 0.3),
    [INITIAL_STATE]: normals(stream, BATCH * n, 0.3, 0.5),
    [END_TIME]: Float64Array.of(DURATION),
  });
  // Of size 1/√N, so that the loss is of the order of the states.
  const cotangent = normals(stream, BATCH * NUM_EVALS * n, 1 / Math.sqrt(BATCH * n));
  // Strengths sum the gradients of their connections, biases and τ those of their neurons.
  const largestGroup = Math.max(...pairs.map((pair) => pair.connections), ...membersOf(neurons));
  return {
    name,
    description: `${n} neurons of ${nTypes} types, ${csr.nnz} connections, ${pairs.length} strengths, batch ${BATCH}`,
    point,
    roundings: {
      perEvaluation: POINTWISE_ROUNDINGS + Math.max(longestSum(csr), largestGroup),
      tableau: dopri5,
      samples: BATCH * NUM_EVALS,
    },
    open: (backend, steps) => new OpenShared(backend, options, cotangent, steps),
  };
}

function membersOf({ types, typeIdx }: TypedNeurons): number[] {
  const counts = types.map(() => 0);
  for (const t of Array.from(typeIdx)) counts[t]!++;
  return counts;
}

class OpenShared implements OpenSubject {
  readonly #model: ConnectomeODERNN;
  readonly #cotangent: Float64Array;

  constructor(backend: Backend, options: ConnectomeODERNNOptions, cotangent: Float64Array, steps: StepSizes | null) {
    const solve = steps
      ? { controller: { type: "replay", steps } as const, backpropThroughStepSizeControl: false }
      : { backpropThroughStepSizeControl: true };
    this.#model = new ConnectomeODERNN(backend, { ...options, solve });
    this.#cotangent = cotangent;
  }

  async evaluate(point: Point, want: { readonly gradients: boolean }): Promise<Evaluation> {
    const { parameters } = this.#model;
    for (const name of [STRENGTH, BIAS, TAU]) parameters.set(name, point[name]!, { clamp: true });
    const input = { data: point[INPUT]!, batch: BATCH };
    const evaluation = { numEvals: NUM_EVALS, endTime: point[END_TIME]![0]!, h0: point[INITIAL_STATE]! };
    if (!want.gradients) return this.#evaluation(await this.#model.forward(input, evaluation), {});
    parameters.zeroGradients();
    const { trajectory, gradients } = await this.#model.vjp(input, this.#cotangent, evaluation);
    const all: Record<string, Float64Array> = {
      [INPUT]: Float64Array.from(gradients.x!),
      [INITIAL_STATE]: Float64Array.from(gradients.h0),
    };
    for (const name of [STRENGTH, BIAS, TAU]) all[name] = Float64Array.from(await parameters.gradient(name));
    return this.#evaluation(trajectory, all);
  }

  #evaluation({ hs, stats }: Awaited<ReturnType<ConnectomeODERNN["forward"]>>, gradients: Point): Evaluation {
    const trajectory = Float64Array.from(hs);
    const loss = trajectory.reduce((sum, h, i) => sum + h * this.#cotangent[i]!, 0);
    return { trajectory, loss, gradients, steps: stats[0]!.steps };
  }

  dispose(): void {
    this.#model.dispose();
  }
}
