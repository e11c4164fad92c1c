// Paired differences between a network and its controls: a dot per seed, their mean with its interval per control.

import { scaleLinear } from "d3-scale";
import { formatTick } from "../../core/format.ts";
import { differences, type Verdict, type VerdictRules } from "../../stats/verdict.ts";
import { AXIS_BOTTOM, bottomAxis } from "../axes.ts";
import type { Drawing, Figure } from "../figure.ts";
import { capitalised } from "../names.ts";
import { at, element, fitted, label, textWidth } from "../svg.ts";
import { differenceText, type JudgedMeasure, level, verdictTable } from "../verdicts.ts";

const PITCH = 34;
const TOP = 10;
const RIGHT = 110;
/** Names take at most this share of the width. */
const NAMES = 0.3;

export function differencesFigure(verdicts: readonly Verdict[], measure: JudgedMeasure, rules: VerdictRules): Figure {
  const better = measure.better === "higher" ? "right" : "left";
  const band = rules.smallestEffect === null ? "" : " Band: differences below the smallest effect of interest.";
  return {
    id: "differences",
    title: `${capitalised(measure.name)}: real − control`,
    caption: `Small dots: pairs, one per seed. Large dot and bar: their mean and its ${level(rules.alpha)} interval. On the ${better} of 0, real is better.${band}`,
    span: "full",
    draw: (width) => draw(verdicts, measure, rules, width),
    table: verdictTable(verdicts, measure, rules),
  };
}

function draw(
  verdicts: readonly Verdict[],
  measure: JudgedMeasure,
  { smallestEffect }: VerdictRules,
  fullWidth: number,
): Drawing {
  const rows = verdicts.map(({ control, pairs, statistics }) => ({
    control,
    statistics,
    dots: differences(pairs),
  }));
  const widest = Math.max(...rows.map(({ control }) => textWidth(control)));
  const left = Math.min(widest + 16, NAMES * fullWidth);
  const width = fullWidth - left - RIGHT;
  const height = rows.length * PITCH;
  const margin = smallestEffect ?? 0;
  const ends = [0, -margin, margin, ...rows.flatMap((row) => [...row.dots, ...(row.statistics.interval ?? [])])];
  const [low, high] = [Math.min(...ends), Math.max(...ends)];
  const pad = 0.06 * (high - low) || (measure.format === "share" ? 0.01 : 1);
  const x = scaleLinear([low - pad, high + pad], [0, width]).nice(6);
  const ticks = x.ticks(Math.max(3, width / 110));
  const grid = ticks.map((tick) =>
    element("line", { class: "grid thin", x1: x(tick), x2: x(tick), y1: 0, y2: height }),
  );
  const band =
    margin > 0
      ? element("rect", { class: "fill ink tint", x: x(-margin), y: 0, width: x(margin) - x(-margin), height })
      : "";
  const zero = element("line", { class: "axis thin", x1: x(0), x2: x(0), y1: 0, y2: height });
  const marks = rows.map(({ control, dots, statistics: { mean, interval } }, k) => {
    const y = k * PITCH + PITCH / 2;
    const pairDots = dots.map((d) => element("circle", { class: "fill blue faint", cx: x(d), cy: y, r: 3.5 }));
    const bar = interval
      ? element("line", { class: "line blue", x1: x(interval[0]), x2: x(interval[1]), y1: y, y2: y })
      : "";
    const dot = mean === null ? "" : element("circle", { class: "fill dot blue", cx: x(mean), cy: y, r: 5.5 });
    return (
      label(-12, y + 4, fitted(control, left - 12), { "text-anchor": "end" }) +
      pairDots.join("") +
      bar +
      dot +
      label(width + 12, y + 4, mean === null ? "no pair" : differenceText(measure, mean))
    );
  });
  const isShare = measure.format === "share";
  const format = isShare ? (tick: number): string => formatTick(Number((100 * tick).toPrecision(4))) : formatTick;
  const name = `difference of ${measure.name}${isShare ? " (points)" : ""}`;
  const axis = bottomAxis(x, width, height, { label: name, ticks, format });
  return { height: TOP + height + AXIS_BOTTOM, body: at(left, TOP, band, ...grid, zero, axis, ...marks) };
}
