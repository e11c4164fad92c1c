// Whole batches on the host: states and outputs of a batch, and the gradients for cotangents or a loss of the user's.

import { callsOf } from "../../core/callQueue.ts";
import { type FloatArray, floatArray } from "../../core/dtype.ts";
import { ShapeError } from "../../core/errors.ts";
import { checkFinite } from "../../core/finite.ts";
import type { SolveStats } from "../../ode/solveStats.ts";
import { type Outcome, withoutFailed } from "../failures.ts";
import { type Cotangents, cotangentsOfLoss, type SampleLoss } from "../lossCotangents.ts";
import type { InputGradients } from "../options.ts";
import { gatherSamples, partOf, type SampleRows, sampleAt, scatterSamples } from "../samples.ts";
import type { NetworkChunk } from "./chunks.ts";
import type { Evaluated, Network } from "./network.ts";
import { addStateCotangent, pullOutput } from "./projections.ts";

/** Host copies of a run. */
export interface NetworkOutputs {
  /** [batch, times, outputs], or time first. */
  readonly outs: FloatArray;
  /** [batch, times, numNeurons], or time first. */
  readonly hs: FloatArray;
  readonly stats: SolveStats[];
}

/** A run, and the gradients that it left besides those of the parameters. */
export interface PulledBatch {
  readonly outputs: NetworkOutputs;
  readonly gradients: InputGradients;
}

/** Runs a batch in its turn. */
export function forward<E>(network: Network<E>, batch: Evaluated<E>): Promise<NetworkOutputs> {
  return callsOf(network.parameters).run("forward", () => walk(network, batch, null, () => {}));
}

/** Runs a batch in its turn, pulls cotangents of `outs` (same layout) back, and adds the gradients to those of the parameters. */
export function vjp<E>(network: Network<E>, batch: Evaluated<E>, ctOuts: ArrayLike<number>): Promise<PulledBatch> {
  return callsOf(network.parameters).run("vjp", async () => {
    checkCotangents(network, ctOuts, rowsOf(network, batch).outs);
    return pull(network, batch, { outs: ctOuts, hs: null, ofSample: null });
  });
}

/** Runs a batch in its turn; the gradients of the sum of a loss over the samples replace those of the parameters. */
export function lossGradients<E>(
  network: Network<E>,
  batch: Evaluated<E>,
  loss: SampleLoss,
): Promise<PulledBatch & { readonly loss: number }> {
  const { parameters, backend } = network;
  const calls = callsOf(parameters);
  return calls.run("gradients", async () => {
    const rows = rowsOf(network, batch);
    const evaluation = network.checked(batch);
    const cotangents = cotangentsOfLoss(rows.outs, rows.hs, backend.dtype, (of) =>
      calls.callback("the loss", () => loss(of)),
    );
    parameters.clearGradients();
    try {
      return { ...(await pull(network, { ...batch, evaluation }, cotangents)), loss: cotangents.loss() };
    } catch (error) {
      parameters.clearGradients();
      throw error;
    }
  });
}

/** How the samples lie in outputs and states of a batch. */
function rowsOf<E>(network: Network<E>, batch: Evaluated<E>): Record<"outs" | "hs", SampleRows> {
  const times = network.outputTimes(batch);
  const rows = (width: number) => network.rowsOf(batch.input.batch, times, width);
  return { outs: rows(network.model.nOutputs), hs: rows(network.options.numNeurons) };
}

function sizeOf({ batch, times, width }: SampleRows): number {
  return batch * times * width;
}

/** One walk over the chunks, and what `visit` does with each, whose outputs are on the host by then. */
async function walk<E>(
  network: Network<E>,
  batch: Evaluated<E>,
  cotangents: Cotangents | null,
  visit: (chunk: NetworkChunk) => void | Promise<void>,
): Promise<NetworkOutputs> {
  const { dtype } = network.backend;
  const rows = rowsOf(network, batch);
  const outs = floatArray(dtype, sizeOf(rows.outs));
  const hs = floatArray(dtype, sizeOf(rows.hs));
  const stats: SolveStats[] = [];
  for await (const chunk of network.chunks(batch, cotangents ? "gradients" : "states")) {
    const { first, count, failed, desk } = chunk;
    stats.push(chunk.stats);
    const chunkOuts = network.outputsOf(chunk);
    for (const [j, h] of chunk.hs.entries()) {
      await desk.take(h, hs, partOf(rows.hs, chunk, j));
      await desk.take(chunkOuts[j]!, outs, partOf(rows.outs, chunk, j));
    }
    for (let s = 0; s < count; s++) if (!failed.includes(s)) cotangents?.ofSample?.(first + s, outs, hs);
    await visit(chunk);
  }
  return { outs, hs, stats };
}

