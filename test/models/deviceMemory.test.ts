// How much device memory training takes on the CPU, by formula: what a network costs can be known before it is tried.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { createWasmBackend } from "../../src/backend/wasm/backend.ts";
import type { Csr } from "../../src/core/csr.ts";
import { createSparseProjection } from "../../src/data/connectomes.ts";
import { ConnectomeODEClassifier } from "../../src/models/classifier.ts";
import type { TapePlan } from "../../src/ode/tape.ts";
import { Adam } from "../../src/train/optimizer.ts";
import { randomSparse } from "../support/matrices.ts";

const test = suite("device memory by formula");

const NEURONS = 2000;
const PIXELS = 100;
const HIDDEN = 32;
const CLASSES = 4;
const FLOAT = 4;
const PANEL = 16;

/**
 * States of a training step besides its tape: 8 of the network (drive, start, two evaluation points, their cotangents), 13 of the
 * forward solve (stages, starts, first slope), 13 of the reverse one, 2 that the error norm reduces, and at most 17 temporaries of the
 * largest program.
 */
const STATES = 53;
/** The code of programs, per-sample vectors, the padding of 260 buffers to cache lines. */
const SMALL = 256 * 1024;

/** Values twice, gradient, two moments; 16-bit indices twice, the permutation; offsets. */
function sparseBytes({ nnz, nRows, nCols }: Csr): number {
  return nnz * (5 * FLOAT + 2 * 2 + 4) + 4 * (nRows + nCols + 2);
}

/** Value, gradient, two moments. */
function denseBytes(size: number): number {
  return 4 * FLOAT * size;
}

interface Training {
  readonly peakBytes: number;
  readonly plan: TapePlan;
}

async function train(connectome: Csr, batch: number, steps: number): Promise<Training> {
  const backend = await createWasmBackend({ threads: 1 });
  const model = new ConnectomeODEClassifier(backend, {
    rnn: {
      numNeurons: NEURONS,
      inputSize: PIXELS,
      connectome,
      weightConstraint: { min: 0, clamp: true },
      inputProjection: inputProjection(),
    },
    numClasses: CLASSES,
    fcDim: HIDDEN,
  });
  const adam = new Adam(backend, model.parameters);
  const input = { data: Float32Array.from({ length: batch * PIXELS }, (_, i) => Math.sin(i)), batch };
  const labels = Array.from({ length: batch }, (_, i) => i % CLASSES);
  let plan: TapePlan | null = null;
  for (let step = 0; step < steps; step++) {
    const { stats } = await model.gradients(input, labels, step);
    adam.step();
    plan = stats[0]!.plan;
  }
  const { peakBytes } = backend.memory();
  adam.dispose();
  model.dispose();
  await backend.dispose();
  return { peakBytes, plan: plan! };
}

function inputProjection(): Csr {
  const indices = Uint32Array.from({ length: PIXELS }, (_, i) => 7 * i);
  return createSparseProjection({ size: PIXELS, numNeurons: NEURONS, indices, mode: "ih" });
}

function expectedBytes(connectome: Csr, { attempts, bytesPerStart, bytesPerSaves }: TapePlan): number {
  const parameters =
    sparseBytes(connectome) +
    sparseBytes(inputProjection()) +
    denseBytes(2 * NEURONS) +
    denseBytes(HIDDEN * NEURONS + HIDDEN + CLASSES * HIDDEN + CLASSES);
  const tape = (attempts + 1) * bytesPerStart + attempts * bytesPerSaves;
  return parameters + tape + STATES * NEURONS * PANEL * FLOAT + SMALL;
}

test("parameters, their optimiser, the tape and a fixed number of states are all there is", async () => {
  const connectome = randomSparse(NEURONS, NEURONS, 0.05).csr;
  const { peakBytes, plan } = await train(connectome, PANEL, 2);
  assert.is(plan.strategy, "store");
  const expected = expectedBytes(connectome, plan);
  assert.ok(peakBytes <= expected, `${peakBytes} bytes, by formula ${expected}`);
  // A formula with room for another gradient or another tenth of the states would say nothing.
  assert.ok(peakBytes > 0.9 * expected, `${peakBytes} bytes, by formula ${expected}`);
});

test("memory does not grow with the batch beyond one panel, nor from step to step", async () => {
  const connectome = randomSparse(NEURONS, NEURONS, 0.01).csr;
  const one = await train(connectome, PANEL, 1);
  const many = await train(connectome, 4 * PANEL, 3);
  // Other samples may take another attempt or two.
  const perAttempt = one.plan.bytesPerStart + one.plan.bytesPerSaves;
  assert.ok(many.peakBytes <= one.peakBytes + 3 * perAttempt, `${many.peakBytes}, one panel ${one.peakBytes}`);
});

test.run();
