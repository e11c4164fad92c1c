// Runs one case on a backend, one function per kind, and says which cases it cannot run.

import type { Backend } from "../../src/backend/backend.ts";
import { ConnectomeClassifier, ConnectomeODEClassifier } from "../../src/models/classifier.ts";
import {
  ConnectomeODERNN,
  type ConnectomeODERNNOptions,
  type EvaluationOptions,
  type SolveOptions,
} from "../../src/models/connectomeOdeRnn.ts";
import { ConnectomeRNN, type StepOptions } from "../../src/models/connectomeRnn.ts";
import type { Projection } from "../../src/models/matrix.ts";
import type { ModelInput } from "../../src/models/options.ts";
import type { ParameterSet } from "../../src/models/parameters/parameterSet.ts";
import { TABLEAUS } from "../../src/ode/tableaus/index.ts";
import { Adam, AdamW, type Optimizer, SGD } from "../../src/train/optimizer.ts";
import { arrayOf, dataOf, dot, type Inputs, numNeuronsOf, pairs, sparseOf, stepCounts, unsortedOf } from "./arrays.ts";
import { runBacksolveCase } from "./backsolveCase.ts";
import type { Outputs } from "./compare.ts";
import type { CaseArrays, GoldenCase, SolverCaseOptions, TrainingOptions } from "./format.ts";
import { controllerOf, DEFAULT_MAX_STEPS, runSolverCase } from "./solverCase.ts";

type Runner = (backend: Backend, golden: GoldenCase, inputs: Inputs) => Promise<Outputs>;

const RUNNERS: Readonly<Record<string, Runner>> = {
  ode_rnn: runRnn,
  ode_classifier: runClassifier,
  rnn: runDiscrete,
  rnn_classifier: runDiscreteClassifier,
  train: runTraining,
  solver: runSolverCase,
  backsolve: runBacksolveCase,
  joint_backsolve: runBacksolveCase,
};

/** Kinds whose options are a solver's. */
const SOLVER_KINDS: readonly string[] = ["solver", "backsolve", "joint_backsolve"];

/** Parameters of the models by the format's names. */
const PARAMETERS: Readonly<Record<string, string>> = {
  hh_values: "rnn.hh.values",
  hh_bias: "rnn.hh.bias",
  ih_values: "rnn.ih.values",
  ih_weight: "rnn.ih.weight",
  ho_values: "rnn.ho.values",
  ho_weight: "rnn.ho.weight",
  ho_bias: "rnn.ho.bias",
  tau: "rnn.tau",
  fc1_weight: "out_layer.1.weight",
  fc1_bias: "out_layer.1.bias",
  fc2_weight: "out_layer.4.weight",
  fc2_bias: "out_layer.4.bias",
};

/** Why a case cannot be run; null when it can. */
export function unsupported({ kind, options }: GoldenCase): string | null {
  if (!Object.hasOwn(RUNNERS, kind)) return `unknown kind "${kind}"`;
  if (kind === "train" && !options.training) return "a training without an optimizer";
  return (kind === "train" ? unsupportedTraining(options.training!) : null) ?? unsupportedSolver(kind, options.solver);
}

function unsupportedTraining({ optimizer, unknown }: TrainingOptions): string | null {
  if (!["Adam", "AdamW", "SGD"].includes(optimizer)) return `unknown optimizer "${optimizer}"`;
  return unknown.length > 0 ? `unknown arguments of ${optimizer}: ${unknown.join(", ")}` : null;
}

function unsupportedSolver(kind: string, { method, controller, dt0 }: SolverCaseOptions): string | null {
  if (!TABLEAUS.some((t) => t.name.toLowerCase() === method.toLowerCase())) return `unknown method "${method}"`;
  if (!["integral", "pid", "fixed"].includes(controller.type)) return `unknown controller "${controller.type}"`;
  if (!["rms", "max"].includes(controller.norm)) return `unknown norm "${controller.norm}"`;
  if (!SOLVER_KINDS.includes(kind) && typeof dt0 === "object" && dt0 !== null)
    return "a first step per sample of a model";
  return null;
}

/** Runs a case that `unsupported` has nothing against. */
export async function runCase(backend: Backend, golden: GoldenCase, inputs: Inputs): Promise<Outputs> {
  const outputs = await RUNNERS[golden.kind]!(backend, golden, inputs);
  return inputs.has("hh_raw_values") ? new Map([...outputs, ...summedDuplicates(golden, inputs)]) : outputs;
}

