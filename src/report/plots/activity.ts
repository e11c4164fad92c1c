// Activity of neurons over time: one picture per input, rows grouped by cell type.

import { formatCount, formatNumber, formatTick } from "../../core/format.ts";
import { clipped } from "../../core/text.ts";

import type { Drawing, Figure } from "../figure.ts";
import { greyImage, painted } from "../mask.ts";
import type { Activity, ShownInput } from "../observation.ts";
import { at, element, label } from "../svg.ts";

const LEFT = 92;
const ROLE_WIDTH = 4;
const GAP = 18;
const TOP = 84;
const THUMBNAIL = 34;
const BOTTOM = 74;
/** Height of the pictures without groups that need more for their names. */
const USUAL_HEIGHT = 420;
const NAME_HEIGHT = 14;
const NAME_LENGTH = 12;
/** Narrow pages show fewer inputs rather than slivers. */
const LEAST_WIDTH = 110;
const ROLE_COLOURS = { input: "blue", hidden: "soft", output: "orange" } as const;

interface Row {
  readonly neuron: number;
  readonly group: number;
}

export function activityFigure(activity: Activity): Figure {
  const { groups, inputs, ts } = activity;
  const shown = rowsOf(activity).length;
  const total = groups.reduce((sum, g) => sum + g.neurons.length, 0);
  const sampled = shown < total ? ` ${shown} of ${formatCount(total)} neurons, evenly from each group.` : "";
  return {
    id: "activity",
    title: "Activity over time",
    caption: `Rates of neurons given one input, from rest at t = 0 to the read-out at t = ${formatTick(ts.at(-1)!)}. Rows are neurons by cell type, from input to output; darker (brighter in dark mode) is more active, on one scale for all, whose cube-root shades show weak rates too.${sampled}`,
    span: "full",
    draw: (width, uid) => draw(activity, width, uid),
    table: {
      columns: ["cell type", "role", "neurons", ...inputs.map((input) => `mean rate, ${input.name}`)],
      rows: groups.map((group) => [
        group.name,
        group.role,
        group.neurons.length,
        ...inputs.map((_, s) => formatNumber(meanRate(activity, s, group.neurons))),
      ]),
    },
  };
}

/** Sampled neurons: at least a few of each group, the others in proportion. */
function rowsOf({ groups }: Activity): Row[] {
  const total = groups.reduce((sum, g) => sum + g.neurons.length, 0);
  const limit = Math.max(USUAL_HEIGHT, groups.length * NAME_HEIGHT);
  const least = Math.min(NAME_HEIGHT, Math.floor(limit / groups.length));
  const free = Math.max(0, limit - least * groups.length);
  return groups.flatMap(({ neurons }, group) => {
    const wanted = Math.min(neurons.length, least + Math.floor((free * neurons.length) / total));
    return Array.from({ length: wanted }, (_, k) => ({
      neuron: neurons[Math.floor(((k + 0.5) * neurons.length) / wanted)]!,
      group,
    }));
  });
}

function draw(activity: Activity, fullWidth: number, uid: string): Drawing {
  const { groups, inputs, ts, numNeurons, hs } = activity;
  const rows = rowsOf(activity);
  const room = fullWidth - LEFT;
  const shown = Math.max(1, Math.min(inputs.length, Math.floor((room + GAP) / (LEAST_WIDTH + GAP))));
  const width = (room - (shown - 1) * GAP) / shown;
  const scale = brightest(activity, rows);

  // Where each group begins and ends; few neurons are drawn taller, so that the group's name fits.
  const rowHeight = USUAL_HEIGHT / rows.length;
  const bands: { top: number; height: number; rows: Row[] }[] = [];
  let height = 0;
  for (let g = 0; g < groups.length; g++) {
    const own = rows.filter((row) => row.group === g);
    const tall = Math.max(NAME_HEIGHT, own.length * rowHeight);
    bands.push({ top: height, height: tall, rows: own });
    height += tall + 1;
  }

  const panels = inputs.slice(0, shown).map((input, s) => {
    const value = (neuron: number, time: number) => hs[(s * ts.length + time) * numNeurons + neuron]!;
    const pictures = bands.map((band) => ({
      image: greyImage(ts.length, band.rows.length, (time, r) => shade(value(band.rows[r]!.neuron, time) / scale)),
      x: 0,
      y: band.top,
      width,
      height: band.height,
    }));
    const ends = [0, ts.length - 1].map((time, k) =>
      label(k * width, height + 18, formatTick(ts[time]!), { class: "soft", "text-anchor": k === 0 ? "start" : "end" }),
    );
    return at(
      LEFT + s * (width + GAP),
      0,
      heading(input, `${uid}-${s}-picture`),
      ...bands.map(({ top, height: tall }) =>
        element("rect", { class: "fill ink", y: top, width, height: tall, "fill-opacity": 0.04 }),
      ),
      painted(`${uid}-${s}`, "ink", pictures),
      ...ends,
      label(width / 2, height + 18, "t", { class: "soft", "text-anchor": "middle" }),
    );
  });
  const names = bands.map(({ top, height: tall }, g) => {
    const { name, role } = groups[g]!;
    const colour = ROLE_COLOURS[role];
    return (
      element("rect", {
        class: `fill ${colour === "soft" ? "ink tint" : colour}`,
        x: LEFT - 6 - ROLE_WIDTH,
        y: top,
        width: ROLE_WIDTH,
        height: tall,
      }) +
      label(LEFT - 16, top + tall / 2 + 4, clipped(name, NAME_LENGTH), { class: "soft small", "text-anchor": "end" })
    );
  });
  return {
    height: TOP + height + BOTTOM,
    body: at(0, TOP, ...names, ...panels, colourKey(uid, height + 48, scale), roleKey(fullWidth)),
  };
}

