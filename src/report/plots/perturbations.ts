// Changes of a metric where neurons are acted upon: a dot per experiment with its standard error, the worst on top.

import { scaleLinear } from "d3-scale";
import { formatTick } from "../../core/format.ts";
import type { MetricDescription } from "../../train/taskDescription.ts";
import { metricText } from "../../train/taskDescription.ts";
import { AXIS_BOTTOM, bottomAxis } from "../axes.ts";
import type { Drawing } from "../figure.ts";
import { at, element, fitted, label, textWidth } from "../svg.ts";
import { differenceText } from "../verdicts.ts";

/** One experiment. */
export interface ShownChange {
  readonly name: string;
  /** NaN: unknown. */
  readonly change: number;
  /** Standard error; NaN: unknown. */
  readonly error: number;
}

const PITCH = 22;
const TOP = 22;
/** Names take at most this share of the width. */
const NAMES = 0.3;

/** @param intact  the metric's value where nothing is done */
export function drawChanges(
  changes: readonly ShownChange[],
  metric: Pick<MetricDescription, "name" | "format">,
  intact: number,
  fullWidth: number,
): Drawing {
  const isShare = metric.format === "share";
  const texts = changes.map(({ change }) => (Number.isNaN(change) ? "unknown" : differenceText(metric, change)));
  const right = Math.max(...texts.map((text) => textWidth(text))) + 20;
  const widest = Math.max(...changes.map(({ name }) => textWidth(name)));
  const left = Math.min(widest + 16, NAMES * fullWidth);
  const width = fullWidth - left - right;
  const height = changes.length * PITCH;
  const ends = changes.flatMap(({ change, error }) => [change - error, change, change + error]).filter(Number.isFinite);
  const [low, high] = [Math.min(0, ...ends), Math.max(0, ...ends)];
  const pad = 0.04 * (high - low) || (isShare ? 0.01 : 1);
  const x = scaleLinear([low - pad, high + pad], [0, width]);
  const ticks = x.ticks(Math.max(3, width / 110));
  const grid = ticks.map((tick) =>
    element("line", { class: "grid thin", x1: x(tick), x2: x(tick), y1: 0, y2: height }),
  );
  const zero = element("line", { class: "axis thin", x1: x(0), x2: x(0), y1: -4, y2: height });
  const name = `intact: ${metricText(metric, intact)}`;
  const room = textWidth(name) / 2;
  const above = label(Math.max(room, Math.min(width - room, x(0))), -8, name, {
    class: "soft",
    "text-anchor": "middle",
  });
  const marks = changes.map(({ name: own, change, error }, k) => {
    const y = k * PITCH + PITCH / 2;
    const stem = Number.isFinite(change)
      ? element("line", { class: "line blue faint", x1: x(0), x2: x(change), y1: y, y2: y })
      : "";
    const bar = Number.isFinite(change + error)
      ? element("line", { class: "line ink", x1: x(change - error), x2: x(change + error), y1: y, y2: y })
      : "";
    const dot = Number.isFinite(change)
      ? element("circle", { class: "fill dot blue", cx: x(change), cy: y, r: 5 })
      : "";
    return (
      label(-12, y + 4, fitted(own, left - 12), { "text-anchor": "end" }) +
      stem +
      bar +
      dot +
      label(width + 12, y + 4, texts[k]!, { class: "soft" })
    );
  });
  const format = isShare ? (tick: number): string => formatTick(Number((100 * tick).toPrecision(4))) : formatTick;
  const axis = bottomAxis(x, width, height, {
    ...{ ticks, format },
    label: `change of ${metric.name}${isShare ? " (points)" : ""}`,
  });
  return { height: TOP + height + AXIS_BOTTOM, body: at(left, TOP, ...grid, zero, above, axis, ...marks) };
}
