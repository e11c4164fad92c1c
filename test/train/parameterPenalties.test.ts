// Penalties on parameters: values and gradients on every device, in training, and across a resume.

import { join } from "node:path";
import type { Test } from "uvu";
import * as assert from "uvu/assert";
import type { Backend } from "../../src/backend/backend.ts";
import { createWebGpuBackend } from "../../src/backend/webgpu/backend.ts";
import { unitRoundoff } from "../../src/core/dtype.ts";
import { ParameterSet } from "../../src/models/parameters/parameterSet.ts";
import { loadCheckpoint, restoreCheckpoint, saveCheckpoint } from "../../src/train/checkpoint.ts";
import { SGD, type SgdOptions } from "../../src/train/optimizer.ts";
import { ParameterPenalties, type ParameterPenalty } from "../../src/train/parameterPenalties.ts";
import { Trainer } from "../../src/train/trainer.ts";
import { fails, tempDir } from "../io/fixtures.ts";
import { normals } from "../ode/harness.ts";
import { forEachBackend, variant, type WithBackend } from "../support/backends.ts";
import { assertBitEqual, assertClose, gamma } from "../support/close.ts";
import { assertGradient, type Point } from "../support/gradcheck.ts";
import { onWebGpu } from "../support/onWebGpu.ts";
import { patchSamples, sparseMatrix, tinyClassifier, train } from "./fixtures.ts";

const dir = tempDir();

const MATRIX = sparseMatrix();
/** A vector, values that many share, a sparse matrix in the order of columns, and groups of its connections. */
const START: Point = {
  vector: normals("vector", 70),
  shared: normals("shared", 3),
  sparse: MATRIX.values,
  strengths: normals("strengths", 4),
};
const MOVED: Point = Object.fromEntries(
  Object.entries(START).map(([name, x]) => [name, Float64Array.from(x, (v, i) => v + Math.sin(i + 1))]),
);

function parametersOn(backend: Backend): ParameterSet {
  const parameters = new ParameterSet(backend);
  const trainable = true;
  parameters.addVector("vector", START.vector!, { trainable });
  parameters.addVector("shared", START.shared!, {
    trainable,
    spreadBy: Uint32Array.from({ length: 70 }, (_, i) => i % 3),
  });
  parameters.addSparse("sparse", MATRIX, { trainable });
  const group = Uint32Array.from({ length: MATRIX.nnz }, (_, i) => i % 4);
  parameters.addSharedSparse("strengths", MATRIX, START.strengths!, group, { trainable });
  parameters.addVector("held", [1, 2], { trainable: false });
  return parameters;
}

const TERMS: readonly ParameterPenalty[] = [
  { name: "lasso", parameters: "s*", kind: "l1", weight: 0.5 },
  { name: "ridge", parameters: "*", kind: "l2", weight: 0.25 },
  { name: "stay", parameters: "!shared", kind: "distance", weight: 3 },
  // One's own: of the numbers, and a scalar.
  {
    name: "log",
    parameters: "vector",
    kind: ({ ops }, w, start) => ops.log(ops.add(1, ops.exp(ops.sub(w, start)))),
    weight: 2,
  },
  {
    name: "norm",
    parameters: "strengths",
    kind: ({ ops }, w) => ops.sqrt(ops.reduceRows(ops.mul(w, w))),
    weight: 0.125,
  },
];

