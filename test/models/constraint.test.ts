// Values that contradict a constraint are refused with what to do about it: when a model is built, when they are set, when they come
// from a file. What is said aloud (clamp: true) does as torch-biopl does without a word.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { csrFromCoo } from "../../src/core/csr.ts";
import { ArgumentError } from "../../src/core/errors.ts";
import { absolute } from "../../src/data/connectomes.ts";
import { ConnectomeODERNN, type ConnectomeODERNNOptions } from "../../src/models/connectomeOdeRnn.ts";
import { ConnectomeRNN } from "../../src/models/connectomeRnn.ts";
import { ParameterSet } from "../../src/models/parameters/parameterSet.ts";
import { SparseODERNN, SparseRNN } from "../../src/models/sparse.ts";
import { SGD } from "../../src/train/optimizer.ts";
import { exportStateDict, importStateDict } from "../../src/train/stateDict.ts";
import { forEachBackend } from "../support/backends.ts";
import { assertBitEqual } from "../support/close.ts";

const N = 3;
/** Two of four are negative. */
const SIGNED = csrFromCoo({ nRows: N, nCols: N, rows: [0, 0, 1, 2], cols: [1, 2, 0, 1], values: [1, -2, 0.5, -0.25] });
const INPUT = { data: [0.5, 0, -0.5], batch: 1 };

const network = (more: Partial<ConnectomeODERNNOptions> = {}): ConnectomeODERNNOptions => ({
  numNeurons: N,
  inputSize: N,
  connectome: SIGNED,
  ...more,
});

function refuses(pattern: RegExp, body: () => unknown): void {
  assert.throws(body, (e: unknown) => e instanceof ArgumentError && pattern.test(e.message));
}

const COUNTED = /absolute\(\).*"sign".*"none".*clamp: true.*got 2 of 4 below it, the least -2 \(connectome\)/;

