// What the tuner finds for one batch, with and without other groups of sums, and what it gains in a training step.

import { loadNetwork } from "../../../dist/bench/networks.js";
import { createWebGpuBackend } from "../../../dist/src/backend/webgpu/backend.js";
import { tuneSparse } from "../../../dist/src/backend/webgpu/tuneSparse.js";
import { tuningJson } from "../../../dist/src/backend/webgpu/tuningKey.js";
import { median, secondsOf, warmUp } from "../clock.mjs";
import { tutorialStep } from "../tutorialStep.mjs";

const ROUNDS = 5;
const ROUND_S = 0.3;
const QUICK_BUDGET_MS = 3000;
const DEFAULT = "default";

/** What decides the time of each kernel. */
const CHOICES = {
  spmm: ({ limits, panels }) => `${[limits, panels]}`,
  spmmGrad: ({ limits, gradPanels, exchange }) => `${[limits, gradPanels, exchange]}`,
};

export async function run({ folder, batch, quick, row }) {
  const found = await choices(folder, batch, quick, row);
  const times = await stepTimes(folder, batch, quick, found);
  for (const { name, facts } of found) {
    row({ name, batch, ...facts, stepDefaultMs: times.get(DEFAULT), stepMs: times.get(name) });
  }
}

/** The choices that keep every bit, and those that may regroup sums. A row per trial. */
async function choices(folder, batch, quick, row) {
  const { csr } = loadNetwork(folder);
  const backend = await createWebGpuBackend();
  const found = [];
  for (const [name, regroup] of [
    ["same bits", false],
    ["regrouped", true],
  ]) {
    const options = { lanes: batch, regroup, ...(quick && regroup ? { budgetMs: QUICK_BUDGET_MS } : {}) };
    // On a software adapter this only shows that the part runs.
    const result = await tuneSparse(backend, csr, options, { force: backend.adapter.isSoftware });
    for (const { tuning, ...facts } of result.trials) {
      row({ name: `trial, ${name}`, batch, ...facts, ...texts(tuning) });
    }
    found.push({ name, tuning: result.tuning, usual: backend.sparseTuning, facts: factsOf(result) });
  }
  await backend.dispose();
  return found;
}

function factsOf({ tuning, trials, untried, ms, skipped }) {
  const usOf = (kernel, wanted) =>
    trials.find((trial) => trial.kernel === kernel && CHOICES[kernel](trial.tuning) === CHOICES[kernel](wanted))?.us ??
    null;
  const usual = (kernel) => trials.find((trial) => trial.kernel === kernel)?.us ?? null;
  return {
    ...{ forwardDefaultUs: usual("spmm"), forwardUs: usOf("spmm", tuning) },
    ...{ backwardDefaultUs: usual("spmmGrad"), backwardUs: usOf("spmmGrad", tuning) },
    dropped: trials.filter(({ problem }) => problem !== null).length,
    ...{ tunerMs: ms, trials: trials.length, untried, skipped },
    ...texts(tuning),
  };
}

/** One word per choice, so that a line of the report has it. */
function texts(tuning) {
  const { limits, window, panels, gradPanels, exchange } = tuningJson(tuning);
  return { limits: limits.join("/"), window: window ?? "all", panels, gradPanels, exchange };
}

/**
 * Median milliseconds of a step, by the name of the choice. Steps of different choices take turns, so that the card's clock favours none.
 * Choices that are equal are one.
 */
async function stepTimes(folder, batch, quick, found) {
  const works = new Map();
  const names = new Map();
  for (const { name, tuning } of [{ name: DEFAULT, tuning: found[0].usual }, ...found]) {
    const key = JSON.stringify(tuningJson(tuning));
    names.set(name, key);
    if (works.has(key)) continue;
    const { backend, step } = await tutorialStep(folder, batch, { profile: false, sparseTuning: tuning });
    await secondsOf(backend, step, 1);
    works.set(key, { backend, step, times: [] });
  }
  const [{ backend, step }] = works.values();
  if (!backend.adapter.isSoftware) await warmUp(backend, step);
  const onceS = await secondsOf(backend, step, 1);
  const runs = Math.max(1, Math.ceil((quick ? ROUND_S / 4 : ROUND_S) / onceS));
  for (let round = 0; round < (quick ? 1 : ROUNDS); round++) {
    for (const { backend, step, times } of works.values()) {
      times.push((1000 * (await secondsOf(backend, step, runs))) / runs);
    }
  }
  for (const { backend } of works.values()) await backend.dispose();
  return new Map([...names].map(([name, key]) => [name, median(works.get(key).times)]));
}
