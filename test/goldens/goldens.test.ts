// Reference values of the shared folder in f64 and f32, where it is there; and the runner itself on a small folder made here, with
// references that hold, that are perturbed, and that cannot be run.

import { spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Backend } from "../../src/backend/backend.ts";
import { createWasmBackend } from "../../src/backend/wasm/backend.ts";
import type { DType } from "../../src/core/dtype.ts";
import { writeNpz } from "../../src/io/npz.ts";
import { ConnectomeODERNN } from "../../src/models/connectomeOdeRnn.ts";
import { randomSparse } from "../support/matrices.ts";
import { note } from "../support/note.ts";
import { createOracleBackend } from "../support/oracleBackend.ts";
import { sharedPath } from "../support/shared.ts";
import { dot } from "./arrays.ts";
import { type GoldenCase, readCaseArrays, readGoldens } from "./format.ts";
import { type CaseResult, checkCase, formatResult } from "./report.ts";

// ---- the shared folder ---------------------------------------------------------------------------------------------------

const folder = sharedPath("goldens");
const goldens = folder === null ? [] : await readGoldens(folder);
// Nothing is awaited after this line: uvu runs the suites registered so far as soon as a file pauses.
const made = await makeFolder();

for (const dtype of ["f64", "f32"] as const) {
  const context: { backend?: Backend } = {};
  const test = suite<{ backend: Backend }>(`reference values, wasm ${dtype}`, context as { backend: Backend });
  test.before(async (state) => {
    state.backend = await createWasmBackend({ dtype });
  });
  const skipped: string[] = [];
  for (const golden of goldens) {
    test(golden.name, async ({ backend }) => {
      const result = await checkCase(backend, golden);
      if (result.verdict === "skipped") skipped.push(golden.name);
      assert.is.not(result.verdict, "failed", formatResult(result));
    });
  }
  if (folder === null) {
    test.skip("reference values");
    note("skipped: reference values (no shared folder with goldens)");
  }
  test("are there and mostly run", () => {
    assert.ok(skipped.length <= goldens.length / 2, `skipped: ${skipped}`);
    if (skipped.length > 0) note(`goldens ${dtype}: ${skipped.length} of ${goldens.length} skipped`);
  });
  test.after((state) => state.backend.dispose());
  test.run();
}

// ---- a folder made here --------------------------------------------------------------------------------------------------

/** Writes a folder with the case "tiny" whose f64 references are what the oracle computes; `index` and `file` can be changed. */
async function makeFolder(): Promise<{ path: string; index: { cases: Record<string, unknown>[] } }> {
  const path = mkdtempSync(join(tmpdir(), "axograd-goldens-"));
  const [n, batch, numEvals] = [5, 2, 3];
  const connectome = randomSparse(n, n, 0.5).csr;
  const f32 = (length: number, value: (i: number) => number) => Float32Array.from({ length }, (_, i) => value(i));
  const x = f32(batch * n, (i) => Math.sin(i));
  const cot = f32(batch * numEvals * n, (i) => Math.cos(i));
  const values = f32(connectome.nnz, (i) => Math.abs(connectome.values[i]!));
  const tau = f32(n, (i) => 1 + i / 4);
  const bias = f32(n, () => 0.125);
  const model = new ConnectomeODERNN(createOracleBackend(), {
    numNeurons: n,
    inputSize: n,
    connectome,
    weightConstraint: { min: 0, clamp: true },
    inputGradient: true,
  });
  const { parameters } = model;
  for (const [name, data] of [
    ["rnn.hh.values", values],
    ["rnn.tau", tau],
    ["rnn.hh.bias", bias],
  ] as const)
    parameters.set(name, data);
  const { trajectory, gradients } = await model.vjp({ data: x, batch }, cot, { numEvals });
  const rows = Array.from({ length: n }, (_, row) =>
    new Array<number>(connectome.rowPtr[row + 1]! - connectome.rowPtr[row]!).fill(row),
  );
  const arrays = {
    in_hh_rows: Int32Array.from(rows.flat()),
    in_hh_cols: Int32Array.from(connectome.colIdx),
    in_hh_values: values,
    in_hh_bias: bias,
    in_tau: tau,
    in_x: x,
    in_cot: cot,
    f64_hs: Float64Array.from(trajectory.hs),
    f64_loss: Float64Array.of(dot(trajectory.outs, cot)),
    f64_n_steps: Int32Array.from(trajectory.stats[0]!.nSteps),
    f64_grad_tau: Float64Array.from(await parameters.gradient("rnn.tau")),
    f64_grad_x: Float64Array.from(gradients.x!),
  };
  model.dispose();
  const shapes: Record<string, number[]> = {
    in_x: [batch, n],
    in_cot: [batch, numEvals, n],
    f64_hs: [batch, numEvals, n],
    f64_loss: [],
    f64_grad_x: [batch, n],
  };
  const shape = (name: string, data: ArrayLike<number>) => shapes[name] ?? [data.length];
  const entries = Object.entries(arrays);
  await writeNpz(
    join(path, "tiny.npz"),
    Object.fromEntries(entries.map(([name, data]) => [name, { shape: shape(name, data), data }])),
  );
  const tiny = {
    name: "tiny",
    kind: "ode_rnn",
    file: "tiny.npz",
    forward: { num_evals: numEvals },
    sensitivity: { f64: { hs: 1e-15 }, f32: {} },
    step_counts_equal_in_f32_and_f64: true,
    arrays: Object.fromEntries(
      entries.map(([name, data]) => [name, [data instanceof Float64Array ? "float64" : "float32", shape(name, data)]]),
    ),
  };
  return { path, index: { cases: [tiny, { ...tiny, name: "strange", kind: "quantum" }] } };
}

