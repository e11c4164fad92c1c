// axograd explain: the programs that a training runs, from their graphs to the code that a device gets.

import { join } from "node:path";
import type { Command } from "commander";
import type { Purpose } from "../backend/program.ts";
import { ArgumentError, nearestName } from "../core/errors.ts";
import { alignColumns } from "../core/text.ts";
import { subsetOfSamples } from "../data/sampleSet.ts";
import { type ExplainForm, explainProgram, FORMS, type ProgramExplanation } from "../explain/explain.ts";
import { ProgramRecorder, type RecordedProgram } from "../explain/recorder.ts";
import { makeFolder, replaceFile } from "../io/durable.ts";
import type { TrainConfig } from "../run/config.ts";
import { checkEffects, layer, resolveConfig } from "../run/configLayers.ts";
import { openDevice } from "../run/device.ts";
import { beginExperiment, createExperiment, loadRunInputs } from "../run/experiment.ts";
import { readBegun } from "../run/runStart.ts";
import { writeJson, writeText } from "./console.ts";
import { addSettings, configOf, type SettingOptions, settingsGiven } from "./trainOptions.ts";
import { path } from "./values.ts";

type GivenOptions = SettingOptions & {
  readonly program?: readonly string[];
  readonly show?: readonly ExplainForm[];
  readonly out?: string;
  readonly subgroups: boolean;
  readonly json?: boolean;
};

/** A program with a unique name and its runs. */
interface Explained extends ProgramExplanation {
  readonly id: string;
  /** In one training step of at most `MOST_LANES` samples. */
  readonly runs: number;
}

/** Most samples of a recorded step: which programs there are does not depend on them. */
const MOST_LANES = 16;

const EXAMPLES = `
Examples:
  npx axograd explain                                        the programs of the demo, with their work and traffic
  npx axograd explain --program attempt                      its instructions, phase by phase
  npx axograd explain --program attempt --show code --device webgpu
                                                             its WGSL; no GPU is needed
  npx axograd explain --program reverse --show graph,phases  all programs of the reverse pass
  npx axograd explain runs/a --out explained                 everything about the programs of a run, as files

Settings are those of npx axograd train. An evaluation and two steps of at most 16 samples are computed on the CPU, to see which programs run.
docs/explain.md says how to read it.
`;

/** Adds the command to the program. */
export function register(program: Command): void {
  const command = program
    .command("explain")
    .description(
      "show the programs that a training runs: graph, phases, buffers, WebAssembly or WGSL, work and traffic",
    )
    .argument("[run]", "folder of a run, whose settings are used")
    .option(
      "--program <names>",
      "programs to show, by name or purpose (forward, reverse, readout, parameters, optimiser)",
      list,
    )
    .option("--show <forms>", `forms to show: ${FORMS.join(", ")}, or all (default: phases)`, forms)
    .option("--out <dir>", "write a file for each program and form, and programs.json, into this folder", path("--out"))
    .option("--no-subgroups", "WGSL for adapters without the feature subgroups")
    .option("--json", "print facts and forms as one JSON object");
  addSettings(command).addHelpText("after", EXAMPLES).action(explain);
}

async function explain(folder: string | undefined, given: GivenOptions): Promise<void> {
  const config = await configOfRun(folder, given);
  const device = await deviceOf(config);
  const recorded = await recordStep(config, device);
  const lanes = device === "wasm" ? Math.min(config.batchSize, MOST_LANES) : config.batchSize;
  const { dtype, gather } = config;
  const options = { device, dtype, gather, lanes, subgroups: given.subgroups };
  const all = named(inOrder(recorded)).map(
    ({ id, program, runs }): Explained => ({ id, runs, ...explainProgram(program, options) }),
  );
  const chosen = chosenOf(all, given.program);
  const shown = given.show ?? (given.program ? (["phases"] as const) : []);
  if (given.out !== undefined) await writeFiles(given.out, chosen, given.show ?? FORMS);
  if (given.json) writeJson({ device, dtype: config.dtype, lanes, programs: chosen.map((e) => withForms(e, shown)) });
  else if (given.out !== undefined) writeText(`${chosen.length} programs in ${given.out}\n`);
  else if (shown.length > 0) writeText(textOf(chosen, shown));
  else writeText(tableOf(chosen, options));
}

