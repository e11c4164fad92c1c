// Each rule of simplify.ts gives the bits of what it replaces: programs with the instructions as they were written, against graphs.

import * as assert from "uvu/assert";
import { Graph } from "../../src/autodiff/graph.ts";
import { lower } from "../../src/autodiff/lower.ts";
import type { Backend } from "../../src/backend/backend.ts";
import type { Instr, Program, ValueId } from "../../src/backend/program.ts";
import { createWebGpuBackend } from "../../src/backend/webgpu/backend.ts";
import type { Value } from "../../src/ops/value.ts";
import { normals } from "../ode/harness.ts";
import { forEachBackend } from "../support/backends.ts";
import { assertBitEqual } from "../support/close.ts";
import { LANES, runGraph, runProgram } from "../support/graphs.ts";
import { randomSparse } from "../support/matrices.ts";
import { type PhaseBuilder, ProgramBuilder } from "../support/programBuilder.ts";
import { requireTestAdapter } from "../support/softwareAdapter.ts";
import { suite } from "../support/suite.ts";

const adapter = await requireTestAdapter();

/** Numbers as a device holds them. */
async function asHeld(backend: Backend, numbers: ArrayLike<number>): Promise<ArrayLike<number>> {
  const buffer = backend.buffer("held", numbers.length);
  backend.upload(buffer, numbers);
  const held = await backend.download(buffer);
  buffer.release();
  return held;
}

type Operator = "add" | "sub" | "mul" | "neg" | "relu" | "abs" | "exp" | "sigmoid" | "softplus" | "select";
/** An expression: x, y, a number, or an operator and its operands. */
type Expression = "x" | "y" | "c" | number | readonly [Operator, ...Expression[]];

interface Rule {
  readonly name: string;
  readonly written: Expression;
  /** Pointwise instructions that are left. */
  readonly left: readonly Operator[];
  /** false: the sign of a zero may differ. */
  readonly signOfZero?: false;
}

const RULES: readonly Rule[] = [
  ...(["relu", "abs", "exp", "sigmoid", "softplus"] as const).map((f): Rule => {
    return { name: `relu of ${f}`, written: ["relu", [f, "x"]], left: [f] };
  }),
  {
    name: "relu of a branch that is never negative",
    written: ["relu", ["select", "c", ["abs", "x"], ["select", "y", ["sigmoid", "x"], 2]]],
    left: ["abs", "sigmoid", "select", "select"],
  },
  { name: "x + (−y)", written: ["add", "x", ["neg", "y"]], left: ["sub"] },
  { name: "(−x) + y", written: ["add", ["neg", "x"], "y"], left: ["sub"] },
  { name: "x − (−y)", written: ["sub", "x", ["neg", "y"]], left: ["add"] },
  { name: "(−x)·0.1", written: ["mul", ["neg", "x"], 0.1], left: ["mul"] },
  { name: "−3·(−x)", written: ["mul", -3, ["neg", "x"]], left: ["mul"] },
  { name: "−(−x)", written: ["neg", ["neg", "x"]], left: [] },
  { name: "1·x", written: ["mul", 1, "x"], left: [] },
  { name: "x − 0", written: ["sub", "x", 0], left: [] },
  { name: "x + 0", written: ["add", "x", 0], left: [], signOfZero: false },
  {
    name: "(c ? x : 0) + (c ? 0 : y)",
    written: ["add", ["select", "c", "x", 0], ["select", "c", 0, "y"]],
    left: ["select"],
    signOfZero: false,
  },
  {
    name: "(c ? 0 : x) + (c ? y : 0)",
    written: ["add", ["select", "c", 0, "x"], ["select", "c", "y", 0]],
    left: ["select"],
    signOfZero: false,
  },
  {
    name: "(c ? x : 0) + (c ? 0 : x)",
    written: ["add", ["select", "c", "x", 0], ["select", "c", 0, "x"]],
    left: [],
    signOfZero: false,
  },
];

