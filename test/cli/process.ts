// Runs the command line with all of its commands: here, or as a user does, in a process of its own.

import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { captured } from "./captured.ts";

export const MAIN: string = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));

export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A network, images and steps so few that a run takes a second; for read-outs of raw features. */
export const TINY_RAW: readonly string[] = [
  ...["--generate", "900x5000", "--train-samples", "64", "--validation-samples", "16", "--test-samples", "24"],
  ...["--batch-size", "16", "--steps", "5", "--threads", "1", "--device", "wasm"],
];

/** The same for read-outs that standardise features. */
export const TINY: readonly string[] = [...TINY_RAW, "--calibration", "32"];

/**
 * `axograd <args>`, to its end, within this process: loading a process of its own would take longer than most commands. One at a time.
 * What a process has to itself is tested with `start`.
 */
export function axograd(args: readonly string[], options: { readonly cwd?: string } = {}): Promise<Finished> {
  const finished = previous.then(() => runHere(args, options.cwd ?? process.cwd()));
  previous = finished.catch(() => {});
  return finished;
}

let previous: Promise<unknown> = Promise.resolve();

async function runHere(args: readonly string[], cwd: string): Promise<Finished> {
  const { main } = await import("../../src/cli/program.ts");
  const before = { cwd: process.cwd(), exitCode: process.exitCode };
  process.chdir(cwd);
  process.exitCode = undefined;
  try {
    const texts = await captured(() => main(args));
    return { code: Number(process.exitCode ?? 0), ...texts };
  } finally {
    process.chdir(before.cwd);
    process.exitCode = before.exitCode;
  }
}

export interface ProcessOptions {
  readonly cwd?: string;
  /** A module that runs first. */
  readonly imports?: string;
  /** Command that runs a script, instead of this process's Node. */
  readonly runtime?: Program | undefined;
  readonly env?: NodeJS.ProcessEnv;
}

/** A program, and its words before the script. */
export type Program = readonly [program: string, ...words: string[]];

/** `axograd <args>`, running in a process of its own. */
export function start(
  args: readonly string[],
  { imports, ...options }: ProcessOptions = {},
): { readonly child: ChildProcess; readonly finished: Promise<Finished> } {
  const before = imports === undefined ? [] : ["--import", imports];
  return startScript([...before, MAIN, ...args], options);
}

/** `node <words>`, likewise. */
export function startScript(
  words: readonly string[],
  { cwd, env, runtime = [process.execPath] }: Omit<ProcessOptions, "imports"> = {},
): { readonly child: ChildProcess; readonly finished: Promise<Finished> } {
  const [program, ...first] = runtime;
  const child = spawn(program, [...first, ...words], { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
  const texts = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name].setEncoding("utf8").on("data", (text: string) => {
      texts[name] += text;
    });
  }
  const finished = new Promise<Finished>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, ...texts }));
  });
  return { child, finished };
}

/** One parsed line of JSON. */
export interface Line {
  readonly event: string;
  readonly [name: string]: unknown;
}

/** Lines of JSON; every line must be one. */
export function jsonLines(text: string): Line[] {
  if (text !== "" && !text.endsWith("\n"))
    throw new Error(`expected whole lines, got ${JSON.stringify(text.slice(-40))}`);
  return text
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line));
}
