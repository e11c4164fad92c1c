// The confusion matrix of an evaluation.

import { formatCount, formatPercent } from "../../core/format.ts";
import type { EvaluationRecord } from "../../train/metrics.ts";
import type { Drawing, Figure } from "../figure.ts";
import { at, element, label } from "../svg.ts";

const LEFT = 44;
const TOP = 52;
/** Largest side of a cell, and the smallest one that holds a number. */
const CELL_MOST = 40;
const CELL_FOR_NUMBER = 23;
/** Share of a row from which a cell is dark enough for light digits. */
const DARK = 0.5;
/** The faintest error still shows. */
const FAINTEST = 0.12;

export type Confusion = NonNullable<EvaluationRecord["confusion"]>;

export function confusionFigure(confusion: Confusion, set: EvaluationRecord["set"]): Figure {
  const count = sum(confusion.map(sum));
  const right = sum(confusion.map((row, c) => row[c]!));
  return {
    id: "confusion",
    title: `Confusion on the ${set} samples`,
    caption: `How many of ${formatCount(count)} samples of each class were taken for which; ${formatPercent(right / count)} are on the diagonal (blue). Shade: share of the row.`,
    span: "half",
    draw: (width) => draw(confusion, width),
    table: {
      columns: ["label", ...confusion.map((_, c) => `as ${c}`), "right"],
      rows: confusion.map((row, c) => [c, ...row, formatPercent(row[c]! / Math.max(1, sum(row)))]),
    },
  };
}

function draw(confusion: Confusion, fullWidth: number): Drawing {
  const classes = confusion.length;
  const cell = Math.min(CELL_MOST, (fullWidth - LEFT - 8) / classes);
  const side = cell * classes;
  const centre = (c: number) => (c + 0.5) * cell;
  const rows = confusion.map((row, i) => {
    const total = Math.max(1, sum(row));
    return row.map((n, j) => cellAt(j * cell, i * cell, cell, n, n / total, i === j)).join("");
  });
  const names = confusion.map(
    (_, c) =>
      label(centre(c), -10, `${c}`, { class: "strong", "text-anchor": "middle" }) +
      label(-14, centre(c) + 4, `${c}`, { class: "strong", "text-anchor": "middle" }),
  );
  const titles =
    label(side / 2, -30, "taken for", { class: "soft", "text-anchor": "middle" }) +
    label(0, 0, "label", {
      class: "soft",
      "text-anchor": "middle",
      transform: `translate(-32 ${side / 2}) rotate(-90)`,
    });
  const left = LEFT + Math.max(0, (fullWidth - LEFT - side) / 2 - LEFT / 2);
  return { height: TOP + side + 8, body: at(left, TOP, ...rows, ...names, titles) };
}

function cellAt(x: number, y: number, cell: number, n: number, share: number, isRight: boolean): string {
  const opacity = n === 0 ? 0 : FAINTEST + (1 - FAINTEST) * share;
  const box = { x: x + 0.75, y: y + 0.75, width: cell - 1.5, height: cell - 1.5, rx: 2 };
  const ground = element("rect", { class: "fill ink", ...box, "fill-opacity": 0.04 });
  const patch = n
    ? element("rect", { class: `fill ${isRight ? "blue" : "orange"}`, ...box, "fill-opacity": opacity })
    : "";
  const number =
    n > 0 && cell >= CELL_FOR_NUMBER
      ? label(x + cell / 2, y + cell / 2 + 4, `${n}`, {
          class: `${share > DARK ? "reverse" : ""}${cell < 30 ? " small" : ""}`,
          "text-anchor": "middle",
        })
      : "";
  return ground + patch + number;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, n) => total + n, 0);
}