/** What a case's outputs are compared with: the connectome too, where it is also given as unsorted triples. */
export function referencesOf({ inputs, references }: CaseArrays): CaseArrays["references"] {
  if (!inputs.has("hh_raw_values")) return references;
  return new Map([
    ...references,
    ...["hh_rows", "hh_cols", "hh_values"].map((name) => [name, inputs.get(name)!] as const),
  ]);
}

// ---- kinds -----------------------------------------------------------------------------------------------------------

async function runRnn(backend: Backend, golden: GoldenCase, inputs: Inputs): Promise<Outputs> {
  const model = new ConnectomeODERNN(backend, rnnOptions(golden, inputs));
  try {
    loadParameters(model.parameters, inputs);
    const cotangent = dataOf(golden, inputs, "cot");
    const { trajectory, gradients } = await model.vjp(inputOf(golden, inputs), cotangent, evaluationOf(golden, inputs));
    const outputs = new Map<string, ArrayLike<number>>([
      ["hs", trajectory.hs],
      ["outs", trajectory.outs],
      ["ts", timesOf(golden, inputs, trajectory.ts)],
      ["loss", [dot(trajectory.outs, cotangent)]],
      ["grad_h0", gradients.h0],
      ...stepCounts(trajectory.stats),
      ...(await gradientsOf(model.parameters)),
      ...(await valuesOf(model.parameters, "final")),
    ]);
    if (gradients.x) outputs.set("grad_x", gradients.x);
    return outputs;
  } finally {
    model.dispose();
  }
}

async function runClassifier(backend: Backend, golden: GoldenCase, inputs: Inputs): Promise<Outputs> {
  const model = classifier(backend, golden, inputs);
  try {
    const input = inputOf(golden, inputs);
    const labels = dataOf(golden, inputs, "labels");
    const { lossAllTimesteps } = golden.options;
    const evaluation = { ...evaluationOf(golden, inputs), lossAllTimesteps };
    const trajectory = await model.rnn.forward(input, evaluationOf(golden, inputs));
    const { logits } = await model.evaluate(input, labels, evaluation);
    const { loss, stats, x } = await model.gradients(input, labels, 0, evaluation);
    const outputs = new Map<string, ArrayLike<number>>([
      ["hs", trajectory.hs],
      ["ts", timesOf(golden, inputs, trajectory.ts)],
      ["logits", logits],
      ["loss", [loss]],
      ...stepCounts(stats),
      ...(await gradientsOf(model.parameters)),
      ...(await valuesOf(model.parameters, "final")),
    ]);
    if (x) outputs.set("grad_x", x);
    return outputs;
  } finally {
    model.dispose();
  }
}

async function runDiscrete(backend: Backend, golden: GoldenCase, inputs: Inputs): Promise<Outputs> {
  const model = new ConnectomeRNN(backend, rnnOptions(golden, inputs));
  try {
    loadParameters(model.parameters, inputs);
    const cotangent = dataOf(golden, inputs, "cot");
    const { outputs, gradients } = await model.vjp(inputOf(golden, inputs), cotangent, stepsOf(golden, inputs));
    const named = new Map<string, ArrayLike<number>>([
      ["hs", outputs.hs],
      ["outs", outputs.outs],
      ["loss", [dot(outputs.outs, cotangent)]],
      ["grad_h0", gradients.h0],
      ...(await gradientsOf(model.parameters)),
      ...(await valuesOf(model.parameters, "final")),
    ]);
    if (gradients.x) named.set("grad_x", gradients.x);
    return named;
  } finally {
    model.dispose();
  }
}

async function runDiscreteClassifier(backend: Backend, golden: GoldenCase, inputs: Inputs): Promise<Outputs> {
  const model = new ConnectomeClassifier(backend, { rnn: rnnOptions(golden, inputs), ...readoutOf(golden, inputs) });
  try {
    loadParameters(model.parameters, inputs);
    const input = inputOf(golden, inputs);
    const labels = dataOf(golden, inputs, "labels");
    const evaluation = { ...stepsOf(golden, inputs), lossAllTimesteps: golden.options.lossAllTimesteps };
    const { hs } = await model.rnn.forward(input, stepsOf(golden, inputs));
    const { logits } = await model.evaluate(input, labels, evaluation);
    const { loss, x } = await model.gradients(input, labels, 0, evaluation);
    const outputs = new Map<string, ArrayLike<number>>([
      ["hs", hs],
      ["logits", logits],
      ["loss", [loss]],
      ...(await gradientsOf(model.parameters)),
      ...(await valuesOf(model.parameters, "final")),
    ]);
    if (x) outputs.set("grad_x", x);
    return outputs;
  } finally {
    model.dispose();
  }
}

