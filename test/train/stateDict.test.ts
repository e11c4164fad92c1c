// State dictionaries: torch-biopl's names and shapes, there and back, and what does not fit by name.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { FileFormatError } from "../../src/core/errors.ts";
import { absolute } from "../../src/data/connectomes.ts";
import { readSafetensors, type SafeTensor, writeSafetensors } from "../../src/io/safetensors.ts";
import { ConnectomeODERNN, type ConnectomeODERNNOptions } from "../../src/models/connectomeOdeRnn.ts";
import { SparseRNN } from "../../src/models/sparse.ts";
import { type ExchangedModel, exportStateDict, importStateDict } from "../../src/train/stateDict.ts";
import { forEachBackend } from "../support/backends.ts";
import { assertClose } from "../support/close.ts";
import { sparseMatrix, stateOf, tinyTraining, train } from "./fixtures.ts";

const NEURONS = 24;
const TYPED: ConnectomeODERNNOptions = {
  inputSize: NEURONS,
  numNeurons: NEURONS,
  connectome: absolute(sparseMatrix()),
  outputProjection: { nRows: 2, nCols: NEURONS, values: new Float32Array(2 * NEURONS).fill(0.5) },
  neuronType: Array.from({ length: NEURONS }, (_, i) => (i % 3 === 0 ? "b" : "a")),
  neuronClass: { a: "excitatory", b: "inhibitory" },
  neuronTau: { a: 2, b: 3 },
  neuronTauMode: "perNeuronType",
};

