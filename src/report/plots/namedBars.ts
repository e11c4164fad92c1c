// Thin horizontal bars, one or several per row, with names on their left and a number on their right: for many rows.

import { scaleLinear } from "d3-scale";
import { clipped } from "../../core/text.ts";
import { legend, patchMark } from "../axes.ts";
import type { Drawing } from "../figure.ts";
import { at, element, label, textWidth } from "../svg.ts";

/** A row: a value of each series, not negative. The number beside it is the last one. */
export interface NamedBars {
  readonly name: string;
  readonly values: readonly number[];
}

/** Bars of one colour. */
export interface BarSeries {
  readonly name: string;
  /** Of the theme. */
  readonly colour: "blue" | "orange" | "purple";
}

const LEGEND_HEIGHT = 26;
const BAR_HEIGHT = 7;
const GAP = 8;
const NAME_LENGTH = 18;

/** @param series  of the values of every row; one series needs no key */
export function drawNamedBars(
  rows: readonly NamedBars[],
  series: readonly BarSeries[],
  format: (value: number) => string,
  width: number,
): Drawing {
  const names = rows.map(({ name }) => clipped(name, NAME_LENGTH));
  const left = Math.max(...names.map((name) => textWidth(name))) + 10;
  const texts = rows.map(({ values }) => format(values.at(-1)!));
  const reserved = Math.max(...texts.map((text) => textWidth(text))) + 12;
  const most = Math.max(...rows.flatMap(({ values }) => values)) || 1;
  const x = scaleLinear([0, most], [0, width - left - reserved]);
  const thick = series.length === 1 ? 2 * BAR_HEIGHT : BAR_HEIGHT;
  const rowHeight = series.length * (thick + 1);
  const length = (value: number) => Math.max(1, x(value));
  const drawn = rows.map(({ values }, k) =>
    at(
      0,
      k * (rowHeight + GAP),
      label(left - 10, rowHeight / 2 + 4, names[k]!, { class: "soft", "text-anchor": "end" }),
      ...series.map(({ colour }, s) =>
        element("rect", {
          ...{ class: `fill ${colour}`, x: left, y: s * (thick + 1), rx: 1 },
          ...{ width: length(values[s]!), height: thick },
        }),
      ),
      label(left + length(Math.max(...values)) + 8, rowHeight / 2 + 4, texts[k]!),
    ),
  );
  const top = series.length === 1 ? 0 : LEGEND_HEIGHT;
  const key = legend(
    width,
    -12,
    series.map(({ name, colour }) => [patchMark(colour), name] as const),
  );
  return { height: top + rows.length * (rowHeight + GAP), body: at(0, top, ...(top > 0 ? [key] : []), ...drawn) };
}
