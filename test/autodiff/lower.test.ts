// From graphs to programs: what is fused, what is stored, what is computed again, and how long temporaries live.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Graph } from "../../src/autodiff/graph.ts";
import { lower } from "../../src/autodiff/lower.ts";
import { pullBack } from "../../src/autodiff/vjp.ts";
import { hasEffect, valuesOf } from "../../src/backend/instr.ts";
import type { BindingId, Instr, Phase, Program } from "../../src/backend/program.ts";
import type { Controller } from "../../src/ode/method.ts";
import { programsIn, type SolverPrograms, solverPrograms } from "../../src/ode/programs.ts";
import type { Tableau } from "../../src/ode/tableau.ts";
import { dopri5 } from "../../src/ode/tableaus/dopri5.ts";
import { TABLEAUS } from "../../src/ode/tableaus/index.ts";
import { rateSystem } from "../support/systems.ts";

const test = suite("lowering");

const INTEGRAL: Controller = { type: "integral", atol: 1e-6, rtol: 1e-3, safety: 0.9, factorMin: 0.2, factorMax: 10 };

function programsOf(tableau: Tableau, controller: Controller, steps: number): SolverPrograms {
  const system = rateSystem(11, 40, steps);
  const reverse = { wrt: ["hh", "tau", "bias", "drive"], throughStepSizeControl: true };
  return solverPrograms(system, { tableau, controller, maxSteps: 100 }, controller.type === "fixed", reverse);
}

function allPrograms(p: SolverPrograms): readonly Program[] {
  return [p, p.reverse!, p.reverse!.severalPoints].flatMap(programsIn);
}

const contracts = ({ instrs }: Phase) => instrs.some((i) => i.op === "matmul" || i.op === "matmulT");

test("an attempt of Dopri5 takes one phase per new stage and four more; its reverse six and three", () => {
  const { attempt, reverse } = programsOf(dopri5, INTEGRAL, 1);
  assert.is(attempt.phases.filter(contracts).length, 6);
  assert.is(attempt.phases.length, 6 + 4);
  assert.is(reverse!.attemptRecorded.phases.length, 6 + 4, "recording costs stores, not phases");
  assert.is(reverse!.attemptReverse.phases.filter(contracts).length, 6);
  assert.is(reverse!.attemptReverse.phases.length, 6 + 3);
  assert.is(reverse!.attemptReverseDense.phases.length, 6 + 3);
  const { attemptReverse, rebuildStages } = reverse!.severalPoints;
  assert.is(attemptReverse.phases.length, 6 + 3);
  assert.is(rebuildStages.phases.length, 1, "stages come back from what was saved without a product");
  assert.not.ok(rebuildStages.phases.some(contracts));
});

test("a right-hand side is one phase: what surrounds the product is its prologue and epilogue", () => {
  const g = new Graph();
  const { ops } = g;
  const h = g.state("h", 11);
  const u = ops.add(g.state("drive", 11), ops.matmul(g.sparse("hh", 11, 11, 40), h));
  g.store("dh", ops.div(ops.sub(ops.relu(ops.tanh(u)), h), g.row("tau", 11)));
  const program = lower(g, "rhs");
  assert.is(program.phases.length, 1);
  assert.equal(
    program.bindings.filter((b) => b.temp),
    [],
  );
});

test("an operand that a product gathers is complete before: one phase makes it, the next multiplies", () => {
  const g = new Graph();
  g.store("y", g.ops.matmul(g.sparse("w", 11, 11, 40), g.ops.tanh(g.state("x", 11))));
  const { phases, bindings } = lower(g, "product");
  assert.equal(phases.map(contracts), [false, true]);
  const temp = bindings.find((b) => b.temp)!;
  assert.equal([temp.kind, temp.temp], ["state", { firstPhase: 0, lastPhase: 1 }]);
});

test("row arithmetic that is gathered is stored first, and computed on the spot by all others", () => {
  const g = new Graph();
  const weighted = g.ops.mul(g.row("magnitude", 6), g.row("ct", 6));
  g.store("grad", g.segmentSum(weighted, "offsets", "members", 2), { accumulate: true });
  g.store("y", g.ops.mul(weighted, g.state("x", 6)));
  const { phases, bindings } = lower(g, "fold");
  const ops = phases.map((p) => `${p.rows} ${p.lanes}: ${p.instrs.map((i) => i.op).join(" ")}`);
  assert.equal(ops.sort(), [
    "2 none: segmentSum store",
    "6 batch: load load mul load mul store",
    "6 none: load load mul store",
  ]);
  assert.is(bindings.filter((b) => b.temp).length, 1);
});

