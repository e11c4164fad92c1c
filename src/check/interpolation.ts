// What dense output adds to rounding errors: interpolants subtract numbers many times as large as their result.

import { Graph } from "../autodiff/graph.ts";
import type { Tableau } from "../ode/tableau.ts";
import type { Value } from "../ops/value.ts";

/** Upper bounds of a value's size, and of its rounding error in units of u. */
interface Magnitude {
  readonly size: number;
  readonly error: number;
}

/**
 * The rounding error of the interpolant in units of u and of the state's size, by running error analysis: every operation adds one
 * rounding of its own result to what its operands carry, and differences count as sums. Increments dt·k count as large as the state.
 *
 * Source: Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., §3.3.
 */
export function interpolationRoundings(tableau: Tableau): number {
  const g = new Graph();
  const value = tableau.interpolant(g.ops, {
    y0: g.scalar("y0"),
    y1: g.scalar("y1"),
    k: tableau.b.map((_, i) => g.scalar(`k${i}`)),
    dt: g.scalar("dt"),
    x: g.scalar("x"),
  });
  const known = new Map<Value, Magnitude>();
  // Arguments come before the values made of them.
  for (const v of g.values)
    known.set(
      v,
      magnitudeOf(
        v,
        v.args.map((arg) => known.get(arg)!),
      ),
    );
  return Math.ceil(known.get(value)!.error);
}

function magnitudeOf({ op }: Value, [a, b]: readonly Magnitude[]): Magnitude {
  if (op.type === "leaf") return { size: 1, error: 0 };
  if (op.type === "const") return { size: Math.abs(op.value), error: Math.abs(op.value) };
  if (op.type === "pointwise" && a) {
    const { fn } = op;
    if (fn === "neg") return a;
    if (b && (fn === "add" || fn === "sub")) {
      const size = a.size + b.size;
      return { size, error: a.error + b.error + size };
    }
    if (b && fn === "mul") {
      const size = a.size * b.size;
      return { size, error: a.error * b.size + b.error * a.size + size };
    }
  }
  throw new TypeError(`interpolationRoundings: expected sums and products, got ${JSON.stringify(op)}`);
}
