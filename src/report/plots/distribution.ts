// The distribution of a parameter before and after training.

import { scaleLinear, scaleLog } from "d3-scale";
import { area, curveStepAfter, line } from "d3-shape";
import { formatCount, formatNumber, formatTick } from "../../core/format.ts";
import { distributionOf, sortedNumbers } from "../../data/statistics.ts";
import { AXIS_BOTTOM, AXIS_LEFT, AXIS_TOP, bottomAxis, decades, leftAxis, legend, lineMark } from "../axes.ts";
import type { Drawing, Figure } from "../figure.ts";
import type { ParameterChange } from "../observation.ts";
import { at, element } from "../svg.ts";

const PANEL_HEIGHT = 190;
const RIGHT = 16;
const BINS = 48;
/** Share of the values at either end that the plot leaves out; the outermost bars count them. */
const TAIL = 0.0005;
/** End of empty bars on a logarithmic axis, which has no 0. */
const FLOOR = 0.6;

interface Bins {
  readonly low: number;
  readonly step: number;
  readonly before: number[];
  readonly after: number[];
}

export function distributionFigure(change: ParameterChange): Figure {
  const { name, of, before, after } = change;
  const bins = binsOf(change);
  const [first, last] = [distributionOf(before), distributionOf(after)];
  const moved = before.length === 0 ? 0 : Math.sqrt(meanSquare(after, before));
  return {
    id: `distribution-${name}`,
    title: `${name.charAt(0).toUpperCase()}${name.slice(1)} before and after training`,
    caption: `${formatCount(after.length)} ${of}; on a logarithmic axis; the outermost bars hold what lies beyond. Root-mean-square change: ${formatNumber(moved)}.`,
    span: "third",
    draw: (width) => draw(bins, name, of, width),
    table: {
      columns: ["", "before", "after"],
      rows: (["min", "median", "mean", "max"] as const).map((key) => [
        key,
        formatNumber(first[key]),
        formatNumber(last[key]),
      ]),
    },
  };
}

function draw({ low, step, before, after }: Bins, name: string, of: string, fullWidth: number): Drawing {
  const width = fullWidth - AXIS_LEFT - RIGHT;
  const x = scaleLinear([low, low + step * BINS], [0, width]);
  const nTicks = Math.max(3, width / 100);
  const largest = Math.max(Math.abs(low), Math.abs(low + step * BINS));
  const format = x.tickFormat(nTicks, largest >= 1e-3 && largest < 1e5 ? undefined : "~e");
  const most = Math.max(...before, ...after, 10);
  const y = scaleLog([FLOOR, most * 1.2], [PANEL_HEIGHT, 0]);
  // One value more than bars, so that the last one has an end.
  const edges = (counts: readonly number[]) => [...counts, counts.at(-1)!].map((n, k) => [low + k * step, n] as const);
  const height = (n: number) => y(Math.max(FLOOR, n));
  const outline = line<readonly [number, number]>(
    (p) => x(p[0]),
    (p) => height(p[1]),
  )
    .curve(curveStepAfter)
    .digits(1);
  const filled = area<readonly [number, number]>(
    (p) => x(p[0]),
    PANEL_HEIGHT,
    (p) => height(p[1]),
  )
    .curve(curveStepAfter)
    .digits(1);
  const body = [
    leftAxis(y, width, { label: of, ticks: decades(1, most), format: formatTick }),
    element("path", { class: "fill blue tint", d: filled(edges(after))! }),
    element("path", { class: "line blue", d: outline(edges(after))! }),
    element("path", { class: "line orange dashed", d: outline(edges(before))! }),
    bottomAxis(x, width, PANEL_HEIGHT, {
      label: name,
      ticks: x.ticks(nTicks),
      format: (tick) => format(tick).replace("e+", "e"),
    }),
    legend(width, -14, [
      [lineMark("orange dashed"), "before"],
      [lineMark("blue"), "after"],
    ]),
  ];
  return { height: AXIS_TOP + PANEL_HEIGHT + AXIS_BOTTOM, body: at(AXIS_LEFT, AXIS_TOP, ...body) };
}

function binsOf({ before, after }: ParameterChange): Bins {
  const inner = [before, after].map((values) => {
    const sorted = sortedNumbers(values);
    return [TAIL, 1 - TAIL].map((q) => sorted[Math.round(q * (sorted.length - 1))]!) as [number, number];
  });
  let low = Math.min(...inner.map(([first]) => first));
  let high = Math.max(...inner.map(([, last]) => last));
  // All values equal, as τ before training.
  if (!(high > low)) {
    const margin = Math.abs(low) / 2 || 0.5;
    [low, high] = [low - margin, low + margin];
  }
  const step = (high - low) / (BINS - 1);
  low -= step / 2;
  const counts = (values: ArrayLike<number>) => {
    const bins = new Array<number>(BINS).fill(0);
    for (let k = 0; k < values.length; k++) {
      const bin = Math.floor((values[k]! - low) / step);
      bins[Math.min(BINS - 1, Math.max(0, bin))]!++;
    }
    return bins;
  };
  return { low, step, before: counts(before), after: counts(after) };
}

function meanSquare(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let k = 0; k < a.length; k++) sum += (a[k]! - b[k]!) ** 2;
  return sum / a.length;
}
