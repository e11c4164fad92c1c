// Receptive fields as small multiples: a map in space (columns of a hexagonal eye, pixels, or bars of some inputs) and a curve in time.

import { scaleLinear } from "d3-scale";
import { line as lineGenerator } from "d3-shape";
import type { InputPlaces } from "../../analysis/fieldSummary.ts";
import { HexagonalEye } from "../../data/hexagon.ts";
import { legend, patchMark } from "../axes.ts";
import type { Drawing, Figure, Table } from "../figure.ts";
import { greyImage, painted } from "../mask.ts";
import { at, element, fitted, label, round, textWidth } from "../svg.ts";

/** The field of one neuron. */
export interface DrawnField {
  readonly name: string;
  /** null: none beyond noise. */
  readonly sign: "on" | "off" | null;
  /** Of the variance of the response; NaN: unknown. */
  readonly share: number;
  /** Over the lags, at the input of the peak. */
  readonly kernel: readonly number[];
  /** Beyond ± these, the curve exceeds noise. */
  readonly bounds: readonly number[];
  readonly peakInput: number;
  /** Over the inputs, at the lag of the peak; null: too many inputs. */
  readonly map: { readonly values: readonly number[]; readonly isSignificant: ArrayLike<number> } | null;
}

export interface Fields {
  readonly fields: readonly DrawnField[];
  readonly places: InputPlaces | null;
  readonly lags: number;
}

const LEAST_WIDTH = 150;
const GAP = 22;
const TOP = 28;
const HEADING = 22;
const CURVE = 54;
const CURVE_GAP = 12;
const CURVE_FOOT = 20;
const ROW_GAP = 14;
/** Share of the shade that a value has which does not exceed noise. */
const NOISE_SHADE = 0.5;
/** Shades of each sign. */
const SHADES = 8;
/** Bars without places. */
const BARS = 8;
const BAR_PITCH = 16;

export function fieldsFigure(words: Pick<Figure, "id" | "title" | "caption">, fields: Fields, table: Table): Figure {
  return { ...words, span: "full", draw: (width, uid) => draw(fields, width, uid), table };
}

function draw({ fields, places, lags }: Fields, width: number, uid: string): Drawing {
  const columns = Math.max(1, Math.min(fields.length, Math.floor((width + GAP) / (LEAST_WIDTH + GAP))));
  // Few panels do not grow beyond what a map needs.
  const side = Math.min((width - (columns - 1) * GAP) / columns, 1.5 * LEAST_WIDTH);
  const mapHeight = places ? heightOf(places, side) : BAR_PITCH * mostBars(fields);
  const height = HEADING + mapHeight + CURVE_GAP + CURVE + CURVE_FOOT;
  const panels = fields.map((field, k) =>
    at(
      (k % columns) * (side + GAP),
      TOP + Math.floor(k / columns) * (height + ROW_GAP),
      heading(field, side),
      at(0, HEADING, map(field, places, { side, height: mapHeight, uid: `${uid}-${k}` })),
      at(0, HEADING + mapHeight + CURVE_GAP, curve(field, lags, side)),
    ),
  );
  const key = legend(width, 14, [
    [patchMark("blue"), "more input, more activity"],
    [patchMark("orange"), "more input, less"],
  ]);
  return { height: TOP + Math.ceil(fields.length / columns) * (height + ROW_GAP), body: key + panels.join("") };
}

/** The name, whether the centre is ON or OFF, and what the field explains. */
function heading({ name, sign, share }: DrawnField, side: number): string {
  const percent = Number.isFinite(share) ? `${Math.round(100 * share)} %` : "";
  const [kind, colour] = sign === null ? ["no field", "soft"] : sign === "on" ? ["ON", "blue"] : ["OFF", "orange"];
  const right = textWidth(percent) + 6;
  const room = side - right - textWidth(kind) - 12;
  return (
    label(0, 12, fitted(name, room), { class: "strong" }) +
    label(side - right, 12, kind, { class: colour, "text-anchor": "end" }) +
    label(side, 12, percent, { class: "soft", "text-anchor": "end" })
  );
}

interface Panel {
  readonly side: number;
  readonly height: number;
  readonly uid: string;
}

function map({ map: known, peakInput }: DrawnField, places: InputPlaces | null, panel: Panel): string {
  if (known === null) return label(0, 14, `input ${peakInput}`, { class: "soft" });
  const { values, isSignificant } = known;
  const most = values.reduce((max, value) => Math.max(max, Math.abs(value)), 0) || 1;
  if (places === null) return bars(values, most, panel);
  const share = (i: number) => ((isSignificant[i] ? 1 : NOISE_SHADE) * values[i]!) / most;
  return places.kind === "hexagons" ? hexagons(places.extent, share, panel) : pixels(places, share, panel);
}

/** Height of a map that is `side` wide; never higher than wide. */
function heightOf(places: InputPlaces, side: number): number {
  if (places.kind === "hexagons") return side;
  return Math.max(12, Math.min(side, (side * places.height) / places.width));
}

