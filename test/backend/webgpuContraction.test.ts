// WGSL lets a compiler compute a·b + c with one rounding or two. So a shader must add nothing to a product that is not rounded: programs with
// equal formulas then have equal bits, on devices that contract, too.

import * as assert from "uvu/assert";
import { Graph } from "../../src/autodiff/graph.ts";
import { lower } from "../../src/autodiff/lower.ts";
import type { Program } from "../../src/backend/program.ts";
import { createWebGpuBackend } from "../../src/backend/webgpu/backend.ts";
import { printShaders } from "../../src/backend/webgpu/printShaders.ts";
import { rateDynamics } from "../../src/models/rateDynamics.ts";
import { programsIn, solverPrograms } from "../../src/ode/programs.ts";
import { dopri5 } from "../../src/ode/tableaus/index.ts";
import type { Value } from "../../src/ops/value.ts";
import { INTEGRAL, normals } from "../ode/harness.ts";
import { assertBitEqual } from "../support/close.ts";
import { contracted, openSums, unrounded, withShaders } from "../support/contraction.ts";
import { requireTestAdapter } from "../support/softwareAdapter.ts";
import { suite } from "../support/suite.ts";

const adapter = await requireTestAdapter();
const test = suite("webgpu, contraction");
const LAYOUT = { panel: 8, panels: 2 } as const;
const ROWS = 300;

function shadersOf(program: Program): string[] {
  return printShaders(program, LAYOUT, { subgroups: true, gather: "f32" }).dispatches.map(({ wgsl }) => wgsl);
}

/** One store per sum of vectors of ROWS numbers. */
function sums(of: (g: Graph) => readonly Parameters<Graph["store"]>[1][]): Program {
  const g = new Graph();
  of(g).forEach((value, k) => {
    g.store(`out${k}`, value);
  });
  return lower(g, "sums", "forward");
}

test("a product in a sum is rounded, on whichever side, and whatever its sign", () => {
  const printed = shadersOf(
    sums((g) => {
      const { ops } = g;
      const [a, b, c, d] = ["a", "b", "c", "d"].map((name) => g.row(name, ROWS));
      const product = (): Value => ops.mul(a!, ops.add(b!, d!));
      return [
        ops.add(product(), c!),
        ops.sub(c!, product()),
        ops.add(ops.mul(a!, b!), ops.mul(c!, d!)),
        ops.sub(ops.neg(ops.mul(b!, d!)), c!),
        ops.sub(ops.select(c!, ops.neg(ops.mul(b!, c!)), d!), c!),
        ops.add(ops.div(a!, b!), c!),
        ops.add(ops.exp(a!), c!),
      ];
    }),
  ).join("\n");
  assert.equal(openSums(printed), []);
  assert.ok(printed.includes("= rounded(expOf("), printed);
  assert.ok(printed.match(/= rounded\(v\d+ \/ v\d+\)/));
  assert.is(printed.match(/= rounded\(v\d+ \* v\d+\)/g)?.length, 5, printed);
});

test("what is only multiplied or stored is not rounded", () => {
  const printed = shadersOf(
    sums((g) => {
      const [a, b, c] = ["a", "b", "c"].map((name) => g.row(name, ROWS));
      return [g.ops.mul(g.ops.mul(a!, b!), c!), g.ops.add(a!, b!)];
    }),
  ).join("\n");
  assert.not.match(printed, /rounded/);
});

test("programs of a solver and of an optimiser leave no choice", () => {
  const system = rateDynamics({
    ...{ nNeurons: ROWS, nnz: 900, nonlinearities: ["ReLU"] },
    ...{ signed: false, bias: true, steps: 1 },
  });
  const wrt = { wrt: ["hh", "tau", "bias", "drive"], throughStepSizeControl: true };
  const all = solverPrograms(system, { tableau: dopri5, controller: INTEGRAL, maxSteps: 100 }, true, wrt);
  const shaders = [...programsIn(all), ...programsIn(all.reverse!)].flatMap(shadersOf);
  assert.ok(shaders.some((wgsl) => wgsl.includes("= rounded(")));
  for (const wgsl of shaders) assert.equal(openSums(wgsl), []);
});

