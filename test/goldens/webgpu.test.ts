// Reference values on WebGPU, where the shared folder is there: of every kind of case, method, controller and optimiser the first one.
// `npm run goldens -- DIR --device webgpu` runs all.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Backend } from "../../src/backend/backend.ts";
import { createWebGpuBackend } from "../../src/backend/webgpu/backend.ts";
import { note } from "../support/note.ts";
import { sharedPath } from "../support/shared.ts";
import { requireTestAdapter } from "../support/softwareAdapter.ts";
import { type GoldenCase, readGoldens } from "./format.ts";
import { checkCase, formatResult } from "./report.ts";

/** One case of each, in the order of the folder. */
function firstOfEach(goldens: readonly GoldenCase[]): GoldenCase[] {
  const kinds = new Map<string, GoldenCase>();
  for (const golden of goldens) {
    const { kind, options, shapes } = golden;
    const { training, solver } = options;
    const { method, controller } = solver;
    const projection = (name: string): string =>
      shapes.has(`in_${name}_weight`) ? "dense" : shapes.has(`in_${name}_rows`) ? "sparse" : "none";
    const what = training?.optimizer ?? (kind === "solver" ? `${method} ${controller.type}` : method);
    // What is projected is the same for all kinds.
    const key = [kind, what, ...(kind === "ode_rnn" ? [projection("ih"), projection("ho")] : [])].join(" ");
    if (!kinds.has(key)) kinds.set(key, golden);
  }
  return [...kinds.values()];
}

const folder = sharedPath("goldens");
const goldens = folder === null ? [] : firstOfEach(await readGoldens(folder));
const adapter = await requireTestAdapter();

if (adapter) {
  const test = suite<{ gpu: Backend }>("reference values, webgpu f32", {} as { gpu: Backend });
  test.before(async (context) => {
    context.gpu = await createWebGpuBackend();
  });
  test.after(({ gpu }) => gpu.dispose());
  for (const golden of goldens) {
    test(golden.name, async ({ gpu }) => {
      const result = await checkCase(gpu, golden);
      assert.is(result.verdict, "passed", formatResult(result));
    });
  }
  if (folder === null) {
    test.skip("reference values");
    note("skipped: reference values on webgpu (no shared folder with goldens)");
  }
  test.run();
}
