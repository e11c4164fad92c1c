// A histogram that was counted before.

import { scaleLinear } from "d3-scale";
import { formatTick } from "../../core/format.ts";
import { AXIS_BOTTOM, AXIS_LEFT, AXIS_TOP, bottomAxis, leftAxis, wholeTicks } from "../axes.ts";
import type { Drawing } from "../figure.ts";
import { at, element } from "../svg.ts";

const PANEL_HEIGHT = 200;
const RIGHT = 16;

/** What a histogram shows, and its axes. */
export interface HistogramPlot {
  /** Lower end of the first bar. */
  readonly low: number;
  /** Width of a bar. */
  readonly step: number;
  readonly counts: readonly number[];
  readonly xLabel: string;
  readonly yLabel: string;
  /** Text of a tick. */
  readonly format: (value: number) => string;
  /** A place to mark. */
  readonly mark?: number;
}

export function drawHistogram(
  { low, step, counts, xLabel, yLabel, format, mark }: HistogramPlot,
  fullWidth: number,
): Drawing {
  const width = fullWidth - AXIS_LEFT - RIGHT;
  const x = scaleLinear([low, low + step * counts.length], [0, width]);
  const y = scaleLinear([0, Math.max(1, ...counts) * 1.05], [PANEL_HEIGHT, 0]);
  const bars = counts.map((n, k) =>
    n === 0
      ? ""
      : element("rect", {
          ...{ class: "fill blue", x: x(low + k * step) + 0.5, width: Math.max(0.5, x(low + step) - 1) },
          ...{ y: y(n), height: PANEL_HEIGHT - y(n) },
        }),
  );
  const isMarked = mark !== undefined && mark >= low && mark <= low + step * counts.length;
  const body = [
    leftAxis(y, width, { label: yLabel, ticks: wholeTicks(y, 4), format: formatTick }),
    ...bars,
    ...(isMarked ? [element("line", { class: "guide", x1: x(mark), x2: x(mark), y1: 0, y2: PANEL_HEIGHT })] : []),
    bottomAxis(x, width, PANEL_HEIGHT, { label: xLabel, ticks: x.ticks(Math.max(3, width / 90)), format }),
  ];
  return { height: AXIS_TOP + PANEL_HEIGHT + AXIS_BOTTOM, body: at(AXIS_LEFT, AXIS_TOP, ...body) };
}
