// The tasks teacher and motion through the machinery of runs: parameters shared by types and columns, hexagonal input and read-out,
// recovery of known parameters, checkpoints, pages and state dictionaries.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { createBackend } from "../../src/backend/select.ts";
import { motionConnectome, sharedByTypePair, typeLabels } from "../../src/data/connectomes.ts";
import { neuronsByColumn } from "../../src/data/neuronGroups.ts";
import type { ParameterSet } from "../../src/models/parameters/parameterSet.ts";
import type { Settings } from "../../src/run/configLayers.ts";
import { resolveConfig } from "../../src/run/configLayers.ts";
import { createExperiment, type Experiment, loadRunInputs, type RunInputs } from "../../src/run/experiment.ts";
import { openRun } from "../../src/run/openRun.ts";
import { recoveryOf } from "../../src/run/recovery.ts";
import { exportStateDict, importStateDict } from "../../src/train/stateDict.ts";
import { fails, tempDir, testWithData } from "../io/fixtures.ts";
import { axograd, jsonLines, type Line } from "./process.ts";

const test = suite("teacher and motion");
const dir = tempDir();

const COMMON = ["--threads", "1", "--device", "wasm", "--json", "--validation-samples", "8", "--test-samples", "8"];
const TEACHER = [...["--preset", "teacher", "--columns", "2", "--data-options", "frames=12"], ...COMMON];
const MOTION = [
  ...["--preset", "motion", "--generate", "motion:2", "--data-options", "extent=2,frames=8,settle=3"],
  ...["--batch-size", "8", "--train-samples", "64", ...COMMON],
];

async function train(name: string, ...args: readonly string[]): Promise<Line[]> {
  const { code, stdout, stderr } = await axograd(["train", ...args, "--out", name], { cwd: dir });
  assert.is(code, 0, stderr);
  return jsonLines(stdout);
}

/** What `axograd changes --json` says. */
interface ChangesFacts {
  readonly weights: { readonly relativeL2: number; readonly signChanged: number };
  readonly map: { readonly groups: readonly string[] };
  readonly recovered: Readonly<Record<"weights" | "tau" | "bias", { readonly r2: number }>>;
}

const losses = (lines: readonly Line[]): number[] =>
  lines.flatMap(({ event, loss }) => (event === "step" ? [loss as number] : []));

/** An experiment of some settings, used and disposed of. */
async function withExperiment<T>(
  settings: Settings,
  use: (experiment: Experiment, inputs: RunInputs) => Promise<T>,
): Promise<T> {
  const config = resolveConfig([{ threads: 1, device: "wasm", ...settings }]);
  const inputs = await loadRunInputs(config);
  const backend = await createBackend({ device: "wasm", threads: 1, dtype: config.dtype });
  try {
    const experiment = createExperiment(backend, config, inputs);
    try {
      return await use(experiment, inputs);
    } finally {
      experiment.dispose();
    }
  } finally {
    await backend.dispose();
  }
}

async function trained(trainer: Experiment["trainer"], steps: number): Promise<void> {
  for await (const { step } of trainer.fit({ steps })) assert.ok(step <= steps);
}

async function bits(parameters: ParameterSet): Promise<Record<string, number[]>> {
  const all = await Promise.all(parameters.all().map(async ({ name }) => [name, [...(await parameters.values(name))]]));
  return Object.fromEntries(all);
}

