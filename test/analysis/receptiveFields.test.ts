// Receptive fields of networks: linear ones have their impulse response; what the command writes, and what the page draws of it.

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { fieldRecord } from "../../src/analysis/fieldRecord.ts";
import type { InputPlaces } from "../../src/analysis/fieldSummary.ts";
import { type ReceptiveFieldOptions, receptiveFields } from "../../src/analysis/receptiveFields.ts";
import { analysisFile, readAnalysis, writeAnalysis } from "../../src/analysis/record.ts";
import { fieldStandardError, ReverseCorrelation } from "../../src/analysis/reverseCorrelation.ts";
import { createWasmBackend } from "../../src/backend/wasm/backend.ts";
import { register } from "../../src/cli/analyses/receptiveFields.ts";
import { register as registerTrain } from "../../src/cli/train.ts";
import { csrFromCoo } from "../../src/core/csr.ts";
import { ArgumentError, FileFormatError } from "../../src/core/errors.ts";
import { readNpz } from "../../src/io/npz.ts";
import { ConnectomeODERNN } from "../../src/models/connectomeOdeRnn.ts";
import { ConnectomeRNN } from "../../src/models/connectomeRnn.ts";
import { recordActivity } from "../../src/models/recordActivity.ts";
import { receptiveFieldFigures } from "../../src/report/analyses/receptiveFields.ts";
import { standaloneSvg } from "../../src/report/figure.ts";
import { runCommand } from "../cli/command.ts";
import { tempDir } from "../io/fixtures.ts";
import { assertClose } from "../support/close.ts";
import { xmlFault } from "../support/xml.ts";

const test = suite("receptive fields");
const dir = tempDir();
const backend = await createWasmBackend({ threads: 1, dtype: "f64" });
/** The entries of a matrix that are not 0. */
const dense = (matrix: readonly (readonly number[])[]) => {
  const entries = matrix.flatMap((row, r) => row.flatMap((value, c) => (value === 0 ? [] : [[r, c, value] as const])));
  return csrFromCoo({
    nRows: matrix.length,
    nCols: matrix[0]!.length,
    rows: entries.map(([r]) => r),
    cols: entries.map(([, c]) => c),
    values: Float64Array.from(entries, ([, , value]) => value),
  });
};

const [N, INPUTS, LAGS] = [3, 2, 6];
const W = [
  [0, 0.5, 0],
  [0.25, 0, -0.5],
  [0, 0.75, 0],
];
const U = [
  [1, 0],
  [0, 0],
  [0.5, -1],
];
/** h ← h/2 + (U·x + W·h)/2. */
const LINEAR = {
  numNeurons: N,
  inputSize: INPUTS,
  connectome: dense(W),
  inputProjection: dense(U),
  dynamics: "leaky",
  neuronNonlinearity: "Identity",
  neuronTau: 2,
  weightConstraint: "none",
} as const;

/** [neurons, lags, inputs]: A^lag·U/2 with A = (1 + W)/2. */
function impulseResponse(): number[] {
  let state = U.map((row) => row.map((u) => u / 2));
  const byLag = Array.from({ length: LAGS }, () => {
    const now = state;
    state = W.map((row, n) => now[n]!.map((h, i) => (h + row.reduce((sum, w, m) => sum + w * now[m]![i]!, 0)) / 2));
    return now;
  });
  return Array.from({ length: N }, (_, n) => byLag.map((states) => states[n]!)).flat(2);
}

test("the field of a linear network is its impulse response: exactly, from impulses of both signs", async () => {
  using model = new ConnectomeRNN(backend, LINEAR);
  const estimate = new ReverseCorrelation({ neurons: N, lags: LAGS, inputs: INPUTS });
  const steps = 2 * LAGS - 1;
  for (const [input, value] of [
    [0, 1],
    [0, -1],
    [1, 1],
    [1, -1],
  ] as const) {
    const data = new Float64Array(steps * INPUTS);
    data[(LAGS - 1) * INPUTS + input] = value;
    const times = Array.from({ length: LAGS }, (_, k) => LAGS - 1 + k);
    estimate.add(data, (await recordActivity(model, { data, batch: 1, steps }, { times })).data);
  }
  // All numbers are sums of few powers of 2, in f64 without rounding.
  assert.equal([...estimate.fields().values], impulseResponse());
});

