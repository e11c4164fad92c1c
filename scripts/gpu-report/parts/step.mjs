// A training step in steady state, in a process whose shaders the driver knows: wall time, device time by kernel, enqueued work.

import { median, secondsOf, warmUp, withClocks } from "../clock.mjs";
import { tutorialStep } from "../tutorialStep.mjs";

const SECONDS = 4;
const QUICK_SECONDS = 1;
const MOST_STEPS = 100;
const PROFILED_STEPS = 3;

export async function run({ folder, batch, quick, row }) {
  row({ name: "training step", batch, ...(await byClock(folder, batch, quick)) });
  row({ name: "time by kernel", batch, ...((await byKernel(folder, batch)) ?? { skipped: "no timestamps" }) });
}

async function byClock(folder, batch, quick) {
  const begin = performance.now();
  const { backend, step, compiled } = await tutorialStep(folder, batch, { profile: false });
  const setUpMs = performance.now() - begin;
  const firstMs = 1000 * (await secondsOf(backend, step, 1));
  await warmUp(backend, step);
  const times = await withClocks(backend, step, () => timesOf(backend, step, quick));
  const before = backend.counts();
  const { stats, loss } = await step(0);
  await backend.finish();
  const after = backend.counts();
  const { compileMs, sources } = compiled();
  const each = (field) => after[field] - before[field];
  const facts = {
    ...times,
    ...{ setUpMs, firstMs, compileMs, pipelines: sources.length },
    ...{ dispatches: each("dispatches"), submits: each("submits") },
    ...{ bytes: each("bytes"), gatheredBytes: each("gatheredBytes") },
    evaluations: stats.map(({ nFEvals }) => nFEvals),
    ...{ plan: stats[0]?.plan ?? null, loss, memory: backend.memory() },
  };
  await backend.dispose();
  return facts;
}

async function timesOf(backend, step, quick) {
  const onceS = await secondsOf(backend, step, 1);
  const count = Math.max(2, Math.min(MOST_STEPS, Math.ceil((quick ? QUICK_SECONDS : SECONDS) / onceS)));
  const times = [];
  for (let k = 0; k < count; k++) times.push(1000 * (await secondsOf(backend, step, 1)));
  // Consecutive steps, as in training.
  const pipelinedMs = (1000 * (await secondsOf(backend, step, count))) / count;
  return { medianMs: median(times), bestMs: Math.min(...times), pipelinedMs };
}

/** Milliseconds and runs per step of each kernel, slowest first; null without timestamps. */
async function byKernel(folder, batch) {
  const { backend, step } = await tutorialStep(folder, batch, { profile: true });
  await warmUp(backend, step);
  const facts = await withClocks(backend, step, async () => {
    backend.profile();
    await secondsOf(backend, step, PROFILED_STEPS);
    const kernels = Object.entries(backend.profile()).map(([kernel, { ms, runs }]) => ({
      kernel,
      ms: ms / PROFILED_STEPS,
      runs: runs / PROFILED_STEPS,
    }));
    const deviceMs = kernels.reduce((sum, { ms }) => sum + ms, 0);
    return deviceMs > 0 ? { deviceMs, kernels: kernels.sort((a, b) => b.ms - a.ms) } : null;
  });
  await backend.dispose();
  return facts;
}
