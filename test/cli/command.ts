// Runs one command of the command line in this process, without loading the others, and keeps what it prints.

import { Command } from "commander";
import { captured } from "./captured.ts";

/** The text on stdout of `axograd <args>` for a program that has only the command that `register` adds. */
export async function runCommand(register: (program: Command) => void, ...args: readonly string[]): Promise<string> {
  const program = new Command("axograd").exitOverride().configureOutput({ outputError: () => {} });
  register(program);
  const { stdout } = await captured(() => program.parseAsync([...args], { from: "user" }));
  return stdout;
}
