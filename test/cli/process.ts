// Runs the command line as a user does: as a process of its own.

import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));

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

export interface ProcessOptions {
  readonly cwd?: string;
  /** A module that runs first. */
  readonly imports?: string;
}

/** `axograd <args>`, to its end. */
export function axograd(args: readonly string[], options: ProcessOptions = {}): Promise<Finished> {
  return start(args, options).finished;
}

/** `axograd <args>`, running. */
export function start(
  args: readonly string[],
  { cwd, imports }: ProcessOptions = {},
): { readonly child: ChildProcess; readonly finished: Promise<Finished> } {
  const before = imports === undefined ? [] : ["--import", imports];
  const child = spawn(process.execPath, [...before, MAIN, ...args], { cwd, stdio: ["ignore", "pipe", "pipe"] });
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
