// `axograd responses`: what groups of neurons do over time, and how they respond to samples of given conditions.

import type { Command } from "commander";
import { RESPONSE_MEASURES, type ResponseMeasure, type Responses } from "../../analysis/responses.ts";
import { bySelectivity, shownResponses } from "../../analysis/responsesShown.ts";
import { ArgumentError } from "../../core/errors.ts";
import { formatCount, formatNumber } from "../../core/format.ts";
import { alignColumns, plural } from "../../core/text.ts";
import type { ArrayToWrite } from "../../io/writeArrays.ts";
import { responsesFigures } from "../../report/analyses/responses.ts";
import { DEFAULT_TIMES, responsesOf } from "../../run/responses.ts";
import { timeLeft } from "../../train/progress.ts";
import { addInterventionOptions, type InterventionOptions, readInterventions } from "../interventionOptions.ts";
import { ownSamplesFor, type SampleOptions, withSamples } from "../sampleOptions.ts";
import { oneOf, path, timeList, wholeNumber } from "../values.ts";
import { type Analysis, type AnalysisOptions, type AnalysisWork, addAnalysisOptions, runAnalysis } from "./analysis.ts";
import { DEFAULT_BINS, readConditions } from "./conditionsOption.ts";
import { readGroups } from "./groupsOption.ts";

const KIND = "responses";
/** Groups that are listed. */
const LISTED = 12;

const EXAMPLES = `
Conditions (--conditions):
  classes        the classes of the samples; the default where each sample has one
  none           all samples together; the default elsewhere
  target:K       number K of the targets, from 0, in bins of equally many samples; of targets over time the mean of those that count
  FILE.npy       a number per sample [samples]; FILE.csv, FILE.csv:COLUMN (or another table): a number or a text per sample, a name above

Per group of neurons, condition and time: the mean over samples of the group's mean activity, its standard deviation over samples, and the
standard deviation over the neurons. The response is one number per sample: the largest deviation from the activity before the input, with its
sign (peak), the mean deviation or the last one. Selectivity is the share of the response's variance over samples that the condition explains,
corrected for bias (ε²). Samples that cannot be solved (--on-failure mask of the run) are left out and counted.

--out FILE.csv has a line per group, condition and time; FILE.npz has arrays: mean, sd_samples and sd_neurons [groups, conditions, times];
response and sd_response [groups, conditions]; eta_squared, epsilon_squared, index, preferred, baseline and neurons [groups]; samples and, where
conditions are numbers, condition_values [conditions]; times; group_names, condition_names.

Interventions are as in npx axograd simulate: --silence "type=T4*", --clamp T4a=0.5, --drive T4a=0.5 or T4a=FILE.npy ([frames] or
[samples, frames]).

Examples:
  npx axograd responses runs/a
  npx axograd responses runs/a --part validation --response mean --out responses.csv --plot responses.svg
  npx axograd responses runs/motion --conditions target:0 --bins 12 --among "type=T4*,T5*" --rates
  npx axograd responses runs/a --data stimuli.npz --conditions contrast.csv --silence type=L1 --name without-L1
`;

type GivenOptions = AnalysisOptions &
  SampleOptions &
  InterventionOptions & {
    readonly by?: string;
    readonly among?: string;
    readonly conditions?: string;
    readonly bins?: number;
    readonly response: ResponseMeasure;
    readonly times?: number;
    readonly at?: Float64Array;
    readonly rates?: boolean;
  };

interface Result {
  readonly responses: Responses;
  /** Of the samples: "generated digits (test)". */
  readonly source: string;
}

/** Adds the command to the program. */
export function register(program: Command): void {
  const command = program
    .command(KIND)
    .description("show what types of neurons do over time, and how they respond to samples of given conditions");
  addAnalysisOptions(command, KIND, { choosesSamples: true })
    .option("--by <column>", "column of the neuron table that groups neurons (default: type, or without types role)")
    .option("--among <neurons>", "only these neurons, as a selector (default: all)")
    .option("--conditions <what>", "what samples are grouped by (see below)", path("--conditions"))
    .option(
      "--bins <n>",
      `bins of conditions that are numbers (default: ${DEFAULT_BINS} for target:K; of a file none)`,
      wholeNumber("--bins", 2, 200),
    )
    .option(
      "--response <measure>",
      `${RESPONSE_MEASURES.join(", ")}: one number per sample`,
      oneOf("--response", RESPONSE_MEASURES),
      "peak",
    )
    .option("--rates", "what neurons send instead of their states (the same, unless states are voltages)")
    .option(
      "--times <n>",
      `times, evenly spaced from 0 to the end (default: ${DEFAULT_TIMES}); in discrete time steps, with the last one (default: all)`,
      wholeNumber("--times", 2),
    )
    .option("--at <times>", "times as a list, like 0.5,1,3; in discrete time steps done, from 1", timeList("--at"));
  addInterventionOptions(command);
  command.addHelpText("after", EXAMPLES).action(run);
}

