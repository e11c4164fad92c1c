// Values of several networks by name: a row per name, a dot per network, panels side by side.

import { scaleLinear } from "d3-scale";
import { AXIS_BOTTOM, bottomAxis, legend } from "../axes.ts";
import type { Drawing, Figure, Table } from "../figure.ts";
import { at, element, fitted, label, textWidth } from "../svg.ts";

export interface DotPanel {
  readonly title: string;
  /** [series][row]; NaN: no dot. */
  readonly values: readonly (readonly number[])[];
}

export interface DotRows {
  readonly rows: readonly string[];
  /** At most as many as there are hues. */
  readonly series: readonly string[];
  readonly panels: readonly DotPanel[];
  /** Of the horizontal axes. */
  readonly axis: { readonly label: string; readonly domain: readonly [number, number] };
}

/** The first series is drawn last, on top and larger. */
export const DOT_HUES = ["blue", "orange", "purple", "ink"] as const;

const PITCH = 18;
const TOP = 52;
const GAP = 28;
const RIGHT = 10;
/** Names take at most this share of the width. */
const NAMES = 0.3;

export function dotsFigure(words: Pick<Figure, "id" | "title" | "caption">, data: DotRows, table: Table): Figure {
  return { ...words, span: "full", draw: (width) => draw(data, width), table };
}

function draw({ rows, series, panels, axis }: DotRows, fullWidth: number): Drawing {
  const left = Math.min(Math.max(...rows.map((name) => textWidth(name)), 0) + 14, NAMES * fullWidth);
  const width = (fullWidth - left - RIGHT - GAP * (panels.length - 1)) / panels.length;
  const height = rows.length * PITCH;
  const x = scaleLinear([...axis.domain], [0, width]);
  const ticks = x.ticks(Math.max(2, width / 110));
  const y = (row: number) => row * PITCH + PITCH / 2;
  const names = rows.map((name, row) =>
    label(left - 10, TOP + y(row) + 4, fitted(name, left - 14), { "text-anchor": "end" }),
  );
  const drawn = panels.map(({ title, values }, p) => {
    const grid = ticks.map((tick) =>
      element("line", { class: "grid thin", x1: x(tick), x2: x(tick), y1: 0, y2: height }),
    );
    const lines = rows.map((_, row) =>
      element("line", { class: "grid thin", x1: 0, x2: width, y1: y(row), y2: y(row) }),
    );
    const dots = [...values.keys()]
      .reverse()
      .flatMap((k) =>
        values[k]!.map((value, row) =>
          Number.isNaN(value)
            ? ""
            : element("circle", { class: `fill dot ${DOT_HUES[k]}`, cx: x(value), cy: y(row), r: k === 0 ? 5 : 4 }),
        ),
      );
    const head = label(0, -10, fitted(title, width), { class: "strong" });
    const bottom = bottomAxis(x, width, height, { label: axis.label, ticks });
    return at(left + p * (width + GAP), TOP, head, ...grid, ...lines, bottom, ...dots);
  });
  const room = fullWidth / series.length - 40;
  const key = legend(
    fullWidth,
    12,
    series.map((name, k) => [dotMark(DOT_HUES[k]!), fitted(name, room)] as const),
  );
  return { height: TOP + height + AXIS_BOTTOM, body: key + names.join("") + drawn.join("") };
}

function dotMark(hue: string): (x: number, y: number) => string {
  return (x, y) => element("circle", { class: `fill dot ${hue}`, cx: x + 9, cy: y, r: 4.5 });
}
