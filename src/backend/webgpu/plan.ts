// Legal phases → dispatches: which kernel runs each, and what of several phases goes into one. Phases with one row (per-sample
// control, losses, learning rates) that follow one another become one dispatch, together with the last step of reductions over
// rows before them.

import type { Gather } from "../gather.ts";
import { type Access, accessesOf, isWrite } from "../instr.ts";
import type { Binding, BindingId, Guard, Instr, Program } from "../program.ts";
import {
  bindingsOf,
  type GemmPhase,
  growsGradient,
  isProduct,
  type LegalPhase,
  type LegalProgram,
  legalize,
  type Piece,
  type VectorSumPhase,
} from "./legalize.ts";

type ReduceRows = Extract<Instr, { op: "reduceRows" }>;

/** The last step of a reduction over rows: `count` partial results (vec4s of lanes, or of rows in a plain phase) → target. */
export interface Combine {
  readonly partials: BindingId;
  readonly count: number;
  readonly target: BindingId;
  readonly how: ReduceRows["how"];
  readonly accumulate: boolean;
  readonly perLane: boolean;
}

/** A dispatch does nothing where one of the scalars `guards` is 0. */
interface Guarded {
  readonly guards: readonly BindingId[];
}

/** kernels/spmm.wgsl: a sparse product with its epilogue; spmmGrad.wgsl: one that grows a gradient, and stores of its result. */
export interface SparsePlan extends Guarded {
  readonly kernel: "spmm" | "spmmGrad";
  readonly phase: LegalPhase;
  readonly product: number;
  /** Something sums over lanes: blocks of lanes run one after another instead of side by side. */
  readonly crossesLanes: boolean;
  /** A copy of the operand in half precision, which is gathered in its place; null: none. */
  readonly halves: BindingId | null;
}

/** kernels/pack.wgsl: a copy of `source` in half precision. */
export interface PackPlan extends Guarded {
  readonly kernel: "pack";
  readonly source: BindingId;
  readonly halves: BindingId;
  readonly rows: number;
}

export interface GemmPlan extends Guarded {
  readonly kernel: "gemm";
  readonly phase: GemmPhase;
}

/** kernels/segmentSum.wgsl, gatherT.wgsl. */
export interface VectorSumPlan extends Guarded {
  readonly kernel: VectorSumPhase["sum"]["op"];
  readonly phase: VectorSumPhase;
}

/** kernels/map.wgsl, vector.wgsl: a pointwise phase. `partials[k]` belongs to its k-th reduction over rows; null = complete at once. */
export interface PointwisePlan extends Guarded {
  readonly kernel: "map" | "vector";
  readonly phase: LegalPhase;
  readonly groups: number;
  readonly itemsPerThread: number;
  readonly partials: readonly (BindingId | null)[];
}

/** kernels/tail.wgsl. */
export interface TailPlan extends Guarded {
  readonly kernel: "tail";
  readonly combines: readonly Combine[];
  readonly phases: readonly LegalPhase[];
  /** Something crosses lanes or is not per lane: one workgroup for all panels. */
  readonly oneGroup: boolean;
}

export type DispatchPlan = SparsePlan | PackPlan | GemmPlan | VectorSumPlan | PointwisePlan | TailPlan;

export interface ProgramPlan {
  readonly name: string;
  readonly bindings: readonly Binding[];
  readonly dispatches: readonly DispatchPlan[];
  /** Targets of reductions whose last step runs after dispatches that follow them. No other name may mean the same memory. */
  readonly deferredTargets: ReadonlySet<BindingId>;
  /** Copies in half precision: temporaries that kernels bind on their own, not in a slab. A state with half the rows holds each. */
  readonly halves: ReadonlySet<BindingId>;
}

/** Rows of one workgroup of map.wgsl, per row of a thread; rows (vec4s) of one of vector.wgsl. */
const MAP_ROWS = 64;
const VECTOR_VECS = 256;
/** Partial results that the last step of a reduction should at most have to read per lane. */
const MAX_PARTIALS = 256;
const MAX_GROUPS = 65535;

