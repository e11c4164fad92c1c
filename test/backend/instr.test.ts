// The table of roles, against what the oracle says of instructions, which shares nothing with it.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  accessesOf,
  closureOf,
  hasEffect,
  isWrite,
  operandsOf,
  ROLES,
  valuesOf,
  withValues,
} from "../../src/backend/instr.ts";
import type { Instr } from "../../src/backend/program.ts";
import { conformanceCases } from "../support/conformance.ts";
import { accessesOf as oracleAccessesOf } from "../support/oracle/check.ts";

const test = suite("roles of operands");

const INSTRS = conformanceCases({ maxLanes: 16 }).flatMap(({ program }) => program.phases.flatMap((p) => p.instrs));

/** The bindings of an instruction with one of these roles. */
const bindingsOf = (instr: Instr, ...roles: readonly string[]): number[] =>
  accessesOf(instr).flatMap(({ binding, role }) => (roles.includes(role) ? [binding] : []));

test("accesses are those of the oracle, for every instruction", () => {
  const met = new Set(INSTRS.map(({ op }) => op));
  for (const op of Object.keys(ROLES)) assert.ok(met.has(op as Instr["op"]), op);
  for (const instr of INSTRS) {
    const { reads, gathers, writes } = oracleAccessesOf(instr);
    const accumulates = "accumulate" in instr && instr.accumulate;
    const read = bindingsOf(instr, "read", "gather", "add", ...(accumulates ? ["write", "reduce"] : []));
    assert.equal([read, bindingsOf(instr, "gather")], [[...reads], [...gathers]], JSON.stringify(instr));
    assert.equal(
      accessesOf(instr)
        .filter(isWrite)
        .map((a) => a.binding),
      [...writes],
      JSON.stringify(instr),
    );
    assert.is(hasEffect(instr), writes.length > 0);
  }
});

test("operands are named by their place in the instruction", () => {
  const instr: Instr = { op: "matmulT", matrix: 4, g: 5, needCt: true, grad: { x: 0, binding: 6 } };
  assert.equal(operandsOf(instr), [
    { name: "matrix", role: "gather", is: 4 },
    { name: "g", role: "gather", is: 5 },
    { name: "needCt", role: "literal", is: true },
    { name: "grad.x", role: "value", is: 0 },
    { name: "grad.binding", role: "add", is: 6 },
  ]);
  assert.equal(operandsOf({ op: "sub", args: [3, 1] }), [
    { name: "args.0", role: "value", is: 3 },
    { name: "args.1", role: "value", is: 1 },
  ]);
});

test("operands that an instruction lacks are left out, those that are 0 are not", () => {
  const names = (instr: Instr): string[] => operandsOf(instr).map(({ name }) => name);
  assert.equal(names({ op: "gatherT", source: 0, index: 0, offsets: null }), ["source", "index"]);
  assert.equal(names({ op: "gatherT", source: 0, index: 1, offsets: 0 }), ["source", "index", "offsets"]);
  assert.equal(names({ op: "matmulT", matrix: 0, g: 0, needCt: false }), ["matrix", "g", "needCt"]);
});

test("values are renamed wherever they stand, and nothing else is", () => {
  for (const instr of INSTRS) {
    const before = JSON.stringify(instr);
    const renamed = withValues(instr, (v) => v + 100);
    assert.equal(
      valuesOf(renamed),
      valuesOf(instr).map((v) => v + 100),
      before,
    );
    assert.equal(accessesOf(renamed), accessesOf(instr), before);
    assert.is(JSON.stringify(withValues(renamed, (v) => v - 100)), before);
    assert.is(JSON.stringify(instr), before);
  }
});

test("a closure holds what a value depends on, in order", () => {
  const instrs: Instr[] = [
    { op: "load", binding: 0 },
    { op: "const", value: 2 },
    { op: "neg", args: [0] },
    { op: "mul", args: [2, 1] },
    { op: "store", binding: 1, value: 3, accumulate: false },
    { op: "matmulT", matrix: 2, g: 0, needCt: true, grad: { x: 2, binding: 3 } },
  ];
  assert.equal(closureOf(instrs, [3]), [0, 1, 2, 3]);
  assert.equal(closureOf(instrs, [5, 1]), [0, 1, 2, 5]);
});

test.run();
