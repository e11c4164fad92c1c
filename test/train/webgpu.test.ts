// Training on WebGPU: a step enqueues everything and reads one small record, makes no object, and computes what WASM computes.

import * as assert from "uvu/assert";
import type { Backend } from "../../src/backend/backend.ts";
import { createWasmBackend } from "../../src/backend/wasm/backend.ts";
import { createWebGpuBackend, type WebGpuBackend } from "../../src/backend/webgpu/backend.ts";
import { ARRAYS_PER_SLAB } from "../../src/backend/webgpu/slabs.ts";
import { compareArrays, verdictOf } from "../../src/check/comparison.ts";
import { longestSum } from "../../src/check/degrees.ts";
import { normals, type Point, representable, streamOf } from "../../src/check/point.ts";
import { boundedEvaluation } from "../../src/check/rounding.ts";
import { END_TIME, type Evaluation, INITIAL_STATE, INPUT, type OpenSubject } from "../../src/check/subject.ts";
import type { ConnectomeODEClassifier } from "../../src/models/classifier.ts";
import { dopri5 } from "../../src/ode/tableaus/index.ts";
import { assertBitEqual } from "../support/close.ts";
import { requireTestAdapter } from "../support/softwareAdapter.ts";
import { suite } from "../support/suite.ts";
import { NEURONS, PIXELS, sparseMatrix, tinyClassifier, tinyTraining } from "./fixtures.ts";

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

/** Fixed steps, so that no decision depends on the precision. */
const STEPS = [0.25, 0.25];
/** Of the pointwise chain of a right-hand side and of the read-out, an elementary function counting 6. */
const POINTWISE_ROUNDINGS = 30;

/** The tiny classifier at a point, for a batch of any size. */
class BatchSession implements OpenSubject {
  readonly #model: ConnectomeODEClassifier;
  readonly #batch: number;

  constructor(backend: Backend, batch: number) {
    this.#model = tinyClassifier(backend, { solve: { fixedStep: true, dt0: STEPS[0]! }, dropout: 0 });
    this.#batch = batch;
  }

  /** All that a gradient depends on: what rounding errors may be seen as changes of. */
  async point(): Promise<Point> {
    const { parameters } = this.#model;
    const point: Record<string, Float64Array> = {
      [INPUT]: normals(streamOf(1, "input"), this.#batch * PIXELS),
      [INITIAL_STATE]: normals(streamOf(1, "state"), this.#batch * NEURONS, 0.3, 0.5),
      [END_TIME]: Float64Array.of(STEPS.reduce((a, b) => a + b)),
    };
    for (const { name } of parameters.trainable()) point[name] = Float64Array.from(await parameters.values(name));
    return representable({ ...point, "rnn.hh.bias": normals(streamOf(1, "bias"), NEURONS, 0.3) });
  }

  async evaluate(point: Point): Promise<Evaluation> {
    const model = this.#model;
    const trained = model.parameters.trainable().map((p) => p.name);
    // Moved by roundings, τ may lie below its minimum.
    for (const name of trained) model.parameters.set(name, point[name]!, { clamp: true });
    const labels = Uint8Array.from({ length: this.#batch }, (_, s) => s % 3);
    const input = { data: point[INPUT]!, batch: this.#batch };
    const evaluation = { endTime: point[END_TIME]![0]!, h0: point[INITIAL_STATE]! };
    const { loss } = await model.gradients(input, labels, 0, evaluation);
    const gradients: Record<string, Float64Array> = {};
    for (const name of trained) gradients[name] = Float64Array.from(await model.parameters.gradient(name));
    return { trajectory: new Float64Array(0), loss, gradients, steps: null };
  }

  dispose(): void {
    this.#model.dispose();
  }
}

/** Loss and gradients of a batch against WASM in double precision, within bounds on what rounding does. */
async function assertGradients(backend: Backend, batch: number): Promise<void> {
  const f64 = await createWasmBackend({ dtype: "f64", threads: 1 });
  const [reference, session] = [f64, backend].map((each) => new BatchSession(each, batch));
  const point = await reference!.point();
  const roundings = {
    perEvaluation: POINTWISE_ROUNDINGS + longestSum(sparseMatrix()) + NEURONS,
    tableau: dopri5,
    samples: batch,
  };
  const steps = Array.from({ length: batch }, () => STEPS);
  const bounded = await boundedEvaluation(reference!, point, steps, roundings, 5);
  const got = await session!.evaluate(point);
  const names = { reference: "wasm f64", compared: "webgpu f32" };
  const comparisons = Object.entries(bounded.reference.gradients).map(([name, gradient]) =>
    compareArrays({ quantity: name, ...names }, gradient, got.gradients[name]!, bounded.bounds.gradients[name]!),
  );
  const { loss } = bounded.reference;
  comparisons.push(compareArrays({ quantity: "loss", ...names }, [loss], [got.loss], [bounded.bounds.loss]));
  for (const c of comparisons) assert.is(verdictOf(c), "ok", `${c.quantity}: ${c.error} of ${c.bound}, size ${c.size}`);
  reference!.dispose();
  session!.dispose();
  await f64.dispose();
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
