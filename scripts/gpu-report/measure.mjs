// Times of pieces of work: by the clock over many runs, and on the device by timestamp queries where it has them.

import { createWebGpuBackend } from "../../dist/src/backend/webgpu/backend.js";
import { logNormalConnectome, normaliseRows } from "../../dist/src/data/connectomes.js";
import { works } from "./works.mjs";

const ROUNDS = 3;
const MOST_RUNS = 500;
const PROFILED_RUNS = 2;
const SEED = 1;

/**
 * All pieces of work for all batches of one network. A piece that fails (memory, say) has its error in its row.
 *
 * @returns {Promise<object>} the network with `adapter` and `rows`
 */
export async function measureNetwork({ neurons, synapses }, { batches, seconds }) {
  console.log(`== ${neurons} neurons, ${synapses} synapses`);
  const csr = normaliseRows(logNormalConnectome({ neurons, synapses, seed: SEED }));
  const network = { neurons, synapses, adapter: null, rows: [] };
  for (const batch of batches) {
    const clocked = await onBackend(false, network, (backend) =>
      each(works(backend, csr, batch), (work) => clock(backend, work, seconds)),
    );
    const profiled = await onBackend(true, network, (backend) =>
      each(works(backend, csr, batch), (work) => profile(backend, work)),
    );
    for (const [k, row] of clocked.entries()) {
      network.rows.push(rowOf(batch, row, profiled[k]?.deviceMs ?? null));
      const { work, wallMs, error } = network.rows.at(-1);
      console.log(`   batch ${batch}: ${work}: ${error ?? `${wallMs.toFixed(3)} ms`}`);
    }
  }
  return network;
}

async function onBackend(profile, network, measure) {
  let backend = null;
  try {
    backend = await createWebGpuBackend({ profile });
    network.adapter ??= backend.adapter;
    return await measure(backend);
  } catch (error) {
    return [{ work: "open device", error: String(error.message) }];
  } finally {
    await backend?.dispose();
  }
}

async function each(generated, measure) {
  const results = [];
  try {
    for (const work of generated) results.push({ work: work.name, error: null, ...(await measure(work)) });
  } catch (error) {
    results.push({ work: "next", error: String(error.message) });
  }
  return results;
}

/** Milliseconds per run: the median of a few rounds of runs that follow one another without waiting in between. */
async function clock(backend, work, seconds) {
  await timed(backend, work, 1);
  const before = backend.counts();
  const once = await timed(backend, work, 1);
  const after = backend.counts();
  const runs = Math.max(1, Math.min(MOST_RUNS, Math.ceil((1000 * seconds) / once)));
  const rounds = [];
  for (let round = 0; round < ROUNDS; round++) rounds.push((await timed(backend, work, runs)) / runs);
  rounds.sort((a, b) => a - b);
  return {
    wallMs: rounds[Math.floor(ROUNDS / 2)],
    operations: work.operations(),
    dispatches: after.dispatches - before.dispatches,
    bytes: after.bytes - before.bytes,
    gatheredBytes: after.gatheredBytes - before.gatheredBytes,
  };
}

async function timed(backend, work, runs) {
  const start = performance.now();
  for (let run = 0; run < runs; run++) await work.run();
  await backend.finish();
  return performance.now() - start;
}

/** Milliseconds that the device worked per run; null without timestamp queries. */
async function profile(backend, work) {
  await timed(backend, work, 1);
  backend.profile();
  await timed(backend, work, PROFILED_RUNS);
  const kinds = Object.values(backend.profile());
  const deviceMs = kinds.reduce((sum, { ms }) => sum + ms, 0) / PROFILED_RUNS;
  return { deviceMs: kinds.length > 0 && deviceMs > 0 ? deviceMs : null };
}

function rowOf(batch, { work, error, wallMs = null, operations, dispatches, bytes, gatheredBytes }, deviceMs) {
  if (error !== null) return { batch, work, error };
  // A device that is timed dispatch by dispatch can be slower than one that is not: then it never waits.
  const busyMs = deviceMs === null ? wallMs : Math.min(deviceMs, wallMs);
  return {
    batch,
    work,
    error,
    wallMs,
    deviceMs,
    tflops: operations / busyMs / 1e9,
    gbPerS: bytes / busyMs / 1e6,
    gatheredGbPerS: gatheredBytes / busyMs / 1e6,
    dispatches,
    waiting: deviceMs === null ? null : 1 - busyMs / wallMs,
  };
}