/**
 * Adds the gradients of a batch. From the first chunk with a sample that failed on, the others are run again without those that
 * failed: the chunks are then those of a batch without them.
 */
async function pull<E>(network: Network<E>, batch: Evaluated<E>, cotangents: Cotangents): Promise<PulledBatch> {
  const rows = rowsOf(network, batch);
  const { all, rest } = await withoutFailed(network, batch, (part, kept) =>
    pullChunks(network, part, kept ? selected(cotangents, rows, kept) : cotangents),
  );
  network.parameters.foldGradients();
  const { outputs, gradients } = all;
  if (rest) {
    const { x, h0 } = rest.result.gradients;
    scatterSamples(h0, gradients.h0, network.stateRows(batch.input.batch), rest.kept);
    if (x) scatterSamples(x, gradients.x!, network.inputRows(batch.input), rest.kept);
  }
  return { outputs, gradients };
}

function selected(
  { outs, hs }: Cotangents,
  rows: Record<"outs" | "hs", SampleRows>,
  kept: readonly number[],
): Cotangents {
  return {
    outs: outs && gatherSamples(outs, rows.outs, kept),
    hs: hs && gatherSamples(hs, rows.hs, kept),
    ofSample: null,
  };
}

/** Adds the gradients of the chunks before the first one with a sample that failed. */
async function pullChunks<E>(
  network: Network<E>,
  batch: Evaluated<E>,
  cotangents: Cotangents,
): Promise<PulledBatch & Outcome> {
  const { input } = batch;
  const { dtype } = network.backend;
  const x = network.options.inputGradient ? floatArray(dtype, sizeOf(network.inputRows(input))) : null;
  const h0 = floatArray(dtype, sizeOf(network.stateRows(input.batch)));
  const failed: number[] = [];
  let done = 0;
  const outputs = await walk(network, batch, cotangents, async (chunk) => {
    failed.push(...chunk.failed.map((s) => chunk.first + s));
    if (failed.length > 0) return;
    await pullChunk(network, chunk, batch, cotangents, { x, h0 });
    done = chunk.first + chunk.count;
  });
  return { outputs, gradients: { x, h0 }, failed, stats: outputs.stats, done };
}

/** Adds the gradients of a chunk after its recorded run, and writes those of input and initial state into `target`. */
async function pullChunk<E>(
  network: Network<E>,
  chunk: NetworkChunk,
  batch: Evaluated<E>,
  { outs, hs }: Cotangents,
  target: InputGradients,
): Promise<void> {
  const { model } = network;
  const rows = rowsOf(network, batch);
  for (let j = 0; j < chunk.hs.length; j++) {
    pullOutput(model, chunk, j, outs, partOf(rows.outs, chunk, j));
    if (hs) addStateCotangent(model, chunk, j, hs, partOf(rows.hs, chunk, j));
  }
  const back = network.reverseChunk(chunk, chunk.ctHs);
  await chunk.desk.take(back.ctY0, target.h0, chunk);
  if (target.x) await network.readInputGradient(chunk, back, batch.input, target.x);
}

function checkCotangents<E>({ backend }: Network<E>, ctOuts: ArrayLike<number>, rows: SampleRows): void {
  const expected = sizeOf(rows);
  if (ctOuts.length !== expected)
    throw new ShapeError("vjp", "ctOuts", `${expected} numbers, as outs`, `${ctOuts.length}`);
  checkFinite("vjp", "ctOuts", ctOuts, backend.dtype, (i) => `at ${i}, in sample ${sampleAt(rows, i)}`);
}
