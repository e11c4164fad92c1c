// The prediction of several networks together: the mean of what their outputs stand for.

import { ShapeError } from "../core/errors.ts";

/** What an output stands for, and how means of it are taken. */
export type OutputScale = "softmax" | "sigmoid" | "exp" | "identity";

/** By the name of the loss; others: the outputs themselves. */
const SCALES: Readonly<Record<string, OutputScale>> = {
  "cross-entropy": "softmax",
  "binary-cross-entropy": "sigmoid",
  ordinal: "sigmoid",
  poisson: "exp",
};

/** Which mean is taken of outputs that this loss judges. */
export function outputScale(loss: string): OutputScale {
  return Object.hasOwn(SCALES, loss) ? SCALES[loss]! : "identity";
}

/**
 * Adds up the outputs of networks, one network after another; takes memory for one of them, twice for "sigmoid".
 *
 * What is averaged, and the outputs that stand for the mean over M networks:
 *
 * - "softmax": probabilities of classes, p = softmax(o): log (1/M)·Σ p
 * - "sigmoid": probabilities of labels, p = 1/(1 + e^−o): log Σ p − log Σ (1 − p)
 * - "exp": means of counts, e^o: log (1/M)·Σ e^o
 * - "identity": numbers: (1/M)·Σ o
 *
 * Sums of probabilities are kept as logarithms, so that none becomes 0.
 *
 * Source: B. Lakshminarayanan, A. Pritzel, C. Blundell, Simple and Scalable Predictive Uncertainty Estimation using Deep Ensembles, NIPS 2017.
 */
export class OutputAverage {
  readonly scale: OutputScale;
  /** Outputs that belong together: classes. */
  readonly #rows: number;
  /** Σ of the outputs, or the logarithm of Σ of what they stand for. */
  #sum: Float64Array | null = null;
  /** "sigmoid": log Σ (1 − p). */
  #complement: Float64Array | null = null;
  #count = 0;

  /** @param rows  outputs of a sample at one time */
  constructor(scale: OutputScale, rows: number) {
    this.scale = scale;
    this.#rows = rows;
  }

  /**
   * Adds the outputs of a network. NaN: it has none, and nor has the mean.
   *
   * @param outputs  [samples, times, rows]
   * @throws {ShapeError} another number of outputs than the networks before have
   */
  add(outputs: ArrayLike<number>): void {
    const n = outputs.length;
    const isLog = this.scale !== "identity";
    const none = (): Float64Array => new Float64Array(n).fill(isLog ? Number.NEGATIVE_INFINITY : 0);
    this.#sum ??= none();
    if (this.#sum.length !== n)
      throw new ShapeError("OutputAverage", "outputs", `${this.#sum.length} numbers, as before`, `${n}`);
    if (this.scale === "sigmoid") this.#complement ??= none();
    const sum = this.#sum;
    const shift = this.scale === "softmax" ? logSums(outputs, this.#rows) : null;
    for (let i = 0; i < n; i++) {
      const o = outputs[i]!;
      if (this.scale === "identity") sum[i]! += o;
      else if (this.scale === "sigmoid") {
        sum[i] = logAdd(sum[i]!, -softplus(-o));
        this.#complement![i] = logAdd(this.#complement![i]!, -softplus(o));
      } else sum[i] = logAdd(sum[i]!, shift ? o - shift[Math.floor(i / this.#rows)]! : o);
    }
    this.#count++;
  }

  /** The outputs that stand for the mean. */
  result(): Float64Array {
    const sum = this.#sum ?? new Float64Array(0);
    if (this.scale === "sigmoid") return sum.map((value, i) => value - this.#complement![i]!);
    if (this.scale === "identity") return sum.map((value) => value / this.#count);
    return sum.map((value) => value - Math.log(this.#count));
  }
}

/** log Σ e^o of each row. */
function logSums(outputs: ArrayLike<number>, rows: number): Float64Array {
  const sums = new Float64Array(outputs.length / rows).fill(Number.NEGATIVE_INFINITY);
  for (let i = 0; i < outputs.length; i++) {
    const r = Math.floor(i / rows);
    sums[r] = logAdd(sums[r]!, outputs[i]!);
  }
  return sums;
}

/** log (e^a + e^b). */
function logAdd(a: number, b: number): number {
  if (a === Number.NEGATIVE_INFINITY) return b;
  return Math.max(a, b) + Math.log1p(Math.exp(-Math.abs(a - b)));
}

/** log (1 + e^x). */
function softplus(x: number): number {
  return Math.log1p(Math.exp(-Math.abs(x))) + Math.max(x, 0);
}