forEachBackend("state dictionaries", ["f32", "f64"], (test) => {
  const dir = mkdtempSync(join(tmpdir(), "axograd-state-"));
  test.after(() => rmSync(dir, { recursive: true }));

  test("a trained classifier goes to a file and back, bit for bit", async ({ backend }) => {
    const trained = tinyTraining(backend);
    await train(trained.trainer, 2);
    const file = join(dir, "classifier.safetensors");
    await exportStateDict(trained.model, file);
    const fresh = tinyTraining(backend, { seed: 9 });
    await importStateDict(fresh.model, file);
    const [theirs, ours] = [await stateOf(trained), await stateOf(fresh)];
    for (const { name } of trained.model.parameters.all()) assert.equal(ours.get(name), theirs.get(name), name);
    const { tensors } = await readSafetensors(file);
    const { nnz } = sparseMatrix();
    assert.equal(Object.fromEntries([...tensors].map(([name, { shape }]) => [name, shape])), {
      "rnn.hh.values": [nnz],
      "rnn.hh.indices": [2, nnz],
      "rnn.hh.bias": [24, 1],
      "rnn.ih.values": [4],
      "rnn.ih.indices": [2, 4],
      "rnn.tau": [24, 1],
      "rnn.neuron_sign_mask": [24, 1],
      "out_layer.1.weight": [8, 24],
      "out_layer.1.bias": [8],
      "out_layer.4.weight": [3, 8],
      "out_layer.4.bias": [3],
    });
    trained.dispose();
    fresh.dispose();
  });

  test("a network by itself has no prefix; types and signs are there as torch-biopl keeps them", async ({
    backend,
  }) => {
    const model = new ConnectomeODERNN(backend, TYPED);
    const file = join(dir, "typed.safetensors");
    await exportStateDict(model, file);
    const { tensors } = await readSafetensors(file);
    assert.equal(tensors.get("tau")!.shape, [2, 1]);
    assert.equal(tensors.get("ho.weight")!.shape, [2, NEURONS]);
    assert.equal(tensors.get("ho.bias")!.shape, [2], "that of a torch.nn.Linear");
    assert.is(tensors.get("neuron_type_mask")!.data[0], 1);
    assert.equal(tensors.get("neuron_type_indices.1")!.shape, [8]);
    assert.equal(Array.from(tensors.get("neuron_sign_mask")!.data.slice(0, 4)), [-1, 1, 1, -1]);
    await importStateDict(model, file);
    model.dispose();
  });

  test("what connections and neurons share is there by itself and spread under torch-biopl's names; both ways back", async ({
    backend,
  }) => {
    const connectome = sparseMatrix();
    const group = Array.from({ length: connectome.nnz }, (_, k) => k % 3);
    const options: ConnectomeODERNNOptions = {
      ...TYPED,
      connectome,
      sharedWeights: { group, nGroups: 3, strengthInit: [0.7, 1.1, 0.3] },
      biasInit: { a: 0.1, b: -0.2 },
      biasMode: "perNeuronType",
    };
    const model = new ConnectomeODERNN(backend, options);
    const file = join(dir, "shared.safetensors");
    await exportStateDict(model, file);
    const { tensors } = await readSafetensors(file);
    const shapes = ["hh.values", "hh.indices", "hh.strength", "hh.bias", "hh.type_bias", "tau"].map(
      (name) => tensors.get(name)!.shape,
    );
    const { nnz } = connectome;
    assert.equal(shapes, [[nnz], [2, nnz], [3], [NEURONS, 1], [2, 1], [2, 1]]);
    const round = (x: number) => (backend.dtype === "f32" ? Math.fround(x) : x);
    const strengths = [0.7, 1.1, 0.3].map(round);
    assert.equal(
      Array.from(tensors.get("hh.values")!.data),
      group.map((g, k) => round(connectome.values[k]! * strengths[g]!)),
    );
    assert.equal(Array.from(tensors.get("hh.bias")!.data).slice(0, 3), [-0.2, 0.1, 0.1].map(round));

    const fresh = new ConnectomeODERNN(backend, { ...options, sharedWeights: { group, nGroups: 3 }, biasInit: 0 });
    const expectSame = async (tolerance: number) => {
      for (const { name } of model.parameters.all()) {
        const [ours, theirs] = [await fresh.parameters.values(name), await model.parameters.values(name)];
        assertClose(ours, theirs, tolerance, name);
      }
    };
    await importStateDict(fresh, file);
    await expectSame(0);
    // Python's state dictionaries have what is spread only.
    const spread = new Map([...tensors].filter(([name]) => name !== "hh.strength" && name !== "hh.type_bias"));
    const fromPython = join(dir, "python.safetensors");
    await writeSafetensors(fromPython, spread);
    fresh.parameters.set("rnn.hh.strength", [1, 1, 1]);
    fresh.parameters.set("rnn.hh.bias", [0, 0]);
    await importStateDict(fresh, fromPython);
    await expectSame(1e-6);
    // Trained there weight by weight: no longer shared.
    for (const name of ["hh.values", "hh.bias"]) {
      const tensor = spread.get(name)!;
      const data = tensor.data.map((x, i) => (i === 4 ? 2 * x + 1 : x));
      await writeSafetensors(fromPython, new Map([...spread, [name, { ...tensor, data }]]));
      await refused(fresh, fromPython, /"hh\.(values|bias)" as \d shared numbers give/);
    }
    await expectSame(1e-6);
    model.dispose();
    fresh.dispose();
  });

  test("a plain network has no signs", async ({ backend }) => {
    const connectivityHh = absolute(sparseMatrix());
    const model = new SparseRNN(backend, { inputSize: NEURONS, hiddenSize: NEURONS, connectivityHh });
    const file = join(dir, "plain.safetensors");
    await exportStateDict(model, file);
    assert.equal([...(await readSafetensors(file)).tensors.keys()].sort(), ["hh.bias", "hh.indices", "hh.values"]);
    await importStateDict(model, file);
    model.dispose();
  });

  test("what does not fit is told by its name, and nothing changes", async ({ backend }) => {
    const model = new ConnectomeODERNN(backend, TYPED);
    const file = join(dir, "good.safetensors");
    await exportStateDict(model, file);
    const { tensors } = await readSafetensors(file);
    const before = await model.parameters.values("rnn.hh.values");
    const refuses = async (change: (t: Map<string, SafeTensor>) => void, message: RegExp) => {
      const changed = new Map(tensors);
      changed.set("hh.values", {
        ...tensors.get("hh.values")!,
        data: tensors.get("hh.values")!.data.map((v) => v + 1),
      });
      change(changed);
      const bad = join(dir, "bad.safetensors");
      await writeSafetensors(bad, changed);
      await refused(model, bad, message);
      assert.equal(await model.parameters.values("rnn.hh.values"), before);
    };
    await refuses((t) => t.delete("tau"), /"tau" of shape \[2, 1\], got no such tensor/);
    await refuses((t) => t.set("tau", { ...t.get("tau")!, shape: [2] }), /"tau" of shape \[2, 1\], got \[2\]/);
    await refuses((t) => t.set("extra", t.get("tau")!), /"extra" as well/);
    const flipped = tensors.get("neuron_sign_mask")!.data.map((s) => -s);
    await refuses(
      (t) => t.set("neuron_sign_mask", { ...t.get("neuron_sign_mask")!, data: flipped }),
      /neuron_sign_mask/,
    );
    const moved = tensors.get("hh.indices")!.data.map((i) => (i + 1) % NEURONS);
    await refuses((t) => t.set("hh.indices", { ...t.get("hh.indices")!, data: moved }), /hh\.indices" as in the model/);
    model.dispose();
  });
});

async function refused(model: ExchangedModel, file: string, message: RegExp): Promise<void> {
  try {
    await importStateDict(model, file);
  } catch (e) {
    assert.instance(e, FileFormatError);
    assert.match((e as Error).message, message);
    return;
  }
  assert.unreachable(`${message}`);
}
