// Products that gather a copy in half precision: what is rounded, and nothing else.

import * as assert from "uvu/assert";
import { lanesOf } from "../../src/backend/layout.ts";
import type { Guard, PanelLayout, Program, Purpose } from "../../src/backend/program.ts";
import { createBackend } from "../../src/backend/select.ts";
import { createWebGpuBackend, type WebGpuBackend } from "../../src/backend/webgpu/backend.ts";
import { planOf } from "../../src/backend/webgpu/plan.ts";
import { type Csr, csrFromCoo } from "../../src/core/csr.ts";
import { ArgumentError } from "../../src/core/errors.ts";
import { keyOfSeed, RandomStream } from "../../src/core/random.ts";
import { assertBitEqual } from "../support/close.ts";
import { HALF_EDGES, halved } from "../support/half.ts";
import { randomSparse } from "../support/matrices.ts";
import { ProgramBuilder } from "../support/programBuilder.ts";
import { matrixOfLengths } from "../support/rowLengths.ts";
import { requireTestAdapter } from "../support/softwareAdapter.ts";
import { suite } from "../support/suite.ts";

/** y = W·gathered + own and, by a second product, z = W·gathered; `gathered` and `own` are one state or two. */
function twoProducts(csr: Csr, isOneState: boolean): Program {
  const rows = csr.nCols;
  const b = new ProgramBuilder("two products");
  const w = b.input("w", "sparse", { rows: csr.nRows, cols: rows });
  const gathered = b.input("gathered", "state", { rows });
  const own = isOneState ? gathered : b.input("own", "state", { rows });
  const y = b.output("y", "state", { rows: csr.nRows });
  const z = b.output("z", "state", { rows: csr.nRows });
  // `own` has as many rows as the result only where W is square.
  const isSquare = csr.nRows === rows;
  return b
    .phase(csr.nRows, (p) => {
      const product = p.matmul(w, gathered);
      p.store(y, isSquare ? p.op("add", product, p.load(own)) : product);
      p.store(z, p.matmul(w, gathered));
    })
    .build();
}

interface Products {
  readonly y: Float32Array;
  readonly z: Float32Array;
}

async function run(
  backend: WebGpuBackend,
  csr: Csr,
  layout: PanelLayout,
  states: { readonly gathered: Float32Array; readonly own?: Float32Array },
  isTaken?: ArrayLike<number>,
): Promise<Products> {
  const program = twoProducts(csr, !states.own);
  const whole = backend.sparse("w", csr);
  const w = isTaken ? backend.sparseRows(whole, isTaken)! : whole;
  const results = {
    y: backend.buffer("y", csr.nRows * lanesOf(layout)),
    z: backend.buffer("z", csr.nRows * lanesOf(layout)),
  };
  const given = Object.fromEntries(
    Object.entries(states).map(([name, numbers]) => {
      const buffer = backend.buffer(name, numbers.length);
      backend.upload(buffer, numbers);
      return [name, buffer];
    }),
  );
  backend.run(backend.bind(backend.compile(program, layout), { w, ...given, ...results }));
  const [y, z] = await backend.downloadAll([results.y, results.z]);
  for (const buffer of [...Object.values(given), ...Object.values(results)]) buffer.release();
  return { y: y as Float32Array, z: z as Float32Array };
}

/** Numbers of every size that half precision has, and zeros. */
function numbers(length: number, seed: number): Float32Array {
  const stream = new RandomStream(keyOfSeed(seed));
  return Float32Array.from({ length }, (_, k) => (k % 11 === 0 ? 0 : stream.normal() * 10 ** (3 - (k % 9))));
}

function identity(n: number): Csr {
  const rows = Uint32Array.from({ length: n }, (_, k) => k);
  return csrFromCoo({ nRows: n, nCols: n, rows, cols: rows, values: new Float32Array(n).fill(1) });
}

/** Kernels of the plan, in order. */
function kernelsOf(program: Program): readonly string[] {
  return planOf(program, "f16").dispatches.map(({ kernel }) => kernel);
}

const adapter = await requireTestAdapter();
const plans = suite("plans with copies in half precision");

function withFacts(program: Program, facts: { readonly purpose?: Purpose; readonly guard?: Guard }): Program {
  return { ...program, ...facts };
}

plans("a state that several products gather is copied once, and not at all for f32", () => {
  const program = twoProducts(randomSparse(12, 12, 0.3).csr, true);
  assert.equal(
    kernelsOf(program).filter((kernel) => kernel === "pack" || kernel === "spmm"),
    ["pack", "spmm", "spmm"],
  );
  assert.not(planOf(program, "f32").dispatches.some(({ kernel }) => kernel === "pack"));
  assert.is(planOf(program, "f32").halves.size, 0);
});

