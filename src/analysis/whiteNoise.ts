// White noise as input: sequences that depend on a seed and their own number only.

import { ArgumentError } from "../core/errors.ts";
import { deriveKey, keyOfSeed, RandomStream } from "../core/random.ts";
import { quoteValue } from "../core/text.ts";

export const NOISE_KINDS = ["gaussian", "binary"] as const;

/** Noise whose values are independent between inputs, frames and sequences. */
export interface NoiseOptions {
  /** "gaussian" (default): mean + contrast·z with z standard normal, not clipped; "binary": mean ± contrast, each with probability 1/2. */
  readonly noise?: (typeof NOISE_KINDS)[number];
  /** Default 0. */
  readonly mean?: number;
  /** Standard deviation, above 0. Default 1. */
  readonly contrast?: number;
  /** A whole number; default 0. */
  readonly seed?: number;
}

/** A sequence number of frames. */
export type NoiseMaker = (sequence: number, frames: number) => Float64Array;

/**
 * Makes sequences of white noise: `make(s, T)` is sequence s, [T, inputs]. It is a function of the seed, s and the number of inputs; a longer
 * sequence begins with the shorter one.
 *
 * @throws {ArgumentError} naming the option
 */
export function whiteNoise(
  inputs: number,
  { noise = "gaussian", mean = 0, contrast = 1, seed = 0 }: NoiseOptions,
): NoiseMaker {
  const where = "whiteNoise";
  if (!NOISE_KINDS.includes(noise))
    throw new ArgumentError(where, "noise", NOISE_KINDS.join(" or "), quoteValue(noise));
  if (!Number.isFinite(mean)) throw new ArgumentError(where, "mean", "a finite number", `${mean}`);
  if (!(Number.isFinite(contrast) && contrast > 0))
    throw new ArgumentError(where, "contrast", "a finite number above 0", `${contrast}`);
  const key = deriveKey(keyOfSeed(seed), "white noise");
  return (sequence, frames) => {
    const stream = new RandomStream(deriveKey(key, sequence));
    const deviation = noise === "gaussian" ? () => stream.normal() : () => (stream.bits() >= 2 ** 31 ? 1 : -1);
    return Float64Array.from({ length: frames * inputs }, () => mean + contrast * deviation());
  };
}
