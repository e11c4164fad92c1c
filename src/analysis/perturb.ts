// What neurons contribute: loss and metrics of a model with some of them silenced, clamped or driven, beside those of the intact model.

import { setImmediate as nextTurn } from "node:timers/promises";
import { ArgumentError, SolverError } from "../core/errors.ts";
import { checkNames } from "../core/optionNames.ts";
import { quoteValue } from "../core/text.ts";
import { batches } from "../data/loader.ts";
import { type SampleSet, subsetOfSamples } from "../data/sampleSet.ts";
import { checkCurrents, type Interventions, interventionsOfSamples } from "../models/interventions.ts";
import { jackknifeError } from "../stats/jackknife.ts";
import { EvaluationSums } from "../train/evaluation.ts";
import type { MetricValues } from "../train/taskDescription.ts";
import {
  checkSamples,
  evaluationOn,
  hasTargets,
  inputOf,
  samplesPerEvaluation,
  type TrainableModel,
  targetsOf,
} from "../train/trainable.ts";

/** Something that is done to neurons, alone. */
export interface Perturbation {
  /** For people: "T4a". */
  readonly name: string;
  readonly interventions: Interventions;
}

/** Loss, metrics and recall of a model. */
export interface ModelMeasures {
  readonly loss: number;
  readonly metrics: MetricValues;
  /** Share of right answers among the samples of each class, NaN where it has none; null: a sample has no single class. */
  readonly recall: readonly number[] | null;
}

/** What a perturbation does. Numbers that are not defined are NaN. */
export interface PerturbationEffect {
  readonly name: string;
  /** Of the perturbed model. */
  readonly value: ModelMeasures;
  /** Perturbed − intact, on the same samples. */
  readonly change: ModelMeasures;
  /** Standard error of the change over the samples. */
  readonly error: ModelMeasures;
  /** Samples that only the perturbed model could not be solved for; they count on neither side. */
  readonly failed: number;
  /** Why there are no numbers; null: there are. */
  readonly failure: string | null;
}

/** Result of `perturb`. */
export interface PerturbationResult {
  readonly intact: ModelMeasures;
  /** Samples that were judged: those with a target that counts. */
  readonly samples: number;
  /** Samples for which the intact model could not be solved; they are left out. */
  readonly failed: number;
  /** Groups of samples that the standard errors come from. */
  readonly groups: number;
  /** In the order of the perturbations. */
  readonly effects: readonly PerturbationEffect[];
}

/** Where `perturb` stands. */
export interface PerturbProgress {
  /** The perturbation that is being tried, from 0; −1: the intact model. */
  readonly index: number;
  /** Of all the work that is done. */
  readonly share: number;
}

/** Options of `perturb`. E: how the model is evaluated. */
export interface PerturbOptions<E extends object> {
  /** As for `model.evaluate`; its interventions are those of the intact model, which perturbations replace. */
  readonly evaluation?: E;
  /** "mask": samples that cannot be solved are left out, as the model's own `solve.onFailure` says. Default "throw". */
  readonly onFailure?: "throw" | "mask";
  /** Called after each group of samples. */
  readonly onProgress?: (progress: PerturbProgress) => void;
  readonly signal?: AbortSignal;
}

const OPTIONS: Readonly<Record<keyof PerturbOptions<object>, true>> = {
  ...{ evaluation: true, onFailure: true, onProgress: true, signal: true },
};

/** Most groups that samples are dealt out to: more make a standard error hardly better, and batches smaller. */
const MOST_GROUPS = 20;
/** Samples that a CPU takes at once: larger groups are multiples of it. */
const PANEL = 16;

/**
 * Loss and metrics of a model under one perturbation after the other, each beside the intact model on the same samples.
 *
 *     change = θ(perturbed) − θ(intact)
 *
 * Its standard error is that of the jackknife over G groups of samples, 10 ≤ G ≤ 20 (with fewer than 20 samples each is a group): both models
 * are judged without one group at a time, so what samples have in common cancels. It holds for any metric. Sample k is in group k mod G. It
 * says how the change would vary with other samples, not with another training.
 *
 * Samples that the intact model cannot be solved for are left out of everything; those that fail under one perturbation are left out of both
 * sides there. A perturbation under which the model cannot be solved at all has no numbers, and the others go on.
 *
 * Currents may have a number per frame, per sample of `samples`, or per sample and frame. Programs are compiled once, not per perturbation.
 *
 *     const types = neuronsByColumn(run.selectable, "type", null);
 *     const lesions = types.map(({ name, neurons }) => ({ name, interventions: { silence: neurons } }));
 *     const { intact, effects } = await perturb(run.model, run.data.test, lesions, { evaluation: run.evaluation });
 *
 * @throws {ArgumentError | ShapeError} samples that do not fit the model or have no target that counts, no perturbation, interventions that the
 *   model cannot take
 * @throws {SolverError} the intact model cannot be solved
 * Source of the standard error: Wolter, Introduction to Variance Estimation, 2nd ed. 2007, ch. 4.
 */