export function planOf(program: Program, gather: Gather): ProgramPlan {
  // In a reverse program, states that W·X gathers are cotangents, which are too small for half precision.
  const packs = gather === "f16" && program.purpose !== "reverse";
  return new Planner(legalize(program), packs).build();
}

class Planner {
  readonly #name: string;
  readonly #bindings: Binding[];
  readonly #pieces: readonly Piece[];
  readonly #guard: Guard | null;
  readonly #dispatches: DispatchPlan[] = [];
  readonly #groups: { first: number; last: number }[] = [];
  readonly #deferredTargets: Set<BindingId>;
  readonly #halves = new Set<BindingId>();
  /** Copies that still equal their state, by its binding. */
  readonly #copies = new Map<BindingId, PackPlan>();
  readonly #packs: boolean;
  #combines: Combine[] = [];
  #tail: LegalPhase[] = [];

  /** @param packs  products W·X gather copies in half precision */
  constructor(legal: LegalProgram, packs: boolean) {
    this.#packs = packs;
    this.#name = legal.name;
    this.#bindings = [...legal.bindings];
    this.#pieces = legal.pieces;
    this.#guard = legal.guard;
    this.#deferredTargets = new Set(legal.lateTargets);
  }

  build(): ProgramPlan {
    this.#pieces.forEach((piece, at) => {
      this.#add(piece, at);
    });
    this.#flush(this.#pieces.length);
    const bindings = this.#bindings.map((b) => this.#widened(b));
    return {
      name: this.#name,
      bindings,
      dispatches: this.#dispatches,
      deferredTargets: this.#deferredTargets,
      halves: this.#halves,
    };
  }

  #add(piece: Piece, at: number): void {
    if (piece.kind === "phase" && piece.rows === 1 && !piece.instrs.some(isProduct)) {
      this.#tail.push(piece);
      this.#forgetCopies(piece);
      return;
    }
    // Reductions may wait: several of them share a last step as long as nothing needs their results.
    if (this.#tail.length > 0 || this.#needsReductions(piece)) this.#flush(at);
    for (const { target } of this.#combines) this.#deferredTargets.add(target);
    const guards = this.#guardsOf(piece.rows);
    if (piece.kind === "gemm") this.#dispatches.push({ kernel: "gemm", phase: piece, guards });
    else if (piece.kind === "vectorSum") this.#dispatches.push({ kernel: piece.sum.op, phase: piece, guards });
    else this.#dispatches.push(this.#planPhase(piece, at, guards));
    this.#forgetCopies(piece);
  }

  #guardsOf(rows: number): readonly BindingId[] {
    const guard = this.#guard;
    return guard && (rows > 1 || guard.skips === "everything") ? guard.scalars : [];
  }

  #planPhase(phase: LegalPhase, at: number, guards: readonly BindingId[]): DispatchPlan {
    const product = phase.instrs.findIndex(isProduct);
    if (product >= 0) {
      const instr = phase.instrs[product]!;
      const grows = isProduct(instr) && growsGradient(instr);
      const crossesLanes = grows || phase.instrs.some((i) => i.op === "reduceLanes");
      const halves = instr.op === "matmul" && this.#packs ? this.#copyOf(instr.x, at, guards) : null;
      return { kernel: grows ? "spmmGrad" : "spmm", phase, product, crossesLanes, halves, guards };
    }
    const reductions = phase.instrs.filter(isReduceRows);
    const kernel = phase.lanes === "batch" ? "map" : "vector";
    const { groups, itemsPerThread } = groupsOf(phase);
    const partials = reductions.map((r) => (groups === 1 ? null : this.#addPartials(phase, r, groups, at)));
    return { kernel, phase, groups, itemsPerThread, partials, guards };
  }

  /** The copy of a state for the product in piece `at`, made before it unless there is one. */
  #copyOf(source: BindingId, at: number, guards: readonly BindingId[]): BindingId {
    const known = this.#copies.get(source);
    // What a guard may leave out cannot serve a product that runs whatever it says.
    if (known && known.guards.length === guards.length) {
      this.#keepUntil(known.halves, at);
      return known.halves;
    }
    const { name, rows } = this.#bindings[source]!;
    const temp = { firstPhase: at, lastPhase: at };
    const halves = this.#bindings.length;
    this.#bindings.push({
      name: `${name} in f16`,
      kind: "state",
      rows: Math.ceil(rows / 2),
      access: "readwrite",
      temp,
    });
    this.#halves.add(halves);
    const copy: PackPlan = { kernel: "pack", source, halves, rows, guards };
    this.#copies.set(source, copy);
    this.#dispatches.push(copy);
    return halves;
  }

  /** A copy is stale once its state has changed. A temporary has one name; other memory may have several, so all copies are. */
  #forgetCopies(piece: Piece): void {
    for (const id of writtenBy(piece)) {
      if (this.#bindings[id]!.temp) this.#copies.delete(id);
      else this.#copies.clear();
    }
  }

  #addPartials(phase: LegalPhase, reduction: ReduceRows, count: number, at: number): BindingId {
    const perLane = phase.lanes === "batch";
    const name = `partials ${this.#bindings.length}`;
    const temp = { firstPhase: at, lastPhase: at };
    this.#bindings.push(
      perLane
        ? { name, kind: "table", rows: 1, cols: count, access: "readwrite", temp }
        : { name, kind: "row", rows: 4 * count, access: "readwrite", temp },
    );
    const partials = this.#bindings.length - 1;
    const { binding: target, how, accumulate } = reduction;
    this.#combines.push({ partials, count, target, how, accumulate, perLane });
    return partials;
  }

  /** Whether a piece touches what a waiting reduction is still to write, other than by a reduction that will wait as well. */
  #needsReductions(piece: Piece): boolean {
    const targets = new Set(this.#combines.map((c) => c.target));
    if (targets.size === 0) return false;
    if (piece.kind !== "phase") return bindingsOf(piece).some((id) => targets.has(id));
    const waits = piece.instrs.some(isReduceRows) && groupsOf(piece).groups > 1;
    const others = piece.instrs.filter((instr) => !(waits && isReduceRows(instr)));
    return others.some((instr) => accessesOf(instr).some((a) => targets.has(a.binding)));
  }

  /** Keeps a temporary alive for a dispatch that runs just before piece `at`. */
  #keepUntil(id: BindingId, at: number): void {
    const binding = this.#bindings[id]!;
    if (!binding.temp) return;
    const temp = { ...binding.temp, lastPhase: Math.max(binding.temp.lastPhase, at) };
    this.#bindings[id] = { ...binding, temp };
  }

  /** Emits the collected one-row phases, which end before piece `at`, and the reductions that wait for their last step. */
  #flush(at: number): void {
    const [combines, phases] = [this.#combines, this.#tail];
    if (combines.length === 0 && phases.length === 0) return;
    const crosses = phases.some((p) => p.lanes === "none" || p.instrs.some((i) => i.op === "reduceLanes"));
    const oneGroup = crosses || combines.some((c) => !c.perLane);
    for (const { partials, target } of combines) {
      this.#keepUntil(partials, at);
      this.#keepUntil(target, at);
    }
    this.#dispatches.push({ kernel: "tail", combines, phases, oneGroup, guards: this.#guardsOf(1) });
    this.#groups.push({ first: at - phases.length, last: Math.max(at - phases.length, at - 1) });
    this.#combines = [];
    this.#tail = [];
  }

  /** Phases of one dispatch are not ordered between workgroups: a temporary of one of them lives through all of them. */
  #widened(binding: Binding): Binding {
    if (!binding.temp) return binding;
    let { firstPhase, lastPhase } = binding.temp;
    for (const { first, last } of this.#groups) {
      if (firstPhase >= first && firstPhase <= last) firstPhase = first;
      if (lastPhase >= first && lastPhase <= last) lastPhase = last;
    }
    return { ...binding, temp: { firstPhase, lastPhase } };
  }
}

