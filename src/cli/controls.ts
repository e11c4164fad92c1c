// `axograd controls`: trains on a connectome and on its controls, with paired seeds, and ends with a verdict on what the wiring contributes. Its
// runs are a sweep with fixed settings.

import type { Command } from "commander";
import { ArgumentError } from "../core/errors.ts";
import { plural, printable } from "../core/text.ts";
import { TASK_SETS } from "../data/tasks/index.ts";
import type { TrainConfig } from "../run/config.ts";
import { layer, ownSettings, resolveConfig, type Settings } from "../run/configLayers.ts";
import { isTaskName, type Key, optionName } from "../run/configOptions.ts";
import { Console, writeJson, writeLine } from "./console.ts";
import { refuseExisting } from "./outputFile.ts";
import { inRanks } from "./ranks.ts";
import { defaultRunPath } from "./runFolder.ts";
import { type Arm, controlName, controlsOf, controlTexts, keysOf, REAL, USUAL_CONTROLS } from "./study/arms.ts";
import { type Design, SPLITS, USUAL_ALPHA } from "./study/design.ts";
import {
  type DesignRequest,
  type Protocol,
  type ProtocolFile,
  protocolOf,
  readProtocol,
  writeProtocol,
} from "./study/protocol.ts";
import { readStudy, reconciled, writeStudy } from "./study/study.ts";
import { collect, printResults } from "./sweep/collect.ts";
import { divided, type Ranks } from "./sweep/divided.ts";
import { type PlannedRun, planRuns } from "./sweep/plan.ts";
import { collectResults, type Measure } from "./sweep/results.ts";
import { addSweepOptions, type GivenSweepOptions, runSweep } from "./sweep/sweep.ts";
import { SweepFolder } from "./sweep/sweepFolder.ts";
import { addSettings, type SettingOptions, settingsGiven } from "./trainOptions.ts";
import { oneOf, path, realNumber, wholeNumber } from "./values.ts";

const USUAL_SEEDS = 5;

const HELP = `
For each seed, from --seed on, the connectome is trained, and each control. Controls:
${controlTexts()
  .map(([name, text]) => `  ${name.padEnd(22)}${text}`)
  .join("\n")}
All but frozen and none train their connections. With none, nothing reaches output neurons that get no input: they must be at chance.
Runs of one seed share data, their order, dropout, read-out, input weights and biases; weights of connections differ, where wirings do.

The verdict: differences real − control over seeds, with interval, effect size, and the difference that so many seeds would have found.
It is a paired t test, corrected for the number of controls (Holm). A failed run leaves it undecided, unless --allow-missing.

A protocol makes it a pre-registration. --write-protocol FILE runs nothing and writes all that is decided beforehand, with the SHA-256 of
every input and of the program; --protocol FILE runs that, and refuses anything else by name. --deviate "reason" allows and records it.

It is a sweep over --wiring and --train-connectome: see npx axograd sweep --help for the folder, for how it is continued, and
for runs divided among processes (mpirun, srun). Its results are results.html, .md, .json, .csv there.

Examples:
  npx axograd controls --connectome flyvis_e6_csr.npz --data mnist --epochs 1 --out runs/controls
  npx axograd controls --preset addition --controls shuffled,random --write-protocol plan.json --question "Does the wiring matter?"
  npx axograd controls --protocol plan.json --out runs/controls
  mpirun -n 4 npx axograd controls --protocol plan.json --out runs/controls      the same runs, four at a time
  npx axograd controls --analyse runs/controls                     the verdict from the finished runs, without running
  npx axograd controls --steps 200 --json | jq -c '.outcome.verdicts[] | [.control, .kind, .sentence]'
`;

type GivenOptions = SettingOptions &
  GivenSweepOptions & {
    readonly seeds?: number;
    readonly controls?: readonly string[];
    readonly judgeBy?: string;
    readonly judgeOn?: Design["split"];
    readonly alpha?: number;
    readonly smallestEffect?: number;
    readonly allowMissing?: boolean;
    readonly question?: string;
    readonly writeProtocol?: string;
    readonly protocol?: string;
    readonly deviate?: string;
    readonly analyse?: string;
  };

