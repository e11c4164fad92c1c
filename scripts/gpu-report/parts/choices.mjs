// What a user may choose for speed, at a price: f16 gathers, unchecked bounds. The time of the tutorial's step, and how far its loss and
// gradients are from those of the default.

import { median, secondsOf, warmUp, withClocks } from "../clock.mjs";
import { tutorialStep } from "../tutorialStep.mjs";

const SECONDS = 2;
const QUICK_SECONDS = 0.5;
const MOST_STEPS = 100;

const UNCHECKED = { dawnToggles: { disable_robustness: true } };
/** The default first: the others are compared with it. */
const CHOICES = [
  { choice: "default", options: {} },
  { choice: "gather f16", options: { gather: "f16" } },
  { choice: "unchecked bounds", options: UNCHECKED },
  { choice: "both", options: { gather: "f16", ...UNCHECKED } },
];

export async function run({ folder, batch, quick, row }) {
  let reference = null;
  for (const { choice, options } of CHOICES) {
    const { backend, model, step } = await tutorialStep(folder, batch, { profile: false, ...options });
    const { loss, stats } = await step(0);
    const gradients = await gradientsOf(model);
    reference ??= { loss, gradients };
    await warmUp(backend, step);
    const times = await withClocks(backend, step, () => timesOf(backend, step, quick));
    const evaluations = stats.map(({ nFEvals }) => nFEvals);
    row({ name: "choice", batch, choice, ...times, ...distances(reference, { loss, gradients }), evaluations });
    await backend.dispose();
  }
}

async function timesOf(backend, step, quick) {
  const onceS = await secondsOf(backend, step, 1);
  const count = Math.max(3, Math.min(MOST_STEPS, Math.ceil((quick ? QUICK_SECONDS : SECONDS) / onceS)));
  const times = [];
  for (let k = 0; k < count; k++) times.push(1000 * (await secondsOf(backend, step, 1)));
  return { medianMs: median(times), pipelinedMs: (1000 * (await secondsOf(backend, step, count))) / count };
}

async function gradientsOf({ parameters }) {
  const gradients = new Map();
  for (const { name } of parameters.trainable()) gradients.set(name, await parameters.gradient(name));
  return gradients;
}

/** Relative differences: of the loss, of all gradients together (L2), and of the gradient that is farthest off. */
function distances(reference, { loss, gradients }) {
  const of = (name) => squares(reference.gradients.get(name), gradients.get(name));
  const parts = [...gradients.keys()].map((name) => ({ name, ...of(name) }));
  const sum = (field) => parts.reduce((total, part) => total + part[field], 0);
  const relative = ({ difference, size }) => (difference === 0 ? 0 : Math.sqrt(difference / size));
  const worst = parts.toSorted((a, b) => relative(b) - relative(a))[0];
  return {
    lossError: Math.abs(loss / reference.loss - 1),
    gradientError: relative({ difference: sum("difference"), size: sum("size") }),
    worstGradient: worst.name,
    worstGradientError: relative(worst),
  };
}

function squares(expected, got) {
  let [difference, size] = [0, 0];
  for (let k = 0; k < expected.length; k++) {
    difference += (got[k] - expected[k]) ** 2;
    size += expected[k] ** 2;
  }
  return { difference, size };
}
