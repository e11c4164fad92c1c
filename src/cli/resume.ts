// Continuing a run: what its folder says of it, and what may be changed.

import { ArgumentError } from "../core/errors.ts";
import { exists } from "../io/files.ts";
import type { TrainConfig } from "../run/config.ts";
import { resumedConfig } from "../run/configLayers.ts";
import { type BegunWith, readBegun } from "../run/runStart.ts";
import type { RunFolder } from "./runFolder.ts";
import { type GivenOptions, settingsGiven } from "./trainOptions.ts";

/** A run that was begun. */
export interface BegunRun extends BegunWith {
  /** The file; null: it ended before the first one, so it begins again. */
  readonly checkpoint: string | null;
}

/**
 * @param given  options besides --resume; they may only change what the numbers do not depend on
 * @throws {ArgumentError} the folder is that of no run, or an option would change the run
 */
export async function readBegunRun(folder: RunFolder, given: GivenOptions): Promise<BegunRun> {
  for (const name of ["out", "overwrite"] as const) {
    if (given[name] !== undefined) throw new ArgumentError("train --resume", `--${name}`, "no other folder", "one");
  }
  const { config: saved, ...facts } = await readBegun(folder.path);
  const layers = await settingsGiven(given, saved);
  const config = layers.reduce<TrainConfig>(resumedConfig, saved);
  const checkpoint = folder.file("checkpoint");
  return { config, ...facts, checkpoint: (await exists(checkpoint)) ? checkpoint : null };
}
