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

/** The features of all samples, [samples, features], from what computes those of some; samples that fail are left out. */
export type GatherFeatures = (own: () => Promise<Float64Array>) => Promise<Float64Array>;

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
  gather: GatherFeatures,
): Promise<Record<"mean" | "std" | "scale", Float64Array>> {
  const { nFeatures, scaleBy, fanIn } = readout.shape;
  const failures: SolveStats[] = [];
  const features = await gather(async () => {
    const known: Float64Array[] = [];
    for await (const input of inputs) {
      const { all, rest } = await withoutFailed(network, { ...plan, input }, (part) =>
        readFeatures(network, readout, { ...plan, ...part }, async () => {}),
      );
      const { features: own, batch, failed, stats } = rest?.result ?? all;
      if (failed.length < batch) known.push(own);
      else failures.push(...stats);
    }
    return joined(known);
  });
  if (features.length === 0) for (const stats of failures) assertSolved(stats);
  const { mean, std: own } = columnStatistics(features, features.length / nFeatures, nFeatures);
  const std = scaleBy ? pooledDeviations(own, scaleBy) : own;
  const rms = Math.sqrt(std.reduce((sum, s) => sum + s * s, 0) / nFeatures);
  const c = Math.min(1, FEATURE_SCALE / Math.sqrt(fanIn));
  if (!(rms > 0))
    throw new ArgumentError("calibrate", "input", "features that differ between samples", "constant ones");
  return { mean, std, scale: std.map((s) => c / (s + STD_FLOOR * rms)) };
}

function joined(parts: readonly Float64Array[]): Float64Array {
  if (parts.length === 1) return parts[0]!;
  const features = new Float64Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    features.set(part, at);
    at += part.length;
  }
  return features;
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
