// Reverse mode: from a graph and the cotangents of its outputs to the graph that computes the cotangents of its inputs.
//
// Saved for the reverse pass: contraction outputs (products and reductions) and leaves. Recomputed: every pointwise value. So
// `reverseGraph` says which contraction outputs the forward program must keep, and rebuilds the rest from them. Where it takes no more
// memory, the results of expensive functions are kept in place of what they are computed from: a sigmoid's slope needs the sigmoid only.

import { isPerLane } from "../backend/layout.ts";
import { ArgumentError } from "../core/errors.ts";
import { vjpRuleOf } from "../ops/index.ts";
import { POINTWISE } from "../ops/pointwise.ts";
import { broadcasts, isContraction, isExtremum, isPerRow, type Matrix, type Table, type Value } from "../ops/value.ts";
import type { VjpContext } from "../ops/vocabulary.ts";
import { Graph, type GraphInput } from "./graph.ts";

/** Additions from which on a function is expensive: those computed by polynomials. */
const EXPENSIVE_COST = 8;

/** Where the gradient of a named leaf, matrix or table goes. */
export interface GradTarget {
  readonly binding: string;
  /** true: contributions are added to the binding as they come (parameters); false: their sum is stored. */
  readonly accumulate: boolean;
}

/** Leaves, matrices and tables whose gradient is wanted, by name. */
export type Wrt = ReadonlyMap<string, GradTarget>;

/**
 * Refuses names that have no gradient: those that are not among `inputs` (of graphs), and indices and keys, which are whole numbers.
 *
 * @throws {ArgumentError} with the names that have one
 */
export function checkWrt(where: string, wrt: Iterable<string>, inputs: ReadonlyMap<string, GraphInput>): void {
  const known = [...inputs].filter(([, { kind }]) => kind !== "index" && kind !== "key").map(([name]) => name);
  for (const name of wrt) {
    if (known.includes(name)) continue;
    const got = inputs.has(name) ? `"${name}", ${inputs.get(name)!.what}` : `"${name}", which is not read`;
    throw new ArgumentError(where, "wrt", `leaves, matrices or tables that are read (${known.join(", ")})`, got);
  }
}

/**
 * Adds to `target` the values and effects that pull the cotangents of `seeds` back to everything in `wrt`.
 *
 * @param source  graph that holds the primal values; values are visited in reverse order of their ids
 * @param seeds   primal value and its cotangent (a value of `target`); several seeds of one value add up
 * @param primal  the value of `target` that equals a value of `source` (identity when both are one graph)
 * @throws {ArgumentError} `wrt` names an index or a key of `source`
 */
export function pullBack(
  source: Graph,
  target: Graph,
  seeds: readonly (readonly [Value, Value])[],
  wrt: Wrt,
  primal: (v: Value) => Value,
): void {
  checkWrt(
    "pullBack",
    [...wrt.keys()].filter((name) => source.inputs.has(name)),
    source.inputs,
  );
  const { ops } = target;
  const nPrimal = seeds.reduce((n, [v]) => Math.max(n, v.id + 1), 0);
  const wanted = wantedValues(source, nPrimal, wrt);
  const contributions = new Map<number, Value[]>();
  const contribute = (v: Value, ct: Value): void => {
    const list = contributions.get(v.id);
    if (list) list.push(ct);
    else contributions.set(v.id, [ct]);
  };
  for (const [v, ct] of seeds) if (wanted[v.id]) contribute(v, ct);

  const stored = new Set<string>();
  const depths: number[] = [];
  for (let id = nPrimal - 1; id >= 0; id--) {
    if (!contributions.has(id)) continue;
    const v = source.values[id]!;
    const cts = reducedOverRows(target, v, contributions.get(id)!, depths);
    if (v.op.type === "leaf") {
      storeGradient(target, v, cts, wrt.get(v.op.name)!);
      stored.add(v.op.name);
      continue;
    }
    const rule = vjpRuleOf(v);
    if (!rule) continue;
    const sum = cts.reduce((total, c) => ops.add(total, c));
    // A rule that does not broadcast needs the cotangent in the shape of its result.
    const ct = broadcasts(v) ? sum : ops.broadcast(sum, v);
    const context: VjpContext = {
      value: v,
      ct,
      result: () => primal(v),
      arg: (i) => primal(v.args[i]!),
      needs: (i) => wanted[v.args[i]!.id] === 1,
      ops,
      gradOfMatrix: (matrix: Matrix) => wrt.get(matrix.name)?.binding ?? null,
      scatter: (table: Table, index: Value, value: Value) => {
        const grad = wrt.get(table.name);
        if (grad) target.scatter(grad.binding, table, index, value);
      },
    };
    rule(context).forEach((c, i) => {
      const arg = v.args[i]!;
      if (c !== null && wanted[arg.id]) contribute(arg, unbroadcast(target, c, v, arg));
    });
  }
  // An input that nothing depends on has gradient zero, not whatever the buffer held before.
  for (const v of source.values) {
    if (v.op.type !== "leaf" || stored.has(v.op.name)) continue;
    const grad = wrt.get(v.op.name);
    if (grad && !grad.accumulate) target.store(grad.binding, 0, { as: v });
  }
}