const ALL = [0, 1, 2];

test("from noise, all coefficients of a linear network lie within their errors", async () => {
  using model = new ConnectomeRNN(backend, LINEAR);
  const options = { neurons: ALL, lags: LAGS, frames: 400, sequences: 15, seed: 5, mean: 2, contrast: 0.5 };
  const fields = await receptiveFields(model, options);
  assert.is(fields.count, 12 * 400);
  const errors = Array.from(fields.values, (_, k) => {
    const [n, lag, i] = [Math.floor(k / (LAGS * INPUTS)), Math.floor(k / INPUTS) % LAGS, k % INPUTS];
    return fieldStandardError(fields, n, lag, i);
  });
  // Correlations in time add a factor of √2 at most. One of 36 beyond 4.5 standard errors: a probability of 2e-4.
  const bounds = errors.map((error) => 4.5 * Math.SQRT2 * error);
  assertClose(fields.values, impulseResponse(), bounds, "fields");
  assert.throws(() => assertClose(fields.values, impulseResponse().reverse(), bounds, "another kernel"));
  // Beyond the lags: the rest of the response to noise.
  for (const { explained, centreSign } of fields.summaries) {
    assert.ok(explained.share > 0.9 && explained.share < 1.1, JSON.stringify(explained));
    assert.ok(centreSign !== null);
  }
  assert.equal(fields.summaries[0]!.peak!.input, 0);
  const again = await receptiveFields(model, { ...options, onProgress: () => {} });
  assert.equal(again.values, fields.values);
});

test("a silenced neuron has no field, and what it passed on is gone", async () => {
  using model = new ConnectomeRNN(backend, LINEAR);
  const evaluation = { interventions: { silence: [1] } };
  const fields = await receptiveFields(model, { neurons: ALL, lags: 3, frames: 400, sequences: 5, evaluation });
  assert.is(fields.summaries[1]!.peak, null);
  assert.is(fields.sd[1], 0);
  assert.ok(Number.isNaN(fields.summaries[1]!.explained.share));
  // Without neuron 1, neuron 0 sees its own input alone.
  assert.is(fields.summaries[0]!.numSignificant, 3);
});

test("in continuous time a frame is constant input, and responses are read at its end; hold makes frames longer", async () => {
  // dh/dt = x − h: frames of length d give h ← e^−d·h + (1 − e^−d)·x.
  using model = new ConnectomeODERNN(backend, {
    numNeurons: 1,
    inputSize: 1,
    connectome: dense([[0]]),
    dynamics: "plain",
    neuronNonlinearity: "Identity",
    weightConstraint: "none",
    solve: { dt0: 0.5, controller: { type: "fixed" } },
  });
  const [d, lags] = [0.5, 5];
  const common: ReceptiveFieldOptions = { neurons: [0], lags, frames: 300, sequences: 8, noise: "binary" };
  const fields = await receptiveFields(model, { ...common, frameTime: d });
  const expected = Array.from({ length: lags }, (_, lag) => (1 - Math.exp(-d)) * Math.exp(-d * lag));
  const bounds = expected.map((_, lag) => 4.5 * Math.SQRT2 * fieldStandardError(fields, 0, lag, 0));
  assertClose(fields.values, expected, bounds, "fields");
  const held = await receptiveFields(model, { ...common, frameTime: d / 2, hold: 2 });
  assert.equal(held.values, fields.values);
});

