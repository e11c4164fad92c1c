// Receptive fields of the neurons of a network: it runs on white noise, batch by batch, and only sums are kept.

import { yieldToEventLoop } from "../core/abort.ts";
import { bytesOf, type FloatArray } from "../core/dtype.ts";
import { ArgumentError } from "../core/errors.ts";
import { formatBytes } from "../core/format.ts";
import { checkNames } from "../core/optionNames.ts";
import { checkWhole } from "../data/checks.ts";
import { ConnectomeODERNN, type EvaluationOptions } from "../models/connectomeOdeRnn.ts";
import type { ConnectomeRNN, StepOptions } from "../models/connectomeRnn.ts";
import { chosenNeurons, type NeuronChoice } from "../models/neuronChoice.ts";
import type { ModelInput } from "../models/options.ts";
import { type RecordedActivity, recordActivity } from "../models/recordActivity.ts";
import { rowAt, type SampleRows } from "../models/samples.ts";
import { type FieldSummary, fieldThreshold, type InputPlaces, inputPlaces, summariseField } from "./fieldSummary.ts";
import {
  type Explained,
  type FieldShape,
  type LinearFields,
  LinearPrediction,
  ReverseCorrelation,
} from "./reverseCorrelation.ts";
import { type NoiseMaker, type NoiseOptions, whiteNoise } from "./whiteNoise.ts";

/** How the network runs, apart from its times, which follow from the frames. */
export type FieldEvaluation = Pick<EvaluationOptions, "h0" | "h0Seed" | "interventions" | "signal"> &
  Pick<StepOptions, "recurrences">;

/** How receptive fields are measured. */
export interface ReceptiveFieldOptions extends NoiseOptions {
  /** Neurons whose fields are wanted. */
  readonly neurons: NeuronChoice;
  /** Lags 0 … lags − 1, in frames of noise; default 10. At lag 0, the response at the end of a frame meets that frame. */
  readonly lags?: number;
  /** Frames whose responses count, per sequence; default 250. */
  readonly frames?: number;
  /** Frames of noise before them, at least lags − 1; default 20, or lags − 1 if that is more. */
  readonly settle?: number;
  /** Sequences, at least 3; default 40. The last fifth of them, at least 2, is held out, to see how much the fields explain. */
  readonly sequences?: number;
  /** Each frame of noise lasts as long as `hold` frames of the network; default 1. */
  readonly hold?: number;
  /** How long a frame of the network lasts, in continuous time; default 1. In discrete time it is `evaluation.recurrences` steps. */
  readonly frameTime?: number;
  /** "rates" (default): what neurons send; "states": their states. The two differ for voltages only. */
  readonly response?: "rates" | "states";
  /** Where the inputs lie; default, and null: not known. */
  readonly places?: InputPlaces | null;
  /** Initial state, interventions, recurrences, signal. */
  readonly evaluation?: FieldEvaluation;
  /** Called after each batch of sequences. */
  readonly onProgress?: (done: number, sequences: number) => void;
}

/** Receptive fields, and what they are like. */
export interface ReceptiveFields extends LinearFields {
  /** Indices of the neurons. */
  readonly indices: Uint32Array;
  /** In standard errors; see `fieldThreshold`. */
  readonly threshold: number;
  /** Per neuron. */
  readonly summaries: readonly (FieldSummary & { readonly explained: Explained })[];
  /** Sequences held out. */
  readonly heldOut: number;
}

const WHERE = "receptiveFields";
const OPTIONS: Readonly<Record<keyof ReceptiveFieldOptions, true>> = {
  ...{ noise: true, mean: true, contrast: true, seed: true, neurons: true, lags: true, frames: true, settle: true },
  ...{ sequences: true, hold: true, frameTime: true, response: true, places: true, evaluation: true, onProgress: true },
};
/** Noise and responses of a batch take so many bytes, or are those of one sequence. */
const BATCH_BYTES = 2 ** 25;
/** Products between two looks at the signal. */
const PIECE = 2 ** 28;
const MOST_FRAMES = 2 ** 20;
/** The noise of a sequence on the host, and its states on the device, take so many bytes at most. */
const SEQUENCE_BYTES = 2 ** 30;

