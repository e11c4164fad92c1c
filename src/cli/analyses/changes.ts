// `axograd changes`: how training changed a network, and how much of known parameters it found.

import type { Command } from "commander";
import {
  type Amplification,
  type Changes,
  changesOf,
  type KnownParameters,
  type NeuronValues,
  type RecoveredFrom,
} from "../../analysis/changes/changes.ts";
import type { GroupChanges } from "../../analysis/changes/changesByGroups.ts";
import { type EffectiveParameter, effectiveParameters } from "../../analysis/changes/effectiveParameters.ts";
import { hasSameConnections } from "../../analysis/changes/matchConnections.ts";
import { changesRecord } from "../../analysis/changes/record.ts";
import type { Recovered } from "../../analysis/changes/recoveredParameters.ts";
import type { SignMixing } from "../../analysis/changes/signMixing.ts";
import type { WeightChange } from "../../analysis/changes/weightChange.ts";
import { ArgumentError } from "../../core/errors.ts";
import { formatCount, formatNumber, formatPercent } from "../../core/format.ts";
import { plural } from "../../core/text.ts";
import { groupingColumn } from "../../data/neuronGroups.ts";
import { columnOfNeurons } from "../../data/selectors.ts";
import { TASK_SETS } from "../../data/tasks/index.ts";
import type { TypedNeurons } from "../../data/typePairs.ts";
import type { ArrayToWrite } from "../../io/writeArrays.ts";
import { changesFigures } from "../../report/analyses/changes.ts";
import { isTaskName } from "../../run/configOptions.ts";
import { readKnownParameters, teacherParameters } from "../../run/knownParameters.ts";
import { type OpenedRun, openRun } from "../../run/openRun.ts";
import { readBegun } from "../../run/runStart.ts";
import { samplesNeeded } from "../sampleOptions.ts";
import { path } from "../values.ts";
import { type AnalysisOptions, type AnalysisWork, addAnalysisOptions, type CsvTable, runAnalysis } from "./analysis.ts";

const KIND = "changes";
const NAMED_PAIRS = 5;

interface ChangesCommand extends AnalysisOptions {
  readonly against: string;
  readonly by?: string;
  readonly known?: string;
}

/** Changes, and what they were computed with. */
interface Result {
  readonly changes: Changes;
  readonly against: string;
  readonly by: string;
}

const EXAMPLES = `
Weights are those that take effect: with constraints applied, and shared strengths multiplied out for each connection. Known parameters are those of the
teacher in runs with --data teacher, or of --known: the file of a connectome whose weights are the true ones, or a state dictionary, which has
time constants and biases, too. Connections are matched by their place in the matrix.

Examples:
  npx axograd changes runs/a --plot changes.svg
  npx axograd changes runs/a --by side --out pairs.csv
  npx axograd changes runs/a --against runs/b --name a-and-b
  npx axograd changes runs/a --known truth.npz --out recovered.npz
`;

export function register(program: Command): void {
  const command = program
    .command(KIND)
    .description("compare the trained parameters of a run with those that it began with, and with known ones");
  addAnalysisOptions(command, KIND)
    .option(
      "--against <what>",
      "start (as training began, after a warm start), connectome (its weights as the recipe scales them), or the folder of a run with the same connections",
      path("--against"),
      "start",
    )
    .option("--by <column>", "groups of neurons: a column of their table (default: type; role without a table)")
    .option(
      "--known <file>",
      "the true parameters (default: those of the run's teacher, if it has one)",
      path("--known"),
    )
    .addHelpText("after", EXAMPLES)
    .action(run);
}

async function run(folder: string, given: ChangesCommand): Promise<void> {
  const { against, by = null, known = null } = given;
  await runAnalysis<Result>(folder, given, {
    kind: KIND,
    options: { against, by, known },
    samples: await samplesFor(folder, given.checkpoint, { teacher: known === null }),
    compute: (opened, work) => compute(opened, given, work),
    record: ({ changes, ...rest }) => ({ ...rest, ...changesRecord(changes) }),
    figures: changesFigures,
    ...{ table, arrays, lines },
  });
}

/** The samples of a run matter only where a task is about the network, or loading it depends on them. */
async function samplesFor(
  folder: string,
  checkpoint: string,
  { teacher }: { readonly teacher: boolean },
): Promise<"read" | "none"> {
  const { data } = (await readBegun(folder)).config;
  const hasTeacher = isTaskName(data) && TASK_SETS[data]!.isAboutNetwork;
  return hasTeacher && teacher ? "read" : samplesNeeded(folder, checkpoint);
}

async function compute(run: OpenedRun, given: ChangesCommand, work: AnalysisWork): Promise<Result> {
  const { against, known: file } = given;
  const by = given.by ?? groupingColumn(run.selectable);
  const groups = groupsOf(run, by);
  const after = await effectiveParameters(run.model.parameters);
  const before = await parametersBefore(run, given, work);
  const known: KnownParameters | null =
    file === undefined ? teacherParameters(run) : await readKnownParameters(file, run);
  const changes = await changesOf(before, after, {
    ...{ groups, known },
    connectome: against === "start" ? run.connectome.values : null,
    onPart: (part) => work.show(() => `comparing ${part}`),
    signal: work.signal,
  });
  return { changes, against, by };
}

