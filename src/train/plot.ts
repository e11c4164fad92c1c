// Loss and accuracy of a run as one self-contained SVG: no scripts, no fonts or files from elsewhere, for light and dark pages.

import { type ScaleLinear, scaleLinear } from "d3-scale";
import { line as lineGenerator } from "d3-shape";
import { escapeMarkup } from "../core/text.ts";
import type { EvaluationSet } from "./metrics.ts";

/** Two curves' worth of a run. */
export interface CurvePoint {
  readonly step: number;
  readonly loss: number;
  readonly accuracy: number;
}

/** What `plotCurves` draws. */
export interface TrainingCurves {
  readonly title: string;
  /** One point per training step. */
  readonly training: readonly CurvePoint[];
  readonly evaluations: readonly (CurvePoint & { readonly set: EvaluationSet })[];
  /** Chance is at ln(classes) nats and 1/classes. */
  readonly classes: number;
}

const WIDTH = 760;
const HEIGHT = 600;
const MARGIN = { left: 68, right: 24, top: 100, bottom: 58 } as const;
const GAP = 44;
const PANEL_WIDTH = WIDTH - MARGIN.left - MARGIN.right;
const PANEL_HEIGHT = (HEIGHT - MARGIN.top - MARGIN.bottom - GAP) / 2;
/** More points than this cannot be told apart; longer runs are averaged. */
const MAX_POINTS = PANEL_WIDTH;
/** Share of a run that the smooth training curve averages over. */
const SMOOTHING = 1 / 50;
/** Losses above this many times chance (the first steps of an untuned run) leave the picture rather than flatten the rest. */
const LOSS_CEILING = 2;

interface Palette {
  readonly page: string;
  readonly ink: string;
  readonly soft: string;
  readonly grid: string;
  readonly training: string;
  readonly validation: string;
  readonly test: string;
}

const LIGHT: Palette = {
  page: "#ffffff",
  ink: "#1f2933",
  soft: "#5a6875",
  grid: "#e4e8ec",
  training: "#2563eb",
  validation: "#c2560c",
  test: "#0f8a5f",
};

const DARK: Palette = {
  page: "#14181d",
  ink: "#e6eaee",
  soft: "#9aa6b2",
  grid: "#2b323a",
  training: "#6ea8fe",
  validation: "#f2a154",
  test: "#4fd1a1",
};

/** Plain colours rather than CSS variables, which viewers other than browsers do not know. */
function colours({ page, ink, soft, grid, training, validation, test }: Palette): string {
  return `.page { fill: ${page}; }
text { fill: ${ink}; }
.soft, .tick { fill: ${soft}; }
.grid { stroke: ${grid}; }
.chance { stroke: ${soft}; }
.batch, .training { stroke: ${training}; }
.validation { stroke: ${validation}; }
.dot { stroke: ${page}; }
.dot.training { fill: ${training}; }
.dot.validation { fill: ${validation}; }
.dot.test { fill: ${test}; }`;
}

const STYLE = `text { font: 13px system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; font-variant-numeric: tabular-nums; }
text.title { font-size: 16px; font-weight: 600; }
text.tick { font-size: 12px; }
.chance { stroke-dasharray: 2 4; }
.curve { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
line.training, line.validation { stroke-width: 2; }
.batch { stroke-width: 1; opacity: 0.35; }
.dot { stroke-width: 1.5; }
${colours(LIGHT)}
@media (prefers-color-scheme: dark) {
${colours(DARK)}
}`;