test("rates and states differ for voltages; time may come first", async () => {
  const options = { ...LINEAR, dynamics: "voltage", neuronNonlinearity: "ReLU" } as const;
  const field = { neurons: ALL, lags: 2, frames: 50, sequences: 3 } as const;
  using model = new ConnectomeRNN(backend, options);
  const [rates, states] = [
    await receptiveFields(model, field),
    await receptiveFields(model, { ...field, response: "states" }),
  ];
  assert.ok(rates.mean[0]! > 0 && rates.mean[0]! > states.mean[0]!);
  using timeFirst = new ConnectomeRNN(backend, { ...options, batchFirst: false });
  assert.equal((await receptiveFields(timeFirst, field)).values, rates.values);
});

test("wrong options are refused by name", async () => {
  using model = new ConnectomeRNN(backend, LINEAR);
  for (const [wrong, name] of [
    [{ settle: 3 }, "settle"],
    [{ sequences: 2 }, "sequences"],
    [{ lags: 0 }, "lags"],
    [{ hold: 1.5 }, "hold"],
    [{ frameTime: 0 }, "frameTime"],
    [{ contrast: -1 }, "contrast"],
    [{ response: "spikes" }, "response"],
    [{ neurons: [3] }, "neurons"],
    [{ lag: 3 }, "lag"],
  ] as const) {
    const error = await receptiveFields(model, { neurons: ALL, lags: 5, ...wrong } as ReceptiveFieldOptions).then(
      () => null,
      (thrown: unknown) => thrown,
    );
    assert.instance(error, ArgumentError);
    assert.match((error as Error).message, name);
  }
});

test("a sequence that takes more than 1 GiB is refused before it runs", async () => {
  const inputProjection = csrFromCoo({ nRows: N, nCols: 5000, rows: [0], cols: [0], values: [1] });
  using model = new ConnectomeRNN(backend, { ...LINEAR, inputSize: 5000, inputProjection });
  // 2^30/(16·5,000) frames, less the 20 of the start.
  await receptiveFields(model, { neurons: [0], frames: 13_402 }).then(
    () => assert.unreachable(),
    (error: Error) => assert.match(error.message, /at most 13401, .*more sequences/),
  );
});

test("a signal stops the work", async () => {
  using model = new ConnectomeRNN(backend, LINEAR);
  const controller = new AbortController();
  const stopped = receptiveFields(model, {
    ...{ neurons: ALL, frames: 50, sequences: 50, evaluation: { signal: controller.signal } },
    onProgress: () => controller.abort(new Error("enough")),
  });
  await stopped.then(
    () => assert.unreachable(),
    (error: Error) => assert.is(error.message, "enough"),
  );
});

test("the page draws fields of eyes, pictures and other inputs from their record, whatever the names", async () => {
  using model = new ConnectomeRNN(backend, {
    ...LINEAR,
    inputSize: 7,
    inputProjection: dense(U.map(([a, b]) => [a!, b!, 0, 0, 0, 0, 1])),
  });
  const name = `<script>"T4\0`;
  const names = ALL.map(() => ({ name, type: null }));
  for (const places of [
    { kind: "hexagons", extent: 1 },
    { kind: "pixels", width: 7, height: 1 },
    null,
  ] satisfies (InputPlaces | null)[]) {
    const fields = await receptiveFields(model, { neurons: ALL, lags: 3, frames: 40, sequences: 4, places });
    const frame = { length: 1, unit: "steps" } as const;
    const measurement = { noise: "gaussian", mean: 0, contrast: 1, response: "rates", frame, places };
    const result = fieldRecord(fields, measurement, names);
    const record = { name: "a", kind: "receptive-fields", step: 0, options: {}, result };
    const file = await writeAnalysis(dir, record);
    const [figure] = receptiveFieldFigures(await readAnalysis(file, "a"));
    assert.is(xmlFault(standaloneSvg(figure!)), null);
    assert.is(figure!.table.rows.length, 3);
    const [mark, others] =
      places === null
        ? ["input 6", "M"]
        : places.kind === "hexagons"
          ? ["fill-opacity", "<image"]
          : ["<image", "input 6"];
    assert.ok(standaloneSvg(figure!).includes(mark));
    if (places !== null) assert.not.ok(standaloneSvg(figure!).includes(others));
    const text = await readFile(file, "utf8");
    for (const [from, to] of [
      [`"lags":3`, `"lags":4`],
      [`"inputs":7`, `"inputs":8`],
      [`"centreSign":"o`, `"centreSign":"O`],
    ] as const) {
      await writeFile(file, text.replaceAll(" ", "").replaceAll("\n", "").replaceAll(from, to));
      const damaged = await readAnalysis(file, "a");
      assert.throws(
        () => receptiveFieldFigures(damaged),
        (error: unknown) => error instanceof FileFormatError,
      );
    }
  }
});

