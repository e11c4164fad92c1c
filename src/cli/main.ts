#!/usr/bin/env node
// The command line. Exit codes: 0 done, 1 the run failed, 2 wrong input or usage, 128 + n stopped by signal n.

import { Command, CommanderError } from "commander";
import { ArgumentError, EngineError, FileFormatError, ShapeError, SparseFormatError } from "../core/errors.ts";
import { VERSION } from "../train/version.ts";
import { Console } from "./console.ts";
import { register as registerConvert } from "./convert.ts";
import { register as registerInspect } from "./inspect.ts";
import { train } from "./train.ts";
import { addTrainOptions, configOf, type GivenOptions } from "./trainOptions.ts";

const EXIT_FAILURE = 1;
const EXIT_USAGE = 2;

/** Errors that mean that the input is wrong rather than that a run went wrong. */
const INPUT_ERRORS = [ArgumentError, ShapeError, SparseFormatError, FileFormatError] as const;

/** Wrong words on the command line, found by commander. */
class UsageError extends EngineError {}

async function main(args: readonly string[]): Promise<number> {
  let exitCode = 0;
  const program = new Command("axograd")
    .description("Trains neural networks wired by a connectome.")
    .version(VERSION, "--version", "print the version")
    .exitOverride()
    .configureOutput({ outputError: () => {} });
  addTrainOptions(
    program.command("train").description("train a classifier of digits and report how well it does"),
  ).action(async (given: GivenOptions) => {
    const { out = null, overwrite = false, json = false, quiet = false } = given;
    exitCode = await train(configOf(given), { out, overwrite, json, quiet });
  });
  registerConvert(program);
  registerInspect(program);
  try {
    await program.parseAsync([...args], { from: "user" });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0;
    const shaped = error instanceof CommanderError ? usageError(error) : error;
    new Console({ json: args.includes("--json"), quiet: false }).error(shaped);
    return INPUT_ERRORS.some((kind) => shaped instanceof kind) || shaped instanceof UsageError
      ? EXIT_USAGE
      : EXIT_FAILURE;
  }
}

/** commander's "error: unknown option '--epoch'\n(Did you mean --epochs?)" on one line, in our shape. */
function usageError(error: CommanderError): UsageError {
  const text = error.code === "commander.help" ? "expected a command, got none; try axograd --help" : error.message;
  return new UsageError("usage", text.replace(/^error: /, "").replaceAll("\n", " "));
}

process.exitCode = await main(process.argv.slice(2));
