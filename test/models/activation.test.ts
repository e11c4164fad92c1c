// Nonlinearities by torch's names: values, slopes, chains, and names that do not exist.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Graph } from "../../src/autodiff/graph.ts";
import { reverseGraph } from "../../src/autodiff/vjp.ts";
import type { Backend } from "../../src/backend/backend.ts";
import { ArgumentError } from "../../src/core/errors.ts";
import { ACTIVATION_NAMES, activation } from "../../src/models/activation.ts";
import { forEachBackend } from "../support/backends.ts";
import { assertClose } from "../support/close.ts";
import { LANES, runGraph } from "../support/graphs.ts";

/** Definitions of torch.nn with default arguments, and the slope where torch has to choose one. */
const DEFINITIONS: Readonly<Record<string, (x: number) => number>> = {
  identity: (x) => x,
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  tanh: Math.tanh,
  relu: (x) => Math.max(x, 0),
  softplus: (x) => (x > 20 ? x : Math.log1p(Math.exp(x))),
  elu: (x) => (x > 0 ? x : Math.expm1(x)),
  celu: (x) => Math.max(x, 0) + Math.min(0, Math.expm1(x)),
  selu: (x) => 1.0507009873554805 * (x > 0 ? x : 1.6732632423543772 * Math.expm1(x)),
  leakyrelu: (x) => (x > 0 ? x : 0.01 * x),
  relu6: (x) => Math.min(Math.max(x, 0), 6),
  hardtanh: (x) => Math.min(Math.max(x, -1), 1),
  hardsigmoid: (x) => Math.min(Math.max(x + 3, 0), 6) / 6,
  hardswish: (x) => (x * Math.min(Math.max(x + 3, 0), 6)) / 6,
  silu: (x) => x / (1 + Math.exp(-x)),
  gelu: (x) => (x * (1 + erf(x / Math.SQRT2))) / 2,
  mish: (x) => x * Math.tanh(Math.log1p(Math.exp(x))),
  softsign: (x) => x / (1 + Math.abs(x)),
  logsigmoid: (x) => Math.min(x, 0) - Math.log1p(Math.exp(-Math.abs(x))),
  tanhshrink: (x) => x - Math.tanh(x),
  softshrink: (x) => (x > 0.5 ? x - 0.5 : x < -0.5 ? x + 0.5 : 0),
  hardshrink: (x) => (Math.abs(x) > 0.5 ? x : 0),
};

/** Slopes at points where one side differs from the other, as torch's backward functions give them. */
const KINKS: Readonly<Record<string, readonly (readonly [x: number, slope: number])[]>> = {
  relu: [[0, 0]],
  elu: [[0, 1]],
  celu: [[0, 1]],
  selu: [[0, 1.0507009873554805 * 1.6732632423543772]],
  leakyrelu: [[0, 0.01]],
  relu6: [
    [0, 0],
    [6, 0],
  ],
  hardtanh: [
    [-1, 0],
    [1, 0],
  ],
  hardsigmoid: [
    [-3, 0],
    [3, 0],
  ],
  hardswish: [
    [-3, -0.5],
    [3, 1.5],
  ],
  softshrink: [
    [-0.5, 0],
    [0.5, 0],
  ],
  hardshrink: [
    [-0.5, 0],
    [0.5, 0],
  ],
  softsign: [[0, 1]],
  logsigmoid: [[0, 0.5]],
};

