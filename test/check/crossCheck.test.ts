// The cross-check passes right backends and fails wrong ones, however small the mistake.

import * as assert from "uvu/assert";
import type { Backend } from "../../src/backend/backend.ts";
import type { Instr } from "../../src/backend/program.ts";
import { createWasmBackend } from "../../src/backend/wasm/backend.ts";
import { createWebGpuBackend } from "../../src/backend/webgpu/backend.ts";
import { classifierSubject } from "../../src/check/classifierSubject.ts";
import { compareArrays, verdictOf } from "../../src/check/comparison.ts";
import {
  type CheckedComparison,
  crossCheck,
  passed,
  type SubjectReport,
  type Witness,
} from "../../src/check/crossCheck.ts";
import { interpolationRoundings } from "../../src/check/interpolation.ts";
import { inducedSubgraph } from "../../src/check/subgraph.ts";
import type { Subject } from "../../src/check/subject.ts";
import { discreteSubject, sequenceSubject } from "../../src/check/taskSubjects.ts";
import { voltageSubject } from "../../src/check/voltageSubject.ts";
import { mapValues } from "../../src/core/csr.ts";
import { logNormalConnectome } from "../../src/data/connectomes.ts";
import { dopri5, euler } from "../../src/ode/tableaus/index.ts";
import { requireTestAdapter } from "../support/softwareAdapter.ts";
import { suite } from "../support/suite.ts";
import { withFlippedWeight, withWrongInstruction, wrongCoefficient, wrongSign } from "./wrong.ts";

const SEED = 3;
const NETWORK = mapValues(logNormalConnectome({ neurons: 40, connections: 250, seed: SEED }), (w) => 0.2 * w);
const CLASSIFIER = classifierSubject("classifier", NETWORK, SEED);
const VOLTAGE = voltageSubject("voltage", NETWORK, SEED);
const SEQUENCE = sequenceSubject("sequence", NETWORK, SEED);
const DISCRETE = discreteSubject("discrete", NETWORK, SEED);
/** Sums are differences. */
const wrongSum = (instr: Instr): Instr | null => (instr.op === "add" ? { ...instr, op: "sub" } : null);

/** What computes a step of the solver, or of a network in discrete time, and a mistake that it may have. */
const STEPS = [
  [CLASSIFIER, "attempt", wrongCoefficient],
  [VOLTAGE, "attempt", wrongCoefficient],
  [SEQUENCE, "attempt", wrongCoefficient],
  // Its only constant is the 1 of 1 − α.
  [DISCRETE, "step", wrongSign],
] as const;

/** Mistakes elsewhere: what fails, and what does not. */
const MISTAKES = [
  // The biases of the sparse layer.
  [SEQUENCE, "readout", wrongSum, ["outputs", "loss", "metric mse"], ["trajectory", "penalty rate-l2"]],
  // The distance from the targets.
  [DISCRETE, "readout", wrongSign, ["loss", "metric mse", "metric mae"], ["trajectory", "outputs", "penalty activity"]],
  // The distance from the baseline.
  [DISCRETE, "penalties.train", wrongSign, ["loss", "penalty activity"], ["outputs", "penalty l2:weights"]],
  // ½ of ½Σw².
  [
    DISCRETE,
    "penalties.parameters",
    wrongCoefficient,
    ["penalty l2:weights", "penalty l2:biases", "gradient of rnn.hh.values"],
    ["outputs", "penalty activity", "gradient of input"],
  ],
] as const;

interface Devices {
  f64: Backend;
  f32: Backend;
  /** null: there is no adapter. */
  gpu: Backend | null;
  gpuF16: Backend | null;
}

const hasAdapter = (await requireTestAdapter()) !== null;

const test = suite<Devices>("cross-check", {} as Devices);

test.before(async (context) => {
  context.f64 = await createWasmBackend({ dtype: "f64", threads: 1 });
  context.f32 = await createWasmBackend({ dtype: "f32", threads: 1 });
  context.gpu = hasAdapter ? await createWebGpuBackend() : null;
  context.gpuF16 = hasAdapter ? await createWebGpuBackend({ gather: "f16" }) : null;
});
test.after(async ({ f64, f32, gpu, gpuF16 }) => {
  for (const backend of [f64, f32, gpu, gpuF16]) await backend?.dispose();
});

