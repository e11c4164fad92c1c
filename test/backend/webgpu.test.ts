// The WebGPU backend against the oracle: every instruction, every layout, skewed matrices.

import * as assert from "uvu/assert";
import type { BindingId, ValueId } from "../../src/backend/program.ts";
import { createWebGpuBackend } from "../../src/backend/webgpu/backend.ts";
import { countLanes, csr, normal } from "../support/conformance/case.ts";
import { type ConformanceCase, compareWithOracle, conformanceCases } from "../support/conformance.ts";
import { randomSparse } from "../support/matrices.ts";
import { type PhaseBuilder, ProgramBuilder } from "../support/programBuilder.ts";
import { requireTestAdapter } from "../support/softwareAdapter.ts";
import { suite } from "../support/suite.ts";

/**
 * Reductions that may share a last step, and ones that must not wait: a later one onto the same target, a phase that reads it, a
 * product and a store in between, a temporary as target.
 */
function waitingReductions(lanes: number): ConformanceCase {
  const rows = 200;
  const b = new ProgramBuilder("waiting reductions");
  const w = b.input("w", "sparse", { rows, cols: rows });
  const x = b.input("x", "state", { rows });
  const sum = b.output("sum", "sample");
  const largest = b.inout("largest", "sample");
  const copy = b.output("copy", "sample");
  const norm = b.temp("norm", "sample", 1, 1, 4);
  const y = b.temp("y", "state", rows, 0, 3);
  const z = b.output("z", "state", { rows });
  const scaled = b.output("scaled", "state", { rows });
  const reduce = (
    p: PhaseBuilder,
    binding: BindingId,
    value: ValueId,
    how: "sum" | "max",
    accumulate: boolean,
  ): void => {
    p.push({ op: "reduceRows", binding, value, how, accumulate });
  };
  b.phase(rows, (p) => {
    const value = p.load(x);
    p.store(y, p.op("mul", value, p.const(3)));
    reduce(p, sum, value, "sum", false);
  })
    .phase(rows, (p) => {
      const value = p.matmul(w, x);
      p.store(z, value);
      reduce(p, sum, p.op("abs", value), "sum", true);
      reduce(p, norm, p.op("abs", value), "max", false);
    })
    .phase(rows, (p) => reduce(p, largest, p.load(y), "max", true))
    .phase(rows, (p) => p.store(scaled, p.op("add", p.load(y), p.load(sum))))
    .phase(1, (p) => p.store(copy, p.op("add", p.load(norm), p.load(largest))));
  const { csr: matrix } = randomSparse(rows, rows, 0.1);
  const most = { kind: "sum", terms: 2 * rows + 60 } as const;
  return {
    name: `reductions over rows are complete when they are needed (${countLanes(lanes)})`,
    lanes,
    program: b.build(),
    inputs: { w: csr(matrix), x: normal, largest: normal },
    outputs: { sum: most, largest: most, copy: most, z: most, scaled: most },
  };
}

const adapter = await requireTestAdapter();

if (adapter) {
  const backend = await createWebGpuBackend();
  const conforms = suite(`webgpu conforms (${adapter.name})`);
  const own = [7, 40].map(waitingReductions);
  for (const c of [...conformanceCases({ maxLanes: 64 }), ...own]) {
    conforms(c.name, () => compareWithOracle(backend, c));
  }
  conforms.after(async () => {
    await backend.dispose();
    assert.is(backend.memory().liveBuffers, 0);
    assert.is(backend.counts().liveBuffers, 0);
  });
  conforms.run();
}
