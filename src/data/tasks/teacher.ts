// Teacher: traces of a network with known parameters on the wiring of the one to be trained. The student learns from the traces of some
// neurons; it has understood if it predicts those of the others, and if its parameters are the teacher's.

import { withValues } from "../../core/csr.ts";
import { ArgumentError, ShapeError } from "../../core/errors.ts";
import { deriveKey, type Key, RandomStream } from "../../core/random.ts";
import { quoteValue } from "../../core/text.ts";
import {
  generatedSet,
  type KnownAnswer,
  type SampleArrays,
  type TaskNetwork,
  type TaskSet,
  taskSet,
} from "./taskSet.ts";
import { TEACHER_DYNAMICS, TEACHER_NONLINEARITIES, type Teacher, teacherTraces } from "./teacherNetwork.ts";

/** Plane waves of an input. */
const WAVES = 4;
/** Frames of the shortest and of the longest wave. */
const PERIODS = [6, 40] as const;

/**
 * Inputs are [frames, neurons], one per neuron, sums of four cosines with logarithmically uniform periods of 6 to 40 frames. Targets are the
 * states of all neurons after each frame, from the state 0, with explicit Euler steps of one frame: those of a discrete network, or of
 * the method "euler" with dt 1 at the times 1, 2, …, frames. Training counts the observed neurons only; validation and test count the masked
 * ones, whose traces no step of training sees.
 *
 * W is that of the network times a factor e^(spread·z), z standard normal, one per connection or group of connections that share a
 * strength; τ and b are drawn per neuron, or per type where the network has types. Masked neurons can be inferred where they share
 * parameters with observed ones. Without shared parameters their traces are not determined well: each has parameters that only
 * weak effects on others reveal.
 */
export const teacher: TaskSet = taskSet("teacher", {
  summary: "predict the traces of all neurons of a network with the same wiring, from those of some of its neurons",
  isAboutNetwork: true,
  options: {
    frames: { kind: "whole", help: "frames of a sample", default: 40, least: 1, most: 4096 },
    masked: { kind: "number", help: "share of the neurons that are not observed", default: 0.25, least: 0, most: 0.99 },
    drive: { kind: "number", help: "standard deviation of the inputs", default: 2, least: 0, most: 100 },
    spread: {
      kind: "number",
      help: "standard deviation of the logarithm of the teacher's weights relative to the network's",
      default: 0.5,
      least: 0,
      most: 3,
    },
    fastest: { kind: "number", help: "least time constant, in frames", default: 2, least: 1, most: 1e6 },
    slowest: { kind: "number", help: "largest time constant, in frames", default: 10, least: 1, most: 1e6 },
    biasSpread: {
      kind: "number",
      help: "standard deviation of the teacher's biases",
      default: 0.5,
      least: 0,
      most: 100,
    },
    held: {
      kind: "choice",
      help: "neurons that count in validation and test; masked: those that training does not see",
      default: "masked",
      values: ["masked", "observed", "all"],
    },
  },
  make: ({ options, key, parts, network }) => {
    const { frames, masked, drive, held } = options;
    const truth = drawTeacher(network, options, key);
    const neurons = truth.weights.nRows;
    const isMasked = drawMask(neurons, masked, key);
    if (held === "masked" && !isMasked.includes(1))
      throw new ArgumentError(
        "teacher",
        "masked",
        `a share that masks one of ${neurons} neurons, or held: all`,
        `${masked}`,
      );
    const countsIn = {
      masked: isMasked,
      observed: isMasked.map((m) => 1 - m),
      all: new Float32Array(neurons).fill(1),
    };
    const makePart = (counted: Float32Array) => (count: number, partKey: Key) => ({
      ...generatedSet(
        {
          inputSize: neurons,
          steps: frames,
          target: { kind: "numbers", width: neurons, classes: null, times: frames },
          weighted: true,
          source: `teacher: traces of ${neurons} neurons with known parameters`,
        },
        count,
        partKey,
        (stream: RandomStream, { inputs, targets, weights }: SampleArrays) => {
          drawInputs(inputs, neurons, drive, stream);
          targets.set(teacherTraces(truth, inputs));
          for (let k = 0; k < frames; k++) weights.set(counted, k * neurons);
        },
      ),
      times: Float64Array.from({ length: frames }, (_, k) => k + 1),
    });
    return { ...parts(makePart(countsIn.observed), makePart(countsIn[held])), known: KNOWN, teacher: truth };
  },
});

