// What ready-made tasks have in common: declared options, samples that are functions of (seed, index), and known answers.

import type { Csr } from "../../core/csr.ts";
import { ArgumentError } from "../../core/errors.ts";
import { checkNames } from "../../core/optionNames.ts";
import { deriveKey, type Key, keyOfSeed, RandomStream } from "../../core/random.ts";
import { quoteValue } from "../../core/text.ts";
import type { SampleSet } from "../sampleSet.ts";
import type { Teacher } from "./teacherNetwork.ts";

/** An option of a ready-made task. */
export type TaskOption = TaskNumber | TaskChoice;

/** A number from `least` to `most`. */
export interface TaskNumber {
  readonly kind: "whole" | "number";
  readonly help: string;
  readonly default: number;
  readonly least: number;
  readonly most: number;
  /** The default with a network that has one of its own. */
  readonly ofNetwork?: (network: TaskNetwork) => number | null;
}

/** One of some words. */
export interface TaskChoice {
  readonly kind: "choice";
  readonly help: string;
  readonly default: string;
  readonly values: readonly string[];
}

/** The parts of a task's samples, and their sizes. */
export interface TaskParts<T> {
  readonly train: T;
  readonly validation: T;
  readonly test: T;
}

/** The network to be trained, for tasks that are about it. */
export interface TaskNetwork {
  /** W when training begins, [neurons, neurons], row = post, with signs. */
  readonly weights: Csr;
  /** Name of its equation. */
  readonly dynamics: string;
  /** Name of φ in torch.nn. */
  readonly nonlinearity: string | null;
  /** [connections], row-major: connections of a group share a strength; null: each has its own weight. */
  readonly group: ArrayLike<number> | null;
  /** [neurons]: neurons of a type share τ and b; null: each has its own. */
  readonly typeIdx: ArrayLike<number> | null;
  /** Extent of the hexagonal eye in whose columns the neurons lie; null: they lie in none. */
  eyeExtent?(): number | null;
}

/** Which samples of a task to make. */
export interface TaskRequest {
  /** Everything that is drawn is a function of it: a whole number from 0 to 2^53 − 1. */
  readonly seed: number;
  /** Samples of each part, ≥ 1. They are made when they are read: a large number takes no memory. */
  readonly samples: TaskParts<number>;
  /** By name, as the task declares them; an option left out has its default. */
  readonly options?: Readonly<Record<string, number | string>>;
  /** Tasks that are not about a network ignore it. */
  readonly network?: TaskNetwork;
}

/** What is known of a metric before any training: expected values for the samples of the test set. */
export interface KnownAnswer {
  /** Of the best possible answers; null: unknown. */
  readonly best: number | null;
  /** Of the best answers that see the latest input only; null: unknown. */
  readonly memoryless: number | null;
  /** Of the best answers that see no input; null: unknown. */
  readonly chance: number | null;
  /** Where the numbers come from, in a sentence for people. */
  readonly reason: string;
}

/** The samples of a task, and what is known of it. */
export interface GeneratedTask extends TaskParts<SampleSet> {
  /** By metric: "accuracy"; "loss" is the mean cross-entropy in nats, or squared error, of the targets that count. */
  readonly known: Readonly<Record<string, KnownAnswer>>;
  /** The network that made the targets, if one did: what a training may find. */
  readonly teacher?: Teacher;
}

/** A task whose samples are made, not read. */
export interface TaskSet {
  /** What is asked, in a sentence. */
  readonly summary: string;
  readonly options: Readonly<Record<string, TaskOption>>;
  /** The samples are made by the network to be trained: another wiring has other samples. */
  readonly isAboutNetwork: boolean;
  /** @throws {ArgumentError} an option that does not exist, or a value outside its range */
  make(request: TaskRequest): GeneratedTask;
}

/** Values of options as their declarations say. */
export type OptionValues<Options extends Readonly<Record<string, TaskOption>>> = {
  readonly [Name in keyof Options]: Options[Name] extends { readonly values: readonly (infer Value)[] }
    ? Value
    : number;
};

/** Makes the samples of a part. */
export type MakePart = (count: number, key: Key) => SampleSet;

/** A request whose options have been checked and completed. */
export interface CheckedRequest<Values> {
  readonly options: Values;
  /** Of what all parts share, such as the probabilities of a chain. */
  readonly key: Key;
  readonly network: TaskNetwork | null;
  /** Makes each part from its number of samples and its own key; with `held`, validation and test otherwise than the training set. */
  parts(make: MakePart, held?: MakePart): TaskParts<SampleSet>;
}

