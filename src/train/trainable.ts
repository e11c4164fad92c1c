// What a trainer needs of a model, and whether samples fit it.

import type { Backend } from "../backend/backend.ts";
import type { FloatArray } from "../core/dtype.ts";
import { ArgumentError } from "../core/errors.ts";
import { isStream, samplesPerPass } from "../data/loader.ts";
import type { SampleSet, SampleShape, SampleStream, Samples } from "../data/sampleSet.ts";
import type { EvaluationOptions } from "../models/connectomeOdeRnn.ts";
import type { BatchPart, PartGradients } from "../models/networkModel.ts";
import type { ModelInput } from "../models/options.ts";
import type { ParameterSet } from "../models/parameters/parameterSet.ts";
import type { ActivityProbe, GatherFeatures } from "../models/readout/features.ts";
import type { Measurement, TaskGradients, TaskResult } from "../models/task/passes.ts";
import type { TargetBatch } from "../models/task/targets.ts";
import type { Task } from "../models/task/task.ts";

/** A model that a trainer can train: any NetworkModel is one. It is evaluated with options E. */
export interface TrainableModel<E extends object = EvaluationOptions> {
  readonly backend: Backend;
  readonly parameters: ParameterSet;
  readonly task: Task;
  readonly rnn: { readonly options: { readonly inputSize: number } };
  /** Whether the features need `calibrate` before training. */
  readonly standardised: boolean;
  gradients(
    input: ModelInput,
    targets: TargetBatch,
    step: number,
    evaluation?: E,
    measure?: Measurement,
  ): Promise<TaskGradients>;
  /** In one turn, for a batch that is computed part by part. */
  gradientsOfParts<R>(step: number, evaluation: E, work: (gradients: PartGradients) => Promise<R>): Promise<R>;
  /** Σ of the weights that the targets of a part have in the loss. */
  lossWeight(part: BatchPart, evaluation?: E): number;
  /** `outputs` [batch, times, rows]. */
  evaluate(
    input: ModelInput,
    targets: TargetBatch | null,
    evaluation?: E,
  ): Promise<TaskResult & { readonly outputs: FloatArray }>;
  probe(input: ModelInput, evaluation?: E): Promise<ActivityProbe>;
  /** With the samples of one input, or of several. */
  calibrate(input: ModelInput | AsyncIterable<ModelInput>, evaluation?: E, gather?: GatherFeatures): Promise<unknown>;
  /** What `calibrate` set; null: features are not standardised. */
  featureStatistics(): Promise<{ readonly mean: FloatArray; readonly scale: FloatArray } | null>;
}

/** Samples as the input of a model. */
export function inputOf({ steps }: SampleShape, { inputs, size }: Samples): ModelInput {
  return { data: inputs, batch: size, ...(steps === null ? {} : { steps }) };
}

export function targetsOf({ targets, weights }: Samples): TargetBatch {
  return { values: targets, weights };
}

/** How a model is evaluated on samples: their own output times, if they have any, come first. */
export function evaluationOn<E extends object>(
  samples: SampleSet | SampleStream,
  evaluation: E | undefined,
  signal: AbortSignal | undefined,
): E | undefined {
  const times = isStream(samples) ? null : (samples.times ?? null);
  if (times === null && signal === undefined) return evaluation;
  const { numEvals, ...rest }: E & { readonly numEvals?: number } = evaluation ?? ({} as E);
  const own = times ? { times } : numEvals === undefined ? {} : { numEvals };
  return { ...rest, ...own, ...(signal && { signal }) } as unknown as E;
}

/** Whether any target counts. */
export function hasTargets({ weights }: Samples): boolean {
  return weights === null || weights.some((weight) => weight > 0);
}

/** Whether any target counts in the loss, which may give classes the weight 0. */
export function hasLoss(samples: Samples, { weightOf }: Task["loss"]): boolean {
  const { targets, weights } = samples;
  if (!weightOf) return hasTargets(samples);
  return targets.some((target, i) => (weights?.[i] ?? 1) > 0 && weightOf(target) > 0);
}

/** @throws {ArgumentError} no samples, or samples that do not fit the model or its task; names what does not */
export function checkSamples<E extends object>(
  where: string,
  name: string,
  samples: SampleSet | SampleStream,
  { task, rnn }: Pick<TrainableModel<E>, "task" | "rnn">,
): void {
  const check = (what: string, fits: boolean, expected: string, got: unknown): void => {
    if (!fits) throw new ArgumentError(where, `${name}.${what}`, expected, `${got}`);
  };
  const { target, steps, inputSize } = samples;
  if (!isStream(samples)) check("count", samples.count >= 1, "at least one sample", samples.count);
  check(
    "steps",
    steps === null || (Number.isInteger(steps) && steps >= 1),
    "a whole number of at least 1, or null",
    steps,
  );
  const { inputSize: own } = rnn.options;
  check("inputSize", inputSize === own, `${own} numbers, the inputs of the network`, inputSize);
  const wanted = task.target;
  for (const part of ["kind", "width", "classes", "times"] as const) {
    check(`target.${part}`, target[part] === wanted[part], `${wanted[part]}, as the task has it`, target[part]);
  }
}

/** Samples that an evaluation reads at a time, so that inputs and outputs take bounded memory; see samplesPerPass. */
export function samplesPerEvaluation({ loss, target }: Task, samples: SampleShape, evaluation: object = {}): number {
  const { numEvals = 1 }: { readonly numEvals?: number } = evaluation;
  // At most as many as there are output times.
  const times = Math.max(samples.target.times ?? numEvals, samples.steps ?? 1);
  return samplesPerPass(samples, times * loss.outputs(target));
}
