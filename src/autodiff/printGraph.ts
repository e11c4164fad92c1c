// Graphs as text, for people: the inputs, every value that an effect needs, then the effects. %0, %1, … are the values of the graph;
// temporaries of the program have the names of the values in them. Inputs and constants stand where they are used.

import { shapeOf } from "../backend/printProgram.ts";
import type { Value } from "../ops/value.ts";
import type { Effect, Graph } from "./graph.ts";

/** The inputs, values and effects of a graph, one per line. */
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
  const shown = values.filter((v) => live.has(v));
  const inputs = new Set(shown.flatMap(inputOf));
  const computed = shown.filter(({ op }) => op.type !== "leaf" && op.type !== "const");
  const lines = computed.map((v) => `${nameOf(v)} = ${operationOf(v)} : ${shapeOf(v)}`);
  return [...inputs, "", ...lines, "", ...effects.map(effectOf), ""].join("\n");
}

/** The leaf or matrix in a value. */
function inputOf(v: Value): readonly string[] {
  const { op } = v;
  if (op.type === "leaf") return [`${op.name} : ${shapeOf(v)}`];
  return "matrix" in op ? [`${op.matrix.name} : ${shapeOf({ ...op.matrix, kind: op.matrix.form })}`] : [];
}

function nameOf({ id, op }: Value): string {
  if (op.type === "leaf") return op.name;
  if (op.type === "const") return Object.is(op.value, -0) ? "-0" : `${op.value}`;
  return `%${id}`;
}

function operationOf(v: Value): string {
  const { op } = v;
  const names = v.args.map(nameOf);
  switch (op.type) {
    case "leaf":
    case "const":
      return nameOf(v);
    case "rowIndex":
      return "rowIndex";
    case "pointwise":
      return `${op.fn}(${names.join(", ")})`;
    case "random":
      return `random(${op.key}, ${names[0]})`;
    case "lookup":
      return `${op.table.name}[${names[0]}]`;
    case "gather":
      return `gather(${names[0]}, ${op.index})`;
    case "segmentSum":
      return `segmentSum(${names[0]}, ${op.offsets}, ${op.members})`;
    case "gatherT":
      return `gatherT(${[names[0], op.index, ...(op.offsets === null ? [] : [op.offsets])].join(", ")})`;
    case "broadcast":
      return `broadcast(${names[0]})`;
    case "matmul":
      return `${op.matrix.name} · ${names[0]}`;
    case "matmulT":
      return `${op.matrix.name}ᵀ · ${names[0]}${op.grad === null ? "" : `, ${op.grad} += ${names[0]} · ${names[1]}ᵀ`}`;
    case "reduceRows":
      return `${op.how} over rows of ${names[0]}`;
    case "reduceLanes":
      return `sum over lanes of ${names[0]}`;
  }
}

function effectOf(e: Effect): string {
  if (e.type === "matrixGrad") return `${nameOf(e.value)} for its gradient`;
  if (e.type === "scatter") return `${e.grad}[${nameOf(e.index)}] += ${nameOf(e.value)}`;
  const as = e.kind === e.value.kind ? "" : ` : ${shapeOf(e)}`;
  return `${e.name} ${e.accumulate ? "+=" : "="} ${nameOf(e.value)}${as}`;
}