plans("a state that changed is copied again", () => {
  const b = new ProgramBuilder("changes");
  const w = b.input("w", "sparse", { rows: 9, cols: 9 });
  const x = b.inout("x", "state", { rows: 9 });
  for (const _ of [0, 1]) b.phase(9, (p) => p.store(x, p.op("add", p.matmul(w, x), p.load(x))));
  assert.equal(kernelsOf(b.build()).filter((kernel) => kernel === "pack").length, 2);
});

plans("a temporary that is written again is copied again, another one that is written leaves the copy", () => {
  const b = new ProgramBuilder("temporaries");
  const w = b.input("w", "sparse", { rows: 9, cols: 9 });
  const x = b.input("x", "state", { rows: 9 });
  const first = b.temp("first", "state", 9, 0, 4);
  const second = b.temp("second", "state", 9, 1, 4);
  const y = b.output("y", "state", { rows: 9 });
  b.phase(9, (p) => p.store(first, p.op("tanh", p.load(x))))
    .phase(9, (p) => p.store(second, p.matmul(w, first)))
    .phase(9, (p) => p.store(second, p.op("add", p.load(second), p.matmul(w, first))))
    .phase(9, (p) => p.store(first, p.load(second)))
    .phase(9, (p) => p.store(y, p.matmul(w, first)));
  assert.equal(kernelsOf(b.build()), ["map", "pack", "spmm", "spmm", "map", "pack", "spmm"]);
});

plans("a copy has the guard of its product, and serves no product without it", () => {
  const b = new ProgramBuilder("guarded");
  const running = b.input("running", "scalar");
  const w = b.input("w", "sparse", { rows: 9, cols: 9 });
  const one = b.input("one", "sparse", { rows: 1, cols: 9 });
  const x = b.input("x", "state", { rows: 9 });
  const y = b.temp("y", "state", 9, 0, 1);
  const z = b.output("z", "state", { rows: 1 });
  b.phase(9, (p) => p.store(y, p.matmul(w, x))).phase(1, (p) => p.store(z, p.matmul(one, x)));
  const guard: Guard = { scalars: [running], skips: "states" };
  const guards = planOf(withFacts(b.build(), { guard }), "f16").dispatches.map(({ kernel, guards }) => [
    kernel,
    guards.length,
  ]);
  assert.equal(guards, [
    ["pack", 1],
    ["spmm", 1],
    ["pack", 0],
    ["spmm", 0],
  ]);
});

plans("reverse products, products with dense matrices and reverse programs gather f32", () => {
  const b = new ProgramBuilder("reverse");
  const w = b.input("w", "sparse", { rows: 9, cols: 9 });
  const dense = b.input("dense", "dense", { rows: 9, cols: 9 });
  const x = b.input("x", "state", { rows: 9 });
  const y = b.output("y", "state", { rows: 9 });
  const grad = b.inout("grad", "nnz", { rows: 20 });
  b.phase(9, (p) => {
    p.store(y, p.push({ op: "matmulT", matrix: w, g: x, needCt: true, grad: { x: p.load(x), binding: grad } }));
  })
    .phase(9, (p) => p.store(y, p.push({ op: "matmulT", matrix: w, g: x, needCt: true })))
    .phase(9, (p) => p.store(y, p.matmul(dense, x)));
  assert.not(kernelsOf(b.build()).includes("pack"));
  const forward = twoProducts(randomSparse(12, 12, 0.3).csr, true);
  assert.ok(kernelsOf(withFacts(forward, { purpose: "readout" })).includes("pack"));
  assert.not(kernelsOf(withFacts(forward, { purpose: "reverse" })).includes("pack"));
});

plans("the CPU refuses f16 gathers by name, and every device a precision that there is not", async () => {
  for (const [selection, named, expected] of [
    [{ device: "wasm", gather: "f16" }, "gather", /it dropped, or device "webgpu" and f32/],
    [{ dtype: "f64", gather: "f16" }, "gather", /it dropped, or device "webgpu" and f32/],
    [{ device: "wasm", gather: "f8" }, "gather", /"f32", "f16"/],
  ] as const) {
    try {
      await (await createBackend(selection as never)).dispose();
      assert.unreachable();
    } catch (error) {
      assert.instance(error, ArgumentError);
      assert.is((error as ArgumentError).facts.argument, named);
      assert.match(String((error as ArgumentError).facts.expected), expected);
    }
  }
  await (await createBackend({ device: "wasm", gather: "f32" })).dispose();
});

plans.run();

