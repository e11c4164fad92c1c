// Features of a network on some inputs: the statistics that standardise them, and measures of how much they say about the input.

import { ArgumentError } from "../../core/errors.ts";
import type { SolveStats } from "../../ode/solveStats.ts";
import { type Outcome, resultWithoutFailed } from "../failures.ts";
import type { NetworkChunk } from "../network/chunks.ts";
import type { Evaluated, Network } from "../network/network.ts";
import type { Readout } from "./readout.ts";
import {
  columnStatistics,
  type FeatureSpread,
  featureSpread,
  ResponseCount,
  type ResponseShares,
} from "./responses.ts";

/** Responses of a network and its read-out to some inputs, at the last output time. */
export interface ActivityProbe extends ResponseShares, FeatureSpread {
  /** Share of the hidden units of the read-out that fire for none of the inputs; null for a linear one. */
  readonly deadUnits: number | null;
  readonly stats: readonly SolveStats[];
}

/** Standardised features: z = c·(h − mean)/(std + STD_FLOOR·rms(std)), c = min(1, FEATURE_SCALE/√F). */
const STD_FLOOR = 0.1;
const FEATURE_SCALE = 6.5;

/** Features of a batch at the last output time, [batch, features]. */
interface Features extends Outcome {
  readonly features: Float64Array;
  readonly batch: number;
}

/** Mean, standard deviation and scale of each feature. @throws {ArgumentError} features that are the same for all samples */
export async function featureStatistics<E>(
  network: Network<E>,
  readout: Readout,
  batch: Evaluated<E>,
): Promise<Record<"mean" | "std" | "scale", Float64Array>> {
  const { nFeatures } = readout.shape;
  const { all, rest } = await resultWithoutFailed(network, batch, (part) =>
    readFeatures(network, readout, part, async () => {}),
  );
  const known = rest?.result ?? all;
  const { mean, std } = columnStatistics(known.features, known.batch, nFeatures);
  const rms = Math.sqrt(std.reduce((sum, s) => sum + s * s, 0) / nFeatures);
  const c = Math.min(1, FEATURE_SCALE / Math.sqrt(nFeatures));
  if (!(rms > 0))
    throw new ArgumentError("calibrate", "input", "features that differ between samples", "constant ones");
  return { mean, std, scale: std.map((s) => c / (s + STD_FLOOR * rms)) };
}

/** How a network and its read-out respond to some inputs; samples that fail are left out. */
export async function probeActivity<E>(
  network: Network<E>,
  readout: Readout,
  batch: Evaluated<E>,
): Promise<ActivityProbe> {
  const { all, rest } = await resultWithoutFailed(network, batch, (part) => probePass(network, readout, part));
  const { probe, stats } = rest?.result ?? all;
  return { ...probe, stats };
}

async function probePass<E>(
  network: Network<E>,
  readout: Readout,
  batch: Evaluated<E>,
): Promise<Outcome & { readonly probe: Omit<ActivityProbe, "stats"> }> {
  const { nFeatures, fcDim } = readout.shape;
  const responses = new ResponseCount(network.options.numNeurons);
  const firing = new Float64Array(fcDim ?? 0);
  const { features, ...outcome } = await readFeatures(network, readout, batch, async (chunk) => {
    const { rate, slope } = await network.responsesOf(chunk);
    responses.add(rate, slope);
    const lanes = await readout.firing(chunk);
    for (let unit = 0; unit < firing.length; unit++) firing[unit]! += lanes[unit]!;
  });
  const probe = {
    ...responses.shares(),
    ...featureSpread(columnStatistics(features, outcome.batch, nFeatures)),
    deadUnits: fcDim === null ? null : firing.filter((n) => n === 0).length / fcDim,
  };
  return { ...outcome, probe };
}

async function readFeatures<E>(
  network: Network<E>,
  readout: Readout,
  batch: Evaluated<E>,
  visit: (chunk: NetworkChunk) => Promise<void>,
): Promise<Features> {
  const size = batch.input.batch;
  const features = new Float64Array(size * readout.shape.nFeatures);
  const failed: number[] = [];
  const stats: SolveStats[] = [];
  const last = network.outputTimes(batch) - 1;
  for await (const chunk of network.chunks({ ...batch, at: [last] }, "loss")) {
    stats.push(chunk.stats);
    failed.push(...chunk.failed.map((s) => chunk.first + s));
    await visit(chunk);
    await readout.readFeatures(chunk, features);
  }
  return { features, batch: size, failed, stats };
}
