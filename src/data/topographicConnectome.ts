// A sheet of neurons that connect to near ones, as torch-biopl's `create_sparse_topographic_connectome` means it.

import { type Csr, csrFromCoo } from "../core/csr.ts";
import { ArgumentError } from "../core/errors.ts";
import { deriveKey, keyOfSeed, RandomStream } from "../core/random.ts";
import { checkPositive, checkWhole, MAX_NEURONS } from "./checks.ts";
import { uniform53 } from "./sampling.ts";

/** Size, reach and weights of a topographic sheet. */
export interface TopographicOptions {
  /** Rows and columns of the sheet; neuron i is at row ⌊i / columns⌋, column i mod columns. */
  readonly sheetSize: readonly [rows: number, columns: number];
  /** Standard deviation of the Gaussian by which presynaptic neurons are drawn, in neurons. */
  readonly synapseStd: number;
  /** Synapses each neuron receives, before repeated ones are summed. */
  readonly synapsesPerNeuron: number;
  /** Whether each neuron gets one more synapse from itself, and may draw itself. */
  readonly selfRecurrence: boolean;
  readonly seed: number;
  /** Weights of both signs instead of positive ones. Default false. */
  readonly signed?: boolean;
}

/** Drawing others would take more than this many tries per synapse otherwise. */
const MAX_SELF_PROBABILITY = 0.999;

/**
 * A connectome [post, pre] in f32. Each neuron draws its presynaptic neurons with probability ∝ exp(−d²/(2 std²)), d their distance
 * on the sheet; a pair drawn several times has one entry with the sum. Weights are normal with variance 2 / synapsesPerNeuron
 * (He et al., ICCV 2015, eq. 10, fan-in = synapses per neuron); by default their absolute values. O(synapses · log(sheet side)).
 *
 * torch-biopl differs: it rounds drawn positions towards the corner, moves those beyond the border onto it, fixes the number of outgoing
 * instead of incoming synapses, and draws weights of both signs, of which the model sets the negative half to 0.
 *
 * @throws {ArgumentError} sizes out of range; a spread so small that without selfRecurrence a neuron finds no other one
 * Source: torch-biopl, bioplnn/utils, create_sparse_topographic_connectome.
 */
export function topographicConnectome(options: TopographicOptions): Csr {
  const { sheetSize, synapseStd, synapsesPerNeuron, selfRecurrence, seed, signed = false } = options;
  const where = "topographicConnectome";
  if (!Array.isArray(sheetSize) || sheetSize.length !== 2) {
    throw new ArgumentError(where, "sheetSize", "two numbers, [rows, columns]", `${JSON.stringify(sheetSize)}`);
  }
  const [rows, columns] = sheetSize;
  const count = rows * columns;
  checkWhole(where, "sheetSize", rows, 1, MAX_NEURONS);
  checkWhole(where, "sheetSize", columns, 1, MAX_NEURONS);
  checkWhole(where, "sheetSize", count, 1, MAX_NEURONS);
  checkPositive(where, "synapseStd", synapseStd);
  checkWhole(where, "synapsesPerNeuron", synapsesPerNeuron, 1, 2 ** 20);
  const rowDraw = new GaussianDraw(rows, synapseStd);
  const columnDraw = new GaussianDraw(columns, synapseStd);
  // A neuron in the corner has the fewest others near it.
  if (!selfRecurrence && rowDraw.stayProbability(0) * columnDraw.stayProbability(0) > MAX_SELF_PROBABILITY) {
    throw new ArgumentError(where, "synapseStd", "a spread that reaches other neurons", `${synapseStd}`);
  }
  const key = deriveKey(keyOfSeed(seed), where);
  const places = new RandomStream(deriveKey(key, "places"));
  const weights = new RandomStream(deriveKey(key, "weights"));
  const perNeuron = synapsesPerNeuron + (selfRecurrence ? 1 : 0);
  const post = new Uint32Array(count * perNeuron);
  const pre = new Uint32Array(count * perNeuron);
  const values = new Float32Array(count * perNeuron);
  const scale = Math.sqrt(2 / synapsesPerNeuron);
  for (let i = 0, k = 0; i < count; i++) {
    const row = Math.floor(i / columns);
    const column = i % columns;
    for (let s = 0; s < perNeuron; s++, k++) {
      let j = i;
      if (s < synapsesPerNeuron) {
        do j = rowDraw.draw(row, places) * columns + columnDraw.draw(column, places);
        while (!selfRecurrence && j === i);
      }
      post[k] = i;
      pre[k] = j;
      const weight = scale * weights.normal();
      values[k] = signed ? weight : Math.abs(weight);
    }
  }
  return csrFromCoo({ nRows: count, nCols: count, rows: post, cols: pre, values }, where);
}

/** Draws places 0 … extent − 1 with probability ∝ exp(−(place − centre)²/(2 std²)), by bisection of cumulative sums. */
class GaussianDraw {
  readonly #extent: number;
  /** [2·extent]: entry d + extent − 1 is the sum of all weights of distances below d. */
  readonly #below: Float64Array;

  constructor(extent: number, std: number) {
    this.#extent = extent;
    this.#below = new Float64Array(2 * extent);
    for (let k = 0; k < 2 * extent - 1; k++) {
      const d = k - (extent - 1);
      this.#below[k + 1] = this.#below[k]! + Math.exp(-(d * d) / (2 * std * std));
    }
  }

  draw(centre: number, stream: RandomStream): number {
    const first = this.#extent - 1 - centre;
    const from = this.#below[first]!;
    const target = from + uniform53(stream) * (this.#below[first + this.#extent]! - from);
    let low = first;
    let high = first + this.#extent - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#below[middle]! <= target) low = middle;
      else high = middle - 1;
    }
    return low - first;
  }

  /** The probability that the centre itself is drawn. */
  stayProbability(centre: number): number {
    const first = this.#extent - 1 - centre;
    return 1 / (this.#below[first + this.#extent]! - this.#below[first]!);
  }
}
