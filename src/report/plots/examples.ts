// Example pictures with the network's answers.

import { formatPercent } from "../../core/format.ts";
import type { Drawing, Figure } from "../figure.ts";
import { greyImage, painted } from "../mask.ts";
import type { Example } from "../observation.ts";
import { at, element, label } from "../svg.ts";

const SIDE = 56;
const GAP = 14;
const ROW_HEIGHT = SIDE + 42;
const HEADING = 26;

export function examplesFigure(examples: readonly Example[], sampleSet: string): Figure {
  return {
    id: "examples",
    title: "Examples",
    caption: `Samples of the ${sampleSet} set with the network's answer and its probability. Of the mistakes, the surest.`,
    span: "half",
    draw: (width, uid) => draw(examples, width, uid),
    table: {
      columns: ["sample", "label", "answer", "probability"],
      rows: examples.map((e) => [e.index, e.label, e.answer, formatPercent(e.probability)]),
    },
  };
}

function draw(examples: readonly Example[], width: number, uid: string): Drawing {
  const columns = Math.floor((width + GAP) / (SIDE + GAP));
  let y = 0;
  const parts: string[] = [];
  for (const [name, some] of [
    ["recognised", examples.filter((e) => e.answer === e.label)],
    ["mistaken", examples.filter((e) => e.answer !== e.label)],
  ] as const) {
    if (some.length === 0) continue;
    parts.push(at(0, y, block(name, some, columns, `${uid}-${name}`)));
    y += HEADING + Math.ceil(some.length / columns) * ROW_HEIGHT;
  }
  return { height: y, body: parts.join("") };
}

function block(name: "recognised" | "mistaken", examples: readonly Example[], columns: number, id: string): string {
  const placed = examples.map((example, k) => ({
    example,
    x: (k % columns) * (SIDE + GAP),
    y: HEADING + Math.floor(k / columns) * ROW_HEIGHT,
  }));
  const pictures = placed.map(({ example: { pixels, width, height }, x, y }) => ({
    image: greyImage(width, height, (column, row) => pixels[row * width + column]! / 255),
    x,
    y,
    width: SIDE,
    height: SIDE,
  }));
  const colour = name === "recognised" ? "blue" : "orange";
  const words = placed.map(({ example: { answer, label: truth, probability }, x, y }) => {
    const verdict = answer === truth ? `${answer}` : `${truth} → ${answer}`;
    return (
      element("rect", { class: "fill ink", x, y, width: SIDE, height: SIDE, rx: 3, "fill-opacity": 0.05 }) +
      label(x + SIDE / 2, y + SIDE + 15, verdict, { class: `strong ${colour}`, "text-anchor": "middle" }) +
      label(x + SIDE / 2, y + SIDE + 29, `${Math.round(100 * probability)} %`, {
        class: "soft small",
        "text-anchor": "middle",
      })
    );
  });
  const heading = name === "recognised" ? "recognised" : "mistaken (label → answer)";
  return label(0, 14, heading, { class: "soft" }) + words.join("") + painted(id, "ink", pictures);
}