test("a teacher's student learns: the traces of masked neurons decide, and its parameters come close", async () => {
  const lines = await train("teacher", ...TEACHER, "--steps", "160", "--eval-every", "80");
  const all = losses(lines);
  assert.ok(all.at(-1)! < 0.2 * all[0]!, `${all[0]} to ${all.at(-1)}`);
  const r2 = lines.flatMap(({ event, set, metrics }) =>
    event === "evaluation" && set === "validation" ? [(metrics as { r2: number }).r2] : [],
  );
  assert.ok(r2.length === 2 && r2[1]! > r2[0]! && r2[1]! > 0.9, `${r2}`);
  const summary = lines.at(-1)!;
  const { weights, tau, bias } = summary.recovery as Record<"weights" | "tau" | "bias", number>;
  await using start = await openRun(join(dir, "teacher"), { checkpoint: "none" });
  const first = await recoveryOf(start.model, start.data.teacher!);
  assert.ok(
    weights > 0.5 && weights > first.weights && tau > first.tau && bias > first.bias,
    `${weights} ${tau} ${bias}`,
  );
  const recorded = JSON.parse(await readFile(join(dir, "teacher", "summary.json"), "utf8"));
  assert.equal(recorded.recovery, summary.recovery);
  // What the record says is what the checkpoint has.
  await using run = await openRun(join(dir, "teacher"));
  assert.equal(await recoveryOf(run.model, run.data.teacher!), recorded.recovery);
  const initial = await run.initialModel();
  assert.equal(await bits(initial.parameters), await bits(start.model.parameters));
  initial.dispose();
  // And so does `axograd changes`.
  const changes = await axograd(["changes", "teacher", "--json", "--out", "pairs.csv"], { cwd: dir });
  assert.is(changes.code, 0, changes.stderr);
  const { result } = jsonLines(changes.stdout)[0] as unknown as { result: ChangesFacts };
  const { recovered, map, weights: moved } = result;
  assert.equal(
    { weights: recovered.weights.r2, tau: recovered.tau.r2, bias: recovered.bias.r2 },
    recorded.recovery,
    "recovered",
  );
  assert.ok(moved.relativeL2 > 0 && moved.signChanged === 0, "strengths moved, signs are kept");
  assert.ok(map.groups.includes("T4"));
  const [head, row] = (await readFile(join(dir, "pairs.csv"), "utf8")).split("\n");
  assert.match(head!, /^pre,post,connections,sum_before,/);
  assert.is(row!.split(",").length, 9);
  const other = await axograd(["changes", "teacher", "--against", "nowhere", "--name", "b"], { cwd: dir });
  assert.is(other.code, 2);
  assert.match(other.stderr, /the folder of a run/);
  const page = await readFile(join(dir, "teacher", "report.html"), "utf8");
  assert.match(page, /R² of recovered weights/);
  assert.match(page, /strengths/);
});

test("recovery is that of the network at its start, before a step, and 1 for the teacher itself", async () => {
  const settings: Settings = { preset: "teacher", columns: 2, trainSamples: 16 };
  await withExperiment(settings, async ({ model }, { samples, sharing, weights }) => {
    const truth = samples.teacher!;
    const { parameters } = model;
    const before = await recoveryOf(model, truth);
    assert.ok(before.weights < 0.95 && before.tau < 0.5 && before.bias < 0.5);
    const labels = [...new Set(sharing!.labels)].sort();
    const perType = (values: ArrayLike<number>) => labels.map((label) => values[sharing!.labels.indexOf(label)]!);
    const { group } = sharing!.shared;
    const factor = Float64Array.from({ length: sharing!.shared.nGroups }, (_, g) => {
      const k = group.indexOf(g);
      return truth.weights.values[k]! / weights.values[k]!;
    });
    parameters.setAll([
      ["rnn.hh.strength", factor],
      ["rnn.tau", perType(truth.tau)],
      ["rnn.hh.bias", perType(truth.bias)],
    ]);
    const after = await recoveryOf(model, truth);
    // Single precision.
    for (const r2 of Object.values(after)) assert.ok(1 - r2 < 1e-10, `${r2}`);
  });
});

test("in continuous time the teacher's own frames are the output times, and Euler steps of a frame give the same losses", async () => {
  const common: Settings = { preset: "teacher", columns: 2, trainSamples: 16, dtype: "f64" };
  const first = (settings: Settings) =>
    withExperiment({ ...common, ...settings }, async ({ trainer, model }, { samples }) => {
      const { loss } = await trainer.evaluate(samples.train);
      await trained(trainer, 2);
      return { loss, parameters: await bits(model.parameters) };
    });
  const discrete = await first({});
  const euler = await first({ time: "continuous", solver: "euler", dt: 1 });
  assert.ok(Math.abs(discrete.loss - euler.loss) <= 1e-12 * discrete.loss, `${discrete.loss} ${euler.loss}`);
  for (const [name, values] of Object.entries(discrete.parameters)) {
    values.forEach((value, i) => {
      assert.ok(Math.abs(value - euler.parameters[name]![i]!) < 1e-6, `${name} ${i}`);
    });
  }
});

