// True parameters from files, for a network of three neurons.

import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { csrFromCoo } from "../../src/core/csr.ts";
import { writeConnectome } from "../../src/io/connectome.ts";
import { type SafeTensor, writeSafetensors } from "../../src/io/safetensors.ts";
import { readKnownParameters } from "../../src/run/knownParameters.ts";
import { fails, tempDir } from "../io/fixtures.ts";

const test = suite("known parameters");
const dir = tempDir();

const WEIGHTS = csrFromCoo({ nRows: 3, nCols: 3, rows: [0, 1], cols: [1, 0], values: [0.5, -2] });
const IDS = ["a", "b", "c"];

/** A run in which neurons 0 and 2 share a time constant. */
const RUN = {
  connectome: WEIGHTS,
  selectable: { count: 3, ids: IDS },
  model: {
    rnn: { options: { numNeurons: 3 } },
    parameters: { all: () => [{ leaf: "tau", size: 2, shared: { by: [1, 0, 1] } }] },
  },
} as unknown as Parameters<typeof readKnownParameters>[1];

test("the file of a connectome has known weights, of the same neurons in the same order", async () => {
  const file = join(dir, "truth.npz");
  await writeConnectome(file, WEIGHTS);
  const known = await readKnownParameters(file, RUN);
  assert.equal([known.source, known.tau, known.bias], [file, null, null]);
  assert.equal([...known.weights!.values], [0.5, -2]);
  const named = join(dir, "named.safetensors");
  await writeConnectome(named, WEIGHTS, { labels: IDS });
  assert.equal([...(await readKnownParameters(named, RUN)).weights!.values], [0.5, -2]);
  const swapped = join(dir, "swapped.safetensors");
  await writeConnectome(swapped, WEIGHTS, { labels: ["a", "c", "b"] });
  await fails(() => readKnownParameters(swapped, RUN), "file-format", /b as neuron 1, as the run has, got c/);
  const small = join(dir, "small.npz");
  await writeConnectome(small, csrFromCoo({ nRows: 2, nCols: 2, rows: [0], cols: [1], values: [1] }));
  await fails(() => readKnownParameters(small, RUN), "file-format", /3 neurons/);
});

/** A state dictionary; the third neuron has no connections, so its coordinates do not show it. */
async function dictionary(name: string, tensors: Readonly<Record<string, readonly number[]>>): Promise<string> {
  const file = join(dir, name);
  const all = new Map<string, SafeTensor>([
    ["rnn.hh.indices", { dtype: "I32", shape: [2, 2], data: Int32Array.of(0, 1, 1, 0) }],
  ]);
  for (const [key, data] of Object.entries(tensors)) {
    all.set(key, { dtype: "F32", shape: [data.length], data: Float32Array.from(data) });
  }
  await writeSafetensors(file, all);
  return file;
}

test("a state dictionary has time constants and biases, too, also one per type", async () => {
  const file = await dictionary("state.safetensors", {
    ...{ "rnn.hh.values": [0.5, -2], "rnn.hh.bias": [1, 2, 3], "rnn.tau": [4, 5] },
  });
  const { weights, tau, bias } = await readKnownParameters(file, RUN);
  assert.equal([weights!.nRows, weights!.nCols, ...weights!.rowPtr], [3, 3, 0, 1, 2, 2]);
  assert.equal([...weights!.values], [0.5, -2]);
  assert.equal(Array.from(bias!), [1, 2, 3]);
  assert.equal(Array.from(tau!), [5, 4, 5]);
});

test("values of other neurons, and strengths that connections share, are refused", async () => {
  const other = await dictionary("other.safetensors", { "rnn.hh.values": [1, 1], "rnn.hh.bias": [1, 2] });
  await fails(() => readKnownParameters(other, RUN), "file-format", /3 numbers of bias/);
  const shared = await dictionary("shared.safetensors", { "rnn.hh.strength": [1] });
  await fails(() => readKnownParameters(shared, RUN), "file-format", /--against RUN/);
});

test.run();
