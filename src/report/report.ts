// The report of a run: which figures it has, in which sections, and what is missing.

import { basename, join, resolve } from "node:path";
import type { AnalysisRecord } from "../analysis/record.ts";
import type { Csr } from "../core/csr.ts";
import type { FileFormatError } from "../core/errors.ts";
import { formatCount, formatMebibytes, formatNumber } from "../core/format.ts";
import { isObject } from "../core/plainObject.ts";
import { connectomeStatistics } from "../data/statistics.ts";
import { makeFolder, replaceFile } from "../io/durable.ts";
import type { EvaluationRecord } from "../train/metrics.ts";
import { answerText, lossLabel, type MetricDescription, metricText } from "../train/taskDescription.ts";
import { analysisSections } from "./analyses/index.ts";
import { type Figure, type MissingFigure, standaloneSvg } from "./figure.ts";
import type { NeuronGroup } from "./groups.ts";
import { capitalised } from "./names.ts";
import type { Activity, Example, ParameterChange } from "./observation.ts";
import { originPart } from "./origin.ts";
import { type KeyNumber, page } from "./page.ts";
import { activityFigure } from "./plots/activity.ts";
import { barsFigure } from "./plots/bars.ts";
import { confusionFigure } from "./plots/confusion.ts";
import { degreesFigure } from "./plots/degrees.ts";
import { distributionFigure } from "./plots/distribution.ts";
import { examplesFigure } from "./plots/examples.ts";
import { lossFigure } from "./plots/loss.ts";
import { figureId, metricFigure } from "./plots/metric.ts";
import { solverStepsFigure } from "./plots/solverSteps.ts";
import { spyFigure } from "./plots/spy.ts";
import { pngOfSvg } from "./raster.ts";
import type { Facts, RunRecord } from "./runRecord.ts";

/** The network of the run, with the weights that training started from. */
export interface ReportedNetwork {
  readonly weights: Csr;
  readonly groups: readonly NeuronGroup[];
}

/** Observations of the trained network, made from a checkpoint. */
export interface Observations {
  /** Training steps done at the checkpoint. */
  readonly step: number;
  readonly changes: readonly ParameterChange[];
  /** Responses to samples, or why the network cannot be solved. */
  readonly responses: Responses | { readonly failure: string };
}

/** Answers and activity of a network, given samples. */
export interface Responses {
  /** null: the samples are no pictures, or have no classes. */
  readonly examples: readonly Example[] | null;
  /** The samples from which the examples are taken. */
  readonly sampleSet: string;
  readonly activity: Activity;
}

export interface ReportParts {
  readonly run: RunRecord;
  readonly network: ReportedNetwork;
  /** null: there is no checkpoint yet. */
  readonly observations: Observations | null;
  /** Analyses of the run, and those that cannot be read. */
  readonly analyses: readonly (AnalysisRecord | FileFormatError)[];
}

export interface Section {
  readonly title: string;
  readonly figures: readonly (Figure | MissingFigure)[];
}

export interface Report {
  readonly html: string;
  readonly figures: readonly Figure[];
}

/** Makes the page and its figures; writes nothing. */
export function buildReport(parts: ReportParts): Report {
  const { run } = parts;
  const analyses = analysisSections(parts.analyses);
  const all = [
    ...[learning(run), answers(parts), activity(parts), parameters(parts)],
    ...analyses.sections,
    ...[connectome(parts), work(run)],
  ];
  const sections = withOwnIds(all.filter(({ figures }) => figures.length > 0));
  const html = page({
    title: `${run.start.config.preset}: ${formatCount(run.start.network.neurons)} neurons, ${run.start.data.source}`,
    subtitle: `run ${basename(resolve(run.folder))}`,
    notes: [...notesOf(parts), ...analyses.notes],
    keyNumbers: keyNumbersOf(run),
    sections,
    facts: [
      ...recoveryOf(run),
      ...(run.start.provenance ? [originPart(run.start.provenance)] : []),
      { title: "Environment", facts: environmentOf(run) },
      { title: "Network and data", facts: inputFactsOf(run) },
      { title: "Configuration", facts: run.start.config },
    ],
  });
  return { html, figures: sections.flatMap((s) => s.figures).filter((f): f is Figure => !("missing" in f)) };
}