/** Columns with flat tops, as their neighbours lie straight above and below; a path per shade. */
function hexagons(extent: number, share: (i: number) => number, { side, height }: Panel): string {
  const eye = new HexagonalEye(extent);
  // Columns are 1 apart; the corners of one lie 1/√3 from its centre.
  const corner = 1 / Math.sqrt(3);
  const scale = Math.min(side / (Math.sqrt(3) * extent + 2 * corner), height / (2 * extent + 1));
  const [a, b] = [round((scale * corner) / 2), round(scale / 2)];
  const outline = `h${2 * a}l${a} ${b}l${-a} ${b}h${-2 * a}l${-a} ${-b}z`;
  const places = Array.from({ length: eye.count }, (_, i) => {
    const [x, y] = [side / 2 + scale * eye.x[i]!, height / 2 + scale * eye.y[i]!];
    return `M${round(x - a)} ${round(y - b)}${outline}`;
  });
  const shades = new Map<number, string[]>();
  for (const [i, place] of places.entries()) {
    const shade = Math.round(SHADES * share(i));
    if (shade === 0) continue;
    shades.set(shade, [...(shades.get(shade) ?? []), place]);
  }
  const drawn = [...shades].map(([shade, paths]) =>
    element("path", {
      class: `fill ${shade > 0 ? "blue" : "orange"}`,
      "fill-opacity": Math.abs(shade) / SHADES,
      d: paths.join(""),
    }),
  );
  return element("path", { class: "fill ink", "fill-opacity": 0.05, d: places.join("") }) + drawn.join("");
}

function pixels(
  { width, height: rows }: { readonly width: number; readonly height: number },
  share: (i: number) => number,
  { side, height, uid }: Panel,
): string {
  const scale = Math.min(side / width, height / rows);
  const box = {
    x: (side - scale * width) / 2,
    y: (height - scale * rows) / 2,
    width: scale * width,
    height: scale * rows,
  };
  const picture = (sign: number) => greyImage(width, rows, (x, y) => Math.max(0, sign * share(y * width + x)));
  return (
    element("rect", { class: "fill ink", ...box, "fill-opacity": 0.05 }) +
    painted(`${uid}-more`, "blue", [{ image: picture(1), ...box }]) +
    painted(`${uid}-less`, "orange", [{ image: picture(-1), ...box }])
  );
}

/** One line where there are too many inputs for bars. */
function mostBars(fields: readonly DrawnField[]): number {
  return Math.max(1, ...fields.map(({ map }) => Math.min(BARS, map?.values.length ?? 1)));
}

/** The strongest inputs. */
function bars(values: readonly number[], most: number, { side }: Panel): string {
  const strongest = [...values.keys()].sort((i, j) => Math.abs(values[j]!) - Math.abs(values[i]!) || i - j);
  const shown = strongest.slice(0, BARS);
  const left = Math.max(...shown.map((i) => textWidth(`input ${i}`, 10.5))) + 6;
  const x = scaleLinear([-most, most], [left, side]);
  const rows = shown.map((i, k) => {
    const [from, to] = [x(Math.min(0, values[i]!)), x(Math.max(0, values[i]!))];
    const colour = values[i]! > 0 ? "blue" : "orange";
    return (
      label(left - 6, BAR_PITCH * k + 12, `input ${i}`, { class: "soft small", "text-anchor": "end" }) +
      element("rect", { class: `fill ${colour}`, x: from, y: BAR_PITCH * k + 3, width: to - from, height: 11 })
    );
  });
  const zero = element("line", { class: "axis thin", x1: x(0), x2: x(0), y1: 0, y2: BAR_PITCH * shown.length });
  return rows.join("") + zero;
}

/** The field over the lag at the input of its peak. */
function curve({ kernel, bounds }: DrawnField, lags: number, side: number): string {
  const most = Math.max(...kernel.map(Math.abs), ...bounds) || 1;
  const x = scaleLinear([0, Math.max(1, lags - 1)], [4, side - 4]);
  const y = scaleLinear([-most, most], [CURVE, 0]);
  const path = (values: readonly number[]) =>
    lineGenerator<number>(
      (_, lag) => x(lag),
      (value) => y(value),
    ).digits(1)([...values])!;
  const dots = kernel.map((value, lag) =>
    Math.abs(value) > bounds[lag]!
      ? element("circle", { class: `fill ${value > 0 ? "blue" : "orange"}`, cx: x(lag), cy: y(value), r: 3 })
      : "",
  );
  const foot = CURVE + 13;
  return (
    element("line", { class: "grid thin", x1: 0, x2: side, y1: y(0), y2: y(0) }) +
    [1, -1].map((sign) => element("path", { class: "guide", d: path(bounds.map((bound) => sign * bound)) })).join("") +
    element("path", { class: "line thin ink", d: path(kernel) }) +
    dots.join("") +
    label(4, foot, "0", { class: "soft small", "text-anchor": "middle" }) +
    label(side / 2, foot, "lag (frames)", { class: "soft small", "text-anchor": "middle" }) +
    (lags > 1 ? label(side - 4, foot, `${lags - 1}`, { class: "soft small", "text-anchor": "end" }) : "")
  );
}
