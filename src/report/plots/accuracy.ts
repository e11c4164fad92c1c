// Accuracy over training.

import type { Figure } from "../figure.ts";
import { type Curves, curvesFigure } from "./curves.ts";

export function accuracyFigure(run: Curves, classes: number): Figure {
  return curvesFigure({
    ...run,
    id: "accuracy",
    title: "Accuracy",
    caption: "Share of images whose largest logit is the label's.",
    value: (m) => 100 * m.accuracy,
    yLabel: "accuracy (%)",
    ceiling: 100,
    top: 100,
    chance: 100 / classes,
    format: (v) => `${Number(v.toFixed(1))}`,
  });
}
