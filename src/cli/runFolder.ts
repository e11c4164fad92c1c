// The output folder of a run: which files it has, when it is refused, and replacing them.

import { access, constants, mkdir, readdir, rm, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { ArgumentError } from "../core/errors.ts";
import { replaceFile, writeError } from "../io/durable.ts";

/** The files of a run. */
export const RUN_FILES = {
  config: "config.json",
  metrics: "metrics.jsonl",
  checkpoint: "checkpoint.safetensors",
  checkpointState: "checkpoint.json",
  curves: "curves.svg",
  /** As EventFile names the first one. */
  events: "events.out.tfevents.0000000000.axograd",
  report: "report.html",
  summary: "summary.json",
} as const;

export type RunFile = keyof typeof RUN_FILES;

export class RunFolder {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** The path of one of its files. */
  file(name: RunFile): string {
    return join(this.path, RUN_FILES[name]);
  }

  /**
   * Makes sure that the folder can become that of a new run; changes nothing.
   *
   * @throws {ArgumentError} it is a file, has files (unless `overwrite`), or cannot be made or written to
   */
  async check({ overwrite }: { readonly overwrite: boolean }): Promise<void> {
    const refuse = (expected: string, got: string): never => {
      throw new ArgumentError("train", "--out", expected, `${this.path}, ${got}`);
    };
    const kind = await kindOf(this.path);
    if (kind === "file") refuse("a folder", "which is a file");
    if (kind === "folder" && !overwrite && (await readdir(this.path)).length > 0) {
      refuse("a new or empty folder (or --overwrite)", "which has files");
    }
    const existing = await nearestExisting(resolve(this.path));
    try {
      await access(existing, constants.W_OK);
    } catch {
      refuse("a folder that can be written to", "which cannot");
    }
  }

  /** Makes the folder and removes the files of an earlier run. */
  async create(): Promise<void> {
    try {
      await mkdir(this.path, { recursive: true });
      for (const name of Object.values(RUN_FILES)) await rm(join(this.path, name), { force: true });
    } catch (cause) {
      throw writeError(this.path, cause);
    }
  }

  async writeJson(name: RunFile, value: unknown): Promise<void> {
    await this.writeText(name, `${readableJson(value)}\n`);
  }

  async writeText(name: RunFile, text: string): Promise<void> {
    await replaceFile(this.file(name), [text]);
  }
}

/** Indented JSON with lists of numbers on one line. */
function readableJson(value: unknown): string {
  return JSON.stringify(value, null, 2).replace(/\[[\s\d.,e+-]*\]/g, (list) => list.replace(/\s+/g, " "));
}

/** `runs/2026-01-31T12-30-05-demo`. */
export function defaultRunPath(preset: string, now: Date = new Date()): string {
  const local = new Date(now.getTime() - now.getTimezoneOffset() * 60_000);
  return join("runs", `${local.toISOString().slice(0, 19).replaceAll(":", "-")}-${preset}`);
}

async function kindOf(path: string): Promise<"file" | "folder" | "nothing"> {
  try {
    return (await stat(path)).isDirectory() ? "folder" : "file";
  } catch {
    return "nothing";
  }
}

async function nearestExisting(path: string): Promise<string> {
  return (await kindOf(path)) === "nothing" && dirname(path) !== path ? nearestExisting(dirname(path)) : path;
}