test("motion detectors with a convolution as read-out learn, and go on from a checkpoint to the bit", async () => {
  const steps = ["--epochs", "4", "--schedule", "constant"];
  const whole = losses(await train("whole", ...MOTION, ...steps));
  assert.is(whole.length, 32);
  const mean = (values: number[]) => values.reduce((a, b) => a + b) / values.length;
  assert.ok(mean(whole.slice(-8)) < 0.9 * mean(whole.slice(0, 8)), `${whole}`);
  await train("parts", ...MOTION, "--steps", "13", "--schedule", "constant");
  const { code, stdout, stderr } = await axograd(
    ["train", "--resume", "parts", "--steps", "32", "--json", "--no-report"],
    { cwd: dir },
  );
  assert.is(code, 0, stderr);
  assert.equal(losses(jsonLines(stdout)), whole.slice(13));
  await using one = await openRun(join(dir, "whole"));
  await using other = await openRun(join(dir, "parts"));
  assert.equal(await bits(one.model.parameters), await bits(other.model.parameters));
});

test("a network of motion detectors starts with its own weights, time constants and biases, shared by types", async () => {
  const made = motionConnectome({ extent: 2 });
  await withExperiment(
    { preset: "motion", generate: "motion:2", dataOptions: { extent: 2 }, trainSamples: 16 },
    async ({ model }, { weights, projections }) => {
      const { parameters } = model;
      const names = ["rnn.hh.strength", "rnn.hh.bias", "rnn.tau", "out_layer.1.strength", "out_layer.1.bias"];
      for (const name of names)
        assert.ok(
          parameters.all().some((p) => p.name === name),
          name,
        );
      assert.is(parameters.get("rnn.hh.strength").size, made.shared.nGroups);
      // Types are in the order of their names.
      const order = [...made.types.keys()].sort((a, b) => (made.types[a]! < made.types[b]! ? -1 : 1));
      const near = (found: ArrayLike<number>, expected: ArrayLike<number>) =>
        order.forEach((t, i) => {
          assert.ok(Math.abs(found[i]! - expected[t]!) < 1e-6);
        });
      near(await parameters.values("rnn.tau"), made.tau);
      near(await parameters.values("rnn.hh.bias"), made.rest);
      assert.equal(
        Array.from(weights.values),
        Array.from(made.csr.values, (sign, k) => Math.fround(sign * made.shared.strengthInit[made.shared.group[k]!]!)),
      );
      assert.ok((await parameters.values("out_layer.1.strength")).every((w) => w === 0));
      const { convolutions, outputProjection } = projections;
      assert.is(convolutions.length, 1);
      assert.is(convolutions[0]!.csr.nCols, outputProjection!.nRows);
      assert.is(convolutions[0]!.csr.nRows, 2 * made.eye.count);
    },
  );
});

test("parameters shared by types go through a state dictionary", async () => {
  const file = join(dir, "shared.safetensors");
  const settings: Settings = { preset: "teacher", columns: 2, trainSamples: 16 };
  const after = await withExperiment(settings, async ({ model, trainer }) => {
    await trained(trainer, 3);
    await exportStateDict(model, file);
    return bits(model.parameters);
  });
  await withExperiment(settings, async ({ model }) => {
    assert.not.equal(await bits(model.parameters), after);
    await importStateDict(model, file);
    assert.equal(await bits(model.parameters), after);
  });
});

test("types are shared on a rewired connectome, too", async () => {
  const settings: Settings = { preset: "teacher", columns: 2, wiring: "shuffled", trainSamples: 16 };
  await withExperiment(settings, async ({ model }, { weights, connectome }) => {
    const { nGroups } = sharedByTypePair(weights, connectome.table!);
    assert.is(model.parameters.get("rnn.hh.strength").size, nGroups);
    assert.is(model.parameters.get("rnn.tau").size, new Set(typeLabels(connectome.table!)).size);
  });
});

test("weights by pairs: each is gain times its part of the mean |weight| of its types, and training keeps its sign", async () => {
  const settings: Settings = {
    ...{ preset: "teacher", columns: 2, trainSamples: 16, lr: 2 },
    ...{ normalise: "pairs", gain: 0.01, keepSigns: true, schedule: "constant", warmUp: 0 },
  };
  await withExperiment(settings, async ({ model, trainer }, { connectome, weights }) => {
    const { csr, table } = connectome;
    const { group, pairs } = sharedByTypePair(csr, table!);
    csr.values.forEach((w, k) => {
      const expected = (0.01 * w) / pairs[group[k]!]!.meanWeight;
      assert.ok(Math.abs(weights.values[k]! - expected) <= 1e-6 * Math.abs(expected), `${k}`);
    });
    for (const { meanWeight } of sharedByTypePair(weights, table!).pairs) assert.ok(Math.abs(meanWeight - 0.01) < 1e-8);
    const strengths = () => model.parameters.values("rnn.hh.strength");
    assert.ok((await strengths()).every((s) => s === 1));
    await trained(trainer, 3);
    const after = await strengths();
    // Steps this large take some strengths to the border, and none beyond.
    assert.ok(after.every((s) => s >= 0) && after.some((s) => s === 0), `${after}`);
  });
});