async function configOfRun(folder: string | undefined, given: GivenOptions): Promise<TrainConfig> {
  if (folder === undefined) return configOf(given);
  const refuse = (option: string): never => {
    throw new ArgumentError("explain", option, "a run's folder or a recipe", "both");
  };
  if (given.config !== undefined) refuse("--config");
  const { config: saved } = await readBegun(folder);
  const typed = (await settingsGiven(given, saved)).reduce(layer, {});
  if (typed.preset !== undefined) refuse("--preset");
  const config = resolveConfig([saved, typed]);
  checkEffects("explain", typed, [config]);
  return config;
}

/** The device that a training would use. Opens a device only to resolve "auto". */
async function deviceOf(config: TrainConfig): Promise<"wasm" | "webgpu"> {
  if (config.device !== "auto") return config.device;
  const backend = await openDevice(config);
  await backend.dispose();
  return backend.name;
}

/** The programs of one evaluation and of training steps; runs are those of one step. */
async function recordStep(full: TrainConfig, device: "wasm" | "webgpu"): Promise<readonly RecordedProgram[]> {
  const few = Math.min(full.batchSize, MOST_LANES);
  const config = { ...full, batchSize: few, calibration: Math.min(full.calibration, few), initFrom: null };
  const inputs = await loadRunInputs(config, { hashes: false });
  const inner = await openDevice({ ...config, device: "wasm", gather: "f32" });
  try {
    const recorder = new ProgramRecorder(inner, { isAsynchronous: device === "webgpu" });
    const experiment = createExperiment(recorder.backend, config, inputs);
    await beginExperiment(experiment, config);
    const { trainer } = experiment;
    const { train } = inputs.samples;
    await trainer.evaluate(subsetOfSamples(train, [...Array(Math.min(few, train.count)).keys()]));
    // The second step: what follows an update of the parameters runs in the step after it.
    for await (const { step } of trainer.fit({ steps: 2 })) if (step === 1) recorder.resetRuns();
    return recorder.programs();
  } finally {
    await inner.dispose();
    await inputs.samples.release();
  }
}

/** As they follow one another in a step. */
const ORDER: readonly Purpose[] = ["forward", "readout", "reverse", "optimiser", "parameters"];

/** By purpose; programs without one come last. */
function inOrder(recorded: readonly RecordedProgram[]): readonly RecordedProgram[] {
  const place = ({ program: { purpose } }: RecordedProgram): number =>
    purpose === undefined ? ORDER.length : ORDER.indexOf(purpose);
  return [...recorded].sort((a, b) => place(a) - place(b));
}

/** Numbers programs that share a name, as for arrays of several sizes. */
function named(recorded: readonly RecordedProgram[]): readonly (RecordedProgram & { readonly id: string })[] {
  const count = new Map<string, number>();
  return recorded.map(({ program, runs }) => {
    const { name } = program;
    const n = (count.get(name) ?? 0) + 1;
    count.set(name, n);
    return { id: n === 1 ? name : `${name}-${n}`, program, runs };
  });
}

/** @throws {ArgumentError} no program has such a name or purpose */
function chosenOf(all: readonly Explained[], wanted: readonly string[] | undefined): readonly Explained[] {
  if (!wanted) return all;
  const isMeant = (e: Explained, name: string): boolean => [e.id, e.name, e.purpose].includes(name);
  for (const name of wanted) {
    if (all.some((e) => isMeant(e, name))) continue;
    const names = [...new Set(all.map((e) => e.name))];
    const purposes = ORDER.filter((purpose) => all.some((e) => e.purpose === purpose));
    const near = nearestName(name, [...all.map(({ id }) => id), ...purposes]);
    const got = `${name}${near ? ` (did you mean ${near}?)` : ""}`;
    throw new ArgumentError("explain", "--program", `${names.join(", ")}, or a purpose (${purposes.join(", ")})`, got);
  }
  return all.filter((e) => wanted.some((name) => isMeant(e, name)));
}

