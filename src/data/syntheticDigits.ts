// Made-up handwritten digits in the form of MNIST: pen strokes with a hand's variation, drawn with soft edges. For demos and tests
// that must run without a download; not a substitute for MNIST in a result.

import { ArgumentError } from "../core/errors.ts";
import { deriveKey, type Key, RandomStream } from "../core/random.ts";
import { DIGIT_STYLES, type Point } from "./digitStrokes.ts";
import type { ImageSet } from "./imageSet.ts";
import { MNIST_NORMALISATION } from "./mnist.ts";

const SIDE = 28;
/** MNIST scales a digit into a box of 20 pixels; the pen adds to what the middle of the stroke spans. */
const BOX = 17.5;

/** How much hands differ: standard deviations, in the unit named. */
const VARIATION = {
  /** Control points, percent of the box. */
  point: 4,
  /** Amplitude of a smooth wave through the whole digit, percent. */
  wave: 4,
  /** Radians. */
  rotation: 0.18,
  /** Sideways per unit of height; the mean leans to the right as most hands do. */
  shear: 0.2,
  meanShear: 0.12,
  /** Logarithm of width over height, around `meanAspect`. */
  aspect: 0.18,
  meanAspect: 0.68,
  /** Logarithm of size. */
  size: 0.07,
  /** Pixels off the centre. */
  shift: 0.8,
} as const;

/** Straight pieces per pair of control points. */
const PIECES = 6;

/**
 * Makes `count` labelled images of 28 × 28 pixels. Image `first` + i depends on (key, first + i) only, so any part of the endless
 * series can be made alone; classes are equally likely.
 *
 * @throws {ArgumentError} a negative or fractional count or position
 */
export function syntheticDigits(count: number, key: Key, { first = 0 }: { readonly first?: number } = {}): ImageSet {
  for (const [name, value] of [
    ["count", count],
    ["first", first],
  ] as const) {
    if (!Number.isSafeInteger(value) || value < 0) {
      throw new ArgumentError("syntheticDigits", name, "a whole number ≥ 0", `${value}`);
    }
  }
  const images = new Uint8Array(count * SIDE * SIDE);
  const labels = new Uint8Array(count);
  for (let i = 0; i < count; i++) {
    labels[i] = drawDigit(deriveKey(key, first + i), images.subarray(i * SIDE * SIDE, (i + 1) * SIDE * SIDE));
  }
  const classes = DIGIT_STYLES.length;
  return { images, labels, count, height: SIDE, width: SIDE, classes, normalisation: MNIST_NORMALISATION };
}

/** Draws one random digit on a black image and returns which. */
function drawDigit(key: Key, image: Uint8Array): number {
  const stream = new RandomStream(key);
  const label = stream.below(DIGIT_STYLES.length);
  const styles = DIGIT_STYLES[label]!;
  const lines = place(write(styles[stream.below(styles.length)]!, stream), stream);
  ink(lines, image, stream);
  return label;
}

/** A stroke as a polyline: x0, y0, x1, y1, … */
type Polyline = number[];

/** Strokes through shaken control points, still in the box of the digit. */
function write(strokes: readonly (readonly Point[])[], stream: RandomStream): Polyline[] {
  const phase = 2 * Math.PI * stream.uniform();
  const bend = VARIATION.wave * stream.normal();
  const squeeze = VARIATION.wave * stream.normal();
  const shake = ([x, y]: Point): Point => [
    x + VARIATION.point * stream.normal() + bend * Math.sin(0.05 * y + phase),
    y + VARIATION.point * stream.normal() + squeeze * Math.sin(0.05 * x + 2 * phase),
  ];
  let end: Point | undefined;
  let shakenEnd: Point | undefined;
  return strokes.map((stroke) => {
    const corner = end && shakenEnd && stroke[0]![0] === end[0] && stroke[0]![1] === end[1] ? shakenEnd : undefined;
    const points = stroke.map((point, i) => (i === 0 && corner ? corner : shake(point)));
    end = stroke.at(-1);
    shakenEnd = points.at(-1);
    return smooth(points);
  });
}

/** A Catmull–Rom spline through the points (end points doubled), in straight pieces. */
function smooth(points: readonly Point[]): Polyline {
  const line: Polyline = [];
  for (let i = 0; i + 1 < points.length; i++) {
    const a = points[Math.max(i - 1, 0)]!;
    const b = points[i]!;
    const c = points[i + 1]!;
    const d = points[Math.min(i + 2, points.length - 1)]!;
    for (let piece = 0; piece < PIECES; piece++) {
      const t = piece / PIECES;
      line.push(catmullRom(a[0], b[0], c[0], d[0], t), catmullRom(a[1], b[1], c[1], d[1], t));
    }
  }
  const last = points.at(-1)!;
  line.push(last[0], last[1]);
  return line;
}

