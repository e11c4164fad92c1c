// What a training step allocates: states, parameters and their like, never a product of two large extents.

import * as assert from "uvu/assert";
import type { Backend } from "../../src/backend/backend.ts";
import { bytesOf } from "../../src/core/dtype.ts";
import { absolute } from "../../src/data/connectomes.ts";
import { ConnectomeODEClassifier } from "../../src/models/classifier.ts";
import { Adam } from "../../src/train/optimizer.ts";
import { forEachBackend } from "../support/backends.ts";
import { randomSparse } from "../support/matrices.ts";

/** N·N = 1,000,000 and nnz·B ≈ 1,900,000 numbers exceed even a program's forty states of temporaries, which WASM keeps in one block. */
const N_NEURONS = 1000;
const BATCH = 16;
const N_INPUTS = 30;

interface Allocation {
  readonly label: string;
  readonly length: number;
}

/** `backend`, writing down the buffers that it is asked for. */
function recording(backend: Backend, allocations: Allocation[]): Backend {
  return new Proxy(backend, {
    get(target, key) {
      if (key === "buffer") {
        return (...args: Parameters<Backend["buffer"]>) => {
          allocations.push({ label: args[0], length: args[1] });
          return target.buffer(...args);
        };
      }
      const value: unknown = Reflect.get(target, key);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

forEachBackend("memory of a training step", ["f64", "f32"], (test) => {
  test("nothing of size N×N or nnz×B is ever allocated", async ({ backend }) => {
    const allocations: Allocation[] = [];
    const connectome = absolute(randomSparse(N_NEURONS, N_NEURONS, 0.12).csr);
    const { nnz } = connectome;
    const model = new ConnectomeODEClassifier(recording(backend, allocations), {
      rnn: {
        numNeurons: N_NEURONS,
        inputSize: N_INPUTS,
        connectome,
        inputProjection: randomSparse(N_NEURONS, N_INPUTS, 0.01).csr,
        outputProjection: randomSparse(20, N_NEURONS, 0.02).csr,
        inputGradient: true,
      },
      numClasses: 4,
      fcDim: 8,
    });
    const adam = new Adam(model.backend, model.parameters);
    for (const steps of [undefined, 3]) {
      const data = Float64Array.from({ length: BATCH * (steps ?? 1) * N_INPUTS }, (_, i) => Math.sin(i));
      const labels = Array.from({ length: BATCH }, (_, i) => i % 4);
      const input = { data, batch: BATCH, ...(steps ? { steps } : {}) };
      await model.gradients(input, labels, 0, { numEvals: 3, lossAllTimesteps: true });
      adam.step();
    }
    const forbidden = Math.min(N_NEURONS ** 2, nnz * BATCH);
    const largest = Math.max(nnz, 3 * N_NEURONS * BATCH);
    assert.ok(6 * largest < forbidden, "sizes can be told apart");
    for (const { label, length } of allocations) assert.ok(length <= largest, `${label}: ${length} numbers`);
    assert.ok(allocations.length > 50, "the buffers of a solve were seen");
    // Temporaries and the structure of matrices are the backend's own affair; they show in its books.
    const { largestBytes } = backend.memory();
    assert.ok(largestBytes < forbidden * bytesOf(backend.dtype), `largest allocation: ${largestBytes} bytes`);
    adam.dispose();
    model.dispose();
  });

  test("a step gives back what it took, and the next ones take nothing more", async ({ backend }) => {
    const before = backend.memory().liveBuffers;
    const model = new ConnectomeODEClassifier(backend, {
      rnn: { numNeurons: 40, inputSize: 40, connectome: absolute(randomSparse(40, 40, 0.1).csr) },
      numClasses: 3,
      fcDim: null,
    });
    const adam = new Adam(backend, model.parameters);
    const input = { data: new Float32Array(5 * 40).fill(0.5), batch: 5 };
    const live: number[] = [];
    for (let step = 0; step < 4; step++) {
      await model.gradients(input, [0, 1, 2, 0, 1], step);
      adam.step();
      live.push(backend.memory().liveBuffers);
    }
    assert.equal(live.slice(1), live.slice(0, -1), "buffers held after each step");
    adam.dispose();
    model.dispose();
    assert.is(backend.memory().liveBuffers, before);
  });
});