/** Right and wrong f32 backends, by the names that they have in the report. */
function witnessesOf(subject: Subject, { f32, gpu, gpuF16 }: Devices): Witness[] {
  const flipped = (backend: Backend) => withFlippedWeight(backend, NETWORK.nnz);
  const steps = STEPS.filter(([of]) => of === subject).flatMap(([, program, mistake]) => [
    { name: program, backend: withWrongInstruction(f32, program, mistake) },
    { name: `${program}.reverse`, backend: withWrongInstruction(f32, `${program}.reverse`, wrongSign) },
  ]);
  const elsewhere = MISTAKES.filter(([of]) => of === subject).map(([, program, mistake]) => ({
    name: program,
    backend: withWrongInstruction(f32, program, mistake),
  }));
  const right = [{ name: "f32", backend: f32 }];
  const wrong = [{ name: "f32, flipped", backend: flipped(f32) }, ...steps, ...elsewhere];
  const onGpu = gpu && [
    { name: "gpu", backend: gpu },
    { name: "gpu, flipped", backend: flipped(gpu) },
  ];
  const withHalves = gpuF16 && [
    { name: "gpu f16", backend: gpuF16, gather: "f16" as const },
    { name: "gpu f16, bounds of f32", backend: gpuF16 },
    { name: "gpu f16, flipped", backend: flipped(gpuF16), gather: "f16" as const },
  ];
  return [...right, ...wrong, ...(onGpu ?? []), ...(withHalves ?? [])];
}

/** One check of a subject for all tests: its reference takes longest. */
const reports = new Map<Subject, Promise<SubjectReport>>();

function reportOf(subject: Subject, devices: Devices): Promise<SubjectReport> {
  const reference = { name: "f64", backend: devices.f64 };
  const report = reports.get(subject) ?? crossCheck(subject, reference, witnessesOf(subject, devices), SEED);
  reports.set(subject, report);
  return report;
}

async function comparisonsWith(name: string, subject: Subject, devices: Devices): Promise<CheckedComparison[]> {
  const { comparisons } = await reportOf(subject, devices);
  const own = comparisons.filter(({ compared }) => compared === name);
  assert.ok(own.length > 0, `${name} takes part`);
  return own;
}

/** Quantities in which a witness failed. */
async function failuresOf(name: string, subject: Subject, devices: Devices): Promise<string[]> {
  const comparisons = await comparisonsWith(name, subject, devices);
  return comparisons.filter(({ verdict }) => verdict === "FAIL").map(({ quantity }) => quantity);
}

for (const [subject, program] of STEPS) {
  test(`${subject.name}: both precisions on the CPU pass, and no bound is blunt`, async (devices) => {
    for (const name of ["wasm f64", "f32"])
      for (const c of await comparisonsWith(name, subject, devices))
        assert.is(c.verdict, "ok", `${c.quantity} of ${name}: ${c.error} of ${c.bound}`);
    assert.ok(Math.max(...(await reportOf(subject, devices)).nSteps) >= 2, "several steps");
  });

  test(`${subject.name}: every gradient has its own line for every witness`, async (devices) => {
    const of = async (name: string) => (await comparisonsWith(name, subject, devices)).map((c) => c.quantity);
    const lines = await of("f32");
    assert.equal(
      lines.filter((quantity) => quantity.startsWith("gradient")),
      (await of("wasm f64")).filter((quantity) => quantity.startsWith("gradient of")),
    );
    assert.ok(lines.includes("trajectory") && lines.includes("loss"));
  });

  test(`${subject.name}: coefficients that are off by one part in a thousand, or a wrong sign, fail`, async (devices) => {
    const failures = await failuresOf(program, subject, devices);
    assert.ok(failures.includes("trajectory"), failures.join());
    const report = await reportOf(subject, devices);
    const among = (name: string) => ({ ...report, comparisons: report.comparisons.filter((c) => c.compared === name) });
    assert.not.ok(passed([among("f32"), among(program)]));
    assert.ok(passed([among("f32")]));
  });

  test(`${subject.name}: a wrong sign in the reverse pass fails gradients and nothing else`, async (devices) => {
    const failures = await failuresOf(`${program}.reverse`, subject, devices);
    assert.ok(failures.length > 0);
    for (const failure of failures) assert.match(failure, /^gradient of /);
  });

  test(`${subject.name}: one flipped weight fails`, async (devices) => {
    const failures = await failuresOf("f32, flipped", subject, devices);
    assert.ok(failures.includes("trajectory"), failures.join());
  });

  test(`${subject.name}: a wrong reverse pass in double precision fails against differences`, async ({ f64 }) => {
    const backend = withWrongInstruction(f64, `${program}.reverse`, wrongSign);
    const { comparisons } = await crossCheck(subject, { name: "f64", backend }, [], SEED);
    const failed = comparisons.filter(({ verdict }) => verdict === "FAIL");
    assert.ok(failed.some(({ compared }) => compared === "wasm f64"));
  });

  if (hasAdapter) {
    test(`${subject.name}: WebGPU passes, and fails with one flipped weight`, async (devices) => {
      assert.equal(await failuresOf("gpu", subject, devices), []);
      assert.ok((await failuresOf("gpu, flipped", subject, devices)).length > 0);
    });

    test(`${subject.name}: WebGPU with f16 gathers passes with bounds of its own, and fails with those of f32`, async (devices) => {
      for (const c of await comparisonsWith("gpu f16", subject, devices))
        assert.is(c.verdict, "ok", `${c.quantity}: ${c.error} of ${c.bound}`);
      assert.ok((await failuresOf("gpu f16, bounds of f32", subject, devices)).length > 0, "roundings are there");
      assert.ok((await failuresOf("gpu f16, flipped", subject, devices)).length > 0);
    });
  }
}