test("a product that is accumulated or reduced is rounded, too", () => {
  for (const rows of [1, ROWS]) {
    const g = new Graph();
    const { ops } = g;
    const [x, y] = [g.state("x", rows), g.state("y", rows)];
    g.store("sum", ops.mul(g.row("a", rows), g.row("b", rows)), { accumulate: true });
    g.store("overLanes", ops.reduceLanes(ops.mul(x, y)));
    g.store("overRows", ops.reduceRows(ops.mul(ops.exp(x), y)));
    const printed = shadersOf(lower(g, "accumulate", "forward")).join("\n");
    assert.is(printed.match(/= rounded\(v\d+ \* v\d+\)/g)?.length, 3, printed);
    assert.equal(openSums(printed), []);
    assert.ok(openSums(unrounded(printed)).length >= 3, unrounded(printed));
  }
});

test("a sum that a compiler may contract is found", () => {
  const product = "fn body() {\n  let v2 = v0 * v1;\n";
  for (const sum of ["let v3 = v2 + v0;", "let v3 = v0 - v2;", "write0(4u + at, read0(4u + at) + v2);"]) {
    assert.equal(openSums(`${product}  ${sum}\n}`), [sum]);
  }
  for (const taken of ["lanesValue0 = v2;", "rowsValue1 = v2;"])
    assert.equal(openSums(`${product}  ${taken}\n}`), [taken]);
  for (const value of ["v0 / v1", "tanhOf(v0)"])
    assert.equal(openSums(`fn body() {\n  let v2 = ${value};\n  let v3 = v2 + v0;\n}`), ["let v3 = v2 + v0;"]);
  assert.equal(openSums("fn body() {\n  let v2 = rounded(v0 * v1);\n  let v3 = v2 + v0;\n}"), []);
  const negative = "  let v3 = -v2;\n  let v4 = v0 + v3;\n}";
  assert.equal(openSums(product + negative), ["let v4 = v0 + v3;"]);
  assert.equal(openSums(`${product}  let v3 = v0 + v1;\n  let v4 = v2 * v3;\n}`), []);
});

if (adapter !== null) {
  /** a·b + c·d, or (a·b + 0) + c·d with a 0 that the compiler does not know. */
  const run = async (rewrite: (wgsl: string) => string, withZero: boolean): Promise<ArrayLike<number>> => {
    const work = async (): Promise<ArrayLike<number>> => {
      const backend = await createWebGpuBackend();
      const g = new Graph();
      const { ops } = g;
      const [a, b, c, d] = ["a", "b", "c", "d"].map((name) => g.row(name, ROWS)) as [Value, Value, Value, Value];
      const first = withZero ? ops.add(ops.mul(a, b), g.row("zero", ROWS)) : ops.mul(a, b);
      g.store("out", ops.add(first, ops.mul(c, d)));
      const program = lower(g, "sum", "forward");
      const buffers = Object.fromEntries(program.bindings.map(({ name }) => [name, backend.buffer(name, ROWS)]));
      for (const name of ["a", "b", "c", "d"]) backend.upload(buffers[name]!, normals(name, ROWS));
      backend.run(backend.bind(backend.compile(program, LAYOUT), buffers));
      const out = await backend.download(buffers.out!);
      await backend.dispose();
      return out;
    };
    return withShaders(rewrite, work);
  };

  test("on a device that contracts, a term of 0 changes no bit; it would, were products not rounded", async () => {
    const expected = await run((wgsl) => wgsl, false);
    for (const withZero of [false, true]) assertBitEqual(await run(contracted, withZero), expected, `${withZero}`);
    const open = (wgsl: string): string => contracted(unrounded(wgsl));
    const [without, withZero] = [await run(open, false), await run(open, true)];
    assert.throws(() => assertBitEqual(withZero, without, "not rounded"), /differ/);
  });
}

test.run();
