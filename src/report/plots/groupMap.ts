// A square of numbers by pair of groups of neurons: row, the receiving group; column, the sending one.

import { clipped } from "../../core/text.ts";
import { legend, patchMark } from "../axes.ts";
import type { Drawing } from "../figure.ts";
import { greyImage, painted } from "../mask.ts";
import { at, element, label, textWidth } from "../svg.ts";

const TOP = 48;
const GAP = 8;
const NAME_LENGTH = 11;
const MOST_SIDE = 420;
const LEAST_PITCH = 11;
/** The faintest cell still shows. */
const FAINTEST = 0.12;

/** What a map shows. */
export interface GroupMap {
  readonly groups: readonly string[];
  /** [groups, groups], strength of the colour from 0 to 1, and its sign: blue above 0, orange below. NaN: no connections. */
  readonly shades: ArrayLike<number>;
  /** What blue and orange stand for. */
  readonly meaning: readonly [blue: string, orange: string];
}

export function drawGroupMap({ groups, shades, meaning }: GroupMap, fullWidth: number, uid: string): Drawing {
  const names = groups.map((name) => clipped(name, NAME_LENGTH));
  const left = Math.max(24, ...names.map((name) => textWidth(name, 10.5))) + GAP;
  const size = groups.length;
  const side = Math.min(fullWidth - left - GAP, MOST_SIDE, Math.max(40 * size, 120));
  const cell = side / size;
  const picture = (sign: number) =>
    greyImage(size, size, (x, y) => {
      const shade = shades[y * size + x]!;
      return Number.isFinite(shade) && shade * sign > 0 ? FAINTEST + (1 - FAINTEST) * Math.abs(shade) : 0;
    });
  const wired = greyImage(size, size, (x, y) => (Number.isFinite(shades[y * size + x]) ? 0.06 : 0));
  const box = { x: 0, y: 0, width: side, height: side };
  const columnNames = Math.max(...names.map((name) => textWidth(name, 10.5)));
  const marks = names.flatMap((name, k) => {
    // Names that would lie on one another are left out.
    if (cell < LEAST_PITCH && k % Math.ceil(LEAST_PITCH / cell) !== 0) return [];
    const middle = (k + 0.5) * cell;
    const style = { class: "soft small", "text-anchor": "end" };
    return [
      label(-GAP, middle + 4, name, style),
      label(0, 0, name, {
        ...style,
        transform: `translate(${(middle + 4).toFixed(1)} ${(side + GAP).toFixed(1)}) rotate(-90)`,
      }),
    ];
  });
  const body = [
    element("rect", { class: "grid thin", ...box, fill: "none" }),
    painted(`${uid}-wired`, "ink", [{ image: wired, ...box }]),
    painted(`${uid}-positive`, "blue", [{ image: picture(1), ...box }]),
    painted(`${uid}-negative`, "orange", [{ image: picture(-1), ...box }]),
    ...marks,
    legend(fullWidth - left, 14 - TOP, [
      [patchMark("blue"), meaning[0]],
      [patchMark("orange"), meaning[1]],
    ]),
    label(-left, -12, "to", { class: "soft" }),
    label(side / 2, side + columnNames + 2 * GAP + 14, "from", { class: "soft", "text-anchor": "middle" }),
  ];
  return { height: TOP + side + columnNames + 2 * GAP + 22, body: at(left, TOP, ...body) };
}
