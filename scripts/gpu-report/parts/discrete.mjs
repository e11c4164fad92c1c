// A training step of a network in discrete time, as suite discrete of the benchmarks has it, with the light cone and without.

import { loadNetwork } from "../../../dist/bench/networks.js";
import { DiscreteTraining } from "../../../dist/bench/suites/discrete.js";
import { createWebGpuBackend } from "../../../dist/src/backend/webgpu/backend.js";
import { median, secondsOf, warmUp, withClocks } from "../clock.mjs";

/** Updates in a step. */
const STEPS = 8;
const RUNS = 20;
const QUICK_RUNS = 3;

export async function run({ folder, batch, quick, row }) {
  const network = loadNetwork(folder);
  const size = { neurons: network.csr.nRows, connections: network.csr.nnz, steps: STEPS };
  for (const lightCone of [true, false]) {
    const times = await timesOf(network, batch, lightCone, quick ? QUICK_RUNS : RUNS);
    row({ name: "discrete", batch, lightCone, ...size, ...times });
  }
}

async function timesOf(network, batch, lightCone, runs) {
  const backend = await createWebGpuBackend();
  const training = new DiscreteTraining(backend, network, batch, { steps: STEPS, frozen: false, lightCone });
  const step = () => training.step();
  const firstMs = 1000 * (await secondsOf(backend, step, 1));
  await warmUp(backend, step);
  const times = await withClocks(backend, step, async () => {
    const each = [];
    for (let k = 0; k < runs; k++) each.push(1000 * (await secondsOf(backend, step, 1)));
    return { medianMs: median(each), bestMs: Math.min(...each) };
  });
  const loss = await step();
  const facts = { firstMs, ...times, loss, connectionsRead: training.connectionsRead, memory: backend.memory() };
  training.dispose();
  await backend.dispose();
  return facts;
}
