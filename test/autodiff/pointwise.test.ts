// The VJP of every pointwise op: against central differences where it is smooth, against the stated convention where it is not,
// and its sums over what was broadcast.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Graph } from "../../src/autodiff/graph.ts";
import { type GradTarget, reverseGraph } from "../../src/autodiff/vjp.ts";
import type { Backend } from "../../src/backend/backend.ts";
import { KERNEL_OPS, POINTWISE_CODE, POINTWISE_OPS } from "../../src/backend/pointwise.ts";
import type { Kind, PointwiseOp } from "../../src/backend/program.ts";
import { deriveKey, keyOfSeed, RandomStream } from "../../src/core/random.ts";
import { POINTWISE } from "../../src/ops/pointwise.ts";
import type { Value } from "../../src/ops/value.ts";
import type { Ops } from "../../src/ops/vocabulary.ts";
import { forEachBackend } from "../support/backends.ts";
import { assertGradient, type Point } from "../support/gradcheck.ts";
import { LANES, runGraph } from "../support/graphs.ts";
import { DEFAULT_SEED } from "../support/matrices.ts";
import { BOUNDED_OPS, DRAWS, type Draw, POINTWISE_TESTS } from "../support/pointwise.ts";
import { repositoryRoot } from "../support/shared.ts";

const ROWS = 5;
const LENGTHS: Readonly<Record<Kind, number>> = { state: ROWS * LANES, row: ROWS, sample: LANES, scalar: 1 };

/** A function of named leaves of the given kinds. */
interface Formula {
  readonly leaves: Readonly<Record<string, Kind>>;
  readonly build: (ops: Ops, leaves: Readonly<Record<string, Value>>) => Value;
}

function graphOf({ leaves, build }: Formula): { graph: Graph; value: Value } {
  const graph = new Graph();
  const made = Object.entries(leaves).map(([name, kind]) => {
    return [name, graph.leaf(name, kind, kind === "state" || kind === "row" ? ROWS : 1)] as const;
  });
  return { graph, value: build(graph.ops, Object.fromEntries(made)) };
}

/** Σ ct·value. */
async function evaluate(backend: Backend, formula: Formula, point: Point, ct: ArrayLike<number>): Promise<number> {
  const { graph, value } = graphOf(formula);
  graph.store("y", value);
  const { y } = await runGraph(backend, graph, point);
  return dot(y!, ct);
}

function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

/** The gradient of Σ ct·value by reverse mode; every leaf's. */
async function gradientOf(backend: Backend, formula: Formula, point: Point, ct: ArrayLike<number>): Promise<Point> {
  const { graph, value } = graphOf(formula);
  const names = Object.keys(formula.leaves);
  const wrt = new Map(
    names.map((name): [string, GradTarget] => [name, { binding: `grad.${name}`, accumulate: false }]),
  );
  const { graph: reverse, saves } = reverseGraph(graph, new Map([[value, "ct"]]), wrt);
  assert.is(saves.size, 0, "pointwise values are recomputed, not saved");
  const results = await runGraph(backend, reverse, { ...point, ct });
  return Object.fromEntries(names.map((name) => [name, results[`grad.${name}`]!]));
}

function draw(label: string, leaves: Formula["leaves"], domains: readonly Draw[] = []): Point {
  const stream = new RandomStream(deriveKey(keyOfSeed(DEFAULT_SEED), label));
  return Object.fromEntries(
    Object.entries(leaves).map(([name, kind], i) => [
      name,
      Float64Array.from({ length: LENGTHS[kind] }, () => DRAWS[domains[i] ?? "any"](stream)),
    ]),
  );
}

async function check(backend: Backend, label: string, formula: Formula, domains?: readonly Draw[]): Promise<void> {
  const point = draw(label, formula.leaves, domains);
  const { value } = graphOf(formula);
  const { ct } = draw(`${label} ct`, { ct: value.kind });
  const gradient = await gradientOf(backend, formula, point, ct!);
  await assertGradient(label, (p) => evaluate(backend, formula, p, ct!), point, gradient);
}

