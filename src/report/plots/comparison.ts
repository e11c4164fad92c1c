// Groups of runs beside each other: a dot per run, the mean with its standard deviation per group.

import { scaleLinear } from "d3-scale";
import { formatPercent } from "../../core/format.ts";
import { AXIS_BOTTOM, bottomAxis } from "../axes.ts";
import type { Drawing, Figure } from "../figure.ts";
import { at, element, fitted, label, textWidth } from "../svg.ts";

export interface ComparedGroup {
  readonly name: string;
  /** Of the runs, as shares from 0 to 1; there may be none yet. */
  readonly values: readonly number[];
  readonly mean: number;
  /** null: a single run. */
  readonly sd: number | null;
}

const PITCH = 30;
const TOP = 10;
const RIGHT = 120;
/** Names take at most this share of the width; longer ones end with "…". */
const NAMES = 0.45;
/** The range shown is at least this wide, so that noise does not look large. */
const LEAST_RANGE = 0.02;

/** @param measure  name of the values: "test accuracy" */
export function comparisonFigure(groups: readonly ComparedGroup[], measure: string): Figure {
  return {
    id: "comparison",
    title: `${measure.charAt(0).toUpperCase()}${measure.slice(1)} of each combination`,
    caption: "Small dots: runs, one per seed. Large dot and bar: their mean, one standard deviation to each side.",
    span: "full",
    draw: (width) => draw(groups, measure, width),
    table: {
      columns: ["combination", "runs", "mean", "standard deviation"],
      rows: groups.map(({ name, values, mean, sd }) => [
        name,
        values.length,
        formatPercent(mean),
        sd === null ? "–" : formatPercent(sd),
      ]),
    },
  };
}

function draw(groups: readonly ComparedGroup[], measure: string, fullWidth: number): Drawing {
  const widest = Math.max(...groups.map(({ name }) => textWidth(name)));
  const left = Math.min(widest + 16, NAMES * fullWidth);
  const width = fullWidth - left - RIGHT;
  const height = groups.length * PITCH;
  const ends = groups.flatMap(({ values, mean, sd }) => [...values, mean - (sd ?? 0), mean + (sd ?? 0)]);
  const [low, high] = [Math.min(...ends), Math.max(...ends)];
  const pad = Math.max(LEAST_RANGE, high - low) * 0.06 + Math.max(0, LEAST_RANGE - (high - low)) / 2;
  const x = scaleLinear([Math.max(0, low - pad), Math.min(1, high + pad)], [0, width]).nice(6);
  const clamp = (share: number): number => x(Math.min(1, Math.max(0, share)));
  const ticks = x.ticks(Math.max(3, width / 110));
  const grid = ticks.map((tick) =>
    element("line", { class: "grid thin", x1: x(tick), x2: x(tick), y1: 0, y2: height }),
  );
  const rows = groups.map(({ name, values, mean, sd }, k) => {
    const y = k * PITCH + PITCH / 2;
    const bar =
      sd === null
        ? ""
        : element("line", { class: "line blue", x1: clamp(mean - sd), x2: clamp(mean + sd), y1: y, y2: y });
    const dots = values.map((value) => element("circle", { class: "fill blue faint", cx: x(value), cy: y, r: 3.5 }));
    const text = sd === null ? formatPercent(mean) : `${(100 * mean).toFixed(1)} ± ${formatPercent(sd)}`;
    return (
      label(-12, y + 4, fitted(name, left - 12), { "text-anchor": "end" }) +
      dots.join("") +
      bar +
      element("circle", { class: "fill dot blue", cx: x(mean), cy: y, r: 5.5 }) +
      label(width + 12, y + 4, text)
    );
  });
  const format = (tick: number): string => `${Number((100 * tick).toPrecision(4))} %`;
  const axis = bottomAxis(x, width, height, { label: measure, ticks, format });
  return { height: TOP + height + AXIS_BOTTOM, body: at(left, TOP, ...grid, axis, ...rows) };
}