/** The product of two phases needs a value of x in both: before it as operand, after it as factor. */
function neededTwice(f: (g: Graph) => ReturnType<Graph["state"]>): Program {
  const g = new Graph();
  const v = f(g);
  const sum = g.ops.reduceRows(v);
  g.store("y", g.ops.mul(v, sum));
  return lower(g, "twice");
}

test("a cheap value needed in two phases is computed twice, a dear one stored", () => {
  const count = (p: Program, op: Instr["op"]) => p.phases.flatMap((ph) => ph.instrs).filter((i) => i.op === op).length;
  const cheap = neededTwice((g) => g.ops.add(g.state("x", 5), g.row("a", 5)));
  assert.is(count(cheap, "add"), 2);
  assert.equal(
    cheap.bindings.filter((b) => b.temp).map((b) => b.kind),
    ["sample"],
    "only the sum passes through memory",
  );
  const dear = neededTwice((g) => g.ops.tanh(g.state("x", 5)));
  assert.is(count(dear, "tanh"), 1);
  assert.equal(
    dear.bindings
      .filter((b) => b.temp)
      .map((b) => b.kind)
      .sort(),
    ["sample", "state"],
  );
});

test("what is compared with its own maximum is computed once, however cheap", () => {
  for (const kind of ["state", "row"] as const) {
    const g = new Graph();
    const v = g.ops.add(g.leaf("x", kind, 5), g.row("a", 5));
    g.store("y", g.ops.mul(g.state("z", 5), g.ops.eq(v, g.ops.reduceRows(v, "max"))));
    const instrs = lower(g, "largest").phases.flatMap((p) => p.instrs);
    assert.is(instrs.filter((i) => i.op === "add").length, 1, kind);
  }
});

test("a broadcast value takes no instruction", () => {
  const g = new Graph();
  const t = g.sample("t");
  g.store("y", g.ops.matmul(g.sparse("w", 5, 5, 4), g.ops.broadcast(t, { kind: "state", rows: 5 })));
  const { phases } = lower(g, "broadcast");
  assert.equal(
    phases.map((p) => p.instrs.map((i) => i.op)),
    [
      ["load", "store"],
      ["matmul", "store"],
    ],
  );
});

test("nothing flows back through a detached value, which takes no phase and no instruction", () => {
  const program = (detached: boolean) => {
    const g = new Graph();
    const { ops } = g;
    const x = g.state("x", 11);
    const most = ops.reduceRows(x, "max");
    const shift = detached ? g.detach(most) : most;
    const y = ops.mul(ops.sub(x, shift), most);
    g.store("y", y);
    return { g, x, most, shift, y, lowered: lower(g, "shifted") };
  };
  const { g, x, most, shift, y, lowered } = program(true);
  assert.equal(lowered, program(false).lowered);
  const ct = g.state("ct", 11);
  pullBack(g, g, [[y, ct]], new Map([["x", { binding: "ct.x", accumulate: false }]]), (v) => v);
  const { ops } = g;
  // The factor `most` passes its part on; the shift does not.
  const ofMost = ops.reduceRows(ops.mul(ct, ops.sub(x, shift)));
  const wins = ops.eq(x, most);
  const expected = ops.add(ops.mul(ct, most), ops.mul(wins, ops.div(ofMost, ops.reduceRows(wins))));
  const stored = g.effects.find((e) => e.type === "store" && e.name === "ct.x");
  assert.is(stored?.value, expected);
});

test("a value that is an output anyway is read from there, not stored twice", () => {
  const g = new Graph();
  const v = g.ops.tanh(g.state("x", 5));
  g.store("v", v);
  g.store("y", g.ops.mul(v, g.ops.reduceRows(v)));
  const { bindings, phases } = lower(g, "output");
  assert.equal(
    bindings.filter((b) => b.temp && b.kind === "state"),
    [],
  );
  assert.is(phases.flatMap((p) => p.instrs).filter((i) => i.op === "tanh").length, 1);
});

test("what nothing stores is left out", () => {
  const g = new Graph();
  const x = g.state("x", 5);
  g.ops.matmul(g.sparse("w", 5, 5, 4), g.ops.exp(x));
  g.store("y", g.ops.add(x, 1));
  const { bindings, phases } = lower(g, "dead");
  assert.equal(bindings.map((b) => b.name).sort(), ["x", "y"]);
  assert.equal(
    phases.map((p) => p.instrs.map((i) => i.op)),
    [["load", "const", "add", "store"]],
  );
});

