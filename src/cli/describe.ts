// A run in words: its settings as resolved at the start, and its results.

import { formatCount, formatMebibytes, formatNumber } from "../core/format.ts";
import { plural, quoteText } from "../core/text.ts";
import { VERSION } from "../core/version.ts";
import { CONTROLS } from "../data/controls.ts";
import type { SampleSet, SampleShape } from "../data/sampleSet.ts";
import { readTimesOf } from "../models/readout/times.ts";
import { type TapePlan, tapeBytes } from "../ode/tape.ts";
import { originText } from "../report/origin.ts";
import type { RecoveryFacts } from "../report/runRecord.ts";
import { BASELINE_NAMES, type BaselineFacts, networkSettings } from "../run/baseline.ts";
import type { Assignments, TrainConfig } from "../run/config.ts";
import { outputTimesOf, readoutTimesOf } from "../run/evaluation.ts";
import { isConnectomeTrained, type RunInputs } from "../run/experiment.ts";
import { samplesPerStep } from "../run/microBatch.ts";
import { describeSolver } from "../run/solver.ts";
import type { EvaluationRecord } from "../train/metrics.ts";
import { duration } from "../train/progress.ts";
import { answerText, describeTask, metricText, type TaskDescription } from "../train/taskDescription.ts";
import { describeRanks, type RunRanks } from "./ranks.ts";
import type { RunSummary } from "./summary.ts";

export function row(label: string, text: string): string {
  return `${label.padEnd(12)}${text}`;
}

/**
 * The first lines of a run.
 *
 * @param ranks  the processes that train together; null: one does
 */
export function describeRun(
  config: TrainConfig,
  inputs: RunInputs,
  device: string,
  lastStep: number,
  ranks: RunRanks | null = null,
): string[] {
  const { connectome, projections, samples, baseline } = inputs;
  const { csr, table, tableFile, ids, source, provenance } = connectome;
  const made =
    csr.duplicatesSummed > 0 ? `; ${plural(csr.duplicatesSummed, "duplicate entry", "duplicate entries")} summed` : "";
  const from = tableFile ? ` from ${tableFile}${ids ? ", joined by id" : ""}` : "";
  const cellTypes = table ? `, ${formatCount(table.types.length)} cell types${from}` : "";
  const parts = [
    samples.validation && `${formatCount(samples.validation.count)} validation`,
    samples.test && `${formatCount(samples.test.count)} test`,
  ];
  const counts = [`${formatCount(samples.train.count)} training`, ...parts.filter((part) => part !== null)].join(", ");
  return [
    `axograd ${VERSION}, preset ${config.preset}, seed ${config.seed}`,
    baseline
      ? row("network", describeBaseline(baseline))
      : row(
          "network",
          `${formatCount(csr.nRows)} neurons, ${formatCount(csr.nnz)} connections (${source}${cellTypes})${made}`,
        ),
    ...(provenance ? [row("origin", originText(provenance))] : []),
    row("weights", describeWeights(config)),
    row(
      "input",
      `${formatCount(samples.train.inputSize)} ${samples.train.picture ? "pixels" : "inputs"} to ${plural(projections.nDriven, "neuron")}${projections.inputSelected === null ? "" : ` of ${formatCount(projections.inputSelected)}`}, ${projections.input}, ${networkSettings(config).trainInput ? "trained" : "frozen"}`,
    ),
    row("read-out", describeReadout(config, inputs)),
    row("data", `${samples.source}: ${counts} ${nounOf(samples.train)}`),
    ...describeSamples(inputs),
    row("device", `${device}`),
    ...(ranks ? [row("ranks", describeShares(ranks, config, samples.train))] : []),
    row(config.time === "continuous" ? "solver" : "time", describeTime(config, samples.train)),
    row("training", describeTraining(samples.train.picture ? config : { ...config, shift: 0 }, lastStep)),
  ];
}

/** "4 on n1 (2), n2 (2), Open MPI 4.1.4; 1 micro-batch each; 2 threads each": processes, and what each of them does in a step. */
function describeShares(ranks: RunRanks, config: TrainConfig, train: SampleSet): string {
  const { hosts, threads } = ranks;
  const parts = Math.ceil(samplesPerStep(config, train) / (config.microBatch ?? 1));
  const each = (least: number, most: number, noun: string, nouns: string): string =>
    `${least === most ? "" : `${least} or `}${most} ${most === 1 ? noun : nouns} each`;
  const work = each(Math.floor(parts / hosts.length), Math.ceil(parts / hosts.length), "micro-batch", "micro-batches");
  const least = Math.min(...threads);
  const most = Math.max(...threads);
  const cpus = least === most ? each(most, most, "thread", "threads") : `${least} to ${most} threads each`;
  return `${describeRanks(ranks)}; ${work}; ${cpus}`;
}

