// Explains a program on a device: its graph, phases, buffers and generated code, and its cost by formula. Everything follows from the
// program, so no device is opened.

import { sourceOf } from "../autodiff/lower.ts";
import { printGraph } from "../autodiff/printGraph.ts";
import { checkProgram } from "../backend/checkProgram.ts";
import { GATHERS, type Gather } from "../backend/gather.ts";
import { type PhaseKind, phaseKind } from "../backend/kinds.ts";
import { elementTypeOf, layoutFor, lengthOf } from "../backend/layout.ts";
import { printProgram, shapeOf } from "../backend/printProgram.ts";
import type { Binding, PanelLayout, Program, Purpose } from "../backend/program.ts";
import { printCode } from "../backend/wasm/printCode.ts";
import { printShaders } from "../backend/webgpu/printShaders.ts";
import { bytesOf, type DType } from "../core/dtype.ts";
import { ArgumentError } from "../core/errors.ts";
import { formatCount } from "../core/format.ts";
import { checkNames } from "../core/optionNames.ts";
import { alignColumns } from "../core/text.ts";
import { phaseCosts, type StoredEntries, storedEntries, totalBytes } from "../profile/cost.ts";

/** The forms in which a program is shown; files are named after them. */
export const FORMS = ["graph", "phases", "buffers", "code"] as const;

/**
 * What to show of a program. `graph`: the inputs, values and effects that it was made of. `phases`: its instructions. `buffers`: its
 * bindings and their bytes. `code`: the code that the device runs, WebAssembly text or WGSL.
 */
export type ExplainForm = (typeof FORMS)[number];

/** The device of an explanation. */
export interface ExplainOptions {
  readonly device: "wasm" | "webgpu";
  /** Default "f32", which is all that WebGPU has. */
  readonly dtype?: DType;
  /** Samples that a run takes at once; default 16, the most on the CPU. */
  readonly lanes?: number;
  /** Whether the GPU has the feature "subgroups"; default true. */
  readonly subgroups?: boolean;
  /** What sparse products gather on a GPU; default "f32". */
  readonly gather?: Gather;
}

/** An array that a program is bound to, or a temporary. */
export interface ExplainedBinding extends Pick<Binding, "name" | "kind" | "rows" | "cols" | "access"> {
  readonly temporary: boolean;
  /** null: a sparse matrix whose number of entries is not known. */
  readonly bytes: number | null;
}

/** A dispatch: its kernel (kernels/<kernel>.wgsl), the rows that it covers, the bindings that it reads and writes. */
export interface ExplainedDispatch {
  readonly kernel: string;
  readonly rows: number;
  readonly reads: readonly string[];
  readonly writes: readonly string[];
}

/** A phase, with its cost by formula (null: unknown entries of a sparse matrix). */
export interface ExplainedPhase {
  readonly kind: PhaseKind;
  readonly rows: number;
  readonly instructions: number;
  readonly flops: number | null;
  readonly bytes: number | null;
}

/** A program on a device, and the cost of one run. */
export interface ProgramExplanation {
  readonly name: string;
  readonly purpose: Purpose | null;
  readonly device: "wasm" | "webgpu";
  readonly dtype: DType;
  readonly layout: PanelLayout;
  readonly bindings: readonly ExplainedBinding[];
  readonly phases: readonly ExplainedPhase[];
  /** Of one run, by formula; bytes are those that loads, stores and products move, through caches or not. */
  readonly flops: number | null;
  readonly bytes: number | null;
  /** Temporaries and partial results, in memory that all programs share. */
  readonly temporaryBytes: number;
  /** webgpu: the kernels of a run, one after another; wasm: null, as one call runs all phases. */
  readonly dispatches: readonly ExplainedDispatch[] | null;
  /** wasm: number of generated functions; webgpu: null. */
  readonly functions: number | null;
  /** `graph` is empty if `lower` did not make the program. */
  readonly text: Readonly<Record<ExplainForm, string>>;
}

const OPTIONS: Readonly<Record<keyof ExplainOptions, true>> = {
  device: true,
  dtype: true,
  lanes: true,
  subgroups: true,
  gather: true,
};

/**
 * Explains a program of any origin: of `lower`, of `OdeSolver.programs`, of a `ProgramRecorder`.
 *
 *     const { attempt } = solver.programs;
 *     console.log(explainProgram(attempt, { device: "wasm" }).text.phases);
 *
 * @throws {ArgumentError} an unknown option or device, or f64 on webgpu
 * @throws {BackendError} more lanes than a run can take, or a program that breaks the rules of the format
 */
