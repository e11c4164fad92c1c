// Random graphs over all ops, kinds and nestings: what a program computes is what the graph means, does not depend on what is fused, stored
// or computed twice, and its reverse gives the slopes of central differences. AXOGRAD_RANDOM_GRAPHS takes more graphs than 60.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { lower } from "../../src/autodiff/lower.ts";
import type { Backend } from "../../src/backend/backend.ts";
import type { PointwiseOp } from "../../src/backend/program.ts";
import { createWasmBackend } from "../../src/backend/wasm/backend.ts";
import { vjpRuleOf } from "../../src/ops/index.ts";
import { POINTWISE, type PointwiseSpec } from "../../src/ops/pointwise.ts";
import type { Value } from "../../src/ops/value.ts";
import { forEachBackend } from "../support/backends.ts";
import { assertBitEqual, assertClose, gamma } from "../support/close.ts";
import { GraphInterpreter } from "../support/graphInterpreter.ts";
import { runProgram } from "../support/graphs.ts";
import { DEFAULT_SEED } from "../support/matrices.ts";
import { compareWithDifferences, problemOf, runProblem } from "../support/randomGradients.ts";
import { randomGraph } from "../support/randomGraph.ts";

const N_GRAPHS = Number(process.env.AXOGRAD_RANDOM_GRAPHS ?? 60);
const SEEDS = Array.from({ length: N_GRAPHS }, (_, k) => DEFAULT_SEED + k);
/** Roundings on the longest path, for values and slopes that stay moderate. */
const ROUNDINGS = 500;
/** Comparisons nearer than this to another outcome may have it in f32. */
const MARGIN = 1e-3;

forEachBackend("random graphs", ["f64", "f32"], (test) => {
  test("fused or stored value by value, programs give the same bits", async ({ backend }) => {
    let compared = 0;
    let temporaries = 0;
    for (const seed of SEEDS) {
      const few = randomGraph(seed);
      const chosen = few.made.filter((_, i) => i % 4 === 0 || i === few.made.length - 1);
      for (const v of chosen) few.graph.store(`out.${v.id}`, v);
      const all = randomGraph(seed);
      for (const v of all.made) all.graph.store(`out.${v.id}`, v);
      const program = lower(few.graph, `graph ${seed}`);
      temporaries += program.bindings.filter((b) => b.temp).length;
      const [fused, stored] = [
        await runProgram(backend, program, few.inputs),
        await runProgram(backend, lower(all.graph, `graph ${seed}, stored`), all.inputs),
      ];
      for (const v of new Set(chosen)) {
        const name = `out.${v.id}`;
        assert.ok(fused[name]!.every(Number.isFinite), `seed ${seed}, ${name}`);
        assertBitEqual(fused[name]!, stored[name]!, `seed ${seed}, ${name} (${v.op.type})`);
        compared++;
      }
    }
    assert.ok(compared > 4 * N_GRAPHS && temporaries > 2 * N_GRAPHS, `${compared} values, ${temporaries} temporaries`);
  });

  test("every value is what the graph means", async ({ backend }) => {
    let compared = 0;
    for (const seed of SEEDS) {
      const { graph, inputs, made } = randomGraph(seed);
      const interpreter = new GraphInterpreter(inputs);
      const expected = made.map((v) => interpreter.valueOf(v));
      if (interpreter.margin < MARGIN) continue;
      for (const v of made) graph.store(`out.${v.id}`, v);
      const results = await runProgram(backend, lower(graph, `graph ${seed}`), inputs);
      const largest = Math.max(...expected.map((y) => y.reduce((m, x) => Math.max(m, Math.abs(x)), 0)));
      made.forEach((v, i) => {
        const label = `seed ${seed}, value ${v.id} (${v.op.type})`;
        assertClose(results[`out.${v.id}`]!, expected[i]!, gamma(ROUNDINGS, backend.dtype) * largest, label);
        compared++;
      });
    }
    assert.ok(compared > 4 * N_GRAPHS, `${compared} values`);
  });
});