/** erf by its series (|x| small) or continued fraction, to double precision. */
function erf(x: number): number {
  if (Math.abs(x) > 3) {
    let fraction = 0;
    for (let k = 60; k >= 1; k--) fraction = k / 2 / (Math.abs(x) + fraction);
    return Math.sign(x) * (1 - Math.exp(-x * x) / (Math.sqrt(Math.PI) * (Math.abs(x) + fraction)));
  }
  let term = x;
  let sum = x;
  for (let n = 1; n < 80; n++) {
    term *= (-x * x) / n;
    sum += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
}

const POINTS = [-30, -7.5, -3.25, -1.75, -0.8, -0.4, -0.01, 0.01, 0.3, 0.7, 1.6, 2.9, 5.5, 8, 25, 40];

/** Values and slopes at points; the rest of the lanes is unused. */
async function evaluate(
  backend: Backend,
  name: string | null,
  points: readonly number[],
): Promise<{ y: number[]; slope: number[] }> {
  const rows = Math.ceil(points.length / LANES);
  const x = new Float64Array(rows * LANES);
  x.set(points);
  const forward = new Graph();
  const y = activation(name)(forward.ops, forward.state("x", rows));
  const { graph: reverse } = reverseGraph(
    forward,
    new Map([[y, "ct"]]),
    new Map([["x", { binding: "ct.x", accumulate: false }]]),
  );
  if (y.op.type === "leaf") forward.store("y", forward.ops.add(y, forward.ops.mul(0, y)));
  else forward.store("y", y);
  const values = await runGraph(backend, forward, { x });
  const slopes = await runGraph(backend, reverse, { x, ct: new Float64Array(x.length).fill(1) });
  return {
    y: Array.from(values.y!).slice(0, points.length),
    slope: Array.from(slopes["ct.x"]!).slice(0, points.length),
  };
}

const names = suite("names of nonlinearities");

names("every name is known by its definition here", () => {
  assert.equal([...ACTIVATION_NAMES].sort(), Object.keys(DEFINITIONS).sort());
});

names("an unknown name is refused with the nearest known one and all others", () => {
  for (const [wrong, near] of [
    ["Sigmod", "sigmoid"],
    ["ReLU, Tanhh", "tanh"],
    ["soft plus", "softplus"],
  ] as const) {
    try {
      activation(wrong);
      assert.unreachable(wrong);
    } catch (error) {
      assert.instance(error, ArgumentError);
      const { message } = error as ArgumentError;
      assert.match(message, `did you mean "${near}"`);
      assert.match(message, "gelu");
    }
  }
  assert.throws(
    () => activation("constructor"),
    (e: unknown) => e instanceof ArgumentError,
  );
  assert.throws(
    () => activation("toString"),
    (e: unknown) => e instanceof ArgumentError,
  );
  assert.throws(
    () => activation("relu,"),
    (e: unknown) => e instanceof ArgumentError,
  );
});

names("case and spaces do not matter, null is the identity", () => {
  const g = new Graph();
  const x = g.state("x", 3);
  assert.is(activation("ReLU")(g.ops, x), activation("relu")(g.ops, x));
  assert.is(activation(" Softplus ,TANH")(g.ops, x), g.ops.tanh(g.ops.softplus(x)));
  assert.is(activation(null)(g.ops, x), x);
  assert.is(activation("Identity")(g.ops, x), x);
});

names.run();

forEachBackend("nonlinearities", ["f64"], (test) => {
  for (const [name, definition] of Object.entries(DEFINITIONS)) {
    test(`${name} has torch's values and slopes`, async ({ backend }) => {
      const { y, slope } = await evaluate(backend, name, POINTS);
      const expected = POINTS.map(definition);
      assertClose(
        y,
        expected,
        expected.map((v) => 1e-14 * Math.max(1, Math.abs(v))),
        name,
      );
      const h = 1e-5;
      const differences = POINTS.map(
        (x) =>
          (8 * (definition(x + h) - definition(x - h)) - (definition(x + 2 * h) - definition(x - 2 * h))) / (12 * h),
      );
      // Rounding of the differences: u·|y|/h.
      assertClose(
        slope,
        differences,
        expected.map((v) => 1e-9 * Math.max(1, Math.abs(v))),
        `slope of ${name}`,
      );
      const kinks = KINKS[name] ?? [];
      const atKinks = await evaluate(backend, name, [...kinks.map(([x]) => x), 0]);
      assertClose(
        atKinks.slope.slice(0, -1),
        kinks.map(([, s]) => s),
        1e-15,
        `slope of ${name} at its kinks`,
      );
    });
  }

  test("a chain applies the first one first", async ({ backend }) => {
    const { y } = await evaluate(backend, "Softplus, Tanh", POINTS);
    assertClose(
      y,
      POINTS.map((x) => Math.tanh(DEFINITIONS.softplus!(x))),
      1e-14,
      "softplus, then tanh",
    );
  });
});

forEachBackend("nonlinearities far from 0", ["f64", "f32"], (test) => {
  test("values and slopes stay finite", async ({ backend }) => {
    for (const name of ACTIVATION_NAMES) {
      const { y, slope } = await evaluate(backend, name, [-1e4, -200, -90, 90, 200, 1e4]);
      assert.ok([...y, ...slope].every(Number.isFinite), `${name}: ${y} ${slope}`);
    }
  });
});