export function explainProgram(program: Program, options: ExplainOptions): ProgramExplanation {
  checkNames("explainProgram", options, OPTIONS);
  const { device, dtype = "f32", lanes = 16, subgroups = true, gather = "f32" } = options;
  if (device !== "wasm" && device !== "webgpu")
    throw new ArgumentError("explainProgram", "device", '"wasm" or "webgpu"', `"${device}"`);
  if (!GATHERS.includes(gather)) throw new ArgumentError("explainProgram", "gather", '"f32" or "f16"', `"${gather}"`);
  if (device === "wasm" && gather === "f16")
    throw new ArgumentError("explainProgram", "gather", '"f32" on wasm', '"f16"');
  if (device === "webgpu" && dtype === "f64")
    throw new ArgumentError("explainProgram", "dtype", '"f32" on webgpu', '"f64"');
  checkProgram(program);
  const layout = layoutFor(lanes, device === "wasm" ? 16 : Number.POSITIVE_INFINITY);
  const source = sourceOf(program);
  const code = device === "wasm" ? cpuCode(program, layout, dtype) : gpuCode(program, layout, { subgroups, gather });
  const entriesOf = (b: Binding): StoredEntries | null => {
    const matrix = source?.matrices.get(b.name);
    return matrix ? storedEntries(matrix.stored, matrix.rows, matrix.cols) : null;
  };
  const phases = explainedPhases(program, layout, dtype, entriesOf);
  const bindings = program.bindings.map((b) => explainedBinding(b, layout, dtype, entriesOf));
  const sum = (of: "flops" | "bytes"): number | null =>
    phases.reduce<number | null>((total, phase) => plus(total, phase[of]), 0);
  return {
    name: program.name,
    purpose: program.purpose ?? null,
    ...{ device, dtype, layout, bindings, phases },
    ...{ flops: sum("flops"), bytes: sum("bytes") },
    ...{ temporaryBytes: code.temporaryBytes, dispatches: code.dispatches, functions: code.functions },
    text: {
      graph: source ? printGraph(source) : "",
      phases: printProgram(program),
      buffers: printBuffers(bindings, code.temporaryBytes),
      code: code.text,
    },
  };
}

interface DeviceCode extends Pick<ProgramExplanation, "temporaryBytes" | "dispatches" | "functions"> {
  readonly text: string;
}

function cpuCode(program: Program, layout: PanelLayout, dtype: DType): DeviceCode {
  const { steps, functions, temporaryBytes, registerBytes } = printCode(program, layout, dtype);
  const heading = `${program.name}: ${functions.length} functions, ${registerBytes} bytes of registers`;
  const comments = [heading, "", ...steps.split("\n")].map((line) => `;; ${line}`.trimEnd());
  const text = [...comments, ...functions].join("\n");
  return { temporaryBytes, dispatches: null, functions: functions.length, text };
}

function gpuCode(
  program: Program,
  layout: PanelLayout,
  options: Required<Pick<ExplainOptions, "subgroups" | "gather">>,
): DeviceCode {
  const { dispatches, temporaryBytes } = printShaders(program, layout, options);
  const text = dispatches
    .map(({ kernel, rows, reads, writes, wgsl }, i) =>
      [
        `// ${program.name}, dispatch ${i} of ${dispatches.length}: ${kernel}, rows: ${rows}`,
        `// reads ${reads.join(", ") || "nothing"}`,
        `// writes ${writes.join(", ") || "nothing"}`,
        wgsl,
        "",
      ].join("\n"),
    )
    .join("\n");
  return { temporaryBytes, dispatches: dispatches.map(({ wgsl: _, ...facts }) => facts), functions: null, text };
}

type EntriesOf = (binding: Binding) => StoredEntries | null;

function explainedPhases(
  program: Program,
  layout: PanelLayout,
  dtype: DType,
  entriesOf: EntriesOf,
): readonly ExplainedPhase[] {
  const isKnown = program.bindings.every((b) => b.kind !== "sparse" || entriesOf(b) !== null);
  const costs = isKnown ? phaseCosts(program, layout, bytesOf(dtype), (b) => entriesOf(b)!) : null;
  return program.phases.map((phase, i) => ({
    kind: phaseKind(program, phase),
    rows: phase.rows,
    instructions: phase.instrs.length,
    flops: costs && costs[i]!.flops,
    bytes: costs && totalBytes(costs[i]!),
  }));
}

function explainedBinding(b: Binding, layout: PanelLayout, dtype: DType, entriesOf: EntriesOf): ExplainedBinding {
  const { name, kind, rows, cols, access } = b;
  return {
    ...{ name, kind, rows, ...(cols !== undefined && { cols }), access },
    temporary: b.temp !== undefined,
    bytes:
      kind === "sparse"
        ? sparseBytes(b, entriesOf(b), dtype)
        : lengthOf(b, layout) * (elementTypeOf(b) === "u32" ? 4 : bytesOf(dtype)),
  };
}

/** Both orders, values and structure, and the permutation between them. */
function sparseBytes({ rows, cols = rows }: Binding, entries: StoredEntries | null, dtype: DType): number | null {
  if (!entries) return null;
  const { nnz, indexBytes } = entries;
  return nnz * (2 * bytesOf(dtype) + 2 * indexBytes + 4) + 4 * (rows + cols + 2);
}

function printBuffers(bindings: readonly ExplainedBinding[], temporaryBytes: number): string {
  const rows = bindings.map((b) => [
    b.name,
    shapeOf(b),
    b.temporary ? "temporary" : b.access,
    b.bytes === null ? "unknown" : formatCount(b.bytes),
  ]);
  const table = alignColumns([["binding", "shape", "use", "bytes"], ...rows], [3]);
  const total = `temporaries, which share memory where they can: ${formatCount(temporaryBytes)} bytes`;
  return [...table, "", total, ""].join("\n");
}

function plus(a: number | null, b: number | null): number | null {
  return a === null || b === null ? null : a + b;
}
