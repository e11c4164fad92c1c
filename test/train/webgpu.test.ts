// Training on WebGPU: a step enqueues everything and reads one small record, makes no object, and computes what WASM computes.

import * as assert from "uvu/assert";
import type { Backend } from "../../src/backend/backend.ts";
import { createWebGpuBackend, type WebGpuBackend } from "../../src/backend/webgpu/backend.ts";
import { ARRAYS_PER_SLAB } from "../../src/backend/webgpu/slabs.ts";
import { normals, streamOf } from "../../src/check/point.ts";
import { assertBitEqual } from "../support/close.ts";
import { requireTestAdapter } from "../support/softwareAdapter.ts";
import { suite } from "../support/suite.ts";
import { assertGradients } from "./batchGradients.ts";
import { NEURONS, PIXELS, tinyClassifier, tinyTraining } from "./fixtures.ts";

type Counts = ReturnType<WebGpuBackend["counts"]>;

interface Step {
  readonly counts: Counts;
  /** Attempts of the slowest sample. */
  readonly attempts: number;
}

/** What each step of a training adds to the counts. */
async function countedSteps(
  backend: WebGpuBackend,
  options: Parameters<typeof tinyTraining>[1],
  steps: number,
): Promise<readonly Step[]> {
  const tiny = tinyTraining(backend, options);
  const counted: Step[] = [];
  let before = backend.counts();
  for await (const { solver } of tiny.trainer.fit({ steps })) {
    const now = backend.counts();
    const names = Object.keys(now) as (keyof Counts)[];
    const counts = Object.fromEntries(names.map((name) => [name, now[name] - before[name]])) as unknown as Counts;
    counted.push({ counts, attempts: solver!.steps.max });
    before = now;
  }
  tiny.dispose();
  return counted;
}

/** What the tiny classifier says about a batch, each sample with a step size of its own. */
async function logitsOf(backend: Backend, batch: number): Promise<ArrayLike<number>> {
  const model = tinyClassifier(backend, { dropout: 0 });
  const data = normals(streamOf(2, "input"), batch * PIXELS);
  const logits = await model.forward({ data, batch }, { endTime: 0.5 });
  model.dispose();
  return logits;
}

const adapter = await requireTestAdapter();

if (adapter) {
  const test = suite<{ gpu: WebGpuBackend }>("training on webgpu", {} as { gpu: WebGpuBackend });
  test.before(async (context) => {
    context.gpu = await createWebGpuBackend();
  });
  test.after(({ gpu }) => gpu.dispose());

  test("a step in steady state makes no object, and moves a batch one way and one record the other", async ({
    gpu,
  }) => {
    const steps = await countedSteps(gpu, { batchSize: 20, endTime: 0.1 }, 6);
    // The first step binds as many attempts as a first solve is expected to take.
    for (const { attempts } of steps) assert.ok(attempts <= 8, `${attempts} attempts`);
    for (const { counts } of steps.slice(2)) {
      for (const name of ["buffers", "bindGroups", "pipelines", "shaderModules", "querySets", "liveBuffers"] as const)
        assert.is(counts[name], 0, name);
      // For each lane attempts, accepted ones, status, whether it runs, time, step size; and whether the solve is complete, loss, correct
      // predictions, squares of the gradients.
      const lanes = 32;
      assert.is(counts.downloadedBytes, 4 * (6 * lanes + 4));
      // For each lane its pixels and label; and the key of dropout, three numbers of the optimiser.
      assert.is(counts.uploadedBytes, 4 * ((PIXELS + 1) * lanes + 2 + 3));
      assert.ok(counts.dispatches > 100 && counts.submits <= 4 + counts.dispatches / 32, `${counts.submits} submits`);
    }
  });

  test("a solve that takes more attempts than expected costs one more record and no more", async ({ gpu }) => {
    // The first solve is expected to take 8 attempts.
    const [first] = await countedSteps(gpu, { batchSize: 20, endTime: 2 }, 1);
    assert.ok(first!.attempts > 8 && first!.attempts <= 8 + 8 / 4 + 3, `${first!.attempts} attempts`);
    const records = first!.counts.downloadedBytes / (4 * (6 * 32 + 4));
    assert.is(records, 1 + Math.ceil((first!.attempts - 8) / 2));
  });

  for (const batch of [1, 3, 16, 64, 256]) {
    test(`the gradients of a batch of ${batch} are those of double precision, but for rounding`, ({ gpu }) =>
      assertGradients(gpu, batch));
  }

  test("where a batch is too large for one array it runs in chunks: the same states, gradients but for rounding", async ({
    gpu,
  }) => {
    const state = 4 * NEURONS * 16;
    const limited = await createWebGpuBackend({ maxArrayBytes: ARRAYS_PER_SLAB * state });
    const lanes = [NEURONS / 100, NEURONS / 4, NEURONS, NEURONS + 1, 3 * NEURONS].map((n) => limited.lanesFor(n));
    assert.equal(lanes, [256, 64, 16, 8, 4]);
    const asked: number[] = [];
    const { layoutFor } = limited;
    limited.layoutFor = (lanes) => {
      asked.push(lanes);
      return layoutFor.call(limited, lanes);
    };
    await assertGradients(limited, 32);
    assert.equal(
      asked.filter((lanes) => lanes > 1),
      [16, 16],
    );
    assertBitEqual(await logitsOf(limited, 32), await logitsOf(gpu, 32), "logits");
    await limited.dispose();
  });

  test("pipelines are few where buffers lie in many slabs: programs find those of each attempt alike", async () => {
    const pipelines: number[] = [];
    const slabs: number[] = [];
    for (const maxArrayBytes of [Number.POSITIVE_INFINITY, ARRAYS_PER_SLAB * 4 * NEURONS * 16]) {
      const backend = await createWebGpuBackend({ maxArrayBytes });
      await countedSteps(backend, { batchSize: 16, endTime: 0.5 }, 1);
      pipelines.push(backend.counts().pipelines);
      slabs.push(backend.counts().buffers);
      await backend.dispose();
    }
    assert.ok(slabs[1]! >= slabs[0]! + 8, slabs.join(" "));
    assert.ok(pipelines[1]! <= 1.2 * pipelines[0]!, pipelines.join(" "));
  });

  test("after a training and dispose nothing lives", async () => {
    const backend = await createWebGpuBackend();
    await countedSteps(backend, { endTime: 0.1 }, 2);
    // All buffers of the training are released, and slabs are kept for others.
    assert.is(backend.memory().liveBuffers, 0);
    await backend.dispose();
    assert.is(backend.counts().liveBuffers, 0);
    assert.is(backend.memory().bytes, 0);
  });

  test.run();
}
