// Loss over training.

import { formatNumber } from "../../core/format.ts";
import { type LossDescription, lossLabel } from "../../train/taskDescription.ts";
import type { Figure } from "../figure.ts";
import { type Curves, curvesFigure } from "./curves.ts";

/** Losses above this many times chance (the first steps of an untuned run) leave the picture. */
const CEILING = 2;

export function lossFigure(run: Curves, loss: LossDescription): Figure {
  const { name, unit, chance } = loss;
  const guessing = chance === null ? "" : ` Guessing costs ${chance.toFixed(2)}${unit === null ? "" : ` ${unit}`}.`;
  return curvesFigure({
    ...run,
    id: "loss",
    title: "Loss",
    caption: `Mean ${name}.${guessing}`,
    value: (m) => m.loss,
    yLabel: lossLabel(loss),
    range: [null, null],
    ...(chance !== null && chance > 0 && { ceiling: CEILING * chance }),
    chance,
    format: (v) => formatNumber(Number(v.toFixed(3))),
  });
}
