// Tableaus as data: Runge–Kutta order conditions of steps and interpolants by rooted trees, derived structure, and refusal of wrong ones.

import { readdirSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Graph } from "../../src/autodiff/graph.ts";
import { ArgumentError } from "../../src/core/errors.ts";
import { type Tableau, type TableauData, tableau } from "../../src/ode/tableau.ts";
import * as exported from "../../src/ode/tableaus/index.ts";
import { dopri5, euler, heun, METHODS, rk4, TABLEAUS, tableauByName } from "../../src/ode/tableaus/index.ts";
import { GraphInterpreter } from "../support/graphInterpreter.ts";
import { repositoryRoot } from "../support/shared.ts";
import { type HostRhs, step } from "./reference.ts";

const test = suite("tableaus");

/** A rooted tree: the subtrees below its root. Condition of order |t|: Σ bᵢΦᵢ(t) = 1/γ(t) (Hairer, Nørsett, Wanner, II.2). */
type Tree = readonly Tree[];

const order = (t: Tree): number => 1 + t.reduce((sum, s) => sum + order(s), 0);
const density = (t: Tree): number => t.reduce((product, s) => product * density(s), order(t));

/** All rooted trees of n nodes, subtrees in an order that makes each tree occur once. */
function trees(n: number): Tree[] {
  const forests = (nodes: number, largest: readonly [number, number]): Tree[][] => {
    if (nodes === 0) return [[]];
    const found: Tree[][] = [];
    for (let size = Math.min(nodes, largest[0]); size >= 1; size--) {
      trees(size).forEach((t, at) => {
        if (size === largest[0] && at > largest[1]) return;
        for (const rest of forests(nodes - size, [size, at])) found.push([t, ...rest]);
      });
    }
    return found;
  };
  return forests(n - 1, [n, Number.POSITIVE_INFINITY]);
}

/** Σ weightsᵢ·Φᵢ(t). */
function elementaryWeight({ a, b }: TableauData, weights: readonly number[], t: Tree): number {
  const rows = [[], ...a].map((row) => b.map((_, j) => row[j] ?? 0));
  const stages = (tree: Tree): number[] => {
    return tree.reduce((product, s) => {
      const below = stages(s);
      return product.map((p, i) => p * rows[i]!.reduce((sum, x, j) => sum + x * below[j]!, 0));
    }, new Array<number>(b.length).fill(1));
  };
  return stages(t).reduce((sum, phi, i) => sum + weights[i]! * phi, 0);
}

/**
 * The weights b(x) of an interpolant y₀ + dt·Σ bᵢ(x)·kᵢ: its values for y₀ = 0 and dt = 1, where one slope is 1 and the others are 0,
 * so that y₁ is a weight of the step.
 */
function weightsAt({ b, interpolant }: TableauData, x: number): number[] {
  return b.map((y1, i) => {
    const { ops } = new Graph();
    const number = (value: number) => ops.constant(value);
    const k = b.map((_, j) => number(i === j ? 1 : 0));
    const value = interpolant(ops, { y0: number(0), y1: number(y1), k, dt: number(1), x: number(x) });
    return new GraphInterpreter({}).valueOf(value)[0]!;
  });
}

/** Abscissas at which no interpolant meets a condition by chance. */
const ABSCISSAS = [0.19, 0.43, 0.71];

/** The largest error of an interpolant in the conditions of order n: Σ bᵢ(x)Φᵢ(t) = xⁿ/γ(t) (Hairer, Nørsett, Wanner, II.6). */
function denseDefect(t: TableauData, n: number): number {
  const errors = ABSCISSAS.flatMap((x) => {
    const weights = weightsAt(t, x);
    return trees(n).map((tree) => Math.abs(elementaryWeight(t, weights, tree) - x ** n / density(tree)));
  });
  return Math.max(...errors);
}

/** The order of an interpolant. */
function denseOrderOf(t: TableauData): number {
  for (let n = 1; ; n++) if (!(denseDefect(t, n) < ROUNDING)) return n - 1;
}

/** Rounding of coefficients with 16 digits in sums of a few products. */
const ROUNDING = 2e-13;

test("there are 1, 1, 2, 4, 9, 20 rooted trees", () => {
  assert.equal(
    [1, 2, 3, 4, 5, 6].map((n) => trees(n).length),
    [1, 1, 2, 4, 9, 20],
  );
});

