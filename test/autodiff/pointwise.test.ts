// The VJP of every pointwise op: against central differences where it is smooth, against the stated convention where it is not,
// and its sums over what was broadcast.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Graph } from "../../src/autodiff/graph.ts";
import { type GradTarget, reverseGraph } from "../../src/autodiff/vjp.ts";
import type { Backend } from "../../src/backend/backend.ts";
import type { Kind, PointwiseOp } from "../../src/backend/program.ts";
import { deriveKey, keyOfSeed, RandomStream } from "../../src/core/random.ts";
import { POINTWISE } from "../../src/ops/pointwise.ts";
import type { Value } from "../../src/ops/value.ts";
import type { Ops } from "../../src/ops/vocabulary.ts";
import { forEachBackend } from "../support/backends.ts";
import { assertGradient, type Point } from "../support/gradcheck.ts";
import { LANES, runGraph } from "../support/graphs.ts";
import { DEFAULT_SEED } from "../support/matrices.ts";

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

/** Numbers that stay clear of kinks and of the edges of a domain. */
const DRAWS = {
  any: (s: RandomStream) => 1.5 * s.normal(),
  positive: (s: RandomStream) => 0.2 + 3 * s.uniform(),
  awayFrom0: (s: RandomStream) => (s.uniform() < 0.5 ? -1 : 1) * (0.3 + 2 * s.uniform()),
} as const;

const DOMAINS: Readonly<Partial<Record<PointwiseOp, readonly (keyof typeof DRAWS)[]>>> = {
  abs: ["awayFrom0"],
  relu: ["awayFrom0"],
  log: ["positive"],
  sqrt: ["positive"],
  div: ["any", "awayFrom0"],
  pow: ["positive", "any"],
};

function draw(label: string, leaves: Formula["leaves"], domains: readonly (keyof typeof DRAWS)[] = []): Point {
  const stream = new RandomStream(deriveKey(keyOfSeed(DEFAULT_SEED), label));
  return Object.fromEntries(
    Object.entries(leaves).map(([name, kind], i) => [
      name,
      Float64Array.from({ length: LENGTHS[kind] }, () => DRAWS[domains[i] ?? "any"](stream)),
    ]),
  );
}

async function check(
  backend: Backend,
  label: string,
  formula: Formula,
  domains?: readonly (keyof typeof DRAWS)[],
): Promise<void> {
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

tables("has a method of the graph for every op", () => {
  const { ops } = new Graph();
  for (const name of Object.keys(POINTWISE)) assert.type(ops[name as PointwiseOp], "function", name);
});

tables.run();

forEachBackend("vjp of pointwise ops", ["f64"], (test) => {
  for (const [name, spec] of Object.entries(POINTWISE)) {
    const fn = name as PointwiseOp;
    if (spec.vjp === null || fn === "select") continue;
    test(`${fn} agrees with central differences`, ({ backend }) => {
      return check(backend, fn, single(fn, new Array<Kind>(spec.arity).fill("state")), DOMAINS[fn]);
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

/** d(op)/d(leaves) at single points, with cotangent 1. */
const CONVENTIONS: readonly {
  readonly name: string;
  readonly fn: PointwiseOp;
  readonly at: readonly number[];
  readonly slopes: readonly number[];
}[] = [
  { name: "relu has slope 0 at 0", fn: "relu", at: [0], slopes: [0] },
  { name: "abs has slope 0 at 0", fn: "abs", at: [0], slopes: [0] },
  { name: "sqrt has slope 0 at 0", fn: "sqrt", at: [0], slopes: [0] },
  { name: "max shares a tie in halves", fn: "max", at: [2, 2], slopes: [0.5, 0.5] },
  { name: "min shares a tie in halves", fn: "min", at: [-1, -1], slopes: [0.5, 0.5] },
  { name: "max gives all to the larger", fn: "max", at: [2, 3], slopes: [0, 1] },
  { name: "min gives all to the smaller", fn: "min", at: [2, 3], slopes: [1, 0] },
  { name: "softplus has slope 1 above 20", fn: "softplus", at: [21], slopes: [1] },
  { name: "a square has slope 0 at 0", fn: "pow", at: [0, 2], slopes: [0, 0] },
  { name: "a first power has slope 1 at 0", fn: "pow", at: [0, 1], slopes: [1, 0] },
  { name: "a power of 0 has slope 0 everywhere", fn: "pow", at: [0, 0], slopes: [0, 0] },
  { name: "a whole power of a negative base has no slope by the exponent", fn: "pow", at: [-2, 3], slopes: [12, NaN] },
  { name: "a negative base to the power of 0 has slope 0", fn: "pow", at: [-2, 0], slopes: [0, NaN] },
];

forEachBackend("slopes at kinks", ["f64", "f32"], (test) => {
  for (const { name, fn, at, slopes } of CONVENTIONS) {
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

  test("comparisons, floor and sign stop the cotangent", async ({ backend }) => {
    const formula: Formula = {
      leaves: { a: "state" },
      build: (ops, { a }) => ops.add(ops.add(ops.floor(a!), ops.sign(a!)), ops.add(ops.lt(a!, 0), ops.isFinite(a!))),
    };
    const a = Float64Array.from({ length: LENGTHS.state }, (_, i) => i - 7.25);
    const gradient = await gradientOf(backend, formula, { a }, new Float64Array(LENGTHS.state).fill(1));
    assert.equal(Array.from(gradient.a!), new Array(LENGTHS.state).fill(0));
  });
});
