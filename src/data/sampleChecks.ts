// Checks of samples before they are trained on, by name, and their statistics from the same pass.

import type { DType } from "../core/dtype.ts";
import { findNonFinite } from "../core/finite.ts";
import type { TargetShape } from "../core/targets.ts";
import type { Refuse } from "./sampleArrays.ts";

/** Samples as they are checked: `Samples` of any element type. */
export interface CheckedSamples {
  readonly size: number;
  /** [size, steps ?? 1, inputSize] */
  readonly inputs: ArrayLike<number>;
  /** [size, target.times ?? 1, target.width] */
  readonly targets: ArrayLike<number>;
  /** Shape of `targets`, or null. */
  readonly weights: ArrayLike<number> | null;
}

/** Shapes of the samples, and what else they must be. */
export interface SampleRules {
  readonly inputSize: number;
  readonly steps: number | null;
  readonly target: Omit<TargetShape, "classes">;
  /** Classes must lie below it; not used for numbers. */
  readonly classLimit: number;
  /** Why there is this limit, for the message. */
  readonly classHint: string;
  /** Precision in which the numbers must be finite. */
  readonly dtype: DType;
  /** Whole numbers, which must be exact in single precision. */
  readonly whole: { readonly inputs: boolean; readonly targets: boolean };
  readonly weightsName: "mask" | "weights";
  readonly refuse: Refuse;
}

/**
 * Checks inputs, and the targets that count.
 *
 * @param place  words for a sample, such as "sample 17"
 * @throws what `refuse` makes: NaN, infinity, whole numbers that f32 does not hold, no class, negative weights, a mask of other values than 0 and 1
 */
export function checkSamples(samples: CheckedSamples, rules: SampleRules, place: (sample: number) => string): void {
  const { inputs, targets, weights } = samples;
  const { steps, inputSize, target, whole, weightsName, refuse } = rules;
  const inputPlace = (at: number): string => {
    const frames = steps ?? 1;
    const frame = Math.floor(at / inputSize) % frames;
    const sample = Math.floor(at / (inputSize * frames));
    return `at ${place(sample)}${steps === null ? "" : `, frame ${frame}`}, input ${at % inputSize}`;
  };
  const targetPlace = (at: number): string => {
    const times = target.times ?? 1;
    const time = Math.floor(at / target.width) % times;
    const sample = Math.floor(at / (target.width * times));
    const output = target.kind === "class" ? "" : `, output ${at % target.width}`;
    return `at ${place(sample)}${target.times === null ? "" : `, time ${time}`}${output}`;
  };
  checkNumbers("inputs", inputs, null, rules.dtype, whole.inputs, inputPlace, refuse);
  if (weights) checkWeights(weights, weightsName, targetPlace, refuse);
  if (target.kind === "class") checkClasses(targets, weights, rules, targetPlace);
  else checkNumbers("targets", targets, weights, rules.dtype, whole.targets, targetPlace, refuse);
}

function checkNumbers(
  array: string,
  values: ArrayLike<number>,
  weights: ArrayLike<number> | null,
  dtype: DType,
  whole: boolean,
  place: (at: number) => string,
  refuse: Refuse,
): void {
  const maskHint = array === "targets" ? " (with a mask: only where a target counts)" : "";
  const reach = weights ? " wherever a target counts" : maskHint;
  if (whole) {
    for (let i = 0; i < values.length; i++) {
      if (Math.fround(values[i]!) === values[i] || weights?.[i] === 0) continue;
      throw refuse(
        array,
        "whole numbers that single precision holds, such as those up to 2^24",
        `${values[i]} ${place(i)}`,
      );
    }
  } else if (findNonFinite(values, dtype) >= 0) {
    for (let i = 0; i < values.length; i++) {
      const value = values[i]!;
      if (weights?.[i] === 0 || Number.isFinite(dtype === "f32" ? Math.fround(value) : value)) continue;
      const what = Number.isFinite(value) ? "finite numbers in the range of f32, up to 3.4e38" : "finite numbers";
      throw refuse(array, what + reach, `${value} ${place(i)}`);
    }
  }
}

function checkWeights(
  weights: ArrayLike<number>,
  name: "mask" | "weights",
  place: (at: number) => string,
  refuse: Refuse,
): void {
  for (let i = 0; i < weights.length; i++) {
    const weight = weights[i]!;
    if (name === "mask" ? weight === 0 || weight === 1 : weight >= 0 && Math.fround(weight) < Number.POSITIVE_INFINITY)
      continue;
    throw refuse(name, name === "mask" ? "0 and 1" : "finite numbers ≥ 0", `${weight} ${place(i)}`);
  }
}

function checkClasses(
  targets: ArrayLike<number>,
  weights: ArrayLike<number> | null,
  { classLimit, classHint, refuse }: SampleRules,
  place: (at: number) => string,
): void {
  for (let i = 0; i < targets.length; i++) {
    const target = targets[i]!;
    if ((Number.isInteger(target) && target >= 0 && target < classLimit) || weights?.[i] === 0) continue;
    throw refuse("targets", `classes, whole numbers from 0 to ${classLimit - 1}${classHint}`, `${target} ${place(i)}`);
  }
}

