// Networks with a task, in continuous and in discrete time: sequences as input, numbers as targets, masked and weighted, read-outs
// of several times, penalties on activity and on parameters.
//
// Losses, dynamics and penalties are smooth: at a kink two precisions may rightly disagree about the derivative.

import type { Backend } from "../backend/backend.ts";
import { type Csr, csrFromCoo } from "../core/csr.ts";
import type { RandomStream } from "../core/random.ts";
import { createSparseProjection, groupReadout } from "../data/connectomes.ts";
import type { EvaluationOptions } from "../models/connectomeOdeRnn.ts";
import type { StepOptions } from "../models/connectomeRnn.ts";
import {
  ConnectomeModel,
  type ConnectomeModelOptions,
  ConnectomeODEModel,
  type ConnectomeODEModelOptions,
  modelParameters,
} from "../models/networkModel.ts";
import type { ConnectomeNetworkOptions } from "../models/options.ts";
import type { SparseLayer } from "../models/readout/layers.ts";
import { makeTask } from "../models/task/makeTask.ts";
import { activityPenalty, rateL2 } from "../models/task/penalties.ts";
import { metricValues } from "../models/task/sums.ts";
import type { TargetBatch } from "../models/task/targets.ts";
import { dopri5 } from "../ode/tableaus/index.ts";
import { ParameterPenalties, type ParameterPenalty } from "../train/parameterPenalties.ts";
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
const INPUTS = 24;
const FRAMES = 4;
const RECURRENCES = 2;
/** Numbers of a target: groups that are read out, or rows of a sparse layer. */
const WIDTH = 3;
const GROUP = 8;
const DURATION = 2;
const TIMES = 3;
/** Of the pointwise chain of one evaluation or step, an elementary function (at most 3 units in the last place) counting 6. */
const POINTWISE_ROUNDINGS = 20;
const PENALTIES: readonly ParameterPenalty[] = [
  { name: "l2:weights", parameters: "weights", kind: "l2", weight: 0.01 },
  { name: "l2:biases", parameters: "biases", kind: "l2", weight: 0.02 },
];

/** How a subject makes its model, and where and on what it is evaluated. */
interface TaskSetUp {
  readonly options: ConnectomeModelOptions | ConnectomeODEModelOptions;
  readonly make: (backend: Backend, steps: StepSizes | null) => ConnectomeModel | ConnectomeODEModel;
  readonly evaluationAt: (point: Point) => StepOptions & EvaluationOptions;
  readonly targets: TargetBatch;
}

/**
 * Leaky dynamics in discrete time, two steps with each frame; a squared error at every frame of the means of groups of neurons.
 *
 * @param csr  row = post; its weights are taken as they are
 */
export function discreteSubject(name: string, csr: Csr, seed: number): Subject {
  const stream = streamOf(seed, "check discrete");
  const n = csr.nRows;
  const options: ConnectomeModelOptions = {
    rnn: {
      ...networkOptions(csr, stream),
      dynamics: "leaky",
      neuronNonlinearity: "Tanh",
      outputProjection: groupReadout(n, groupsOf(n, stream)),
      outputProjectionBias: false,
      trainOutputProjection: false,
    },
    task: makeTask({ loss: "squared", metrics: ["mse", "mae"], target: { ...numbers(), times: FRAMES } }),
    readout: { layers: [], times: "all" },
    penalties: [activityPenalty({ weight: 0.3, baseline: 0.1 })],
  };
  const setUp: TaskSetUp = {
    options,
    make: (backend) => new ConnectomeModel(backend, options),
    evaluationAt: (point) => ({ recurrences: RECURRENCES, h0: point[INITIAL_STATE]! }),
    targets: targetsOf(BATCH * FRAMES, stream),
  };
  const description = `sequences in discrete time: ${n} neurons, ${csr.nnz} connections, batch ${BATCH}`;
  const point = pointOf(setUp, n, {}, stream);
  return subjectOf(name, description, point, setUp, csr, { tableau: null, times: FRAMES });
}