/**
 * Measures the spatiotemporal receptive fields of neurons by reverse correlation with white noise on all inputs of a network; see
 * `ReverseCorrelation`. In continuous time a frame is constant input; responses are read where frames end.
 *
 * Several sequences run as a batch. Memory: 16 bytes per neuron, lag and input, and the noise and responses of a batch; the states of all neurons
 * never leave the device.
 *
 * @throws {ArgumentError | ShapeError} naming the option; fields that take more than 1 GiB
 * @throws {SolverError} a sequence that fails
 */
export async function receptiveFields(
  model: ConnectomeODERNN | ConnectomeRNN,
  options: ReceptiveFieldOptions,
): Promise<ReceptiveFields> {
  checkNames(WHERE, options, OPTIONS);
  const { inputSize } = model.options;
  const plan = planOf(model, options);
  const { lags, sequences, heldOut, settle, neurons, evaluation } = plan;
  const { mean = 0, places = null, onProgress = () => {} } = options;
  const noise = whiteNoise(inputSize, options);
  const shape = { neurons: neurons.length, lags, inputs: inputSize };
  const estimate = new ReverseCorrelation(shape, mean);
  const trained = sequences - heldOut;
  const each = async (first: number, end: number, take: TakePiece): Promise<void> => {
    for await (const { stimulus, responses, sequence } of responsesOf(model, noise, plan, first, end)) {
      for (const piece of piecesOf(shape, stimulus, responses, settle)) {
        await yieldToEventLoop(evaluation.signal);
        take(piece.stimulus, piece.responses, sequence - first);
      }
      onProgress(sequence + 1, sequences);
    }
  };
  await each(0, trained, (stimulus, responses) => estimate.add(stimulus, responses));
  const fields = estimate.fields();
  const prediction = new LinearPrediction(fields, mean);
  await each(trained, sequences, (stimulus, responses, sequence) =>
    prediction.add(stimulus, responses, lags - 1, sequence),
  );
  const known = places && inputPlaces(places);
  return {
    ...fields,
    indices: neurons,
    threshold: fieldThreshold(fields),
    heldOut,
    summaries: Array.from(neurons, (_, n) => ({
      ...summariseField(fields, n, known),
      explained: prediction.explained(n),
    })),
  };
}

/** The options with their defaults, checked. */
interface Plan {
  readonly neurons: Uint32Array;
  readonly lags: number;
  readonly frames: number;
  readonly settle: number;
  readonly sequences: number;
  readonly heldOut: number;
  readonly hold: number;
  readonly frameTime: number;
  readonly rates: boolean;
  readonly evaluation: FieldEvaluation;
}

function planOf(model: ConnectomeODERNN | ConnectomeRNN, options: ReceptiveFieldOptions): Plan {
  const { lags = 10, frames = 250, sequences = 40, hold = 1, frameTime = 1 } = options;
  const { settle = Math.max(20, lags - 1), response = "rates", evaluation = {} } = options;
  checkWhole(WHERE, "lags", lags, 1, MOST_FRAMES);
  checkWhole(WHERE, "frames", frames, 1, MOST_FRAMES);
  checkWhole(WHERE, "settle", settle, lags - 1, MOST_FRAMES);
  checkWhole(WHERE, "sequences", sequences, 3, MOST_FRAMES);
  checkWhole(WHERE, "hold", hold, 1, MOST_FRAMES);
  if (!(Number.isFinite(frameTime) && frameTime > 0))
    throw new ArgumentError(WHERE, "frameTime", "a finite number above 0", `${frameTime}`);
  if (response !== "rates" && response !== "states")
    throw new ArgumentError(WHERE, "response", "rates or states", `${response}`);
  const { inputSize, numNeurons } = model.options;
  const perFrame = Math.max(16 * inputSize, bytesOf(model.backend.dtype) * numNeurons);
  const most = Math.floor(SEQUENCE_BYTES / perFrame) - settle;
  if (frames > most) {
    const expected = `at most ${Math.max(0, most)}, as a sequence of ${formatBytes(SEQUENCE_BYTES)} has; more sequences do the same`;
    throw new ArgumentError(WHERE, "frames", expected, `${frames}`);
  }
  const neurons = chosenNeurons(WHERE, "neurons", model, options.neurons);
  const heldOut = Math.max(2, Math.floor(sequences / 5));
  const rates = response === "rates";
  return { neurons, lags, frames, settle, sequences, heldOut, hold, frameTime, rates, evaluation };
}