forEachBackend("values and constraints", ["f64", "f32"], (test) => {
  test("negative weights under a minimum are refused with their number and the ways on", ({ backend }) => {
    const { liveBuffers } = backend.memory();
    refuses(COUNTED, () => new ConnectomeODERNN(backend, network()));
    refuses(COUNTED, () => new ConnectomeODERNN(backend, network({ weightConstraint: { min: 0 } })));
    refuses(COUNTED, () => new ConnectomeRNN(backend, network()));
    const plain = { inputSize: N, hiddenSize: N, connectivityHh: SIGNED };
    refuses(COUNTED, () => new SparseRNN(backend, plain));
    refuses(COUNTED, () => new SparseODERNN(backend, plain));
    refuses(/at least -1 .*got 1 of 4 below it/, () => {
      return new ConnectomeODERNN(backend, network({ weightConstraint: { min: -1 } }));
    });
    const shared = { group: [0, 1, 0, 1], nGroups: 2, strengthInit: [1, -1] };
    refuses(/got 1 of 2 below it, the least -1 \(sharedWeights\.strengthInit\)/, () => {
      return new ConnectomeODERNN(backend, network({ sharedWeights: shared }));
    });
    refuses(/clamp, or another option, got "clam"/, () => {
      return new ConnectomeODERNN(backend, network({ weightConstraint: { min: 0, clam: true } as never }));
    });
    const parameters = new ParameterSet(backend);
    refuses(/clamp: true.*1 of 2 below it, the least 0\.5 \(tau\)/, () => {
      parameters.addVector("tau", [2, 0.5], { trainable: true, constraint: { min: 1 } });
    });
    parameters.dispose();
    assert.is(backend.memory().liveBuffers, liveBuffers, "nothing is left on the device");
  });

  test("each way on keeps what it says", async ({ backend }) => {
    const cases: [ConnectomeODERNNOptions, number[]][] = [
      [network({ connectome: absolute(SIGNED) }), [1, 2, 0.5, 0.25]],
      [network({ weightConstraint: "sign" }), [1, -2, 0.5, -0.25]],
      [network({ weightConstraint: "none" }), [1, -2, 0.5, -0.25]],
      [network({ weightConstraint: { min: 0, clamp: true } }), [1, 0, 0.5, 0]],
    ];
    for (const [options, expected] of cases) {
      const model = new ConnectomeODERNN(backend, options);
      await model.forward(INPUT);
      assertBitEqual(await model.parameters.values("rnn.hh.values"), expected, "weights");
      model.dispose();
    }
  });

  test("values that are set are held to the same rule, and all are checked before any is changed", async ({
    backend,
  }) => {
    const model = new ConnectomeODERNN(backend, network({ connectome: absolute(SIGNED) }));
    const p = model.parameters;
    refuses(/got 1 of 4 below it, the least -1 \(rnn\.hh\.values\)/, () => p.set("rnn.hh.values", [1, -1, 1, 1]));
    refuses(/at least 1 .*got 2 of 3 below it, the least 0\.25 \(rnn\.tau\)/, () => p.set("rnn.tau", [0.25, 2, 0.5]));
    const bias = [1, 2, 3];
    refuses(/rnn\.tau/, () =>
      p.setAll([
        ["rnn.hh.bias", bias],
        ["rnn.tau", [0, 1, 1]],
      ]),
    );
    assertBitEqual(await p.values("rnn.hh.bias"), [0, 0, 0], "the bias before");
    p.set("rnn.hh.values", [1, -1, 1, 1], { clamp: true });
    p.set("rnn.tau", [0.25, 2, 0.5], { clamp: true });
    await model.forward(INPUT);
    assertBitEqual(await p.values("rnn.hh.values"), [1, 0, 1, 1], "weights");
    assertBitEqual(await p.values("rnn.tau"), [1, 2, 1], "tau");
    model.dispose();
    const signed = new ConnectomeODERNN(backend, network({ weightConstraint: "sign" }));
    signed.parameters.set("rnn.hh.values", [3, -3, 0, -3]);
    refuses(/"sign".*got 2 of 4 of the other sign \(rnn\.hh\.values\)/, () => {
      signed.parameters.set("rnn.hh.values", [-1, 0, 1, 1]);
    });
    signed.dispose();
  });

  test("files are held to the same rule", async ({ backend }) => {
    const dir = mkdtempSync(join(tmpdir(), "axograd-constraint-"));
    const file = join(dir, "state.safetensors");
    try {
      const signed = new ConnectomeODERNN(backend, network({ weightConstraint: "none" }));
      await exportStateDict(signed, file);
      const model = new ConnectomeODERNN(backend, network({ connectome: absolute(SIGNED), biasInit: 1 }));
      const error = await importStateDict(model, file).catch((e: unknown) => e);
      assert.instance(error, ArgumentError);
      assert.match((error as Error).message, /got 2 of 4 below it/);
      assertBitEqual(await model.parameters.values("rnn.hh.bias"), [1, 1, 1], "nothing has changed");
      await importStateDict(model, file, { clamp: true });
      await model.forward(INPUT);
      assertBitEqual(await model.parameters.values("rnn.hh.values"), [1, 0, 0.5, 0], "weights");
      signed.dispose();
      model.dispose();
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  });

  test("values read after an optimiser's step satisfy the constraint, so that they can be set again", async ({
    backend,
  }) => {
    const model = new ConnectomeODERNN(backend, network({ connectome: absolute(SIGNED) }));
    const { parameters } = model;
    const sgd = new SGD(backend, parameters, { lr: 1e3 });
    for (const sign of [1, -1]) {
      parameters.zeroGradients();
      await model.vjp(INPUT, new Float64Array(2 * N).fill(sign));
      sgd.step();
      const raw = await parameters.read("rnn.tau", "value");
      const values = await parameters.values("rnn.tau");
      assertBitEqual(
        values,
        raw.map((x) => Math.max(1, x)),
        "tau",
      );
      parameters.set("rnn.tau", values);
      parameters.set("rnn.hh.values", await parameters.values("rnn.hh.values"));
    }
    sgd.dispose();
    model.dispose();
  });
});