/** What looks like a rule and is none. */
const KEPT: readonly Expression[] = [
  ["relu", ["neg", "x"]],
  ["relu", ["sub", "x", "y"]],
  ["relu", ["select", "c", ["abs", "x"], "y"]],
  ["add", ["select", "c", "x", 0], ["select", "c", "y", 0]],
  ["add", ["select", "c", "x", 0], ["select", "x", 0, "y"]],
  ["add", ["select", "c", "x", 1], ["select", "c", 0, "y"]],
  ["mul", ["neg", "x"], "y"],
  ["mul", "x", 0],
  ["sub", "x", "x"],
];

function written(expression: Expression, phase: PhaseBuilder, leaves: Readonly<Record<string, ValueId>>): ValueId {
  if (typeof expression === "number") return phase.const(expression);
  if (typeof expression === "string") return leaves[expression]!;
  const [op, ...operands] = expression;
  return phase.op(op, ...operands.map((operand) => written(operand, phase, leaves)));
}

function inGraph(expression: Expression, g: Graph, rows: number): Value {
  if (typeof expression === "number") return g.ops.constant(expression);
  if (typeof expression === "string") return g.state(expression, rows);
  const [op, ...operands] = expression;
  const make = g.ops[op] as (...args: readonly Value[]) => Value;
  return make(...operands.map((operand) => inGraph(operand, g, rows)));
}

function asWritten(expression: Expression, rows: number): Program {
  const builder = new ProgramBuilder("as written");
  const [x, y, c] = ["x", "y", "c"].map((name) => builder.input(name, "state", { rows }));
  const out = builder.output("out", "state", { rows });
  const copies = ["x2", "y2", "c2"].map((name) => builder.output(name, "state", { rows }));
  return builder
    .phase(rows, (phase) => {
      const leaves = { x: phase.load(x!), y: phase.load(y!), c: phase.load(c!) };
      phase.store(out, written(expression, phase, leaves));
      // So that every program reads all three.
      Object.values(leaves).forEach((value, k) => {
        phase.store(copies[k]!, value);
      });
    })
    .build();
}

function simplified(expression: Expression, rows: number): Program {
  const g = new Graph();
  g.store("out", inGraph(expression, g, rows), { as: { kind: "state", rows } });
  for (const name of ["x", "y", "c"]) g.store(`${name}2`, g.state(name, rows));
  return lower(g, "simplified");
}

function pointwiseOf({ phases }: Program): readonly Instr["op"][] {
  return phases.flatMap(({ instrs }) => instrs.flatMap((instr) => ("args" in instr ? [instr.op] : [])));
}

/** All pairs of what is easily wrong, with both outcomes of a condition. */
const SPECIAL = [
  0,
  -0,
  1,
  -1.5,
  3e-39,
  -1e-30,
  104,
  -104,
  1e30,
  Infinity,
  -Infinity,
  Number.NaN,
  0.1,
  -88.5,
  20.5,
  -0.7,
];
const ROWS = (SPECIAL.length ** 2 * 2) / LANES;
const INPUTS = {
  x: Array.from({ length: ROWS * LANES }, (_, i) => SPECIAL[i % SPECIAL.length]!),
  y: Array.from({ length: ROWS * LANES }, (_, i) => SPECIAL[Math.floor(i / SPECIAL.length) % SPECIAL.length]!),
  c: Array.from({ length: ROWS * LANES }, (_, i) => (i < SPECIAL.length ** 2 ? 1 : 0)),
};

async function checkRule(backend: Backend, { name, written: expression, signOfZero }: Rule): Promise<void> {
  const expected = (await runProgram(backend, asWritten(expression, ROWS), INPUTS)).out!;
  const actual = (await runProgram(backend, simplified(expression, ROWS), INPUTS)).out!;
  // An addition of 0 that is gone loses no sign; and a GPU may flush in it what is below the normal numbers.
  const smallest = backend.name === "webgpu" ? 2 ** -126 : 0;
  const added = (v: number): number => (Math.abs(v) < smallest ? 0 : v + 0);
  const shown = (values: ArrayLike<number>) => (signOfZero === false ? Array.from(values, added) : values);
  assertBitEqual(shown(actual), shown(expected), name);
}

const texts = suite("simplifications");

for (const { name, written: expression, left } of RULES) {
  texts(`${name} leaves ${left.join(", ") || "nothing"}`, () => {
    assert.equal(pointwiseOf(simplified(expression, 2)), left);
  });
}