test("initial biases: normal draws of the seed, one per neuron or per type", async () => {
  const start = (settings: Settings) =>
    withExperiment({ preset: "teacher", columns: 2, trainSamples: 16, ...settings }, async ({ model }) => [
      ...(await model.parameters.values("rnn.hh.bias")),
    ]);
  const [TYPES, NEURONS] = [14, 56];
  assert.equal(await start({ bias: 0.5 }), new Array(TYPES).fill(0.5));
  const byType = await start({ bias: 0.5, biasSpread: 0.05 });
  assert.is(new Set(byType).size, TYPES);
  const byNeuron = await start({ biasSpread: 0.05, share: "none" });
  assert.is(new Set(byNeuron).size, NEURONS);
  for (const [drawn, mean] of [
    [byType, 0.5],
    [byNeuron, 0],
  ] as const) {
    const n = drawn.length;
    const average = drawn.reduce((sum, b) => sum + b / n, 0);
    const spread = Math.sqrt(drawn.reduce((sum, b) => sum + (b - average) ** 2 / (n - 1), 0));
    // Four standard errors of a mean and of a deviation.
    assert.ok(Math.abs(average - mean) < (4 * 0.05) / Math.sqrt(n), `${average}`);
    assert.ok(Math.abs(spread - 0.05) < (4 * 0.05) / Math.sqrt(2 * (n - 1)), `${spread}`);
  }
  assert.equal(await start({ bias: 0.5, biasSpread: 0.05 }), byType);
  assert.not.equal(await start({ bias: 0.5, biasSpread: 0.05, seed: 1 }), byType);
});

test("a spread of biases is added to those of the network", async () => {
  const made = motionConnectome({ extent: 2 });
  const settings: Settings = { preset: "motion", generate: "motion:2", dataOptions: { extent: 2 }, trainSamples: 16 };
  await withExperiment({ ...settings, biasSpread: 1e-3 }, async ({ model }) => {
    const order = [...made.types.keys()].sort((a, b) => (made.types[a]! < made.types[b]! ? -1 : 1));
    const biases = await model.parameters.values("rnn.hh.bias");
    order.forEach((t, i) => {
      const shift = Math.abs(biases[i]! - made.rest[t]!);
      assert.ok(shift > 0 && shift < 5e-3, `${made.types[t]} ${shift}`);
    });
  });
});

test("hidden channels between two convolutions: shapes, initial values, dropout, and all of it learns", async () => {
  const { eye, types, typeIdx, role } = motionConnectome({ extent: 2 });
  const settings: Settings = {
    ...{ preset: "motion", generate: "motion:2", dataOptions: { extent: 2, frames: 8, settle: 3 }, trainSamples: 64 },
    ...{ hiddenChannels: 3, kernel: 1, dropout: 0.25, warmUp: 0 },
  };
  const outputTypes = new Set(Array.from(typeIdx, (t, i) => (role[i] === "output" ? types[t]! : null)));
  outputTypes.delete(null);
  await withExperiment(settings, async ({ model, trainer }, { projections }) => {
    const { parameters } = model;
    const values = async (name: string) => [...(await parameters.values(`out_layer.${name}`))];
    const [first, last] = projections.convolutions;
    assert.equal([first!.csr.nRows, last!.csr.nCols, last!.csr.nRows], [3 * eye.count, 3 * eye.count, 2 * eye.count]);
    const fanIn = 7 * outputTypes.size;
    const start = await values("1.strength");
    assert.is(start.length, 3 * fanIn);
    assert.ok(start.every((w) => Math.abs(w) <= 1 / Math.sqrt(fanIn)) && new Set(start).size > fanIn);
    assert.equal(await values("4.strength"), new Array(2 * 7 * 3).fill(0));
    assert.equal([(await values("1.bias")).length, (await values("4.bias")).length], [3, 2]);
    await trained(trainer, 2);
    assert.not.equal(await values("1.strength"), start);
    assert.ok((await values("4.strength")).every((w) => w !== 0));
  });
});

