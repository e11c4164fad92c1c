// Measures of activity on a few inputs: neurons that no longer respond, and features that do not differ between inputs.

import type { FloatArray } from "../../core/dtype.ts";

/** A nonlinearity with a smaller slope passes nearly no gradient: for a sigmoid, beyond ±4.6. */
const FLAT = 0.01;
/** A standard deviation below this share of a typical one (or of the mean) is none; some roundings of f32. */
const NO_SPREAD = 1e-6;

/** Which shares of the neurons respond, and how. */
export interface ResponseShares {
  /** Share of the neurons that fire, but with a slope of their nonlinearity below 0.01 for every input. */
  readonly saturated: number;
  /** Share of the neurons that fire for none. */
  readonly silent: number;
}

/** Counts neurons by how they respond to all inputs so far. */
export class ResponseCount {
  readonly #fires: Uint8Array;
  readonly #responds: Uint8Array;

  constructor(numNeurons: number) {
    this.#fires = new Uint8Array(numNeurons);
    this.#responds = new Uint8Array(numNeurons);
  }

  /** @param rate,slope  [sample][neuron] */
  add(rate: FloatArray, slope: FloatArray): void {
    const n = this.#fires.length;
    for (let k = 0; k < rate.length; k++) {
      if (rate[k] !== 0) this.#fires[k % n] = 1;
      // NaN counts as a response: another check reports it.
      if (!(Math.abs(slope[k]!) < FLAT)) this.#responds[k % n] = 1;
    }
  }

  shares(): ResponseShares {
    const n = this.#fires.length;
    const share = (holds: (i: number) => boolean): number => {
      let count = 0;
      for (let i = 0; i < n; i++) if (holds(i)) count++;
      return count / n;
    };
    return {
      saturated: share((i) => this.#fires[i] === 1 && this.#responds[i] === 0),
      silent: share((i) => this.#fires[i] === 0),
    };
  }
}

/** How much the features of a read-out differ between inputs. */
export interface FeatureSpread {
  /** Root mean square of the features' standard deviations over the inputs, relative to that of their means; null if all are 0. */
  readonly featureSpread: number | null;
  /** Share of the features that are the same for all inputs. */
  readonly constantFeatures: number;
}

/** Mean and (population) standard deviation of every feature → how much they say about the input. */
export function featureSpread({
  mean,
  std,
}: {
  readonly mean: Float64Array;
  readonly std: Float64Array;
}): FeatureSpread {
  const rms = (x: Float64Array): number => Math.sqrt(x.reduce((sum, v) => sum + v * v, 0) / x.length);
  const [size, spread] = [rms(mean), rms(std)];
  const least = NO_SPREAD * Math.max(size, spread);
  return {
    featureSpread: size > 0 ? spread / size : null,
    constantFeatures: std.filter((s) => s <= least).length / std.length,
  };
}

/** Mean and (population) standard deviation of every column of a row-major [n, width] array. */
export function columnStatistics(x: Float64Array, n: number, width: number): { mean: Float64Array; std: Float64Array } {
  const mean = new Float64Array(width);
  const std = new Float64Array(width);
  for (let i = 0; i < n; i++) for (let f = 0; f < width; f++) mean[f]! += x[i * width + f]! / n;
  for (let i = 0; i < n; i++) for (let f = 0; f < width; f++) std[f]! += (x[i * width + f]! - mean[f]!) ** 2 / n;
  return { mean, std: std.map(Math.sqrt) };
}

/** Standard deviations, each replaced by the root mean square of those of its group. @param group  [width] */
export function pooledDeviations(std: Float64Array, group: ArrayLike<number>): Float64Array {
  const count = new Map<number, number>();
  const squares = new Map<number, number>();
  for (let f = 0; f < std.length; f++) {
    const g = group[f]!;
    count.set(g, (count.get(g) ?? 0) + 1);
    squares.set(g, (squares.get(g) ?? 0) + std[f]! ** 2);
  }
  return std.map((_, f) => Math.sqrt(squares.get(group[f]!)! / count.get(group[f]!)!));
}
