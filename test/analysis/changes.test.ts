// Changes of parameters, on matrices that are worked out by hand.

import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { changesOf } from "../../src/analysis/changes/changes.ts";
import { changesByGroups } from "../../src/analysis/changes/changesByGroups.ts";
import { type EffectiveParameter, effectiveParameters } from "../../src/analysis/changes/effectiveParameters.ts";
import { matchConnections } from "../../src/analysis/changes/matchConnections.ts";
import { neuronChanges } from "../../src/analysis/changes/neuronChanges.ts";
import { changesRecord } from "../../src/analysis/changes/record.ts";
import { recoveredParameters } from "../../src/analysis/changes/recoveredParameters.ts";
import { signMixing } from "../../src/analysis/changes/signMixing.ts";
import { weightChange, weightSteps } from "../../src/analysis/changes/weightChange.ts";
import { readAnalysis, writeAnalysis } from "../../src/analysis/record.ts";
import { createBackend } from "../../src/backend/select.ts";
import { finishInSlices, type Steps } from "../../src/core/abort.ts";
import { type Csr, csrFromCoo, withValues } from "../../src/core/csr.ts";
import { radiusSteps, spectralRadiusOfAbsolute } from "../../src/data/spectralRadius.ts";
import { ParameterSet } from "../../src/models/parameters/parameterSet.ts";
import { changesFigures } from "../../src/report/analyses/changes.ts";
import { stackedSvg } from "../../src/report/figure.ts";
import { fails, tempDir } from "../io/fixtures.ts";

const test = suite("changes");
const dir = tempDir();

// Row by row: post 0 gets from 1 and 2, 1 from 0, 2 from 0 and 3, 3 from 1 (a stored 0) and 2.
const BEFORE = csrFromCoo({
  ...{ nRows: 4, nCols: 4 },
  rows: [0, 0, 1, 2, 2, 3, 3],
  cols: [1, 2, 0, 0, 3, 1, 2],
  values: [2, -1, 4, -2, 1, 0, -4],
});
const AFTER = withValues(BEFORE, Float64Array.of(4, 1, 2, -2, 0, 3, -0.02));
/** Neurons 0 and 1, and 2 and 3. */
const GROUPS = { types: ["A", "B"], typeIdx: [0, 0, 1, 1] };

/** Rounding of a few sums in double precision. */
function near(actual: number, expected: number, name = ""): void {
  if (Math.abs(actual - expected) <= 1e-14 * Math.max(1, Math.abs(expected))) return;
  throw new Error(`${name} expected ${expected}, got ${actual}`);
}

function nearAll(actual: ArrayLike<number>, expected: readonly number[]): void {
  assert.is(actual.length, expected.length);
  expected.forEach((x, k) => {
    if (!(Number.isNaN(x) && Number.isNaN(actual[k]))) near(actual[k]!, x, `${k}:`);
  });
}

test("the comparator of these tests can fail", () => {
  assert.throws(() => near(1 + 1e-12, 1));
  assert.throws(() => near(Number.NaN, 1));
  assert.throws(() => nearAll([0], [Number.NaN]));
});

test("measures of seven weights are those worked out by hand", () => {
  const change = weightChange(BEFORE.values, AFTER.values);
  // Differences 2, 2, −2, 0, −1, 3, 3.98.
  near(change.relativeL2, Math.sqrt(37.8404 / 42));
  near(change.relativeL1, 13.98 / 14);
  near(change.cosine, 19.08 / Math.sqrt(42 * 34.0004));
  near(change.normBefore, Math.sqrt(42));
  near(change.normAfter, Math.sqrt(34.0004));
  // Ranks 5 2 6 1 4 3 0 and 6 3 4 0 2 5 1: 1 − 6·16/(7·48).
  near(change.rankCorrelation!, 5 / 7);
  // Means 0 and 7.98/7.
  near(change.correlation, 19.08 / Math.sqrt(42 * (34.0004 - 7.98 ** 2 / 7)));
  const { signChanged, grown, shrunk, unchanged, silenced, toZero, fromZero, count } = change;
  assert.equal(
    { count, signChanged, grown, shrunk, unchanged, silenced, toZero, fromZero },
    { count: 7, signChanged: 1, grown: 2, shrunk: 3, unchanged: 1, silenced: 2, toZero: 1, fromZero: 1 },
  );
  const { logRatio } = change;
  assert.is(logRatio.count, 5);
  // Of log₂ 0.005, −1, 0, 0, 1; between the outer two of them at 5 and 95 %.
  const least = Math.log2(0.005);
  nearAll(logRatio.quantiles, [least + 0.2 * (-1 - least), -1, 0, 0, 0.8]);
  const { low, step, counts } = logRatio.histogram;
  assert.is(
    counts.reduce((sum, n) => sum + n, 0),
    5,
  );
  assert.is(counts[Math.floor(-low / step)], 2, "two that stayed as large");
});