test("outputs, metrics and penalties have lines of their own", async (devices) => {
  for (const [subject, own] of [
    [SEQUENCE, ["penalty rate-l2", "penalty l2:weights", "penalty l2:biases", "metric mse"]],
    [DISCRETE, ["penalty activity", "penalty l2:weights", "penalty l2:biases", "metric mse", "metric mae"]],
  ] as const) {
    const lines = (await comparisonsWith("f32", subject, devices)).map(({ quantity }) => quantity);
    assert.equal(
      lines.filter((line) => !line.startsWith("gradient")),
      ["trajectory", "loss", "outputs", ...own],
    );
  }
});

for (const [subject, program, , fails, holds] of MISTAKES) {
  test(`${subject.name}: a mistake in ${program} fails ${fails.join(", ")}, and not ${holds.join(", ")}`, async (devices) => {
    const failures = await failuresOf(program, subject, devices);
    for (const quantity of fails) assert.ok(failures.includes(quantity), failures.join());
    for (const quantity of holds) assert.not.ok(failures.includes(quantity), failures.join());
  });
}

test("an array is as wrong as its worst element, and NaN is worst of all", () => {
  const names = { quantity: "x", reference: "a", compared: "b" };
  const worst = compareArrays(names, [1, 1, 1], [1.1, 1.2, 1], [0.01, 1, 1]);
  assert.equal([verdictOf(worst), worst.bound], ["FAIL", 0.01]);
  assert.is(verdictOf(compareArrays(names, [1, 1], [Number.NaN, 1], [1e9, 1e9])), "FAIL");
  assert.is(verdictOf(compareArrays(names, [1, 1], [1, 1.001], [0.01, 0.01])), "ok");
});

test("a bound as wide as the quantity itself is called blunt", () => {
  const comparison = { quantity: "x", reference: "a", compared: "b", size: 1, error: 0.1, bound: 0.5 };
  assert.is(verdictOf(comparison), "blunt");
  assert.is(verdictOf({ ...comparison, bound: Number.POSITIVE_INFINITY }), "FAIL");
});

test("interpolants with large coefficients round more", () => {
  assert.ok(interpolationRoundings(euler) < 10);
  assert.ok(interpolationRoundings(dopri5) > 100);
});

test("a subgraph is induced: its connections are those among its neurons, and a small network stays whole", () => {
  const whole = logNormalConnectome({ neurons: 200, connections: 900, seed: SEED });
  assert.is(inducedSubgraph(whole, 200, SEED), whole);
  const part = inducedSubgraph(whole, 50, SEED);
  assert.equal([part.nRows, part.nCols], [50, 50]);
  assert.ok(part.nnz > 50, "a walk along connections keeps many of them");
  assert.ok(part.values.every((w) => whole.values.includes(w)));
  assert.equal(inducedSubgraph(whole, 50, SEED), part);
});

test.run();