/** A reverse program's graph, and what it needs of the forward program. */
export interface ReverseGraph {
  readonly graph: Graph;
  /** What it reads as leaves: the forward program must store these values under these names. */
  readonly saves: ReadonlyMap<string, Value>;
  /** Which values are leaves where they are needed; the others are rebuilt from them. */
  readonly isSaved: (v: Value) => boolean;
}

/**
 * The reverse program's graph of `forward`, for cotangents given as leaves.
 *
 * @param outputs  primal value → name of the leaf that holds its cotangent
 */
export function reverseGraph(forward: Graph, outputs: ReadonlyMap<Value, string>, wrt: Wrt): ReverseGraph {
  // The reverse finds the operands of a maximum that equal it, so they must have the same bits: recomputed, they might be rounded otherwise.
  const compared = new Set(forward.values.flatMap((v) => (isExtremum(v) ? v.args : [])));
  const isKept = (v: Value) => isContraction(v) || (compared.has(v) && v.op.type === "pointwise");
  const fewestSaves = reverseWith(forward, outputs, wrt, isKept);
  const expensiveSaved = reverseWith(forward, outputs, wrt, (v) => isKept(v) || isExpensive(v));
  return numbersIn(expensiveSaved.saves) <= numbersIn(fewestSaves.saves) ? expensiveSaved : fewestSaves;
}

function reverseWith(
  forward: Graph,
  outputs: ReadonlyMap<Value, string>,
  wrt: Wrt,
  isSaved: (v: Value) => boolean,
): ReverseGraph {
  const graph = new Graph();
  const saves = new Map<string, Value>();
  const primal = rebuilder(forward, graph, isSaved, (v) => {
    const name = saveName(v);
    saves.set(name, v);
    return name;
  });
  const seeds = [...outputs].map(([v, name]) => [v, graph.leaf(name, v.kind, v.rows)] as const);
  pullBack(forward, graph, seeds, wrt, primal);
  return { graph, saves, isSaved };
}

/** Pointwise functions of states that take many operations: worth keeping rather than computing again. */
function isExpensive({ op, kind }: Value): boolean {
  return op.type === "pointwise" && kind === "state" && POINTWISE[op.fn].cost >= EXPENSIVE_COST;
}

function numbersIn(saves: ReadonlyMap<string, Value>): number {
  return [...saves.values()].reduce((sum, v) => sum + v.rows, 0);
}

/** The binding under which a value is kept between the forward and the reverse program. */
export function saveName(v: Value): string {
  return `save.${v.id}`;
}

/**
 * A function that rebuilds values of `source` in `target` from leaves and saved values; each saved value it meets becomes a leaf
 * named by `save`. Contraction outputs must be saved.
 */
