// Program → phases that are one kernel each. A phase may hold any number of contractions and reductions; a kernel holds at most one
// sparse product with its epilogue, or one tile product, or none. What does not fit is cut, and the pieces speak through temporaries:
//
//   - a phase with one sparse product stays whole: product and epilogue in one dispatch. Only its reductions over rows are put off: their
//     partial results must not depend on how rows were dealt out to threads, which a sparse kernel does by the width of the batch. It leaves
//     their operands in temporaries, and one piece reduces those of all such phases as soon as a result is needed;
//   - any other product goes into a temporary first, and so does a sparse one that grows a gradient, unless it is stored as it is: its kernel
//     needs its registers for the walk;
//   - sums over segments and transposes of gathers go into a temporary, too: their threads are not those of the phase;
//   - dense products leave a table of partial sums over pieces of their inner extent. To load a table, which programs cannot, is to add
//     up its states.

import { accessesOf, closureOf, hasEffect, withValues } from "../instr.ts";
import type { Binding, BindingId, Guard, Instr, Phase, Program, ValueId } from "../program.ts";

type Matmul = Extract<Instr, { op: "matmul" }>;
type MatmulT = Extract<Instr, { op: "matmulT" }>;
type VectorSum = Extract<Instr, { op: "segmentSum" | "gatherT" }>;
type Cut = Matmul | MatmulT | VectorSum;

/** A phase of the backend: as in a program, with at most one sparse product. */
export interface LegalPhase {
  readonly kind: "phase";
  readonly rows: number;
  readonly lanes: "batch" | "none";
  readonly instrs: readonly Instr[];
}

/** One tile product (kernels/gemm.wgsl): "forward" M·X and "ct" Mᵀ·G give partial states, "grad" adds G·Xᵀ to a dense matrix. */
export interface GemmPhase {
  readonly kind: "gemm";
  readonly variant: "forward" | "ct" | "grad";
  /** forward, ct: the matrix; grad: the gradient. */
  readonly matrix: BindingId;
  /** forward: X; ct, grad: G. */
  readonly operand: BindingId;
  /** forward, ct: a table of partial products; grad: X. */
  readonly other: BindingId;
  readonly splits: number;
  /** Rows of the phase it comes from. */
  readonly rows: number;
}

/** A sum over a source by an index (kernels/segmentSum.wgsl, gatherT.wgsl) into a row vector. */
export interface VectorSumPhase {
  readonly kind: "vectorSum";
  readonly rows: number;
  readonly sum: VectorSum;
  readonly target: BindingId;
}

export type Piece = LegalPhase | GemmPhase | VectorSumPhase;

export interface LegalProgram {
  readonly name: string;
  /** Those of the program, then added temporaries; lives are counted in pieces. */
  readonly bindings: readonly Binding[];
  readonly pieces: readonly Piece[];
  readonly guard: Guard | null;
  /** Targets of reductions that were put off: pieces run between their phase and them. */
  readonly lateTargets: ReadonlySet<BindingId>;
}

/**
 * Inner extent of one partial dense product, at most, but for matrices of many rows: these have workgroups enough, and partial results
 * would be large. At 512 a read-out of 256 rows and 47,521 columns has 372 workgroups or more, three for each processor of a large
 * device, and 93 partial results.
 */
const SPLIT_K = 512;
const MOST_PARTIAL_ROWS = 2 ** 16;

/** Pieces of the inner extent of a dense product with `rows` rows. Depends on the matrix alone, as sums must. */
function splitsOf(inner: number, rows: number): number {
  return Math.min(Math.ceil(inner / SPLIT_K), Math.max(1, Math.floor(MOST_PARTIAL_ROWS / rows)));
}

export function legalize(program: Program): LegalProgram {
  const builder = new LegalBuilder(program);
  program.phases.forEach((phase) => {
    builder.add(phase);
  });
  return builder.build();
}

class LegalBuilder {
  readonly #program: Program;
  readonly #pieces: Piece[] = [];
  readonly #added: Binding[] = [];
  /** First and last piece of each phase. */
  readonly #spans: { first: number; last: number }[] = [];
  /** Reductions that are put off, of phases with `rows` rows. */
  #late: { readonly rows: number; readonly instrs: Instr[] } = { rows: 0, instrs: [] };
  readonly #lateTargets = new Set<BindingId>();

  constructor(program: Program) {
    this.#program = program;
  }