/**
 * Voltages in continuous time under sequences; counts with a Poisson loss, of a sparse layer with shared weights on the mean of two times.
 *
 * @param csr  row = post; its weights are taken as they are
 */
export function sequenceSubject(name: string, csr: Csr, seed: number): Subject {
  const stream = streamOf(seed, "check sequence");
  const n = csr.nRows;
  const options: ConnectomeODEModelOptions = {
    rnn: { ...networkOptions(csr, stream), dynamics: "voltage", neuronNonlinearity: "Sigmoid" },
    task: makeTask({ loss: "poisson", metrics: ["mse"], target: { ...numbers(), times: null } }),
    readout: { layers: [sparseLayer(n, stream)], times: { last: 2 }, average: true },
    penalties: [rateL2({ weight: 0.3 })],
  };
  const setUp: TaskSetUp = {
    options,
    make: (backend, steps) =>
      new ConnectomeODEModel(backend, { ...options, rnn: { ...options.rnn, solve: solveOf(steps) } }),
    evaluationAt: (point) => ({ numEvals: TIMES, endTime: point[END_TIME]![0]!, h0: point[INITIAL_STATE]! }),
    targets: targetsOf(BATCH, stream, (x) => Math.abs(Math.round(2 * x))),
  };
  const description = `sequences in continuous time: ${n} neurons, ${csr.nnz} connections, batch ${BATCH}`;
  const point = pointOf(setUp, n, { [END_TIME]: Float64Array.of(DURATION) }, stream);
  return subjectOf(name, description, point, setUp, csr, { tableau: dopri5, times: TIMES });
}

function numbers() {
  return { kind: "numbers", width: WIDTH, classes: null } as const;
}

function solveOf(steps: StepSizes | null) {
  return steps
    ? { controller: { type: "replay", steps } as const, backpropThroughStepSizeControl: false }
    : { backpropThroughStepSizeControl: true };
}

function networkOptions(csr: Csr, stream: RandomStream): ConnectomeNetworkOptions {
  const n = csr.nRows;
  const indices = Array.from({ length: INPUTS }, () => stream.below(n));
  return {
    inputSize: INPUTS,
    numNeurons: n,
    connectome: csr,
    inputProjection: createSparseProjection({ size: INPUTS, numNeurons: n, indices, mode: "ih" }),
    neuronType: Array.from({ length: n }, (_, i) => "abc"[i % 3]!),
    neuronClass: Array.from({ length: n }, (_, i) => (i % 4 === 0 ? "inhibitory" : "excitatory")),
    neuronTau: { a: 1.5, b: 2, c: 3 },
    neuronTauMode: "perNeuronType",
    weightConstraint: "none",
    inputGradient: true,
  };
}

/** Groups of random neurons, which may overlap. */
function groupsOf(n: number, stream: RandomStream): number[][] {
  return Array.from({ length: WIDTH }, () => Array.from({ length: Math.min(GROUP, n) }, () => stream.below(n))).map(
    (group) => [...new Set(group)],
  );
}

/** Every row reads some neurons; strengths are shared by place in the row. */
function sparseLayer(n: number, stream: RandomStream): SparseLayer {
  const groups = groupsOf(n, stream).map((group) => group.sort((a, b) => a - b));
  const rows = groups.flatMap((group, row) => group.map(() => row));
  const group = groups.flatMap((members) => members.map((_, k) => k));
  const cols = groups.flat();
  const values = cols.map(() => 1 / GROUP);
  const matrix = csrFromCoo({ nRows: WIDTH, nCols: n, rows, cols, values }, "sparseLayer");
  return { type: "sparse", matrix, sharedWeights: { group, nGroups: GROUP } };
}