for (const t of TABLEAUS) {
  test(`${t.name} meets all order conditions up to ${t.order} and not all of the next`, () => {
    const defect = (n: number) =>
      Math.max(...trees(n).map((tree) => Math.abs(elementaryWeight(t, t.b, tree) - 1 / density(tree))));
    for (let n = 1; n <= t.order; n++) assert.ok(defect(n) < ROUNDING, `order ${n}: ${defect(n)}`);
    assert.ok(defect(t.order + 1) > 1e-6);
  });

  test(`the interpolant of ${t.name} is of order ${t.denseOrder}, and meets the ends of the step`, () => {
    assert.is(denseOrderOf(t), t.denseOrder);
    assert.ok(denseDefect(t, t.denseOrder + 1) > 1e-6);
    for (const [x, ends] of [
      [0, t.b.map(() => 0)],
      [1, t.b],
    ] as const) {
      weightsAt(t, x).forEach((w, i) => {
        assert.ok(Math.abs(w - ends[i]!) < ROUNDING, `b${i + 1}(${x}) = ${w}`);
      });
    }
  });

  if (t.bErr === null) continue;
  const { bErr } = t;
  test(`the error estimate of ${t.name} is of the order below`, () => {
    const weight = (n: number) => Math.max(...trees(n).map((tree) => Math.abs(elementaryWeight(t, bErr, tree))));
    for (let n = 1; n < t.order; n++) assert.ok(weight(n) < ROUNDING, `order ${n}: ${weight(n)}`);
    assert.ok(weight(t.order) > 1e-6, "it sees the first term that the lower method misses");
  });
}

test("an interpolant of a lower order than its method claims is found out", () => {
  const { interpolant } = euler;
  for (const t of [heun, rk4, dopri5]) assert.is(denseOrderOf({ ...t, interpolant }), 1, `${t.name}, linear`);
  const { denseOrder: _, ...silent } = rk4;
  assert.not.equal(denseOrderOf(rk4), tableau(silent).denseOrder, "rk4 without denseOrder");
});

test("the last stage is at the end of the step exactly where structure says so", () => {
  const rhs: HostRhs = (t, [y]) => [Math.sin(1 + t) * y! * (2 - y!)];
  for (const t of TABLEAUS) {
    const { k, y1 } = step(t, rhs, 0, 0.3, [0.7]);
    assert.is(t.stages, k.length, t.name);
    assert.is(t.ssal && t.fsal, k.at(-1)![0] === rhs(0.3, y1)[0], t.name);
  }
  assert.ok(dopri5.fsal && !heun.fsal);
});

/** Dopri5 with a change. */
function changed(change: Partial<TableauData>): () => void {
  const { name, order: p, c, a, b, bErr, interpolant, source } = dopri5;
  return () => tableau({ name, order: p, c, a, b, bErr, interpolant, source, ...change });
}

test("a wrong coefficient is refused, naming its row", () => {
  const nudged = (row: readonly number[], j: number) => row.map((x, i) => (i === j ? x + 1e-9 : x));
  const a3 = dopri5.a.map((row, i) => (i === 1 ? nudged(row, 0) : row));
  const refuses = (what: RegExp, change: Partial<TableauData>) => {
    assert.throws(changed(change), (e: unknown) => e instanceof ArgumentError && what.test(e.message));
  };
  refuses(/a\[3\]/, { a: a3 });
  refuses(/\(b\)/, { b: nudged(dopri5.b, 5) });
  refuses(/\(bErr\)/, { bErr: nudged(dopri5.bErr!, 0) });
  refuses(/stages/, { c: dopri5.c.slice(1) });
  refuses(/sum/, { c: nudged(dopri5.c, 4) });
  changed({})();
});

test("every file of a tableau is listed in methods.ts", () => {
  const folder = join(repositoryRoot(), "src/ode/tableaus");
  const files = readdirSync(folder).map((file) => file.replace(/\.ts$/, ""));
  assert.equal(
    files.filter((file) => file !== "index" && file !== "methods").sort(),
    METHODS.map(({ name }) => name).sort(),
  );
});

test("methods are found by the name under which they are exported, and a wrong name suggests the nearest", () => {
  const methods = Object.entries(exported).filter(
    (entry): entry is [string, Tableau] => "interpolant" in Object(entry[1]),
  );
  assert.equal(methods.map(([, t]) => t.name).sort(), METHODS.map((t) => t.name).sort());
  for (const [name, t] of methods) assert.is(tableauByName(name), t);
  assert.is(tableauByName("Dopri5"), dopri5);
  assert.throws(() => tableauByName("dopri6"), /dopri5\?/);
});

test.run();
