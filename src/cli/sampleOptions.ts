// Options of commands that take samples: the run's own, of a file or folder, or generated ones.

import type { Command } from "commander";
import { PART_NAMES, type PartName } from "../data/sampleArrays.ts";
import type { SampleSet } from "../data/sampleSet.ts";
import { CONFIG_OPTIONS } from "../run/configOptions.ts";
import type { OpenedRun, OpenRunOptions } from "../run/openRun.ts";
import { hasSamplesOnRecord, readBegun } from "../run/runStart.ts";
import { type SamplesFor, type SamplesForOptions, samplesFor } from "../run/samplesFor.ts";
import { oneOf, parserOf, path, wholeNumber } from "./values.ts";

/** Which samples are wanted, as it is given. */
export interface SampleOptions {
  readonly data?: string;
  readonly dataOptions?: Readonly<Record<string, number | string>>;
  readonly part?: PartName;
  readonly samples?: number;
}

/** Declares the options. */
export function addSampleOptions(command: Command): Command {
  return command
    .option("--data <what>", "file, folder or name of the samples (default: the run's own)", path("--data"))
    .option(
      "--data-options <list>",
      "options of generated samples (default: those of the run)",
      parserOf(CONFIG_OPTIONS.dataOptions.type, "--data-options"),
    )
    .option(
      "--part <name>",
      `${PART_NAMES.join(", ")} (default: test, or the only part of --data)`,
      oneOf("--part", PART_NAMES),
    )
    .option("--samples <n>", "only the first n", wholeNumber("--samples", 1));
}

/** Whether the run's own samples have to be read. */
export async function ownSamplesFor(
  folder: string,
  { data, checkpoint }: Pick<SampleOptions, "data"> & { readonly checkpoint: string },
): Promise<NonNullable<OpenRunOptions["samples"]>> {
  return data === undefined ? "read" : samplesNeeded(folder, checkpoint);
}

/** Whether a run that does not look at its samples has to read them nevertheless. */
export async function samplesNeeded(
  folder: string,
  checkpoint: string,
): Promise<NonNullable<OpenRunOptions["samples"]>> {
  const isOnRecord = hasSamplesOnRecord(await readBegun(folder), { atStart: checkpoint === "none" });
  return isOnRecord ? "none" : "read";
}

/** The samples that are wanted. */
export function chosenSamples(
  run: OpenedRun,
  { data, part, samples, dataOptions }: SampleOptions,
  options: Pick<SamplesForOptions, "onProgress" | "signal">,
): Promise<SamplesFor> {
  return samplesFor(run, data ?? null, {
    ...(part && { part }),
    ...(samples !== undefined && { count: samples }),
    ...(dataOptions && { dataOptions }),
    ...options,
  });
}

/** Uses the samples that are wanted; `source` names them for people: "generated digits (test)". Closes their files afterwards. */
export async function withSamples<R>(
  run: OpenedRun,
  given: SampleOptions,
  { note, onProgress, signal }: Pick<SamplesForOptions, "onProgress" | "signal"> & { note(text: string): void },
  use: (samples: SampleSet, source: string) => Promise<R>,
): Promise<R> {
  const chosen = await chosenSamples(run, given, { ...(onProgress && { onProgress }), ...(signal && { signal }) });
  try {
    for (const text of chosen.notes) note(`note: ${text}`);
    const { samples, part } = chosen;
    return await use(samples, `${samples.source}${part ? ` (${part})` : ""}`);
  } finally {
    await chosen.release();
  }
}
