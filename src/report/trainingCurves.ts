// Loss and accuracy of a run as one SVG file, made of the figures that the page shows.

import { stackedSvg } from "./figure.ts";
import { accuracyFigure } from "./plots/accuracy.ts";
import type { Curves } from "./plots/curves.ts";
import { lossFigure } from "./plots/loss.ts";

/** Input of `plotCurves`. */
export interface TrainingCurves {
  readonly title: string;
  /** One point per training step. */
  readonly training: Curves["steps"];
  readonly evaluations: Curves["evaluations"];
  /** Chance is at ln(classes) nats and 1/classes. */
  readonly classes: number;
}

/** The picture, as text of an .svg file without scripts, for light and dark pages. */
export function plotCurves({ title, training, evaluations, classes }: TrainingCurves): string {
  const curves: Curves = { steps: training, evaluations };
  return stackedSvg(title, [lossFigure(curves, classes), accuracyFigure(curves, classes)]);
}
