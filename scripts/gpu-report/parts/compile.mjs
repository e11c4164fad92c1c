// The pipelines of a training step made again, each changed by a constant so that no cache knows it: one after another as axograd does it,
// and all asked for at once.

import { createWebGpuBackend } from "../../../dist/src/backend/webgpu/backend.js";
import { median } from "../clock.mjs";
import { tutorialStep } from "../tutorialStep.mjs";

export async function run({ folder, batch, row }) {
  const { backend, step, compiled } = await tutorialStep(folder, batch, { profile: false });
  await step(0);
  await backend.finish();
  const { sources } = compiled();
  await backend.dispose();
  const other = await createWebGpuBackend();
  const { device } = other;
  const descriptorOf = (code) => ({
    layout: "auto",
    compute: { module: device.createShaderModule({ code }), entryPoint: "main" },
  });

  const times = [];
  for (const code of sources.map((source) => salted(source, 1))) {
    const begin = performance.now();
    device.createComputePipeline(descriptorOf(code));
    times.push(performance.now() - begin);
  }
  const ms = times.reduce((sum, time) => sum + time, 0);
  row({
    name: "one after another",
    pipelines: sources.length,
    ms,
    medianMs: median(times),
    mostMs: Math.max(...times),
  });

  const begin = performance.now();
  const descriptors = sources.map((source) => descriptorOf(salted(source, 2)));
  await Promise.all(descriptors.map((descriptor) => device.createComputePipelineAsync(descriptor)));
  row({ name: "all at once", pipelines: sources.length, ms: performance.now() - begin });
  await other.dispose();
}

/** The same work from a text that compilers have to look at anew: its first number of each constant that the kernels have is another. */
function salted(source, salt) {
  return source.replace(/(const [A-Z_]*ROWS = )(\d+)u/g, (_, name, rows) => `${name}${Number(rows) + salt}u`);
}
