// Loss over training.

import { formatNumber } from "../../core/format.ts";
import type { Figure } from "../figure.ts";
import { type Curves, curvesFigure } from "./curves.ts";

/** Losses above this many times chance (the first steps of an untuned run) leave the picture. */
const CEILING = 2;

export function lossFigure(run: Curves, classes: number): Figure {
  const chance = Math.log(classes);
  return curvesFigure({
    ...run,
    id: "loss",
    title: "Loss",
    caption: `Mean cross-entropy. Guessing among ${classes} classes costs ln ${classes} = ${chance.toFixed(2)} nats.`,
    value: (m) => m.loss,
    yLabel: "loss (nats)",
    ceiling: CEILING * chance,
    top: null,
    chance,
    format: (v) => formatNumber(Number(v.toFixed(3))),
  });
}
