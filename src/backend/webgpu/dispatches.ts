// An executable and its buffers → dispatches that only have to be recorded. Everything a run needs is made here.

import { BackendError } from "../../core/errors.ts";
import type { BoundProgram } from "../backend.ts";
import { bindError } from "../checkBuffers.ts";
import type { BindingId, PanelLayout } from "../program.ts";
import type { Device } from "./device.ts";
import { type Compressed, GpuDeviceBuffer, type GpuMatrix, type Memory } from "./deviceBuffers.ts";
import type { GpuExecutable } from "./executable.ts";
import { gemmGrid } from "./gemmShader.ts";
import { isProduct } from "./legalize.ts";
import { panelVecs } from "./panels.ts";
import type { Pipelines } from "./pipelines.ts";
import { accessesOfPlan, type DispatchPlan, sparseMatrixOf } from "./plan.ts";
import type { BoundDispatch, Work } from "./queue.ts";
import { SPARSE_SLOTS, SPARSE_WORKGROUP } from "./rowBlocks.ts";
import type { FactName, Param, Shader } from "./shader.ts";
import { ALIGNMENT, type Piece, type Slab, type SlabAllocator } from "./slabs.ts";
import { blockPanels } from "./sparseTuning.ts";
import { vectorSumGroups } from "./vectorSums.ts";
import { workOf } from "./work.ts";

type Bound = GpuDeviceBuffer | GpuMatrix;

export interface BindContext {
  readonly device: Device;
  readonly pipelines: Pipelines;
  readonly memory: Memory;
  readonly uniforms: SlabAllocator;
  writeUniforms(piece: Piece, words: Uint32Array): void;
}

const MAX_GRID = 65535;

/**
 * @param bound  by BindingId: what is bound; null for a temporary
 * @throws {BackendError} "binding" where two names mean memory that this executable needs under one; "limit"
 */
export function bindProgram(
  context: BindContext,
  executable: GpuExecutable,
  bound: readonly (Bound | null)[],
): GpuBound {
  const { program, plan } = executable;
  for (const target of plan.deferredTargets) {
    if (!bound[target] || bound.indexOf(bound[target]) === bound.lastIndexOf(bound[target])) continue;
    const { name } = plan.bindings[target]!;
    throw bindError(program, "a reduction's result under one name", "the same memory twice", name);
  }
  return new Binder(context, executable, bound).bind();
}

export class GpuBound implements BoundProgram {
  readonly executable: GpuExecutable;
  readonly bound: readonly (Bound | null)[];
  readonly dispatches: readonly BoundDispatch[];
  /** What one run does. */
  readonly work: Work;
  readonly #free: () => void;
  #released = false;

  /** @param free  gives the memory of its parameters back */
  constructor(
    executable: GpuExecutable,
    bound: readonly (Bound | null)[],
    dispatches: readonly BoundDispatch[],
    free: () => void,
  ) {
    this.executable = executable;
    this.bound = bound;
    this.dispatches = dispatches;
    this.work = totalOf(dispatches);
    this.#free = free;
  }

  get released(): boolean {
    return this.#released;
  }

  release(): void {
    if (this.#released) return;
    this.#released = true;
    this.#free();
  }
}

class Binder {
  readonly #context: BindContext;
  readonly #executable: GpuExecutable;
  readonly #bound: readonly (Bound | null)[];

  constructor(context: BindContext, executable: GpuExecutable, bound: readonly (Bound | null)[]) {
    this.#context = context;
    this.#executable = executable;
    this.#bound = bound;
  }