  add(phase: Phase): void {
    const first = this.#pieces.length;
    const cuts = phase.instrs.flatMap((instr, id) => (isProduct(instr) || isVectorSum(instr) ? [id] : []));
    this.#reduceBefore(phase);
    if (cuts.length === 0) this.#pieces.push({ kind: "phase", ...phase });
    else if (cuts.length === 1 && this.#staysWhole(phase, cuts[0]!)) this.#pushProduct(phase);
    else this.#cut(phase, cuts);
    this.#spans.push({ first, last: Math.max(first, this.#pieces.length - 1) });
  }

  build(): LegalProgram {
    this.#reduce();
    const own = this.#program.bindings.map((binding, id) => {
      if (!binding.temp) return binding;
      const firstPhase = this.#spans[binding.temp.firstPhase]?.first ?? 0;
      const lastPhase = this.#spans[binding.temp.lastPhase]?.last ?? this.#pieces.length - 1;
      const late = this.#lateTargets.has(id) ? this.#usesOf(id).at(-1)! : 0;
      return { ...binding, temp: { firstPhase, lastPhase: Math.max(lastPhase, late) } };
    });
    const bindings = [...own, ...this.#added.map((b, k) => this.#withLife(b, own.length + k))];
    const { name, guard = null } = this.#program;
    return { name, bindings, pieces: this.#pieces, guard, lateTargets: this.#lateTargets };
  }

  /** Whether a phase with `id` as its only product or sum is one kernel. */
  #staysWhole({ instrs }: Phase, id: ValueId): boolean {
    const product = instrs[id] as Cut;
    if (isVectorSum(product) || !this.#isSparse(product)) return false;
    if (!growsGradient(product)) return true;
    return instrs.every((instr, k) => k === id || !hasEffect(instr) || (instr.op === "store" && instr.value === id));
  }

  /** A phase with one sparse product, without its reductions over rows, which are put off. */
  #pushProduct(phase: Phase): void {
    const operands = new Map<ValueId, BindingId>();
    const late = this.#late.instrs;
    const instrs = phase.instrs.map((instr): Instr => {
      if (instr.op !== "reduceRows") return instr;
      const known = operands.get(instr.value);
      const binding = known ?? this.#temporary("state", phase.rows);
      operands.set(instr.value, binding);
      const value = late.push({ op: "load", binding }) - 1;
      late.push({ ...instr, value });
      return known === undefined ? { op: "store", binding, value: instr.value, accumulate: false } : UNUSED;
    });
    this.#pieces.push({ kind: "phase", rows: phase.rows, lanes: phase.lanes, instrs });
    // A phase that puts nothing off may have other rows.
    if (operands.size > 0) this.#late = { rows: phase.rows, instrs: late };
  }

  /** Emits the reductions that were put off where `phase` touches a result of theirs, or has other rows to be put off. */
  #reduceBefore({ rows, instrs }: Phase): void {
    const targets = new Set(this.#late.instrs.flatMap(targetOf));
    if (targets.size === 0) return;
    const reduces = instrs.some((instr) => instr.op === "reduceRows");
    const touches = instrs.some((instr) => accessesOf(instr).some(({ binding }) => targets.has(binding)));
    if (touches || (reduces && rows !== this.#late.rows)) this.#reduce();
    else for (const target of targets) this.#lateTargets.add(target);
  }

  #reduce(): void {
    const { rows, instrs } = this.#late;
    if (instrs.length > 0) this.#pieces.push({ kind: "phase", rows, lanes: "batch", instrs });
    this.#late = { rows: 0, instrs: [] };
  }

  #cut(phase: Phase, cuts: readonly ValueId[]): void {
    // Each result is replaced by what reads it back, so a later one may depend on it.
    const instrs: Instr[] = [...phase.instrs];
    const cut: LegalPhase = { kind: "phase", rows: phase.rows, lanes: phase.lanes, instrs };
    for (const id of cuts) instrs[id] = this.#separate(cut, id);
    if (instrs.some(hasEffect)) this.#pieces.push(cut);
  }

  /** Emits the instruction `id` into a temporary and returns what reads it back. */
  #separate(phase: LegalPhase, id: ValueId): Instr {
    const product = phase.instrs[id] as Cut;
    if (isVectorSum(product)) return this.#vectorSum(phase, product);
    if (this.#isSparse(product)) return this.#sparseProduct(phase, id, product);
    if (product.op === "matmul") {
      return this.#gemm("forward", product.matrix, product.x, this.#binding(product.matrix).cols ?? 1, phase.rows);
    }
    if (product.grad) {
      const { x, binding } = product.grad;
      const { rows } = phase;
      const other = this.#materialized(phase, x);
      this.#pieces.push({ kind: "gemm", variant: "grad", matrix: binding, operand: product.g, other, splits: 1, rows });
    }
    if (!product.needCt) return UNUSED;
    return this.#gemm("ct", product.matrix, product.g, this.#binding(product.matrix).rows, phase.rows);
  }

