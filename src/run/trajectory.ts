// Trajectories of all neurons of a run's network, in continuous or discrete time.

import type { FloatArray } from "../core/dtype.ts";
import type { SampleSet, SampleShape } from "../data/sampleSet.ts";
import { ConnectomeODEModel } from "../models/networkModel.ts";
import type { ModelInput } from "../models/options.ts";
import type { TrainConfig } from "./config.ts";
import { evaluationOf } from "./evaluation.ts";
import type { RunModel } from "./experiment.ts";

/** States of all neurons at some times. */
export interface RunTrajectory {
  /** [batch, times, numNeurons] */
  readonly hs: FloatArray;
  /** Times, or in discrete time numbers of steps done. */
  readonly ts: Float64Array;
}

/**
 * States at `numTimes` evenly spaced times from start to end, both included; in discrete time after at most `numTimes` evenly spaced steps,
 * the last one included.
 */
export async function trajectoryOf(
  model: RunModel,
  config: TrainConfig,
  samples: SampleShape & Pick<SampleSet, "times">,
  input: ModelInput,
  numTimes: number,
): Promise<RunTrajectory> {
  if (model instanceof ConnectomeODEModel) {
    const { times: _, ...evaluation } = { times: null, ...evaluationOf(config, samples) };
    const { hs, ts } = await model.rnn.forward(input, {
      ...evaluation,
      numEvals: numTimes,
      endTime: samples.times?.at(-1) ?? config.endTime,
    });
    return { hs, ts };
  }
  const { numNeurons } = model.rnn.options;
  const { hs } = await model.rnn.forward(input, { ...evaluationOf(config, samples), outputs: "steps" });
  const steps = hs.length / (input.batch * numNeurons);
  const kept = evenly(steps, Math.min(steps, numTimes));
  const chosen = hs.slice(0, input.batch * kept.length * numNeurons);
  for (let b = 0; b < input.batch; b++) {
    kept.forEach((k, j) => {
      const from = (b * steps + k) * numNeurons;
      chosen.set(hs.subarray(from, from + numNeurons), (b * kept.length + j) * numNeurons);
    });
  }
  return { hs: chosen, ts: Float64Array.from(kept, (k) => k + 1) };
}

/** `count` of the numbers 0 … n − 1, evenly spaced, with the last one. */
function evenly(n: number, count: number): number[] {
  return Array.from({ length: count }, (_, j) => Math.ceil(((j + 1) * n) / count) - 1);
}