/**
 * Writes the page to `file` and every figure into `plotsFolder`, as an SVG file and, if wanted, as a PNG file.
 *
 * @returns the files of the figures
 */
export async function writeReport(
  { html, figures }: Report,
  file: string,
  plotsFolder: string,
  { png = false }: { readonly png?: boolean } = {},
): Promise<string[]> {
  await makeFolder(plotsFolder);
  const written: string[] = [];
  for (const figure of figures) {
    const svg = standaloneSvg(figure);
    const plot = join(plotsFolder, figure.id);
    written.push(`${plot}.svg`, ...(png ? [`${plot}.png`] : []));
    await replaceFile(`${plot}.svg`, [svg]);
    if (png) await replaceFile(`${plot}.png`, [await pngOfSvg(svg)]);
  }
  await replaceFile(file, [html]);
  return written;
}

/** Names of metrics are the user's, and may be those of other figures: the later one gets a number. */
function withOwnIds(sections: readonly Section[]): Section[] {
  const taken = new Set<string>();
  const own = <F extends Figure | MissingFigure>(figure: F): F => {
    let { id } = figure;
    for (let n = 2; taken.has(id); n++) id = `${figure.id}-${n}`;
    taken.add(id);
    return id === figure.id ? figure : { ...figure, id };
  };
  return sections.map((section) => ({ ...section, figures: section.figures.map(own) }));
}

function learning({ steps, evaluations, start }: RunRecord): Section {
  const { loss, metrics } = start.task;
  const run = { steps, evaluations };
  const best = (name: string): number | null => start.known?.[name]?.best ?? null;
  const missing = "No training step has been recorded yet.";
  const figures =
    steps.length + evaluations.length === 0
      ? ["loss", ...metrics.map(({ name }) => name)].map((name) => ({
          id: figureId(name),
          title: capitalised(name),
          missing,
        }))
      : [lossFigure(run, loss, best("loss")), ...metrics.map((metric) => metricFigure(run, metric, best(metric.name)))];
  return { title: "Learning", figures };
}

/** Where the targets are classes: which were taken for which; where the inputs are pictures, too: some of them. */
function answers({ run, observations }: ReportParts): Section {
  const evaluation = lastEvaluation(run);
  const { kind, times } = run.start.task.target;
  const responses = responsesOf(observations);
  const figures: (Figure | MissingFigure)[] = [];
  if (evaluation?.confusion) figures.push(confusionFigure(evaluation.confusion, evaluation.set));
  else if (!evaluation && kind === "class" && times === null)
    figures.push({ id: "confusion", title: "Confusion", missing: "No evaluation has been recorded yet." });
  if ("missing" in responses) {
    if (kind === "class") figures.push({ id: "examples", title: "Examples", ...responses });
  } else if (responses.examples) figures.push(examplesFigure(responses.examples, responses.sampleSet));
  return { title: "Answers", figures };
}

function activity({ observations }: ReportParts): Section {
  const responses = responsesOf(observations);
  const figure =
    "missing" in responses
      ? { id: "activity", title: "Activity over time", ...responses }
      : activityFigure(responses.activity);
  return { title: "Activity", figures: [figure] };
}

/** Responses of the trained network, or why they are unknown. */
function responsesOf(observations: Observations | null): Responses | { readonly missing: string } {
  if (!observations) return { missing: NO_CHECKPOINT };
  const { responses } = observations;
  return "failure" in responses ? { missing: `The trained network cannot be run: ${responses.failure}.` } : responses;
}

function parameters({ observations }: ReportParts): Section {
  const figures = observations
    ? observations.changes.map(distributionFigure)
    : [{ id: "distributions", title: "Parameters before and after training", missing: NO_CHECKPOINT }];
  return { title: "Parameters", figures };
}

