// Receptive fields by reverse correlation: sums over stimuli and responses, sequence by sequence. Nothing here runs a network.

import { ArgumentError, ShapeError } from "../core/errors.ts";
import { checkFinite } from "../core/finite.ts";
import { formatBytes, formatCount } from "../core/format.ts";
import { checkWhole } from "../data/checks.ts";

const WHERE = "ReverseCorrelation";
/** The sums take so many bytes at most. */
const MOST_BYTES = 2 ** 30;

/** How many coefficients there are. */
export interface FieldShape {
  readonly neurons: number;
  /** Lags 0 … lags − 1: how many frames before the response. */
  readonly lags: number;
  readonly inputs: number;
}

/** The linear fields of some neurons. */
export interface LinearFields extends FieldShape {
  /** [neurons, lags, inputs], response per unit of the stimulus. */
  readonly values: Float64Array;
  /** [neurons]: mean response. */
  readonly mean: Float64Array;
  /** [neurons]: standard deviation σ_r of the response. */
  readonly sd: Float64Array;
  /** [lags, inputs]: Σ (s − mean)² of what each coefficient was estimated from. */
  readonly energy: Float64Array;
  /** Responses that entered. */
  readonly count: number;
}

/** How much of a response a linear field explains. */
export interface Explained {
  /** Of the variance of the response; NaN: it is constant. */
  readonly share: number;
  /** NaN: from one sequence. */
  readonly standardError: number;
}

/**
 * Estimates, for neurons n, the response to the stimulus of each frame before it: with s̃ = s − mean and the response r after frame t,
 *
 *     STA[n, lag, i] = Σ_t s̃[t − lag, i]·(r[n, t] − mean r[n]) / Σ_t s̃[t − lag, i]²,
 *
 * the reverse correlation (the spike-triggered average of a neuron that spikes). The stimulus has to be white: then it is the first Wiener
 * kernel in expectation, and of a linear neuron its impulse response. Its standard error is σ_r/√(Σ s̃²) = σ_r/(σ_s·√count) where a single
 * coefficient contributes little to the response; with binary noise, whose s̃² is constant, also where it contributes much. Two exceptions make
 * it larger: correlations of the response in time, at most √2 times; and Gaussian noise on a neuron that hears one input alone, nonlinearly: √5
 * times if it squares it, as E[s²(s² − 1)²] = 10 = 5·Var s².
 *
 * Sums are in double precision; sequences enter one by one, and only sums are kept: 8 bytes per coefficient.
 *
 * Source: de Boer and Kuyper, "Triggered correlation", IEEE Trans. Biomed. Eng. 15 (1968); Chichilnisky, "A simple white noise analysis of
 * neuronal light responses", Network 12 (2001).
 */
export class ReverseCorrelation {
  readonly shape: FieldShape;
  readonly #stimulusMean: number;
  /** [neurons, lags, inputs]: Σ s̃·(r − centre). */
  readonly #products: Float64Array;
  /** [lags, inputs]: Σ s̃, Σ s̃². */
  readonly #stimulus: Float64Array;
  readonly #energy: Float64Array;
  /** [neurons]: the first response; Σ (r − centre), Σ (r − centre)². */
  readonly #centre: Float64Array;
  readonly #responses: Float64Array;
  readonly #squares: Float64Array;
  #count = 0;

  /**
   * @param stimulusMean  expectation of the stimulus
   * @throws {ArgumentError} no whole numbers of at least 1, or more coefficients than 1 GiB holds
   */
  constructor(shape: FieldShape, stimulusMean = 0) {
    const { neurons, lags, inputs } = shape;
    checkWhole(WHERE, "neurons", neurons, 1, 2 ** 31);
    checkWhole(WHERE, "lags", lags, 1, 2 ** 20);
    checkWhole(WHERE, "inputs", inputs, 1, 2 ** 31);
    checkFieldSize(WHERE, shape);
    checkFinite(WHERE, "stimulusMean", [stimulusMean], "f64");
    this.shape = { neurons, lags, inputs };
    this.#stimulusMean = stimulusMean;
    this.#products = new Float64Array(neurons * lags * inputs);
    this.#stimulus = new Float64Array(lags * inputs);
    this.#energy = new Float64Array(lags * inputs);
    this.#centre = new Float64Array(neurons);
    this.#responses = new Float64Array(neurons);
    this.#squares = new Float64Array(neurons);
  }

