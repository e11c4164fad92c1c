// Options that choose the samples of an analysis, as `axograd predict` takes them.

import type { Command } from "commander";
import { PART_NAMES, type PartName } from "../../data/sampleArrays.ts";
import type { SampleSet } from "../../data/sampleSet.ts";
import { CONFIG_OPTIONS } from "../../run/configOptions.ts";
import type { OpenedRun, OpenRunOptions } from "../../run/openRun.ts";
import { hasSamplesOnRecord, readBegun } from "../../run/runStart.ts";
import { samplesFor } from "../../run/samplesFor.ts";
import { oneOf, parserOf, path, wholeNumber } from "../values.ts";
import type { AnalysisWork } from "./analysis.ts";

/** Options that choose samples, as they are given. */
export interface SampleOptions {
  readonly data?: string;
  readonly dataOptions?: Readonly<Record<string, number | string>>;
  readonly part?: PartName;
  readonly samples?: number;
}

/** Adds the options that choose samples. */
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
export async function ownSamplesOf(folder: string, { data }: SampleOptions): Promise<OpenRunOptions["samples"]> {
  return data === undefined || !hasSamplesOnRecord(await readBegun(folder)) ? "read" : "none";
}

/** Uses the chosen samples; `source` names them for people. Closes their files afterwards. */
export async function withSamples<R>(
  run: OpenedRun,
  { data, dataOptions, part, samples: count }: SampleOptions,
  work: AnalysisWork,
  use: (samples: SampleSet, source: string) => Promise<R>,
): Promise<R> {
  const chosen = await samplesFor(run, data ?? null, {
    ...(part && { part }),
    ...(count !== undefined && { count }),
    ...(dataOptions && { dataOptions }),
    signal: work.signal,
  });
  try {
    for (const note of chosen.notes) work.note(`note        ${note}`);
    const { samples } = chosen;
    return await use(samples, `${samples.source}${chosen.part ? ` (${chosen.part})` : ""}`);
  } finally {
    await chosen.release();
  }
}
