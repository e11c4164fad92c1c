// SVG as text: elements, numbers. No DOM, no canvas.

import { clipped, escapeMarkup } from "../core/text.ts";

/** Attributes of an element; those that are undefined are left out. */
export type Attributes = Readonly<Record<string, string | number | undefined>>;

/** One element; children are markup already. */
export function element(name: string, attributes: Attributes, ...children: readonly string[]): string {
  const written = Object.entries(attributes).map(([key, value]) =>
    value === undefined ? "" : ` ${key}="${typeof value === "number" ? round(value) : escapeMarkup(value)}"`,
  );
  const open = `<${name}${written.join("")}`;
  return children.length === 0 ? `${open}/>` : `${open}>${children.join("")}</${name}>`;
}

/** A label. `content` is plain text. */
export function label(x: number, y: number, content: string, attributes: Attributes = {}): string {
  return element("text", { x, y, ...attributes }, escapeMarkup(content));
}

/** A group moved to (x, y). */
export function at(x: number, y: number, ...children: readonly string[]): string {
  return element("g", { transform: `translate(${round(x)} ${round(y)})` }, ...children);
}

/** Two decimals are a hundredth of a pixel. */
export function round(value: number): number {
  return Math.round(100 * value) / 100;
}

/** Estimates the width of a text of `size` pixels, for layout; slightly too large. */
export function textWidth(text: string, size = 12): number {
  return 0.6 * size * text.length;
}

/** The text, cut off with "…" if it is wider than `room`. Rounding in the sums that lead to `room` cuts nothing off. */
export function fitted(text: string, room: number, size = 12): string {
  const most = Math.floor(room / textWidth(" ", size) + 1e-6);
  return text.length <= most ? text : clipped(text, most);
}
