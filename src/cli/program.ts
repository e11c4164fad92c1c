// The commands. Exit codes: 0 done, 1 the run failed, 2 wrong input or usage, 128 + n stopped by signal n.

import { Command, CommanderError } from "commander";
import { EngineError, nearestName } from "../core/errors.ts";
import { printable } from "../core/text.ts";
import { VERSION } from "../core/version.ts";
import { register as registerChanges } from "./analyses/changes.ts";
import { register as registerEnsemble } from "./analyses/ensemble.ts";
import { register as registerPerturb } from "./analyses/perturb.ts";
import { register as registerReceptiveFields } from "./analyses/receptiveFields.ts";
import { register as registerResponses } from "./analyses/responses.ts";
import { register as registerTuning } from "./analyses/tuning.ts";
import { register as registerCheck } from "./check.ts";
import { register as registerControls } from "./controls.ts";
import { register as registerConvert } from "./convert.ts";
import { register as registerDoctor } from "./doctor.ts";
import { register as registerExplain } from "./explain.ts";
import { reported, UsageError } from "./failure.ts";
import { register as registerGenerate } from "./generate.ts";
import { register as registerImport } from "./import.ts";
import { register as registerInit } from "./init.ts";
import { register as registerInspect } from "./inspect.ts";
import { exitOnClosedPipe } from "./interruption.ts";
import { RanksError, refuseRanks, speaksForAll } from "./launchGuard.ts";
import { register as registerPredict } from "./predict.ts";
import { register as registerReport } from "./report.ts";
import { register as registerRewire } from "./rewire.ts";
import { register as registerSimulate } from "./simulate.ts";
import { register as registerCollect } from "./sweep/collect.ts";
import { register as registerSweep } from "./sweep/sweep.ts";
import { register as registerTasks } from "./tasks.ts";
import { register as registerTrain } from "./train.ts";
import { register as registerTune } from "./tune.ts";

/** Each adds itself to the program and leaves an exit code other than 0 in `process.exitCode`. */
const COMMANDS: readonly ((program: Command) => void)[] = [
  registerTrain,
  registerControls,
  registerReport,
  registerPredict,
  registerSimulate,
  registerResponses,
  registerChanges,
  registerReceptiveFields,
  registerTuning,
  registerPerturb,
  registerSweep,
  registerCollect,
  registerEnsemble,
  registerGenerate,
  registerInit,
  registerTasks,
  registerInspect,
  registerImport,
  registerConvert,
  registerRewire,
  registerDoctor,
  registerTune,
  registerCheck,
  registerExplain,
];

/** Runs the command of the words after `axograd`; leaves its exit code in `process.exitCode`. */
export async function main(args: readonly string[]): Promise<void> {
  const speaks = speaksForAll(process.env);
  const program = new Command("axograd")
    .description("Trains neural networks wired by a connectome.")
    .version(VERSION, "--version", "print the version")
    .exitOverride()
    .configureOutput({ outputError: () => {}, ...(!speaks && { writeOut: () => {}, writeErr: () => {} }) })
    .hook("preAction", (_, command) => refuseRanks(command.name(), process.env));
  for (const register of COMMANDS) register(program);
  exitOnClosedPipe();
  try {
    await program.parseAsync([...args], { from: "user" });
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return;
    // A launcher ends all ranks once one has failed, so those that have nothing to say do not fail.
    if (!speaks && (error instanceof CommanderError || error instanceof RanksError)) return;
    const shaped = error instanceof CommanderError ? usageError(error, program, args) : error;
    // All ranks have the same launcher, but no rank could tell the others.
    const silent = !speaks && error instanceof EngineError && error.code === "launcher";
    process.exitCode = reported(shaped, { json: args.includes("--json"), silent });
  }
}

/** commander's "error: unknown option '--epoch'\n(Did you mean --epochs?)" on one line, in our shape. */
function usageError({ code, message }: CommanderError, program: Command, args: readonly string[]): UsageError {
  const [command = "", topic] = args;
  const commands = program.commands.map((known) => known.name());
  if (code === "commander.help") {
    const near = topic === undefined ? null : nearestName(topic, commands);
    const got = topic === undefined ? "none" : `'${printable(topic)}'${near ? ` (Did you mean ${near}?)` : ""}`;
    return new UsageError("usage", `expected a command, got ${got}; try npx axograd --help`);
  }
  const text = printable(message.replace(/^error: /, "").replace(/\n(?=\(Did you mean)/, " "));
  const help = commands.includes(command) ? `npx axograd ${command} --help` : "npx axograd --help";
  return new UsageError("usage", text.includes("Did you mean") ? text : `${text}; try ${help}`);
}