function writtenBy(piece: Piece): readonly BindingId[] {
  if (piece.kind === "gemm") return [piece.variant === "grad" ? piece.matrix : piece.other];
  if (piece.kind === "vectorSum") return [piece.target];
  return piece.instrs.flatMap((instr) =>
    accessesOf(instr)
      .filter(isWrite)
      .map((a) => a.binding),
  );
}

/** The matrix of a sparse product, which kernels read through bindings of its own; null for other dispatches. */
export function sparseMatrixOf(plan: DispatchPlan): BindingId | null {
  if (plan.kernel !== "spmm" && plan.kernel !== "spmmGrad") return null;
  const product = plan.phase.instrs[plan.product]!;
  return isProduct(product) ? product.matrix : null;
}

/** The copy in half precision that a dispatch makes or gathers, which kernels bind on its own; null: none. */
export function halvesOf(plan: DispatchPlan): Access | null {
  if (plan.kernel === "pack") return write(plan.halves);
  const halves = "halves" in plan ? plan.halves : null;
  return halves === null ? null : { binding: halves, role: "gather" };
}

/** What a dispatch touches in slabs, in a fixed order. */
export function accessesOfPlan(plan: DispatchPlan): readonly Access[] {
  return [...ownAccesses(plan), ...plan.guards.map(read)];
}