/** Targets with weights, every seventh of which is 0, where the target is no number. */
function targetsOf(count: number, stream: RandomStream, map = (x: number): number => x): TargetBatch {
  const values = normals(stream, count * WIDTH).map(map);
  const weights = normals(stream, count * WIDTH, 0.2, 1).map(Math.abs);
  for (let i = 3; i < values.length; i += 7) [values[i], weights[i]] = [Number.NaN, 0];
  return { values, weights };
}

function pointOf({ options }: TaskSetUp, n: number, more: Point, stream: RandomStream): Point {
  return representable({
    ...parametersAt(modelParameters(options), stream),
    [INPUT]: normals(stream, BATCH * FRAMES * INPUTS),
    [INITIAL_STATE]: normals(stream, BATCH * n, 0.3, 0.5),
    ...more,
  });
}

function subjectOf(
  name: string,
  description: string,
  point: Point,
  setUp: TaskSetUp,
  csr: Csr,
  { tableau, times }: { readonly tableau: typeof dopri5 | null; readonly times: number },
): Subject {
  return {
    ...{ name, description, point },
    roundings: {
      perEvaluation: POINTWISE_ROUNDINGS + Math.max(longestSum(csr), INPUTS),
      tableau,
      samples: BATCH * times,
      // Means over all states, sums over all weights.
      terms: Math.max(csr.nnz, csr.nRows * BATCH * times),
    },
    open: (backend, steps) => new OpenTask(backend, setUp, steps),
  };
}

class OpenTask implements OpenSubject {
  readonly #setUp: TaskSetUp;
  readonly #model: ConnectomeModel | ConnectomeODEModel;
  readonly #penalties: ParameterPenalties;

  constructor(backend: Backend, setUp: TaskSetUp, steps: StepSizes | null) {
    this.#setUp = setUp;
    this.#model = setUp.make(backend, steps);
    this.#penalties = new ParameterPenalties(backend, this.#model.parameters, PENALTIES);
  }

  async evaluate(point: Point, want: { readonly gradients: boolean }): Promise<Evaluation> {
    const { evaluationAt, targets } = this.#setUp;
    const model = this.#model;
    const trained = model.parameters.trainable().map((p) => p.name);
    // Moved by roundings, τ may lie below its minimum.
    for (const name of trained) model.parameters.set(name, point[name]!, { clamp: true });
    const input = { data: point[INPUT]!, batch: BATCH, steps: FRAMES };
    const evaluation = evaluationAt(point);
    const { hs, stats } = await model.rnn.forward(input, evaluation);
    const raw = await model.gradients(input, targets, 0, evaluation, (complete) => this.#penalties.add(complete));
    const { loss, penalties, metrics, x } = this.#penalties.addedTo(raw, raw.measured);
    const found = { trajectory: Float64Array.from(hs), loss, steps: stepsOf(stats[0]!) };
    if (!want.gradients) return { ...found, gradients: {}, measures: {} };
    const { outputs } = await model.evaluate(input, targets, evaluation);
    const numbers = { ...prefixed("penalty", penalties), ...prefixed("metric", metricValues(model.task, metrics)) };
    const gradients: Record<string, Float64Array> = { [INPUT]: Float64Array.from(x!) };
    for (const name of trained) gradients[name] = Float64Array.from(await model.parameters.gradient(name));
    const measures = {
      outputs: Float64Array.from(outputs),
      ...Object.fromEntries(Object.entries(numbers).map(([name, value]) => [name, Float64Array.of(value)])),
    };
    return { ...found, gradients, measures };
  }

  dispose(): void {
    this.#penalties.dispose();
    this.#model.dispose();
  }
}

/** Steps in discrete time have size 1. */
function stepsOf({ time, steps, nSteps }: { time: string; steps: StepSizes | null; nSteps: readonly number[] }) {
  return time === "discrete" ? nSteps.map((count) => new Array<number>(count).fill(1)) : steps;
}

function prefixed(prefix: string, values: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [`${prefix} ${name}`, value]));
}
