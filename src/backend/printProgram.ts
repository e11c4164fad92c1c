// Programs as text, for people: bindings, then the instructions of each phase. v0, v1, … are the values of a phase.

import { operandsOf } from "./instr.ts";
import { phaseKind } from "./kinds.ts";
import type { Binding, Guard, Instr, Phase, Program } from "./program.ts";

/** The bindings and phases of `program`, one instruction a line. */
export function printProgram(program: Program): string {
  const { name, purpose, guard, bindings, phases } = program;
  const widths = [0, 1].map((column) => Math.max(0, ...bindings.map((b) => cellsOf(b)[column]!.length)));
  return [
    `program ${name}${purpose ? `, ${purpose}` : ""}`,
    ...(guard ? [guardOf(program, guard)] : []),
    "",
    "bindings",
    ...bindings.map((b) => {
      const [first, second, third] = cellsOf(b);
      return `  ${first!.padEnd(widths[0]!)}  ${second!.padEnd(widths[1]!)}  ${third}`;
    }),
    ...phases.flatMap((phase, i) => ["", headingOf(program, phase, i), ...linesOf(program, phase)]),
    "",
  ].join("\n");
}

/** The instructions of one phase, one a line. */
export function linesOf(program: Program, phase: Phase): readonly string[] {
  return phase.instrs.map((instr, i) => `  ${textOf(program.bindings, instr, i)}`);
}

/** Name, shape, and how it is used. */
function cellsOf({ name, kind, rows, cols, access, temp }: Binding): readonly string[] {
  const shape = kind === "sample" || kind === "scalar" || kind === "key" ? kind : `${kind} ${rows}`;
  const use = temp ? `temporary, phases ${temp.firstPhase} to ${temp.lastPhase}` : access;
  return [name, cols === undefined ? shape : `${shape} × ${cols}`, use];
}

function guardOf({ bindings }: Program, { scalars, skips }: Guard): string {
  const names = scalars.map((id) => bindings[id]!.name).join(" or ");
  return `skips ${skips === "states" ? "phases of several rows" : "everything"} where ${names} is 0`;
}

function headingOf(program: Program, phase: Phase, i: number): string {
  const rows = `${phase.rows} ${phase.rows === 1 ? "row" : "rows"}`;
  return `phase ${i}: ${phaseKind(program, phase)}, ${rows}${phase.lanes === "batch" ? " × lanes" : ""}`;
}

function textOf(bindings: readonly Binding[], instr: Instr, i: number): string {
  const nameOf = (id: number): string => bindings[id]!.name;
  switch (instr.op) {
    case "load": {
      const { name, kind } = bindings[instr.binding]!;
      return `v${i} = load ${name}${kind === "state" ? "" : ` (${kind})`}`;
    }
    case "const":
      return `v${i} = ${Object.is(instr.value, -0) ? "-0" : instr.value}`;
    case "store":
      return `${nameOf(instr.binding)} ${instr.accumulate ? "+=" : "="} v${instr.value}`;
    case "reduceRows":
      return `${nameOf(instr.binding)} ${instr.accumulate ? "+=" : "="} ${instr.how} over rows of v${instr.value}`;
    case "reduceLanes":
      return `${nameOf(instr.binding)} ${instr.accumulate ? "+=" : "="} sum over lanes of v${instr.value}`;
    case "scatter":
      return `${nameOf(instr.table)}[v${instr.index}] += v${instr.value}`;
    default: {
      const operands = operandsOf(instr).map(({ name, role, is }) => {
        const text = role === "value" ? `v${is}` : role === "literal" ? `${is}` : nameOf(is);
        return "args" in instr ? text : `${name}: ${text}`;
      });
      return `v${i} = ${instr.op}(${operands.join(", ")})`;
    }
  }
}
