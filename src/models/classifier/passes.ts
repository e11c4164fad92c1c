// Passes over a batch: loss, counts and logits, or loss and gradients; where samples fail, over the batch without them.

import type { DeviceBuffer } from "../../backend/backend.ts";
import { type FloatArray, floatArray } from "../../core/dtype.ts";
import type { SolveStats } from "../../ode/solveStats.ts";
import { resultWithoutFailed } from "../failures.ts";
import { type ChunkGradients, type SettledChunk, type StartedChunk, settled } from "../network/chunks.ts";
import type { Evaluated, Network } from "../network/network.ts";
import { partOf, type SampleRows, scatterSamples } from "../samples.ts";
import type { Readout } from "./readout.ts";

/** Loss and counts of one batch. */
export interface BatchResult {
  /** Mean cross-entropy in nats. */
  readonly loss: number;
  /** Samples (× evaluation times with `lossAllTimesteps`) whose largest logit is the label's. */
  readonly correct: number;
  readonly count: number;
  readonly stats: readonly SolveStats[];
  /** Samples that did not reach their end, where that is allowed (`solve.onFailure`): all of the above is without them. */
  readonly failed: readonly number[];
}

/** What a reverse pass yields besides the gradients of `parameters`. */
export interface GradientResult extends BatchResult {
  /** Gradient with respect to the input, in its layout; null unless `rnn.inputGradient`. */
  readonly x: FloatArray | null;
  /** Numbers of the buffers that `measure` returned. */
  readonly measured: readonly ArrayLike<number>[];
}

/**
 * Enqueues work on the gradients and returns buffers to read along with the loss. Called again if the gradients were not complete.
 *
 * @param complete  scalar on the device: 1 where the gradients are complete. Guards what is added to them (see Guard)
 */
export type Measurement = (complete: DeviceBuffer) => readonly DeviceBuffer[];

/** A batch with its labels. */
export interface Labelled<E> extends Evaluated<E> {
  readonly labels: ArrayLike<number>;
  /** The loss takes all output times, rather than the last one. */
  readonly lossAllTimesteps: boolean;
}

/** The result of a pass. */
type Pass = GradientResult & { readonly logits: FloatArray | null };

/**
 * A batch, and where samples fail, the batch without them.
 * @param measure  of the gradients; null: the loss only
 * @throws {SolverError} all samples failed
 */
export async function runBatch<E>(
  network: Network<E>,
  readout: Readout,
  batch: Labelled<E>,
  measure: Measurement | null,
): Promise<Pass> {
  const { input, labels } = batch;
  const { all, rest } = await resultWithoutFailed(network, batch, (part, kept) => {
    const labelled = { ...batch, ...part, labels: kept ? kept.map((s) => labels[s]!) : labels };
    if (!measure) return lossPass(network, readout, labelled);
    if (kept) network.parameters.clearGradients();
    return gradientPass(network, readout, labelled, measure);
  });
  if (!rest) return all;
  const { kept, result } = rest;
  const spread = (part: FloatArray | null, whole: FloatArray | null, rows: SampleRows) => {
    if (part && whole) scatterSamples(part, whole, rows, kept);
    return whole;
  };
  return {
    ...result,
    failed: all.failed,
    stats: all.stats,
    x: spread(result.x, all.x?.fill(0) ?? null, network.inputRows(input)),
    logits: spread(result.logits, all.logits?.fill(Number.NaN) ?? null, logitRows(network, readout, batch)),
  };
}

/** One walk over the chunks. Once a sample fails, the walk only finds out which others do. */
async function lossPass<E>(network: Network<E>, readout: Readout, batch: Labelled<E>): Promise<Pass> {
  const { backend } = network;
  const times = countedTimes(network, batch);
  const count = batch.input.batch * times.length;
  const rows = logitRows(network, readout, batch);
  const logits = floatArray(backend.dtype, count * rows.width);
  const stats: SolveStats[] = [];
  const failed: number[] = [];
  readout.clearSums();
  for await (const chunk of network.chunks(batch, "loss")) {
    if (chunk.stats) stats.push(chunk.stats);
    failed.push(...chunk.failed.map((s) => chunk.first + s));
    if (failed.length > 0) continue;
    readout.label(chunk, batch.labels, 1 / count);
    for (const [time, j] of times.entries()) {
      readout.run(chunk, j, null);
      await chunk.desk.take(readout.logits(chunk.desk), logits, partOf(rows, chunk, time));
    }
  }
  const record = await backend.downloadAll(readout.sums);
  return { ...lossOf(record), count, stats, failed, x: null, measured: [], logits };
}

/** The same with gradients, without waiting in between. */
async function gradientPass<E>(
  network: Network<E>,
  readout: Readout,
  batch: Labelled<E>,
  measure: Measurement,
): Promise<Pass> {
  const { input, labels } = batch;
  const times = countedTimes(network, batch);
  const count = input.batch * times.length;
  const x = network.options.inputGradient ? floatArray(network.backend.dtype, input.data.length) : null;
  const stats: SolveStats[] = [];
  const failed: number[] = [];
  let record: readonly ArrayLike<number>[] = [];
  readout.clearSums();
  for await (const chunk of network.startedChunks(batch, "gradients")) {
    readout.label(chunk, labels, 1 / count);
    const ctHs = chunk.ctHs.map((ct, j) => (times.includes(j) ? ct : null));
    let back: ChunkGradients | null = null;
    const work = (): readonly DeviceBuffer[] => {
      for (const j of times) readout.run(chunk, j, chunk.complete);
      back = network.reverseChunk(chunk, ctHs);
      const isLast = chunk.first + chunk.count === input.batch;
      if (isLast) network.parameters.foldGradients(chunk.complete);
      return [...readout.sums, ...(isLast ? measure(chunk.complete) : [])];
    };
    const known = await pollWith(network, chunk, failed.length > 0 ? () => [] : work);
    if (known.stats) stats.push(known.stats);
    failed.push(...known.failed.map((s) => chunk.first + s));
    record = known.values;
    if (failed.length === 0 && x) await network.readInputGradient(chunk, back!, input, x);
  }
  const [, , ...measured] = record;
  const sums = failed.length === 0 ? lossOf(record) : { loss: Number.NaN, correct: 0 };
  return { ...sums, count, stats, failed, x, measured, logits: null };
}

/** Enqueues work on a chunk's states and polls until they are complete. With samples that are known to have failed there is none. */
async function pollWith<E>(
  { backend }: Network<E>,
  chunk: StartedChunk,
  work: () => readonly DeviceBuffer[],
): Promise<SettledChunk> {
  if (!backend.isAsynchronous) {
    const known = await settled(chunk);
    if (known.failed.length > 0) return known;
    return { ...known, values: await backend.downloadAll(work()) };
  }
  for (;;) {
    const known = await chunk.poll(work());
    if (known) return known;
  }
}

/** The output times that the loss takes. */
function countedTimes<E>(network: Network<E>, batch: Labelled<E>): readonly number[] {
  const nTimes = network.outputTimes(batch);
  return batch.lossAllTimesteps ? Array.from({ length: nTimes }, (_, j) => j) : [nTimes - 1];
}

/** How logits lie on the host: time first. */
function logitRows<E>(network: Network<E>, readout: Readout, batch: Labelled<E>): SampleRows {
  const times = countedTimes(network, batch).length;
  return { batch: batch.input.batch, times, width: readout.shape.nClasses, batchFirst: false };
}

function lossOf([loss, correct]: readonly ArrayLike<number>[]): Pick<BatchResult, "loss" | "correct"> {
  return { loss: loss![0]!, correct: Math.round(correct![0]!) };
}
