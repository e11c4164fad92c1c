// Tuning curves in polar coordinates, a panel per cell type: the response in a direction is the distance from the middle.

import { formatNumber } from "../../core/format.ts";
import { legend, lineMark } from "../axes.ts";
import type { Drawing, Figure, Table } from "../figure.ts";
import { at, element, fitted, label, round } from "../svg.ts";

/** A closed curve: values ≥ 0 at some directions in degrees. */
export interface PolarCurve {
  /** For the legend; the same name has the same style in every panel. */
  readonly name: string;
  /** Hue of the theme, and "dashed" or none. */
  readonly style: string;
  readonly directions: readonly number[];
  readonly values: readonly number[];
}

export interface PolarPanel {
  readonly title: string;
  /** A line below the title. */
  readonly note: string;
  readonly curves: readonly PolarCurve[];
  /** Directions marked at the rim. */
  readonly marks: readonly number[];
}

const LEAST_WIDTH = 160;
const MOST_COLUMNS = 6;
const HEAD = 56;
/** Above and below the rim, and beside it, for its labels. */
const RIM = 18;
const SIDE = 34;
const GAP = 14;
const TOP = 30;

/** Each panel has a scale of its own: its largest value is at the rim. */
export function polarFigure(
  words: Pick<Figure, "id" | "title" | "caption">,
  panels: readonly PolarPanel[],
  table: Table,
): Figure {
  return { ...words, span: "full", draw: (width) => draw(panels, width), table };
}

function draw(panels: readonly PolarPanel[], width: number): Drawing {
  const most = Math.max(1, Math.min(MOST_COLUMNS, Math.floor((width + GAP) / (LEAST_WIDTH + GAP))));
  // Rows of equal length where that costs no row.
  const rows = Math.ceil(panels.length / most);
  const columns = Math.max(Math.ceil(panels.length / rows), Math.min(most, 4));
  const pitch = (width + GAP) / columns;
  const radius = Math.min(100, (pitch - GAP) / 2 - SIDE);
  const height = HEAD + 2 * (radius + RIM);
  const drawn = panels.map((panel, k) => {
    const left = (k % columns) * pitch + (pitch - GAP) / 2;
    return at(left, TOP + Math.floor(k / columns) * (height + GAP), drawPanel(panel, radius, pitch - GAP));
  });
  const styles = new Map(panels.flatMap(({ curves }) => curves.map(({ name, style }) => [name, style] as const)));
  const key = legend(
    width,
    12,
    [...styles].map(([name, style]) => [lineMark(style), name] as const),
  );
  return { height: TOP + rows * (height + GAP), body: key + drawn.join("") };
}

function drawPanel({ title, note, curves, marks }: PolarPanel, radius: number, width: number): string {
  const most = Math.max(...curves.flatMap(({ values }) => values));
  const largest = most > 0 ? most : 1;
  const ring = (r: number) => element("circle", { class: "grid thin", r, fill: "none" });
  const spokes = [0, 90, 180, 270].map((angle) => {
    const [x, y] = pointAt(angle, radius);
    return element("line", { class: "grid thin", x1: 0, y1: 0, x2: x, y2: y });
  });
  const labels = [0, 90, 180, 270].map((angle) => {
    const [x, y] = pointAt(angle, radius + 5);
    const anchor = angle === 0 ? "start" : angle === 180 ? "end" : "middle";
    return label(x, y + (angle === 90 ? 10 : angle === 270 ? -2 : 4), `${angle}°`, {
      class: "soft small",
      "text-anchor": anchor,
    });
  });
  const lines = curves.map(({ style, directions, values }) => {
    const points = directions.map((angle, k) =>
      pointAt(angle, (radius * values[k]!) / largest)
        .map(round)
        .join(" "),
    );
    return element("path", { class: `line ${style}`, d: `M${points.join("L")}Z` });
  });
  const ticks = marks.map((angle) => {
    const [[x1, y1], [x2, y2]] = [pointAt(angle, radius - 7), pointAt(angle, radius + 3)];
    return element("line", { class: "line ink", x1, y1, x2, y2 });
  });
  const scale = `rim: ${formatNumber(most)}`;
  const head = [
    label(0, 12, fitted(title, width), { class: "strong", "text-anchor": "middle" }),
    label(0, 28, fitted(note, width), { class: "soft", "text-anchor": "middle" }),
    label(0, 44, scale, { class: "soft small", "text-anchor": "middle" }),
  ];
  const plot = at(0, HEAD + RIM + radius, ring(radius), ring(radius / 2), ...spokes, ...labels, ...lines, ...ticks);
  return head.join("") + plot;
}

/** Angles turn as the eye is drawn: y is downwards. */
function pointAt(angle: number, r: number): [x: number, y: number] {
  const radians = (angle * Math.PI) / 180;
  return [r * Math.cos(radians), r * Math.sin(radians)];
}
