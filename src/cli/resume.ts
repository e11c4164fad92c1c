// Resuming a run: its recorded state, and the options that may change.

import { ArgumentError } from "../core/errors.ts";
import { exists } from "../io/files.ts";
import type { TrainConfig } from "../run/config.ts";
import { resumedConfig } from "../run/configLayers.ts";
import { type BegunWith, readBegun } from "../run/runStart.ts";
import type { RunFolder } from "./runFolder.ts";
import { type GivenOptions, settingsGiven } from "./trainOptions.ts";

/** A run that has been started. */
export interface BegunRun extends BegunWith {
  /** The file; null: the run ended before its first checkpoint and starts again. */
  readonly checkpoint: string | null;
  /** Its gradients were added without micro-batches so far. */
  readonly isUngrouped: boolean;
}

/**
 * @param given  options besides --resume; they must not affect the numbers
 * @param here  how many processes train now, and how many threads each of them gets unless they are given. Of one process before and now,
 *   it is as many as before
 * @throws {ArgumentError} the folder holds no run, or an option would change the numbers
 */
export async function readBegunRun(
  folder: RunFolder,
  given: GivenOptions,
  here: { readonly ranks: number; readonly threads: number },
): Promise<BegunRun> {
  for (const name of ["out", "overwrite"] as const) {
    if (given[name] !== undefined) throw new ArgumentError("train --resume", `--${name}`, "no other folder", "one");
  }
  const { config: saved, ...facts } = await readBegun(folder.path);
  const layers = await settingsGiven(given, saved);
  const isAlone = facts.ranks === 1 && here.ranks === 1;
  const config = layers.reduce<TrainConfig>(resumedConfig, isAlone ? saved : { ...saved, threads: here.threads });
  const file = folder.file("checkpoint");
  const checkpoint = (await exists(file)) ? file : null;
  return { config, ...facts, checkpoint, isUngrouped: saved.microBatch === null };
}