/** Adds the command to the program. */
export function register(program: Command): void {
  const command = program
    .command("controls")
    .description("train on a connectome and on its controls, with paired seeds, and give a verdict");
  const names = (text: string): readonly string[] => text.split(",").map((name) => name.trim());
  addSettings(command)
    .option(
      "--controls <list>",
      `some of the controls below, separated by commas (default: ${USUAL_CONTROLS.join(",")})`,
      names,
    )
    .option("--seeds <n>", `paired runs of each network (default: ${USUAL_SEEDS})`, wholeNumber("--seeds", 1, 1000))
    .option("--judge-by <metric>", "metric of the verdict, or loss (default: the first of the task)")
    .option(
      "--judge-on <samples>",
      "test or validation (default: test, where there are such samples)",
      oneOf("--judge-on", SPLITS),
    )
    .option(
      "--alpha <level>",
      `chance of any false claim of a difference (default: ${USUAL_ALPHA})`,
      realNumber("--alpha", { least: 1e-6, below: 1 }),
    )
    .option(
      "--smallest-effect <x>",
      "smallest difference of interest, in units of the metric (0.01: one point of accuracy); allows the verdict equivalent",
      realNumber("--smallest-effect", { above: 0 }),
    )
    .option("--allow-missing", "decide from the pairs that there are")
    .option("--question <text>", "what the study asks, in words")
    .option("--write-protocol <file>", "only write what is decided beforehand", path("--write-protocol"))
    .option("--protocol <file>", "run a protocol, and nothing else", path("--protocol"))
    .option("--deviate <reason>", "deviate from the protocol; recorded and shown")
    .option("--analyse <dir>", "the verdict from finished runs, without running", path("--analyse"));
  addSweepOptions(command.option("--out <dir>", "folder of the runs (default: runs/<time>-controls)", path("--out")))
    .addHelpText("after", HELP)
    .action(async (given: GivenOptions) => {
      const { analyse: path } = given;
      process.exitCode = await inRanks(given, (communicator) =>
        divided(communicator, (ranks) => (path === undefined ? runControls(ranks, given) : analyse(path, given))),
      );
    });
}

async function runControls(ranks: Ranks, given: GivenOptions): Promise<number> {
  const { writeProtocol: planned, protocol: file, deviate = null, json = false, quiet = false } = given;
  if (planned !== undefined && file !== undefined) {
    throw new ArgumentError("controls", "--write-protocol", "either a protocol to write or one to follow", "both");
  }
  if (planned !== undefined) await refuseExisting(planned, "a new file, as no protocol is replaced");
  const protocol = file === undefined ? null : await readProtocol(file);
  const lower = protocol?.protocol.settings ?? {};
  const { seed, ...base } = [lower, ...(await settingsGiven(given, lower))].reduce(layer, {});
  const request = requestOf(given, seed, protocol?.protocol.design ?? null);
  const runs = planControls(base, request.seeds, request.controls);
  const configs = runs.map(({ config }) => config);
  const actual = await protocolOf(request, configs);
  if (planned !== undefined) {
    const sha256 = await writeProtocol(planned, actual);
    if (json) writeJson({ file: planned, sha256, protocol: actual });
    else for (const line of [`${printable(planned)}: protocol, SHA-256 ${sha256}`, planLine(actual)]) writeLine(line);
    return 0;
  }
  const console = new Console({ json, quiet });
  console.info(planLine(actual));
  const { data } = configs[0]!;
  if (isTaskName(data) && TASK_SETS[data]!.isAboutNetwork) {
    console.warn(`each network makes its own samples of ${data}: pairs share the seed, but not the samples`);
  }
  if (given.launcher !== "local" && given.out === undefined) {
    // The default name has the time: the same command would submit everything again.
    throw new ArgumentError("controls", "--out", `a folder with --launcher ${given.launcher}`, "nothing");
  }
  const folder = given.out ?? defaultRunPath("controls");
  return runSweep(ranks, runs, folder, given, async (states) => {
    const nBegun = states.filter(({ begun }) => begun).length;
    const now = { design: actual.design, protocol, actual, reason: deviate };
    const earlier = await readStudy(folder);
    checkReason(given, protocol ?? earlier?.protocol ?? null);
    await writeStudy(folder, reconciled(now, earlier, nBegun));
  });
}

/** What the verdict will be about, before the runs. */
function planLine({ design, better }: Pick<Protocol, "design" | "better">): string {
  const { metric, split, controls, seeds, alpha, smallestEffect } = design;
  const names = controls.map(({ name }) => name).join(", ");
  const least = smallestEffect === null ? "" : `, smallest effect of interest ${smallestEffect}`;
  const judged = `${split} ${metric} (${better} is better)`;
  return `verdict: ${judged} of real against ${names}; ${plural(seeds.length, "paired seed")}; alpha ${alpha}, Holm${least}`;
}

function checkReason({ deviate }: GivenOptions, protocol: ProtocolFile | null): void {
  if (deviate === undefined || protocol !== null) return;
  throw new ArgumentError("controls", "--deviate", "a protocol to deviate from (--protocol)", "none");
}

/** What is decided beforehand: given options, else those of a protocol, else the usual ones. */
function requestOf(given: GivenOptions, seed: number | undefined, planned: Design | null): DesignRequest {
  const { seeds, controls, judgeBy, judgeOn, alpha, smallestEffect, allowMissing, question } = given;
  const first = seed ?? planned?.seeds[0] ?? 0;
  const isOwn = seeds !== undefined || seed !== undefined || planned === null;
  const count = seeds ?? planned?.seeds.length ?? USUAL_SEEDS;
  return {
    question: question ?? planned?.question ?? null,
    seeds: isOwn ? Array.from({ length: count }, (_, k) => first + k) : planned.seeds,
    controls: controls ? controlsOf(controls) : (planned?.controls ?? controlsOf(USUAL_CONTROLS)),
    metric: judgeBy ?? planned?.metric ?? null,
    split: judgeOn ?? planned?.split ?? null,
    alpha: alpha ?? planned?.alpha ?? USUAL_ALPHA,
    smallestEffect: smallestEffect ?? planned?.smallestEffect ?? null,
    allowMissing: allowMissing ?? planned?.allowMissing ?? false,
  };
}

