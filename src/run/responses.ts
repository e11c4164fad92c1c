// What groups of neurons of a run do over time, and how they respond to samples of given conditions.

import { type Conditions, checkConditions, conditionsByClass, oneCondition } from "../analysis/conditions.ts";
import {
  type ResponseMeasure,
  ResponseSums,
  type Responses,
  type ResponsesByCondition,
  type Selectivity,
  selectivity,
} from "../analysis/responses.ts";
import { bytesOf } from "../core/dtype.ts";
import { ArgumentError, SolverError } from "../core/errors.ts";
import { checkNames } from "../core/optionNames.ts";
import { plural } from "../core/text.ts";
import { batches, samplesPerPass } from "../data/loader.ts";
import { groupingColumn, type NamedNeurons, neuronsByColumn } from "../data/neuronGroups.ts";
import type { SampleSet } from "../data/sampleSet.ts";
import {
  checkCurrents,
  type Interventions,
  interventionsAtRest,
  interventionsOfSamples,
} from "../models/interventions.ts";
import { ConnectomeODEModel } from "../models/networkModel.ts";
import { chosenNeurons } from "../models/neuronChoice.ts";
import type { ModelInput } from "../models/options.ts";
import { recordActivity } from "../models/recordActivity.ts";
import { checkSamples, inputOf } from "../train/trainable.ts";
import { odeEvaluationOf } from "./evaluation.ts";
import type { OpenedRun } from "./openRun.ts";
import { checkSteps } from "./predict.ts";
import { trajectoryOf } from "./trajectory.ts";

