// Curves of the loss or a metric over training steps: each batch, the running mean, evaluations, and the level of chance.

import { scaleLinear } from "d3-scale";
import { line as lineGenerator } from "d3-shape";
import { formatNumber } from "../../core/format.ts";
import type { EvaluationSet } from "../../train/metrics.ts";
import type { MetricValues } from "../../train/taskDescription.ts";
import {
  AXIS_BOTTOM,
  AXIS_LEFT,
  AXIS_TOP,
  bottomAxis,
  leftAxis,
  legend,
  lineMark,
  spreadOut,
  wholeTicks,
} from "../axes.ts";
import type { Drawing, Figure } from "../figure.ts";
import { type Point, smoothed, thinned } from "../series.ts";
import { at, element, label } from "../svg.ts";

/** Loss and metrics of a batch, or of an evaluation, after `step` steps. */
export interface CurvePoint {
  readonly step: number;
  readonly loss: number;
  readonly metrics: MetricValues;
}

/** The record that curves are drawn from. Values that are not finite leave gaps. */
export interface Curves {
  readonly steps: readonly CurvePoint[];
  readonly evaluations: readonly (CurvePoint & { readonly set: EvaluationSet })[];
}

export interface CurvesOptions extends Curves, Pick<Figure, "id" | "title" | "caption"> {
  readonly value: (of: CurvePoint) => number;
  readonly yLabel: string;
  /** Fixed ends of the axis; null: as the values need it, without those that would flatten the rest. */
  readonly range: readonly [least: number | null, most: number | null];
  /** Larger values leave the picture; default: far outliers do. */
  readonly ceiling?: number;
  /** null: unknown. */
  readonly chance: number | null;
  /** The best possible value; default null: unknown. */
  readonly best?: number | null;
  readonly format: (value: number) => string;
}

const PANEL_HEIGHT = 230;
const RIGHT = 96;
const LABEL_GAP = 15;
const TABLE_ROWS = 50;
const COLOURS: Readonly<Record<EvaluationSet, string>> = { validation: "orange", test: "purple" };
/** Values this many interquartile ranges beyond a quartile are far outliers. */
const FAR = 3;
/** Share of a run that the running mean covers. */
const SMOOTHING = 1 / 40;

export function curvesFigure(options: CurvesOptions): Figure {
  const { id, title, caption } = options;
  return { id, title, caption, span: "half", draw: (width, uid) => draw(options, width, uid), table: tableOf(options) };
}

