// The activity of some neurons over time, of batches of any size: only what is recorded stays on the host.

import { callsOf } from "../core/callQueue.ts";
import { bytesOf, type FloatArray, floatArray } from "../core/dtype.ts";
import type { SolveStats } from "../ode/solveStats.ts";
import type { ConnectomeNetwork } from "./connectomeNetwork.ts";
import { clearUnreached } from "./failures.ts";
import type { Network } from "./network/network.ts";
import { checkedIndices, chosenNeurons, type NeuronChoice } from "./neuronChoice.ts";
import type { ModelInput } from "./options.ts";
import { rowAt, type SampleRows } from "./samples.ts";

/** What is recorded of a run. */
export interface RecordOptions<E> {
  /** How the network is evaluated: its output times, initial state, interventions. */
  readonly evaluation?: E;
  /** Default: all. */
  readonly neurons?: NeuronChoice;
  /** Indices of output times; default: all. */
  readonly times?: ArrayLike<number>;
  /** What the neurons send, rather than their states: the same for rates, φ(h) for voltages. Default false. */
  readonly rates?: boolean;
  /** Called after each part of the batch. */
  readonly onProgress?: (samplesDone: number, samples: number) => void;
}

/** States (or rates) of some neurons. */
export interface RecordedActivity {
  /** [samples, times, neurons], whatever the layout of the input. NaN where a sample failed before. */
  readonly data: FloatArray;
  readonly shape: readonly [samples: number, times: number, neurons: number];
  /** Indices of the neurons. */
  readonly neurons: Uint32Array;
  /** The recorded times, in double precision; of a network in discrete time numbers of steps done. */
  readonly ts: Float64Array;
  readonly stats: readonly SolveStats[];
}

/** The states of a chunk at the recorded times take so many bytes on the device, or are those of one sample. */
const STATE_BYTES = 2 ** 28;

/**
 * Runs a batch and records the activity of chosen neurons, chunk by chunk: takes memory for what is recorded, and on the device for the
 * states of a chunk at the recorded times. With many times chunks have fewer samples; the numbers are the same.
 *
 * @throws {ArgumentError | ShapeError} unknown neurons or times, an input or evaluation that the network does not take
 * @throws {SolverError} a sample that fails, unless the network allows it
 */
export async function recordActivity<E extends object>(
  model: ConnectomeNetwork<E>,
  input: ModelInput,
  options: RecordOptions<E> = {},
): Promise<RecordedActivity> {
  const { network } = model;
  return callsOf(network.parameters).run("recordActivity", () => record(network, model, input, options));
}

async function record<E extends object>(
  network: Network<E>,
  model: ConnectomeNetwork<E>,
  input: ModelInput,
  { evaluation = {} as E, neurons: choice = "all", times, rates = false, onProgress = () => {} }: RecordOptions<E>,
): Promise<RecordedActivity> {
  const where = "recordActivity";
  const { batch } = input;
  const { numNeurons } = network.options;
  const neurons = chosenNeurons(where, "neurons", model, choice);
  const { ts: all, schedule } = network.shapeOf({ input, evaluation });
  const taken = checkedIndices(where, "times", times ?? Array.from(all.keys()), all.length);
  const { dtype } = network.backend;
  const mostSamples = Math.max(1, Math.floor(STATE_BYTES / (taken.length * numNeurons * bytesOf(dtype))));
  const rows: SampleRows = { batch, times: taken.length, width: neurons.length, batchFirst: true };
  const data = floatArray(dtype, batch * taken.length * neurons.length);
  const stats: SolveStats[] = [];
  for await (const chunk of network.chunks({ input, evaluation, at: taken, mostSamples }, "states")) {
    const { first, count, desk } = chunk;
    stats.push(chunk.stats);
    for (const [k, j] of taken.entries()) {
      const states = await desk.read(rates ? network.signalOf(chunk, j) : chunk.hs[j]!, count);
      for (let s = 0; s < count; s++) {
        const to = rowAt(rows, first + s, k);
        neurons.forEach((i, c) => {
          data[to + c] = states[s * numNeurons + i]!;
        });
      }
    }
    onProgress(first + count, batch);
  }
  const ts = Float64Array.from(taken, (j) => all[j]!);
  if (schedule) clearUnreached(stats, { ...schedule, ts }, dtype, [[data, rows]]);
  return { data, shape: [batch, taken.length, neurons.length], neurons, ts, stats };
}
