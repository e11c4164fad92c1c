// Runs of one seed with different wirings are pairs: they share all initial values but the weights of connections, and the order of the samples.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { createBackend } from "../../src/backend/select.ts";
import type { Key } from "../../src/core/random.ts";
import type { SampleSet } from "../../src/data/sampleSet.ts";
import { resolveConfig } from "../../src/run/configLayers.ts";
import { createExperiment, loadRunInputs } from "../../src/run/experiment.ts";

const test = suite("pairing");

interface Begun {
  readonly parameters: Readonly<Record<string, number[]>>;
  /** Samples of each batch with the key of their random changes. */
  readonly batches: readonly { readonly indices: readonly number[]; readonly variation: Key | null }[];
}

/** The initial parameters of a run, and the batches of its first steps. */
async function begun(wiring: "real" | "shuffled" | "random" | "none", seed: number): Promise<Begun> {
  const config = resolveConfig([
    {
      ...{ wiring, seed, generate: { neurons: 900, connections: 5000 }, fcDim: 6, dropout: 0.5, shift: 1, steps: 5 },
      ...{ trainSamples: 48, validationSamples: 0, testSamples: 0, batchSize: 16, standardise: false, threads: 1 },
    },
  ]);
  const backend = await createBackend({ device: "wasm", threads: 1 });
  try {
    const inputs = await loadRunInputs(config);
    const batches: Begun["batches"][number][] = [];
    const { train } = inputs.samples;
    const recorded: SampleSet = {
      ...train,
      read: (indices, variation) => {
        batches.push({ indices: Array.from(indices), variation });
        return train.read(indices, variation);
      },
    };
    const samples = { ...inputs.samples, train: recorded };
    const { model, trainer, dispose } = createExperiment(backend, config, { ...inputs, samples });
    const parameters: Record<string, number[]> = {};
    for (const { name, value, fileOrder } of model.parameters.all()) {
      const values = await backend.download(value);
      parameters[name] = Array.from(values, (_, k) => values[fileOrder?.[k] ?? k]!);
    }
    for await (const _ of trainer.fit({ steps: config.steps! })) {
      // Only the batches matter.
    }
    dispose();
    return { parameters, batches };
  } finally {
    await backend.dispose();
  }
}

test("networks of one seed begin with the same values, except for weights of connections, and see the same batches", async () => {
  const real = await begun("real", 3);
  const names = Object.keys(real.parameters);
  assert.ok(names.includes("rnn.hh.values") && names.length >= 6, `${names}`);
  assert.ok(real.batches.length >= 5);
  for (const wiring of ["shuffled", "random", "none"] as const) {
    const control = await begun(wiring, 3);
    assert.equal(Object.keys(control.parameters), names);
    for (const name of names) {
      if (name === "rnn.hh.values") assert.not.equal(control.parameters[name], real.parameters[name], wiring);
      else assert.equal(control.parameters[name], real.parameters[name], `${name} of ${wiring}`);
    }
    assert.equal(control.batches, real.batches, wiring);
  }
});

test("another seed has other values and another order: the comparison can fail", async () => {
  const [first, second] = [await begun("real", 3), await begun("real", 4)];
  const differ = Object.keys(first.parameters).filter(
    (name) => JSON.stringify(first.parameters[name]) !== JSON.stringify(second.parameters[name]),
  );
  assert.ok(differ.length >= 2, `${differ}`);
  assert.not.equal(second.batches, first.batches);
});

test.run();
