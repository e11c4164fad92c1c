// Graphs as text, for people: every value that an effect needs, then the effects. %0, %1, … are the values of the graph; temporaries of
// the program have the names of the values in them.

import { shapeOf } from "../backend/printProgram.ts";
import type { Value } from "../ops/value.ts";
import type { Effect, Graph } from "./graph.ts";

/** The values and effects of a graph, one a line. */
export function printGraph({ values, effects }: Pick<Graph, "values" | "effects">): string {
  const live = new Set<Value>();
  const visit = (v: Value): void => {
    if (live.has(v)) return;
    live.add(v);
    v.args.forEach(visit);
  };
  for (const e of effects) {
    visit(e.value);
    if (e.type === "scatter") visit(e.index);
  }
  const lines = values.filter((v) => live.has(v)).map((v) => `%${v.id} = ${operationOf(v)} : ${shapeOf(v)}`);
  return [...lines, "", ...effects.map(effectOf), ""].join("\n");
}

function operationOf({ op, args }: Value): string {
  const ids = args.map((a) => `%${a.id}`);
  switch (op.type) {
    case "leaf":
      return op.name;
    case "const":
      return Object.is(op.value, -0) ? "-0" : `${op.value}`;
    case "rowIndex":
      return "rowIndex";
    case "pointwise":
      return `${op.fn}(${ids.join(", ")})`;
    case "random":
      return `random(${op.key}, ${ids[0]})`;
    case "lookup":
      return `${op.table.name}[${ids[0]}]`;
    case "gather":
      return `gather(${ids[0]}, ${op.index})`;
    case "segmentSum":
      return `segmentSum(${ids[0]}, ${op.offsets}, ${op.members})`;
    case "gatherT":
      return `gatherT(${[ids[0], op.index, ...(op.offsets === null ? [] : [op.offsets])].join(", ")})`;
    case "broadcast":
      return `broadcast(${ids[0]})`;
    case "matmul":
      return `${op.matrix.name} · ${ids[0]}`;
    case "matmulT":
      return `${op.matrix.name}ᵀ · ${ids[0]}${op.grad === null ? "" : `, ${op.grad} += ${ids[0]} · ${ids[1]}ᵀ`}`;
    case "reduceRows":
      return `${op.how} over rows of ${ids[0]}`;
    case "reduceLanes":
      return `sum over lanes of ${ids[0]}`;
  }
}

function effectOf(e: Effect): string {
  if (e.type === "matrixGrad") return `%${e.value.id} for its gradient`;
  if (e.type === "scatter") return `${e.grad}[%${e.index.id}] += %${e.value.id}`;
  const as = e.kind === e.value.kind ? "" : ` : ${shapeOf(e)}`;
  return `${e.name} ${e.accumulate ? "+=" : "="} %${e.value.id}${as}`;
}