/** Means and standard deviations of some columns of numbers. */
export interface Spread {
  readonly mean: Float64Array;
  /** Root of the mean squared distance from the mean. */
  readonly std: Float64Array;
}

/** Statistics of some samples. */
export interface SampleStatistics {
  readonly samples: number;
  /** Samples without a target that counts. */
  readonly withoutTargets: number;
  /** [inputSize], over samples and frames. */
  readonly inputs: Spread;
  /** Of each output [target.width], over samples and times, with the weights of the targets; null for classes. */
  readonly targets: Spread | null;
  /** Sum of the weights of the targets of each output (numbers) or each class (classes); without weights, how many there are. */
  readonly weights: Float64Array;
}

/** Means and squared distances that grow row by row. Source: West, Commun. ACM 22(9), 532–535 (1979), weighted updates. */
class Moments {
  readonly weight: Float64Array;
  readonly #mean: Float64Array;
  readonly #squares: Float64Array;

  constructor(width: number) {
    this.weight = new Float64Array(width);
    this.#mean = new Float64Array(width);
    this.#squares = new Float64Array(width);
  }

  /** A row that begins at `from`, of weight 1. */
  addRow(values: ArrayLike<number>, from: number): void {
    const width = this.#mean.length;
    for (let j = 0; j < width; j++) this.add(j, values[from + j]!, 1);
  }

  add(j: number, value: number, weight: number): void {
    if (weight === 0) return;
    const total = this.weight[j]! + weight;
    const distance = value - this.#mean[j]!;
    const mean = this.#mean[j]! + (distance * weight) / total;
    this.#squares[j]! += weight * distance * (value - mean);
    this.#mean[j] = mean;
    this.weight[j] = total;
  }

  spread(): Spread {
    return {
      mean: this.#mean.slice(),
      std: this.#squares.map((square, j) => (this.weight[j]! > 0 ? Math.sqrt(square / this.weight[j]!) : 0)),
    };
  }
}

/** Statistics that grow sample by sample; the samples have been checked. */
export class StatisticsBuilder {
  readonly #inputSize: number;
  readonly #target: Omit<TargetShape, "classes">;
  readonly #frames: number;
  readonly #inputs: Moments;
  readonly #targets: Moments | null;
  #classes = new Float64Array(16);
  #classCount = 0;
  #samples = 0;
  #withoutTargets = 0;

  constructor({ inputSize, steps, target }: Pick<SampleRules, "inputSize" | "steps" | "target">) {
    this.#inputSize = inputSize;
    this.#target = target;
    this.#frames = steps ?? 1;
    this.#inputs = new Moments(inputSize);
    this.#targets = target.kind === "numbers" ? new Moments(target.width) : null;
  }

  /** One more than the largest class so far. */
  get classes(): number {
    return this.#classCount;
  }

  get samples(): number {
    return this.#samples;
  }

  /** Adds sample `k` of `samples`. */
  add({ inputs, targets, weights }: CheckedSamples, k: number): void {
    this.#samples++;
    for (let frame = 0; frame < this.#frames; frame++) {
      this.#inputs.addRow(inputs, (k * this.#frames + frame) * this.#inputSize);
    }
    const size = (this.#target.times ?? 1) * this.#target.width;
    let counts = false;
    for (let j = 0; j < size; j++) {
      const weight = weights ? weights[k * size + j]! : 1;
      if (weight === 0) continue;
      counts = true;
      const target = targets[k * size + j]!;
      if (this.#targets) this.#targets.add(j % this.#target.width, target, weight);
      else this.#addClass(target, weight);
    }
    if (!counts) this.#withoutTargets++;
  }

  #addClass(target: number, weight: number): void {
    if (target >= this.#classes.length) {
      const longer = new Float64Array(Math.max(2 * this.#classes.length, target + 1));
      longer.set(this.#classes);
      this.#classes = longer;
    }
    this.#classes[target]! += weight;
    this.#classCount = Math.max(this.#classCount, target + 1);
  }

  /** @param classes  of all parts; ignored for numbers */
  finish(classes: number): SampleStatistics {
    const weights = new Float64Array(classes);
    if (!this.#targets) weights.set(this.#classes.subarray(0, classes));
    return {
      ...{ samples: this.#samples, withoutTargets: this.#withoutTargets, inputs: this.#inputs.spread() },
      targets: this.#targets?.spread() ?? null,
      weights: this.#targets?.weight.slice() ?? weights,
    };
  }
}

/**
 * The loss of the best constant prediction: Σ w·(x − mean)² / Σ w over all outputs (numbers), or the entropy −Σ p·ln p of the classes in nats.
 */
export function constantLoss({ targets, weights }: SampleStatistics): number {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  let loss = 0;
  weights.forEach((weight, j) => {
    if (targets) loss += (weight / total) * targets.std[j]! ** 2;
    else if (weight > 0) loss -= (weight / total) * Math.log(weight / total);
  });
  return loss;
}
