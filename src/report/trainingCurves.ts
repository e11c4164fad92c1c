// Loss and accuracy of a run as one SVG file, made of the figures that the page shows.

import type { TaskDescription } from "../train/taskDescription.ts";
import { stackedSvg } from "./figure.ts";
import type { Curves } from "./plots/curves.ts";
import { lossFigure } from "./plots/loss.ts";
import { metricFigure } from "./plots/metric.ts";

/** Input of `plotCurves`. */
export interface TrainingCurves {
  readonly title: string;
  /** One point per training step. */
  readonly training: Curves["steps"];
  readonly evaluations: Curves["evaluations"];
  /** Which loss and metrics there are. */
  readonly task: TaskDescription;
}

/** The picture, as text of an .svg file without scripts, for light and dark pages. */
export function plotCurves({ title, training, evaluations, task }: TrainingCurves): string {
  const curves: Curves = { steps: training, evaluations };
  const metrics = task.metrics.map((metric) => metricFigure(curves, metric));
  return stackedSvg(title, [lossFigure(curves, task.loss), ...metrics]);
}
