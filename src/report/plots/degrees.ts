// Degree distributions of the connectome: the share of neurons with at least so many partners, which needs no bins.

import { scaleLog } from "d3-scale";
import { line } from "d3-shape";
import { formatCount, formatNumber } from "../../core/format.ts";
import type { ConnectomeStatistics } from "../../data/statistics.ts";
import { distributionOf } from "../../data/statistics.ts";
import { AXIS_BOTTOM, AXIS_LEFT, AXIS_TOP, bottomAxis, leftAxis, legend, lineMark, logTicks } from "../axes.ts";
import type { Drawing, Figure } from "../figure.ts";
import { at, element } from "../svg.ts";

const PANEL_HEIGHT = 250;
const RIGHT = 16;

type Degrees = Pick<ConnectomeStatistics, "inDegrees" | "outDegrees" | "emptyRows" | "emptyColumns">;

export function degreesFigure(degrees: Degrees): Figure {
  const { inDegrees, outDegrees, emptyRows, emptyColumns } = degrees;
  const incoming = distributionOf(inDegrees);
  const outgoing = distributionOf(outDegrees);
  return {
    id: "degrees",
    title: "Degrees",
    caption: `Share of neurons with at least so many partners, on logarithmic axes. ${formatCount(emptyRows)} neurons have no input and ${formatCount(emptyColumns)} no output.`,
    span: "half",
    draw: (width) => draw(degrees, width),
    table: {
      columns: ["", "in-degree", "out-degree"],
      rows: (["min", "median", "mean", "max"] as const).map((key) => [
        key,
        formatNumber(incoming[key]),
        formatNumber(outgoing[key]),
      ]),
    },
  };
}

function draw({ inDegrees, outDegrees }: Degrees, fullWidth: number): Drawing {
  const width = fullWidth - AXIS_LEFT - RIGHT;
  const curves = [tailOf(inDegrees), tailOf(outDegrees)] as const;
  const most = Math.max(10, ...curves.flat().map(([degree]) => degree));
  const least = Math.min(0.1, ...curves.flat().map(([, share]) => share));
  const x = scaleLog([1, most * 1.1], [0, width]);
  const y = scaleLog([least / 1.5, 1], [PANEL_HEIGHT, 0]);
  const path = line<readonly [number, number]>(
    (p) => x(p[0]),
    (p) => y(p[1]),
  ).digits(1);
  const shares = logTicks(least, 1);
  const body = [
    leftAxis(y, width, { label: "share of neurons", ticks: shares, format: shareText }),
    bottomAxis(x, width, PANEL_HEIGHT, { label: "number of partners, at least", ticks: logTicks(1, most) }),
    element("path", { class: "line blue", d: path(curves[0]) ?? "" }),
    element("path", { class: "line orange dashed", d: path(curves[1]) ?? "" }),
    legend(width, -14, [
      [lineMark("blue"), "in"],
      [lineMark("orange dashed"), "out"],
    ]),
  ];
  return { height: AXIS_TOP + PANEL_HEIGHT + AXIS_BOTTOM, body: at(AXIS_LEFT, AXIS_TOP, ...body) };
}

/** (degree, share of neurons with at least that degree) for each degree that occurs, from 1. */
function tailOf(degrees: Uint32Array): [number, number][] {
  const sorted = degrees.slice().sort();
  const points: [number, number][] = [];
  sorted.forEach((degree, k) => {
    if (degree > 0 && degree !== sorted[k - 1]) points.push([degree, (sorted.length - k) / sorted.length]);
  });
  return points;
}

/** 0.01 → "1 %". */
function shareText(share: number): string {
  return `${Number((100 * share).toPrecision(1))} %`;
}