async function runTraining(backend: Backend, golden: GoldenCase, inputs: Inputs): Promise<Outputs> {
  const { steps } = golden.options.training!;
  const x = arrayOf(golden, inputs, "batches_x");
  const labels = arrayOf(golden, inputs, "batches_labels");
  const batch = labels.shape[1]!;
  const model = classifier(backend, golden, inputs);
  const optimizer = optimizerOf(backend, model.parameters, golden.options.training!);
  try {
    const losses: number[] = [];
    const norms: number[] = [];
    const counts = new Map<string, number[]>();
    const parameters = new Map<string, ArrayLike<number>>();
    for (let step = 0; step < steps; step++) {
      const width = x.data.length / steps;
      const data = x.data.subarray(step * width, (step + 1) * width);
      const input = {
        data,
        batch,
        ...(x.shape.length === 4 ? { steps: sequenceLength(golden, x.shape.slice(1)) } : {}),
      };
      const batchLabels = labels.data.subarray(step * batch, (step + 1) * batch);
      const { lossAllTimesteps } = golden.options;
      const evaluation = { ...evaluationOf(golden, inputs), lossAllTimesteps };
      const { loss, stats } = await model.gradients(input, batchLabels, step, evaluation);
      optimizer.step();
      losses.push(loss);
      if (golden.options.training!.clipNorm !== null) norms.push(await optimizer.gradientNorm());
      for (const [name, values] of stepCounts(stats)) counts.set(name, [...(counts.get(name) ?? []), ...values]);
      if (step > 0 && step < steps - 1) continue;
      for (const prefix of [...(step === 0 ? ["step1"] : []), ...(step === steps - 1 ? ["final"] : [])]) {
        for (const [name, values] of await valuesOf(model.parameters, prefix)) parameters.set(name, values);
      }
    }
    return new Map<string, ArrayLike<number>>([
      ["losses", losses],
      ...(norms.length > 0 ? [["grad_norms", norms] as const] : []),
      ...counts,
      ...parameters,
    ]);
  } finally {
    optimizer.dispose();
    model.dispose();
  }
}

function optimizerOf(backend: Backend, parameters: ParameterSet, training: TrainingOptions): Optimizer {
  const { optimizer, lr, betas, eps, weightDecay, momentum, dampening, nesterov, clipNorm } = training;
  const clip = clipNorm === null ? {} : { clipNorm };
  if (optimizer === "SGD")
    return new SGD(backend, parameters, { lr, momentum, dampening, nesterov, weightDecay, ...clip });
  const options = { lr, betas, eps, weightDecay, ...clip };
  return optimizer === "AdamW" ? new AdamW(backend, parameters, options) : new Adam(backend, parameters, options);
}

// ---- models from inputs ------------------------------------------------------------------------------------------------

function rnnOptions(golden: GoldenCase, inputs: Inputs): ConnectomeODERNNOptions {
  const { options } = golden;
  const x = arrayOf(golden, inputs, inputs.has("x") ? "x" : "batches_x");
  const numNeurons = numNeuronsOf(golden, inputs);
  const inputSize = x.shape.at(-1)!;
  const sign = inputs.get("sign");
  const types = inputs.get("neuron_type");
  const nOutputs = inputs.get("cot")?.shape.at(-1) ?? inputs.get("fc1_weight")?.shape[1] ?? numNeurons;
  return {
    inputSize,
    numNeurons,
    connectome: sparseOf(golden, inputs, "hh", numNeurons, numNeurons)!,
    weightConstraint: { min: 0, clamp: true },
    inputProjection: projectionOf(golden, inputs, "ih", numNeurons, inputSize),
    outputProjection: projectionOf(golden, inputs, "ho", nOutputs, numNeurons),
    outputProjectionBias: inputs.has("ho_bias"),
    neuronNonlinearity: options.act,
    ...(types ? { neuronType: types.data } : {}),
    neuronTauMode: options.tauPerType ? "perNeuronType" : "perNeuron",
    ...(sign ? { neuronClass: sign.data as ArrayLike<1 | -1> } : {}),
    connectomeBias: inputs.has("hh_bias"),
    trainConnectome: options.trainsHh,
    trainInputProjection: options.trainsIh,
    trainTau: options.trainsTau,
    batchFirst: options.batchFirst,
    inputGradient: golden.kind !== "train",
    solve: solveOf(options.solver),
  };
}

/** The reference's models have no limit of steps. */
function solveOf(options: SolverCaseOptions): SolveOptions {
  const { method, dt0, maxSteps, throughStepSizeControl } = options;
  return {
    method,
    controller: controllerOf(options),
    maxSteps: maxSteps ?? DEFAULT_MAX_STEPS,
    ...(typeof dt0 === "number" ? { dt0 } : {}),
    // The reference's steps go across the frames of a sequence.
    stepsEndAtFrames: false,
    backpropThroughStepSizeControl: throughStepSizeControl,
  };
}