/** Most classes whose samples are counted in words. */
const MOST_CLASSES = 12;

/** Classes, the loss of a constant prediction, known answers and notes. */
function describeSamples({ samples, task, known }: RunInputs): string[] {
  const { counts, notes, train } = samples;
  const { loss, metrics } = describeTask(task);
  const classes = counts?.classes;
  const parts = classes && train.target.classes! <= MOST_CLASSES ? Object.entries(classes) : [];
  const constant = counts && known?.loss === undefined ? loss.chance : null;
  const each = (name: string, weights: readonly number[]): string =>
    `${name} ${weights.map((weight, c) => `${train.classNames?.[c] ?? c}: ${formatNumber(weight)}`).join(", ")}`;
  return [
    ...(parts.length === 0 ? [] : [row("classes", parts.map(([name, weights]) => each(name, weights)).join("; "))]),
    ...(constant === null
      ? []
      : [row("constant", `the best constant prediction has a loss of ${formatNumber(constant)}`)]),
    ...describeKnown(known, { metrics }),
    ...notes.map((note) => row("note", note)),
  ];
}

/** "accuracy: best possible 98.2 %, chance 50.0 %; loss: …": what is known of a task without training. */
export function describeKnown(known: RunInputs["known"], { metrics }: Pick<TaskDescription, "metrics">): string[] {
  const texts = Object.entries(known ?? {}).flatMap(([name, answer]) => {
    const metric = metrics.find((own) => own.name === name);
    const text = answerText(answer, metric ?? { format: "number" });
    return text === "" ? [] : [`${name}: ${text}`];
  });
  return texts.length === 0 ? [] : [row("known", texts.join("; "))];
}

/** How the network is run: its steps or its solver, where it starts, and at which times it is read out. */
export function describeTime(config: TrainConfig, shape: SampleShape): string {
  const { time, recurrences, rest, restTime, window } = config;
  const perFrame = plural(recurrences, "step");
  const steps =
    shape.steps === null
      ? `discrete, ${perFrame} with a constant input`
      : `discrete, ${perFrame} per frame, ${plural(shape.steps, "frame")}`;
  const parts = [
    time === "continuous" ? describeSolver(config) : steps,
    ...(rest === null
      ? []
      : [`from rest under input ${rest} (${time === "continuous" ? "time" : "steps"} ${restTime})`]),
    ...(window === null ? [] : [`gradients within windows of ${plural(window, "frame")}`]),
    describeReadTimes(config, shape),
  ];
  return parts.join(", ");
}

/** "read out at the last of 2 times", "read out as the mean of the last 4 of 12 times". */
function describeReadTimes(config: TrainConfig, shape: SampleShape): string {
  const { readoutAverage } = config;
  const count = outputTimesOf(config, shape);
  const read = readTimesOf(readoutTimesOf(config, shape), count).length;
  if (read === 1) return count === 1 ? "read out at the end" : `read out at the last of ${count} times`;
  const times = read === count ? `all ${count} times` : `the last ${read} of ${count} times`;
  return readoutAverage ? `read out as the mean of ${times}` : `read out at ${times}`;
}

function describeTraining(config: TrainConfig, lastStep: number): string {
  const { optimizer, momentum, lr, lrOf, warmUp, weightDecay, decayOf, freeze, penalty } = config;
  const { clipNorm, shift, batchSize, accumulate, microBatch, activityPenalty, activityBaseline } = config;
  const decays = weightDecay > 0 || decayOf !== null;
  const name = { adam: decays ? "AdamW" : "Adam", sgd: "SGD", rmsprop: "RMSprop" }[optimizer];
  const some = (numbers: Assignments | null) =>
    Object.entries(numbers ?? {}).map(([pattern, x]) => `, ${x} for ${quoteText(pattern)}`);
  const parts = [
    ...(momentum > 0 ? [`${name} with momentum ${momentum}`] : [name]),
    ...(decays ? [`weight decay ${weightDecay}${some(decayOf).join("")}`] : []),
    `learning rate ${lr}${some(lrOf).join("")}`,
    ...(freeze ?? []).map((pattern) => `${quoteText(pattern)} frozen`),
    ...Object.entries(penalty ?? {}).map(([term, weight]) => `penalty ${weight} · ${quoteText(term)}`),
    ...(activityPenalty > 0 ? [`penalty ${activityPenalty} on activity away from ${activityBaseline}`] : []),
    ...describeSchedule(config),
    ...(warmUp > 0 ? [`after a rise over ${plural(warmUp, "step")}`] : []),
    ...(clipNorm === null ? [] : [`gradients of norm ${clipNorm} at most`]),
    accumulate === 1 ? `batches of ${batchSize}` : `${accumulate} batches of ${batchSize} per step`,
    ...(microBatch === null ? [] : [`micro-batches of ${microBatch}`]),
    ...(shift > 0 ? [`shifted by up to ${plural(shift, "pixel")}`] : []),
    plural(lastStep, "step"),
  ];
  return parts.join(", ");
}

