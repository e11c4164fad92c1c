// A metric over training.

import { formatNumber } from "../../core/format.ts";
import { type MetricDescription, metricLabel, metricText } from "../../train/taskDescription.ts";
import type { Figure } from "../figure.ts";
import { capitalised } from "../names.ts";
import { type Curves, curvesFigure } from "./curves.ts";

/** @param best  the best possible value; null: unknown */
export function metricFigure(run: Curves, metric: MetricDescription, best: number | null = null): Figure {
  const { name, better, format, range, chance } = metric;
  // Shares are shown in percent.
  const shown = (value: number): number => (format === "share" ? 100 * value : value);
  const end = (value: number | null): number | null => (value === null ? null : shown(value));
  return curvesFigure({
    ...run,
    id: figureId(name),
    title: capitalised(name),
    caption: `Of each batch and of evaluations; ${better} is better.${best === null ? "" : ` The best possible value is ${metricText(metric, best, 1)}.`}`,
    value: (m) => shown(m.metrics[name] ?? Number.NaN),
    yLabel: metricLabel(metric),
    range: [end(range[0]), end(range[1])],
    ...{ chance: end(chance), best: end(best) },
    format: format === "share" ? (v) => `${Number(v.toFixed(1))}` : formatNumber,
  });
}

/** Name of the figure of a metric, for files and pages. */
export function figureId(metric: string): string {
  return metric.toLowerCase().replace(/[^a-z0-9]+/g, "-");
}