/** Writes the index, with bare NaN as Python's json module does, and runs the command line. */
function run(...args: readonly string[]): { status: number | null; stdout: string; stderr: string } {
  const text = JSON.stringify({ format: 1, reference: { 'a "NaN" in a name': "NaN" }, ...made.index });
  writeFileSync(join(made.path, "index.json"), text.replace('"sensitivity":{', '"note":NaN,"sensitivity":{'));
  const script = join(dirname(fileURLToPath(import.meta.url)), "run.js");
  return spawnSync(process.execPath, [script, made.path, ...args], { encoding: "utf8" });
}

const runner = suite("goldens runner");

runner("prints a line per case and the totals; a case it cannot run is skipped with the reason", () => {
  const { status, stdout } = run("--device", "oracle");
  const lines = stdout.trim().split("\n");
  assert.is(lines.length, 3, stdout);
  assert.match(lines[0]!, /^ok {4}tiny .* × bound, \w+/);
  assert.match(lines[1]!, /^skip {2}strange .*unknown kind "quantum"/);
  assert.is(lines[2], "1 passed, 0 failed, 1 skipped");
  assert.is(status, 0);
});

runner("gives the same as JSON lines", () => {
  const { stdout } = run("--device", "oracle", "--json", "--case", "tiny");
  const [result, totals] = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  assert.is(result!.verdict, "passed");
  assert.equal(
    [totals!.passed, totals!.failed, totals!.skipped, totals!.device, totals!.dtype],
    [1, 0, 0, "oracle", "f64"],
  );
});

runner("exit code 1 when a case fails, with the array, both numbers and the bound", () => {
  const tiny = made.index.cases[0]!;
  made.index.cases[0] = { ...tiny, forward: { num_evals: 3, end_time: 1.000001 } };
  const { status, stdout } = run("--device", "oracle");
  made.index.cases[0] = tiny;
  assert.is(status, 1);
  assert.match(stdout, /^FAIL {2}tiny/m);
  assert.match(stdout, /hs\[\d+\]: expected .* within .*, got .* × bound/);
  assert.match(stdout, /0 passed, 1 failed, 1 skipped/);
});

runner("a damaged file fails its case and no other", () => {
  const tiny = made.index.cases[0]!;
  copyFileSync(join(made.path, "tiny.npz"), join(made.path, "whole.npz"));
  writeFileSync(join(made.path, "cut.npz"), "PK");
  made.index.cases = [{ ...tiny, name: "damaged", file: "cut.npz" }, tiny];
  const { status, stdout } = run("--device", "oracle");
  made.index.cases = [tiny, { ...tiny, name: "strange", kind: "quantum" }];
  assert.is(status, 1);
  assert.match(stdout, /^FAIL {2}damaged .*cut\.npz/m);
  assert.match(stdout, /1 passed, 1 failed/);
});

runner("wrong arguments exit with 2 and name what was expected", () => {
  const cases: readonly (readonly [RegExp, readonly string[]])[] = [
    [/--device/, ["--devise", "oracle"]],
    [/wasm or webgpu or oracle/, ["--device", "cpu"]],
    [/f64 or f32/, ["--dtype", "f16"]],
    [/such as tiny/, ["--case", "tinny"]],
    [/no such file/, [join(made.path, "nowhere")]],
    [/f64, the oracle's only precision/, ["--device", "oracle", "--dtype", "f32"]],
    [/argument missing|ambiguous/, ["--dtype"]],
  ];
  for (const [message, args] of cases) {
    const { status, stderr, stdout } = run(...args);
    assert.match(stderr, message, args.join(" "));
    assert.is(status, 2, args.join(" "));
    assert.is(stdout, "", args.join(" "));
  }
});

// ---- negative controls ---------------------------------------------------------------------------------------------------

async function checkPerturbed(
  golden: GoldenCase,
  dtype: DType,
  name: string,
  perturb: (data: Float64Array | Int32Array) => void,
): Promise<CaseResult> {
  const backend = createOracleBackend();
  return checkCase(backend, golden, async (g) => {
    const arrays = await readCaseArrays(g, dtype);
    const reference = arrays.references.get(name)!;
    const data = reference.data.slice() as Float64Array | Int32Array;
    perturb(data);
    return { ...arrays, references: new Map([...arrays.references, [name, { ...reference, data }]]) };
  });
}

runner("one reference number off by 1e-9 of the largest fails, each array alone", async () => {
  run();
  const [tiny] = await readGoldens(made.path);
  for (const name of ["hs", "loss", "grad_tau", "grad_x"]) {
    const result = await checkPerturbed(tiny!, "f64", name, (data) => {
      data[data.length - 1]! += 1e-9 * Math.max(...Array.from(data, Math.abs));
    });
    assert.is(result.verdict, "failed", name);
    assert.equal(
      result.failures.map((f) => f.name),
      [name],
    );
  }
  const counts = await checkPerturbed(tiny!, "f64", "n_steps", (data) => {
    data[0]! += 1;
  });
  assert.equal(
    counts.failures.map((f) => f.name),
    ["n_steps"],
  );
});

runner("where the reference is NaN ours must be finite; where it is not, NaN fails", async () => {
  run();
  const [tiny] = await readGoldens(made.path);
  const result = await checkPerturbed(tiny!, "f64", "grad_tau", (data) => {
    data[0] = Number.NaN;
  });
  assert.is(result.verdict, "passed");
  assert.match(result.notes.join(), /reference not finite, ours is: grad_tau/);
  const wrong = await checkPerturbed(tiny!, "f64", "grad_tau", (data) => {
    data[0] = Number.NaN;
    data[1]! *= 1.001;
  });
  assert.is(wrong.verdict, "failed", "the other entries still count");
});

runner.after(() => rmSync(made.path, { recursive: true }));
runner.run();
