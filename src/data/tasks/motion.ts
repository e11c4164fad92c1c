// Moving textures before a hexagonal eye, with the exact optic flow of every column. Everything is a smooth function of place and time
// that is carried along, so the flow is known, not estimated.

import { ArgumentError } from "../../core/errors.ts";
import { checkNames } from "../../core/optionNames.ts";
import { deriveKey, type Key, keyOfSeed, RandomStream } from "../../core/random.ts";
import { checkProbability, checkWhole } from "../checks.ts";
import { HexagonalEye } from "../hexagon.ts";
import type { Samples, SampleSet } from "../sampleSet.ts";

/** Names of the textures. */
export const TEXTURES = ["noise", "natural", "edges"] as const;
export type Texture = (typeof TEXTURES)[number];

/** Options of `movingTextures`. */
export interface MotionOptions {
  /** How many samples there are. Default 4096. */
  readonly count?: number;
  /** Default 0. Samples of different seeds are independent. */
  readonly seed?: number;
  /** Extent of the eye, in columns. Default 5: 91 columns; flyvis has 15: 721 columns. */
  readonly extent?: number;
  /** Frames of a sample. Default 20. */
  readonly frames?: number;
  /** The first frames, which do not count: the network must see motion before it can tell it. Default 6. */
  readonly settle?: number;
  /** Least and largest speed, in columns per frame; uniform between them. Default [0.01, 0.5]: 0.5 to 25 columns/s, if a frame is 20 ms. */
  readonly speeds?: readonly [least: number, most: number];
  /** Each is equally likely. Default all: "noise" (band-limited), "natural" (amplitude 1/frequency), "edges". */
  readonly textures?: readonly Texture[];
  /** Share of the samples with two depths: a nearer texture that covers a part of the other one and moves with its own velocity. Default 0.25. */
  readonly twoDepths?: number;
  /** Standard deviation of the noise on each luminance, independent in every column and frame. Default 0.05. */
  readonly noise?: number;
}

const OPTIONS: Readonly<Record<keyof MotionOptions, true>> = {
  count: true,
  seed: true,
  extent: true,
  frames: true,
  settle: true,
  speeds: true,
  textures: true,
  twoDepths: true,
  noise: true,
};

/** The errors of an answer, each a mean over all numbers that count. */
export interface MotionErrors {
  /** Mean square of the error of a component, (columns/frame)². */
  readonly meanSquare: number;
  /** Mean absolute error of a component, columns/frame. */
  readonly meanAbsolute: number;
}

/** Moving textures as samples, and what is known of them. */
export interface MotionSet extends SampleSet {
  readonly eye: HexagonalEye;
  /** Expected errors of the best constant prediction, which is 0 by symmetry. */
  readonly known: { readonly constant: MotionErrors };
}

/** How a texture is made: plane waves of equal amplitudes, then tanh(gain·sum). */
interface TextureKind {
  /** Shortest and longest wave, in columns. */
  readonly waves: readonly [shortest: number, longest: number];
  readonly gain: number;
}

/**
 * A logarithmically uniform wave number k with equal amplitudes has energy ∝ dk/k, a density ∝ 1/k² in the plane: amplitudes ∝ 1/k,
 * as in natural images (Field 1987). Edges are the borders of saturated blobs.
 */
const KINDS: Readonly<Record<Texture, TextureKind>> = {
  noise: { waves: [4, 8], gain: 1 },
  natural: { waves: [4, 32], gain: 1 },
  edges: { waves: [8, 16], gain: 5 },
};
/** Outline of the nearer texture. */
const OUTLINE: TextureKind["waves"] = [12, 32];
const WAVES = 16;
/** Least contrast; the largest is 1. */
const LEAST_CONTRAST = 0.5;

/** A sum of plane waves with variance 1, as a function of place. */
interface Field {
  /** [WAVES] wave vectors, radians per column. */
  readonly kx: Float64Array;
  readonly ky: Float64Array;
  readonly phase: Float64Array;
}

/** A texture and how it moves. */
interface Layer {
  readonly field: Field;
  readonly gain: number;
  /** Columns per frame. */
  readonly vx: number;
  readonly vy: number;
}

/**
 * Samples of moving textures: inputs are luminances [frames, columns], 0.5 ± 0.5 plus noise; targets are the flow (x of all columns, then
 * y of all columns) [frames, 2·columns] in columns per frame; the first frames have weight 0. Velocities are constant within a sample,
 * their directions uniform. Sample i depends on the seed, i, and the options; with a variation, its noise on that, too.
 *
 * @throws {ArgumentError} an option out of range, naming it
 */
