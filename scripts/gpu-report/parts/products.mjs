// The sparse products of a training step at full size: correct against f64, the same bits twice and in any batch, and their times.

import { loadNetwork } from "../../../dist/bench/networks.js";
import { createWebGpuBackend } from "../../../dist/src/backend/webgpu/backend.js";
import { median, secondsOf, warmUp, withClocks } from "../clock.mjs";
import { errorsOverBounds, sameBits, sameSamples } from "../sparseCheck.mjs";
import { sparseProducts } from "../sparseProducts.mjs";

const ROUNDS = 5;
const ROUND_S = 0.1;
const MOST_RUNS = 500;
const PROFILED_RUNS = 20;

export async function run({ folder, batches, quick, row }) {
  const { csr } = loadNetwork(folder);
  await eachBatch(batches, row, "right", false, checker(csr));
  for (const profile of [true, false]) {
    const time = profile ? onDevice : byClock(quick);
    await eachBatch(batches, row, "time", profile, (backend, batch) => timesOf(backend, csr, batch, time));
  }
}

/** Rows of all batches. If a batch fails (for lack of memory, say), its row has the error, and the next batch runs. */
async function eachBatch(batches, row, name, profile, measure) {
  for (const batch of batches) {
    let backend = null;
    try {
      backend = await createWebGpuBackend({ profile });
      for (const facts of await measure(backend, batch)) row({ name, batch, ...facts });
    } catch (error) {
      row({ name, batch, error: error.message });
      process.exitCode = 1;
    } finally {
      await backend?.dispose();
    }
  }
}

function checker(csr) {
  let first = null;
  return async (backend, batch) => {
    const products = sparseProducts(backend, csr, batch);
    const { layout } = products;
    const once = await products.results();
    const again = await products.results();
    const errors = errorsOverBounds(csr, batch, { layout, ...once });
    const isRight = Object.values(errors).every((error) => error <= 1);
    const sameTwice = ["y", "ct", "grad"].every((name) => sameBits(once[name], again[name]));
    const own = { batch, layout };
    first ??= { ...own, ...once };
    const sameInBatches = ["y", "ct"].every((name) =>
      sameSamples(
        csr.nRows,
        { ...own, values: once[name] },
        { batch: first.batch, layout: first.layout, values: first[name] },
      ),
    );
    const passed = isRight && sameTwice && sameInBatches;
    return [{ passed, sameTwice, sameInBatches, errorOverBound: Math.max(...Object.values(errors)), errors }];
  };
}

/** Facts of each product, none if `time` returns null. A product that fails has its error among them. */
async function timesOf(backend, csr, batch, time) {
  const rows = [];
  for (const { name: product, operations, run } of sparseProducts(backend, csr, batch).works) {
    try {
      await warmUp(backend, run);
      const facts = await withClocks(backend, run, () => time(backend, run, operations));
      if (facts !== null) rows.push({ product, ...facts });
    } catch (error) {
      rows.push({ product, error: error.message });
      process.exitCode = 1;
    }
  }
  return rows;
}

/** Time on the device alone, from timestamps; null without them. */
async function onDevice(backend, run, operations) {
  backend.profile();
  await secondsOf(backend, run, PROFILED_RUNS);
  const kinds = Object.values(backend.profile());
  const deviceUs = (1000 * kinds.reduce((sum, { ms }) => sum + ms, 0)) / PROFILED_RUNS;
  return deviceUs > 0 ? { deviceUs, tflops: operations / deviceUs / 1e6 } : null;
}

/** Time by the host's clock, of consecutive runs without a wait between them. */
function byClock(quick) {
  return async (backend, run, operations) => {
    const onceS = await secondsOf(backend, run, 1);
    const runs = Math.max(1, Math.min(MOST_RUNS, Math.ceil((quick ? ROUND_S / 4 : ROUND_S) / onceS)));
    const rounds = [];
    for (let round = 0; round < ROUNDS; round++) rounds.push((await secondsOf(backend, run, runs)) / runs);
    const wallUs = 1e6 * median(rounds);
    return { wallUs, wallTflops: operations / wallUs / 1e6, runs };
  };
}