/** The picture, as text of an .svg file. */
export function plotCurves({ title, training, evaluations, classes }: TrainingCurves): string {
  const lastStep = Math.max(1, ...[training.at(-1), ...evaluations].map((p) => p?.step ?? 0));
  const x = scaleLinear([0, lastStep], [0, PANEL_WIDTH]);
  const chance = { loss: Math.log(classes), accuracy: 100 / classes };
  const raw = thinned(training.filter(isFinitePoint), MAX_POINTS);
  const smooth = smoothed(raw, Math.max(1, Math.round(raw.length * SMOOTHING)));
  const finite = evaluations.filter(isFinitePoint);
  const highest = Math.max(chance.loss * 1.08, ...[...raw, ...finite].map((p) => p.loss));
  const data = { raw, smooth, evaluations: finite };
  const loss = panel({
    label: "loss (nats)",
    x,
    y: scaleLinear([0, Math.min(highest, chance.loss * LOSS_CEILING)], [PANEL_HEIGHT, 0]).nice(5),
    value: (p) => p.loss,
    chance: chance.loss,
    chanceLabel: `chance, ln ${classes}`,
    tick: (v) => `${Number(v.toPrecision(6))}`,
    data,
  });
  const accuracy = panel({
    label: "accuracy (%)",
    x,
    y: scaleLinear([0, 100], [PANEL_HEIGHT, 0]),
    value: (p) => 100 * p.accuracy,
    chance: chance.accuracy,
    chanceLabel: `chance, ${Number(chance.accuracy.toPrecision(3))} %`,
    tick: (v) => `${v}`,
    data,
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" role="img" aria-labelledby="title">
<title id="title">${escapeMarkup(title)}: loss and accuracy by training step</title>
<style>${STYLE}</style>
<rect width="${WIDTH}" height="${HEIGHT}" class="page"/>
<defs><clipPath id="panel"><rect x="-1" y="-6" width="${PANEL_WIDTH + 7}" height="${PANEL_HEIGHT + 7}"/></clipPath></defs>
<text class="title" x="${MARGIN.left}" y="30">${escapeMarkup(title)}</text>
${legend(finite)}
<g transform="translate(${MARGIN.left} ${MARGIN.top})">
${loss}
</g>
<g transform="translate(${MARGIN.left} ${MARGIN.top + PANEL_HEIGHT + GAP})">
${accuracy}
${stepAxis(x)}
</g>
</svg>
`;
}

type Point = CurvePoint & { readonly set?: EvaluationSet };

interface Panel {
  readonly label: string;
  readonly x: ScaleLinear<number, number>;
  readonly y: ScaleLinear<number, number>;
  readonly value: (point: CurvePoint) => number;
  readonly chance: number;
  readonly chanceLabel: string;
  readonly tick: (value: number) => string;
  readonly data: { raw: readonly Point[]; smooth: readonly Point[]; evaluations: readonly Point[] };
}

function panel({ label, x, y, value, chance, chanceLabel, tick, data }: Panel): string {
  const path = lineGenerator<Point>()
    .x((p) => x(p.step))
    .y((p) => y(value(p)))
    .digits(2);
  const curve = (name: string, points: readonly Point[]) =>
    points.length > 1 ? `<path class="curve ${name}" d="${path([...points])}"/>` : dots("training", points);
  const dots = (name: string, points: readonly Point[], radius = 3.5) =>
    points
      .map((p) => `<circle class="dot ${name}" cx="${round(x(p.step))}" cy="${round(y(value(p)))}" r="${radius}"/>`)
      .join("");
  const of = (set: EvaluationSet) => data.evaluations.filter((p) => p.set === set);
  const grid = y.ticks(5).map((v) => {
    const at = round(y(v));
    return `<line class="grid" x2="${PANEL_WIDTH}" y1="${at}" y2="${at}"/><text class="tick" x="-10" y="${at + 4}" text-anchor="end">${tick(v)}</text>`;
  });
  const chanceAt = round(y(chance));
  return `<text x="0" y="-12">${label}</text>
${grid.join("\n")}
<line class="chance" x2="${PANEL_WIDTH}" y1="${chanceAt}" y2="${chanceAt}"/>
<text class="tick" x="${PANEL_WIDTH}" y="${chanceAt - 5}" text-anchor="end">${chanceLabel}</text>
<g clip-path="url(#panel)">
${curve("batch", data.raw)}
${curve("training", data.smooth)}
${of("validation").length > 1 ? curve("validation", of("validation")) : ""}
${dots("validation", of("validation"))}
${dots("test", of("test"), 5)}
</g>`;
}

function stepAxis(x: ScaleLinear<number, number>): string {
  const ticks = x
    .ticks(8)
    .filter(Number.isInteger)
    .map((step) => {
      const at = round(x(step));
      return `<line class="grid" x1="${at}" x2="${at}" y1="${PANEL_HEIGHT}" y2="${PANEL_HEIGHT + 5}"/><text class="tick" x="${at}" y="${PANEL_HEIGHT + 20}" text-anchor="middle">${step.toLocaleString("en")}</text>`;
    });
  return `${ticks.join("\n")}
<text class="soft" x="${PANEL_WIDTH / 2}" y="${PANEL_HEIGHT + 40}" text-anchor="middle">training step</text>`;
}

function legend(evaluations: readonly Point[]): string {
  const has = (set: EvaluationSet) => evaluations.some((p) => p.set === set);
  const stroke = (name: string) => `<line class="${name}" x1="0" x2="22" y1="0" y2="0"/>`;
  const entries: [mark: string, text: string][] = [
    [stroke("batch"), "training, each batch"],
    [stroke("training"), "training, running mean"],
  ];
  if (has("validation"))
    entries.push([`${stroke("validation")}<circle class="dot validation" cx="11" r="3.5"/>`, "validation"]);
  if (has("test")) entries.push(['<circle class="dot test" cx="11" r="5"/>', "test"]);
  let at = MARGIN.left;
  const items = entries.map(([mark, text]) => {
    const item = `<g transform="translate(${at} 48)">${mark}<text class="soft" x="30" y="4">${text}</text></g>`;
    at += 30 + 7 * text.length + 24;
    return item;
  });
  return items.join("\n");
}

/** At most `limit` points: means of neighbours, each at its last step. */
function thinned(points: readonly Point[], limit: number): Point[] {
  const size = Math.ceil(points.length / limit);
  if (size <= 1) return [...points];
  return Array.from({ length: Math.ceil(points.length / size) }, (_, i) =>
    mean(points.slice(i * size, (i + 1) * size)),
  );
}

/** The mean of each point and the `size` − 1 before it. */
function smoothed(points: readonly Point[], size: number): Point[] {
  return points.map((_, i) => mean(points.slice(Math.max(0, i + 1 - size), i + 1)));
}

function mean(points: readonly Point[]): Point {
  const of = (value: (p: Point) => number) => points.reduce((sum, p) => sum + value(p), 0) / points.length;
  return { step: points.at(-1)!.step, loss: of((p) => p.loss), accuracy: of((p) => p.accuracy) };
}

function isFinitePoint(p: CurvePoint): boolean {
  return Number.isFinite(p.loss) && Number.isFinite(p.accuracy);
}

function round(value: number): number {
  return Math.round(100 * value) / 100;
}