const KNOWN: Readonly<Record<string, KnownAnswer>> = {
  r2: { best: 1, memoryless: null, chance: 0, reason: "a student with the teacher's parameters has its traces" },
  loss: { best: 0, memoryless: null, chance: null, reason: "a student with the teacher's parameters has its traces" },
};

/** @throws {ArgumentError | ShapeError} no network, or one whose equation or sharing is not known here */
function drawTeacher(
  network: TaskNetwork | null,
  options: Readonly<Record<"spread" | "fastest" | "slowest" | "biasSpread", number>>,
  key: Key,
): Teacher {
  const where = "teacher";
  const { spread, fastest, slowest, biasSpread } = options;
  if (network === null) throw new ArgumentError(where, "network", "the network that is to be trained", "none");
  const { weights, nonlinearity, group, typeIdx } = network;
  const dynamics = TEACHER_DYNAMICS.find((name) => name === network.dynamics);
  if (!dynamics)
    throw new ArgumentError(where, "network.dynamics", TEACHER_DYNAMICS.join(" or "), quoteValue(network.dynamics));
  const known = Object.keys(TEACHER_NONLINEARITIES);
  if (nonlinearity === null || !Object.hasOwn(TEACHER_NONLINEARITIES, nonlinearity))
    throw new ArgumentError(where, "network.nonlinearity", `one of ${known.join(", ")}`, quoteValue(nonlinearity));
  if (fastest > slowest) throw new ArgumentError(where, "fastest", `at most slowest = ${slowest}`, `${fastest}`);
  const { nRows, nCols, nnz } = weights;
  if (nRows !== nCols) throw new ShapeError(where, "network.weights", "as many columns as rows", `${nRows} × ${nCols}`);
  if (group !== null && group.length !== nnz)
    throw new ShapeError(where, "network.group", `${nnz}, one per connection`, `${group.length}`);
  if (typeIdx !== null && typeIdx.length !== nRows)
    throw new ShapeError(where, "network.typeIdx", `${nRows}, one per neuron`, `${typeIdx.length}`);

  /** One number for each thing, the same for all with the same number in `of`. */
  const draw = (name: string, count: number, of: ArrayLike<number> | null, f: (stream: RandomStream) => number) => {
    const own = deriveKey(key, name);
    return Float64Array.from({ length: count }, (_, i) =>
      f(new RandomStream(deriveKey(own, of === null ? i : of[i]!))),
    );
  };
  const factor = draw("weights", nnz, group, (stream) => Math.exp(spread * stream.normal()));
  return {
    dynamics,
    nonlinearity,
    weights: withValues(
      weights,
      factor.map((f, e) => f * weights.values[e]!),
    ),
    tau: draw("tau", nRows, typeIdx, (stream) => fastest * (slowest / fastest) ** stream.uniform()),
    bias: draw("bias", nRows, typeIdx, (stream) => biasSpread * stream.normal()),
  };
}

/** 1 for the share of the neurons that are masked, 0 for the others. */
function drawMask(neurons: number, share: number, key: Key): Float32Array {
  const order = new RandomStream(deriveKey(key, "mask")).permutation(neurons);
  const masked = new Float32Array(neurons);
  for (const i of order.subarray(0, Math.floor(share * neurons))) masked[i] = 1;
  return masked;
}

/** Smooth inputs of standard deviation `drive`. [frames, neurons] */
function drawInputs(inputs: Float32Array, neurons: number, drive: number, stream: RandomStream): void {
  const [shortest, longest] = PERIODS;
  const amplitude = drive * Math.sqrt(2 / WAVES);
  const [omega, phase] = [new Float64Array(WAVES), new Float64Array(WAVES)];
  for (let i = 0; i < neurons; i++) {
    for (let w = 0; w < WAVES; w++) {
      omega[w] = (2 * Math.PI) / (shortest * (longest / shortest) ** stream.uniform());
      phase[w] = 2 * Math.PI * stream.uniform();
    }
    for (let at = i, k = 0; at < inputs.length; at += neurons, k++) {
      let sum = 0;
      for (let w = 0; w < WAVES; w++) sum += Math.cos(omega[w]! * k + phase[w]!);
      inputs[at] = amplitude * sum;
    }
  }
}