if (adapter) {
  const test = suite<{ half: WebGpuBackend; single: WebGpuBackend }>(
    "products that gather half precision",
    {} as never,
  );
  const layouts: readonly PanelLayout[] = [
    { panel: 4, panels: 1 },
    { panel: 8, panels: 1 },
    { panel: 16, panels: 1 },
    { panel: 16, panels: 5 },
  ];
  test.before(async (context) => {
    context.half = await createWebGpuBackend({ gather: "f16" });
    context.single = await createWebGpuBackend();
  });
  test.after(async ({ half, single }) => {
    await half.dispose();
    await single.dispose();
  });

  test("every number is rounded to the nearest, ties to even; too large ones become infinite, NaN stays NaN", async ({
    half,
  }) => {
    const layout: PanelLayout = { panel: 16, panels: 2 };
    const n = 3 * HALF_EDGES.length;
    const x = numbers(n * lanesOf(layout), 3);
    // Every edge in every lane of a panel.
    HALF_EDGES.forEach((edge, k) => {
      for (let lane = 0; lane < 16; lane++) x[(k * 3 + (lane % 3)) * 16 + lane] = edge;
    });
    const { z } = await run(half, identity(n), layout, { gathered: x });
    x.forEach((value, k) => {
      const expected = halved(value);
      const isSame = z[k] === expected || (Number.isNaN(z[k]) && Number.isNaN(expected));
      assert.ok(isSame, `${value} became ${z[k]}, not ${expected}`);
    });
  });

  test("a product has the bits of one in f32 whose gathered states were rounded before, whatever the width", async ({
    half,
    single,
  }) => {
    for (const csr of [matrixOfLengths(), randomSparse(150, 150, 0.05).csr, randomSparse(1, 1, 1).csr]) {
      for (const layout of layouts) {
        const own = numbers(csr.nCols * lanesOf(layout), 5);
        const got = await run(half, csr, layout, { gathered: own });
        const expected = await run(single, csr, layout, { gathered: own.map(halved), own });
        const what = `${csr.nRows} × ${csr.nCols}, ${layout.panels} panels of ${layout.panel}`;
        assertBitEqual(got.y, expected.y, `y, ${what}`);
        assertBitEqual(got.z, expected.z, `z, ${what}`);
      }
    }
  });

  test("marked rows give what they give in the whole product, the others 0", async ({ half }) => {
    const { csr } = randomSparse(150, 150, 0.05);
    const layout = layouts[3]!;
    const gathered = numbers(csr.nCols * lanesOf(layout), 6);
    const isTaken = Uint8Array.from({ length: csr.nRows }, (_, row) => (row % 3 === 0 ? 1 : 0));
    const whole = await run(half, csr, layout, { gathered });
    const part = await run(half, csr, layout, { gathered }, isTaken);
    const rowOf = (at: number): number => Math.floor(at / layout.panel) % csr.nRows;
    assertBitEqual(
      part.z,
      whole.z.map((z, at) => (isTaken[rowOf(at)] ? z : 0)),
      "z",
    );
  });

  test("the copies of all programs share memory, which the books have, and a run makes nothing", async () => {
    const [half, single] = [await createWebGpuBackend({ gather: "f16" }), await createWebGpuBackend()];
    const layout = layouts[3]!;
    const { csr } = randomSparse(151, 151, 0.05);
    const bytesOf = (backend: WebGpuBackend): number => {
      const before = backend.memory().bytes;
      backend.compile(twoProducts(csr, true), layout);
      backend.compile(twoProducts(csr, true), layout);
      return backend.memory().bytes - before;
    };
    // Rows go in pairs: 151 take as much as 152.
    assert.is(bytesOf(half) - bytesOf(single), 76 * lanesOf(layout) * 4);
    assert.match(half.description, /gathers f16/);
    const w = half.sparse("w", csr);
    const buffer = (name: string) => half.buffer(name, csr.nCols * lanesOf(layout));
    const buffers = { gathered: buffer("gathered"), y: buffer("y"), z: buffer("z") };
    const bound = half.bind(half.compile(twoProducts(csr, true), layout), { w, ...buffers });
    half.run(bound);
    await half.finish();
    const { dispatches: _, submits: __, ...before } = half.counts();
    for (let k = 0; k < 5; k++) half.run(bound);
    await half.finish();
    const { buffers: made, pipelines, bindGroups, liveBuffers } = half.counts();
    assert.equal(
      { made, pipelines, bindGroups, liveBuffers },
      {
        made: before.buffers,
        pipelines: before.pipelines,
        bindGroups: before.bindGroups,
        liveBuffers: before.liveBuffers,
      },
    );
    await half.dispose();
    await single.dispose();
  });

  test("a precision that there is not is refused", async () => {
    try {
      await createWebGpuBackend({ gather: "f64" as never });
      assert.unreachable();
    } catch (error) {
      assert.instance(error, ArgumentError);
      assert.match((error as Error).message, /gather/);
    }
  });

  test.run();
}