test("the command: fields of a run on a hexagonal eye, as arrays and on its page", async () => {
  const run = join(dir, "run");
  const train =
    "--preset motion --generate motion:1 --data-options extent=1,frames=8,settle=3 --steps 2 --train-samples 32 --test-samples 16 --validation-samples 0";
  const common = ["--threads", "1", "--device", "wasm", "--quiet"];
  await runCommand(registerTrain, "train", ...train.split(" "), "--no-report", ...common, "--out", run);
  const out = join(dir, "fields.npz");
  const small = ["--frames", "40", "--sequences", "5", "--lags", "4", "--silence", "C"];
  const printed = await runCommand(register, "receptive-fields", run, ...common, ...small, "--out", out);
  assert.match(printed, /gaussian noise 0\.5 ± 0\.25, frames of 1 step; 120 responses, 2 sequences held out/);
  const arrays = await readNpz(out, ["fields", "standard_errors"]);
  const [fields, errors] = [arrays.get("fields")!, arrays.get("standard_errors")!];
  assert.equal(
    [fields.shape, errors.shape],
    [
      [22, 4, 7],
      [22, 4, 7],
    ],
  );
  const record = await readAnalysis(analysisFile(run, "receptive-fields"), "receptive-fields");
  const [receptor, silenced] = record.result.objects("neurons");
  // Photoreceptors see the middle column at once; C is silenced.
  assert.equal(
    [receptor!.text("name"), receptor!.object("peak").all.lag, receptor!.object("peak").all.input],
    ["R", 0, 3],
  );
  assert.equal([silenced!.text("name"), silenced!.all.peak], ["C", null]);
  assert.equal(record.result.object("places").all, { kind: "hexagons", extent: 1 });
  assert.is(receptiveFieldFigures(record).length, 1);
  const csv = join(dir, "fields.csv");
  const one = [...small, "--record", "R & index=0-6", "--name", "receptors", "--out", csv];
  await runCommand(register, "receptive-fields", run, ...common, ...one);
  const [header, ...rows] = (await readFile(csv, "utf8")).trimEnd().split("\n");
  assert.is(header, "neuron,type,lag,input,value,standard error");
  assert.is(rows.length, 7 * 4 * 7);
  // The same noise: the middle one has the field that it has beside other neurons.
  const own = rows.map((row) => row.split(",")).filter(([neuron]) => Number(neuron) === receptor!.all.index);
  assert.equal(
    own.map((row) => row[4]),
    Array.from(fields.data.slice(0, 4 * 7), String),
  );
  assert.equal(
    own.map((row) => Math.fround(Number(row[5]))),
    Array.from(errors.data.slice(0, 4 * 7), Number),
  );
  const again = runCommand(register, "receptive-fields", run, ...common);
  await again.then(assert.unreachable, (error: Error) => assert.match(error.message, "--name gives another"));
  const late = runCommand(register, "receptive-fields", run, ...common, "--overwrite", "--frame-time", "2");
  await late.then(assert.unreachable, (error: Error) => assert.match(error.message, "--hold"));
});

test.after(() => backend.dispose());

test.run();