/** The same in plain numbers: the values, and the gradient of their sum. */
function expected(): { readonly values: Record<string, number>; readonly gradient: Record<string, Float64Array> } {
  const values = { lasso: 0, ridge: 0, stay: 0, log: 0, norm: 0 };
  const norm = Math.hypot(...Array.from(MOVED.strengths!));
  values.norm = 0.125 * norm;
  const gradient: Record<string, Float64Array> = {};
  for (const [name, w] of Object.entries(MOVED)) {
    gradient[name] = Float64Array.from(w, (x, i) => {
      const d = x - START[name]![i]!;
      let slope = 0.25 * x;
      values.ridge += 0.125 * x * x;
      if (name.startsWith("s")) {
        values.lasso += 0.5 * Math.abs(x);
        slope += 0.5 * Math.sign(x);
      }
      if (name !== "shared") {
        values.stay += 1.5 * d * d;
        slope += 3 * d;
      }
      if (name === "vector") {
        values.log += 2 * Math.log1p(Math.exp(d));
        slope += 2 / (1 + Math.exp(-d));
      }
      return slope + (name === "strengths" ? (0.125 * x) / norm : 0);
    });
  }
  return { values, gradient };
}

/** Values of all terms at a point, and the gradients with what was there before, `before` everywhere. */
async function evaluated(
  backend: Backend,
  terms: readonly ParameterPenalty[],
  point: Point,
  before = 0,
): Promise<{ values: Record<string, number>; gradient: Record<string, ArrayLike<number>> }> {
  const parameters = parametersOn(backend);
  const penalties = new ParameterPenalties(backend, parameters, terms);
  penalties.begin();
  parameters.setAll(Object.entries(point));
  for (const p of parameters.trainable()) backend.fill(p.grad!, before);
  const values = penalties.read(await backend.downloadAll(penalties.add()));
  const gradient: Record<string, ArrayLike<number>> = {};
  for (const { name } of parameters.trainable()) gradient[name] = await parameters.gradient(name);
  penalties.dispose();
  parameters.dispose();
  return { values, gradient };
}