for (const expression of KEPT) {
  texts(`${JSON.stringify(expression)} stays`, () => {
    assert.equal(pointwiseOf(simplified(expression, 2)).length, pointwiseOf(asWritten(expression, 2)).length);
  });
}

texts.run();

forEachBackend("simplifications", ["f32", "f64"], (test) => {
  for (const rule of RULES) test(`${rule.name}: the same bits`, ({ backend }) => checkRule(backend, rule));

  test("a product with a state of zeros reads no matrix, and has the same bits", async ({ backend }) => {
    const w = randomSparse(9, 9, 0.4).csr;
    const added = Float64Array.from({ length: 9 * LANES }, (_, i) => (i % 3 === 0 ? -0 : i - 20));
    const sign = Float64Array.from({ length: 9 }, (_, i) => (i % 2 === 0 ? -1 : 1));
    const graphOf = (zeros: (g: Graph) => Value) => {
      const g = new Graph();
      const matrix = g.sparse("w", 9, 9, w.nnz);
      const h = g.ops.mul(g.row("sign", 9), zeros(g));
      g.store("y", g.ops.add(g.state("added", 9), g.ops.matmul(matrix, h)));
      g.store("ct", g.ops.matmulT(matrix, g.state("added", 9), { x: h, binding: "grad" }));
      g.store("none", g.ops.add(g.state("added", 9), g.ops.matmulT(matrix, h)));
      return g;
    };
    const constant = graphOf((g) => g.ops.broadcast(g.ops.constant(0), { kind: "state", rows: 9 }));
    const inputs = { w, added, sign, zeros: new Float64Array(9 * LANES), grad: normals("grad", w.nnz) };
    const expected = await runGraph(
      backend,
      graphOf((g) => g.state("zeros", 9)),
      inputs,
    );
    const actual = await runGraph(backend, constant, inputs);
    for (const name of ["y", "ct", "none"]) assertBitEqual(actual[name]!, expected[name]!, name);
    assertBitEqual(expected.grad!, await asHeld(backend, inputs.grad), "a gradient of 0 is added");
    const products = lower(constant, "zeros").phases.flatMap(({ instrs }) => instrs.map(({ op }) => op));
    assert.equal(
      products.filter((op) => op.startsWith("matmul")),
      ["matmulT"],
    );
    assert.not(constant.effects.some(({ type }) => type === "matrixGrad"));
  });

  test("only what is 0 for all finite leaves counts as zeros", () => {
    const g = new Graph();
    const { ops } = g;
    const [x, row, zeros] = [
      g.state("x", 3),
      g.row("row", 3),
      ops.broadcast(ops.constant(0), { kind: "state", rows: 3 }),
    ];
    const isSpared = (v: Value) => ops.matmul(g.sparse("w", 3, 3, 5), v).op.type !== "matmul";
    const spared = [
      zeros,
      ops.neg(zeros),
      ops.tanh(zeros),
      ops.relu(zeros),
      ops.mul(zeros, row),
      ops.mul(ops.sigmoid(x), zeros),
    ];
    const kept = [x, ops.sigmoid(zeros), ops.mul(zeros, ops.exp(x)), ops.mul(zeros, ops.div(1, x)), ops.add(zeros, x)];
    assert.equal(
      spared.map(isSpared),
      spared.map(() => true),
    );
    assert.equal(
      [...kept, ops.select(row, zeros, x)].map(isSpared),
      [...kept, x].map(() => false),
    );
    assert.ok(isSpared(ops.select(row, 0, zeros)));
  });

  test("a rule that is none is found", async ({ backend }) => {
    const expected = (await runProgram(backend, asWritten(["mul", "x", 0], ROWS), INPUTS)).out!;
    assert.throws(() => assertBitEqual(new Float64Array(expected.length), expected, "x·0"), /x·0: \d+ of/);
  });
});

if (adapter) {
  const context: { backend?: Backend } = {};
  const test = suite("simplifications, webgpu", context);
  test.before(async () => {
    context.backend = await createWebGpuBackend();
  });
  for (const rule of RULES) test(`${rule.name}: the same bits`, () => checkRule(context.backend!, rule));
  test.after(() => context.backend!.dispose());
  test.run();
}
