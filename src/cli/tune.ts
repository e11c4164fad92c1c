// `axograd tune`: tries how a GPU best computes the sparse products of a network, and writes the choices to a file.

import type { Command } from "commander";
import type { WebGpuBackend, WebGpuOptions } from "../backend/webgpu/backend.ts";
import type { SparseTuning } from "../backend/webgpu/sparseTuning.ts";
import type { TuningResult, TuningTrial } from "../backend/webgpu/tuneSparse.ts";
import { tuningJson } from "../backend/webgpu/tuningKey.ts";
import type { Csr } from "../core/csr.ts";
import { ArgumentError, BackendError } from "../core/errors.ts";
import { formatCount } from "../core/format.ts";
import { alignColumns, plural } from "../core/text.ts";
import { baselineOf } from "../run/baseline.ts";
import type { TrainConfig } from "../run/config.ts";
import { checkEffects, resolveConfig, type Settings } from "../run/configLayers.ts";
import type { Key } from "../run/configOptions.ts";
import { loadConnectome, wiringOf } from "../run/network.ts";
import { listOf, whole } from "../run/settingTypes.ts";
import { entryFor, recordFor, TUNER, type Tuner, trialText } from "../run/tuning.ts";
import { choicesText, writeTuningFile } from "../run/tuningFile.ts";
import { Console, writeJson, writeText } from "./console.ts";
import { checkOutput } from "./outputFile.ts";
import { addSetting, settingsAmong } from "./trainOptions.ts";
import { parserOf, path, realNumber } from "./values.ts";

/** Settings that decide which network there is. */
const NETWORK: readonly Key[] = [
  ...(["preset", "connectome", "neuronTable", "generate", "columns", "wiring"] as const),
  ...(["swapsPerEdge", "wiringBlocks", "wiringPositions", "seed"] as const),
];
/** Besides, what products gather, which is part of what a choice holds for. */
const KEYS: readonly Key[] = [...NETWORK, "gather"];

const EXAMPLES = `
A training tries a few choices at its start, for 1.5 s at most, and remembers the best for its card, driver and network. This command tries for
longer, and writes a file for jobs on machines that remember nothing. Without --regroup every choice gives the same bits. With it, sums may be
grouped otherwise: results differ in their last bits from those of other runs, and a run records its choices, so that --resume has the same.

Examples:
  npx axograd tune --connectome fly.safetensors --batch 8,64 --out h100.json
  npx axograd train --connectome fly.safetensors --tune h100.json`;

type GivenOptions = Settings & {
  readonly batch?: readonly number[];
  readonly regroup?: boolean;
  readonly budget?: number;
  readonly adapter?: string;
  readonly software?: boolean;
  readonly out: string;
  readonly overwrite?: boolean;
  readonly json?: boolean;
};

/** Opens the GPU; tests have their own. */
async function openGpu(options: Pick<WebGpuOptions, "adapter" | "gather">): Promise<WebGpuBackend> {
  const { createWebGpuBackend } = await import("../backend/webgpu/backend.ts");
  return createWebGpuBackend(options);
}

/** Adds the command to the program. */
export function register(program: Command, open: typeof openGpu = openGpu, tuner: Tuner = TUNER): void {
  const command = program
    .command("tune")
    .description("try how a GPU best computes the sparse products of a network, and write the choices to a file")
    .option(
      "--batch <list>",
      "samples that run at once, one number or several, like 8,64 (default: the batch size of the preset)",
      parserOf(listOf(whole(1)), "--batch"),
    )
    .option("--regroup", "also try choices that change the last bits of results")
    .option(
      "--budget <seconds>",
      "longest time for the trials of one batch (default: 10)",
      realNumber("--budget", { above: 0 }),
    )
    .option("--out <file>", "file for the choices", path("--out"), "tuning.json")
    .option("--overwrite", "replace a file that exists")
    .option("--adapter <name>", "GPU: its name, a part of it, its index or PCI address, as npx axograd doctor shows it")
    .option("--software", "try on a software adapter, too, whose times say nothing about a GPU")
    .option("--json", "report as JSON");
  for (const key of KEYS) addSetting(command, key);
  command.addHelpText("after", EXAMPLES).action((given: GivenOptions) => tune(given, open, tuner));
}

const DEFAULT_SECONDS = 10;

/** The trials for one number of samples. */
interface Tried extends TuningResult {
  readonly lanes: number;
}

