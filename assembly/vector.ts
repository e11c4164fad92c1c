// Vectors of 16 bytes: 4 lanes of f32 or 2 of f64, and sums across them in a fixed order.

/** Numbers in one vector. */
export function lanes<T>(): usize {
  return 16 / sizeof<T>();
}

/** `bytes` rounded up to whole cache lines of 64 bytes, to which all arrays are padded. */
export function wholeLines(bytes: usize): usize {
  return (bytes + 63) & ~63;
}

/** A vector of zeros. */
export function zero<T>(): v128 {
  return v128.splat<T>(<T>0);
}

/** f32: (l0 + l1) + (l2 + l3). f64: l0 + l1. */
export function sumLanes<T>(v: v128): T {
  if (sizeof<T>() === 8) return <T>(v128.extract_lane<T>(v, 0) + v128.extract_lane<T>(v, 1));
  const left = <T>(v128.extract_lane<T>(v, 0) + v128.extract_lane<T>(v, 1));
  return <T>(left + <T>(v128.extract_lane<T>(v, 2) + v128.extract_lane<T>(v, 3)));
}

/**
 * The lane sums of `lanes<T>()` vectors as one vector (f64 reads only a and b): even and odd lanes of pairs are added, twice, so every
 * sum has the order of `sumLanes`. These shuffles are the ones that x86 has (shufps).
 */
export function sumLanesOf<T>(a: v128, b: v128, c: v128, d: v128): v128 {
  if (sizeof<T>() === 8) return v128.add<T>(v128.shuffle<T>(a, b, 0, 2), v128.shuffle<T>(a, b, 1, 3));
  const ab = sumPairs<T>(a, b); // a01 a23 b01 b23
  const cd = sumPairs<T>(c, d);
  return sumPairs<T>(ab, cd);
}

/** a0 + a1, a2 + a3, b0 + b1, b2 + b3. */
function sumPairs<T>(a: v128, b: v128): v128 {
  return v128.add<T>(v128.shuffle<T>(a, b, 0, 2, 4, 6), v128.shuffle<T>(a, b, 1, 3, 5, 7));
}

/**
 * Sum of the vectors of one row, as a binary tree: (v0 + v1) + (v2 + v3) …. Zeros in the upper half of a row leave the sum of
 * the lower half as it is, so padding lanes do not show.
 */
export function sumVectors<T>(row: usize, bytes: usize): v128 {
  if (bytes === 16) return v128.load(row);
  const half = bytes >> 1;
  if (half === 16) return v128.add<T>(v128.load(row), v128.load(row, 16));
  return v128.add<T>(sumVectors<T>(row, half), sumVectors<T>(row + half, half));
}