function connectome({ network: { weights, groups } }: ReportParts): Section {
  return { title: "Connectome", figures: [spyFigure(weights, groups), degreesFigure(connectomeStatistics(weights))] };
}

/** Time, memory and the solver. */
function work({ steps, evaluations, start, summary }: RunRecord): Section {
  // Runs before 0.3.0 know neither of the two other settings.
  const { batchSize, accumulate = 1, time: kind = "continuous" } = start.config;
  const samplesPerStep = Number(batchSize) * Number(accumulate);
  const { stepsPerEpoch } = start;
  const lastStep = start.data.train - (stepsPerEpoch - 1) * samplesPerStep;
  const solver = solverStepsFigure(steps, (step) => (step % stepsPerEpoch === 0 ? lastStep : samplesPerStep));
  const of = (set: EvaluationRecord["set"]) => evaluations.filter((e) => e.set === set);
  const phases = [
    { name: `training, ${formatCount(steps.length)} steps`, value: total(steps) },
    { name: `validation, ${formatCount(of("validation").length)} ×`, value: total(of("validation")) },
    { name: `test, ${formatCount(of("test").length)} ×`, value: total(of("test")) },
  ].filter(({ value }) => value > 0);
  const time = barsFigure(
    { id: "time", title: "Time", caption: "Time by phase, without reading files and starting up." },
    phases,
    seconds,
    "time",
  );
  const memory = summary
    ? barsFigure(
        {
          id: "memory",
          title: "Memory",
          caption:
            "The most that was in use at any time: by the process, of it on the device, and by the largest buffer; and what training was stated to take.",
        },
        [
          { name: "process", value: summary.peakMemoryBytes },
          ...(summary.statedMemoryBytes === null ? [] : [{ name: "stated before", value: summary.statedMemoryBytes }]),
          { name: "device", value: summary.deviceMemory.peakBytes },
          { name: "largest buffer", value: summary.deviceMemory.largestBytes },
        ],
        formatMebibytes,
        "memory",
      )
    : { id: "memory", title: "Memory", missing: "Memory is known when the run has finished." };
  const noSteps = "No step of a solver has been recorded.";
  return {
    title: "Work",
    figures: [
      ...(kind === "continuous" ? [solver ?? { id: "solver-steps", title: "Solver steps", missing: noSteps }] : []),
      phases.length > 0 ? time : { id: "time", title: "Time", missing: "Nothing has been timed yet." },
      memory,
    ],
  };
}

const NO_CHECKPOINT = "The run has no checkpoint yet; the trained network is known when it has one.";

function notesOf({ run, observations }: ReportParts): string[] {
  const { summary, steps, start, findings, failure, missingSteps } = run;
  const last = steps.at(-1)?.step ?? 0;
  const notes: string[] = [];
  if (!summary)
    notes.push(`This run is unfinished: ${formatCount(last)} of ${formatCount(start.lastStep)} steps are recorded.`);
  else if (summary.interrupted)
    notes.push(`This run was stopped by ${summary.interrupted} after step ${formatCount(last)}.`);
  const done = Math.max(last, summary?.steps ?? 0);
  const missing = missingSteps + done - last;
  if (missing > 0) {
    notes.push(
      `Lines of ${formatCount(missing)} of ${formatCount(done)} steps are missing in metrics.jsonl, and so in what follows.`,
    );
  }
  if (failure) notes.push(`It ended with an error: ${failure}.`);
  if (!observations) notes.push(NO_CHECKPOINT);
  else if (observations.step !== last) {
    notes.push(
      `Answers, activity and parameters are those of the checkpoint after step ${formatCount(observations.step)}.`,
    );
  }
  for (const { message } of findings) notes.push(`Diagnosis: ${message}.`);
  return notes;
}

