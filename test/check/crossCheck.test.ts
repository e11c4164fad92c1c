// The cross-check passes right backends and fails wrong ones, however small the mistake.

import * as assert from "uvu/assert";
import type { Backend } from "../../src/backend/backend.ts";
import type { Gather } from "../../src/backend/gather.ts";
import type { Instr } from "../../src/backend/program.ts";
import { createWasmBackend } from "../../src/backend/wasm/backend.ts";
import { createWebGpuBackend } from "../../src/backend/webgpu/backend.ts";
import { classifierSubject } from "../../src/check/classifierSubject.ts";
import { compareArrays, verdictOf } from "../../src/check/comparison.ts";
import { crossCheck, passed, type SubjectReport } from "../../src/check/crossCheck.ts";
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
/** What computes a step of the solver, or of a network in discrete time, and a mistake that it may have. */
const STEPS = [
  [CLASSIFIER, "attempt", wrongCoefficient],
  [VOLTAGE, "attempt", wrongCoefficient],
  [SEQUENCE, "attempt", wrongCoefficient],
  // Its only constant is the 1 of 1 − α.
  [DISCRETE, "step", wrongSign],
] as const;
const hasAdapter = (await requireTestAdapter()) !== null;

const test = suite<{ f64: Backend; f32: Backend }>("cross-check", {} as { f64: Backend; f32: Backend });

test.before(async (context) => {
  context.f64 = await createWasmBackend({ dtype: "f64", threads: 1 });
  context.f32 = await createWasmBackend({ dtype: "f32", threads: 1 });
});
test.after(async ({ f64, f32 }) => {
  await f64.dispose();
  await f32.dispose();
});

function run(subject: Subject, f64: Backend, single: Backend, gather: Gather = "f32"): Promise<SubjectReport> {
  return crossCheck(subject, { name: "f64", backend: f64 }, [{ name: "f32", backend: single, gather }], SEED);
}

/** What failed, as "quantity of witness". */
function failuresOf({ comparisons }: SubjectReport): string[] {
  return comparisons.filter(({ verdict }) => verdict === "FAIL").map((c) => `${c.quantity} of ${c.compared}`);
}

for (const [subject, program, mistake] of STEPS) {
  test(`${subject.name}: both precisions on the CPU pass, and no bound is blunt`, async ({ f64, f32 }) => {
    const report = await run(subject, f64, f32);
    for (const c of report.comparisons) assert.is(c.verdict, "ok", `${c.quantity}: ${c.error} of ${c.bound}`);
    assert.ok(Math.max(...report.nSteps) >= 2, "several steps");
  });

  test(`${subject.name}: every gradient has its own line for every witness`, async ({ f64, f32 }) => {
    const { comparisons } = await run(subject, f64, f32);
    const of = (compared: string) => comparisons.filter((c) => c.compared === compared).map((c) => c.quantity);
    assert.equal(
      of("f32").filter((quantity) => quantity.startsWith("gradient")),
      of("wasm f64").filter((quantity) => quantity.startsWith("gradient of")),
    );
    assert.ok(of("f32").includes("trajectory") && of("f32").includes("loss"));
  });

  test(`${subject.name}: coefficients that are off by one part in a thousand, or a wrong sign, fail`, async ({
    f64,
    f32,
  }) => {
    const report = await run(subject, f64, withWrongInstruction(f32, program, mistake));
    const failures = failuresOf(report);
    assert.ok(failures.includes("trajectory of f32"), failures.join());
    assert.not.ok(passed([report]));
  });

  test(`${subject.name}: a wrong sign in the reverse pass fails gradients and nothing else`, async ({ f64, f32 }) => {
    const failures = failuresOf(await run(subject, f64, withWrongInstruction(f32, `${program}.reverse`, wrongSign)));
    assert.ok(failures.length > 0);
    for (const failure of failures) assert.match(failure, /^gradient of .* of f32$/);
  });

  test(`${subject.name}: one flipped weight fails`, async ({ f64, f32 }) => {
    const failures = failuresOf(await run(subject, f64, withFlippedWeight(f32, NETWORK.nnz)));
    assert.ok(failures.includes("trajectory of f32"), failures.join());
  });

  test(`${subject.name}: a wrong reverse pass in double precision fails against differences`, async ({ f64, f32 }) => {
    const failures = failuresOf(await run(subject, withWrongInstruction(f64, `${program}.reverse`, wrongSign), f32));
    assert.ok(
      failures.some((failure) => failure.endsWith("of wasm f64")),
      failures.join(),
    );
  });

  if (hasAdapter) {
    test(`${subject.name}: WebGPU passes, and fails with one flipped weight`, async ({ f64 }) => {
      const gpu = await createWebGpuBackend();
      assert.equal(failuresOf(await run(subject, f64, gpu)), []);
      assert.ok(failuresOf(await run(subject, f64, withFlippedWeight(gpu, NETWORK.nnz))).length > 0);
      await gpu.dispose();
    });

    test(`${subject.name}: WebGPU with f16 gathers passes with bounds of its own, and fails with those of f32`, async ({
      f64,
    }) => {
      const gpu = await createWebGpuBackend({ gather: "f16" });
      const { comparisons } = await run(subject, f64, gpu, "f16");
      for (const c of comparisons) assert.is(c.verdict, "ok", `${c.quantity}: ${c.error} of ${c.bound}`);
      assert.ok(failuresOf(await run(subject, f64, gpu)).length > 0, "roundings are there");
      assert.ok(failuresOf(await run(subject, f64, withFlippedWeight(gpu, NETWORK.nnz), "f16")).length > 0);
      await gpu.dispose();
    });
  }
}

test("outputs, metrics and penalties have lines of their own", async ({ f64, f32 }) => {
  const linesOf = async (subject: Subject) =>
    (await run(subject, f64, f32)).comparisons.filter((c) => c.compared === "f32").map((c) => c.quantity);
  for (const [subject, own] of [
    [SEQUENCE, ["penalty rate-l2", "penalty l2:weights", "penalty l2:biases", "metric mse"]],
    [DISCRETE, ["penalty activity", "penalty l2:weights", "penalty l2:biases", "metric mse", "metric mae"]],
  ] as const) {
    const lines = (await linesOf(subject)).filter((line) => !line.startsWith("gradient"));
    assert.equal(lines, ["trajectory", "loss", "outputs", ...own]);
  }
});

/** Sums are differences. */
const wrongSum = (instr: Instr): Instr | null => (instr.op === "add" ? { ...instr, op: "sub" } : null);

for (const [subject, program, mistake, fails, holds] of [
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
] as const) {
  test(`${subject.name}: a mistake in ${program} fails ${fails.join(", ")}, and not ${holds.join(", ")}`, async ({
    f64,
    f32,
  }) => {
    const failures = failuresOf(await run(subject, f64, withWrongInstruction(f32, program, mistake)));
    for (const quantity of fails) assert.ok(failures.includes(`${quantity} of f32`), failures.join());
    for (const quantity of holds) assert.not.ok(failures.includes(`${quantity} of f32`), failures.join());
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
