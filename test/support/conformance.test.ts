// The conformance suite tested on itself: it covers the format, the oracle passes it, and a backend with one defect does not.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Backend, DeviceBuffer } from "../../src/backend/backend.ts";
import { POINTWISE_OPS } from "../../src/backend/pointwise.ts";
import type { Instr, PointwiseOp } from "../../src/backend/program.ts";
import { type ConformanceCase, compareWithOracle, conformanceCases, runCase } from "./conformance.ts";
import { createOracleBackend } from "./oracleBackend.ts";

const test = suite("conformance");

const OTHER_OPS: Record<Exclude<Instr["op"], PointwiseOp>, true> = {
  load: true,
  const: true,
  rowIndex: true,
  lookup: true,
  random: true,
  gather: true,
  segmentSum: true,
  gatherT: true,
  matmul: true,
  matmulT: true,
  store: true,
  scatter: true,
  reduceRows: true,
  reduceLanes: true,
};

/** The oracle in the guise of an f32 backend, whose downloads pass through `damage`. */
function f32Backend(damage: (data: Float32Array, source: DeviceBuffer) => void = () => {}): Backend {
  const oracle = createOracleBackend({ maxLanes: 48 });
  const exact = oracle.download.bind(oracle);
  const download: Backend["download"] = async (source, offset, length) => {
    const data = Float32Array.from(await exact(source, offset, length));
    damage(data, source);
    return data;
  };
  return Object.assign(oracle, { dtype: "f32", download } as const);
}

test("cases have unique names and cover every instruction and panel width", () => {
  const cases = conformanceCases({ maxLanes: 64 });
  assert.is(new Set(cases.map((c) => c.name)).size, cases.length);
  const seen = new Set(cases.flatMap((c) => c.program.phases.flatMap((p) => p.instrs.map((i) => i.op))));
  assert.equal([...seen].sort(), [...Object.keys(OTHER_OPS), ...POINTWISE_OPS].sort());
  assert.equal(new Set(cases.map((c) => c.lanes)), new Set([1, 7, 16, 40]));
});

test("cases without several panels need at most 16 lanes", () => {
  assert.ok(conformanceCases().every((c) => c.lanes <= 16));
});

test("the oracle passes every case and gives its memory back", async () => {
  const backend = createOracleBackend({ maxLanes: 48 });
  for (const c of conformanceCases({ maxLanes: 48 })) await compareWithOracle(backend, c);
  assert.is(backend.memory().liveBuffers, 0);
});

test("results that are right to f32 precision pass every case", async () => {
  const backend = f32Backend();
  for (const c of conformanceCases({ maxLanes: 48 })) await compareWithOracle(backend, c);
});

test("every case fails on a backend with one wrong element in each result", async () => {
  // The last element: where remainders and padding go wrong.
  const backend = f32Backend((data) => {
    data[data.length - 1] = data.at(-1)! * 1.001 + 0.0123;
  });
  for (const c of conformanceCases()) await assertFails(backend, c);
});

test("every case fails on a backend that leaves one element as it was before the run", async () => {
  const backend = f32Backend((data) => {
    data[0] = Number.NaN;
  });
  for (const c of conformanceCases()) await assertFails(backend, c);
});

test("a case gives the same bits twice, and inputs do not depend on the backend", async () => {
  for (const c of conformanceCases().filter((_, k) => k % 10 === 0)) {
    const [a, b] = [await runCase(createOracleBackend(), c), await runCase(createOracleBackend({ maxLanes: 64 }), c)];
    assert.equal(a, b, c.name);
  }
});

/** Not just any failure: the comparator's. */
async function assertFails(backend: Backend, c: ConformanceCase): Promise<void> {
  const message = await compareWithOracle(backend, c).then(
    () => "passed although damaged",
    (error: Error) => error.message,
  );
  assert.match(message, "elements differ", c.name);
}

test.run();
