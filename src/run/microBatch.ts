// How the samples of a step are divided into micro-batches, and among the processes that train together.

import type { Backend } from "../backend/backend.ts";
import { ArgumentError } from "../core/errors.ts";
import { plural } from "../core/text.ts";
import type { Communicator } from "../distributed/communicator.ts";
import { defaultMicroBatch } from "../train/microBatches.ts";
import type { TrainConfig } from "./config.ts";

/** The samples of a step. */
export function samplesPerStep(
  { batchSize, accumulate }: Pick<TrainConfig, "batchSize" | "accumulate">,
  { count }: { readonly count: number },
): number {
  return Math.min(batchSize * accumulate, count);
}

/**
 * The size of micro-batches: that of the settings, or the default for ranks. It decides on the order in which gradients are added, so a run keeps
 * it.
 *
 * @returns null: none
 * @throws {ArgumentError} some ranks would never have anything to do
 */
export function microBatchOf(
  config: Pick<TrainConfig, "batchSize" | "accumulate" | "microBatch">,
  train: { readonly count: number },
  device: Backend,
  { size: ranks, description }: Pick<Communicator, "size" | "description">,
): number | null {
  if (description === null) return config.microBatch;
  const samples = samplesPerStep(config, train);
  const microBatch = config.microBatch ?? defaultMicroBatch(device, samples, ranks);
  const parts = Math.ceil(samples / microBatch);
  if (parts >= ranks) return microBatch;
  const most = Math.floor(samples / ranks);
  const smaller = most > 0 ? `, or --micro-batch ${most}` : "";
  const expected = `at most ${plural(parts, "rank")}, as the ${plural(samples, "sample")} of a step are ${plural(parts, "micro-batch", "micro-batches")} of ${microBatch} (a larger --batch-size makes more${smaller})`;
  throw new ArgumentError("train", "ranks", expected, `${ranks}`);
}