async function tune(given: GivenOptions, open: typeof openGpu, tuner: Tuner): Promise<void> {
  const { out, overwrite = false, regroup = false, budget = DEFAULT_SECONDS, software = false, json = false } = given;
  await checkOutput(out, overwrite);
  const typed = settingsAmong(KEYS, given);
  const config = resolveConfig([typed]);
  checkEffects("tune", typed, [config]);
  refuseBaseline(config);
  const console = new Console({ json, quiet: false });
  const { adapter } = given;
  await using backend = await open({ gather: config.gather, ...(adapter !== undefined && { adapter }) });
  refuseSoftware(backend, software);
  const connectome = await loadConnectome(config);
  const { source } = connectome;
  const { csr } = wiringOf(connectome, config);
  console.info(
    `${backend.description}: ${formatCount(csr.nRows)} neurons, ${formatCount(csr.nnz)} connections (${source})`,
  );
  if (backend.adapter.isSoftware) console.warn("a software adapter: these times say nothing about a GPU");
  const all: Tried[] = [];
  for (const lanes of lanesOf(given.batch ?? [config.batchSize], csr, backend)) {
    console.status(`trying choices for ${plural(lanes, "sample")} at once, for ${budget} s at most`);
    const result = await tuner.tune(backend, csr, { lanes, regroup, budgetMs: 1000 * budget }, { force: software });
    all.push({ lanes, ...result });
    if (!json) writeText(textOf(all.at(-1)!, backend.standardTuning));
  }
  const entries = all.map((tried) => {
    const { lanes, tuning } = tried;
    return entryFor(backend, recordFor(backend, { csr, lanes, tuner }, { source: "trial", tuning, regroup }), tried);
  });
  await writeTuningFile(out, entries);
  if (json)
    writeJson({
      out,
      adapter: backend.adapter.name,
      driver: backend.adapter.driver,
      regroup,
      batches: all.map(factsOf),
    });
  console.result(`${out}: ${plural(all.length, "choice")}, for --tune of npx axograd train`);
}

/** @throws {ArgumentError} a network in place of the connectome, which needs the sizes of a task */
function refuseBaseline({ wiring }: TrainConfig): void {
  if (baselineOf({ wiring }) === null) return;
  throw new ArgumentError("tune", "--wiring", "connections of the connectome or of a control", wiring);
}

/** @throws {BackendError} an adapter that is no GPU, unless that is wanted */
function refuseSoftware({ adapter }: WebGpuBackend, wanted: boolean): void {
  if (!adapter.isSoftware || wanted) return;
  throw new BackendError(
    "software-adapter",
    `tune: expected a GPU, got ${adapter.name}, which is the CPU: its times say nothing about a GPU. --software tries nevertheless (--adapter).`,
    { adapter: adapter.name },
  );
}

/** As many as the device takes at once, each number once. */
function lanesOf(batches: readonly number[], csr: Csr, backend: WebGpuBackend): readonly number[] {
  const most = backend.lanesFor(csr.nRows);
  return [...new Set(batches.map((batch) => Math.min(batch, most)))];
}

function textOf(tried: Tried, standard: SparseTuning): string {
  const { lanes, trials, tuning, skipped } = tried;
  const heading = `\n${plural(lanes, "sample")} at once\n`;
  if (skipped !== null) return `${heading}the default choices: ${skipped}\n`;
  const rows = trials.map((trial) => {
    const { kernel, us, problem } = trial;
    return [
      kernel,
      choicesText(trial.tuning, standard),
      us === null ? "-" : us.toFixed(1),
      gainText(trial, trials),
      problem ?? "",
    ];
  });
  const table = alignColumns([["kernel", "choice", "µs", "gain", "dropped because"], ...rows], [2, 3]);
  const choice = `choice: ${choicesText(tuning, standard)}, ${trialText(tried)}`;
  return [heading, ...table.map((line) => `${line}\n`), `${choice}\n`].join("");
}

/** "+12.0 %": how many more products per second than with the default choices, which are the first trial of a kernel. */
function gainText(trial: TuningTrial, trials: readonly TuningTrial[]): string {
  const { kernel, us } = trial;
  const first = trials.find((other) => other.kernel === kernel)!;
  const gain = us === null || first.us === null || first === trial ? null : first.us / us - 1;
  return gain === null ? "-" : `${gain < 0 ? "" : "+"}${(100 * gain).toFixed(1)} %`;
}

function factsOf({ lanes, tuning, trials, ...rest }: Tried): object {
  const rows = trials.map((trial) => ({ ...trial, tuning: tuningJson(trial.tuning) }));
  return { lanes, tuning: tuningJson(tuning), trials: rows, ...rest };
}