/** A task from the declaration of its options and a function that makes it; `name` stands in errors. */
export function taskSet<const Options extends Readonly<Record<string, TaskOption>>>(
  name: string,
  declared: {
    readonly summary: string;
    readonly options: Options;
    /** Default false. */
    readonly isAboutNetwork?: boolean;
    make(request: CheckedRequest<OptionValues<Options>>): GeneratedTask;
  },
): TaskSet {
  const { summary, options, isAboutNetwork = false, make } = declared;
  return {
    summary,
    options,
    isAboutNetwork,
    make: ({ seed, samples, options: given = {}, network = null }) => {
      const values = checkedOptions(name, options, given, network) as OptionValues<Options>;
      for (const part of PARTS) checkRange(name, `samples.${part}`, { kind: "whole", ...COUNT }, samples[part]);
      const key = deriveKey(keyOfSeed(seed), name);
      return make({
        options: values,
        key: deriveKey(key, "task"),
        network,
        parts: (makePart, makeHeld = makePart) => ({
          train: makePart(samples.train, deriveKey(key, "train")),
          validation: makeHeld(samples.validation, deriveKey(key, "validation")),
          test: makeHeld(samples.test, deriveKey(key, "test")),
        }),
      });
    },
  };
}

const PARTS = ["train", "validation", "test"] as const;
const COUNT = { least: 1, most: 2 ** 32 } as const;

function checkedOptions(
  task: string,
  options: Readonly<Record<string, TaskOption>>,
  given: Readonly<Record<string, unknown>>,
  network: TaskNetwork | null,
): Record<string, unknown> {
  checkNames(task, given, Object.fromEntries(Object.keys(options).map((name) => [name, true as const])));
  return Object.fromEntries(
    Object.entries(options).map(([name, option]) => {
      const value = given[name] === undefined ? defaultOf(option, network) : given[name];
      if (option.kind !== "choice") checkRange(task, name, option, value);
      else if (!option.values.includes(value as string)) {
        throw new ArgumentError(task, name, `one of ${option.values.join(", ")}`, quoteValue(value));
      }
      return [name, value];
    }),
  );
}

function defaultOf(option: TaskOption, network: TaskNetwork | null): number | string {
  const own = option.kind !== "choice" && network ? option.ofNetwork?.(network) : null;
  return own ?? option.default;
}

function checkRange(
  task: string,
  name: string,
  { kind, least, most }: Pick<TaskNumber, "kind" | "least" | "most">,
  value: unknown,
): void {
  const fits = typeof value === "number" && value >= least && value <= most;
  if (fits && (kind === "number" || Number.isInteger(value))) return;
  const expected = `a ${kind === "whole" ? "whole number" : "number"} from ${least} to ${most}`;
  throw new ArgumentError(task, name, expected, quoteValue(value));
}

/** Where a made sample is written; all zero before. */
export interface SampleArrays {
  /** [steps ?? 1, inputSize] */
  readonly inputs: Float32Array;
  /** [target.times ?? 1, target.width] */
  readonly targets: Float32Array;
  /** Shape of `targets`; empty without weights. */
  readonly weights: Float32Array;
}

/** A set that makes sample i when it is read, as a function of (key, i). There is no variation between epochs. */
export function generatedSet(
  shape: Omit<SampleSet, "read" | "release" | "count">,
  count: number,
  key: Key,
  draw: (stream: RandomStream, into: SampleArrays, index: number) => void,
): SampleSet {
  const { inputSize, steps, target, weighted } = shape;
  const inputLength = (steps ?? 1) * inputSize;
  const targetLength = (target.times ?? 1) * target.width;
  const weightLength = weighted ? targetLength : 0;
  return {
    ...shape,
    count,
    read: (indices) => {
      const size = indices.length;
      const inputs = new Float32Array(size * inputLength);
      const targets = new Float32Array(size * targetLength);
      const weights = new Float32Array(size * weightLength);
      for (let k = 0; k < size; k++) {
        const index = indices[k]!;
        if (!(index >= 0 && index < count && Number.isInteger(index))) {
          throw new ArgumentError("read", "indices", `whole numbers from 0 to ${count - 1}`, `${index} at ${k}`);
        }
        const into = {
          inputs: inputs.subarray(k * inputLength, (k + 1) * inputLength),
          targets: targets.subarray(k * targetLength, (k + 1) * targetLength),
          weights: weights.subarray(k * weightLength, (k + 1) * weightLength),
        };
        draw(new RandomStream(deriveKey(key, index)), into, index);
      }
      return { size, inputs, targets, weights: weighted ? weights : null };
    },
  };
}
