// Half precision (IEEE 754 binary16) in plain numbers.

const LARGEST_EXPONENT = 15;
const SMALLEST_EXPONENT = -14;
const DIGITS = 10;

/** The nearest number of half precision, ties to even; ±Infinity where it is too large, NaN where it is none. */
export function halved(x: number): number {
  if (!Number.isFinite(x) || x === 0) return x;
  const size = Math.abs(x);
  let exponent = SMALLEST_EXPONENT;
  while (exponent <= LARGEST_EXPONENT && size >= 2 ** (exponent + 1)) exponent++;
  const unit = 2 ** (exponent - DIGITS);
  const below = Math.floor(size / unit);
  const rest = size / unit - below;
  const isUp = rest > 0.5 || (rest === 0.5 && below % 2 === 1);
  const rounded = (isUp ? below + 1 : below) * unit;
  return Math.sign(x) * (rounded >= 2 ** (LARGEST_EXPONENT + 1) ? Number.POSITIVE_INFINITY : rounded);
}

/** Numbers at which rounding to half precision turns: ties, the borders of its range, what is no number. */
export const HALF_EDGES: readonly number[] = [
  ...[0, -0, 1, -1, 1 / 3, Math.PI, 0.1],
  // Ties between neighbours, and just beside them.
  ...[1 + 2 ** -11, 1 + 3 * 2 ** -11, 1 + 2 ** -11 + 2 ** -23, 1 + 2 ** -11 - 2 ** -23, 2 - 2 ** -11, -(1 + 2 ** -11)],
  // The largest, and what rounds to it and past it.
  ...[65504, 65519.99609375, 65520, 65536, 1e6, -65504, -65520, 3.4e38, -1e30],
  // The smallest normal, multiples of 2^-24 below it, ties between them, and what vanishes.
  ...[
    2 ** -14,
    2 ** -14 - 2 ** -25,
    2 ** -14 - 2 ** -26,
    5 * 2 ** -24,
    5.5 * 2 ** -24,
    6.5 * 2 ** -24,
    -3.25 * 2 ** -24,
  ],
  ...[2 ** -24, 2 ** -25, 2 ** -25 + 2 ** -48, 2 ** -26, 1e-10, -1e-30, 2 ** -126],
  ...[Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN],
];