/** Of which neurons, when, and in which conditions. */
export interface ResponsesOptions {
  /** Default: neurons by their type, or where types are not known by their role. */
  readonly groups?: readonly NamedNeurons[];
  /** Default: the classes of the samples, if each has one; else all samples together. */
  readonly conditions?: Conditions;
  /** As `--times`. Default: 25 in continuous time, all steps in discrete time. Not together with `at`. */
  readonly numTimes?: number;
  /** Ascending times up to the end; in discrete time numbers of steps done, from 1. */
  readonly at?: ArrayLike<number>;
  /** What neurons send, rather than their states: the same for rates, φ(h) for voltages. Default false. */
  readonly rates?: boolean;
  /** Default "peak". */
  readonly measure?: ResponseMeasure;
  readonly interventions?: Interventions | null;
  /** Called after each batch. */
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

const OPTIONS: Readonly<Record<keyof ResponsesOptions, true>> = {
  ...{ groups: true, conditions: true, numTimes: true, at: true, rates: true, measure: true, interventions: true },
  ...{ onProgress: true, signal: true },
};

const WHERE = "responses";
/** Times in continuous time. */
export const DEFAULT_TIMES = 25;
/** Recorded activity of a batch takes so many bytes, or is that of one sample. */
const RECORD_BYTES = 2 ** 28;

/**
 * Runs the network of a run on samples, batch by batch, and gives means and deviations of the activity of groups of neurons by condition and
 * time, and how their responses depend on the condition. Takes memory for a batch and for the result, whatever the number of samples. Samples that
 * fail (`--on-failure mask` of the run) are left out and counted.
 *
 *     await using run = await openRun("runs/a");
 *     const { groups, selectivity } = await responsesOf(run, run.data.test);
 *     groups.forEach(({ name }, g) => console.log(name, selectivity[g].epsilonSquared));
 *
 * @throws {ArgumentError | ShapeError} samples, times, groups or conditions that do not fit the run
 * @throws {SolverError} a sample that cannot be solved, unless the run leaves such samples out; or all of them
 */
export async function responsesOf(
  run: Pick<OpenedRun, "model" | "config" | "data" | "selectable">,
  samples: SampleSet,
  options: ResponsesOptions = {},
): Promise<Responses> {
  checkNames(WHERE, options, OPTIONS);
  const { numTimes, at, rates = false, measure = "peak", onProgress = () => {}, signal } = options;
  if (numTimes !== undefined && at) throw new ArgumentError(WHERE, "at", "it dropped, or no numTimes", "both");
  const { model, config } = run;
  checkSamples(WHERE, "samples", samples, model);
  checkSteps(WHERE, run, samples);
  const { groups = defaultGroups(run) } = options;
  const conditions = options.conditions ?? (await conditionsByClass(samples, signal)) ?? oneCondition(samples.count);
  checkConditions(conditions, samples.count);
  const { recorded, places } = placesOf(groups);
  const acted = interventionsBySample(options.interventions ?? null, samples);
  const observed = { neurons: recorded, rates, ...(signal && { signal }) };
  const evenly = numTimes ?? (model instanceof ConnectomeODEModel ? DEFAULT_TIMES : Number.POSITIVE_INFINITY);
  const start = await activityBefore(run, samples, observed, acted([0]));
  const baseline = Float64Array.from(places, (own) => own.reduce((sum, k) => sum + start[k]!, 0) / own.length);

  let sums: ResponseSums | null = null;
  let times: Float64Array = new Float64Array();
  let done = 0;
  const mostTimes = at?.length ?? Math.min(evenly, (samples.steps ?? 1) * config.recurrences);
  const batchSize = samplesAtOnce(samples, mostTimes * recorded.length * bytesOf(model.backend.dtype));
  for await (const batch of batches(samples, { batchSize, ...(signal && { signal }) })) {
    const activity = await trajectoryOf(model, config, samples, inputOf(samples, batch), {
      ...{ ...observed, interventions: acted(batch.indices) },
      ...(at ? { at } : { numTimes: evenly }),
    });
    times = activity.ts;
    sums ??= new ResponseSums({
      ...{ groups: places, conditions: conditions.names.length, times: times.length, baseline, measure },
    });
    sums.add(activity, conditions.ofSample.subarray(done, done + batch.size));
    done += batch.size;
    onProgress(done, samples.count);
  }
  const result = sums!.result();
  checkAny(result);
  return {
    ...{ ...result, measure, groups, conditions, times, baseline },
    timeUnit: model instanceof ConnectomeODEModel ? "t" : "step",
    selectivity: selectivities(result, groups.length),
  };
}

/** Neurons by type, or where types are not known by role. */
function defaultGroups({ selectable }: Pick<OpenedRun, "selectable">): NamedNeurons[] {
  return neuronsByColumn(selectable, groupingColumn(selectable), null, { where: WHERE, argument: "groups" });
}

/** The neurons of all groups, and the places of each group among them. */
function placesOf(groups: readonly NamedNeurons[]): {
  readonly recorded: Uint32Array;
  readonly places: readonly Uint32Array[];
} {
  if (groups.length === 0) throw new ArgumentError(WHERE, "groups", "at least one group of neurons", "none");
  const all = new Set<number>();
  for (const { neurons } of groups) for (const i of neurons) all.add(i);
  const recorded = Uint32Array.from(all).sort();
  const placeOf = new Map(Array.from(recorded, (i, k) => [i, k]));
  return { recorded, places: groups.map(({ neurons }) => neurons.map((i) => placeOf.get(i)!)) };
}

/** As many samples at a time as the recorded activity has room for; whole panels of the CPU, if there is room. */
function samplesAtOnce(samples: SampleSet, bytesPerSample: number): number {
  const room = Math.max(1, Math.floor(RECORD_BYTES / bytesPerSample));
  const most = Math.min(room, samplesPerPass(samples));
  return most < 16 ? most : most - (most % 16);
}

/**
 * The interventions in some of the samples.
 *
 * @throws {ShapeError} a list of currents that is neither one per frame nor one per sample and frame of the whole set
 */
function interventionsBySample(
  interventions: Interventions | null,
  { count, steps }: SampleSet,
): (indices: ArrayLike<number>) => Interventions | null {
  if (!interventions) return () => null;
  const all: ModelInput = { data: [], batch: count, ...(steps !== null && { steps }) };
  checkCurrents("interventions", "", interventions, all);
  return (indices) => interventionsOfSamples(interventions, all, Array.from(indices));
}

/**
 * Activity of neurons before the input, which is the same for all samples: in continuous time that at the start; in discrete time, where outputs
 * come after steps, that of neurons which are held in the initial state, or at the end of the run to rest.
 */
async function activityBefore(
  { model, config }: Pick<OpenedRun, "model" | "config">,
  samples: SampleSet,
  { signal, ...observed }: { readonly neurons: Uint32Array; readonly rates: boolean; readonly signal?: AbortSignal },
  interventions: Interventions | null,
): Promise<ArrayLike<number>> {
  const own = signal ? { signal } : {};
  const first = inputOf(samples, await samples.read([0], null));
  if (model instanceof ConnectomeODEModel) {
    const { numEvals: _, times: __, ...others } = odeEvaluationOf(config, samples);
    const endTime = samples.times?.at(-1) ?? config.endTime;
    const evaluation = { ...others, ...own, times: [0, endTime], endTime, interventions };
    return (await recordActivity(model.rnn, first, { ...observed, times: [0], evaluation })).data;
  }
  const { rest, restTime } = config;
  const { inputSize } = model.rnn.options;
  const held = interventions && interventionsAtRest(interventions);
  const input: ModelInput = { data: new Float64Array(inputSize).fill(rest ?? 0), batch: 1 };
  const evaluation =
    rest === null
      ? { ...own, numSteps: 1, interventions: withAllHeld(model, held ?? {}) }
      : { ...own, numSteps: 1, recurrences: restTime, interventions: held };
  return (await recordActivity(model.rnn, input, { ...observed, evaluation })).data;
}

/** Interventions that hold every neuron: those that are not silenced or clamped already at 0, where a run starts. */
function withAllHeld({ rnn }: OpenedRun["model"], held: Interventions): Interventions {
  const { silence, clamp = [] } = held;
  const isHeld = new Uint8Array(rnn.options.numNeurons);
  const chosen = [...(silence === undefined ? [] : [silence]), ...clamp.map(({ neurons }) => neurons)];
  for (const choice of chosen) for (const i of chosenNeurons(WHERE, "interventions", rnn, choice)) isHeld[i] = 1;
  const others = Uint32Array.from(isHeld.keys()).filter((i) => isHeld[i] === 0);
  return { ...held, clamp: [...clamp, { neurons: others, value: 0 }] };
}

/** @throws {SolverError | ArgumentError} no sample counts */
function checkAny({ samples, failed, withoutCondition }: ResponsesByCondition): void {
  if (samples.some((n) => n > 0)) return;
  if (failed === 0) throw new ArgumentError(WHERE, "conditions", "a condition for at least one sample", "none");
  const others = withoutCondition > 0 ? `, and ${plural(withoutCondition, "sample")} had no condition` : "";
  throw new SolverError("all-failed", `${WHERE}: none of ${plural(failed, "sample")} could be solved${others}`, {
    failed,
  });
}

function selectivities(
  { samples, response, sdResponse }: ResponsesByCondition,
  groups: number,
): readonly Selectivity[] {
  const { length } = samples;
  return Array.from({ length: groups }, (_, g) =>
    selectivity(
      samples,
      response.subarray(g * length, (g + 1) * length),
      sdResponse.subarray(g * length, (g + 1) * length),
    ),
  );
}