function describeSchedule({ schedule, decayEvery, decayFactor }: TrainConfig): string[] {
  if (schedule === "constant") return [];
  if (schedule !== "step") return [`${schedule} schedule`];
  const every = decayEvery === null ? "third of the run" : plural(decayEvery, "step");
  return [`times ${decayFactor} every ${every}`];
}

/** "GRU of 44 units with 8,423 trained parameters, in place of made-up visual system with 350 neurons, 8,178 connections and 8,528". */
export function describeBaseline({ name, units, parameters, connectome }: BaselineFacts): string {
  const { source, neurons, connections, parameters: most } = connectome;
  const size = `${plural(neurons, "neuron")}, ${plural(connections, "connection")} and ${formatCount(most)}`;
  return `${BASELINE_NAMES[name]} of ${plural(units, "unit")} with ${formatCount(parameters)} trained parameters, in place of ${source} with ${size}`;
}

function describeWeights(config: TrainConfig): string {
  const { weights, normalise, gain, wiring, share } = config;
  const neurons = describeDynamics(config);
  const frozen = isConnectomeTrained(config) ? "" : ", frozen";
  if (wiring === "dense") return `dense, N(0, 1/units); ${neurons}`;
  if (wiring === "gru") return "three dense matrices, N(0, 1/units); gates Sigmoid, state Tanh";
  if (wiring === "none") return `none, W = 0${frozen}; ${neurons}`;
  const control = wiring === "real" ? "" : `control ${wiring} (${CONTROLS[wiring].summary}), `;
  const shared = { none: "", types: ", shared by cell types", columns: ", shared by cell types and columns" }[share];
  const kind = weights === "abs" ? "absolute values" : "signed";
  const divided = {
    rows: ", rows divided by their sum of |w|",
    types: ", rows divided by the mean sum of |w| over their type",
    pairs: ", divided by the mean |w| of their pair of types",
    none: "",
  }[normalise];
  return `${control}${kind}${divided}${gain === 1 ? "" : `, gain ${gain}`}${shared}${frozen}; ${neurons}`;
}

/** "ReLU", "leaky dynamics, Tanh, tau 2", "voltage dynamics, ReLU, biases 0.5 ± 0.05". */
function describeDynamics({ dynamics, nonlinearity, tau, bias, biasSpread }: TrainConfig): string {
  const own = dynamics === "rate" ? "" : `${dynamics} dynamics, `;
  const spread = biasSpread === 0 ? "" : ` ± ${biasSpread}`;
  const biases = bias === null && spread === "" ? "" : `, biases ${bias ?? "of the network"}${spread}`;
  return `${own}${nonlinearity}${tau === null || tau === 1 ? "" : `, tau ${tau}`}${biases}`;
}

function describeReadout(config: TrainConfig, { projections, weights, samples }: RunInputs): string {
  const { head, kernel, hiddenChannels, fcDim, dropout, standardise } = networkSettings(config);
  const n = projections.outputProjection?.nRows ?? weights.nRows;
  const which: Readonly<Record<string, string>> = {
    all: "neurons, all there are",
    output: "output neurons, which get no input",
    "no-input": "neurons that get no input",
    groups: "groups of neurons that get no input, their means",
  };
  const { readout, readoutSelected: selected } = projections;
  const groups = selected && `groups among ${plural(selected.neurons, "neuron")}, ${readout}${withoutDriven(selected)}`;
  const neurons = groups ?? which[readout] ?? `neurons, ${readout}`;
  const layers = {
    layers: fcDim === null ? "linear" : `${fcDim} hidden units, dropout ${dropout}`,
    states: "as they are",
    groups: "as they are",
    columns:
      hiddenChannels === null
        ? `a convolution of radius ${kernel}`
        : `two convolutions of radius ${kernel} with ${plural(hiddenChannels, "channel")} between them, dropout ${dropout}`,
  }[head];
  return `${formatCount(n)} ${neurons}, to ${describeTarget(samples.train.target)}: ${layers}${standardise ? ", standardised" : ""}`;
}

/** ", without 12 that get input": neurons that were selected but are not read out. */
function withoutDriven({ leftOut }: { readonly leftOut: number }): string {
  return leftOut === 0 ? "" : `, without ${formatCount(leftOut)} that ${leftOut === 1 ? "gets" : "get"} input`;
}

