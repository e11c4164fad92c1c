// WGSL lets a compiler compute a·b + c with one rounding or two. So shaders must leave it no sum with a product.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Graph } from "../../src/autodiff/graph.ts";
import { lower } from "../../src/autodiff/lower.ts";
import type { Program } from "../../src/backend/program.ts";
import { printShaders } from "../../src/backend/webgpu/printShaders.ts";
import { rateDynamics } from "../../src/models/rateDynamics.ts";
import { programsIn, solverPrograms } from "../../src/ode/programs.ts";
import { dopri5 } from "../../src/ode/tableaus/index.ts";
import { INTEGRAL } from "../ode/harness.ts";

const test = suite("webgpu, contraction");
const LAYOUT = { panel: 8, panels: 2 } as const;
const ROWS = 300;

function shadersOf(program: Program): string[] {
  return printShaders(program, LAYOUT, { subgroups: true, gather: "f32" }).dispatches.map(({ wgsl }) => wgsl);
}

/** The printed sums that have a product, or the negative of one, as an operand: those that a compiler may contract or not. */
function openSums(wgsl: string): string[] {
  const found: string[] = [];
  let products = new Set<string>();
  for (const line of wgsl.split("\n")) {
    // Values are numbered by function.
    if (line.startsWith("fn ")) products = new Set();
    const [, name, value] = /^\s*let (v\d+) = (.*);$/.exec(line) ?? [];
    const isProduct =
      value !== undefined && (/^v\d+ \* v\d+$/.test(value) || products.has(/^-(v\d+)$/.exec(value)?.[1] ?? ""));
    if (isProduct) products.add(name!);
    const operands = /[\w)] [+-] /.test(value ?? line)
      ? (value ?? line).matchAll(/(?:^|[+-] )(v\d+)\b(?=$| [+-]|\.x|\))/g)
      : [];
    if ([...operands].some(([, operand]) => products.has(operand!))) found.push(line.trim());
  }
  return found;
}

/** One store per sum of vectors of ROWS numbers. */
function sums(of: (g: Graph) => readonly Parameters<Graph["store"]>[1][]): Program {
  const g = new Graph();
  of(g).forEach((value, k) => {
    g.store(`out${k}`, value);
  });
  return lower(g, "sums", "forward");
}

test("a sum with a product is one fma, whichever side the product is on, and whatever its sign", () => {
  const printed = shadersOf(
    sums((g) => {
      const { ops } = g;
      const [a, b, c, d] = ["a", "b", "c", "d"].map((name) => g.row(name, ROWS));
      const [ab, cd] = [ops.mul(a!, b!), ops.mul(c!, d!)];
      return [
        ops.add(ab, c!),
        ops.add(c!, ab),
        ops.sub(ab, c!),
        ops.sub(c!, ab),
        ops.add(ab, cd),
        ops.sub(ab, cd),
        ops.sub(ops.neg(ab), c!),
        ops.sub(ops.select(c!, ops.neg(ab), d!), c!),
      ];
    }),
  ).join("\n");
  const signs = [...printed.matchAll(/= fma\((-?)v\d+, v\d+, (-?)v\d+\)/g)].map(([, a, c]) => `${a}ab ${c}c`);
  assert.equal(signs, ["ab c", "ab c", "ab -c", "-ab c", "ab c", "ab -c", "-ab -c"], printed);
  assert.equal(openSums(printed), []);
});

test("programs of a solver and of an optimiser leave no choice", () => {
  const system = rateDynamics({
    ...{ nNeurons: ROWS, nnz: 900, nonlinearities: ["ReLU"] },
    ...{ signed: false, bias: true, steps: 1 },
  });
  const wrt = { wrt: ["hh", "tau", "bias", "drive"], throughStepSizeControl: true };
  const all = solverPrograms(system, { tableau: dopri5, controller: INTEGRAL, maxSteps: 100 }, true, wrt);
  const shaders = [...programsIn(all), ...programsIn(all.reverse!)].flatMap(shadersOf);
  assert.ok(shaders.some((wgsl) => wgsl.includes("= fma(")));
  for (const wgsl of shaders) assert.equal(openSums(wgsl), []);
});

test("an accumulating store of a product is one fma, too", () => {
  for (const rows of [1, ROWS]) {
    const g = new Graph();
    const { ops } = g;
    g.store("sum", ops.mul(g.row("a", rows), g.row("b", rows)), { accumulate: true });
    const printed = shadersOf(lower(g, "accumulate", "forward")).join("\n");
    assert.match(printed, /fma\(v\d+(\.x)?, v\d+(\.x)?, (read0|bitcast)/);
    assert.equal(openSums(printed), []);
  }
});

test("a sum that a compiler may contract is found", () => {
  const product = "fn body() {\n  let v2 = v0 * v1;\n";
  for (const sum of ["let v3 = v2 + v0;", "let v3 = v0 - v2;", "write0(4u + at, read0(4u + at) + v2);"]) {
    assert.equal(openSums(`${product}  ${sum}\n}`), [sum]);
  }
  const negative = "  let v3 = -v2;\n  let v4 = v0 + v3;\n}";
  assert.equal(openSums(product + negative), ["let v4 = v0 + v3;"]);
  assert.equal(openSums(`${product}  let v3 = v0 + v1;\n  let v4 = v2 * v3;\n}`), []);
});

test.run();