  bind(): GpuBound {
    const { plan } = this.#executable;
    const steps = plan.dispatches.flatMap((dispatch, at) => this.#steps(dispatch, at));
    const strides = steps.map(({ shader }) => Math.ceil((4 * shader.params.length) / ALIGNMENT) * ALIGNMENT);
    const uniforms = this.#context.uniforms.allocate(
      `${plan.name}: uniforms`,
      strides.reduce((sum, stride) => sum + stride, 0),
    );
    const words = new Uint32Array(uniforms.byteLength / 4);
    let at = uniforms.byteOffset;
    const dispatches = steps.map((step, k): BoundDispatch => {
      words.set(
        step.shader.params.map((param) => this.#param(param, step)),
        (at - uniforms.byteOffset) / 4,
      );
      const dispatch = this.#dispatch(step, uniforms.slab.buffer, at, strides[k]!);
      at += strides[k]!;
      return dispatch;
    });
    this.#context.writeUniforms(uniforms, words);
    const { ledger } = this.#context.memory;
    ledger.bound();
    return new GpuBound(this.#executable, this.#bound, dispatches, () => {
      this.#context.uniforms.release(uniforms);
      ledger.unbound();
    });
  }

  /** A dispatch of the plan is one step, or one per block of lanes where blocks have to follow one another. */
  #steps(dispatch: DispatchPlan, at: number): Step[] {
    const { layout, plan, tuning } = this.#executable;
    const slabs = [...new Set(accessesOfPlan(dispatch).map((a) => this.#piece(a.binding).slab))];
    const slabOf = (id: BindingId): number => slabs.indexOf(this.#piece(id).slab);
    const pattern = accessesOfPlan(dispatch).map((a) => slabOf(a.binding));
    const shader = this.#executable.shader(at, slabOf, pattern.join(" "));
    const matrix = this.#compressed(dispatch);
    this.#checkSlots(shader, slabs, matrix);
    const work = workOf(dispatch, plan.bindings, layout, matrix ? sizeOf(matrix) : { nnz: 0, bytes: 0 });
    const label = `${plan.name}: ${dispatch.kernel}`;
    const facts = this.#facts(dispatch, matrix);
    const step = { label, shader, matrix, grid: this.#grid(dispatch, matrix), work, facts };
    if (!("crossesLanes" in dispatch) || !dispatch.crossesLanes) return [step];
    const perBlock = blockPanels(dispatch, layout, tuning);
    const blocks = Math.ceil(layout.panels / perBlock);
    return Array.from({ length: blocks }, (_, k) => {
      return { ...step, work: scaled(work, 1 / blocks), facts: { ...facts, firstPanel: k * perBlock } };
    });
  }

  #dispatch(step: Step, uniforms: GPUBuffer, offset: number, size: number): BoundDispatch {
    const { label, shader, matrix, grid, work } = step;
    const { pipeline, layout } = this.#context.pipelines.get(label, shader.source, shader.slots);
    const resources = shader.slots.map((slot): GPUBuffer => {
      if (slot.kind === "slab") return this.#piece(slot.bindings[0]!).slab.buffer;
      return (slot.kind === "structure" ? matrix!.structure : matrix!.values).piece.slab.buffer;
    });
    const entries: GPUBindGroupEntry[] = [{ binding: 0, resource: { buffer: uniforms, offset, size } }];
    resources.forEach((buffer, k) => {
      entries.push({ binding: k + 1, resource: { buffer } });
    });
    const bindGroup = this.#context.device.bindGroup({ label, layout, entries });
    return { label, pipeline, bindGroup, grid, work };
  }

  #param(param: Param, step: Step): number {
    if (param.kind === "offset") return this.#piece(param.binding).byteOffset / 16;
    return step.facts[param.name]!;
  }

  #facts(dispatch: DispatchPlan, matrix: Compressed | null): Facts {
    const { layout } = this.#executable;
    const { panels } = layout;
    if (matrix) {
      const { blocks, marksAt, mark } = matrix;
      return { ...blocks, marksAt, mark, panels, groups: sparseGroups(layout, matrix), firstPanel: 0 };
    }
    return dispatch.kernel === "vector" ? { panels, rows: dispatch.phase.rows, groups: dispatch.groups } : { panels };
  }

  #grid(dispatch: DispatchPlan, matrix: Compressed | null): [number, number, number] {
    const { layout, plan, tuning } = this.#executable;
    switch (dispatch.kernel) {
      case "spmm":
      case "spmmGrad": {
        const perBlock = blockPanels(dispatch, layout, tuning);
        const laneBlocks = dispatch.crossesLanes ? 1 : Math.ceil(layout.panels / perBlock);
        return [...folded(sparseGroups(layout, matrix)), laneBlocks];
      }
      case "gemm":
        return this.#checkGrid(plan.name, gemmGrid(dispatch, plan.bindings, layout));
      case "map": {
        const sumsLanes = dispatch.phase.instrs.some((instr) => instr.op === "reduceLanes");
        return this.#checkGrid(plan.name, [dispatch.groups, sumsLanes ? 1 : layout.panels, 1]);
      }
      case "segmentSum":
      case "gatherT":
        return [...folded(vectorSumGroups(dispatch.phase)), 1];
      case "vector":
        return [...folded(dispatch.groups), 1];
      case "tail":
        return [dispatch.oneGroup ? 1 : layout.panels, 1, 1];
    }
  }