forEachBackend("reverse of random graphs", ["f64"], (test) => {
  for (const together of [false, true]) {
    test(`gradients agree with central differences, ${together ? "in one program" : "in programs of their own"}`, async ({
      backend,
    }) => {
      let sharp = 0;
      for (const seed of SEEDS) {
        const problem = problemOf(seed);
        const { gradients } = await runProblem(backend, problem, together);
        const comparison = compareWithDifferences(problem, gradients);
        assert.equal(comparison.failures, []);
        sharp += comparison.sharp.length;
      }
      assert.ok(sharp > 3 * N_GRAPHS, `${sharp} sharp comparisons`);
    });
  }
});

const selfTest = suite("random graphs, tested on themselves");

/** Ops through which a cotangent of an output can reach an input. */
function reached(seed: number): Set<string> {
  const { outputs, graph } = problemOf(seed);
  const leads = new Set<Value>();
  for (const v of graph.values) {
    const { op } = v;
    const named = op.type === "leaf" || op.type === "matmul" || op.type === "matmulT" || op.type === "lookup";
    if (named || (vjpRuleOf(v) && v.args.some((a) => leads.has(a)))) leads.add(v);
  }
  const names = new Set<string>();
  const visit = (v: Value): void => {
    if (!leads.has(v)) return;
    names.add(nameOf(v));
    for (const a of v.args) visit(a);
  };
  for (const v of outputs) visit(v);
  return names;
}

function nameOf({ op }: Value): string {
  if (op.type === "pointwise") return op.fn;
  return op.type === "reduceRows" ? `reduceRows ${op.how}` : op.type;
}

const differentiable = (Object.keys(POINTWISE) as PointwiseOp[]).filter((fn) => POINTWISE[fn].vjp !== null);
const OTHERS = ["matmul", "matmulT", "reduceRows sum", "reduceRows max", "reduceRows min", "reduceLanes", "lookup"];
const VECTORS = ["broadcast", "gather", "segmentSum", "gatherT"];

selfTest("cotangents pass through every op that has a reverse, in several graphs", () => {
  const counts = new Map<string, number>();
  for (const seed of SEEDS) for (const name of reached(seed)) counts.set(name, (counts.get(name) ?? 0) + 1);
  const seldom = [...differentiable, ...OTHERS, ...VECTORS].filter((name) => (counts.get(name) ?? 0) < 3);
  assert.equal(seldom, [], JSON.stringify([...counts]));
});

/** Whether any of the graphs shows that something is wrong. */
async function isNoticed(backend: Backend, damage: (gradients: Record<string, ArrayLike<number>>) => void = () => {}) {
  for (const seed of SEEDS) {
    const problem = problemOf(seed);
    const { gradients } = await runProblem(backend, problem, false);
    const damaged = { ...gradients };
    damage(damaged);
    if (compareWithDifferences(problem, damaged).failures.length > 0) return true;
  }
  return false;
}

selfTest("a VJP that is wrong by a hundredth is noticed, whichever function's it is", async () => {
  await using backend = await createWasmBackend({ dtype: "f64", threads: 1 });
  const table = POINTWISE as Record<PointwiseOp, PointwiseSpec>;
  const unnoticed: string[] = [];
  for (const fn of differentiable) {
    const right = table[fn];
    const wrong: PointwiseSpec["vjp"] = (c) => right.vjp!(c).map((ct) => ct && c.ops.mul(1.01, ct));
    table[fn] = { ...right, vjp: wrong };
    try {
      if (!(await isNoticed(backend))) unnoticed.push(fn);
    } finally {
      table[fn] = right;
    }
  }
  assert.equal(unnoticed, []);
});

selfTest("a gradient that is missing or wrong by a hundredth is noticed, whichever input's it is", async () => {
  await using backend = await createWasmBackend({ dtype: "f64", threads: 1 });
  const names = new Set(SEEDS.flatMap((seed) => problemOf(seed).wrt));
  assert.ok(names.size >= 12, [...names].join(", "));
  for (const name of names) {
    for (const factor of [0, 1.01]) {
      const isFound = await isNoticed(backend, (gradients) => {
        gradients[name] = Array.from(gradients[name] ?? [], (x) => factor * x);
      });
      assert.ok(isFound, `${name} times ${factor}`);
    }
  }
});

selfTest.run();
