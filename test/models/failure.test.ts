// Samples whose solve does not reach its end: refused, masked or a stop for all; the others as if it had never been there, to the bit.

import type { Test } from "uvu";
import * as assert from "uvu/assert";
import type { Backend } from "../../src/backend/backend.ts";
import { createWebGpuBackend } from "../../src/backend/webgpu/backend.ts";
import { mapValues } from "../../src/core/csr.ts";
import { ArgumentError, SolverError } from "../../src/core/errors.ts";
import {
  ConnectomeODEClassifier,
  type ConnectomeODEClassifierOptions,
  type GradientResult,
} from "../../src/models/classifier.ts";
import { ConnectomeODERNN, type ConnectomeODERNNOptions, type Trajectory } from "../../src/models/connectomeOdeRnn.ts";
import type { FailurePolicy } from "../../src/models/failures.ts";
import type { SampleLoss } from "../../src/models/lossCotangents.ts";
import type { ModelInput } from "../../src/models/options.ts";
import type { ParameterSet } from "../../src/models/parameters/parameterSet.ts";
import type { SolveStatus } from "../../src/ode/solveStats.ts";
import { normals } from "../ode/harness.ts";
import { forEachBackend, type WithBackend } from "../support/backends.ts";
import { assertBitEqual } from "../support/close.ts";
import { randomSparse } from "../support/matrices.ts";
import { onWebGpu } from "../support/onWebGpu.ts";

const N = 8;
const INPUTS = 3;
const CLASSES = 3;
const EVALUATION = { numEvals: 3, endTime: 2 };

function network(
  onFailure: FailurePolicy,
  more: Partial<ConnectomeODERNNOptions["solve"]> = {},
): ConnectomeODERNNOptions {
  return {
    numNeurons: N,
    inputSize: INPUTS,
    connectome: mapValues(randomSparse(N, N, 0.5).csr, (w) => 0.1 + Math.abs(w)),
    inputProjection: randomSparse(N, INPUTS, 0.6).csr,
    biasInit: normals("bias", N),
    neuronTau: 1.5,
    inputGradient: true,
    solve: { onFailure, ...more },
  };
}

const READOUT: Omit<ConnectomeODEClassifierOptions, "rnn"> = { numClasses: CLASSES, fcDim: 6, dropout: 0.3, seed: 2 };

/** A batch in which the input of some samples is no number. */
function inputOf(batch: number, broken: readonly number[]): ModelInput {
  const data = normals("failing input", batch * INPUTS);
  for (const s of broken) data[s * INPUTS] = Number.NaN;
  return { data, batch };
}

/** Gradients that are folded at the end of a pass. */
const SHARED: Partial<ConnectomeODERNNOptions> = {
  neuronType: Array.from({ length: N }, (_, i) => i % 2),
  neuronTau: 1.5,
  neuronTauMode: "perNeuronType",
};

/** Of outputs and states. */
const lossOf: SampleLoss = ({ outs, hs }) => ({
  loss: Array.from(outs, (x, i) => x * Math.cos(i)).reduce((sum, x) => sum + x, 0),
  ctOuts: Array.from(outs, (_, i) => Math.cos(i)),
  ctHs: Array.from(hs, (_, i) => Math.sin(i)),
});

const labelsOf = (batch: number) => Array.from({ length: batch }, (_, s) => s % CLASSES);

/** The numbers of samples `kept` out of `data`, sample-major. */
function rowsOf(data: ArrayLike<number>, batch: number, kept: readonly number[]): Float64Array {
  const width = data.length / batch;
  return Float64Array.from(kept.flatMap((s) => Array.from({ length: width }, (_, i) => data[s * width + i]!)));
}

async function gradientsOf(parameters: ParameterSet): Promise<Map<string, ArrayLike<number>>> {
  const all = new Map<string, ArrayLike<number>>();
  for (const { name } of parameters.trainable()) all.set(name, await parameters.gradient(name));
  return all;
}

