// Groups of runs beside each other: a dot per run, the mean with its standard deviation per group.

import { scaleLinear } from "d3-scale";
import { formatTick } from "../../core/format.ts";
import { type MetricDescription, metricText } from "../../train/taskDescription.ts";
import { AXIS_BOTTOM, bottomAxis } from "../axes.ts";
import type { Drawing, Figure } from "../figure.ts";
import { capitalised } from "../names.ts";
import { at, element, fitted, label, textWidth } from "../svg.ts";

export interface ComparedGroup {
  readonly name: string;
  /** Of the runs; there may be none yet. */
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
/** The range shown is at least this wide, so that noise does not look large: as a share, or as a part of the largest value. */
const LEAST_RANGE = 0.02;

/** What is compared; its name is that of the values: "test accuracy". */
export type ComparedMeasure = Pick<MetricDescription, "name" | "format" | "range">;

/** What the groups are, and the words about them. */
export interface ComparisonWords extends Pick<Figure, "id" | "title" | "caption"> {
  readonly group: string;
}

/** @param words  default: combinations of the settings of a sweep */
export function comparisonFigure(
  groups: readonly ComparedGroup[],
  measure: ComparedMeasure,
  { group, ...words }: ComparisonWords = combinations(measure),
): Figure {
  return {
    ...words,
    span: "full",
    draw: (width) => draw(groups, measure, width),
    table: {
      columns: [group, "runs", "mean", "standard deviation"],
      rows: groups.map(({ name, values, mean, sd }) => [
        name,
        values.length,
        metricText(measure, mean, 1),
        sd === null ? "–" : metricText(measure, sd, 1),
      ]),
    },
  };
}

function combinations({ name }: ComparedMeasure): ComparisonWords {
  return {
    id: "comparison",
    title: `${capitalised(name)} of each combination`,
    caption: "Small dots: runs, one per seed. Large dot and bar: their mean, one standard deviation to each side.",
    group: "combination",
  };
}

function draw(groups: readonly ComparedGroup[], measure: ComparedMeasure, fullWidth: number): Drawing {
  const widest = Math.max(...groups.map(({ name }) => textWidth(name)));
  const left = Math.min(widest + 16, NAMES * fullWidth);
  const width = fullWidth - left - RIGHT;
  const height = groups.length * PITCH;
  const ends = groups.flatMap(({ values, mean, sd }) => [...values, mean - (sd ?? 0), mean + (sd ?? 0)]);
  const [low, high] = [Math.min(...ends), Math.max(...ends)];
  const isShare = measure.format === "share";
  const least = LEAST_RANGE * (isShare ? 1 : Math.max(Math.abs(low), Math.abs(high)) || 1);
  const pad = Math.max(least, high - low) * 0.06 + Math.max(0, least - (high - low)) / 2;
  const within = (value: number): number =>
    Math.min(
      measure.range[1] ?? Number.POSITIVE_INFINITY,
      Math.max(measure.range[0] ?? Number.NEGATIVE_INFINITY, value),
    );
  const x = scaleLinear([within(low - pad), within(high + pad)], [0, width]).nice(6);
  const clamp = (value: number): number => x(within(value));
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
    const text = metricText(measure, mean, 1).replace(sd === null ? "" : / %$/, "");
    const deviation = sd === null ? "" : ` ± ${metricText(measure, sd, 1)}`;
    return (
      label(-12, y + 4, fitted(name, left - 12), { "text-anchor": "end" }) +
      dots.join("") +
      bar +
      element("circle", { class: "fill dot blue", cx: x(mean), cy: y, r: 5.5 }) +
      label(width + 12, y + 4, `${text}${deviation}`)
    );
  });
  const format = isShare ? (tick: number): string => `${Number((100 * tick).toPrecision(4))} %` : formatTick;
  const axis = bottomAxis(x, width, height, { label: measure.name, ticks, format });
  return { height: TOP + height + AXIS_BOTTOM, body: at(left, TOP, ...grid, axis, ...rows) };
}
