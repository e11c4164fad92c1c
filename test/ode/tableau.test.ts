// Tableaus as data: Runge–Kutta order conditions by rooted trees, derived structure, and refusal of wrong ones.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { ArgumentError } from "../../src/core/errors.ts";
import { type Tableau, type TableauData, tableau } from "../../src/ode/tableau.ts";
import * as exported from "../../src/ode/tableaus/index.ts";
import {
  bosh3,
  dopri5,
  euler,
  heun,
  METHODS,
  rk4,
  TABLEAUS,
  tableauByName,
  tsit5,
} from "../../src/ode/tableaus/index.ts";

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

  if (t.bErr === null) continue;
  const { bErr } = t;
  test(`the error estimate of ${t.name} is of the order below`, () => {
    const weight = (n: number) => Math.max(...trees(n).map((tree) => Math.abs(elementaryWeight(t, bErr, tree))));
    for (let n = 1; n < t.order; n++) assert.ok(weight(n) < ROUNDING, `order ${n}: ${weight(n)}`);
    assert.ok(weight(t.order) > 1e-6, "it sees the first term that the lower method misses");
  });
}

test("structure follows from coefficients", () => {
  const facts: readonly (readonly [Tableau, number, boolean, boolean])[] = [
    [euler, 1, false, false],
    [heun, 2, false, false],
    [bosh3, 4, true, true],
    [rk4, 4, false, false],
    [tsit5, 7, true, true],
    [dopri5, 7, true, true],
  ];
  for (const [{ name, stages, ssal, fsal }, ...expected] of facts) assert.equal([stages, ssal, fsal], expected, name);
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