async function run(folder: string, given: GivenOptions): Promise<void> {
  if (given.times !== undefined && given.at) throw new ArgumentError(KIND, "--at", "it dropped, or no --times", "both");
  const { part, samples, data, dataOptions, by, among, conditions, bins, response, rates, times, at } = given;
  const { silence, clamp, drive } = given;
  const analysis: Analysis<Result> = {
    kind: KIND,
    options: {
      ...{ part, samples, data, dataOptions, by, among, conditions, bins, response, rates, times },
      ...{ at: at && Array.from(at), silence, clamp, drive },
    },
    samples: await ownSamplesFor(folder, given),
    choosesSamples: true,
    compute: (opened, work) =>
      withSamples(opened, given, work, async (set, source) => {
        const { note, signal } = work;
        const groups = readGroups(opened.selectable, { where: KIND, option: "--by", column: by, among, note });
        const own = await readConditions(conditions, bins, set, signal);
        const interventions = await readInterventions(given, opened.selectable, { where: KIND, note });
        const responses = await responsesOf(opened, set, {
          ...{ groups, conditions: own, measure: response, rates: rates ?? false },
          ...(at ? { at } : times === undefined ? {} : { numTimes: times }),
          ...{ interventions, signal, onProgress: progressOf(work) },
        });
        return { responses, source };
      }),
    figures: responsesFigures,
    record: ({ responses, source }) => ({ source, ...shownResponses(responses) }),
    table: ({ responses }) => tableOf(responses),
    arrays: ({ responses }) => arraysOf(responses),
    lines: linesOf,
  };
  await runAnalysis(folder, given, analysis);
}

function progressOf(work: AnalysisWork): (done: number, total: number) => void {
  const left = timeLeft();
  return (done, total) =>
    work.show(() => `running  ${formatCount(done)}/${formatCount(total)} samples  ${left(done / total)}`);
}

function tableOf(result: Responses): ReturnType<Analysis<Responses>["table"]> {
  return {
    columns: ["group", "condition", "time", "mean", "sd_samples", "sd_neurons", "samples", "neurons"],
    rows: rowsOf(result),
  };
}

function* rowsOf(result: Responses): Generator<readonly (string | number)[]> {
  const { groups, conditions, times, samples, mean, sdSamples, sdNeurons } = result;
  let at = 0;
  for (const { name, neurons } of groups) {
    for (const [c, condition] of conditions.names.entries()) {
      for (const time of times) {
        yield [...[name, condition, time, mean[at]!, sdSamples[at]!, sdNeurons[at]!], ...[samples[c]!, neurons.length]];
        at++;
      }
    }
  }
}

function arraysOf(result: Responses): Readonly<Record<string, ArrayToWrite>> {
  const { groups, conditions, times, samples, selectivity, baseline } = result;
  const [G, C, T] = [groups.length, conditions.names.length, times.length];
  const perGroup = (value: (s: Responses["selectivity"][number]) => number): ArrayToWrite => ({
    shape: [G],
    data: Float64Array.from(selectivity, value),
  });
  return {
    mean: { shape: [G, C, T], data: result.mean },
    sd_samples: { shape: [G, C, T], data: result.sdSamples },
    sd_neurons: { shape: [G, C, T], data: result.sdNeurons },
    response: { shape: [G, C], data: result.response },
    sd_response: { shape: [G, C], data: result.sdResponse },
    eta_squared: perGroup(({ etaSquared }) => etaSquared),
    epsilon_squared: perGroup(({ epsilonSquared }) => epsilonSquared),
    index: perGroup(({ index }) => index),
    preferred: { shape: [G], data: Int32Array.from(selectivity, ({ preferred }) => preferred) },
    baseline: { shape: [G], data: baseline },
    neurons: { shape: [G], data: Int32Array.from(groups, ({ neurons }) => neurons.length) },
    samples: { shape: [C], data: Int32Array.from(samples) },
    ...(conditions.values && { condition_values: { shape: [C], data: conditions.values } }),
    times: { shape: [T], data: times },
    group_names: groups.map(({ name }) => name),
    condition_names: conditions.names,
  };
}

function linesOf({ responses: result, source }: Result): string[] {
  const { groups, conditions, samples, failed, withoutCondition, selectivity, response } = result;
  const count = conditions.names.length;
  const counted = samples.reduce((sum, n) => sum + n, 0);
  const by = count > 1 ? ` in ${formatCount(count)} conditions (${conditions.by})` : "";
  const head = [
    `${plural(groups.length, "group")} of neurons, ${plural(counted, "sample")} of ${source}${by}`,
    ...(failed > 0 ? [`${plural(failed, "sample")} could not be solved and left out`] : []),
    ...(withoutCondition > 0 ? [`${plural(withoutCondition, "sample")} without a condition left out`] : []),
  ];
  const order = bySelectivity(result);
  if (order.length === 0) return head;
  const shown = order.slice(0, LISTED).map((g) => {
    const { epsilonSquared, etaSquared, preferred, index } = selectivity[g]!;
    const most =
      preferred < 0 ? "–" : `${conditions.names[preferred]} (${formatNumber(response[g * count + preferred]!)})`;
    return [groups[g]!.name, fixed(epsilonSquared), fixed(etaSquared), fixed(index), most];
  });
  const table = alignColumns([["group", "ε²", "η²", "index", `preferred (${result.measure})`], ...shown], [1, 2, 3]);
  const rest = order.length - shown.length;
  const constant = groups.length - order.length;
  return [
    ...[...head, ...table],
    ...(rest > 0 ? [`… and ${plural(rest, "less selective group")}`] : []),
    ...(constant > 0 ? [`${plural(constant, "group")} with the same response to every sample`] : []),
  ];
}

function fixed(x: number): string {
  return Number.isNaN(x) ? "–" : x.toFixed(3);
}