/** One op applied to leaves a, b, … of the given kinds. */
function single(fn: PointwiseOp, kinds: readonly Kind[]): Formula {
  const names = ["a", "b", "c"].slice(0, kinds.length);
  return {
    leaves: Object.fromEntries(names.map((name, i) => [name, kinds[i]!])),
    build: (ops, leaves) => {
      const args = names.map((name) => leaves[name]!);
      return (ops[fn] as (...operands: Value[]) => Value)(...args);
    },
  };
}

const tables = suite("pointwise table");

tables("the graph has a method for every op, and the tests' formulas have as many operands", () => {
  const { ops } = new Graph();
  for (const op of POINTWISE_OPS) {
    assert.type(ops[op], "function", op);
    assert.is(POINTWISE_CODE[op].arity, POINTWISE_TESTS[op].f.length, op);
  }
});

tables("an op without a VJP is declared constant, and no other", () => {
  for (const op of POINTWISE_OPS) {
    const { isConstant = false } = POINTWISE_TESTS[op];
    assert.is(POINTWISE[op].vjp === null, isConstant, `${op}: its VJP in src/ops/pointwise.ts against isConstant`);
  }
});

tables("every kernel has error bounds; those of pow depend on both operands and have tests of their own", () => {
  const bounded: readonly PointwiseOp[] = BOUNDED_OPS;
  assert.equal(
    KERNEL_OPS.filter((op) => !bounded.includes(op)),
    ["pow"],
  );
});