/** The matrix `<name>_weight` if dense, `<name>_values` … if sparse, or null when there is none. */
function projectionOf(
  golden: GoldenCase,
  inputs: Inputs,
  name: string,
  nRows: number,
  nCols: number,
): Projection | null {
  const weight = inputs.get(`${name}_weight`);
  return weight ? { nRows, nCols, values: weight.data } : sparseOf(golden, inputs, name, nRows, nCols);
}

function readoutOf(golden: GoldenCase, inputs: Inputs): { numClasses: number; fcDim: number; dropout: number } {
  const [numClasses, fcDim] = arrayOf(golden, inputs, "fc2_weight").shape;
  return { numClasses: numClasses!, fcDim: fcDim!, dropout: 0 };
}

function classifier(backend: Backend, golden: GoldenCase, inputs: Inputs): ConnectomeODEClassifier {
  const rnn = rnnOptions(golden, inputs);
  const model = new ConnectomeODEClassifier(backend, { rnn, ...readoutOf(golden, inputs) });
  loadParameters(model.parameters, inputs);
  return model;
}

/** Sets the parameters as they are: the reference clamps tau below 1, which a model refuses unless it is told to do the same. */
function loadParameters(parameters: ParameterSet, inputs: Inputs): void {
  for (const [name, parameter] of Object.entries(PARAMETERS)) {
    const values = inputs.get(name);
    if (values) parameters.set(parameter, values.data, { clamp: true });
  }
}

function inputOf(golden: GoldenCase, inputs: Inputs): ModelInput {
  const { shape, data } = arrayOf(golden, inputs, "x");
  if (shape.length === 2) return { data, batch: shape[0]! };
  return { data, batch: shape[golden.options.batchFirst ? 0 : 1]!, steps: sequenceLength(golden, shape) };
}

function sequenceLength({ options }: GoldenCase, shape: readonly number[]): number {
  return shape[options.batchFirst ? 1 : 0]!;
}

function evaluationOf({ options }: GoldenCase, inputs: Inputs): EvaluationOptions {
  const { numEvals, startTime, endTime } = options;
  return { numEvals, startTime, endTime, h0: inputs.get("h0")?.data ?? null };
}

function stepsOf({ options }: GoldenCase, inputs: Inputs): StepOptions {
  return { ...(options.numSteps === null ? {} : { numSteps: options.numSteps }), h0: inputs.get("h0")?.data ?? null };
}

// ---- outputs -----------------------------------------------------------------------------------------------------------

/** The reference gives one row of times per sample, or one column when time comes first. */
function timesOf(golden: GoldenCase, inputs: Inputs, ts: ArrayLike<number>): number[] {
  const { batch } = inputOf(golden, inputs);
  const { batchFirst } = golden.options;
  return Array.from({ length: batch * ts.length }, (_, i) => ts[batchFirst ? i % ts.length : Math.floor(i / batch)]!);
}

async function gradientsOf(parameters: ParameterSet): Promise<[string, ArrayLike<number>][]> {
  const trainable = new Set(parameters.trainable().map((p) => p.name));
  const named = Object.entries(PARAMETERS).filter(([, parameter]) => trainable.has(parameter));
  return Promise.all(named.map(async ([name, p]) => [`grad_${name}`, await parameters.gradient(p)] as const)).then(
    pairs,
  );
}

async function valuesOf(parameters: ParameterSet, prefix: string): Promise<[string, ArrayLike<number>][]> {
  const known = new Set(parameters.all().map((p) => p.name));
  const named = Object.entries(PARAMETERS).filter(([, parameter]) => known.has(parameter));
  return Promise.all(
    named.map(async ([name, p]) => [`${prefix}_${name}`, await parameters.read(p, "value")] as const),
  ).then(pairs);
}

/** The connectome again, from unsorted triples with duplicates. */
function summedDuplicates(golden: GoldenCase, inputs: Inputs): [string, ArrayLike<number>][] {
  const n = numNeuronsOf(golden, inputs);
  const csr = unsortedOf(golden, inputs, "hh_raw", n, n)!;
  const rows = Array.from({ length: csr.nRows }, (_, row) => {
    return new Array<number>(csr.rowPtr[row + 1]! - csr.rowPtr[row]!).fill(row);
  }).flat();
  return [
    ["hh_rows", rows],
    ["hh_cols", csr.colIdx],
    ["hh_values", csr.values],
  ];
}