function define(test: Test<WithBackend>): void {
  test("values and gradients are those of the formulas, and gradients are added", async ({ backend }) => {
    const wanted = expected();
    const { values, gradient } = await evaluated(backend, TERMS, MOVED, 1);
    // Sums of at most 300 terms of one sign but for a few roundings each, exp and log among them; numbers up to 20.
    const u = unitRoundoff(backend.dtype);
    for (const [name, value] of Object.entries(wanted.values))
      assertClose([values[name]!], [value], gamma(320, backend.dtype) * value, name);
    for (const [name, slopes] of Object.entries(wanted.gradient))
      assertClose(
        gradient[name]!,
        slopes.map((x) => 1 + x),
        20 * 20 * u,
        name,
      );
  });

  test("a term on the elements of some neurons leaves out the others, whatever they are", async ({ backend }) => {
    const parameters = new ParameterSet(backend);
    const values = Float64Array.from([1, 2, -3, 4]);
    parameters.add({ name: "bias", role: "biases", of: "neurons", values, trainable: true });
    const terms: readonly ParameterPenalty[] = [
      { name: "some", parameters: "biases[1-2]", kind: "l2", weight: 0.5 },
      { name: "all", parameters: "biases", kind: "l1", weight: 2 },
      // Infinite at 1, which is not among its elements.
      { name: "pole", parameters: "bias[1]", kind: ({ ops }, w) => ops.div(1, ops.sub(w, 1)), weight: 4 },
    ];
    const neurons = { count: 4 };
    const penalties = new ParameterPenalties(backend, parameters, terms, { neurons });
    parameters.zeroGradients();
    const measured = penalties.read(await backend.downloadAll(penalties.add()));
    assert.equal(measured, { some: 0.5 * 0.5 * (4 + 9), all: 20, pole: 4 });
    assert.equal([...(await parameters.gradient("bias"))], [2, 2 + 0.5 * 2 - 4, -2 - 0.5 * 3, 2]);
    penalties.dispose();
    const norm: ParameterPenalty = {
      name: "norm",
      parameters: "bias[1]",
      kind: ({ ops }, w) => ops.reduceRows(ops.mul(w, w)),
      weight: 1,
    };
    const make = (term: ParameterPenalty, scope = {}) => new ParameterPenalties(backend, parameters, [term], scope);
    await fails(() => make(norm, { neurons }), "shape", /a row vector of 4 numbers, for elements of some neurons/);
    await fails(() => make(terms[0]!), "argument", /neurons, as they are not known/);
    parameters.dispose();
  });

  test("terms on one parameter are as if each were alone", async ({ backend }) => {
    const { values } = await evaluated(backend, TERMS, MOVED);
    for (const term of TERMS)
      assertBitEqual([(await evaluated(backend, [term], MOVED)).values[term.name]!], [values[term.name]!], term.name);
  });

  test("where work is not complete nothing is added", async ({ backend }) => {
    const parameters = parametersOn(backend);
    const penalties = new ParameterPenalties(backend, parameters, TERMS);
    const complete = backend.buffer("complete", 1);
    const sums = async () => (await backend.downloadAll(penalties.add(complete))).map((value) => value[0]!);
    assert.equal(
      await sums(),
      TERMS.map(() => 0),
    );
    assertClose(await parameters.gradient("vector"), new Float64Array(70), 0, "gradient");
    backend.fill(complete, 1);
    assert.ok((await sums()).every((value, i) => value > 0 || TERMS[i]!.name === "stay"));
    complete.release();
    penalties.dispose();
    parameters.dispose();
  });

  test("in training they are part of loss and gradient, by name; L2 is the weight decay of SGD", async ({
    backend,
  }) => {
    const decay = 2 ** -4;
    const terms: ParameterPenalty[] = [{ name: "ridge", parameters: "*", kind: "l2", weight: decay }];
    const penalised = training(backend, terms);
    const decayed = training(backend, null, { weightDecay: decay });
    // One step: from the second one on, the steps of the solver differ with the last digits of the parameters.
    const [loss] = await train(decayed.trainer, 1);
    for await (const step of penalised.trainer.fit({ steps: 1 })) {
      assert.equal(Object.keys(step.penalties!), ["ridge"]);
      assert.ok(step.penalties!.ridge! > 0.1);
      assertClose([step.loss - step.penalties!.ridge!], [loss!], 2 * unitRoundoff(backend.dtype) * step.loss, "loss");
    }
    for (const { name } of penalised.model.parameters.all()) {
      const values = await penalised.model.parameters.values(name);
      // λp and its sum with the gradient are rounded apart here, and may be fused there; the step has 2⁻⁵ of them.
      const bounds = Float64Array.from(values, (x) => 4 * unitRoundoff(backend.dtype) * Math.max(1, Math.abs(x)));
      assertClose(await decayed.model.parameters.values(name), values, bounds, name);
    }
    for (const each of [penalised, decayed]) each.dispose();
  });

  test("terms that make no sense are refused by name", async ({ backend }) => {
    const parameters = parametersOn(backend);
    const refused = (change: object, message: RegExp, code = "argument") =>
      fails(() => new ParameterPenalties(backend, parameters, [{ ...TERMS[0]!, ...change }]), code, message);
    await refused({ parameters: "vektor" }, /did you mean "vector"\? \(lasso\.parameters\)/);
    await refused({ parameters: "held" }, /frozen by the model itself/);
    await refused({ weight: 0 }, /a finite number above 0, got 0 \(terms\[0\]\.weight\)/);
    await refused({ weight: Number.NaN }, /got NaN \(terms\[0\]\.weight\)/);
    await refused({ kind: "l3" }, /l1, l2, distance, or a function, got l3 \(terms\[0\]\.kind\)/);
    await refused({ name: "" }, /a name/);
    await refused({ parameters: 3 }, /a pattern of names or roles, got 3/);
    await refused({ wieght: 1 }, /expected terms\[0\]\.weight, or another option/);
    await refused(
      { kind: ({ ops }: { ops: { constant(x: number): unknown } }) => ops.constant(1) },
      /does not depend on it/,
    );
    const lanes: ParameterPenalty["kind"] = (g, w) => g.ops.mul(w, g.sample("t"));
    await refused(
      { kind: lanes, parameters: "vector" },
      /a row vector of 70 numbers, or a scalar, got state of 70/,
      "shape",
    );
    await fails(
      () => new ParameterPenalties(backend, parameters, [TERMS[0]!, TERMS[0]!]),
      "argument",
      /a new name, got "lasso", which is taken \(terms\[1\]\.name\)/,
    );
    const penalties = new ParameterPenalties(backend, parameters, TERMS);
    const starts = new Map<string, ArrayLike<number>>(Object.entries(START));
    const restore = (name: string, values: ArrayLike<number> | null) => () => {
      const given = new Map(starts);
      if (values) given.set(name, values);
      else given.delete(name);
      penalties.restore(given);
    };
    await fails(restore("vector", null), "argument", /at the beginning of training, got nothing \(vector\)/);
    await fails(restore("vector", [1]), "shape", /70 values, got 1 \(vector\)/);
    await fails(restore("strengths", [1, 2, 3, Number.NaN]), "argument", /finite numbers, got NaN at 3 \(strengths\)/);
    // Nothing reads the start of what is shared.
    restore("shared", null)();
    penalties.dispose();
    penalties.dispose();
    await fails(() => penalties.add(), "disposed", /ParameterPenalties\.add/);
    parameters.dispose();
  });
}