export function movingTextures(options: MotionOptions = {}): MotionSet {
  const where = "movingTextures";
  checkNames(where, options, OPTIONS);
  const {
    count = 4096,
    seed = 0,
    extent = 5,
    frames = 20,
    settle = 6,
    speeds = [0.01, 0.5],
    textures = TEXTURES,
    twoDepths = 0.25,
    noise = 0.05,
  } = options;
  checkWhole(where, "count", count, 1, 2 ** 32);
  checkWhole(where, "frames", frames, 1, 2 ** 16);
  checkWhole(where, "settle", settle, 0, frames - 1);
  checkProbability(where, "twoDepths", twoDepths);
  const [least, most] = speeds;
  if (!(speeds.length === 2 && least >= 0 && most >= least && most > 0 && Number.isFinite(most)))
    throw new ArgumentError(where, "speeds", "two ascending speeds ≥ 0, the second > 0", `${speeds}`);
  if (textures.length === 0) throw new ArgumentError(where, "textures", `some of ${TEXTURES.join(", ")}`, "none");
  for (const texture of textures) {
    if (!TEXTURES.includes(texture))
      throw new ArgumentError(where, "textures", `some of ${TEXTURES.join(", ")}`, `"${texture}"`);
  }
  if (!(noise >= 0 && Number.isFinite(noise)))
    throw new ArgumentError(where, "noise", "a finite number ≥ 0", `${noise}`);
  const eye = new HexagonalEye(extent);
  const key = deriveKey(keyOfSeed(seed), where);
  const inputSize = eye.count;
  const width = 2 * eye.count;
  const weightOfSample = new Float32Array(frames * width).fill(1, settle * width);

  const layerOf = (stream: RandomStream): Layer => {
    const { waves, gain } = KINDS[textures[stream.below(textures.length)]!];
    const speed = least + (most - least) * stream.uniform();
    const direction = 2 * Math.PI * stream.uniform();
    return { field: fieldOf(waves, stream), gain, vx: speed * Math.cos(direction), vy: speed * Math.sin(direction) };
  };

  const make = (key: Key, inputs: Float32Array, targets: Float32Array): void => {
    const stream = new RandomStream(key);
    const contrast = LEAST_CONTRAST + (1 - LEAST_CONTRAST) * stream.uniform();
    const hasNear = stream.uniform() < twoDepths;
    const far = layerOf(stream);
    const farValues = carried(eye, far.field, far, frames);
    const near = hasNear ? layerOf(stream) : null;
    const nearValues = near && carried(eye, near.field, near, frames);
    const outline = near && carried(eye, fieldOf(OUTLINE, stream), near, frames);
    for (let k = 0; k < frames; k++) {
      for (let c = 0; c < eye.count; c++) {
        const at = k * eye.count + c;
        const isNear = outline !== null && outline[at]! > 0;
        const { gain, vx, vy } = isNear ? near! : far;
        const value = (isNear ? nearValues! : farValues)[at]!;
        inputs[at] = 0.5 + 0.5 * contrast * Math.tanh(gain * value);
        targets[k * width + c] = vx;
        targets[k * width + eye.count + c] = vy;
      }
    }
  };

  return {
    count,
    source: `moving textures before ${eye.count} hexagonal columns (seed ${seed})`,
    inputSize,
    steps: frames,
    target: { kind: "numbers", width, classes: null, times: frames },
    weighted: true,
    eye,
    known: { constant: constantErrors(least, most) },
    read(indices, variation): Samples {
      const size = indices.length;
      const inputs = new Float32Array(size * frames * inputSize);
      const targets = new Float32Array(size * frames * width);
      const weights = new Float32Array(size * frames * width);
      for (let s = 0; s < size; s++) {
        const index = indices[s]!;
        checkWhole(where, "indices", index, 0, count - 1);
        const sampleKey = deriveKey(key, index);
        const own = inputs.subarray(s * frames * inputSize, (s + 1) * frames * inputSize);
        make(sampleKey, own, targets.subarray(s * frames * width, (s + 1) * frames * width));
        addNoise(own, noise, variation === null ? deriveKey(sampleKey, "noise") : deriveKey(variation, index));
        weights.set(weightOfSample, s * frames * width);
      }
      return { size, inputs, targets, weights };
    },
  };
}

/**
 * With a speed uniform in [a, b] and a uniform direction, a component has mean square E s²/2 and mean absolute value E s·2/π; both are
 * least for the prediction 0.
 */
function constantErrors(a: number, b: number): MotionErrors {
  return { meanSquare: (a * a + a * b + b * b) / 6, meanAbsolute: (a + b) / Math.PI };
}

/** Plane waves with logarithmically uniform lengths, uniform directions and phases. */
function fieldOf([shortest, longest]: TextureKind["waves"], stream: RandomStream): Field {
  const field = { kx: new Float64Array(WAVES), ky: new Float64Array(WAVES), phase: new Float64Array(WAVES) };
  for (let w = 0; w < WAVES; w++) {
    const k = (2 * Math.PI) / (shortest * (longest / shortest) ** stream.uniform());
    const direction = 2 * Math.PI * stream.uniform();
    field.kx[w] = k * Math.cos(direction);
    field.ky[w] = k * Math.sin(direction);
    field.phase[w] = 2 * Math.PI * stream.uniform();
  }
  return field;
}

/** The field at every column and frame, moved by (vx, vy) per frame. [frames, columns] */
function carried(
  { count, x, y }: HexagonalEye,
  { kx, ky, phase }: Field,
  { vx, vy }: Pick<Layer, "vx" | "vy">,
  frames: number,
): Float64Array {
  const values = new Float64Array(frames * count);
  const amplitude = Math.sqrt(2 / WAVES);
  const cos = new Float64Array(count);
  const sin = new Float64Array(count);
  for (let w = 0; w < WAVES; w++) {
    for (let c = 0; c < count; c++) {
      const angle = kx[w]! * x[c]! + ky[w]! * y[c]! + phase[w]!;
      cos[c] = amplitude * Math.cos(angle);
      sin[c] = amplitude * Math.sin(angle);
    }
    // cos(angle − ω·k) = cos(angle)·cos(ω·k) + sin(angle)·sin(ω·k)
    const omega = kx[w]! * vx + ky[w]! * vy;
    for (let k = 0; k < frames; k++) {
      const a = Math.cos(omega * k);
      const b = Math.sin(omega * k);
      const row = k * count;
      for (let c = 0; c < count; c++) values[row + c]! += a * cos[c]! + b * sin[c]!;
    }
  }
  return values;
}

function addNoise(values: Float32Array, deviation: number, key: Key): void {
  if (deviation === 0) return;
  const stream = new RandomStream(key);
  for (let i = 0; i < values.length; i++) values[i]! += deviation * stream.normal();
}