function ownAccesses(plan: DispatchPlan): readonly Access[] {
  switch (plan.kernel) {
    case "gemm": {
      const { matrix, operand, other, variant } = plan.phase;
      return variant === "grad"
        ? [write(matrix), read(operand), read(other)]
        : [read(matrix), read(operand), write(other)];
    }
    case "pack":
      return [read(plan.source)];
    case "segmentSum":
    case "gatherT":
      return [...accessesOf(plan.phase.sum), write(plan.phase.target)];
    case "tail": {
      const combines = plan.combines.flatMap(({ partials, target }) => [read(partials), write(target)]);
      return [...combines, ...plan.phases.flatMap((p) => p.instrs.flatMap(accessesOf))];
    }
    case "map":
    case "vector": {
      const partials = plan.partials.filter((binding) => binding !== null);
      return [...plan.phase.instrs.flatMap(accessesOf), ...partials.map(write)];
    }
    default: {
      const matrix = sparseMatrixOf(plan);
      // The operand itself is not touched where its copy is gathered.
      const instrs = plan.phase.instrs.filter((_, k) => plan.halves === null || k !== plan.product);
      return instrs.flatMap(accessesOf).filter((a) => a.binding !== matrix);
    }
  }
}

function read(binding: BindingId): Access {
  return { binding, role: "read" };
}

function write(binding: BindingId): Access {
  return { binding, role: "write" };
}

export function isReduceRows(instr: Instr): instr is ReduceRows {
  return instr.op === "reduceRows";
}

/** How the rows of a pointwise phase are dealt out. Depends on the rows alone, so that sums do not depend on the batch. */
function groupsOf({ rows, lanes, instrs }: LegalPhase): { readonly groups: number; readonly itemsPerThread: number } {
  const items = lanes === "batch" ? rows : Math.ceil(rows / 4);
  const perGroup = lanes === "batch" ? MAP_ROWS : VECTOR_VECS;
  // A thread of a phase that sums over lanes keeps the sum of one row only.
  const onePerThread = instrs.some((i) => i.op === "reduceLanes");
  const wanted = onePerThread || !instrs.some(isReduceRows) ? MAX_GROUPS : MAX_PARTIALS;
  const itemsPerThread = onePerThread ? 1 : Math.ceil(items / (perGroup * wanted));
  return { groups: Math.ceil(items / (perGroup * itemsPerThread)), itemsPerThread };
}
