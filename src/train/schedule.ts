// Learning-rate schedules: pure functions from the number of steps taken to a factor on the base learning rate.

import { ArgumentError } from "../core/errors.ts";

/** Factor for training step k = 0, 1, … */
export type Schedule = (step: number) => number;

/** The learning rate stays. */
export const constant: Schedule = () => 1;

/** Multiplied by `gamma` every `every` steps. torch: StepLR. */
export function stepDecay(every: number, gamma: number): Schedule {
  wholePositive("stepDecay", "every", every);
  finite("stepDecay", { gamma });
  return (step) => gamma ** Math.floor(step / every);
}

/** From 1 to `floor` along half a cosine over `steps`, then constant. Source: Loshchilov & Hutter, SGDR, ICLR 2017, eq. 5. */
export function cosine(steps: number, floor = 0): Schedule {
  wholePositive("cosine", "steps", steps);
  finite("cosine", { floor });
  return (step) => floor + (1 - floor) * 0.5 * (1 + Math.cos((Math.PI * Math.min(step, steps)) / steps));
}

/** Linear rise from `from` to 1 over `steps`, then `after` (counted from there). */
export function warmUp(steps: number, after: Schedule = constant, from = 0): Schedule {
  wholePositive("warmUp", "steps", steps);
  finite("warmUp", { from });
  return (step) => (step < steps ? from + (1 - from) * ((step + 1) / steps) : after(step - steps));
}

/**
 * One cycle: cosine rise from 1/divide to 1 over the first `riseShare` of the steps, cosine fall to 1/(divide·finalDivide).
 * Source: Smith & Topin, "Super-convergence", 2018; defaults of torch's OneCycleLR.
 */
export function oneCycle(steps: number, riseShare = 0.3, divide = 25, finalDivide = 1e4): Schedule {
  wholePositive("oneCycle", "steps", steps);
  finite("oneCycle", { riseShare });
  for (const [name, value] of Object.entries({ divide, finalDivide }))
    if (!(value > 0)) throw new ArgumentError("oneCycle", name, "a number above 0", `${value}`);
  const blend = (a: number, b: number, x: number) => b + ((a - b) * (1 + Math.cos(Math.PI * x))) / 2;
  const start = 1 / divide;
  const end = start / finalDivide;
  const rise = Math.max(1, riseShare * steps - 1);
  const fall = Math.max(1, steps - 1 - rise);
  return (step) => (step <= rise ? blend(start, 1, step / rise) : blend(1, end, Math.min(1, (step - rise) / fall)));
}

function wholePositive(where: string, name: string, value: number): void {
  if (!Number.isInteger(value) || value < 1)
    throw new ArgumentError(where, name, "a whole number of at least 1", `${value}`);
}

function finite(where: string, numbers: Readonly<Record<string, number>>): void {
  for (const [name, value] of Object.entries(numbers))
    if (!Number.isFinite(value)) throw new ArgumentError(where, name, "a finite number", `${value}`);
}
