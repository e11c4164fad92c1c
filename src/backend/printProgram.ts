// Programs as text, for people: bindings, then the instructions of each phase. v0, v1, … are the values of a phase.

import { alignColumns } from "../core/text.ts";
import { operandsOf } from "./instr.ts";
import { phaseKind } from "./kinds.ts";
import type { Binding, Guard, Instr, Phase, Program } from "./program.ts";

/** The bindings and phases of `program`, one instruction a line. */
export function printProgram(program: Program): string {
  const { name, purpose, guard, bindings, phases } = program;
  return [
    `program ${name}${purpose ? `, ${purpose}` : ""}`,
    ...(guard ? [guardOf(program, guard)] : []),
    "",
    "bindings",
    ...alignColumns(bindings.map(cellsOf)).map((line) => `  ${line}`),
    ...phases.flatMap((phase, i) => [
      "",
      headingOf(program, phase, i),
      ...phase.instrs.map((instr, k) => `  ${textOf(bindings, instr, k)}`),
    ]),
    "",
  ].join("\n");
}

/** The shape of a binding in words: "state 96", "dense 10 × 96". */
export function shapeOf({ kind, rows, cols }: Pick<Binding, "kind" | "rows" | "cols">): string {
  if (kind === "sample" || kind === "scalar" || kind === "key") return kind;
  return cols === undefined ? `${kind} ${rows}` : `${kind} ${rows} × ${cols}`;
}

/** Name, shape, and how it is used. */
function cellsOf(b: Binding): readonly string[] {
  const { name, access, temp } = b;
  return [name, shapeOf(b), temp ? `temporary, phases ${temp.firstPhase} to ${temp.lastPhase}` : access];
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