/** The forms of the programs one after another, under headings where there are several. */
function textOf(chosen: readonly Explained[], shown: readonly ExplainForm[]): string {
  const texts = chosen.flatMap(({ id, text }) => shown.map((form) => [`# ${id}: ${form}`, text[form]] as const));
  return texts.map(([heading, text]) => (texts.length > 1 ? `${heading}\n\n${text}` : text)).join("\n");
}

function withForms({ text, ...facts }: Explained, shown: readonly ExplainForm[]): object {
  return { ...facts, text: Object.fromEntries(shown.map((form) => [form, text[form]])) };
}

async function writeFiles(folder: string, chosen: readonly Explained[], shown: readonly ExplainForm[]): Promise<void> {
  await makeFolder(folder);
  for (const { id, device, text } of chosen) {
    for (const form of shown) {
      const ending = form !== "code" ? `${form}.txt` : device === "wasm" ? "wat" : "wgsl";
      await replaceFile(join(folder, `${id}.${ending}`), [text[form]]);
    }
  }
  const facts = chosen.map((e) => withForms(e, []));
  await replaceFile(join(folder, "programs.json"), [`${JSON.stringify(facts, null, 1)}\n`]);
}

function tableOf(
  chosen: readonly Explained[],
  { device, dtype, lanes }: { readonly device: string; readonly dtype: string; readonly lanes: number },
): string {
  const unit = device === "wasm" ? "functions" : "dispatches";
  const rows = chosen.map((e) => [
    e.id,
    e.purpose ?? "",
    e.runs > 0 ? `${e.runs}` : "-",
    `${e.phases.length}`,
    `${Math.max(0, ...e.phases.map(({ rows }) => rows))}`,
    `${e.phases.reduce((sum, { instructions }) => sum + instructions, 0)}`,
    `${device === "wasm" ? e.functions : e.dispatches!.length}`,
    ...[e.flops, e.bytes].map((n) => (n === null ? "?" : (n / 1e6).toFixed(3))),
    (e.temporaryBytes / 2 ** 20).toFixed(2),
  ]);
  const heading = ["program", "purpose", "runs", "phases", "rows", "instructions", unit];
  const costs = ["MFLOP", "MB moved", "MiB temporary"];
  return [
    `${device} ${dtype}, ${lanes} samples at once`,
    "",
    ...alignColumns([[...heading, ...costs], ...rows], [2, 3, 4, 5, 6, 7, 8, 9]),
    "",
    "runs: how often a training step ran it (computed here, on the CPU); -: only an evaluation or the preparations did.",
    "rows: of its longest phase. MFLOP, MB moved: of one run, by formula.",
    "More: --program NAME or PURPOSE, --show graph,phases,buffers,code; --out DIR writes everything to files.",
    "",
  ].join("\n");
}

function list(text: string): readonly string[] {
  const names = text.split(",").map((name) => name.trim());
  if (names.includes(""))
    throw new ArgumentError("command line", "--program", "names, separated by commas", `"${text}"`);
  return names;
}

function forms(text: string): readonly ExplainForm[] {
  const known: readonly string[] = FORMS;
  const names = text === "all" ? FORMS : text.split(",").map((name) => name.trim());
  const bad = names.find((name) => !known.includes(name));
  if (bad !== undefined) throw new ArgumentError("command line", "--show", `${FORMS.join(", ")} or all`, `"${bad}"`);
  return names as readonly ExplainForm[];
}