  /**
   * Adds a sequence. One in pieces, each with the lags − 1 frames before it, gives the same bits.
   *
   * @param stimulus   [frames, inputs]
   * @param responses  [frames − first, neurons]: after the frames first, first + 1, …
   * @param first      at least lags − 1, so that each response has all its lags
   * @throws {ShapeError | ArgumentError} other lengths, numbers that are not finite
   */
  add(stimulus: ArrayLike<number>, responses: ArrayLike<number>, first: number = this.shape.lags - 1): void {
    const { neurons, lags, inputs } = this.shape;
    const deviations = this.#checked(stimulus, responses, first);
    const frames = deviations.length / inputs;
    if (this.#count === 0) for (let n = 0; n < neurons; n++) this.#centre[n] = responses[n]!;
    for (let lag = 0; lag < lags; lag++) {
      for (let at = (first - lag) * inputs; at < (frames - lag) * inputs; at++) {
        const k = lag * inputs + (at % inputs);
        this.#stimulus[k]! += deviations[at]!;
        this.#energy[k]! += deviations[at]! ** 2;
      }
    }
    for (let n = 0; n < neurons; n++) {
      const centre = this.#centre[n]!;
      for (let t = first; t < frames; t++) {
        const r = responses[(t - first) * neurons + n]! - centre;
        this.#responses[n]! += r;
        this.#squares[n]! += r * r;
      }
      for (let lag = 0; lag < lags; lag++) {
        const row = this.#products.subarray((n * lags + lag) * inputs, (n * lags + lag + 1) * inputs);
        for (let t = first; t < frames; t++) {
          const r = responses[(t - first) * neurons + n]! - centre;
          const from = (t - lag) * inputs;
          for (let i = 0; i < inputs; i++) row[i]! += r * deviations[from + i]!;
        }
      }
    }
    this.#count += frames - first;
  }

  /**
   * The fields from all sequences so far. A coefficient whose input never varied is 0.
   *
   * @throws {ArgumentError} no sequence was added
   */
  fields(): LinearFields {
    const count = this.#count;
    if (count === 0) throw new ArgumentError(WHERE, "add", "a sequence before the fields", "none");
    const { neurons, lags, inputs } = this.shape;
    const [energy, stimulus] = [this.#energy, this.#stimulus];
    const values = new Float64Array(this.#products.length);
    const rises = this.#responses.map((sum) => sum / count);
    for (let n = 0, at = 0; n < neurons; n++) {
      for (let k = 0; k < lags * inputs; k++, at++) {
        values[at] = energy[k] === 0 ? 0 : (this.#products[at]! - rises[n]! * stimulus[k]!) / energy[k]!;
      }
    }
    return {
      ...this.shape,
      values,
      mean: rises.map((rise, n) => this.#centre[n]! + rise),
      sd: this.#squares.map((sum, n) => Math.sqrt(Math.max(0, sum / count - rises[n]! ** 2))),
      energy: energy.slice(),
      count,
    };
  }

  #checked(stimulus: ArrayLike<number>, responses: ArrayLike<number>, first: number): Float64Array {
    return checkedSequence(WHERE, this.shape, this.#stimulusMean, { stimulus, responses, first });
  }
}

/** Standard error of a coefficient, σ_r/√(Σ s̃²); NaN: its input never varied. */
export function fieldStandardError(
  { sd, energy, inputs }: LinearFields,
  n: number,
  lag: number,
  input: number,
): number {
  const sum = energy[lag * inputs + input]!;
  return sum === 0 ? Number.NaN : sd[n]! / Math.sqrt(sum);
}

/**
 * Share of the variance of responses that the linear kernel explains, from sequences that the fields were not estimated from. With the
 * prediction p[t] = Σ_{lag, i} STA[lag, i]·s̃[t − lag, i] and ρ = r − mean r,
 *
 *     share = Σ ρ·p / Σ ρ².
 *
 * Errors of the STA are independent of new sequences, so the numerator is σ_s²·Σ k² in expectation, k being the true kernel: unlike R² of the
 * prediction, the share does not fall with the number of noisy coefficients. It can lie outside 0 to 1 by its standard error: that of a ratio of
 * sums over the sequences, and that of the kernel, which all of them share: √(lags·share/count) at most, reached by responses that hardly change
 * within the lags.
 */
export class LinearPrediction {
  readonly #fields: LinearFields;
  readonly #stimulusMean: number;
  /** Per sequence, [neurons]: Σ ρ·p, Σ ρ². */
  readonly #covariances: Float64Array[] = [];
  readonly #variances: Float64Array[] = [];

  /** @param stimulusMean  that of the estimate */
  constructor(fields: LinearFields, stimulusMean = 0) {
    this.#fields = fields;
    this.#stimulusMean = stimulusMean;
  }

  /**
   * Adds a sequence, as `ReverseCorrelation.add`.
   *
   * @param sequence  number of the sequence that this is a piece of; default: a new one
   */
  add(
    stimulus: ArrayLike<number>,
    responses: ArrayLike<number>,
    first: number = this.#fields.lags - 1,
    sequence: number = this.#covariances.length,
  ): void {
    const { neurons, lags, inputs, values, mean } = this.#fields;
    const where = "LinearPrediction";
    checkWhole(where, "sequence", sequence, 0, this.#covariances.length);
    const piece = { stimulus, responses, first };
    const deviations = checkedSequence(where, this.#fields, this.#stimulusMean, piece);
    const frames = deviations.length / inputs;
    this.#covariances[sequence] ??= new Float64Array(neurons);
    this.#variances[sequence] ??= new Float64Array(neurons);
    const [covariance, variance] = [this.#covariances[sequence], this.#variances[sequence]];
    for (let n = 0; n < neurons; n++) {
      for (let t = first; t < frames; t++) {
        const r = responses[(t - first) * neurons + n]! - mean[n]!;
        let predicted = 0;
        for (let lag = 0; lag < lags; lag++) {
          const [row, from] = [(n * lags + lag) * inputs, (t - lag) * inputs];
          for (let i = 0; i < inputs; i++) predicted += values[row + i]! * deviations[from + i]!;
        }
        covariance[n]! += r * predicted;
        variance[n]! += r * r;
      }
    }
  }

  /** Of neuron number n of the fields. */
  explained(n: number): Explained {
    const covariances = this.#covariances.map((of) => of[n]!);
    const variances = this.#variances.map((of) => of[n]!);
    const total = sumOf(variances);
    if (!(total > 0)) return { share: Number.NaN, standardError: Number.NaN };
    const share = sumOf(covariances) / total;
    const sequences = covariances.length;
    const residuals = sumOf(covariances.map((c, s) => (c - share * variances[s]!) ** 2));
    const { lags, count } = this.#fields;
    const ofSequences = Math.sqrt((sequences / (sequences - 1)) * residuals) / total;
    const ofKernel = Math.sqrt((lags * Math.max(0, share)) / count);
    const standardError = sequences < 2 ? Number.NaN : Math.hypot(ofSequences, ofKernel);
    return { share, standardError };
  }
}

/** Bytes that the sums and the fields made of them take. */
export function fieldBytes({ neurons, lags, inputs }: FieldShape): number {
  return 16 * neurons * lags * inputs;
}

/** @throws {ArgumentError} they take more than 1 GiB */
export function checkFieldSize(where: string, shape: FieldShape): void {
  const bytes = fieldBytes(shape);
  if (bytes <= MOST_BYTES) return;
  const { neurons, lags, inputs } = shape;
  const got = `${formatCount(neurons)} × ${formatCount(lags)} × ${formatCount(inputs)}, which take ${formatBytes(bytes)}`;
  const expected = `neurons × lags × inputs that take at most ${formatBytes(MOST_BYTES)}: fewer neurons or lags`;
  throw new ArgumentError(where, "neurons", expected, got);
}

interface Sequence {
  readonly stimulus: ArrayLike<number>;
  readonly responses: ArrayLike<number>;
  readonly first: number;
}

/** The stimulus as deviations from its mean. */
function checkedSequence(
  where: string,
  { neurons, lags, inputs }: FieldShape,
  stimulusMean: number,
  { stimulus, responses, first }: Sequence,
): Float64Array {
  const frames = stimulus.length / inputs;
  if (!(Number.isInteger(frames) && frames > 0))
    throw new ShapeError(where, "stimulus", `whole frames of ${inputs} inputs`, `${stimulus.length} numbers`);
  if (!(Number.isInteger(first) && first >= lags - 1 && first < frames)) {
    const expected = `a frame from lags − 1 = ${lags - 1} to ${frames - 1}`;
    throw new ArgumentError(where, "first", expected, `${first}`);
  }
  const wanted = (frames - first) * neurons;
  if (responses.length !== wanted) {
    const expected = `${frames - first} frames × ${neurons} neurons`;
    throw new ShapeError(where, "responses", expected, `${responses.length} numbers`);
  }
  checkFinite(where, "stimulus", stimulus, "f64");
  checkFinite(where, "responses", responses, "f64");
  return Float64Array.from(stimulus, (s) => s - stimulusMean);
}

function sumOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}