function describeTarget({ classes, width, times }: SampleSet["target"]): string {
  const each = classes === null ? plural(width, "number") : `${formatCount(classes)} classes`;
  return times === null ? each : `${each} at ${plural(times, "time")}`;
}

/** What the samples of a set are called. */
export function nounOf({ picture }: SampleSet): "images" | "samples" {
  return picture ? "images" : "samples";
}

/** The memory plan of the tape, known after the first step. */
export function describeTape(plan: TapePlan, time: TrainConfig["time"]): string {
  const { attempts, attemptsStored, attemptsRecomputed, stride, budgetBytes } = plan;
  const [taken, budget] = [tapeBytes(attempts, { stored: attemptsStored, stride }, plan), budgetBytes].map(
    formatMebibytes,
  );
  const noun = unitOf(time);
  if (attemptsRecomputed === 0)
    return row("memory", `stores all ${attempts} ${noun}s for the reverse pass (${taken} of ${budget})`);
  const states = stride === 1 ? "" : ` and one in ${stride} starting states of the others`;
  // The least possible may exceed the budget.
  const room = `(${taken}, budget ${budget})`;
  return row(
    "memory",
    `stores ${attemptsStored} of ${plural(attempts, noun)}${states} ${room}; ${describeRecomputed(plan, time)}`,
  );
}

/** What a tape records: a solver attempts, a network in discrete time steps. */
function unitOf(time: TrainConfig["time"]): "attempt" | "step" {
  return time === "continuous" ? "attempt" : "step";
}

/** Says that the reverse pass recomputes what was not stored, and how to avoid it. */
export function describeRecomputed({ attemptsRecomputed, limitedBy }: TapePlan, time: TrainConfig["time"]): string {
  const advice =
    limitedBy === "device"
      ? "the device has no memory for more; a smaller batch needs less"
      : "raise --memory-budget to save that time";
  return `the reverse pass runs ${plural(attemptsRecomputed, unitOf(time))} again: ${advice}`;
}

/** "accuracy 98.60 %, loss 0.0432": the metrics of an evaluation, and its loss. */
export function describeValues(
  { loss, metrics }: Pick<EvaluationRecord, "loss" | "metrics">,
  { metrics: known }: Pick<TaskDescription, "metrics">,
): string {
  const values = known.map((metric) => `${metric.name} ${metricText(metric, metrics[metric.name] ?? Number.NaN)}`);
  return [...values, `loss ${loss.toFixed(4)}`].join(", ");
}

/**
 * One evaluation.
 *
 * @param noun  what the samples are called
 */
export function describeEvaluation(
  evaluation: EvaluationRecord,
  task: Pick<TaskDescription, "metrics">,
  noun: "images" | "samples" = "samples",
): string {
  const { set, step, count, failed } = evaluation;
  const without = failed > 0 ? `, without ${formatCount(failed)} whose solve failed` : "";
  const of = `${formatCount(count)} ${noun}${without}`;
  return row(set, `${describeValues(evaluation, task)} on ${of} after step ${formatCount(step)}`);
}

/** How much of the teacher's parameters was found. */
function describeRecovery({ weights, tau, bias }: RecoveryFacts): string {
  const share = (x: number | null) => (x === null ? "unknown" : x.toFixed(4));
  return `R² of the teacher's weights ${share(weights)}, time constants ${share(tau)}, biases ${share(bias)}`;
}

/** The last lines of a run. */
export function describeSummary(summary: RunSummary): string[] {
  const { stepsPerSecond, rhsEvaluationsPerStep, seconds, steps, failedSamples } = summary;
  const { peakMemoryBytes, trainingPeakMemoryBytes, statedMemoryBytes, deviceMemory } = summary;
  const rhs = rhsEvaluationsPerStep === null ? "" : `, ${rhsEvaluationsPerStep.toFixed(1)} RHS evaluations per step`;
  const [peak, training] = [formatMebibytes(peakMemoryBytes), formatMebibytes(trainingPeakMemoryBytes)];
  const forPage = training === peak ? "" : ` (${training} before the page about it)`;
  const stated = statedMemoryBytes === undefined ? "" : `, stated beforehand: ${formatMebibytes(statedMemoryBytes)}`;
  return [
    row("speed", `${plural(steps, "step")} in ${duration(seconds)}: ${stepsPerSecond.toPrecision(3)} steps/s${rhs}`),
    row("memory", `${peak} at most${forPage}, ${formatMebibytes(deviceMemory.peakBytes)} of it on the device${stated}`),
    ...(summary.recovery ? [row("recovery", describeRecovery(summary.recovery))] : []),
    ...(failedSamples > 0 ? [row("failed", `${plural(failedSamples, "training sample")}, left out`)] : []),
    row("files", `${summary.folder}: ${summary.files.join(", ")}`),
  ];
}
