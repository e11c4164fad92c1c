// Many points as the density of what was found over what is known, with the line where both agree.

import { scaleLinear } from "d3-scale";
import { formatTick } from "../../core/format.ts";
import { AXIS_BOTTOM, AXIS_TOP, bottomAxis, leftAxis, legend, lineMark } from "../axes.ts";
import type { Drawing } from "../figure.ts";
import { greyImage, painted } from "../mask.ts";
import { at, element } from "../svg.ts";

const LEFT = 52;
const RIGHT = 16;
const MOST_SIDE = 340;
/** A single point still shows. */
const FAINTEST = 0.3;

/** What a density shows. */
export interface PointDensity {
  /** Both axes go from `low` to `high`. */
  readonly low: number;
  readonly high: number;
  /** [size, size], from the lowest found numbers on; in a row from the lowest known ones on. */
  readonly size: number;
  readonly counts: readonly number[];
  /** Of found on known numbers; NaN: none. */
  readonly slope: number;
  readonly intercept: number;
}

export function drawPointDensity(
  { low, high, size, counts, slope, intercept }: PointDensity,
  fullWidth: number,
  uid: string,
): Drawing {
  const side = Math.min(fullWidth - LEFT - RIGHT, MOST_SIDE);
  const x = scaleLinear([low, high], [0, side]);
  const y = scaleLinear([low, high], [side, 0]);
  const most = Math.log1p(counts.reduce((a, b) => Math.max(a, b), 1));
  const image = greyImage(size, size, (column, row) => {
    const n = counts[(size - 1 - row) * size + column]!;
    return n === 0 ? 0 : FAINTEST + (1 - FAINTEST) * (Math.log1p(n) / most);
  });
  const ticks = x.ticks(4);
  const line = (className: string, ends: readonly (readonly [number, number])[]) => {
    const [[x1, y1], [x2, y2]] = ends as [readonly [number, number], readonly [number, number]];
    return element("line", { class: className, x1: x(x1), y1: y(y1), x2: x(x2), y2: y(y2) });
  };
  const fitted = regressionWithin(low, high, slope, intercept);
  const body = [
    leftAxis(y, side, { label: "found", ticks, format: formatTick }),
    line("guide", [
      [low, low],
      [high, high],
    ]),
    painted(`${uid}-points`, "blue", [{ image, x: 0, y: 0, width: side, height: side }]),
    ...(fitted ? [line("line orange", fitted)] : []),
    bottomAxis(x, side, side, { label: "known", ticks, format: formatTick }),
    ...(fitted ? [legend(side, -14, [[lineMark("orange"), "regression"]])] : []),
  ];
  return { height: AXIS_TOP + side + AXIS_BOTTOM, body: at(LEFT, AXIS_TOP, ...body) };
}

/** The part of a line within the square; null: none. */
function regressionWithin(
  low: number,
  high: number,
  slope: number,
  intercept: number,
): readonly (readonly [number, number])[] | null {
  if (!Number.isFinite(slope + intercept)) return null;
  let [from, to] = [low, high];
  if (slope !== 0) {
    const ends = [(low - intercept) / slope, (high - intercept) / slope];
    [from, to] = [Math.max(low, Math.min(...ends)), Math.min(high, Math.max(...ends))];
  } else if (intercept < low || intercept > high) return null;
  if (!(to > from)) return null;
  return [from, to].map((known) => [known, slope * known + intercept] as const);
}