test("equal weights share a rank, and nothing is divided by zero", async () => {
  near(weightChange([1, 1, 2], [1, 2, 3]).rankCorrelation!, Math.sqrt(3) / 2);
  near(weightChange([-3, -0, 0, 0.5, 2e300], [-2, 1, 1, 3, 4]).rankCorrelation!, 1);
  const same = weightChange([1, -2], [1, -2]);
  assert.equal([same.relativeL2, same.relativeL1, same.unchanged, same.cosine], [0, 0, 2, 1]);
  const none = weightChange([0, 0], [0, 0]);
  assert.equal([none.relativeL2, none.relativeL1, none.silenced, none.logRatio.count], [0, 0, 0, 0]);
  assert.ok(Number.isNaN(weightChange([0, 0], [1, 0]).relativeL2), "from nothing");
  assert.is(weightChange([], []).count, 0);
  // Quotients would overflow.
  assert.equal(weightChange([5e-324], [1]).logRatio.quantiles[0], 1074);
  await fails(() => weightChange([1], [1, 2]), "shape", /after/);
});

test("signs are mixed where a column has both", () => {
  const [before, after] = [signMixing(BEFORE), signMixing(AFTER)];
  // Outputs before: 4 and −2; 2 and 0; −1 and −4; 1.
  const counts = ({ excitatory, inhibitory, mixed, silent }: typeof before) => [excitatory, inhibitory, mixed, silent];
  assert.equal(counts(before), [2, 1, 1, 0]);
  nearAll(before.minorityShare, [1 / 3, 0, 0, 0]);
  near(before.share, 2 / 14);
  // After: 2 and −2; 4 and 3; 1 and −0.02; 0.
  assert.equal(counts(after), [1, 0, 2, 1]);
  nearAll(after.minorityShare, [0.5, 0, 0.02 / 1.02, 0]);
  near(after.share, 2.02 / 12.02);
  nearAll(after.outputs.positive, [2, 7, 1, 0]);
  nearAll(after.outputs.negative, [2, 0, 0.02, 0]);
  nearAll(after.inputs.positive, [5, 2, 0, 3]);
  nearAll(after.inputs.negative, [0, 0, 2, 0.02]);
  assert.is(signMixing(withValues(BEFORE, new Float64Array(7))).share, 0);
});

test("changes by pair of groups come with the largest first", async () => {
  const pairs = changesByGroups(BEFORE, BEFORE.values, AFTER.values, GROUPS);
  // B → B, A → B, A → A, B → A, with Σ(w − w₀)² of 16.8404, 9, 8 and 4.
  assert.equal([...pairs.pre], [1, 0, 0, 1]);
  assert.equal([...pairs.post], [1, 1, 0, 0]);
  assert.equal([...pairs.connections], [2, 2, 2, 1]);
  assert.equal([...pairs.signChanged], [0, 0, 0, 1]);
  nearAll(pairs.sumBefore, [-3, -2, 6, -1]);
  nearAll(pairs.sumAfter, [-0.02, 1, 6, 1]);
  nearAll(pairs.absBefore, [5, 2, 6, 1]);
  nearAll(pairs.absAfter, [0.02, 5, 6, 1]);
  nearAll(pairs.moved, [Math.sqrt(16.8404), 3, Math.sqrt(8), 2]);
  nearAll(pairs.relativeL2, [Math.sqrt(16.8404 / 17), 1.5, Math.sqrt(8 / 20), 2]);
  // Spreads of w₀: 12.5, 2, 2, and none of a single connection.
  nearAll(pairs.r2, [1 - 16.8404 / 12.5, 1 - 9 / 2, 1 - 8 / 2, Number.NaN]);
  await fails(() => changesByGroups(BEFORE, [1], AFTER.values, GROUPS), "shape", /before/);
  await fails(() => changesByGroups(BEFORE, BEFORE.values, AFTER.values, { types: ["A"], typeIdx: [0] }), "shape", /4/);
});

test("values of neurons change by group; groups without neurons are left out", async () => {
  const changes = neuronChanges([1, 2, 3, 4], [1, 2, 6, 8], { types: ["A", "none", "B"], typeIdx: [0, 0, 2, 2] });
  assert.equal([...changes.group], [2, 0]);
  nearAll(changes.meanBefore, [3.5, 1.5]);
  nearAll(changes.meanAfter, [7, 1.5]);
  nearAll(changes.rms, [Math.sqrt(12.5), 0]);
  await fails(() => neuronChanges([1], [1, 2], { types: ["A"], typeIdx: [0, 0] }), "shape", /before/);
});

