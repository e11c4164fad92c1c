// Conformance cases of the lane-by-lane functions.

import { POINTWISE_OPS } from "../../../src/backend/pointwise.ts";
import type { PointwiseOp } from "../../../src/backend/program.ts";
import { POINTWISE_TESTS, type PointwiseTest, UNARY_OPS } from "../pointwise.ts";
import { ProgramBuilder } from "../programBuilder.ts";
import type { ConformanceCase } from "./case.ts";
import { countLanes, cycle, EXACT, uniform } from "./case.ts";

/** Not a multiple of any vector width or panel, so there is always a remainder. */
const ROWS = 37;

export function pointwiseCases(lanes: readonly number[]): readonly ConformanceCase[] {
  // Pointwise work does not see lanes; the fullest panel of one run is enough.
  const width = Math.max(...lanes.filter((n) => n <= 16));
  return [
    ...POINTWISE_OPS.map((op) => caseOf(op, POINTWISE_TESTS[op], width)),
    negativeToThePower(width),
    zeroToThePower(width),
    selectCase(width),
    notFinite(width),
    ...lanes.map(longExpression),
  ];
}

/** By number of operands: their names, and the end of the case's. */
const OPERANDS = [["x"], ["l", "r"], ["c", "a", "b"]] as const;
const SENTENCES = [
  "applies to every lane",
  "combines two values lane by lane",
  "takes three values lane by lane",
] as const;

function caseOf(op: PointwiseOp, test: Pick<PointwiseTest, "inputs" | "tolerance">, lanes: number): ConformanceCase {
  const { inputs, tolerance } = test;
  const names = OPERANDS[inputs.length - 1]!;
  const b = new ProgramBuilder(op);
  const from = names.map((name) => b.input(name, "state", { rows: ROWS }));
  const to = b.output("y", "state", { rows: ROWS });
  b.phase(ROWS, (p) => p.store(to, p.op(op, ...from.map((id) => p.load(id)))));
  return {
    name: `${op} ${SENTENCES[inputs.length - 1]}`,
    lanes,
    program: b.build(),
    inputs: Object.fromEntries(names.map((name, i) => [name, inputs[i]!])),
    outputs: { y: tolerance },
  };
}

function negativeToThePower(lanes: number): ConformanceCase {
  const exponents = cycle([1, 2, -1, 3, 0, -2, -3]);
  const bases = uniform(-4, -0.25, [-1, -2]);
  const name = "pow takes whole exponents of negative bases";
  return { ...caseOf("pow", { inputs: [bases, exponents], tolerance: POINTWISE_TESTS.pow.tolerance }, lanes), name };
}

function zeroToThePower(lanes: number): ConformanceCase {
  const b = new ProgramBuilder("pow of zero");
  const a = b.input("a", "state", { rows: ROWS });
  const e = b.input("e", "state", { rows: ROWS });
  const to = b.output("y", "state", { rows: ROWS });
  b.phase(ROWS, (p) => p.store(to, p.op("pow", p.load(a), p.load(e))));
  return {
    name: "pow of zero is 1 for the exponent 0 and 0 for a positive one",
    lanes,
    program: b.build(),
    inputs: { a: cycle([0]), e: cycle([0, 1, 2, 0.5]) },
    outputs: { y: EXACT },
  };
}

function selectCase(lanes: number): ConformanceCase {
  const b = new ProgramBuilder("select");
  const x = b.input("x", "state", { rows: ROWS });
  const root = b.output("root", "state", { rows: ROWS });
  const either = b.output("either", "state", { rows: ROWS });
  b.phase(ROWS, (p) => {
    const v = p.load(x);
    const zero = p.const(0);
    p.store(root, p.op("select", p.op("le", zero, v), p.op("sqrt", v), zero));
    // The condition is any number: what is not 0 counts as true.
    p.store(either, p.op("select", v, p.const(3), p.const(5)));
  });
  return {
    name: "select takes the first branch where the condition is not 0, and an unused NaN does not show",
    lanes,
    program: b.build(),
    inputs: { x: uniform(-4, 4, [0, 1, -1, 4, -4]) },
    outputs: { root: POINTWISE_TESTS.sqrt.tolerance, either: EXACT },
  };
}

