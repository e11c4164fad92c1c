// Loss and gradients of a batch on a device against those in double precision.

import * as assert from "uvu/assert";
import type { Backend } from "../../src/backend/backend.ts";
import { createWasmBackend } from "../../src/backend/wasm/backend.ts";
import { compareArrays, verdictOf } from "../../src/check/comparison.ts";
import { longestSum } from "../../src/check/degrees.ts";
import { normals, type Point, representable, streamOf } from "../../src/check/point.ts";
import { boundedEvaluation } from "../../src/check/rounding.ts";
import { END_TIME, type Evaluation, INITIAL_STATE, INPUT, type OpenSubject } from "../../src/check/subject.ts";
import { SOLO } from "../../src/distributed/communicator.ts";
import type { ConnectomeODEClassifier } from "../../src/models/classifier.ts";
import type { EvaluationOptions } from "../../src/models/connectomeOdeRnn.ts";
import type { ModelInput } from "../../src/models/options.ts";
import { dopri5 } from "../../src/ode/tableaus/index.ts";
import { MicroBatches } from "../../src/train/microBatches.ts";
import { NEURONS, PIXELS, sparseMatrix, tinyClassifier } from "./fixtures.ts";

/** Fixed steps, so that no decision depends on the precision. */
const STEPS = [0.25, 0.25];
/** Of the pointwise chain of a right-hand side and of the read-out, an elementary function counting 6. */
const POINTWISE_ROUNDINGS = 30;

/** The tiny classifier at a point, for a batch of any size. */
class BatchSession implements OpenSubject {
  readonly #model: ConnectomeODEClassifier;
  readonly #batch: number;
  readonly #microBatch: number | null;

  constructor(backend: Backend, batch: number, microBatch: number | null) {
    this.#model = tinyClassifier(backend, { solve: { fixedStep: true, dt0: STEPS[0]! }, dropout: 0 });
    this.#batch = batch;
    this.#microBatch = microBatch;
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
    const loss = await this.#loss(input, labels, evaluation);
    const gradients: Record<string, Float64Array> = {};
    for (const name of trained) gradients[name] = Float64Array.from(await model.parameters.gradient(name));
    return { trajectory: new Float64Array(0), loss, gradients, steps: null };
  }

  /** With its gradients. */
  async #loss(input: ModelInput, labels: Uint8Array, evaluation: EvaluationOptions): Promise<number> {
    const model = this.#model;
    const size = this.#microBatch;
    if (size === null) return (await model.gradients(input, labels, 0, evaluation)).loss;
    const of = this.#batch;
    const shape = {
      inputSize: PIXELS,
      steps: null,
      target: { kind: "class", width: 1, classes: 3, times: null },
      weighted: false,
    } as const;
    const samples = {
      size: of,
      inputs: Float64Array.from(input.data),
      targets: Float32Array.from(labels),
      weights: null,
    };
    const lossWeights = Array.from({ length: Math.ceil(of / size) }, (_, k) => Math.min(size, of - k * size));
    const parts = new MicroBatches(SOLO, model, size, shape);
    return (await parts.gradients({ samples, of, lossWeights, isStopped: false }, 0, evaluation, () => [])).loss;
  }

  dispose(): void {
    this.#model.dispose();
  }
}

/**
 * Loss and gradients of a batch against WASM in double precision, within bounds on what rounding does.
 *
 * @param microBatch  computed in micro-batches of this size; the reference computes the batch as a whole
 */
export async function assertGradients(
  backend: Backend,
  batch: number,
  microBatch: number | null = null,
): Promise<void> {
  const f64 = await createWasmBackend({ dtype: "f64", threads: 1 });
  const [reference, session] = [new BatchSession(f64, batch, null), new BatchSession(backend, batch, microBatch)];
  const point = await reference.point();
  const roundings = {
    perEvaluation: POINTWISE_ROUNDINGS + longestSum(sparseMatrix()) + NEURONS,
    tableau: dopri5,
    samples: batch,
  };
  const steps = Array.from({ length: batch }, () => STEPS);
  const bounded = await boundedEvaluation(reference, point, steps, roundings, 5);
  const got = await session.evaluate(point);
  const names = { reference: "wasm f64", compared: backend.description };
  const comparisons = Object.entries(bounded.reference.gradients).map(([name, gradient]) =>
    compareArrays({ quantity: name, ...names }, gradient, got.gradients[name]!, bounded.bounds.gradients[name]!),
  );
  const { loss } = bounded.reference;
  comparisons.push(compareArrays({ quantity: "loss", ...names }, [loss], [got.loss], [bounded.bounds.loss]));
  for (const c of comparisons) assert.is(verdictOf(c), "ok", `${c.quantity}: ${c.error} of ${c.bound}, size ${c.size}`);
  reference.dispose();
  session.dispose();
  await f64.dispose();
}
