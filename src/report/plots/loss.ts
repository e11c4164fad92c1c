// Loss over training.

import { formatNumber } from "../../core/format.ts";
import { type LossDescription, lossLabel } from "../../train/taskDescription.ts";
import type { Figure } from "../figure.ts";
import { type Curves, curvesFigure } from "./curves.ts";

/** Losses above this many times chance (the first steps of an untuned run) leave the picture. */
const CEILING = 2;

/** @param best  the best possible loss; null: unknown */
export function lossFigure(run: Curves, loss: LossDescription, best: number | null = null): Figure {
  const { name, unit, chance } = loss;
  const guessing = chance === null ? "" : ` Guessing costs ${levelText(chance)}${unit === null ? "" : ` ${unit}`}.`;
  const least = best === null ? "" : ` The best possible loss is ${levelText(best)}.`;
  return curvesFigure({
    ...run,
    id: "loss",
    title: "Loss",
    caption: `Mean ${name}.${guessing}${least}`,
    value: (m) => m.loss,
    yLabel: lossLabel(loss),
    range: [null, null],
    ...(chance !== null && chance > 0 && { ceiling: CEILING * chance }),
    ...{ chance, best },
    format: (v) => formatNumber(Number(v.toFixed(3))),
  });
}

/** Two decimals where they say enough. */
function levelText(value: number): string {
  return value >= 0.1 && value < 1000 ? value.toFixed(2) : formatNumber(value);
}