const CLAMPS = ["cap", "floor under"];

/** NaN and Infinity come from inputs; what becomes of them is seen through isFinite, as no comparison lets them pass. */
function notFinite(lanes: number): ConformanceCase {
  const b = new ProgramBuilder("not finite");
  const x = b.input("x", "state", { rows: ROWS });
  const y = b.input("y", "state", { rows: ROWS });
  const outputs = [
    ...["x", ...UNARY_OPS.filter((op) => op !== "isFinite")],
    ...["min", "max", "other min", "other max", "pow", "other pow", "quotient", ...CLAMPS],
  ];
  const to = outputs.map((name) => b.output(`${name} is finite`, "state", { rows: ROWS }));
  const comparisons = ["lt", "le", "eq"] as const;
  const compared = comparisons.flatMap((op) => [`x ${op} x`, `x ${op} y`, `y ${op} x`]);
  const toCompared = compared.map((name) => b.output(name, "state", { rows: ROWS }));
  b.phase(ROWS, (p) => {
    const v = p.load(x);
    const w = p.load(y);
    const nan = p.op("add", v, p.op("mul", w, p.const(0)));
    const values = outputs.map((name) => {
      switch (name) {
        case "x":
          return v;
        case "min":
        case "max":
        case "pow":
          return p.op(name, nan, w);
        case "other min":
        case "other max":
        case "other pow":
          return p.op(name.slice("other ".length) as "min", w, nan);
        case "quotient":
          return p.op("div", nan, p.const(3));
        // The larger or smaller of two numbers as users write it: NaN, which no comparison holds for, is what is left.
        case "cap":
          return p.op("select", p.op("lt", w, nan), w, nan);
        case "floor under":
          return p.op("select", p.op("le", nan, w), w, nan);
        default:
          return p.op(name as "exp", nan);
      }
    });
    values.forEach((value, k) => {
      p.store(to[k]!, p.op("isFinite", value));
    });
    const pairs = [
      [nan, nan],
      [nan, w],
      [w, nan],
    ] as const;
    comparisons.forEach((op, row) => {
      pairs.forEach(([left, right], k) => {
        p.store(toCompared[3 * row + k]!, p.op(op, left, right));
      });
    });
  });
  return {
    name: "NaN stays NaN through every function, compares with nothing, and isFinite finds it and Infinity",
    lanes,
    program: b.build(),
    // Six numbers and five, so that NaN meets each of the others.
    inputs: { x: cycle([1, Number.NaN, -2, 0, Number.NaN, 3e38]), y: cycle([0, 1, -1, 1, 0]) },
    outputs: Object.fromEntries(
      [...outputs.map((name) => `${name} is finite`), ...compared].map((name) => [name, EXACT]),
    ),
  };
}

/** Sixty-odd instructions whose values stay alive to the end: registers or tile buffers have to be reused or suffice. */
function longExpression(lanes: number): ConformanceCase {
  const b = new ProgramBuilder("long expression");
  const x = b.input("x", "state", { rows: ROWS });
  const to = b.output("y", "state", { rows: ROWS });
  const powers = 20;
  b.phase(ROWS, (p) => {
    const v = p.load(x);
    const terms = [v];
    for (let k = 1; k < powers; k++) terms.push(p.op("mul", terms[k - 1]!, v));
    const scaled = terms.map((t, k) => p.op("mul", t, p.const(k % 2 === 0 ? 0.5 : -0.25)));
    p.store(
      to,
      scaled.reduceRight((sum, t) => p.op("sub", t, sum)),
    );
  });
  return {
    name: `a long expression with many live values keeps them apart (${countLanes(lanes)})`,
    lanes,
    program: b.build(),
    inputs: { x: uniform(-1.2, 1.2) },
    outputs: { y: { kind: "sum", terms: 2 * powers + 1 } },
  };
}
