// Runs one command of the command line in this process and keeps what it prints.

import { Command } from "commander";

/** The text on stdout of `axograd <args>` for a program that has only the command that `register` adds. */
export async function runCommand(register: (program: Command) => void, ...args: readonly string[]): Promise<string> {
  const program = new Command("axograd").exitOverride().configureOutput({ outputError: () => {} });
  register(program);
  const parts: string[] = [];
  const write = process.stdout.write;
  process.stdout.write = (chunk: string | Uint8Array): boolean => {
    parts.push(String(chunk));
    return true;
  };
  try {
    await program.parseAsync([...args], { from: "user" });
  } finally {
    process.stdout.write = write;
  }
  return parts.join("");
}