  #sparseProduct(phase: LegalPhase, id: ValueId, product: Matmul | MatmulT): Instr {
    const wanted = product.op === "matmul" || product.needCt;
    const target = wanted ? this.#temporary("state", phase.rows) : null;
    const instrs = this.#closure(phase, id);
    const value = instrs.length - 1;
    if (target !== null) instrs.push({ op: "store", binding: target, value, accumulate: false });
    this.#pieces.push({ kind: "phase", rows: phase.rows, lanes: "batch", instrs });
    return target === null ? UNUSED : { op: "load", binding: target };
  }

  #vectorSum({ rows }: LegalPhase, sum: VectorSum): Instr {
    const target = this.#temporary("row", rows);
    this.#pieces.push({ kind: "vectorSum", rows, sum, target });
    return { op: "load", binding: target };
  }

  #gemm(variant: "forward" | "ct", matrix: BindingId, operand: BindingId, inner: number, rows: number): Instr {
    const splits = splitsOf(inner, rows);
    const other = this.#temporary("table", rows, splits);
    this.#pieces.push({ kind: "gemm", variant, matrix, operand, other, splits, rows });
    return { op: "load", binding: other };
  }

  /** A state that holds the value: the one it was loaded from, or a temporary. */
  #materialized(phase: LegalPhase, id: ValueId): BindingId {
    const instr = phase.instrs[id]!;
    if (instr.op === "load") {
      const { kind, rows } = this.#binding(instr.binding);
      if (kind === "state" && rows === phase.rows) return instr.binding;
    }
    const binding = this.#temporary("state", phase.rows);
    const instrs = this.#closure(phase, id);
    instrs.push({ op: "store", binding, value: instrs.length - 1, accumulate: false });
    this.#pieces.push({ kind: "phase", rows: phase.rows, lanes: "batch", instrs });
    return binding;
  }

  /** The instruction `id` and those it depends on, renumbered, so that they can run before the rest of their phase. */
  #closure(phase: LegalPhase, id: ValueId): Instr[] {
    const ids = closureOf(phase.instrs, [id]);
    const order = new Map(ids.map((old, at) => [old, at]));
    return ids.map((old) => withValues(phase.instrs[old]!, (argument) => order.get(argument)!));
  }

  #temporary(kind: "state" | "table" | "row", rows: number, cols?: number): BindingId {
    const name = `product ${this.#added.length}`;
    // The life is filled in by build(), when all uses are known.
    this.#added.push({ name, kind, rows, ...(cols === undefined ? {} : { cols }), access: "readwrite" });
    return this.#program.bindings.length + this.#added.length - 1;
  }

  #withLife(binding: Binding, id: BindingId): Binding {
    const uses = this.#usesOf(id);
    return { ...binding, temp: { firstPhase: uses[0] ?? 0, lastPhase: uses.at(-1) ?? 0 } };
  }

  /** The pieces that touch a binding. */
  #usesOf(id: BindingId): readonly number[] {
    return this.#pieces.flatMap((piece, at) => (bindingsOf(piece).includes(id) ? [at] : []));
  }

  #isSparse(cut: Cut): boolean {
    return !isVectorSum(cut) && this.#binding(cut.matrix).kind === "sparse";
  }

  #binding(id: BindingId): Binding {
    const { bindings } = this.#program;
    return bindings[id] ?? this.#added[id - bindings.length]!;
  }
}

/** Stands for a product whose value is not wanted. */
const UNUSED: Instr = { op: "const", value: 0 };

function targetOf(instr: Instr): readonly BindingId[] {
  return instr.op === "reduceRows" ? [instr.binding] : [];
}

/** Whether a product adds to the gradient of its matrix as well. */
export function growsGradient(product: Matmul | MatmulT): boolean {
  return product.op === "matmulT" && product.grad !== undefined;
}

/** All bindings a piece touches. */
export function bindingsOf(piece: Piece): readonly BindingId[] {
  if (piece.kind === "gemm") return [piece.matrix, piece.operand, piece.other];
  if (piece.kind === "vectorSum") return [...accessesOf(piece.sum).map((a) => a.binding), piece.target];
  return piece.instrs.flatMap((instr) => accessesOf(instr).map((a) => a.binding));
}

function isVectorSum(instr: Instr): instr is VectorSum {
  return instr.op === "segmentSum" || instr.op === "gatherT";
}

export function isProduct(instr: Instr): instr is Matmul | MatmulT {
  return instr.op === "matmul" || instr.op === "matmulT";
}
