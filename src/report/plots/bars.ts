// Horizontal bars with their names and values written beside them.

import { scaleLinear } from "d3-scale";
import type { Drawing, Figure } from "../figure.ts";
import { at, element, label, textWidth } from "../svg.ts";

export interface Bar {
  readonly name: string;
  readonly value: number;
}

const BAR_HEIGHT = 18;
const PITCH = 44;

export function barsFigure(
  words: Pick<Figure, "id" | "title" | "caption">,
  bars: readonly Bar[],
  format: (value: number) => string,
  unit: string,
): Figure {
  return {
    ...words,
    span: "third",
    draw: (width) => draw(bars, format, width),
    table: { columns: ["", unit], rows: bars.map(({ name, value }) => [name, format(value)]) },
  };
}

function draw(bars: readonly Bar[], format: (value: number) => string, width: number): Drawing {
  const reserved = Math.max(...bars.map(({ value }) => textWidth(format(value)))) + 12;
  const x = scaleLinear([0, Math.max(...bars.map((b) => b.value)) || 1], [0, width - reserved]);
  const drawn = bars.map(({ name, value }, k) =>
    at(
      0,
      k * PITCH,
      label(0, 14, name, { class: "soft" }),
      element("rect", { class: "fill blue", y: 20, width: Math.max(1, x(value)), height: BAR_HEIGHT, rx: 2 }),
      label(Math.max(1, x(value)) + 8, 33, format(value)),
    ),
  );
  return { height: bars.length * PITCH, body: drawn.join("") };
}
