// Tuning curves: the response of each of some groups as a function of the condition, as small multiples.

import { scaleLinear } from "d3-scale";
import { area, line } from "d3-shape";
import type { ShownResponses } from "../../analysis/responsesShown.ts";
import { formatNumber, formatTick } from "../../core/format.ts";
import type { Drawing, Figure } from "../figure.ts";
import { at, element, fitted, label } from "../svg.ts";

const HEIGHT = 120;
const TOP = 26;
const LEFT = 44;
const GAP = 20;
const LEAST_WIDTH = 200;
/** Room for the labels of the conditions. */
const BOTTOM = 62;

export function tuningFigure(shown: ShownResponses): Figure {
  const { tuning, conditions, measure, by, groups } = shown;
  const some = groups > tuning.length ? `the ${tuning.length} most selective groups` : "all groups";
  return {
    id: "tuning",
    title: "Tuning curves",
    caption: `Response (${measure}, from before the input) by ${by}, of ${some}. ${conditions[0]!.value === null ? "Bars" : "Bands"}: ± one standard deviation over samples.`,
    span: "full",
    draw: (width) => draw(shown, width),
    table: {
      columns: ["group", by, "samples", "mean response", "sd over samples"],
      rows: tuning.flatMap(({ name, response, sd }) =>
        conditions.map((condition, c) => [
          ...[name, condition.name, condition.samples],
          ...[formatNumber(response[c]!), formatNumber(sd[c]!)],
        ]),
      ),
    },
  };
}

interface Spot {
  readonly x: number;
  readonly y: number;
  readonly sd: number;
}

function draw({ tuning, conditions, by }: ShownResponses, fullWidth: number): Drawing {
  const columns = Math.max(1, Math.min(tuning.length, Math.floor((fullWidth + GAP) / (LEAST_WIDTH + GAP))));
  const width = (fullWidth - (columns - 1) * GAP) / columns;
  const pitch = TOP + HEIGHT + BOTTOM;
  const hasNumbers = conditions[0]!.value !== null;
  const positions = conditions.map(({ value }, c) => value ?? c);
  const inner = width - LEFT;
  const margin = hasNumbers ? 0 : 0.5;
  const x = scaleLinear(
    [Math.min(...positions) - margin, Math.max(...positions) + margin],
    [hasNumbers ? 4 : 0, inner - (hasNumbers ? 4 : 0)],
  );
  const panels = tuning.map(({ name, response, sd }, k) => {
    const spots: Spot[] = positions
      .map((position, c) => ({ x: position, y: response[c]!, sd: Number.isNaN(sd[c]!) ? 0 : sd[c]! }))
      .filter((spot) => Number.isFinite(spot.y));
    const ends = [0, ...spots.flatMap((spot) => [spot.y - spot.sd, spot.y + spot.sd])];
    const y = scaleLinear([Math.min(...ends), Math.max(...ends)], [HEIGHT, 0]).nice(3);
    const ticks = y
      .ticks(3)
      .map(
        (tick) =>
          element("line", { class: "grid thin", x1: 0, x2: inner, y1: y(tick), y2: y(tick) }) +
          label(-6, y(tick) + 4, formatTick(tick), { class: "soft small", "text-anchor": "end" }),
      );
    const zero = element("line", { class: "axis thin", x1: 0, x2: inner, y1: y(0), y2: y(0) });
    const spread = hasNumbers ? bandOf(spots, x, y) : spots.map((spot) => barOf(spot, x, y)).join("");
    const dots = spots.map((spot) =>
      element("circle", { class: "fill dot blue", cx: x(spot.x), cy: y(spot.y), r: spots.length > 40 ? 2 : 3.5 }),
    );
    return at(
      (k % columns) * (width + GAP) + LEFT,
      Math.floor(k / columns) * pitch + TOP,
      label(0, -12, fitted(name, inner), { class: "strong" }),
      ...ticks,
      zero,
      spread,
      ...dots,
      conditionLabels(conditions, x, inner),
      label(inner / 2, HEIGHT + 38, fitted(by, inner), { class: "soft small", "text-anchor": "middle" }),
    );
  });
  return { height: Math.ceil(tuning.length / columns) * pitch - 16, body: panels.join("") };
}

type Scale = (value: number) => number;

function bandOf(spots: readonly Spot[], x: Scale, y: Scale): string {
  const band = area<Spot>(
    (spot) => x(spot.x),
    (spot) => y(spot.y - spot.sd),
    (spot) => y(spot.y + spot.sd),
  ).digits(1);
  const curve = line<Spot>(
    (spot) => x(spot.x),
    (spot) => y(spot.y),
  ).digits(1);
  return (
    element("path", { class: "fill blue tint", d: band([...spots])! }) +
    element("path", { class: "line blue", d: curve([...spots])! })
  );
}

function barOf({ x: position, y: mean, sd }: Spot, x: Scale, y: Scale): string {
  return element("line", {
    ...{ class: "line blue faint", x1: x(position), x2: x(position) },
    ...{ y1: y(mean - sd), y2: y(mean + sd) },
  });
}

/** Ticks of an axis of numbers, or the names of as many conditions as have room. */
function conditionLabels(
  conditions: ShownResponses["conditions"],
  x: ReturnType<typeof scaleLinear<number, number>>,
  width: number,
): string {
  const text = (position: number, content: string): string =>
    label(x(position), HEIGHT + 18, content, { class: "soft small", "text-anchor": "middle" });
  if (conditions[0]!.value !== null)
    return x
      .ticks(4)
      .map((tick) => text(tick, formatTick(tick)))
      .join("");
  const names = conditions.map(({ name }) => name.replace(/^class (?=\d)/, ""));
  const characters = Math.min(Math.max(...names.map(({ length }) => length)), 8);
  const every = Math.max(1, Math.ceil((conditions.length * (characters * 6.5 + 6)) / width));
  const room = (every * width) / conditions.length;
  return names.map((name, c) => (c % every === 0 ? text(c, fitted(name, room, 10.5)) : "")).join("");
}
