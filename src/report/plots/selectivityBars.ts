// How much of the variance of each group's response the condition explains: a bar per group, the most selective first.

import { scaleLinear } from "d3-scale";
import type { ShownResponses } from "../../analysis/responsesShown.ts";
import { formatCount, formatNumber, formatTick } from "../../core/format.ts";
import type { Drawing, Figure } from "../figure.ts";
import { at, element, fitted, label, textWidth } from "../svg.ts";

const ROW = 16;
const TOP = 24;
/** Names take at most this share of the width. */
const NAMES = 0.3;
const PREFERRED = 110;

export function selectivityFigure({ selectivity, conditions, groups, by, measure }: ShownResponses): Figure {
  const some = selectivity.length < groups ? ` ${selectivity.length} of ${formatCount(groups)} groups.` : "";
  const nameOf = (c: number): string => (c < 0 ? "–" : conditions[c]!.name);
  const shortNameOf = (c: number): string => {
    const value = conditions[c]?.value ?? null;
    return value === null ? `· ${nameOf(c)}` : `at ${formatTick(Number(value.toPrecision(2)))}`;
  };
  return {
    id: "selectivity",
    title: `Selectivity for ${by}`,
    caption: `Share of the variance of the response (${measure}) over samples that ${by} explains, corrected for bias (ε²): 0 is chance, 1 is all. On the right: the ${by} with the largest response.${some}`,
    span: "half",
    draw: (width) => draw(selectivity, shortNameOf, width),
    table: {
      columns: ["group", "neurons", "ε²", "η²", "preferred", "selectivity index"],
      rows: selectivity.map(({ name, neurons, epsilonSquared, etaSquared, preferred, index }) => [
        ...[name, neurons, formatNumber(epsilonSquared), formatNumber(etaSquared)],
        ...[nameOf(preferred), formatNumber(index)],
      ]),
    },
  };
}

function draw(rows: ShownResponses["selectivity"], nameOf: (c: number) => string, fullWidth: number): Drawing {
  const left = Math.min(Math.max(...rows.map(({ name }) => textWidth(name))) + 12, NAMES * fullWidth);
  const width = fullWidth - left - PREFERRED;
  const height = rows.length * ROW;
  const x = scaleLinear([0, 1], [0, width]);
  const grid = [0, 0.5, 1].map(
    (tick) =>
      element("line", { class: "grid thin", x1: x(tick), x2: x(tick), y1: 0, y2: height }) +
      label(x(tick), -8, `${tick}`, { class: "soft small", "text-anchor": "middle" }),
  );
  const bars = rows.map(({ name, etaSquared, epsilonSquared, preferred }, r) => {
    const share = Number.isNaN(epsilonSquared) ? etaSquared : epsilonSquared;
    const y = r * ROW;
    return (
      label(-10, y + 11, fitted(name, left - 12, 10.5), { class: "soft small", "text-anchor": "end" }) +
      element("rect", {
        class: "fill blue",
        y: y + 2,
        width: Math.max(1, x(Math.max(0, share))),
        height: ROW - 4,
        rx: 2,
      }) +
      label(
        width + 8,
        y + 11,
        fitted(`${formatTick(Number(share.toFixed(2)))} ${nameOf(preferred)}`, PREFERRED - 10, 10.5),
        {
          class: "small",
        },
      )
    );
  });
  return { height: TOP + height + 6, body: at(left, TOP, ...grid, ...bars) };
}
