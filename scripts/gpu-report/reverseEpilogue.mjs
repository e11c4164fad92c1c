// Decides `reverseEpilogue`: times the tutorial's training step with the pointwise work after reverse products in their kernel and apart, in turn.
//
//   node scripts/gpu-report/reverseEpilogue.mjs [--batch 8,64] [--neurons 47521] [--connections 4623254]
//
// Prints a row per batch and choice: median and best milliseconds of a step, dispatches, pipelines.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { median, secondsOf, warmUp } from "./clock.mjs";
import { run as makeNetwork } from "./parts/makeNetwork.mjs";
import { tutorialStep } from "./tutorialStep.mjs";

const CHOICES = ["fused", "apart"];
const ROUNDS = 5;
const STEPS_PER_ROUND = 10;

const { values: given } = parseArgs({
  options: {
    batch: { type: "string", default: "8,64" },
    neurons: { type: "string", default: "47521" },
    connections: { type: "string", default: "4623254" },
  },
});
const folder = mkdtempSync(join(tmpdir(), "axograd-network-"));
try {
  const network = { neurons: Number(given.neurons), connections: Number(given.connections) };
  await makeNetwork({ network, folder, row: (facts) => console.log(JSON.stringify(facts)) });
  for (const batch of given.batch.split(",").map(Number)) await compare(batch);
} finally {
  rmSync(folder, { recursive: true });
}

async function compare(batch) {
  const contenders = [];
  for (const reverseEpilogue of CHOICES) {
    const made = await tutorialStep(folder, batch, { profile: false, reverseEpilogue });
    await warmUp(made.backend, made.step);
    contenders.push({ ...made, reverseEpilogue, times: [] });
  }
  for (let round = 0; round < ROUNDS; round++) {
    for (const { backend, step, times } of contenders) {
      await secondsOf(backend, step, 1);
      const steps = backend.adapter.isSoftware ? 1 : STEPS_PER_ROUND;
      for (let k = 0; k < steps; k++) times.push(1000 * (await secondsOf(backend, step, 1)));
    }
  }
  for (const { backend, step, compiled, times, reverseEpilogue } of contenders) {
    const before = backend.counts().dispatches;
    await step(0);
    const dispatches = backend.counts().dispatches - before;
    const pipelines = compiled().sources.length;
    const facts = { medianMs: median(times), bestMs: Math.min(...times), dispatches, pipelines };
    console.log(JSON.stringify({ batch, reverseEpilogue, ...facts }));
    await backend.dispose();
  }
}