test("a leaf that is updated in place is written after every read of it", () => {
  const g = new Graph();
  const m = g.row("m", 7);
  const next = g.ops.add(g.ops.mul(0.9, m), g.row("g", 7));
  g.store("m", next);
  g.store("p", g.ops.sub(g.row("p", 7), g.ops.mul(next, m)));
  const { bindings, phases } = lower(g, "in place");
  assert.is(phases.length, 1);
  const { instrs } = phases[0]!;
  const idOf = (name: string) => bindings.findIndex((b) => b.name === name);
  for (const name of ["m", "p"]) {
    const touches = instrs.flatMap((i, at) => ("binding" in i && i.binding === idOf(name) ? [{ op: i.op, at }] : []));
    assert.is(touches.at(-1)!.op, "store", name);
    assert.equal(
      touches.slice(0, -1).map((t) => t.op),
      ["load"],
      name,
    );
    assert.is(bindings[idOf(name)]!.access, "readwrite", name);
  }
});

/** Bindings that an instruction reads and those it writes. */
function usesOf(i: Instr): { reads: BindingId[]; gathers: BindingId[]; writes: BindingId[] } {
  const none = { reads: [], gathers: [], writes: [] };
  switch (i.op) {
    case "load":
      return { ...none, reads: [i.binding] };
    case "matmul":
      return { ...none, gathers: [i.x] };
    case "matmulT":
      return { ...none, gathers: [i.g] };
    case "lookup":
      return { ...none, gathers: [i.table] };
    case "gather":
      return { ...none, gathers: [i.source] };
    case "store":
    case "reduceRows":
    case "reduceLanes":
      return { ...none, writes: [i.binding] };
    default:
      return none;
  }
}

const METHODS: readonly (readonly [string, Controller])[] = TABLEAUS.flatMap((tableau) => {
  const fixed: readonly [string, Controller] = [tableau.name, { type: "fixed" }];
  return tableau.bErr ? [fixed, [tableau.name, INTEGRAL] as const] : [fixed];
});

test("temporaries are written before they are read, gathered only in later phases, and live exactly as long as stated", () => {
  let checked = 0;
  for (const [name, controller] of METHODS) {
    const tableau = TABLEAUS.find((t) => t.name === name)!;
    for (const program of [1, 3].flatMap((steps) => allPrograms(programsOf(tableau, controller, steps)))) {
      program.bindings.forEach((b, id) => {
        if (!b.temp) return;
        const label = `${name}, ${controller.type}, ${program.name}, ${b.name}`;
        const touched: number[] = [];
        let writtenIn = -1;
        program.phases.forEach(({ instrs }, phase) => {
          for (const i of instrs) {
            const { reads, gathers, writes } = usesOf(i);
            if (![reads, gathers, writes].some((ids) => ids.includes(id))) continue;
            touched.push(phase);
            if (writes.includes(id)) {
              assert.is(writtenIn, -1, `${label} is written once`);
              writtenIn = phase;
            } else assert.ok(writtenIn >= 0 && writtenIn < phase, `${label} is complete when read`);
          }
        });
        assert.equal(b.temp, { firstPhase: touched[0], lastPhase: touched.at(-1) }, label);
        assert.ok(touched.at(-1)! > touched[0]!, `${label} is read`);
        checked++;
      });
    }
  }
  assert.ok(checked > 500, "programs with temporaries were checked");
});

test("no phase loads or computes anything twice, or for nothing", () => {
  let checked = 0;
  for (const [name, controller] of METHODS) {
    const tableau = TABLEAUS.find((t) => t.name === name)!;
    for (const program of [1, 3].flatMap((steps) => allPrograms(programsOf(tableau, controller, steps)))) {
      for (const [phase, { instrs }] of program.phases.entries()) {
        const label = `${name}, ${controller.type}, ${program.name}, phase ${phase}`;
        const values = instrs.filter((instr) => !hasEffect(instr)).map((instr) => JSON.stringify(instr));
        assert.equal(values, [...new Set(values)], `${label}: twice`);
        const used = new Set(instrs.flatMap(valuesOf));
        const idle = instrs.filter((instr, i) => !hasEffect(instr) && !used.has(i));
        assert.equal(idle, [], `${label}: for nothing`);
        checked += values.length;
      }
    }
  }
  assert.ok(checked > 10_000, `${checked} values were checked`);
});

test("the reverse of an attempt multiplies with Wᵀ only, each product giving the weight gradient in the same walk", () => {
  const { attemptReverse } = programsOf(dopri5, INTEGRAL, 1).reverse!;
  const instrs = attemptReverse.phases.flatMap((p) => p.instrs);
  assert.is(instrs.filter((i) => i.op === "matmul").length, 0, "products are saved, not computed again");
  const walks = instrs.filter((i) => i.op === "matmulT");
  assert.is(walks.length, 6);
  assert.ok(walks.every((i) => i.op === "matmulT" && i.grad !== undefined));
});

test.run();