function keyNumbersOf(run: RunRecord): KeyNumber[] {
  const { steps, start, summary } = run;
  const last = steps.at(-1);
  const recovered = summary?.recovery?.weights;
  return [
    ...qualitiesOf(run),
    ...(recovered == null ? [] : [{ value: recovered.toFixed(3), name: "R² of recovered weights" }]),
    { value: formatCount(start.network.neurons), name: "neurons" },
    { value: formatCount(start.network.connections), name: "connections" },
    ...(start.trainedParameters === null
      ? []
      : [{ value: formatCount(start.trainedParameters), name: "trained parameters" }]),
    { value: formatCount(last?.step ?? 0), name: "training steps" },
    { value: seconds(total(steps)), name: "training time" },
  ];
}

/** Metrics and loss of the last evaluation, or of the last steps. */
function qualitiesOf(run: RunRecord): KeyNumber[] {
  const { task, known } = run.start;
  const { loss, metrics } = task;
  const without = (name: string, metric: Pick<MetricDescription, "format">): string => {
    const answer = known?.[name];
    const text = answer && evaluation?.set === "test" ? answerText(answer, metric) : "";
    return text === "" ? "" : ` (${text})`;
  };
  const [evaluation, last] = [lastEvaluation(run), run.steps.at(-1)];
  const found = evaluation ?? (last && { set: "training", loss: last.meanLoss, metrics: last.meanMetrics });
  if (!found) return [];
  return [
    ...metrics.map((metric) => ({
      value: metricText(metric, found.metrics[metric.name] ?? Number.NaN, 1),
      name: `${found.set} ${metric.name}${without(metric.name, metric)}`,
    })),
    {
      value: formatNumber(found.loss),
      name: `${found.set} ${lossLabel(loss)}${without("loss", { format: "number" })}`,
    },
  ];
}

/** How much of a known teacher's parameters was found. */
function recoveryOf({ summary }: RunRecord): { readonly title: string; readonly facts: Record<string, unknown> }[] {
  if (!summary?.recovery) return [];
  const { weights, tau, bias } = summary.recovery;
  return [{ title: "R² of the teacher's parameters", facts: { weights, "time constants": tau, biases: bias } }];
}

function environmentOf({ start, summary }: RunRecord): Record<string, unknown> {
  return {
    axograd: start.version,
    device: start.device,
    ...(start.tuning && { "sparse kernels": tuningText(start.tuning) }),
    ...start.environment,
    ...(summary ? { "training speed (steps/s)": summary.stepsPerSecond } : {}),
  };
}

/** "panels 4, window all, …, from trial". */
function tuningText({ tuning, source }: Facts): string {
  const choices = Object.entries(isObject(tuning) ? tuning : {});
  // JSON has no infinity.
  const texts = choices.map(([name, value]) => `${name} ${value === null ? "all" : value}`);
  return `${texts.join(", ")} (${source})`;
}

/** The last test, else the last validation. */
function lastEvaluation({ evaluations }: RunRecord): EvaluationRecord | undefined {
  return evaluations.findLast((e) => e.set === "test") ?? evaluations.at(-1);
}

/** Single values of network and data, and the files. Lists (statistics, names) are in config.json. */
function inputFactsOf({ start: { network, data, files } }: RunRecord): Record<string, unknown> {
  const single = Object.entries(data).filter(([, value]) => typeof value !== "object");
  const hashes = (files ?? []).map(({ file, sha256 }) => [`SHA-256 of ${file}`, sha256]);
  return { ...network, ...prefixed("samples", Object.fromEntries(single)), ...Object.fromEntries(hashes) };
}

function prefixed(prefix: string, facts: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(facts).map(([name, value]) => [`${prefix} ${name}`, value]));
}

function total(timed: readonly { readonly seconds: number }[]): number {
  return timed.reduce((sum, t) => sum + t.seconds, 0);
}

function seconds(value: number): string {
  if (value < 60) return `${value.toFixed(1)} s`;
  const minutes = Math.floor(value / 60);
  const rest = Math.floor(value % 60);
  return minutes < 60 ? `${minutes} min ${rest} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
