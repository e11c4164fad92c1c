// `axograd perturb`: what neurons of a trained run contribute: the change of loss and metrics where they are silenced, clamped or driven.

import type { Command } from "commander";
import {
  type ModelMeasures,
  type Perturbation,
  type PerturbationResult,
  type PerturbProgress,
  perturb,
  worstFirst,
} from "../../analysis/perturb.ts";
import { ArgumentError } from "../../core/errors.ts";
import { formatCount } from "../../core/format.ts";
import { alignColumns, plural, quoteText } from "../../core/text.ts";
import type { SampleSet } from "../../data/sampleSet.ts";
import type { SelectableNeurons } from "../../data/selectors.ts";
import type { NpyInput } from "../../io/npy.ts";
import type { ArrayToWrite } from "../../io/writeArrays.ts";
import { perturbFigures } from "../../report/analyses/perturb.ts";
import type { Table } from "../../report/figure.ts";
import { differenceText } from "../../report/verdicts.ts";
import type { OpenedRun } from "../../run/openRun.ts";
import { timeLeft } from "../../train/progress.ts";
import { describeTask, metricText, type TaskDescription } from "../../train/taskDescription.ts";
import { describeValues, nounOf } from "../describe.ts";
import {
  type Act,
  type ActKind,
  addInterventionOptions,
  type InterventionOptions,
  interventionsOf,
  readActs,
  readDeed,
  SILENCE,
} from "../interventionOptions.ts";
import { ownSamplesFor, type SampleOptions, withSamples } from "../sampleOptions.ts";
import { type AnalysisOptions, type AnalysisWork, addAnalysisOptions, runAnalysis } from "./analysis.ts";
import { readGroups } from "./groupsOption.ts";

const KIND = "perturb";
/** Groups that are printed. */
const PRINTED = 10;

const EXAMPLES = `
Each --silence, --clamp and --drive is one experiment: it acts on its neurons alone. --each, --act and --among make a series of experiments, one
for each value of a column. Without any of these options all types are silenced, one after another (without types: all roles).

--act: silence (the neurons send nothing, and a read-out gets 0), clamp=V (their state is held at V), drive=I (they get the current I). A column
is one of the neuron table; neurons whose cell is empty are in no group. Selectors: docs/simulate.md.

Loss and metrics are compared on the same samples without and with the intervention: the run's test part, or --data, as npx axograd predict takes
it. The change comes with its standard error over the samples: how it would vary with other samples, not with another training. A file of currents
has [frames], [samples] or [samples, frames].

Results lie in RUN/analyses/perturb.json, worst first; npx axograd report shows them. A .csv has a line per experiment; in .npz value, change and
error are [experiments, measures], with the names of both.

Examples:
  npx axograd perturb runs/a
  npx axograd perturb runs/a --each superclass --act clamp=0 --among "side=left" --name left
  npx axograd perturb runs/a --silence "type=T4*" --silence "type=T5*" --drive T4a=0.5 --samples 500 --out motion.csv
`;

type GivenOptions = AnalysisOptions &
  SampleOptions &
  InterventionOptions & {
    readonly each?: string;
    readonly act?: string;
    readonly among?: string;
  };

/** Adds the command to the program. */
export function register(program: Command): void {
  const command = program
    .command(KIND)
    .description("silence, clamp or drive neurons of a trained run and see how loss and metrics change");
  addInterventionOptions(command);
  command
    .option("--each <column>", "one experiment for each value of this column (default: type)")
    .option("--act <what>", "what --each does: silence, clamp=V or drive=I (default: silence)")
    .option("--among <neurons>", "only these neurons, in all groups of --each (default: all)");
  addAnalysisOptions(command, KIND, { choosesSamples: true }).addHelpText("after", EXAMPLES).action(run);
}

/** What was done, and its effect. */
interface ReportedEffect {
  readonly name: string;
  readonly act: ActKind;
  readonly actValue: number | string | null;
  readonly neurons: number;
  readonly failed: number;
  readonly failure: string | null;
  readonly value: ModelMeasures;
  readonly change: ModelMeasures;
  readonly error: ModelMeasures;
}

/** The result of the command, as its record has it. */
interface PerturbReport extends Omit<PerturbationResult, "effects"> {
  /** Of the samples: "generated digits (test)". */
  readonly source: string;
  readonly task: TaskDescription;
  readonly classNames: readonly string[] | null;
  /** Worst first. */
  readonly effects: readonly ReportedEffect[];
}

async function run(folder: string, given: GivenOptions): Promise<void> {
  const { silence, clamp, drive, each, act, among, data, dataOptions, part, samples } = given;
  const acts = { silence, clamp, drive, each, act, among };
  await runAnalysis<PerturbReport>(folder, given, {
    kind: KIND,
    options: { ...acts, data, dataOptions, part, samples },
    samples: await ownSamplesFor(folder, given),
    choosesSamples: true,
    compute: (opened, work) => compute(opened, given, work),
    figures: perturbFigures,
    table,
    arrays,
    lines,
  });
}

async function compute(opened: OpenedRun, given: GivenOptions, work: AnalysisWork): Promise<PerturbReport> {
  const acts = await actsOf(opened.selectable, given, work);
  return withSamples(opened, given, work, async (samples, source) => {
    const { effects, ...result } = await perturb(opened.model, samples, acts.map(perturbationOf), {
      ...{ evaluation: opened.evaluation, signal: work.signal, onProgress: shownBy(work, acts) },
      onFailure: opened.config.onFailure === "mask" ? "mask" : "throw",
    });
    const task = describeTask(opened.model.task);
    const order = worstFirst(effects, task.metrics[0]);
    return {
      ...{ source, task, classNames: classNamesOf(samples, opened) },
      ...result,
      effects: order.map((k) => {
        const { kind, value, indices } = acts[k]!;
        const { name, ...effect } = effects[k]!;
        return { name, act: kind, actValue: value, neurons: indices.length, ...effect };
      }),
    };
  });
}