/** Between b (t = 0) and c (t = 1), with slopes (c − a)/2 and (d − b)/2. */
function catmullRom(a: number, b: number, c: number, d: number, t: number): number {
  return b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)));
}

/** Turns, slants and scales the strokes into pixels: box of about 20, centre of mass in the middle, as MNIST does. */
function place(lines: Polyline[], stream: RandomStream): Polyline[] {
  const angle = VARIATION.rotation * stream.normal();
  const shear = VARIATION.meanShear + VARIATION.shear * stream.normal();
  const aspect = VARIATION.meanAspect * Math.exp(VARIATION.aspect * stream.normal());
  const size = BOX * Math.exp(VARIATION.size * stream.normal());
  const shiftX = VARIATION.shift * stream.normal();
  const shiftY = VARIATION.shift * stream.normal();
  const cos = Math.cos(angle);
  const sin = Math.sin(angle);
  const turned = lines.map((line) =>
    mapPoints(line, (x, y) => {
      const slanted = aspect * (x - 50) - shear * (y - 50);
      return [cos * slanted - sin * (y - 50), sin * slanted + cos * (y - 50)];
    }),
  );
  let [left, right, top, bottom] = [Infinity, -Infinity, Infinity, -Infinity];
  let [mass, massX, massY] = [0, 0, 0];
  for (const line of turned) {
    for (let i = 0; i < line.length; i += 2) {
      const x = line[i]!;
      const y = line[i + 1]!;
      left = Math.min(left, x);
      right = Math.max(right, x);
      top = Math.min(top, y);
      bottom = Math.max(bottom, y);
      if (i === 0) continue;
      const length = Math.hypot(x - line[i - 2]!, y - line[i - 1]!);
      mass += length;
      massX += (length * (x + line[i - 2]!)) / 2;
      massY += (length * (y + line[i - 1]!)) / 2;
    }
  }
  const scale = size / Math.max(right - left, bottom - top);
  const middle = (SIDE - 1) / 2;
  return turned.map((line) =>
    mapPoints(line, (x, y) => [
      middle + shiftX + scale * (x - massX / mass),
      middle + shiftY + scale * (y - massY / mass),
    ]),
  );
}

/** Darkens the pixels near the strokes; the edge of the pen is soft over a pixel or two. */
function ink(lines: readonly Polyline[], image: Uint8Array, stream: RandomStream): void {
  const radius = 0.85 + 0.85 * stream.uniform();
  const softness = 0.9 + 0.7 * stream.uniform();
  const darkness = 225 + 30 * stream.uniform();
  const reach = radius + softness / 2;
  for (const line of lines) {
    for (let i = 0; i + 3 < line.length; i += 2) {
      const [x0, y0, x1, y1] = [line[i]!, line[i + 1]!, line[i + 2]!, line[i + 3]!];
      const dx = x1 - x0;
      const dy = y1 - y0;
      const lengthSquared = dx * dx + dy * dy || 1;
      const left = Math.max(0, Math.ceil(Math.min(x0, x1) - reach));
      const right = Math.min(SIDE - 1, Math.floor(Math.max(x0, x1) + reach));
      const top = Math.max(0, Math.ceil(Math.min(y0, y1) - reach));
      const bottom = Math.min(SIDE - 1, Math.floor(Math.max(y0, y1) + reach));
      for (let y = top; y <= bottom; y++) {
        for (let x = left; x <= right; x++) {
          // Distance to the nearest point of the piece. Not Math.hypot, which takes ten times as long.
          const t = Math.min(1, Math.max(0, ((x - x0) * dx + (y - y0) * dy) / lengthSquared));
          const awayX = x - x0 - t * dx;
          const awayY = y - y0 - t * dy;
          const cover = Math.min(1, (reach - Math.sqrt(awayX * awayX + awayY * awayY)) / softness);
          const at = y * SIDE + x;
          if (cover * darkness > image[at]!) image[at] = cover * darkness;
        }
      }
    }
  }
}

function mapPoints(line: Polyline, f: (x: number, y: number) => readonly [number, number]): Polyline {
  const out: Polyline = new Array(line.length);
  for (let i = 0; i < line.length; i += 2) {
    const [x, y] = f(line[i]!, line[i + 1]!);
    out[i] = x;
    out[i + 1] = y;
  }
  return out;
}
