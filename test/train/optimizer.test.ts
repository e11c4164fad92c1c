// Clipping by value and its limits. Clipping by norm and the formulas of the optimisers are in the reference values (test/goldens/).

import * as assert from "uvu/assert";
import { Adam, AdamW, SGD } from "../../src/train/optimizer.ts";
import { fails } from "../io/fixtures.ts";
import { forEachBackend } from "../support/backends.ts";
import { tinyClassifier } from "./fixtures.ts";

const INPUT = { data: [0.2, -1, 1.5, 0.7, 1, 0.4, -0.6, 2], batch: 2 };
/** Powers of two, so that a step is rounded once, in the subtraction, in whatever order it is computed. */
const LR = 2 ** -3;
const CLIP = 2 ** -7;

forEachBackend("clipping by value", ["f32", "f64"], (test) => {
  test("limits each component, and leaves alone what is within the limits", async ({ backend }) => {
    const model = tinyClassifier(backend);
    const optimizer = new SGD(backend, model.parameters, { lr: LR, clipValue: CLIP });
    await model.gradients(INPUT, [0, 2], 0);
    const round = backend.dtype === "f32" ? Math.fround : (x: number) => x;
    const counts = { within: 0, above: 0, below: 0 };
    const expected = new Map<string, number[]>();
    for (const { name } of model.parameters.trainable()) {
      const gradient = await model.parameters.gradient(name);
      for (const g of gradient) counts[g > CLIP ? "above" : g < -CLIP ? "below" : "within"]++;
      const clipped = Array.from(gradient, (g) => Math.min(Math.max(g, -CLIP), CLIP));
      expected.set(
        name,
        Array.from(await model.parameters.values(name), (p, i) => round(p - LR * clipped[i]!)),
      );
    }
    assert.ok(
      Object.values(counts).every((n) => n > 5),
      JSON.stringify(counts),
    );
    optimizer.step();
    for (const [name, values] of expected) {
      assert.equal(Array.from(await model.parameters.values(name)), values, name);
    }
    optimizer.dispose();
    model.dispose();
  });

  test("misspelt options are refused, with the nearest that exists", async ({ backend }) => {
    const model = tinyClassifier(backend);
    const misspelt = { lrr: 1 } as object;
    for (const Optimiser of [Adam, AdamW, SGD])
      await fails(() => new Optimiser(backend, model.parameters, misspelt), "argument", /expected lr, .* got "lrr"/);
    model.dispose();
  });

  test("limits that are none are refused by name", async ({ backend }) => {
    const model = tinyClassifier(backend);
    await fails(() => new SGD(backend, model.parameters, { clipValue: 0 }), "argument", /clipValue/);
    await fails(() => new SGD(backend, model.parameters, { clipNorm: Number.NaN }), "argument", /clipNorm/);
    model.dispose();
  });
});