async function failure(body: () => Promise<unknown>): Promise<SolverError> {
  try {
    await body();
  } catch (error) {
    assert.instance(error, SolverError, String(error));
    return error as SolverError;
  }
  return assert.unreachable("expected an error, got none") as never;
}

function statusOf({ stats }: Pick<Trajectory, "stats">): SolveStatus[] {
  return stats.flatMap((part) => part.status);
}

function define(test: Test<WithBackend>): void {
  test("mask: states are NaN from where a sample failed on, those of all others have the same bits", async ({
    backend,
  }) => {
    const broken = [1, 3];
    const batch = Math.min(backend.maxLanes + 3, 20);
    const kept = labelsOf(batch).flatMap((_, s) => (broken.includes(s) ? [] : [s]));
    const model = new ConnectomeODERNN(backend, network("mask"));
    const input = inputOf(batch, broken);
    const h0 = normals("h0", batch * N);
    const all = await model.forward(input, { ...EVALUATION, h0 });
    const others = { data: rowsOf(input.data, batch, kept), batch: kept.length };
    const without = await model.forward(others, { ...EVALUATION, h0: rowsOf(h0, batch, kept) });
    assertBitEqual(rowsOf(all.hs, batch, kept), without.hs, "states");
    assert.equal(
      statusOf(all),
      labelsOf(batch).map((_, s) => (broken.includes(s) ? "nonFinite" : "success")),
    );
    for (const s of broken) {
      const states = rowsOf(all.hs, batch, [s]);
      assertBitEqual(
        states.subarray(0, N),
        Float64Array.from(rowsOf(h0, batch, [s]), roundTo(backend)),
        "initial state",
      );
      assert.ok(
        states.subarray(N).every((h) => Number.isNaN(h)),
        "later ones",
      );
    }
    model.dispose();
  });

  test("mask: gradients of a network are those of the other samples", async ({ backend }) => {
    const [batch, broken, kept] = [5, [2], [0, 1, 3, 4]];
    const model = new ConnectomeODERNN(backend, network("mask"));
    const input = inputOf(batch, broken);
    const ct = normals("ct", batch * EVALUATION.numEvals * N);
    const { gradients } = await model.vjp(input, ct, EVALUATION);
    const parameters = await gradientsOf(model.parameters);
    model.parameters.zeroGradients();
    const others = { data: rowsOf(input.data, batch, kept), batch: kept.length };
    const without = await model.vjp(others, rowsOf(ct, batch, kept), EVALUATION);
    for (const part of ["x", "h0"] as const) {
      assertBitEqual(rowsOf(gradients[part]!, batch, kept), without.gradients[part]!, part);
      assert.ok(rowsOf(gradients[part]!, batch, broken).every((g) => g === 0));
    }
    for (const [name, g] of await gradientsOf(model.parameters)) {
      assertBitEqual(parameters.get(name)!, g, name);
      assert.ok(Array.from(g).some((x) => x !== 0));
    }
    model.dispose();
  });

  test("mask: gradients of a network are those of the other samples, in however many parts the batch runs", async ({
    backend,
  }) => {
    const many = 2 * Math.min(backend.maxLanes, 16);
    // In the first part, in a later one, at both ends; the batch without them has fewer parts, or as many.
    const cases: [number, readonly number[]][] = [
      [many / 2 + 1, [3]],
      [many + 2, [many / 2]],
      [many + 2, [0, many / 2 + 1, many + 1]],
    ];
    const model = new ConnectomeODERNN(backend, { ...network("mask"), ...SHARED });
    for (const [batch, broken] of cases) {
      const kept = Array.from({ length: batch }, (_, s) => s).filter((s) => !broken.includes(s));
      const input = inputOf(batch, broken);
      const others = { data: rowsOf(input.data, batch, kept), batch: kept.length };
      const ct = normals("ct", batch * EVALUATION.numEvals * N);
      const passes = {
        vjp: [() => model.vjp(input, ct, EVALUATION), () => model.vjp(others, rowsOf(ct, batch, kept), EVALUATION)],
        gradients: [
          () => model.gradients(input, lossOf, EVALUATION),
          () => model.gradients(others, lossOf, EVALUATION),
        ],
      } as const;
      for (const [name, [masked, alone]] of Object.entries(passes)) {
        model.parameters.zeroGradients();
        const all = await masked();
        const parameters = await gradientsOf(model.parameters);
        model.parameters.zeroGradients();
        const without = await alone();
        const what = `${name} of ${batch} without ${broken}`;
        for (const part of ["x", "h0"] as const)
          assertBitEqual(rowsOf(all.gradients[part]!, batch, kept), without.gradients[part]!, `${what}, ${part}`);
        for (const [of, g] of await gradientsOf(model.parameters))
          assertBitEqual(parameters.get(of)!, g, `${what}, ${of}`);
        const losses = [all, without].map((pass) => ("loss" in pass ? pass.loss : 0));
        assert.is(losses[0], losses[1]);
      }
    }
    model.dispose();
  });

  test("mask: loss and gradients of a classifier are those of the batch without the sample", async ({ backend }) => {
    const batch = Math.min(backend.maxLanes + 4, 20);
    const broken = [0, batch - 2];
    const kept = labelsOf(batch).flatMap((_, s) => (broken.includes(s) ? [] : [s]));
    const model = new ConnectomeODEClassifier(backend, { ...READOUT, rnn: network("mask") });
    const input = inputOf(batch, broken);
    const all = await model.gradients(input, labelsOf(batch), 7, EVALUATION);
    const parameters = await gradientsOf(model.parameters);
    const others = { data: rowsOf(input.data, batch, kept), batch: kept.length };
    const without = await model.gradients(
      others,
      kept.map((s) => s % CLASSES),
      7,
      EVALUATION,
    );
    assert.equal(all.failed, broken);
    assert.equal(without.failed, []);
    const facts = ({ loss, correct, count }: GradientResult) => ({ loss, correct, count });
    assert.equal(facts(all), facts(without));
    assert.ok(all.loss > 0);
    for (const [name, g] of await gradientsOf(model.parameters)) assertBitEqual(parameters.get(name)!, g, name);
    assertBitEqual(rowsOf(all.x!, batch, kept), without.x!, "x");
    const evaluated = await model.evaluate(input, labelsOf(batch), EVALUATION);
    assertBitEqual(rowsOf(evaluated.logits, batch, kept), await model.forward(others, EVALUATION), "logits");
    assert.ok(rowsOf(evaluated.logits, batch, broken).every((x) => Number.isNaN(x)));
    assert.equal([evaluated.failed, evaluated.count], [broken, kept.length]);
    model.dispose();
  });

  test("mask: too many steps are a failure, too, also with the loss at all times", async ({ backend }) => {
    const batch = 4;
    const free = new ConnectomeODERNN(backend, network("throw"));
    // Larger inputs are faster dynamics.
    const data = Float64Array.from({ length: batch * INPUTS }, (_, i) => 4 ** Math.floor(i / INPUTS));
    const { stats } = await free.forward({ data, batch }, EVALUATION);
    free.dispose();
    const nSteps = stats.flatMap((part) => part.nSteps);
    const maxSteps = Math.max(...nSteps) - 1;
    const failed = nSteps.flatMap((n, s) => (n > maxSteps ? [s] : []));
    const kept = nSteps.flatMap((n, s) => (n > maxSteps ? [] : [s]));
    assert.ok(kept.length > 0, `samples differ in steps: ${nSteps}`);
    const rnn = network("mask", { maxSteps });
    const model = new ConnectomeODEClassifier(backend, { ...READOUT, rnn });
    const evaluation = { ...EVALUATION, lossAllTimesteps: true };
    const all = await model.gradients({ data, batch }, labelsOf(batch), 0, evaluation);
    assert.equal(all.failed, failed);
    const others = { data: rowsOf(data, batch, kept), batch: kept.length };
    const without = await model.gradients(
      others,
      kept.map((s) => s % CLASSES),
      0,
      evaluation,
    );
    assert.equal([all.loss, all.count], [without.loss, without.count]);
    assert.is(all.count, kept.length * EVALUATION.numEvals);
    model.dispose();
  });

  test("mask: statistics of features are without the sample; nothing is left where all fail", async ({ backend }) => {
    const rnn = network("mask");
    const model = new ConnectomeODEClassifier(backend, { ...READOUT, rnn, standardise: true });
    const input = inputOf(5, [4]);
    const { mean } = await model.calibrate(input, EVALUATION);
    const others = { data: rowsOf(input.data, 5, [0, 1, 2, 3]), batch: 4 };
    assertBitEqual(mean, (await model.calibrate(others, EVALUATION)).mean, "mean");
    for (const run of [
      () => model.gradients(inputOf(2, [0, 1]), [0, 1], 0, EVALUATION),
      () => model.evaluate(inputOf(2, [0, 1]), [0, 1], EVALUATION),
      () => model.calibrate(inputOf(2, [0, 1]), EVALUATION),
    ]) {
      assert.is((await failure(run)).facts.sample, 0);
    }
    model.dispose();
  });

  test("throw is the default: the error names the sample", async ({ backend }) => {
    const { solve: _, ...rnn } = network("throw");
    const model = new ConnectomeODEClassifier(backend, { ...READOUT, rnn });
    const error = await failure(() => model.gradients(inputOf(3, [1]), [0, 1, 2], 0, EVALUATION));
    assert.equal([error.code, error.facts.sample], ["nonFinite", 1]);
    model.dispose();
  });

  test("stop: the solve ends for all; what there is stays, gradients and losses are refused", async ({ backend }) => {
    const batch = 3;
    const rnn = network("stop");
    const model = new ConnectomeODEClassifier(backend, { ...READOUT, rnn });
    const input = inputOf(batch, [2]);
    const trajectory = await model.rnn.forward(input, EVALUATION);
    assert.equal(statusOf(trajectory), ["stopped", "stopped", "nonFinite"]);
    assert.equal(Math.max(...trajectory.stats[0]!.nSteps), 1);
    const last = rowsOf(trajectory.hs, batch, [0]).subarray(2 * N);
    assert.ok(last.every((h) => Number.isNaN(h)));
    for (const run of [
      () => model.gradients(input, [0, 1, 2], 0, EVALUATION),
      () => model.evaluate(input, [0, 1, 2], EVALUATION),
      () => model.rnn.vjp(input, new Float64Array(batch * 3 * N), EVALUATION),
    ]) {
      assert.equal((await failure(run)).facts.sample, 2, "the one that failed, not those that were stopped");
    }
    const whole = await model.rnn.forward(inputOf(batch, []), EVALUATION);
    assert.equal(statusOf(whole), ["success", "success", "success"]);
    model.dispose();
  });

  test("a policy that is none is refused", ({ backend }) => {
    assert.throws(
      () => new ConnectomeODERNN(backend, network("ignore" as FailurePolicy)),
      (e: unknown) => e instanceof ArgumentError && /throw or mask or stop, got "ignore"/.test(e.message),
    );
  });
}

function roundTo({ dtype }: Backend): (x: number) => number {
  return dtype === "f32" ? Math.fround : (x) => x;
}

forEachBackend("samples that fail", ["f64", "f32"], define);
// As many lanes as the CPU has, so that batches run in as many parts.
onWebGpu("samples that fail", define, () => createWebGpuBackend({ maxLanes: 16 }));
