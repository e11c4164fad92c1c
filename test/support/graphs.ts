// Runs a graph once on host data, for tests of ops and of reverse mode.

import type { Graph } from "../../src/autodiff/graph.ts";
import { lower } from "../../src/autodiff/lower.ts";
import type { Backend, Bindable, DeviceBuffer } from "../../src/backend/backend.ts";
import type { Binding, Program } from "../../src/backend/program.ts";
import type { Csr } from "../../src/core/csr.ts";
import type { FloatArray } from "../../src/core/dtype.ts";
import { lengthOf } from "./oracle/shapes.ts";

/** Data of a binding in device order, or the matrix of a sparse one. */
export type GraphInput = ArrayLike<number> | Csr;

/** Lanes of every run: one narrow panel, all of it used, so device order is [rows][lanes]. */
export const LANES = 4;

/** Lowers and runs `graph`; returns what it has written, by binding. Written bindings without an input start at 0. */
export async function runGraph(
  backend: Backend,
  graph: Graph,
  inputs: Readonly<Record<string, GraphInput>>,
): Promise<Record<string, FloatArray>> {
  return runProgram(backend, lower(graph, "test"), inputs);
}

export async function runProgram(
  backend: Backend,
  program: Program,
  inputs: Readonly<Record<string, GraphInput>>,
): Promise<Record<string, FloatArray>> {
  const [results] = await runProgramOften(backend, program, inputs, 1);
  return results!;
}

/** The same `times` times with what was bound once; written bindings hold their inputs again before each run. */
export async function runProgramOften(
  backend: Backend,
  program: Program,
  inputs: Readonly<Record<string, GraphInput>>,
  times: number,
): Promise<Record<string, FloatArray>[]> {
  const layout = backend.layoutFor(LANES);
  const bindings = program.bindings.filter((b) => !b.temp);
  const held: Record<string, Bindable> = {};
  try {
    for (const b of bindings) {
      held[b.name] = allocate(backend, b, lengthOf(b, layout), inputs[b.name]);
    }
    const bound = backend.bind(backend.compile(program, layout), held);
    const written = bindings.filter((b) => b.access !== "read");
    const runs: Record<string, FloatArray>[] = [];
    for (let run = 0; run < times; run++) {
      for (const b of run > 0 ? written : []) reset(backend, held[b.name] as DeviceBuffer, inputs[b.name]);
      backend.run(bound);
      const results: Record<string, FloatArray> = {};
      for (const b of written) results[b.name] = (await backend.download(held[b.name] as DeviceBuffer)) as FloatArray;
      runs.push(results);
    }
    return runs;
  } finally {
    for (const b of Object.values(held)) b.release();
  }
}

function allocate(backend: Backend, b: Binding, length: number | null, input: GraphInput | undefined): Bindable {
  if (input === undefined && b.access === "read")
    throw new RangeError(`runGraph: expected an input, got none (${b.name})`);
  if (input !== undefined && "rowPtr" in input) return backend.sparse(b.name, input);
  const buffer = backend.buffer(b.name, length!, b.kind === "index" || b.kind === "key" ? "u32" : "float");
  reset(backend, buffer, input);
  return buffer;
}

function reset(backend: Backend, buffer: DeviceBuffer, input: GraphInput | undefined): void {
  if (input === undefined) backend.fill(buffer, 0);
  else backend.upload(buffer, input as ArrayLike<number>);
}
