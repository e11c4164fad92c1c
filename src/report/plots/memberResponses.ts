// Mean activity of groups of neurons over time: the mean over members, and one standard deviation to each side.

import { scaleLinear } from "d3-scale";
import { area, line } from "d3-shape";
import type { EnsembleResponses } from "../../analysis/ensembleResult.ts";
import { formatNumber } from "../../core/format.ts";
import { spread } from "../../stats/spread.ts";
import { AXIS_BOTTOM, AXIS_LEFT, bottomAxis, leftAxis } from "../axes.ts";
import type { Drawing, Figure } from "../figure.ts";
import { at, element, fitted, label } from "../svg.ts";

/** Groups that are drawn: the strongest. */
const SHOWN = 12;
const LEAST_WIDTH = 150;
const PANEL_HEIGHT = 110;
const GAP = 20;
const TITLE = 24;
/** Part of the largest value that is too little to see. */
const FAINT = 0.05;

/** A group over time; [times]. */
interface Band {
  readonly name: string;
  readonly mean: readonly number[];
  readonly sd: readonly number[];
}

export function memberResponsesFigure(responses: EnsembleResponses, isDiscrete: boolean): Figure {
  const { groups, ts, values, samples, part } = responses;
  const bands = groups.map(({ name }, g): Band => {
    const spreads = ts.map((_, t) => spread(values.map((member) => member[g]![t]!))!);
    return { name, mean: spreads.map(({ mean }) => mean), sd: spreads.map(({ sd }) => sd ?? 0) };
  });
  const strength = ({ mean }: Band): number => Math.max(...mean.map(Math.abs));
  const strongest = [...bands].sort((a, b) => strength(b) - strength(a));
  const shown = strongest.slice(0, SHOWN);
  const rest = bands.length > shown.length ? ` The ${SHOWN} strongest of ${bands.length} groups.` : "";
  return {
    id: "responses",
    title: "Responses over time",
    caption: `Mean rate of each group of neurons, mean over ${samples} ${part} samples. Line: mean over ${values.length} members; band: one standard deviation to each side.${rest}`,
    span: "full",
    draw: (width) => draw(shown, ts, isDiscrete ? "step" : "t", width),
    table: {
      columns: ["group", "neurons", "largest mean rate", "standard deviation there"],
      rows: strongest.slice(0, 60).map((band) => {
        const peak = band.mean.findIndex((value) => Math.abs(value) === strength(band));
        const { neurons } = groups.find(({ name }) => name === band.name)!;
        return [band.name, neurons, formatNumber(band.mean[peak]!), formatNumber(band.sd[peak]!)];
      }),
    },
  };
}

function draw(bands: readonly Band[], ts: readonly number[], time: string, fullWidth: number): Drawing {
  const columns = Math.max(
    1,
    Math.min(4, bands.length, Math.floor((fullWidth - AXIS_LEFT + GAP) / (LEAST_WIDTH + GAP))),
  );
  const width = (fullWidth - AXIS_LEFT - (columns - 1) * GAP) / columns;
  const ends = bands.flatMap(({ mean, sd }) => mean.flatMap((m, t) => [m - sd[t]!, m + sd[t]!]));
  const x = scaleLinear([ts[0]!, ts.at(-1)!], [0, width]);
  const [least, most] = [Math.min(0, ...ends), Math.max(0, ...ends) || 1];
  // A band that hardly goes below 0 is no reason for half a panel below it.
  const y = scaleLinear([-least > FAINT * most ? least : 0, most], [PANEL_HEIGHT, 0]).nice(3);
  const within = (value: number): number => y(Math.max(y.domain()[0]!, value));
  const rows = Math.ceil(bands.length / columns);
  const pitch = TITLE + PANEL_HEIGHT + GAP;
  const times = ts.map((_, t) => t);
  const panels = bands.map(({ name, mean, sd }, k) => {
    const column = k % columns;
    const isLast = k + columns >= bands.length;
    const band = area<number>(
      (t) => x(ts[t]!),
      (t) => within(mean[t]! - sd[t]!),
      (t) => y(mean[t]! + sd[t]!),
    ).digits(1);
    const middle = line<number>(
      (t) => x(ts[t]!),
      (t) => y(mean[t]!),
    ).digits(1);
    const ticks = y.ticks(3);
    const grid = ticks.map((tick) =>
      element("line", { class: "grid thin", x1: 0, x2: width, y1: y(tick), y2: y(tick) }),
    );
    return at(
      AXIS_LEFT + column * (width + GAP),
      TITLE + Math.floor(k / columns) * pitch,
      label(0, -8, fitted(name, width), { class: "strong" }),
      column === 0 ? leftAxis(y, width, { label: "", ticks }) : grid.join(""),
      element("path", { class: "fill blue tint", d: band(times)! }),
      element("path", { class: "line blue", d: middle(times)! }),
      isLast ? bottomAxis(x, width, PANEL_HEIGHT, { label: time, ticks: x.ticks(3) }) : "",
    );
  });
  return { height: rows * pitch + AXIS_BOTTOM, body: panels.join("") };
}