function draw(options: CurvesOptions, fullWidth: number, uid: string): Drawing {
  const { steps, evaluations, value, chance, best = null, format } = options;
  const width = fullWidth - AXIS_LEFT - RIGHT;
  const batches = thinned(finite(steps.map((m) => ({ x: m.step, y: value(m) }))), width);
  const mean = smoothed(batches, Math.max(1, Math.round(batches.length * SMOOTHING)));
  const of = (set: EvaluationSet) =>
    finite(evaluations.filter((e) => e.set === set).map((e) => ({ x: e.step, y: value(e) })));
  const sets = (["validation", "test"] as const)
    .map((set) => ({ set, points: of(set) }))
    .filter((s) => s.points.length);
  const everything = [...batches, ...sets.flatMap((s) => s.points)];
  const x = scaleLinear([0, Math.max(1, ...everything.map((p) => p.x))], [0, width]);
  const ends = extent(
    everything.map((p) => p.y),
    options,
  );
  const y = scaleLinear(ends, [PANEL_HEIGHT, 0]);
  if (options.range.includes(null)) y.nice(5);
  const path = lineGenerator<Point>(
    (p) => x(p.x),
    (p) => y(p.y),
  ).digits(1);
  const dots = (points: readonly Point[], colour: string, r: number) =>
    points.map((p) => element("circle", { class: `fill dot ${colour}`, cx: x(p.x), cy: y(p.y), r })).join("");
  const curve = (points: readonly Point[], className: string) =>
    points.length > 1 ? element("path", { class: `line ${className}`, d: path([...points])! }) : "";
  const clip = `${uid}-clip`;
  const body = [
    leftAxis(y, width, { label: options.yLabel, ticks: y.ticks(5), format }),
    bottomAxis(x, width, PANEL_HEIGHT, { label: "training step", ticks: wholeTicks(x, Math.max(3, width / 80)) }),
    element("clipPath", { id: clip }, element("rect", { x: -6, y: -6, width: width + 12, height: PANEL_HEIGHT + 6 })),
    ...[chance, best].map((level) =>
      level === null ? "" : element("line", { class: "guide", x1: 0, x2: width, y1: y(level), y2: y(level) }),
    ),
    element(
      "g",
      { "clip-path": `url(#${clip})` },
      curve(batches, "blue thin faint"),
      mean.length === 1 ? dots(mean, "blue", 3.5) : curve(mean, "blue"),
      ...sets.map(({ set, points }) => curve(points, COLOURS[set])),
      ...sets.map(({ set, points }) => dots(points, COLOURS[set], set === "test" ? 5 : 3.5)),
    ),
    legend(width + RIGHT, -14, [
      [lineMark("blue thin faint"), "each batch"],
      [lineMark("blue"), "running mean"],
    ]),
    ...endLabels(
      [
        ...(mean.length ? [{ name: "training", colour: "blue", value: mean.at(-1)!.y }] : []),
        ...sets.map(({ set, points }) => ({ name: set as string, colour: COLOURS[set], value: points.at(-1)!.y })),
        ...(chance === null ? [] : [{ name: "chance", colour: "soft", value: chance }]),
        ...(best === null ? [] : [{ name: "best", colour: "soft", value: best }]),
      ].map((end) => ({ ...end, at: Math.max(0, Math.min(PANEL_HEIGHT, y(end.value))) })),
      width,
      format,
    ),
  ];
  return { height: AXIS_TOP + PANEL_HEIGHT + AXIS_BOTTOM, body: at(AXIS_LEFT, AXIS_TOP, ...body) };
}

/** The ends of the axis of values. */
function extent(
  values: readonly number[],
  { range: [least, most], ceiling, chance, best }: Pick<CurvesOptions, "range" | "ceiling" | "chance" | "best">,
): [number, number] {
  const sorted = [...values].sort((a, b) => a - b);
  const quartile = (share: number): number => sorted[Math.round(share * (sorted.length - 1))] ?? 0;
  const far = FAR * (quartile(0.75) - quartile(0.25));
  const [low, high] = [
    Math.max(quartile(0), quartile(0.25) - far),
    ceiling === undefined ? Math.min(quartile(1), quartile(0.75) + far) : quartile(1),
  ];
  const bottom = least ?? Math.min(0, low, chance ?? low, best ?? low);
  const top = most ?? Math.min(ceiling ?? Number.POSITIVE_INFINITY, Math.max(high, chance ?? high) * 1.05);
  return [bottom, top > bottom ? top : bottom + 1];
}

/** Names and last values beside the ends of the curves. */
function endLabels(
  ends: readonly { name: string; colour: string; value: number; at: number }[],
  width: number,
  format: (value: number) => string,
): string[] {
  const places = spreadOut(
    ends.map((end) => end.at),
    LABEL_GAP,
    0,
    PANEL_HEIGHT,
  );
  return ends.map(({ name, colour, value }, k) =>
    label(width + 10, places[k]! + 4, `${name} ${format(value)}`, { class: colour === "soft" ? "soft" : colour }),
  );
}

function finite(points: readonly Point[]): Point[] {
  return points.filter((p) => Number.isFinite(p.y));
}

/** Evaluations, and some of the batches. */
function tableOf({ steps, evaluations, value, yLabel }: CurvesOptions): Figure["table"] {
  const stride = Math.ceil(steps.length / TABLE_ROWS);
  const batches = steps.filter((m, k) => k % stride === 0 || m === steps.at(-1));
  return {
    columns: ["step", "samples", yLabel],
    rows: [
      ...evaluations.map((e) => [e.step, e.set, formatNumber(value(e))]),
      ...batches.map((m) => [m.step, "training batch", formatNumber(value(m))]),
    ],
  };
}