  #checkGrid(where: string, grid: [number, number, number]): [number, number, number] {
    if (grid.every((n) => n <= MAX_GRID)) return grid;
    throw new BackendError("limit", `${where}: expected at most ${MAX_GRID} workgroups per dimension, got ${grid}`);
  }

  #compressed(dispatch: DispatchPlan): Compressed | null {
    const matrix = sparseMatrixOf(dispatch);
    if (matrix === null || !("product" in dispatch)) return null;
    const product = dispatch.phase.instrs[dispatch.product]!;
    const bound = this.#bound[matrix] as GpuMatrix;
    return isProduct(product) && product.op === "matmul" ? bound.csr : bound.csc;
  }

  /** A matrix is read through bindings of its own: it must not lie in a slab that the same dispatch binds. */
  #checkSlots({ slots }: Shader, slabs: readonly Slab[], matrix: Compressed | null): void {
    const { device } = this.#context;
    const { program } = this.#executable;
    const most = device.limit("maxStorageBuffersPerShaderStage");
    if (slots.length > most) {
      throw new BackendError(
        "limit",
        `${program.name}: expected at most ${most} storage buffers in a kernel (maxStorageBuffersPerShaderStage of ` +
          `${device.info.name}), got ${slots.length} slabs. Use a smaller batch, or an adapter with larger buffers.`,
      );
    }
    if (matrix && (slabs.includes(matrix.values.piece.slab) || slabs.includes(matrix.structure.piece.slab))) {
      throw bindError(program, "a matrix that its phase reads as such", "the same memory twice", matrix.values.label);
    }
  }

  #piece(id: BindingId): Piece {
    const own = this.#bound[id];
    return own instanceof GpuDeviceBuffer ? own.piece : this.#executable.temporaries.get(id)!;
  }
}

type Facts = Readonly<Partial<Record<FactName, number>>>;

interface Step {
  readonly label: string;
  readonly shader: Shader;
  readonly matrix: Compressed | null;
  readonly grid: readonly [number, number, number];
  readonly work: Work;
  readonly facts: Facts;
}

function sparseGroups(layout: PanelLayout, matrix: Compressed | null): number {
  const blocksPerGroup = SPARSE_WORKGROUP / (SPARSE_SLOTS * panelVecs(layout));
  return (matrix?.blocks.blocks ?? 0) / blocksPerGroup;
}

/** `groups` workgroups in two dimensions; kernels skip those too many. */
function folded(groups: number): [number, number] {
  const x = Math.min(groups, MAX_GRID);
  return [x, Math.max(1, Math.ceil(groups / Math.max(1, x)))];
}

function sizeOf(matrix: Compressed): { readonly nnz: number; readonly bytes: number } {
  const { entries: nnz, values, structure } = matrix;
  return { nnz, bytes: values.length > 0 ? 4 * (values.length + structure.length) * (nnz / values.length) : 0 };
}

function scaled(work: Work, factor: number): Work {
  return {
    operations: work.operations * factor,
    bytes: work.bytes * factor,
    gatheredBytes: work.gatheredBytes * factor,
  };
}

function totalOf(dispatches: readonly BoundDispatch[]): Work {
  const sum = (f: (work: Work) => number): number => dispatches.reduce((total, { work }) => total + f(work), 0);
  return {
    operations: sum((w) => w.operations),
    bytes: sum((w) => w.bytes),
    gatheredBytes: sum((w) => w.gatheredBytes),
  };
}