export function rebuilder(
  source: Graph,
  target: Graph,
  isSaved: (v: Value) => boolean,
  save: (v: Value) => string,
): (v: Value) => Value {
  const rebuilt = new Map<number, Value>();
  const rebuild = (v: Value): Value => {
    const known = rebuilt.get(v.id);
    if (known) return known;
    const made = make(v);
    rebuilt.set(v.id, made);
    return made;
  };
  const make = (v: Value): Value => {
    if (isSaved(v)) return target.leaf(save(v), v.kind, v.rows);
    const { op } = v;
    switch (op.type) {
      case "leaf":
        return target.leaf(op.name, v.kind, v.rows);
      case "const":
        return target.ops.constant(op.value);
      case "rowIndex":
        return target.rowIndex(v.rows);
      case "random":
        return target.random(op.key, v.rows, rebuild(v.args[0]!));
      case "lookup":
        return target.ops.lookup(op.table, rebuild(v.args[0]!));
      case "broadcast":
        return target.ops.broadcast(rebuild(v.args[0]!), v);
      case "pointwise": {
        const args = v.args.map(rebuild);
        if (op.fn === "select") return target.ops.select(args[0]!, args[1]!, args[2]!);
        const f = target.ops[op.fn] as (...operands: Value[]) => Value;
        return f(...args);
      }
      default:
        throw new TypeError(`rebuild: ${op.type} of ${source.values.length} values`);
    }
  };
  return rebuild;
}

/** 1 for each value (up to id n) through which a cotangent can reach something in `wrt`. */
function wantedValues(source: Graph, n: number, wrt: Wrt): Uint8Array {
  const wanted = new Uint8Array(n);
  for (let id = 0; id < n; id++) {
    const v = source.values[id]!;
    const { op } = v;
    const named =
      (op.type === "leaf" && wrt.has(op.name)) ||
      ((op.type === "matmul" || op.type === "matmulT") && wrt.has(op.matrix.name)) ||
      (op.type === "lookup" && wrt.has(op.table.name));
    const leads = named || (vjpRuleOf(v) !== null && v.args.some((a) => wanted[a.id]));
    if (leads && !source.detached.has(v)) wanted[id] = 1;
  }
  return wanted;
}

/**
 * The contributions to the cotangent of `v`, without rows if `v` has none. Those that are there at the same time, as they are as many
 * contractions deep, are added before they are reduced: one reduction instead of several.
 *
 * @param depths  of the values of `target`, as far as known
 */
function reducedOverRows(target: Graph, v: Value, cts: readonly Value[], depths: number[]): readonly Value[] {
  if (isPerRow(v)) return cts;
  for (const value of target.values.slice(depths.length)) {
    depths.push(Math.max(0, ...value.args.map((a) => depths[a.id]!)) + (isContraction(value) ? 1 : 0));
  }
  const groups = new Map<string, Value>();
  for (const ct of cts) {
    const key = isPerRow(ct) ? `${ct.kind} ${ct.rows} ${depths[ct.id]}` : "";
    const known = groups.get(key);
    groups.set(key, known ? target.ops.add(known, ct) : ct);
  }
  return [...groups.values()].map((sum) => (isPerRow(sum) ? target.ops.reduceRows(sum) : sum));
}

/**
 * The transpose of broadcasting `arg` to the shape of `v`: sums over the lanes that `arg` does not have, and leaves sums over rows to
 * `reducedOverRows`.
 */
function unbroadcast(target: Graph, ct: Value, v: Value, arg: Value): Value {
  const { ops } = target;
  if (!broadcasts(v)) return ct;
  let c = ct;
  if (isPerLane(v) && !isPerLane(arg)) {
    c = ops.reduceLanes(isPerLane(c) ? c : ops.broadcast(c, { kind: isPerRow(c) ? "state" : "sample", rows: c.rows }));
  }
  return isPerRow(v) && !isPerRow(arg) && !isPerRow(c) ? ops.mul(c, v.rows) : c;
}

function storeGradient(target: Graph, leaf: Value, cts: readonly Value[], grad: GradTarget): void {
  const as = { kind: leaf.kind, rows: leaf.rows };
  if (grad.accumulate) {
    for (const ct of cts) target.store(grad.binding, ct, { accumulate: true, as });
  } else {
    target.store(
      grad.binding,
      cts.reduce((sum, c) => target.ops.add(sum, c)),
      { as },
    );
  }
}