test("convolutions read features about their own means, with one scale for each cell type", async () => {
  const settings: Settings = {
    ...{ preset: "motion", generate: "motion:2", dataOptions: { extent: 2, frames: 8, settle: 3 }, trainSamples: 16 },
    ...{ standardise: true, calibration: 16, kernel: 1 },
  };
  await withExperiment(settings, async ({ model, trainer }, { projections, connectome }) => {
    await trainer.calibrate(16);
    const { mean, scale } = (await model.featureStatistics())!;
    const { table } = connectome;
    const types = Array.from(projections.outputProjection!.colIdx, (neuron) => table!.typeIdx[neuron]!);
    const firstOf = (type: number) => types.indexOf(type);
    assert.is(new Set(scale).size, new Set(types).size);
    assert.ok(new Set(mean).size > types.length / 2);
    types.forEach((type, f) => {
      assert.is(scale[f], scale[firstOf(type)]);
    });
  });
});

testWithData(
  test,
  ["flyvis/flyvis_e2_csr.npz"],
  "the preset flyvis has its parameters per type, and trains with any wiring, or the read-out alone",
  async (connectome) => {
    const settings: Settings = {
      ...{ preset: "flyvis", connectome, dataOptions: { frames: 4, settle: 1 }, trainSamples: 16 },
      ...{ validationSamples: 2, testSamples: 2, batchSize: 4, calibration: 8 },
    };
    await withExperiment(settings, async ({ model, trainer }, { samples, task, weights, connectome: { table } }) => {
      const { pairs } = sharedByTypePair(weights, table!);
      assert.is(samples.train.inputSize, 19);
      assert.is(task.loss.name, "norm");
      for (const { neurons } of neuronsByColumn({ ...table!, count: weights.nRows }, "type", null)) {
        const rows = Array.from(neurons, (i) => weights.values.subarray(weights.rowPtr[i]!, weights.rowPtr[i + 1]!));
        const total = rows.flatMap((row) => [...row]).reduce((sum, w) => sum + Math.abs(w), 0);
        // Types without any input stay as they are.
        assert.ok(total === 0 || Math.abs(total / neurons.length - 1) < 1e-5, `${total / neurons.length}`);
      }
      const sizes = ["rnn.hh.strength", "rnn.hh.bias", "rnn.tau"].map((name) => model.parameters.get(name).size);
      assert.equal(sizes, [pairs.length, 65, 65]);
      assert.ok((await model.parameters.values("rnn.tau")).every((tau) => tau === 2.5));
      await trainer.calibrate(8);
      await trained(trainer, 1);
    });
    for (const other of [
      { wiring: "none" },
      { wiring: "shuffled" },
      { wiring: "gru" },
      { trainConnectome: false },
    ] as const)
      await withExperiment({ ...settings, ...other }, async ({ trainer }) => assert.is(trainer.stepsPerEpoch, 4));
    const load = (own: Settings) => withExperiment({ ...settings, ...own }, async () => {});
    await fails(
      () => load({ trainConnectome: false, lrOf: { weights: 1e-3 } }),
      "argument",
      /frozen by the model.*--lr-of/,
    );
    await fails(() => load({ wiring: "none", lrOf: { weight: 1e-3 } }), "argument", /did you mean "weights".*--lr-of/);
  },
);

test("what does not go together is refused", async () => {
  const load = (settings: Settings) => async () => loadRunInputs(resolveConfig([{ threads: 1, ...settings }]));
  const motion: Settings = { preset: "motion", generate: "motion:2", dataOptions: { extent: 2 } };
  await fails(load({ ...motion, wiring: "shuffled" }), "argument", /real or none with --share columns.*\(--wiring\)/);
  await fails(load({ ...motion, dataOptions: { extent: 3 } }), "argument", /19 inputs, one per column.*\(--input\)/);
  await fails(load({ ...motion, readout: "all" }), "argument", /--head columns reads out the output neurons/);
  await fails(
    load({ share: "types", generate: { neurons: 900, connections: 5000 } }),
    "argument",
    /a neuron table .*\(--share\)/,
  );
  await fails(load({ share: "columns" }), "argument", /hexagonal eye/);
  for (const normalise of ["pairs", "types"] as const) {
    await fails(
      load({ normalise, generate: { neurons: 900, connections: 5000 } }),
      "argument",
      new RegExp(`a neuron table .*--normalise ${normalise}.*\\(--normalise\\)`),
    );
  }
  await fails(load({ preset: "teacher", dynamics: "leaky" }), "argument", /rate or voltage/);
  const { code, stderr } = await axograd(["train", "--kernel", "3"], { cwd: dir });
  assert.is(code, 2);
  assert.match(stderr, /--head columns with it, as it has no effect otherwise/);
});

test.run();