interface Training {
  readonly model: ReturnType<typeof tinyClassifier>;
  readonly optimizer: SGD;
  readonly trainer: Trainer;
  readonly penalties?: ParameterPenalties;
  dispose(): void;
}

function training(
  backend: Backend,
  terms: readonly ParameterPenalty[] | null,
  options: SgdOptions = {},
  endTime = 0.1,
): Training {
  const model = tinyClassifier(backend);
  const optimizer = new SGD(backend, model.parameters, { lr: 2 ** -5, ...options });
  const penalties = terms && { penalties: new ParameterPenalties(backend, model.parameters, terms) };
  const evaluation = { endTime };
  const trainer = new Trainer({
    model,
    optimizer,
    train: patchSamples(40),
    batchSize: 20,
    seed: 3,
    evaluation,
    ...penalties,
  });
  const dispose = (): void => {
    penalties?.penalties.dispose();
    optimizer.dispose();
    model.dispose();
  };
  return { model, optimizer, trainer, dispose, ...penalties };
}

const STAY: readonly ParameterPenalty[] = [
  { name: "wiring", parameters: "weights", kind: "distance", weight: 2 },
  { name: "tau", parameters: "time constants", kind: "l1", weight: 0.01 },
];

async function resultOf({ model, trainer }: Training, steps: number): Promise<unknown[]> {
  const results: unknown[] = [];
  for await (const { loss, penalties } of trainer.fit({ steps })) results.push(loss, penalties);
  for (const { name } of model.parameters.all()) results.push(await model.parameters.values(name));
  return results;
}

forEachBackend("penalties", ["f64", "f32"], define);

forEachBackend("penalties in double precision", ["f64"], (test) => {
  test("gradients agree with central differences", async ({ backend }) => {
    for (const term of TERMS) {
      const f = async (point: Point) => (await evaluated(backend, [term], point)).values[term.name]!;
      const { gradient } = await evaluated(backend, [term], MOVED);
      await assertGradient(term.name, f, MOVED, gradient, { roundings: 400 });
    }
  });
});