/** Neurons whose cell of the column is empty are a group, too. */
function groupsOf({ selectable }: OpenedRun, by: string): TypedNeurons {
  const { values, valueIdx } = columnOfNeurons(selectable, by, { where: KIND, argument: "--by" });
  return { types: values.map((value) => (value === "" ? "(empty)" : value)), typeIdx: valueIdx };
}

async function parametersBefore(
  run: OpenedRun,
  { against, checkpoint }: ChangesCommand,
  { show }: AnalysisWork,
): Promise<EffectiveParameter[]> {
  if (against === "start" || against === "connectome") {
    const model = await run.initialModel();
    const start = await effectiveParameters(model.parameters);
    model.dispose();
    if (against === "start") return start;
    return start.map((p) => (p.leaf === "hh" ? { ...p, values: run.connectome.values } : p));
  }
  const { device, threads } = run.config;
  await using other = await openRun(against, {
    ...{ device, threads },
    checkpoint: checkpoint === "none" || checkpoint === "best" ? checkpoint : "last",
    samples: await samplesFor(against, checkpoint, { teacher: false }),
    onProgress: ({ work }) => show(() => `${against}: ${work}`),
  });
  const { nRows, nnz } = run.connectome;
  if (!hasSameConnections(run.connectome, other.connectome)) {
    const expected = `a run with the same ${plural(nnz, "connection")} between ${plural(nRows, "neuron")}`;
    const { nRows: neurons, nnz: connections } = other.connectome;
    const isAlike = neurons === nRows && connections === nnz;
    const got = `${against}: ${isAlike ? "as many, between other neurons" : `${plural(connections, "connection")}, ${plural(neurons, "neuron")}`}`;
    throw new ArgumentError(KIND, "--against", expected, got);
  }
  // Before the other run is closed.
  return await effectiveParameters(other.model.parameters);
}

// ---- files ---------------------------------------------------------------------------------------------------------------

function table({ changes: { groups, pairs } }: Result): CsvTable {
  const name = (g: number) => `${groups.types[g]!}`;
  return {
    columns: [
      ...["pre", "post", "connections", "sum_before", "sum_after", "mean_before", "mean_after", "relative_l2"],
      "signs_changed",
    ],
    rows: (function* () {
      for (let p = 0; p < pairs.pre.length; p++) {
        const [n, before, after] = [pairs.connections[p]!, pairs.sumBefore[p]!, pairs.sumAfter[p]!];
        yield [
          ...[name(pairs.pre[p]!), name(pairs.post[p]!), n, before, after, before / n, after / n],
          ...[pairs.relativeL2[p]!, pairs.signChanged[p]!],
        ];
      }
    })(),
  };
}

type Numbers = Float64Array | Float32Array | Uint32Array | Uint8Array | Uint16Array;

function arrays({ changes }: Result): Readonly<Record<string, ArrayToWrite>> {
  const { groups, pairs, signs, neurons, recovered } = changes;
  const vector = (data: Numbers): ArrayToWrite => ({ data, shape: [data.length] });
  const ofSigns = (when: string, { outputs, inputs, minorityShare }: SignMixing) => ({
    [`out_excitation_${when}`]: vector(outputs.positive),
    [`out_inhibition_${when}`]: vector(outputs.negative),
    [`in_excitation_${when}`]: vector(inputs.positive),
    [`in_inhibition_${when}`]: vector(inputs.negative),
    [`minority_share_${when}`]: vector(minorityShare),
  });
  const ofNeurons = ({ name, before, after }: NeuronValues) => {
    const stem = name === "biases" ? "bias" : "tau";
    return {
      [`${stem}_before`]: vector(Float64Array.from(before)),
      [`${stem}_after`]: vector(Float64Array.from(after)),
    };
  };
  const ofPairs = (stem: string, { pre, post, ...rest }: GroupChanges) => ({
    [`${stem}_pre`]: vector(pre),
    [`${stem}_post`]: vector(post),
    [`${stem}_connections`]: vector(rest.connections),
    [`${stem}_sum_before`]: vector(rest.sumBefore),
    [`${stem}_sum_after`]: vector(rest.sumAfter),
    [`${stem}_abs_before`]: vector(rest.absBefore),
    [`${stem}_abs_after`]: vector(rest.absAfter),
    [`${stem}_relative_l2`]: vector(rest.relativeL2),
    [`${stem}_signs_changed`]: vector(rest.signChanged),
  });
  return {
    groups: groups.types.map(String),
    neuron_group: vector(Uint32Array.from(groups.typeIdx)),
    ...ofPairs("pair", pairs),
    ...ofSigns("before", signs.before),
    ...ofSigns("after", signs.after),
    ...Object.assign({}, ...neurons.map(ofNeurons)),
    ...(recovered?.pairs && { ...ofPairs("known", recovered.pairs), known_r2: vector(recovered.pairs.r2) }),
  };
}