/** The functions that an op calls in WGSL and `source` lacks. */
function missingInWgsl(op: PointwiseOp, source: string): string[] {
  const called = POINTWISE_CODE[op].wgsl("a", "b", "c").matchAll(/(\w+Of)\(/g);
  return Array.from(called, ([, name]) => name!).filter((name) => !source.includes(`fn ${name}(`));
}

tables("every function that an op calls in WGSL is in kernels/shared/math.wgsl", () => {
  const source = readFileSync(join(repositoryRoot(), "kernels/shared/math.wgsl"), "utf8");
  assert.equal(
    POINTWISE_OPS.flatMap((op) => missingInWgsl(op, source)),
    [],
  );
  assert.equal(missingInWgsl("tanh", source.replace("fn tanhOf(", "fn tanOf(")), ["tanhOf"]);
});

tables.run();

forEachBackend("vjp of pointwise ops", ["f64"], (test) => {
  for (const fn of POINTWISE_OPS) {
    if (POINTWISE[fn].vjp === null || fn === "select") continue;
    const { f, domain } = POINTWISE_TESTS[fn];
    test(`${fn} agrees with central differences`, ({ backend }) => {
      return check(backend, fn, single(fn, new Array<Kind>(f.length).fill("state")), domain);
    });
  }

  const pairs: readonly (readonly [Kind, Kind])[] = [
    ["state", "row"],
    ["state", "sample"],
    ["state", "scalar"],
    ["row", "sample"],
    ["row", "scalar"],
    ["sample", "scalar"],
  ];
  for (const kinds of pairs) {
    for (const fn of ["add", "sub", "mul", "div"] as const) {
      for (const order of [kinds, [kinds[1], kinds[0]] as const]) {
        test(`${fn} of ${order.join(" and ")} sums the cotangent over what was broadcast`, ({ backend }) => {
          return check(backend, `${fn} ${order.join(" ")}`, single(fn, order), ["awayFrom0", "awayFrom0"]);
        });
      }
    }
  }

  test("select passes the cotangent to the branch that was taken, also when the other one is not a number", async ({
    backend,
  }) => {
    const formula: Formula = {
      leaves: { a: "state", b: "row" },
      build: (ops, { a, b }) => ops.select(ops.lt(0, a!), ops.mul(a!, b!), ops.add(ops.div(1, ops.sub(b!, b!)), a!)),
    };
    const a = Float64Array.from({ length: LENGTHS.state }, (_, i) => i + 1);
    const ct = new Float64Array(LENGTHS.state).fill(1);
    const gradient = await gradientOf(backend, formula, { a, b: [1, 2, 3, 4, 5] }, ct);
    assert.equal(
      Array.from(gradient.a!),
      Array.from(a, (_, i) => 1 + Math.floor(i / LANES)),
    );
  });

  for (const exponent of [-9, -8, -3, -2, -1, 1, 2, 3, 7, 8, 9, 12]) {
    test(`a constant exponent of ${exponent} takes bases of both signs`, ({ backend }) => {
      const formula: Formula = { leaves: { a: "state" }, build: (ops, { a }) => ops.pow(a!, exponent) };
      return check(backend, `pow ${exponent}`, formula, ["awayFrom0"]);
    });
  }

  test("a constant exponent of 0 gives 1 with slope 0, also for 0", async ({ backend }) => {
    const formula: Formula = { leaves: { a: "state" }, build: (ops, { a }) => ops.pow(a!, 0) };
    const a = Float64Array.from({ length: LENGTHS.state }, (_, i) => i - 7);
    const ct = new Float64Array(LENGTHS.state).fill(1);
    assert.is(await evaluate(backend, formula, { a }, ct), LENGTHS.state);
    assert.equal(Array.from((await gradientOf(backend, formula, { a }, ct)).a!), new Array(LENGTHS.state).fill(0));
  });

  test("a computed whole exponent takes bases of both signs", ({ backend }) => {
    const build: Formula["build"] = (ops, { a, b }) => ops.pow(a!, ops.floor(b!));
    return check(backend, "pow floor", { leaves: { a: "state", b: "row" }, build }, ["awayFrom0", "any"]);
  });

  test("a value that is used several times gets the sum of its cotangents", ({ backend }) => {
    return check(backend, "fan-out", {
      leaves: { a: "state", b: "row" },
      build: (ops, { a, b }) =>
        ops.mul(ops.tanh(ops.mul(a!, b!)), ops.add(ops.sigmoid(ops.mul(a!, b!)), ops.mul(a!, a!))),
    });
  });
});

forEachBackend("slopes at kinks", ["f64", "f32"], (test) => {
  const conventions = POINTWISE_OPS.flatMap((fn) => (POINTWISE_TESTS[fn].slopes ?? []).map((s) => ({ fn, ...s })));
  for (const { name, fn, at, slopes } of conventions) {
    test(name, async ({ backend }) => {
      const formula = single(fn, new Array<Kind>(at.length).fill("state"));
      const leaves = Object.keys(formula.leaves);
      const point = Object.fromEntries(leaves.map((leaf, i) => [leaf, new Float64Array(LENGTHS.state).fill(at[i]!)]));
      const gradient = await gradientOf(backend, formula, point, new Float64Array(LENGTHS.state).fill(1));
      assert.equal(
        leaves.map((leaf) => gradient[leaf]![0]),
        slopes,
      );
    });
  }

  test("a clamp by comparisons has slope 1 at its bounds and 0 beyond", async ({ backend }) => {
    const formula: Formula = {
      leaves: { a: "state" },
      build: (ops, { a }) => ops.select(ops.lt(a!, -1), -1, ops.select(ops.lt(1, a!), 1, a!)),
    };
    const a = Float64Array.from({ length: LENGTHS.state }, (_, i) => [-2, -1, 0, 1, 2][i % 5]!);
    const gradient = await gradientOf(backend, formula, { a }, new Float64Array(LENGTHS.state).fill(1));
    assert.equal(Array.from(gradient.a!).slice(0, 5), [0, 1, 1, 1, 0]);
  });

  for (const fn of POINTWISE_OPS.filter((op) => POINTWISE_TESTS[op].isConstant)) {
    test(`${fn} stops the cotangent`, async ({ backend }) => {
      const formula = single(fn, new Array<Kind>(POINTWISE_TESTS[fn].f.length).fill("state"));
      const point = draw(fn, formula.leaves);
      const gradient = await gradientOf(backend, formula, point, new Float64Array(LENGTHS.state).fill(1));
      for (const leaf of Object.values(gradient)) assert.equal(Array.from(leaf), new Array(LENGTHS.state).fill(0));
    });
  }
});