/**
 * The runs of a study: the real network with every seed, then each control.
 *
 * @throws {ArgumentError} settings that contradict each other or that the networks set, or neither test nor validation samples
 */
export function planControls(base: Settings, seeds: readonly number[], controls: readonly Arm[]): PlannedRun[] {
  const arms = [REAL, ...controls];
  const keys = keysOf(arms);
  const common = resolveConfig([base]);
  const own = keys.find((key) => key in ownSettings(base, common.preset));
  if (own !== undefined) {
    const got = `${base[own]} for all`;
    throw new ArgumentError("controls", optionName(own), "the choice left to --controls", got);
  }
  const rest: Settings = Object.fromEntries(Object.entries(base).filter(([key]) => !keys.includes(key as Key)));
  const axis = (key: Key) => ({ key, values: arms.map(({ options }) => ({ [key]: options[key] ?? common[key] })) });
  const runs = planRuns({ base: rest, seeds, grid: [], zip: keys.map(axis) });
  if (runs.some(({ config }) => isUnjudged(config))) {
    throw new ArgumentError("controls", "--test-samples", "test images or validation images", "neither");
  }
  return runs;
}

function isUnjudged({ validationSamples, testSamples }: TrainConfig): boolean {
  return validationSamples === 0 && testSamples === 0;
}

/** The verdict from the finished runs of a folder. @returns the exit code */
async function analyse(path: string, given: GivenOptions): Promise<number> {
  const { deviate = null, json = false } = given;
  const settings = (await settingsGiven(given)).reduce(layer, {});
  const other = [
    ...Object.keys(settings).map((key) => optionName(key as Key)),
    ...(["seeds", "controls", "protocol", "writeProtocol", "out"] as const)
      .filter((name) => given[name] !== undefined)
      .map((name) => `--${name.replace(/[A-Z]/, (letter) => `-${letter.toLowerCase()}`)}`),
  ];
  if (other.length > 0)
    throw new ArgumentError("controls", "--analyse", "no runs to be planned with it", other.join(", "));
  const folder = new SweepFolder(path);
  const runs = await folder.runs();
  const earlier = await readStudy(path);
  checkReason(given, earlier?.protocol ?? null);
  const recorded = earlier?.design ?? designOfRuns(path, runs);
  const { split, ...rest } = requestOf(given, undefined, recorded);
  const design: Design = { ...rest, split: split ?? recorded.split };
  checkMetric(design, collectResults(await folder.states(runs)).measures);
  const now = { design, protocol: null, actual: null, reason: deviate };
  await writeStudy(path, reconciled(now, earlier ?? { design: recorded, protocol: null, deviations: [] }, runs.length));
  printResults(await collect(folder, runs), { json });
  return 0;
}

/** @throws {ArgumentError} the runs have been evaluated, but not by this metric on these samples */
function checkMetric({ metric, split }: Design, measures: readonly Measure[]): void {
  if (metric === null || !measures.some(({ better }) => better !== null)) return;
  const judged = measures.filter(({ better, key }) => better !== null && key.startsWith(split));
  if (judged.some(({ name }) => name === `${split} ${metric}`)) return;
  const names = judged.map(({ name }) => name.slice(split.length + 1)).join(", ");
  throw new ArgumentError("controls", "--judge-by", `a metric of the runs on ${split} samples: ${names}`, metric);
}

/** The usual design of a folder without a record, as of earlier versions. */
function designOfRuns(folder: string, runs: readonly PlannedRun[]): Design {
  const isReal = ({ options }: PlannedRun): boolean => textOf(options) === textOf(REAL.options);
  if (!runs.some(isReal)) {
    throw new ArgumentError("controls", "--analyse", "the folder of axograd controls, with runs of real", folder);
  }
  const others = runs.filter((run) => !isReal(run)).map(({ options }): Settings => options);
  const controls = [...new Map(others.map((options) => [textOf(options), options])).values()];
  const request = requestOf({} as GivenOptions, undefined, null);
  return {
    ...request,
    seeds: [...new Set(runs.map(({ config }) => config.seed))],
    controls: controls.map((options) => ({ name: controlName(options), options })),
    split: runs.every(({ config }) => config.testSamples !== 0) ? "test" : "validation",
  };
}

function textOf(options: Readonly<Record<string, unknown>>): string {
  return JSON.stringify(Object.entries(options).sort(([a], [b]) => (a < b ? -1 : 1)));
}