// ---- words ---------------------------------------------------------------------------------------------------------------

function lines({ changes, against, by }: Result): string[] {
  const { after, parameters, weights, connectome, signs, amplification, pairs, groups, recovered } = changes;
  const baseline =
    against === "start" ? "the beginning of training" : against === "connectome" ? "the connectome" : against;
  const line = (name: string, text: string) => `${name.padEnd(12)}${text}`;
  const moves = parameters.map(
    ({ name, relativeL2, trained }) =>
      `${name} ${sizeText(relativeL2)}${trained || relativeL2 !== 0 ? "" : " (not trained)"}`,
  );
  return [
    line("compared", `${plural(after.nnz, "connection")} with those of ${baseline}`),
    line("relative L2", moves.join(", ")),
    ...(after.nnz === 0 ? [] : weightLines(weights, line)),
    ...(connectome
      ? [
          line(
            "connectome",
            `relative L2 of the weights ${formatNumber(connectome.relativeL2)}, as the run began with others`,
          ),
        ]
      : []),
    line("signs", mixingText(signs)),
    line("amplify", `spectral radius ${amplificationText(amplification)}`),
    line(by, `${plural(pairs.pre.length, "pair")} of ${by} (pre → post)${strongestText(pairs, groups)}`),
    ...(recovered ? recoveredLines(recovered, line) : []),
  ];
}

/** A relative change; where all was 0 before, none can be given. */
function sizeText(relativeL2: number): string {
  return Number.isNaN(relativeL2) ? "from 0" : formatNumber(relativeL2);
}

function weightLines(weights: WeightChange, line: (name: string, text: string) => string): string[] {
  const { count, relativeL1, cosine, correlation, rankCorrelation, logRatio } = weights;
  if (weights.unchanged === count) return [line("weights", "none changed")];
  const share = (n: number) => formatPercent(n / count);
  const rank = rankCorrelation === null ? "" : `, of ranks ${formatNumber(rankCorrelation)}`;
  const [low, , median, , high] = logRatio.quantiles.map((q) => formatNumber(2 ** q));
  const ratios = logRatio.count === 0 ? "" : `; |w| times ${median} (median; 5 to 95 %: ${low} to ${high})`;
  return [
    line(
      "weights",
      `L1 ${formatNumber(relativeL1)}, cosine ${formatNumber(cosine)}, correlation ${formatNumber(correlation)}${rank}`,
    ),
    line(
      "",
      `${share(weights.grown)} grew, ${share(weights.shrunk)} shrank, ${share(weights.silenced)} fell below 1 % of what they were, ${share(weights.signChanged)} changed sign${ratios}`,
    ),
  ];
}

function mixingText({ before, after }: Changes["signs"]): string {
  const text = ({ mixed, share }: SignMixing) => `${formatCount(mixed)} (${formatPercent(share)} of all |w|)`;
  return `neurons whose outputs mix signs: ${text(before)} before, ${text(after)} after`;
}

function amplificationText({ before, after }: Changes["amplification"]): string {
  const text = (key: keyof Amplification) => `${formatNumber(before[key])} before, ${formatNumber(after[key])} after`;
  return `of |W| ${text("radius")}; of W, estimated, ${text("growth")}`;
}

function strongestText(pairs: GroupChanges, { types }: TypedNeurons): string {
  const named = Math.min(NAMED_PAIRS, pairs.moved.filter((moved) => moved > 0).length);
  if (named === 0) return ", none changed";
  const texts = Array.from({ length: named }, (_, p) => {
    const pair = `${types[pairs.pre[p]!]} → ${types[pairs.post[p]!]}`;
    return `${pair} (${formatNumber(pairs.relativeL2[p]!)})`;
  });
  return `; most changed, relative L2: ${texts.join(", ")}`;
}

function recoveredLines(
  { source, weights, tau, bias }: RecoveredFrom,
  line: (name: string, text: string) => string,
): string[] {
  const text = (name: string, found: Recovered | null) =>
    found
      ? [
          `${name} R² ${formatNumber(found.r2)}, slope ${formatNumber(found.slope)}, intercept ${formatNumber(found.intercept)}`,
        ]
      : [];
  const all = [...text("weights", weights), ...text("time constants", tau), ...text("biases", bias)];
  const { missing = 0, unknown = 0 } = weights ?? {};
  const unmatched = `${plural(missing, "known connection")} that the network lacks, ${formatCount(unknown)} that are not known`;
  return [
    line("recovered", `of ${source}: ${all.join("; ")}`),
    ...(missing + unknown > 0 ? [line("unmatched", unmatched)] : []),
  ];
}
