// Textures that move before an eye. Luminance is a smooth function of place that is carried along, so its flow is known, not estimated.

import type { FloatArray } from "../../core/dtype.ts";
import type { RandomStream } from "../../core/random.ts";

/** Points of the plane, in columns: x to the right, y downwards. */
export interface Places {
  readonly count: number;
  readonly x: ArrayLike<number>;
  readonly y: ArrayLike<number>;
}

/** Name of a texture. */
export type Texture = "noise" | "natural" | "edges";

/** How a texture is made: tanh(gain·z), z a sum of plane waves of equal amplitudes. */
interface TextureKind {
  /** Lengths of the shortest and of the longest wave, in columns. */
  readonly waves: readonly [shortest: number, longest: number];
  readonly gain: number;
}

/**
 * Wave numbers k are logarithmically uniform: energy ∝ dk/k, a density ∝ 1/k² in the plane, amplitudes ∝ 1/k as in natural images
 * (Field, J. Opt. Soc. Am. A 4, 2379, 1987). Edges are the borders of saturated blobs.
 */
const KINDS: Readonly<Record<Texture, TextureKind>> = {
  noise: { waves: [4, 8], gain: 1 },
  natural: { waves: [4, 16], gain: 1 },
  edges: { waves: [6, 12], gain: 3 },
};

/** Lengths of the waves whose zeros are the outline of the nearer texture. */
const OUTLINE: TextureKind["waves"] = [12, 32];
/** Plane waves of a field. */
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

/** A texture and its velocity, in columns per frame. */
interface Layer {
  readonly field: Field;
  readonly gain: number;
  readonly vx: number;
  readonly vy: number;
}

/** A texture, and maybe a nearer one that covers it where its outline is positive; the outline moves with the nearer one. */
export interface Scene {
  readonly contrast: number;
  readonly far: Layer;
  readonly near: (Layer & { readonly outline: Field }) | null;
}

/** What scenes are drawn from. */
export interface SceneOptions {
  /** Speeds lie between these, in columns per frame; directions are uniform. */
  readonly slowest: number;
  readonly fastest: number;
  /** Whether speeds are uniform, or their logarithms are. */
  readonly speeds: "uniform" | "logarithmic";
  /** Each is equally likely. */
  readonly textures: readonly Texture[];
  /** Probability of a nearer texture. */
  readonly twoDepths: number;
}

/** A random scene. */
export function drawScene(
  { slowest, fastest, speeds, textures, twoDepths }: SceneOptions,
  stream: RandomStream,
): Scene {
  const drawLayer = (): Layer => {
    const { waves, gain } = KINDS[textures[stream.below(textures.length)]!];
    const u = stream.uniform();
    const speed = speeds === "uniform" ? slowest + (fastest - slowest) * u : slowest * (fastest / slowest) ** u;
    const direction = 2 * Math.PI * stream.uniform();
    return { field: drawField(waves, stream), gain, vx: speed * Math.cos(direction), vy: speed * Math.sin(direction) };
  };
  const contrast = LEAST_CONTRAST + (1 - LEAST_CONTRAST) * stream.uniform();
  const hasNear = stream.uniform() < twoDepths;
  const far = drawLayer();
  return { contrast, far, near: hasNear ? { ...drawLayer(), outline: drawField(OUTLINE, stream) } : null };
}

/**
 * Luminance, 0.5 ± 0.5, and flow (x of all places, then y), in columns per frame, of the texture that is seen.
 *
 * @param times      in frames
 * @param luminance  [times, places]
 * @param flow       [times, 2·places]
 */
export function viewScene(
  { contrast, far, near }: Scene,
  places: Places,
  times: ArrayLike<number>,
  { luminance, flow }: { readonly luminance: FloatArray; readonly flow: FloatArray },
): void {
  const { count } = places;
  const farValues = valuesOf(far.field, far, places, times);
  const nearValues = near && valuesOf(near.field, near, places, times);
  const outline = near && valuesOf(near.outline, near, places, times);
  for (let k = 0; k < times.length; k++) {
    for (let c = 0; c < count; c++) {
      const at = k * count + c;
      const isNear = outline !== null && outline[at]! > 0;
      const { gain, vx, vy } = isNear ? near! : far;
      luminance[at] = 0.5 + 0.5 * contrast * Math.tanh(gain * (isNear ? nearValues! : farValues)[at]!);
      flow[2 * k * count + c] = vx;
      flow[(2 * k + 1) * count + c] = vy;
    }
  }
}

/** Plane waves with logarithmically uniform lengths, uniform directions and phases. */
function drawField([shortest, longest]: TextureKind["waves"], stream: RandomStream): Field {
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

/** z(x − v·t) for all places and times. [times, places] */
function valuesOf(
  { kx, ky, phase }: Field,
  { vx, vy }: Pick<Layer, "vx" | "vy">,
  { count, x, y }: Places,
  times: ArrayLike<number>,
): Float64Array {
  const values = new Float64Array(times.length * count);
  const amplitude = Math.sqrt(2 / WAVES);
  const cos = new Float64Array(count);
  const sin = new Float64Array(count);
  for (let w = 0; w < WAVES; w++) {
    for (let c = 0; c < count; c++) {
      const angle = kx[w]! * x[c]! + ky[w]! * y[c]! + phase[w]!;
      cos[c] = amplitude * Math.cos(angle);
      sin[c] = amplitude * Math.sin(angle);
    }
    // cos(angle − ω·t) = cos(angle)·cos(ω·t) + sin(angle)·sin(ω·t): few sines, although places × times are many.
    const omega = kx[w]! * vx + ky[w]! * vy;
    for (let k = 0; k < times.length; k++) {
      const a = Math.cos(omega * times[k]!);
      const b = Math.sin(omega * times[k]!);
      for (let c = 0; c < count; c++) values[k * count + c]! += a * cos[c]! + b * sin[c]!;
    }
  }
  return values;
}