export async function perturb<E extends object>(
  model: TrainableModel<E>,
  samples: SampleSet,
  perturbations: readonly Perturbation[],
  options: PerturbOptions<E> = {},
): Promise<PerturbationResult> {
  checkNames("perturb", options, OPTIONS);
  const { onFailure = "throw", onProgress = () => {}, signal } = options;
  if (onFailure !== "throw" && onFailure !== "mask")
    throw new ArgumentError("perturb", "onFailure", '"throw" or "mask"', quoteValue(onFailure));
  if (perturbations.length === 0) throw new ArgumentError("perturb", "perturbations", "at least one", "none");
  checkSamples("perturb", "samples", samples, model);
  const evaluation = evaluationOn(samples, options.evaluation, signal);
  const judge = judgeOf(model, samples, evaluation, options);
  const groups = groupsOf(samples.count);
  let done = 0;
  const advance = (index: number): void => {
    done++;
    onProgress({ index, share: done / (groups.length * (perturbations.length + 1)) });
  };
  for (const [k, { interventions }] of perturbations.entries())
    checkCurrents("perturb", `perturbations[${k}].interventions.`, interventions, wholeOf(samples));
  const intact: JudgedGroup[] = [];
  for (const indices of groups) {
    intact.push(await judge(indices, null));
    advance(-1);
  }
  const solved = intact.reduce((sum, { kept }) => sum + kept.length, 0);
  if (solved === 0) throw intact[0]!.failure!;
  const whole = allOf(model, intact);
  if (whole.isEmpty) throw new ArgumentError("perturb", "samples.weights", "at least one target that counts", "none");
  const effects: PerturbationEffect[] = [];
  for (const [k, { name, interventions }] of perturbations.entries()) {
    done = groups.length * (k + 1);
    effects.push({ name, ...(await effectOf(model, judge, intact, interventions, () => advance(k))) });
  }
  const failed = samples.count - solved;
  return { intact: measuresOf(whole), samples: whole.result(0).count, failed, groups: intact.length, effects };
}

/** The shape of all samples at once. */
function wholeOf({ count, steps }: SampleSet): { readonly batch: number; readonly steps?: number } {
  return { batch: count, ...(steps !== null && { steps }) };
}

/** A group of samples under one condition. */
interface JudgedGroup {
  /** That were solved. */
  readonly kept: Uint32Array;
  readonly sums: EvaluationSums;
  /** Why all samples of a batch were not; null: there is no such batch. */
  readonly failure: SolverError | null;
}

type JudgeGroup = (indices: Uint32Array, interventions: Interventions | null) => Promise<JudgedGroup>;

function judgeOf<E extends object>(
  model: TrainableModel<E>,
  samples: SampleSet,
  evaluation: E | undefined,
  { onFailure = "throw", signal }: PerturbOptions<E>,
): JudgeGroup {
  const batchSize = samplesPerEvaluation(model.task, samples, evaluation);
  const whole = { ...wholeOf(samples), data: [] };
  return async (indices, interventions) => {
    const sums = new EvaluationSums(model.task);
    const failed = new Set<number>();
    let failure: SolverError | null = null;
    if (indices.length === 0) return { kept: indices, sums, failure };
    for await (const batch of batches(subsetOfSamples(samples, indices), { batchSize, ...(signal && { signal }) })) {
      // A signal can arrive.
      await nextTurn();
      if (!hasTargets(batch)) continue;
      const own = Array.from(batch.indices, (k) => indices[k]!);
      const acted = interventions && {
        interventions: interventionsOfSamples(interventions, whole, own),
      };
      const input = inputOf(samples, batch);
      const how = acted ? ({ ...evaluation, ...acted } as unknown as E) : evaluation;
      const result = await model.evaluate(input, targetsOf(batch), how).catch((error: unknown) => {
        if (!(error instanceof SolverError && onFailure === "mask")) throw error;
        // All samples of the batch failed.
        failure ??= error;
        return null;
      });
      if (result) sums.add(batch, result);
      for (const [k, index] of own.entries()) if (!result || result.failed.includes(k)) failed.add(index);
    }
    return { kept: failed.size === 0 ? indices : indices.filter((k) => !failed.has(k)), sums, failure };
  };
}

