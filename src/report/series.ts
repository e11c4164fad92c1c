// Shortens and smooths series for drawing.

export interface Point {
  readonly x: number;
  readonly y: number;
}

/** At most `limit` points: means of neighbours, each at its last x. */
export function thinned(points: readonly Point[], limit: number): Point[] {
  const size = Math.ceil(points.length / limit);
  if (size <= 1) return [...points];
  return Array.from({ length: Math.ceil(points.length / size) }, (_, k) =>
    meanOf(points.slice(k * size, (k + 1) * size)),
  );
}

/** The mean of each point and the `size` − 1 before it. */
export function smoothed(points: readonly Point[], size: number): Point[] {
  return points.map((_, k) => meanOf(points.slice(Math.max(0, k + 1 - size), k + 1)));
}

function meanOf(points: readonly Point[]): Point {
  return { x: points.at(-1)!.x, y: points.reduce((sum, p) => sum + p.y, 0) / points.length };
}
