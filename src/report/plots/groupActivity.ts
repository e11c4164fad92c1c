// Activity of groups of neurons over time as a map: a row per group, a panel per condition.

import type { ShownResponses } from "../../analysis/responsesShown.ts";
import { formatCount, formatNumber, formatTick } from "../../core/format.ts";
import { plural } from "../../core/text.ts";
import { legend, patchMark } from "../axes.ts";
import type { Drawing, Figure } from "../figure.ts";
import { greyImage, painted } from "../mask.ts";
import { at, element, fitted, label, textWidth } from "../svg.ts";

const TOP = 56;
const ROW = 15;
const GAP = 16;
const BOTTOM = 44;
/** For the scale of each row, on its right. */
const RIGHT = 64;
/** Names take at most this share of the width. */
const NAMES = 0.25;
/** Narrow pages show fewer conditions rather than slivers. */
const LEAST_WIDTH = 90;

export function groupActivityFigure({ activity, groups, by, failed }: ShownResponses): Figure {
  const { rows, panels, times } = activity;
  const left = groups > rows.length ? ` The ${rows.length} strongest of ${formatCount(groups)} groups.` : "";
  const without = failed > 0 ? ` ${plural(failed, "sample")} could not be solved and left out.` : "";
  const each = panels.length > 1 ? `, by ${by}` : "";
  return {
    id: "activity",
    title: "Activity by group over time",
    caption: `Mean activity of each group${each}, as its deviation from before the input: blue above, orange below. Each row has its own scale, written on its right: the largest deviation.${left}${without}`,
    span: "full",
    draw: (width, uid) => draw(activity, width, uid),
    table: {
      columns: ["group", "neurons", "condition", "largest deviation", "at", "last deviation"],
      rows: rows.flatMap(({ name, neurons, deviation }) =>
        panels.map((panel, p) => {
          const own = deviation.slice(p * times.length, (p + 1) * times.length);
          const peak = largest(own);
          const when = formatNumber(times[own.indexOf(peak)]!);
          return [name, neurons, panel.name, formatNumber(peak), when, formatNumber(own.at(-1)!)];
        }),
      ),
    },
  };
}

/** The number that is largest in size. */
function largest(numbers: readonly number[]): number {
  return numbers.reduce((most, x) => (Math.abs(x) > Math.abs(most) ? x : most), 0);
}

function draw({ rows, panels, times, timeUnit }: ShownResponses["activity"], fullWidth: number, uid: string): Drawing {
  const left = Math.min(Math.max(...rows.map(({ name }) => textWidth(name))) + 12, NAMES * fullWidth);
  const room = fullWidth - left - RIGHT;
  const shown = Math.max(1, Math.min(panels.length, Math.floor((room + GAP) / (LEAST_WIDTH + GAP))));
  const width = (room - (shown - 1) * GAP) / shown;
  const height = rows.length * ROW;
  const scales = rows.map(({ deviation }) => Math.abs(largest(deviation)));
  const drawn = panels.slice(0, shown).map(({ name }, p) => {
    const share = (r: number, t: number): number => rows[r]!.deviation[p * times.length + t]! / (scales[r]! || 1);
    const picture = (sign: number) => ({
      image: greyImage(times.length, rows.length, (t, r) => sign * share(r, t)),
      ...{ x: 0, y: 0, width, height },
    });
    const ends = [0, times.length - 1].map((t, k) =>
      label(k * width, height + 18, formatTick(times[t]!), { class: "soft", "text-anchor": k === 0 ? "start" : "end" }),
    );
    return at(
      left + p * (width + GAP),
      0,
      label(0, -10, fitted(name, width), { class: "strong" }),
      element("rect", { class: "fill ink", width, height, "fill-opacity": 0.04 }),
      painted(`${uid}-${p}-above`, "blue", [picture(1)]),
      painted(`${uid}-${p}-below`, "orange", [picture(-1)]),
      ...ends,
      label(width / 2, height + 18, timeUnit, { class: "soft", "text-anchor": "middle" }),
    );
  });
  const names = rows.map(
    ({ name }, r) =>
      label(left - 10, r * ROW + 11, fitted(name, left - 12, 10.5), { class: "soft small", "text-anchor": "end" }) +
      label(left + room + 8, r * ROW + 11, formatTick(Number(scales[r]!.toPrecision(2))), { class: "soft small" }),
  );
  const key = legend(fullWidth, -36, [
    [patchMark("blue"), "above"],
    [patchMark("orange"), "below"],
  ]);
  return { height: TOP + height + BOTTOM, body: at(0, TOP, key, ...names, ...drawn) };
}