function classNamesOf({ classNames }: SampleSet, { data }: OpenedRun): readonly string[] | null {
  return classNames ?? data.train.classNames ?? null;
}

function perturbationOf(act: Act): Perturbation {
  return { name: act.selector, interventions: interventionsOf([act])! };
}

const DOING: Readonly<Record<ActKind, string>> = { silence: "silencing", clamp: "clamping", drive: "driving" };

/** "silencing  T4a  12/65  0:41 left". */
function shownBy(work: AnalysisWork, acts: readonly Act[]): (progress: PerturbProgress) => void {
  const left = timeLeft();
  return ({ index, share }) => {
    const act = acts[index];
    const what = act ? `${DOING[act.kind]}  ${act.selector}  ${index + 1}/${acts.length}` : "intact";
    work.show(() => `${what}  ${left(share)}`);
  };
}

/** The experiments that are wanted. */
async function actsOf(neurons: SelectableNeurons, given: GivenOptions, work: AnalysisWork): Promise<Act[]> {
  const single = await readActs(given, neurons, KIND);
  const { each, act, among } = given;
  if (single.length > 0 && each === undefined && act === undefined && among === undefined) return single;
  const deed = act === undefined ? SILENCE : await deedOf(act);
  const groups = readGroups(neurons, { where: KIND, option: "--each", column: each, among, note: work.note });
  return [...single, ...groups.map((group): Act => ({ ...deed, selector: group.name, indices: group.neurons }))];
}

function deedOf(text: string): ReturnType<typeof readDeed> | typeof SILENCE {
  if (text === "silence") return SILENCE;
  const [kind, ...right] = text.split("=");
  if ((kind === "clamp" || kind === "drive") && right.length > 0)
    return readDeed(kind, right.join("=").trim(), { where: KIND, argument: "--act" });
  throw new ArgumentError(KIND, "--act", "silence, clamp=STATE or drive=CURRENT", quoteText(text));
}

/** What is compared, by name: metrics, loss, the recall of each class. */
function measuresBy({
  task,
  intact: { recall },
  classNames,
}: PerturbReport): [string, (of: ModelMeasures) => number][] {
  return [
    ...task.metrics.map(({ name }): [string, (of: ModelMeasures) => number] => [name, ({ metrics }) => metrics[name]!]),
    ["loss", ({ loss }) => loss],
    ...(recall ?? []).map((_, c): [string, (of: ModelMeasures) => number] => [
      `recall_${classNames?.[c] ?? c}`,
      (of) => of.recall![c]!,
    ]),
  ];
}

function table(report: PerturbReport): Table {
  const measures = measuresBy(report);
  return {
    columns: [
      ...["name", "act", "act_value", "neurons", "failed_samples"],
      ...measures.flatMap(([name]) => [name, `${name}_change`, `${name}_error`]),
      "failure",
    ],
    rows: report.effects.map(({ name, act, actValue, neurons, failed, failure, value, change, error }) => [
      ...[name, act, actValue ?? "", neurons, failed],
      ...measures.flatMap(([, read]) => [read(value), read(change), read(error)]),
      failure ?? "",
    ]),
  };
}

function arrays(report: PerturbReport): Readonly<Record<string, ArrayToWrite>> {
  const { effects, intact } = report;
  const measures = measuresBy(report);
  const of = (which: "value" | "change" | "error"): NpyInput => ({
    shape: [effects.length, measures.length],
    data: Float64Array.from(effects.flatMap((effect) => measures.map(([, read]) => read(effect[which])))),
  });
  const counts = (data: number[]): NpyInput => ({ shape: [data.length], data: Int32Array.from(data) });
  return {
    names: effects.map(({ name }) => name),
    acts: effects.map(({ act, actValue }) => (actValue === null ? act : `${act}=${actValue}`)),
    neurons: counts(effects.map(({ neurons }) => neurons)),
    failed: counts(effects.map(({ failed }) => failed)),
    measures: measures.map(([name]) => name),
    intact: { shape: [measures.length], data: Float64Array.from(measures, ([, read]) => read(intact)) },
    ...{ value: of("value"), change: of("change"), error: of("error") },
  };
}

/** The intact model, and what matters most. */
function lines(report: PerturbReport, { data }: OpenedRun): readonly string[] {
  const { task, intact, samples, failed, source, effects } = report;
  const [first = { name: "loss", format: "number" } as const] = task.metrics;
  const read = ({ metrics, loss }: ModelMeasures): number => (task.metrics.length > 0 ? metrics[first.name]! : loss);
  const of = `${formatCount(samples)} ${nounOf(data.train)} of ${source}`;
  const lost = failed > 0 ? `; ${plural(failed, "sample")} could not be solved and are left out` : "";
  const shown = effects.slice(0, PRINTED);
  const rows = shown.map(({ name, act, actValue, neurons, value, change, error, failure, failed: lost }) => [
    `${act} ${name}${actValue === null ? "" : `=${actValue}`}`,
    `(${formatCount(neurons)})`,
    failure ? "–" : differenceText({ format: first.format }, read(change), read(error)),
    failure ? failure : `→ ${metricText(first, read(value))}${lost > 0 ? `, ${plural(lost, "sample")} failed` : ""}`,
  ]);
  const count =
    effects.length > shown.length
      ? `${formatCount(shown.length)} of ${formatCount(effects.length)}, worst first`
      : "worst first";
  return [
    `intact: ${describeValues(intact, task)} on ${of}${lost}`,
    `change of ${first.name} ± standard error, ${count}:`,
    ...alignColumns(rows, [1, 2]),
  ];
}
