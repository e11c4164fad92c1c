// What kernels assume of an adapter: imagined adapters without it are refused by name, or kernels do without.

import * as assert from "uvu/assert";
import { createWebGpuBackend } from "../../src/backend/webgpu/backend.ts";
import type { AdapterInfo } from "../../src/backend/webgpu/dawn.ts";
import { checkLimits } from "../../src/backend/webgpu/device.ts";
import { areNeighbours, hasNeighbourQuads } from "../../src/backend/webgpu/quadProbe.ts";
import { tuneSparse } from "../../src/backend/webgpu/tuneSparse.ts";
import { BackendError } from "../../src/core/errors.ts";
import { logNormalConnectome } from "../../src/data/connectomes.ts";
import { tuneDevice } from "../../src/run/tuning.ts";
import { requireTestAdapter } from "../support/softwareAdapter.ts";
import { suite } from "../support/suite.ts";

const adapter = await requireTestAdapter();
const test = suite("webgpu, adapters");

/** Exactly what is needed. */
const LIMITS: Readonly<Record<string, number>> = {
  maxStorageBuffersPerShaderStage: 8,
  maxComputeInvocationsPerWorkgroup: 256,
  maxComputeWorkgroupSizeX: 256,
  maxComputeWorkgroupStorageSize: 16384,
  maxComputeWorkgroupsPerDimension: 65535,
  minUniformBufferOffsetAlignment: 256,
  minStorageBufferOffsetAlignment: 256,
};

test("limits that kernels need are enough, and each that is lacking is named with what was found", () => {
  checkLimits(LIMITS, "Voodoo");
  for (const [limit, needed] of Object.entries(LIMITS)) {
    const [worse, bound] = limit.startsWith("min") ? [2 * needed, "most"] : [needed - 1, "least"];
    for (const got of [worse, Number.NaN]) {
      assert.throws(
        () => checkLimits({ ...LIMITS, [limit]: got }, "Voodoo"),
        (e: Error) =>
          e instanceof BackendError &&
          e.code === "limit" &&
          e.message.includes(`expected ${limit} of at ${bound} ${needed}, got ${got} (Voodoo)`),
        limit,
      );
    }
    assert.throws(() => checkLimits({ ...LIMITS, [limit]: undefined }, "Voodoo"), new RegExp(limit));
  }
});

/** What 256 threads get from others where thread t is in quad and place `at(t)`. */
function swapsOf(at: (t: number) => { readonly quad: number; readonly place: number }): Uint32Array {
  const threads = Array.from({ length: 256 }, (_, t) => ({ t, ...at(t) }));
  const from = (quad: number, place: number): number =>
    threads.find((other) => other.quad === quad && other.place === place)!.t;
  return Uint32Array.from(threads.flatMap(({ quad, place }) => [from(quad, place ^ 1), from(quad, place ^ 2)]));
}

const LINES = swapsOf((t) => ({ quad: t >> 2, place: t & 3 }));
/** As pixels are grouped: two rows of 16 threads share quads. */
const SQUARES = swapsOf((t) => ({ quad: 8 * (t >> 5) + ((t & 15) >> 1), place: (t & 1) + 2 * ((t >> 4) & 1) }));
/** A subgroup of two threads has nobody at distance 2. */
const PAIRS = LINES.map((from, k) => (k % 2 === 0 ? from : k >> 1));

test("quads of neighbouring threads are told from other quads, and from none", () => {
  assert.ok(areNeighbours(LINES));
  for (const other of [SQUARES, PAIRS, new Uint32Array(512), LINES.slice(2)]) assert.not.ok(areNeighbours(other));
});

/** A device whose every buffer holds these numbers. */
function answering(numbers: Uint32Array): GPUDevice {
  const nothing: object = new Proxy(() => {}, {
    get: (_, name) => (name === "then" ? undefined : nothing),
    apply: () => nothing,
  });
  const buffer = { mapAsync: async () => {}, getMappedRange: () => numbers.buffer, destroy: () => {} };
  return new Proxy({ createBuffer: () => buffer } as unknown as GPUDevice, {
    get: (target, name) => Reflect.get(target, name) ?? nothing,
  });
}

if (adapter) {
  test("a device is asked once, and one with other quads does without", async () => {
    const info = (name: string): AdapterInfo => ({ ...adapter, name });
    assert.is(await hasNeighbourQuads(answering(LINES), info("lines")), true);
    assert.is(await hasNeighbourQuads(answering(SQUARES), info("squares")), false);
    assert.is(await hasNeighbourQuads(answering(LINES), info("squares")), false, "the first answer stays");
  });

  test("a device with the feature subgroups but other quads is tuned, resumed and keyed as one without", async () => {
    const dawnToggles = { disable_robustness: true };
    const info: AdapterInfo = { ...adapter, toggles: { ...adapter.toggles, ...dawnToggles } };
    assert.is(await hasNeighbourQuads(answering(SQUARES), info), false);
    const backend = await createWebGpuBackend({ dawnToggles });
    assert.is(backend.standardTuning.exchange, "workgroup");
    const csr = logNormalConnectome({ neurons: 40, connections: 200, seed: 1 });
    const subject = { csr, lanes: 4, warn: assert.unreachable };
    const tuned = await tuneDevice(backend, { how: "off" }, subject);
    assert.is(tuned!.tuning.tuning.exchange, "workgroup");
    const recorded = { ...tuned!.tuning, tuning: { ...tuned!.tuning.tuning, exchange: "quads" } } as const;
    await tuneDevice(backend, { how: "run", recorded }, subject);
    assert.is(backend.sparseTuning.exchange, "workgroup");
    const clock = (): number => 100;
    const { tuning, trials } = await tuneSparse(backend, csr, { lanes: 4 }, { force: true, clock, now: () => 0 });
    assert.equal(
      [...trials.map((trial) => trial.tuning), tuning].filter(({ exchange }) => exchange === "quads"),
      [],
    );
    await backend.dispose();
  });

  test("an adapter whose answer did not come is asked again", async () => {
    const info = { ...adapter, name: "lost" };
    const lost = { createBuffer: () => Object.assign({}, { destroy: () => {} }) } as unknown as GPUDevice;
    await hasNeighbourQuads(lost, info).then(
      () => assert.unreachable("no answer"),
      (error: Error) => assert.instance(error, TypeError),
    );
    assert.is(await hasNeighbourQuads(answering(LINES), info), true);
  });

  test("the adapter of the tests has quads where it has subgroups", async () => {
    const backend = await createWebGpuBackend();
    const { device } = backend;
    if (device.features.has("subgroups"))
      assert.ok(await hasNeighbourQuads(device, { ...adapter, name: "asked anew" }));
    await backend.dispose();
  });
}

test.run();
