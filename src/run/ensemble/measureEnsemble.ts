// What is measured of the members of an ensemble, one after another: metrics, parameters, responses, predictions. From it follow the statistics.

import { ensembleStatistics, type MemberMetric, type MemberValues } from "../../analysis/ensemble.ts";
import type { EnsembleResult } from "../../analysis/ensembleResult.ts";
import { yieldToEventLoop } from "../../core/abort.ts";
import { ArgumentError } from "../../core/errors.ts";
import { checkNames } from "../../core/optionNames.ts";
import { quoteText, quoteValue } from "../../core/text.ts";
import type { PartName } from "../../data/sampleArrays.ts";
import { analysisValues } from "./analysisValues.ts";
import { CommonPrediction } from "./commonPrediction.ts";
import { comparedParameters, distributionsOf, groupSpreads, type Measured, parametersOf } from "./memberParameters.ts";
import { Responses } from "./memberResponses.ts";
import type { Ensemble, EnsembleMember } from "./openEnsemble.ts";
import { groupsOf, WHERE } from "./work.ts";

/** What is measured of an ensemble. */
export interface MeasureOptions {
  /** Default: test, or else validation, or else train. */
  readonly part?: PartName;
  /** Samples that responses are the mean over, the first ones of the part. Default 100. */
  readonly samples?: number;
  /** Times that responses are recorded at. Default 20. */
  readonly times?: number;
  /** Column of the neuron table whose values are the groups of neurons. Default: type, or role without types. */
  readonly by?: string;
  /** Compare the numbers of this analysis of every member, instead of responses. */
  readonly analysis?: string;
  /** Of that analysis, only the numbers at these paths, like "types.dsi", or at those that end with them, like "dsi". Default: all that differ between members. */
  readonly arrays?: readonly string[];
  /** What members are clustered by: "responses", "analysis", or a kind of parameter. Default: the first of these that there is. */
  readonly clusterBy?: string;
  /** See `cluster`. */
  readonly leastSilhouette?: number;
  readonly signal?: AbortSignal;
  /** Called before each part of the work: "a, responses". */
  readonly onProgress?: (member: number, members: number, what: string) => void;
}

const OPTIONS: Readonly<Record<keyof MeasureOptions, true>> = {
  ...{ part: true, samples: true, times: true, by: true, analysis: true, arrays: true },
  ...{ clusterBy: true, leastSilhouette: true, signal: true, onProgress: true },
};

/**
 * Opens the members one after another, measures each, and compares them. Memory: one network, and of each member at most 2¹⁸ numbers of each
 * parameter, its responses, and the sum of outputs.
 *
 * @throws {ArgumentError} a part, column, analysis or values to cluster by that members do not have, or samples that differ between them
 * @throws as iterating the ensemble; the signal's reason
 */
export async function measureEnsemble(ensemble: Ensemble, options: MeasureOptions = {}): Promise<EnsembleResult> {
  const { signal, onProgress = () => {}, clusterBy, leastSilhouette, analysis } = options;
  checkNames("measureEnsemble", options, OPTIONS);
  const { samples } = options;
  if (samples !== undefined && !(Number.isSafeInteger(samples) && samples >= 1))
    throw new ArgumentError(WHERE, "samples", "a whole number of at least 1", quoteValue(samples));
  const { members } = ensemble;
  const known = analysis === undefined ? null : await analysisValues(members, analysis, options.arrays ?? []);
  const prediction = new CommonPrediction(options.part);
  const responses = known ? null : new Responses(options);
  const measured: Measured[] = [];
  for await (const opened of ensemble) {
    const { member, run, hasSameWiring } = opened;
    const show = (what: string): void => onProgress(measured.length, members.length, `${member.name}, ${what}`);
    await yieldToEventLoop(signal);
    show("parameters");
    const parameters = await parametersOf(run, groupsOf(run, options.by));
    checkClusterBy(clusterBy, [known ? "analysis" : "responses", ...parameters.map(({ name }) => name)]);
    await prediction.add(opened, measured.length + 1 === members.length, { signal, show });
    await responses?.add(opened, { signal, show });
    measured.push({ step: run.step, parameters, hasSameWiring });
  }
  const notes = [...ensemble.warnings, ...(known?.notes ?? [])];
  const own = comparedParameters(measured, notes);
  const values: MemberValues[] = [...(known ? [known.values] : responses!.values()), ...own];
  const metrics = metricsOf(members);
  const statistics = ensembleStatistics({
    ...{ metrics, values },
    ...(clusterBy !== undefined && { clusterBy }),
    ...(leastSilhouette !== undefined && { leastSilhouette }),
  });
  return {
    members: members.map(({ name, folder, config, version }, m) => ({
      ...{ name, folder, seed: config.seed, step: measured[m]!.step, version },
    })),
    ...{ leftOut: ensemble.leftOut, differences: ensemble.differences, task: members[0]!.task },
    ...{ statistics, notes },
    parameters: groupSpreads(measured),
    distributions: distributionsOf(measured),
    analysis: known?.analysis ?? null,
    responses: responses?.result() ?? null,
    prediction: prediction.result(members[0]!.task),
  };
}

/** Before the long work. */
function checkClusterBy(wanted: string | undefined, names: readonly string[]): void {
  if (wanted !== undefined && !names.includes(wanted))
    throw new ArgumentError(WHERE, "clusterBy", `one of ${names.join(", ")}`, quoteText(wanted));
}

/** Metrics and losses at the end of training, as the runs recorded them. */
function metricsOf(members: readonly EnsembleMember[]): MemberMetric[] {
  const { task } = members[0]!;
  const all = (["test", "validation"] as const).flatMap((set) => [
    ...task.metrics.map(({ name, better }) => ({
      ...{ name: `${set} ${name}`, better },
      values: members.map((member) => member[set]?.metrics[name] ?? Number.NaN),
    })),
    {
      ...{ name: `${set} loss`, better: "lower" as const },
      values: members.map((member) => member[set]?.loss ?? Number.NaN),
    },
  ]);
  return all.filter(({ values }) => values.some(Number.isFinite));
}