forEachBackend("penalties in training", ["f32", "f64"], (test) => {
  test("a resumed run measures distances from where the whole run began, to the bit", async ({ backend }) => {
    const whole = training(backend, STAY);
    const expected = await resultOf(whole, 4);
    for (const at of [0, 2]) {
      const first = training(backend, STAY);
      await train(first.trainer, at);
      const file = join(dir, `penalties-${backend.dtype}-${at}.safetensors`);
      await saveCheckpoint(file, first, { position: first.trainer.position, seed: 3, config: null });
      const rest = training(backend, STAY);
      for (const { name, size } of rest.model.parameters.all())
        rest.model.parameters.set(name, new Float64Array(size).fill(1.5), { clamp: true });
      const checkpoint = await loadCheckpoint(file);
      assert.equal(
        [...checkpoint.tensors.keys()].filter((name) => name.startsWith("start.")),
        ["start.rnn.hh.values"],
      );
      restoreCheckpoint(checkpoint, rest);
      rest.trainer.seek(checkpoint.position);
      assert.equal(await resultOf(rest, 4), expected.slice(2 * at));
      for (const each of [first, rest]) each.dispose();
    }
    whole.dispose();
  });

  test("a checkpoint without start values is refused where they are needed, and changes nothing", async ({
    backend,
  }) => {
    const plain = training(backend, null);
    await train(plain.trainer, 1);
    const file = join(dir, `plain-${backend.dtype}.safetensors`);
    await saveCheckpoint(file, plain, { position: plain.trainer.position, seed: 3, config: null });
    const checkpoint = await loadCheckpoint(file);
    const penalised = training(backend, STAY);
    const before = await penalised.model.parameters.values("rnn.hh.values");
    await fails(
      async () => restoreCheckpoint(checkpoint, penalised),
      "file-format",
      /"start\.rnn\.hh\.values" of shape \[\d+\], got no such tensor/,
    );
    assert.equal(await penalised.model.parameters.values("rnn.hh.values"), before);
    const other = training(backend, STAY.slice(1));
    restoreCheckpoint(checkpoint, other);
    for (const each of [plain, penalised, other]) each.dispose();
  });

  test("a host that runs ahead of the device gets the same bits", async ({ backend }) => {
    const results: unknown[][] = [];
    for (const isAsynchronous of [false, true]) {
      let adds = 0;
      const run = training(variant(backend, { isAsynchronous }), STAY, {}, 2);
      const add = run.penalties!.add.bind(run.penalties);
      run.penalties!.add = (complete) => {
        adds++;
        return add(complete);
      };
      results.push(await resultOf(run, 2));
      // The first solve takes more attempts than the host expects: its work is enqueued again.
      assert.is(adds > 2, isAsynchronous, `${adds}`);
      run.dispose();
    }
    assert.equal(results[1], results[0]);
  });

  test("a term on nothing but what the optimiser has frozen is refused", async ({ backend }) => {
    const frozen = { groups: [{ parameters: "weights", frozen: true }] };
    await fails(
      () => training(backend, STAY, frozen),
      "argument",
      /a parameter that the optimiser trains, got "weights" of wiring, all frozen \(wiring\.parameters\)/,
    );
  });

  test("a penalty that is not finite stops the training before the step", async ({ backend }) => {
    const broken: ParameterPenalty = {
      name: "broken",
      parameters: "weights",
      kind: ({ ops }, w) => ops.log(ops.mul(0, w)),
      weight: 1,
    };
    const run = training(backend, [broken]);
    const before = await run.model.parameters.values("rnn.hh.values");
    await fails(() => train(run.trainer, 1), "non-finite-loss", /step 1/, /worst gradients: rnn\.hh\.values/);
    assert.equal(await run.model.parameters.values("rnn.hh.values"), before);
    run.dispose();
  });
});

onWebGpu("penalties", (test) => {
  define(test);

  test("a step in steady state makes no object, and reads one number per term more", async () => {
    const backend = await createWebGpuBackend();
    const added: number[] = [];
    for (const terms of [null, STAY]) {
      const run = training(backend, terms);
      await train(run.trainer, 3);
      const before = backend.counts();
      await train(run.trainer, 4);
      const now = backend.counts();
      for (const name of ["buffers", "bindGroups", "pipelines", "shaderModules", "liveBuffers"] as const)
        assert.is(now[name], before[name], name);
      added.push(now.downloadedBytes - before.downloadedBytes);
      run.dispose();
    }
    assert.is(added[1]! - added[0]!, 4 * STAY.length);
    await backend.dispose();
  });
});