test("found parameters are measured against known ones", async () => {
  const found = recoveredParameters([0, 1, 2, 3], [1, 2, 3, 6]);
  near(found.slope, 1.6);
  near(found.intercept, 0.6);
  near(found.r2, -1.4);
  near(found.rmse, Math.sqrt(3));
  near(found.correlation, 8 / Math.sqrt(5 * 14));
  const { density } = found;
  assert.equal([density.low, density.high], [0, 6]);
  assert.is(
    density.counts.reduce((sum, n) => sum + n, 0),
    4,
  );
  assert.is(density.counts[(density.size - 1) * density.size + density.size / 2], 1, "known 3, found 6");
  const constant = recoveredParameters([2, 2], [2, 2]);
  assert.ok([constant.r2, constant.slope, constant.correlation].every(Number.isNaN));
  assert.is(constant.rmse, 0);
  await fails(() => recoveredParameters([1], []), "shape", /found/);
});

test("connections are matched by their place", async () => {
  const known = csrFromCoo({ nRows: 4, nCols: 4, rows: [0, 0, 2, 3], cols: [0, 2, 3, 3], values: [9, 7, 5, 9] });
  const { csr, at, missing, unknown } = matchConnections(BEFORE, known);
  assert.equal([...at], [1, 4]);
  assert.equal([...csr.values], [7, 5]);
  assert.equal(
    [[...csr.rowPtr], [...csr.colIdx]],
    [
      [0, 1, 1, 2, 2],
      [2, 3],
    ],
  );
  assert.equal([missing, unknown], [2, 5]);
  const small = csrFromCoo({ nRows: 1, nCols: 1, rows: [0], cols: [0], values: [1] });
  await fails(() => matchConnections(BEFORE, small), "shape", /4 × 4/);
});

test("shared values are spread, and constraints hold", async () => {
  const backend = await createBackend({ device: "wasm", threads: 1, dtype: "f64" });
  const parameters = new ParameterSet(backend);
  try {
    const csr = csrFromCoo({ nRows: 2, nCols: 2, rows: [0, 0, 1], cols: [0, 1, 1], values: [1, 2, -1] });
    parameters.addSharedSparse("w", csr, [3, 5], [0, 0, 1], { trainable: true });
    parameters.addVector("b", [7, 8], { trainable: false, spreadBy: [1, 0, 1] });
    parameters.addVector("c", [1, 2], { trainable: true, constraint: { min: 0 } });
    parameters.set("c", [-1, 2], { clamp: true });
    const all = await effectiveParameters(parameters);
    assert.equal(
      all.map(({ name, trainable, values }) => [name, trainable, [...values]]),
      [
        ["w", true, [3, 6, -5]],
        ["b", false, [8, 7, 8]],
        ["c", true, [0, 2]],
      ],
    );
  } finally {
    parameters.dispose();
    await backend.dispose();
  }
});

/** Parameters of a network with a matrix and a bias of its neurons. */
function network(csr: Csr, bias: readonly number[], trainable = true): EffectiveParameter[] {
  const values = Float64Array.from(bias);
  return [
    {
      ...{ name: "rnn.hh.values", leaf: "hh", role: "weights", of: "connections", trainable },
      matrix: csr,
      values: csr.values,
    },
    { ...{ name: "rnn.hh.bias", leaf: "bias", role: "biases", of: "neurons", trainable }, matrix: null, values },
  ];
}

test("all changes of a network make a record, whose figures can be drawn", async () => {
  const known = { source: "a file", weights: BEFORE, tau: null, bias: [0, 1, 2, 3] };
  const changes = await changesOf(network(BEFORE, [0, 0, 0, 0]), network(AFTER, [1, 0, 0, 0]), {
    ...{ groups: GROUPS, known },
    connectome: BEFORE.values,
  });
  assert.is(changes.connectome, null, "the weights before are the connectome's");
  near(changes.parameters[0]!.relativeL2, Math.sqrt(37.8404 / 42));
  assert.ok(Number.isNaN(changes.parameters[1]!.relativeL2), "biases were 0");
  const { recovered } = changes;
  near(recovered!.weights!.r2, 1 - 37.8404 / 42);
  near(recovered!.bias!.r2, 1 - 15 / 5);
  assert.equal([recovered!.weights!.missing, recovered!.weights!.unknown, recovered!.tau], [0, 0, null]);
  const result = { against: "start", by: "type", ...changesRecord(changes) };
  const file = await writeAnalysis(dir, { name: "changes", kind: "changes", step: 1, options: {}, result });
  const figures = changesFigures(await readAnalysis(file, "changes"));
  assert.equal(
    figures.map(({ id }) => id),
    ["sizes", "pairs", "ratios", "mixing", "biases", "recovered-weights", "recovered-bias"],
  );
  const svg = stackedSvg("changes", figures, { titles: true });
  assert.not.match(svg, /NaN|undefined|Infinity/);
  for (const { title } of figures) assert.ok(svg.includes(title), title);
  assert.equal(figures[1]!.table.rows[0], ["B", "B", "2", "-1.5", "-0.01", "0.9953", "0"]);
  const damaged = { ...result, map: { groups: ["A"], relativeL2: [1, 2], growth: [1], leftOut: 0 } };
  await writeAnalysis(dir, { name: "damaged", kind: "changes", step: 1, options: {}, result: damaged });
  const record = await readAnalysis(join(dir, "analyses", "damaged.json"), "damaged");
  await fails(() => changesFigures(record), "file-format", /map\.relativeL2/);
});

