// Clipping by value and its limits. Clipping by norm and the formulas of the optimisers are in the reference values (test/goldens/).

import * as assert from "uvu/assert";
import { Adam, AdamW, type OptimizerState, RMSprop, SGD } from "../../src/train/optimizer.ts";
import { fails } from "../io/fixtures.ts";
import { forEachBackend } from "../support/backends.ts";
import { stateOf, tinyClassifier } from "./fixtures.ts";

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
      assert.equal(Array.from(await model.parameters.read(name, "value")), values, name);
    }
    optimizer.dispose();
    model.dispose();
  });

  test("misspelt options are refused, with the nearest that exists", async ({ backend }) => {
    const model = tinyClassifier(backend);
    const misspelt = { lrr: 1 } as object;
    for (const Optimiser of [Adam, AdamW, RMSprop, SGD])
      await fails(() => new Optimiser(backend, model.parameters, misspelt), "argument", /expected lr, .* got "lrr"/);
    model.dispose();
  });

  test("limits that are none are refused by name", async ({ backend }) => {
    const model = tinyClassifier(backend);
    await fails(() => new SGD(backend, model.parameters, { clipValue: 0 }), "argument", /clipValue/);
    await fails(() => new SGD(backend, model.parameters, { clipNorm: Number.NaN }), "argument", /clipNorm/);
    model.dispose();
  });

  test("numbers that are not finite are refused by name, and change nothing", async ({ backend }) => {
    const model = tinyClassifier(backend);
    const make = (options: object) => () => new Adam(backend, model.parameters, options);
    await fails(make({ lr: Number.NaN }), "argument", /lr/);
    await fails(make({ eps: Number.NaN }), "argument", /eps/);
    await fails(make({ betas: [0.9] }), "argument", /two numbers from 0 to below 1, got 0\.9 \(betas\)/);
    const dampening = Number.POSITIVE_INFINITY;
    await fails(() => new SGD(backend, model.parameters, { dampening }), "argument", /dampening/);
    const adam = new Adam(backend, model.parameters);
    await model.gradients(INPUT, [0, 2], 0);
    adam.step();
    const before = await stateOf({ model, optimizer: adam });
    await fails(() => adam.step(Number.NaN), "argument", /a finite learning rate, got 0\.001 · NaN \(lr\)/);
    const { step, moments } = await adam.state();
    const [name, mean] = Object.entries(moments)[0]!;
    const restore = (what: Partial<OptimizerState>) => () => adam.restore({ step, moments, ...what });
    const nan = { ...moments, [name]: mean.slice().fill(Number.NaN) };
    await fails(restore({ moments: nan }), "argument", /exp_avg\..*|NaN at 0/);
    const squares = name.replace("exp_avg", "exp_avg_sq");
    const negative = { ...moments, [squares]: moments[squares]!.slice().fill(-1) };
    await fails(restore({ moments: negative }), "argument", /squares of at least 0, got -1 at 0 \(exp_avg_sq/);
    await fails(restore({ step: -1 }), "argument", /whole number of at least 0, got -1 \(step\)/);
    assert.equal(await stateOf({ model, optimizer: adam }), before);
    adam.dispose();
    model.dispose();
  });
});
