// Axes, legends and labels that plots share.

import { formatTick } from "../core/format.ts";
import { element, label, textWidth } from "./svg.ts";

/** The part of a d3 scale that axes use. */
export interface AxisScale {
  (value: number): number;
  ticks(count: number): number[];
}

export interface AxisOptions {
  readonly label: string;
  readonly ticks: readonly number[];
  readonly format?: (value: number) => string;
}

/** Horizontal axis at the bottom of a panel whose corner is the origin. */
export function bottomAxis(
  scale: AxisScale,
  width: number,
  height: number,
  { label: name, ticks, format = formatTick }: AxisOptions,
): string {
  const marks = ticks.map((tick) => {
    const x = scale(tick);
    return (
      element("line", { class: "axis thin", x1: x, x2: x, y1: height, y2: height + 4 }) +
      label(x, height + 18, format(tick), { class: "soft", "text-anchor": "middle" })
    );
  });
  return (
    element("line", { class: "axis thin", x1: 0, x2: width, y1: height, y2: height }) +
    marks.join("") +
    label(width / 2, height + 38, name, { class: "soft", "text-anchor": "middle" })
  );
}

/** Vertical axis: horizontal grid lines with numbers on their left, its name on top. */
export function leftAxis(
  scale: AxisScale,
  width: number,
  { label: name, ticks, format = formatTick }: AxisOptions,
): string {
  const marks = ticks.map((tick) => {
    const y = scale(tick);
    return (
      element("line", { class: "grid thin", x1: 0, x2: width, y1: y, y2: y }) +
      label(-8, y + 4, format(tick), { class: "soft", "text-anchor": "end" })
    );
  });
  return marks.join("") + label(-AXIS_LEFT, -14, name, { class: "soft" });
}

/** Room that `leftAxis` needs. */
export const AXIS_LEFT = 44;
/** Room that `bottomAxis` needs. */
export const AXIS_BOTTOM = 46;
/** Room above a panel for the name of its vertical axis. */
export const AXIS_TOP = 32;

/** Ticks at whole numbers only. */
export function wholeTicks(scale: AxisScale, count: number): number[] {
  return scale.ticks(count).filter(Number.isInteger);
}

/** Powers of ten within [low, high]. */
export function decades(low: number, high: number): number[] {
  const first = Math.ceil(Math.log10(low) - 1e-9);
  const last = Math.floor(Math.log10(high) + 1e-9);
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, k) => 10 ** (first + k));
}

/** Powers of ten within [low, high], and 2 and 5 times them where there is room. */
export function logTicks(low: number, high: number): number[] {
  const powers = decades(low, high);
  if (high / low > 2000) return powers;
  const candidates = [powers.length > 0 ? powers[0]! / 10 : 10 ** Math.floor(Math.log10(low)), ...powers];
  return candidates.flatMap((p) => [p, 2 * p, 5 * p]).filter((tick) => tick >= low && tick <= high);
}

/** A key on one line, right-aligned at `right`. */
export function legend(
  right: number,
  y: number,
  entries: readonly (readonly [mark: (x: number, y: number) => string, text: string])[],
): string {
  const widths = entries.map(([, text]) => 24 + textWidth(text) + 14);
  let x = right + 14 - widths.reduce((sum, w) => sum + w, 0);
  return entries
    .map(([mark, text], k) => {
      const item = mark(x, y - 4) + label(x + 24, y, text, { class: "soft" });
      x += widths[k]!;
      return item;
    })
    .join("");
}

/** A mark for a legend: a piece of line. */
export function lineMark(className: string): (x: number, y: number) => string {
  return (x, y) => element("line", { class: `line ${className}`, x1: x, x2: x + 18, y1: y, y2: y });
}

/** A mark for a legend: a filled patch. */
export function patchMark(className: string): (x: number, y: number) => string {
  return (x, y) => element("rect", { class: `fill ${className}`, x, y: y - 5, width: 18, height: 10, rx: 2 });
}

/** Moves positions at least `gap` apart, within [low, high] if there is room; keeps their order. */
export function spreadOut(positions: readonly number[], gap: number, low: number, high: number): number[] {
  const order = positions.map((_, k) => k).sort((a, b) => positions[a]! - positions[b]!);
  const placed = [...positions];
  let limit = low;
  for (const k of order) {
    placed[k] = Math.max(limit, placed[k]!);
    limit = placed[k]! + gap;
  }
  limit = high;
  for (const k of order.reverse()) {
    placed[k] = Math.min(limit, placed[k]!);
    limit = placed[k]! - gap;
  }
  return placed;
}