type TakePiece = (stimulus: Float64Array, responses: FloatArray, sequence: number) => void;

/** A sequence in pieces that take a moment each, with the frames before them that their lags reach. */
function* piecesOf(
  { neurons, lags, inputs }: FieldShape,
  stimulus: Float64Array,
  responses: FloatArray,
  settle: number,
): Generator<{ readonly stimulus: Float64Array; readonly responses: FloatArray }> {
  const frames = responses.length / neurons;
  const most = Math.max(1, Math.floor(PIECE / (neurons * lags * inputs)));
  for (let from = 0; from < frames; from += most) {
    const end = Math.min(frames, from + most);
    yield {
      stimulus: stimulus.subarray((settle + from - (lags - 1)) * inputs, (settle + end) * inputs),
      responses: responses.subarray(from * neurons, end * neurons),
    };
  }
}

/** Noise and responses of the sequences first … end − 1, one by one. */
async function* responsesOf(
  model: ConnectomeODERNN | ConnectomeRNN,
  noise: NoiseMaker,
  plan: Plan,
  first: number,
  end: number,
): AsyncGenerator<{
  readonly stimulus: Float64Array;
  readonly responses: FloatArray;
  readonly sequence: number;
}> {
  const { frames, settle, neurons } = plan;
  const { inputSize, batchFirst = true } = model.options;
  const steps = settle + frames;
  const bytes = 16 * steps * inputSize + bytesOf(model.backend.dtype) * frames * neurons.length;
  const most = Math.max(1, Math.floor(BATCH_BYTES / bytes));
  for (let from = first; from < end; from += most) {
    const batch = Math.min(most, end - from);
    const stimuli = Array.from({ length: batch }, (_, s) => noise(from + s, steps));
    const input = { data: batchOf(stimuli, { batch, times: steps, width: inputSize, batchFirst }), batch, steps };
    const { data: recorded } = await record(model, input, plan);
    const size = frames * neurons.length;
    for (const [s, stimulus] of stimuli.entries())
      yield { stimulus, responses: recorded.subarray(s * size, (s + 1) * size), sequence: from + s };
  }
}

/** Sequences as one array. */
function batchOf(sequences: readonly Float64Array[], rows: SampleRows): Float64Array {
  const { batch, times, width } = rows;
  const data = new Float64Array(batch * times * width);
  for (const [s, sequence] of sequences.entries()) {
    for (let k = 0; k < times; k++) data.set(sequence.subarray(k * width, (k + 1) * width), rowAt(rows, s, k));
  }
  return data;
}

/** Responses at the ends of all frames that count. */
async function record(
  model: ConnectomeODERNN | ConnectomeRNN,
  input: ModelInput & { readonly steps: number },
  { neurons, rates, evaluation, frames, settle, hold, frameTime }: Plan,
): Promise<RecordedActivity> {
  const { recurrences, ...common } = evaluation;
  if (model instanceof ConnectomeODERNN) {
    if (recurrences !== undefined)
      throw new ArgumentError(WHERE, "evaluation.recurrences", "it dropped in continuous time", `${recurrences}`);
    const endTime = input.steps * hold * frameTime;
    // The last frame ends with the run, whatever the rounding.
    const end = (frame: number) => (frame + 1 === input.steps ? endTime : (endTime * (frame + 1)) / input.steps);
    const times = Float64Array.from({ length: frames }, (_, k) => end(settle + k));
    return recordActivity(model, input, { neurons, rates, evaluation: { ...common, times, endTime } });
  }
  const times = Uint32Array.from({ length: frames }, (_, k) => settle + k);
  const steps = { ...common, recurrences: (recurrences ?? 1) * hold };
  return recordActivity(model, input, { neurons, rates, evaluation: steps, times });
}
