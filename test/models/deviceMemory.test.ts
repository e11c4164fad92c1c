// How much device memory training takes on the CPU, by formula: what a network costs can be known before it is tried.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Backend } from "../../src/backend/backend.ts";
import { createWasmBackend } from "../../src/backend/wasm/backend.ts";
import type { Csr } from "../../src/core/csr.ts";
import { createSparseProjection } from "../../src/data/connectomes.ts";
import { ConnectomeClassifier, ConnectomeODEClassifier } from "../../src/models/classifier.ts";
import type { ConnectomeNetworkOptions, ModelInput } from "../../src/models/options.ts";
import { type TapePlan, tapeBytes } from "../../src/ode/tape.ts";
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

/**
 * States of a training step in discrete time besides its tape: the start, the drive, the last state and their cotangents, another
 * cotangent, and at most 4 temporaries of the largest program.
 */
const STATES_OF_STEPS = 11;

interface Training {
  readonly peakBytes: number;
  readonly plan: TapePlan;
}

async function train(connectome: Csr, batch: number, steps: number): Promise<Training> {
  const input = { data: Float32Array.from({ length: batch * PIXELS }, (_, i) => Math.sin(i)), batch };
  return trained(
    input,
    steps,
    (backend) => new ConnectomeODEClassifier(backend, { ...CLASSIFIER, rnn: network(connectome) }),
  );
}

/** One training step with a sequence in discrete time, read out at its end. */
async function trainSequence(connectome: Csr, frames: number, memoryBudgetBytes: number): Promise<Training> {
  const data = Float32Array.from({ length: PANEL * frames * PIXELS }, (_, i) => Math.sin(i));
  const rnn = { ...network(connectome), memoryBudgetBytes };
  const input = { data, batch: PANEL, steps: frames };
  return trained(input, 1, (backend) => new ConnectomeClassifier(backend, { ...CLASSIFIER, rnn }));
}

const CLASSIFIER = { numClasses: CLASSES, fcDim: HIDDEN };

function network(connectome: Csr): ConnectomeNetworkOptions {
  return {
    numNeurons: NEURONS,
    inputSize: PIXELS,
    connectome,
    weightConstraint: { min: 0, clamp: true },
    inputProjection: inputProjection(),
  };
}

async function trained(
  input: ModelInput,
  steps: number,
  make: (backend: Backend) => ConnectomeODEClassifier | ConnectomeClassifier,
): Promise<Training> {
  const backend = await createWasmBackend({ threads: 1 });
  const model = make(backend);
  const adam = new Adam(backend, model.parameters);
  const labels = Array.from({ length: input.batch }, (_, i) => i % CLASSES);
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

function parameterBytes(connectome: Csr): number {
  return (
    sparseBytes(connectome) +
    sparseBytes(inputProjection()) +
    denseBytes(2 * NEURONS) +
    denseBytes(HIDDEN * NEURONS + HIDDEN + CLASSES * HIDDEN + CLASSES)
  );
}

function expectedBytes(connectome: Csr, { attempts, bytesPerStart, bytesPerSaves }: TapePlan): number {
  const parameters = parameterBytes(connectome);
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

test("a sequence in discrete time takes its frames and its budget, however long it is", async () => {
  const connectome = randomSparse(NEURONS, NEURONS, 0.01).csr;
  const state = NEURONS * PANEL * FLOAT;
  for (const frames of [8, 64, 128]) {
    const { peakBytes, plan } = await trainSequence(connectome, frames, 40 * state);
    assert.equal([plan.attempts, plan.bytesPerStart, plan.bytesPerSaves], [frames, state, state]);
    assert.is(plan.strategy, frames === 8 ? "store" : "checkpoint");
    const tape = tapeBytes(frames, { stored: plan.attemptsStored, stride: plan.stride }, plan);
    assert.ok(tape <= plan.budgetBytes);
    const inputs = frames * PIXELS * PANEL * FLOAT;
    const expected = parameterBytes(connectome) + inputs + tape + STATES_OF_STEPS * state + SMALL;
    assert.ok(peakBytes <= expected, `${frames} frames: ${peakBytes} bytes, by formula ${expected}`);
    assert.ok(peakBytes > 0.85 * expected, `${frames} frames: ${peakBytes} bytes, by formula ${expected}`);
  }
});

test.run();