async function effectOf<E extends object>(
  model: TrainableModel<E>,
  judge: JudgeGroup,
  intact: readonly JudgedGroup[],
  interventions: Interventions,
  advance: () => void,
): Promise<Omit<PerturbationEffect, "name">> {
  const perturbed: JudgedGroup[] = [];
  const beside: JudgedGroup[] = [];
  let failed = 0;
  try {
    for (const group of intact) {
      const own = await judge(group.kept, interventions);
      perturbed.push(own);
      failed += group.kept.length - own.kept.length;
      beside.push(own.kept.length === group.kept.length ? group : await judge(own.kept, null));
      advance();
    }
  } catch (error) {
    if (!(error instanceof SolverError)) throw error;
    return { ...nothing(model, intact), failed: 0, failure: error.message };
  }
  if (perturbed.every(({ sums }) => sums.isEmpty)) {
    const cause = perturbed.find((group) => group.failure)?.failure;
    return { ...nothing(model, intact), failed, failure: cause?.message ?? "no sample with a target could be solved" };
  }
  const [after, before] = [perturbed, beside].map((groups) => allOf(model, groups));
  const value = measuresOf(after!);
  const change = differenceOf(value, measuresOf(before!));
  const judged = perturbed.flatMap(({ sums }, g) => (sums.isEmpty ? [] : [g]));
  const leftOut = judged.map((g) => {
    const others = judged.filter((other) => other !== g);
    const [own, intactly] = [perturbed, beside].map((groups) =>
      measuresOf(
        allOf(
          model,
          others.map((o) => groups[o]!),
        ),
      ),
    );
    return differenceOf(own!, intactly!);
  });
  const error = mapMeasures(change, (of) => jackknifeError(leftOut.map(of)));
  return { value, change, error, failed, failure: null };
}

/** Every G-th sample: sets are often in the order of their classes. Groups are as large as whole panels where that leaves enough of them. */
function groupsOf(count: number): Uint32Array[] {
  const least = Math.ceil(count / MOST_GROUPS);
  const size = least > PANEL / 2 ? Math.ceil(least / PANEL) * PANEL : least;
  const groups = Math.ceil(count / size);
  return Array.from({ length: groups }, (_, g) =>
    Uint32Array.from({ length: Math.ceil((count - g) / groups) }, (_, k) => g + k * groups),
  );
}

function allOf<E extends object>({ task }: TrainableModel<E>, groups: readonly JudgedGroup[]): EvaluationSums {
  return groups.reduce((all, { sums }) => all.plus(sums), new EvaluationSums(task));
}

function measuresOf(sums: EvaluationSums): ModelMeasures {
  const { loss, metrics, confusion } = sums.result(0);
  if (!confusion) return { loss, metrics, recall: null };
  const classes = Math.sqrt(confusion.length);
  const recall = Array.from({ length: classes }, (_, c) => {
    const row = confusion.subarray(c * classes, (c + 1) * classes);
    return row[c]! / row.reduce((sum, n) => sum + n, 0);
  });
  return { loss, metrics, recall };
}

/** A number for each of the measures, computed from a function that reads the measure. */
function mapMeasures(like: ModelMeasures, of: (read: (measures: ModelMeasures) => number) => number): ModelMeasures {
  return {
    loss: of(({ loss }) => loss),
    metrics: Object.fromEntries(Object.keys(like.metrics).map((name) => [name, of((m) => m.metrics[name]!)])),
    recall: like.recall?.map((_, c) => of((m) => m.recall![c]!)) ?? null,
  };
}

function differenceOf(a: ModelMeasures, b: ModelMeasures): ModelMeasures {
  return mapMeasures(a, (read) => read(a) - read(b));
}

/** The measures of what could not be solved. */
function nothing<E extends object>(
  model: TrainableModel<E>,
  intact: readonly JudgedGroup[],
): Pick<PerturbationEffect, "value" | "change" | "error"> {
  const unknown = mapMeasures(measuresOf(allOf(model, intact)), () => Number.NaN);
  return { value: unknown, change: unknown, error: unknown };
}

/**
 * The order of effects from the worst to the best: by the change of the first metric, without metrics by that of the loss. Those without numbers
 * come last.
 *
 * @returns places in `effects`
 */
export function worstFirst(
  effects: readonly Pick<PerturbationEffect, "change">[],
  first: { readonly name: string; readonly better: "higher" | "lower" } | undefined,
): number[] {
  const harm = ({ change }: Pick<PerturbationEffect, "change">): number => {
    const worse = first ? (first.better === "higher" ? -1 : 1) * change.metrics[first.name]! : change.loss;
    return Number.isNaN(worse) ? Number.NEGATIVE_INFINITY : worse;
  };
  const harms = effects.map(harm);
  return effects.map((_, k) => k).sort((a, b) => harms[b]! - harms[a]! || a - b);
}