test("a network that did not change, or has no weights, is no exception", async () => {
  for (const csr of [BEFORE, withValues(BEFORE, new Float64Array(7))]) {
    const same = network(csr, [0, 0, 0, 0], false);
    const changes = await changesOf(same, same, { groups: GROUPS });
    assert.equal(
      changes.parameters.map(({ relativeL2, trained }) => [relativeL2, trained]),
      [
        [0, false],
        [0, false],
      ],
    );
    assert.is(changes.weights.unchanged, 7);
    assert.ok([...changes.pairs.relativeL2].every((x) => x === 0));
    assert.ok(Number.isFinite(changes.amplification.after.radius));
    const result = { against: "start", by: "type", ...changesRecord(changes) };
    const file = await writeAnalysis(dir, { name: "same", kind: "changes", step: 0, options: {}, result });
    const svg = stackedSvg("same", changesFigures(await readAnalysis(file, "same")));
    assert.not.match(svg, /NaN|undefined|Infinity/);
  }
});

test("weights are compared with the connectome where training began with others", async () => {
  const options = { groups: GROUPS, connectome: AFTER.values };
  const changes = await changesOf(network(BEFORE, [0, 0, 0, 0]), network(AFTER, [0, 0, 0, 0]), options);
  assert.is(changes.connectome!.relativeL2, 0);
  // Rounding to f32 is no difference.
  const exact = Float64Array.of(0.1, -0.7, 1 / 3, 4, 5, 0, 7);
  const rounded = withValues(BEFORE, Float32Array.from(exact));
  const begun = network(rounded, [0, 0, 0, 0]);
  assert.is((await changesOf(begun, begun, { groups: GROUPS, connectome: exact })).connectome, null);
});

test("only networks with the same connections are compared", async () => {
  const other = csrFromCoo({ nRows: 4, nCols: 4, rows: [0], cols: [1], values: [1] });
  const own = network(BEFORE, [0, 0, 0, 0]);
  await fails(() => changesOf(network(other, [0, 0, 0, 0]), own, { groups: GROUPS }), "argument", /same 7 connections/);
  await fails(() => changesOf(own.slice(1), own, { groups: GROUPS }), "argument", /recurrent weights/);
  const stopped = { groups: GROUPS, signal: AbortSignal.abort(new Error("stop")) };
  await changesOf(own, own, stopped).then(
    () => assert.unreachable(),
    (error: Error) => assert.is(error.message, "stop"),
  );
});

test("work in steps hears a signal between them, and gives what it gives at once", async () => {
  const controller = new AbortController();
  setImmediate(() => controller.abort(new Error("stop")));
  let steps = 0;
  function* endless(): Steps<never> {
    for (;;) {
      // Longer than the event loop is kept waiting.
      for (const end = performance.now() + 150; performance.now() < end; );
      steps++;
      yield;
    }
  }
  await finishInSlices(endless(), controller.signal).then(
    () => assert.unreachable(),
    (error: Error) => assert.is(error.message, "stop"),
  );
  assert.is(steps, 1);
  const { signal } = new AbortController();
  assert.equal(await finishInSlices(radiusSteps(BEFORE), signal), spectralRadiusOfAbsolute(BEFORE));
  const change = weightChange(BEFORE.values, AFTER.values);
  assert.equal(await finishInSlices(weightSteps(BEFORE.values, AFTER.values), signal), change);
});

test("measures refuse shares and parameters that are none", async () => {
  await fails(() => weightChange([1], [1], { silenced: 0 }), "argument", /above 0, at most 1/);
  await fails(() => recoveredParameters([1, 2], [1, Number.NaN]), "argument", /finite numbers.*NaN at 1/);
});

test.run();