/** The name of an input, beside its picture where it has one. */
function heading({ name, picture }: ShownInput, id: string): string {
  if (!picture) return label(0, -10, name, { class: "strong" });
  const { pixels, width, height } = picture;
  const image = greyImage(width, height, (x, y) => pixels[y * width + x]! / 255);
  const box = { x: 0, y: -10 - THUMBNAIL, width: THUMBNAIL, height: THUMBNAIL };
  return (
    element("rect", { class: "fill ink", ...box, rx: 2, "fill-opacity": 0.04 }) +
    painted(id, "ink", [{ image, ...box }]) +
    label(THUMBNAIL + 8, -22, name, { class: "strong" })
  );
}

/** Half the shade for an eighth of the rate: signals fade a hundredfold on their way through a network. */
function shade(rate: number): number {
  return Math.cbrt(Math.max(0, rate));
}

/** The rate of the darkest shade: nearly the largest, so that a single neuron does not dim all others. */
function brightest({ hs, inputs, ts, numNeurons }: Activity, rows: readonly Row[]): number {
  const values = rows.flatMap(({ neuron }) =>
    inputs.flatMap((_, s) => ts.map((_, t) => hs[(s * ts.length + t) * numNeurons + neuron]!)),
  );
  values.sort((a, b) => a - b);
  return values[Math.floor(0.99 * (values.length - 1))]! || values.at(-1) || 1;
}

function colourKey(uid: string, y: number, scale: number): string {
  const width = 120;
  const ramp = greyImage(width, 1, (x) => x / (width - 1));
  return at(
    LEFT,
    y,
    element("rect", { class: "fill ink", width, height: 10, "fill-opacity": 0.04 }),
    painted(`${uid}-key`, "ink", [{ image: ramp, x: 0, y: 0, width, height: 10 }]),
    label(0, 23, "0", { class: "soft small" }),
    label(width / 2, 23, formatTick(Number((scale / 8).toPrecision(2))), {
      class: "soft small",
      "text-anchor": "middle",
    }),
    label(width, 23, formatTick(Number(scale.toPrecision(2))), { class: "soft small", "text-anchor": "end" }),
    label(width + 10, 9, "rate", { class: "soft" }),
  );
}

function roleKey(width: number): string {
  const roles = [
    ["blue", "input"],
    ["ink tint", "hidden"],
    ["orange", "output"],
  ] as const;
  return roles
    .map(([colour, name], k) => {
      const x = width - (3 - k) * 76 + 12;
      return (
        element("rect", { class: `fill ${colour}`, x, y: -TOP, width: 10, height: 10, rx: 2 }) +
        label(x + 16, 9 - TOP, name, { class: "soft" })
      );
    })
    .join("");
}

function meanRate({ hs, ts, numNeurons }: Activity, sample: number, neurons: Uint32Array): number {
  const from = (sample * ts.length + ts.length - 1) * numNeurons;
  return neurons.reduce((sum, i) => sum + hs[from + i]!, 0) / neurons.length;
}
