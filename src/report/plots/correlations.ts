// Correlations of members with each other, as a heat map.

import { formatNumber } from "../../core/format.ts";
import type { Drawing, Figure } from "../figure.ts";
import { at, element, fitted, label, textWidth } from "../svg.ts";

const TOP = 8;
const CELL_MOST = 44;
/** Smallest side of a cell that holds a number. */
const CELL_FOR_NUMBER = 34;
/** Names take at most this share of the width. */
const NAMES = 0.35;
const FAINTEST = 0.1;

/**
 * @param order  of the rows: things that belong together lie side by side
 * @param matrix [n][n]; null: not known
 */
export function correlationsFigure(
  words: Pick<Figure, "id" | "title" | "caption">,
  names: readonly string[],
  matrix: readonly (readonly (number | null)[])[],
  order: readonly number[],
): Figure {
  return {
    ...words,
    caption: `${words.caption} Shade: from the lowest (${formatNumber(lowest(matrix))}) to 1; orange: below 0.`,
    span: "half",
    draw: (width) => draw(names, matrix, order, width),
    table: {
      columns: ["member", ...order.map((j) => names[j]!)],
      rows: order.map((i) => [names[i]!, ...order.map((j) => formatNumber(matrix[i]![j] ?? Number.NaN))]),
    },
  };
}

function lowest(matrix: readonly (readonly (number | null)[])[]): number {
  return matrix.flat().reduce<number>((least, r) => Math.min(least, r ?? 1), 1);
}

function draw(
  names: readonly string[],
  matrix: readonly (readonly (number | null)[])[],
  order: readonly number[],
  fullWidth: number,
): Drawing {
  const n = names.length;
  const left = Math.min(Math.max(...names.map((name) => textWidth(name))) + 16, NAMES * fullWidth);
  const cell = Math.min(CELL_MOST, (fullWidth - left) / n);
  const least = lowest(matrix);
  const low = Math.max(0, least);
  // Enough for members that hardly differ.
  const digits = least > 0.99 ? 4 : 2;
  const shade = (r: number): number => {
    if (r < 0) return FAINTEST + (1 - FAINTEST) * -r;
    return low < 1 ? FAINTEST + (1 - FAINTEST) * Math.max(0, (r - low) / (1 - low)) : 1;
  };
  const rows = order.map((i, row) =>
    order
      .map((j, column) => {
        const r = matrix[i]![j] ?? null;
        const box = { x: column * cell + 0.5, y: row * cell + 0.5, width: cell - 1, height: cell - 1, rx: 2 };
        if (r === null) return element("rect", { class: "fill ink", ...box, "fill-opacity": 0.06 });
        const opacity = shade(r);
        const patch = element("rect", { class: `fill ${r < 0 ? "orange" : "blue"}`, ...box, "fill-opacity": opacity });
        if (cell < CELL_FOR_NUMBER) return patch;
        const classes = `small${opacity > 0.5 ? " reverse" : ""}`;
        const text = r.toFixed(r === 1 ? 0 : digits).replace("-", "−");
        return (
          patch +
          label((column + 0.5) * cell, (row + 0.5) * cell + 4, text, { class: classes, "text-anchor": "middle" })
        );
      })
      .join(""),
  );
  const labels = order.map((i, row) =>
    label(-10, (row + 0.5) * cell + 4, fitted(names[i]!, left - 10), {
      "text-anchor": "end",
      class: cell < 14 ? "small" : "",
    }),
  );
  return { height: TOP + n * cell + 8, body: at(left, TOP, ...rows, ...labels) };
}
