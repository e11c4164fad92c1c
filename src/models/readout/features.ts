// Features of a network on some inputs: the statistics that standardise them, and measures of how much they say about the input.

import { ArgumentError } from "../../core/errors.ts";
import { assertSolved, type SolveStats } from "../../ode/solveStats.ts";
import { type Outcome, resultWithoutFailed, withoutFailed } from "../failures.ts";
import type { NetworkChunk } from "../network/chunks.ts";
import type { Evaluated, Network } from "../network/network.ts";
import type { ModelInput } from "../options.ts";
import type { Readout } from "./readout.ts";
import {
  columnStatistics,
  type FeatureSpread,
  featureSpread,
  pooledDeviations,
  ResponseCount,
  type ResponseShares,
} from "./responses.ts";
import { type ReadoutTimes, readTimesOf } from "./times.ts";

/** Responses of a network at its last output time, and of its read-out at the last of its own (or to the mean over them). */
export interface ActivityProbe extends ResponseShares, FeatureSpread {
  /** Share of the hidden units of the read-out that fire for none of the inputs; null without a relu. */
  readonly deadUnits: number | null;
  readonly stats: readonly SolveStats[];
}

/**
 * Standardised features: z = c·(h − mean)/(std + STD_FLOOR·rms(std)), c = min(1, FEATURE_SCALE/√F), F features that a number behind them sees
 * at most.
 */
const STD_FLOOR = 0.1;
const FEATURE_SCALE = 6.5;

/** A batch, and the output times that are read out. */
export interface ReadBatch<E> extends Evaluated<E> {
  readonly times: ReadoutTimes;
}

/** Features of a batch at the last time of the read-out, or their mean over its times; [batch, features]. */
interface Features extends Outcome {
  readonly features: Float64Array;
  readonly batch: number;
}

/**
 * Mean, standard deviation (pooled within groups that share a scale) and scale of each feature over the samples of all inputs; those that fail are left out.
 *
 * @throws {ArgumentError} features that are the same for all samples
 * @throws {SolverError} all samples failed
 */
export async function featureStatistics<E>(
  network: Network<E>,
  readout: Readout,
  inputs: AsyncIterable<ModelInput> | Iterable<ModelInput>,
  plan: Omit<ReadBatch<E>, "input">,
): Promise<Record<"mean" | "std" | "scale", Float64Array>> {
  const { nFeatures, scaleBy, fanIn } = readout.shape;
  const known: Features[] = [];
  const failures: SolveStats[] = [];
  for await (const input of inputs) {
    const { all, rest } = await withoutFailed(network, { ...plan, input }, (part) =>
      readFeatures(network, readout, { ...plan, ...part }, async () => {}),
    );
    const { features, batch, failed, stats } = rest?.result ?? all;
    if (failed.length < batch) known.push({ features, batch, failed, stats });
    else failures.push(...stats);
  }
  if (known.length === 0) for (const stats of failures) assertSolved(stats);
  const { features, count } = joined(known);
  const { mean, std: own } = columnStatistics(features, count, nFeatures);
  const std = scaleBy ? pooledDeviations(own, scaleBy) : own;
  const rms = Math.sqrt(std.reduce((sum, s) => sum + s * s, 0) / nFeatures);
  const c = Math.min(1, FEATURE_SCALE / Math.sqrt(fanIn));
  if (!(rms > 0))
    throw new ArgumentError("calibrate", "input", "features that differ between samples", "constant ones");
  return { mean, std, scale: std.map((s) => c / (s + STD_FLOOR * rms)) };
}

function joined(parts: readonly Features[]): { readonly features: Float64Array; readonly count: number } {
  if (parts.length === 1) return { features: parts[0]!.features, count: parts[0]!.batch };
  const features = new Float64Array(parts.reduce((sum, part) => sum + part.features.length, 0));
  let at = 0;
  for (const part of parts) {
    features.set(part.features, at);
    at += part.features.length;
  }
  return { features, count: parts.reduce((sum, { batch }) => sum + batch, 0) };
}

/** How a network and its read-out respond to some inputs; samples that fail are left out. */
export async function probeActivity<E>(
  network: Network<E>,
  readout: Readout,
  batch: ReadBatch<E>,
): Promise<ActivityProbe> {
  const { all, rest } = await resultWithoutFailed(network, batch, (part) =>
    probePass(network, readout, { ...batch, ...part }),
  );
  const { probe, stats } = rest?.result ?? all;
  return { ...probe, stats };
}

async function probePass<E>(
  network: Network<E>,
  readout: Readout,
  batch: ReadBatch<E>,
): Promise<Outcome & { readonly probe: Omit<ActivityProbe, "stats"> }> {
  const { nFeatures } = readout.shape;
  const times = readTimesOf(batch.times, network.outputTimes(batch));
  const responses = new ResponseCount(network.options.numNeurons);
  let fires: boolean[] | null = null;
  const { features, ...outcome } = await readFeatures(network, readout, batch, async (chunk) => {
    const { rate, slope } = await network.responsesOf(chunk);
    responses.add(rate, slope);
    const lanes = await readout.firing(chunk, times);
    const now = lanes?.flatMap((ofRelu) => Array.from(ofRelu, (n) => n !== 0));
    fires = now?.map((fired, unit) => fired || (fires?.[unit] ?? false)) ?? null;
  });
  const probe = {
    ...responses.shares(),
    ...featureSpread(columnStatistics(features, outcome.batch, nFeatures)),
    deadUnits: deadShare(fires),
  };
  return { ...outcome, probe };
}

/** The share of units that never fire. */
function deadShare(fires: readonly boolean[] | null): number | null {
  return fires && fires.filter((fired) => !fired).length / fires.length;
}

async function readFeatures<E>(
  network: Network<E>,
  readout: Readout,
  batch: ReadBatch<E>,
  visit: (chunk: NetworkChunk) => Promise<void>,
): Promise<Features> {
  const size = batch.input.batch;
  const features = new Float64Array(size * readout.shape.nFeatures);
  const times = readTimesOf(batch.times, network.outputTimes(batch));
  const failed: number[] = [];
  const stats: SolveStats[] = [];
  // The responses of neurons are those at the last output time.
  const at = [...new Set([...times, network.outputTimes(batch) - 1])];
  for await (const chunk of network.chunks({ ...batch, at }, "loss")) {
    stats.push(chunk.stats);
    failed.push(...chunk.failed.map((s) => chunk.first + s));
    await visit(chunk);
    await readout.readFeatures(chunk, times, features);
  }
  return { features, batch: size, failed, stats };
}
