// Random graphs and their reverse on WebGPU, against WASM in double precision. AXOGRAD_RANDOM_GRAPHS takes more graphs than six.

import * as assert from "uvu/assert";
import type { Backend } from "../../src/backend/backend.ts";
import { createWasmBackend } from "../../src/backend/wasm/backend.ts";
import { createWebGpuBackend } from "../../src/backend/webgpu/backend.ts";
import { assertClose, gamma } from "../support/close.ts";
import { GraphInterpreter } from "../support/graphInterpreter.ts";
import { DEFAULT_SEED } from "../support/matrices.ts";
import { type DeviceResult, type Problem, problemOf, runProblem } from "../support/randomGradients.ts";
import { requireTestAdapter } from "../support/softwareAdapter.ts";
import { suite } from "../support/suite.ts";

const N_GRAPHS = Number(process.env.AXOGRAD_RANDOM_GRAPHS ?? 6);
/** Roundings on the longest path, for values and slopes that stay moderate. */
const ROUNDINGS = 100;
/** Comparisons nearer than this to another outcome may have it in f32. */
const MARGIN = 1e-3;

/** The first graphs whose comparisons all have a margin. */
function clearSeeds(): number[] {
  const seeds: number[] = [];
  for (let seed = DEFAULT_SEED; seeds.length < N_GRAPHS; seed++) {
    const { inputs, outputs } = problemOf(seed);
    const interpreter = new GraphInterpreter(inputs);
    for (const v of outputs) interpreter.valueOf(v);
    if (interpreter.margin >= MARGIN) seeds.push(seed);
  }
  return seeds;
}

/** Values and gradients as one array each, by name. */
function parts({ seed, wrt }: Problem, { values, gradients }: DeviceResult): [string, readonly number[]][] {
  return [
    [`values of graph ${seed}`, values.flatMap((y) => Array.from(y))],
    [`gradients of graph ${seed}`, wrt.flatMap((name) => Array.from(gradients[name]!))],
  ];
}

const adapter = await requireTestAdapter();

if (adapter) {
  const test = suite<{ gpu: Backend; f64: Backend; f32: Backend }>("random graphs on webgpu", {} as never);
  test.before(async (context) => {
    context.gpu = await createWebGpuBackend();
    context.f64 = await createWasmBackend({ dtype: "f64", threads: 1 });
    context.f32 = await createWasmBackend({ dtype: "f32", threads: 2 });
  });
  test.after(async ({ gpu, f64, f32 }) => {
    await gpu.dispose();
    await f64.dispose();
    await f32.dispose();
  });

  for (const [k, seed] of clearSeeds().entries()) {
    test(`values and gradients of graph ${seed} are those of double precision, but for rounding`, async (context) => {
      const run = (backend: Backend) => runProblem(backend, problemOf(seed), k % 2 === 1);
      const problem = problemOf(seed);
      const expected = parts(problem, await run(context.f64));
      for (const backend of [context.f32, context.gpu]) {
        const got = parts(problem, await run(backend));
        expected.forEach(([label, reference], i) => {
          const largest = reference.reduce((m, x) => Math.max(m, Math.abs(x)), 0);
          assert.ok(largest > 0, label);
          assertClose(got[i]![1], reference, gamma(ROUNDINGS, "f32") * largest, `${label}, ${backend.description}`);
        });
      }
    });
  }

  test.run();
}
