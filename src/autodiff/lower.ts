// From a graph to a program. placement.ts decides which phase computes what; here each phase becomes a straight list of
// instructions, and values that pass through memory become temporaries with lifetimes.

import { accessesOf } from "../backend/instr.ts";
import type { Binding, BindingId, Guard, Instr, Phase, Program, Purpose, ValueId } from "../backend/program.ts";
import type { Matrix, Value } from "../ops/value.ts";
import type { Graph } from "./graph.ts";
import { isReduction, needsPhase, type PhasePlace, Placement } from "./placement.ts";

/** A program's guard, its scalars by name. */
export interface GuardNames {
  readonly scalars: readonly string[];
  readonly skips: Guard["skips"];
}

/**
 * Lowers the effects of `graph` (and all that they need) to a program.
 *
 * @param name     for messages
 * @param purpose  what profiles count it as; default: by its phases alone
 */
export function lower(graph: Graph, name: string, purpose?: Purpose, guard?: GuardNames): Program {
  const source = sourceOfGraph(graph);
  const program = new Lowering(source).program(name, purpose, guard);
  sources.set(program, source);
  return program;
}

/** The graph without detached values: what they stand for takes their place, now that derivatives have been taken. */
function sourceOfGraph({ values, matrices, effects, detached }: Graph): ProgramSource {
  if (detached.size === 0) return { values, matrices, effects: [...effects] };
  const replaced: Value[] = [];
  for (const v of values) {
    const args = v.args.map((a) => replaced[a.id]!);
    replaced.push(detached.has(v) ? args[0]! : args.every((a, i) => a === v.args[i]) ? v : { ...v, args });
  }
  const of = (v: Value): Value => replaced[v.id]!;
  return {
    // Those that stood for others are left without a use.
    values: values.map((v) => (detached.has(v) ? v : of(v))),
    matrices,
    effects: effects.map((e) =>
      e.type === "scatter" ? { ...e, index: of(e.index), value: of(e.value) } : { ...e, value: of(e.value) },
    ),
  };
}

/** The values, matrices and effects that a program was made of, without effects that its graph got later. */
export type ProgramSource = Pick<Graph, "values" | "matrices" | "effects">;

const sources = new WeakMap<Program, ProgramSource>();

/** The graph of a program that `lower` has made; null for any other. */
export function sourceOf(program: Program): ProgramSource | null {
  return sources.get(program) ?? null;
}

class Lowering {
  readonly #graph: ProgramSource;
  readonly #placement: Placement;
  readonly #bindings: Binding[] = [];
  readonly #bindingIds = new Map<string, BindingId>();
  readonly #leafNames: ReadonlySet<string>;

  constructor(graph: ProgramSource) {
    this.#graph = graph;
    this.#leafNames = new Set(graph.values.flatMap((v) => (v.op.type === "leaf" ? [v.op.name] : [])));
    this.#placement = new Placement(graph);
  }

  program(name: string, purpose?: Purpose, guard?: GuardNames): Program {
    const all = this.#placement.phases().map((place) => new PhaseEmitter(place));
    for (const emitter of all) this.#emit(emitter);
    const emitters = all.filter((e) => !e.isEmpty());
    const scalars = guard?.scalars.map((scalar) => this.#binding(scalar, "scalar", 1, "read", false));
    return {
      name,
      ...(purpose && { purpose }),
      bindings: this.#withLifetimes(emitters),
      phases: emitters.map((e) => e.phase()),
      ...(guard && scalars && { guard: { scalars, skips: guard.skips } }),
    };
  }

  // ---- emitting --------------------------------------------------------------------------------------------------------

  #emit(emitter: PhaseEmitter): void {
    const place = this.#placement;
    const { values, effects } = this.#graph;
    const { key } = emitter;
    // Contractions first, in graph order, then what is stored for later phases, then the effects.
    for (const v of values) {
      const isProduct = v.op.type === "matmul" || v.op.type === "matmulT";
      if (isProduct && place.isComputedIn(v, key)) this.#emitValue(emitter, v);
    }
    for (const v of values) {
      const stored = place.storedAs(v);
      if (stored?.phase !== key) continue;
      const binding = this.#binding(stored.name, v.kind, v.rows, "write", stored.temp);
      if (isReduction(v)) this.#emitReduction(emitter, v, binding, false);
      else emitter.push({ op: "store", binding, value: this.#emitValue(emitter, v), accumulate: false });
    }
    // A binding that is both read and written (an optimiser's moments) is written last, after everything has read it.
    const inPlace: (() => void)[] = [];
    for (const e of effects) {
      if (e.type === "matrixGrad" || place.phaseOf(e) !== key) continue;
      if (e.type === "scatter") {
        const table = this.#binding(e.grad, "table", e.table.rows, "readwrite", false, e.table.depth);
        const index = this.#emitValue(emitter, e.index);
        emitter.push({ op: "scatter", table, index, value: this.#emitValue(emitter, e.value) });
        continue;
      }
      const stored = place.storedAs(e.value);
      if (!e.accumulate && stored?.name === e.name) continue;
      const { accumulate } = e;
      const binding = this.#binding(e.name, e.kind, e.rows, accumulate ? "readwrite" : "write", false);
      const fused = place.fusedReduction(e);
      if (fused) this.#emitReduction(emitter, fused, binding, accumulate);
      else {
        const value = this.#emitValue(emitter, e.value);
        const store = () => void emitter.push({ op: "store", binding, value, accumulate });
        if (this.#leafNames.has(e.name)) inPlace.push(store);
        else store();
      }
    }
    for (const store of inPlace) store();
  }

  #emitReduction(emitter: PhaseEmitter, v: Value, binding: BindingId, accumulate: boolean): void {
    const value = this.#emitValue(emitter, v.args[0]!);
    if (v.op.type === "reduceRows") emitter.push({ op: "reduceRows", binding, value, how: v.op.how, accumulate });
    else emitter.push({ op: "reduceLanes", binding, value, accumulate });
  }

  #emitValue(emitter: PhaseEmitter, v: Value): ValueId {
    const known = emitter.valueIds.get(v.id);
    if (known !== undefined) return known;
    const id = this.#emitFresh(emitter, v);
    emitter.valueIds.set(v.id, id);
    return id;
  }

  #emitFresh(emitter: PhaseEmitter, v: Value): ValueId {
    const { op } = v;
    if (needsPhase(v) && (!this.#placement.isComputedIn(v, emitter.key) || isReduction(v))) {
      return emitter.push({ op: "load", binding: this.#storedBinding(v) });
    }
    switch (op.type) {
      case "leaf":
        return emitter.push({ op: "load", binding: this.#binding(op.name, v.kind, v.rows, "read", false) });
      case "const":
        return emitter.push({ op: "const", value: op.value });
      case "rowIndex":
        return emitter.push({ op: "rowIndex" });
      case "random":
        return emitter.push({
          op: "random",
          sampleId: this.#emitValue(emitter, v.args[0]!),
          key: this.#binding(op.key, "key", 1, "read", false),
        });
      case "lookup":
        return emitter.push({
          op: "lookup",
          index: this.#emitValue(emitter, v.args[0]!),
          table: this.#binding(op.table.name, "table", op.table.rows, "read", false, op.table.depth),
        });
      case "gather":
        return emitter.push({
          op: "gather",
          source: this.#gatheredBinding(v.args[0]!),
          index: this.#binding(op.index, "index", v.rows, "read", false),
        });
      case "segmentSum":
        return emitter.push({
          op: "segmentSum",
          source: this.#gatheredBinding(v.args[0]!),
          offsets: this.#binding(op.offsets, "index", v.rows + 1, "read", false),
          members: this.#binding(op.members, "index", v.args[0]!.rows, "read", false),
        });
      case "gatherT": {
        const { rows } = v.args[0]!;
        const source = this.#gatheredBinding(v.args[0]!);
        const index = this.#binding(op.index, "index", op.offsets === null ? rows : v.rows, "read", false);
        const offsets = op.offsets === null ? null : this.#binding(op.offsets, "index", rows + 1, "read", false);
        return emitter.push({ op: "gatherT", source, index, offsets });
      }
      case "broadcast":
        return this.#emitValue(emitter, v.args[0]!);
      case "pointwise":
        return emitter.push({ op: op.fn, args: v.args.map((a) => this.#emitValue(emitter, a)) });
      case "matmul":
        return emitter.push({ op: "matmul", matrix: this.#matrix(op.matrix), x: this.#gatheredBinding(v.args[0]!) });
      case "matmulT": {
        const matrix = this.#matrix(op.matrix);
        const g = this.#gatheredBinding(v.args[0]!);
        const needCt = this.#isRead(v);
        const x = v.args[1];
        if (op.grad === null || x === undefined) return emitter.push({ op: "matmulT", matrix, g, needCt });
        const rows = op.matrix.rows;
        const binding =
          op.matrix.form === "dense"
            ? this.#binding(op.grad, "dense", rows, "readwrite", false, op.matrix.cols)
            : this.#binding(op.grad, "nnz", op.matrix.stored, "readwrite", false);
        return emitter.push({ op: "matmulT", matrix, g, needCt, grad: { x: this.#emitValue(emitter, x), binding } });
      }
      default:
        throw new TypeError(`lower: ${op.type} has no instruction of its own`);
    }
  }

  /** True when a value's own result is used, not only the gradient it accumulates. */
  #isRead(v: Value): boolean {
    const { values, effects } = this.#graph;
    return (
      values.some((u) => this.#placement.isLive(u) && u.args.includes(v)) ||
      effects.some((e) => e.type !== "matrixGrad" && e.value === v)
    );
  }

  #matrix(matrix: Matrix): BindingId {
    return this.#binding(matrix.name, matrix.form, matrix.rows, "read", false, matrix.cols);
  }

  /** The binding that a contraction gathers from. */
  #gatheredBinding(v: Value): BindingId {
    if (v.op.type === "leaf") return this.#binding(v.op.name, v.kind, v.rows, "read", false);
    return this.#storedBinding(v);
  }

  /** The binding in which another phase has left `v`. */
  #storedBinding(v: Value): BindingId {
    const stored = this.#placement.storedAs(v);
    if (!stored) throw new TypeError(`lower: value ${v.id} (${v.op.type}) is not available where it is read`);
    return this.#binding(stored.name, v.kind, v.rows, "read", stored.temp);
  }
  // ---- bindings --------------------------------------------------------------------------------------------------------

  #binding(
    name: string,
    kind: Binding["kind"],
    rows: number,
    access: Binding["access"],
    temp: boolean,
    cols?: number,
  ): BindingId {
    const known = this.#bindingIds.get(name);
    if (known !== undefined) {
      const b = this.#bindings[known]!;
      if (b.access !== access && b.access !== "readwrite") this.#bindings[known] = { ...b, access: "readwrite" };
      return known;
    }
    const id = this.#bindings.length;
    this.#bindingIds.set(name, id);
    this.#bindings.push({
      name,
      kind,
      rows,
      access,
      ...(cols === undefined ? {} : { cols }),
      ...(temp ? { temp: { firstPhase: 0, lastPhase: 0 } } : {}),
    });
    return id;
  }

  #withLifetimes(emitters: readonly PhaseEmitter[]): Binding[] {
    const first = new Map<BindingId, number>();
    const last = new Map<BindingId, number>();
    emitters.forEach((emitter, phase) => {
      for (const binding of emitter.touched()) {
        if (!first.has(binding)) first.set(binding, phase);
        last.set(binding, phase);
      }
    });
    return this.#bindings.map((b, id) =>
      b.temp ? { ...b, temp: { firstPhase: first.get(id)!, lastPhase: last.get(id)! } } : b,
    );
  }
}
/** The instructions of one phase, growing. */
class PhaseEmitter {
  readonly key: string;
  readonly valueIds: Map<number, ValueId> = new Map();
  readonly #place: PhasePlace;
  readonly #instrs: Instr[] = [];

  constructor(place: PhasePlace) {
    this.key = place.key;
    this.#place = place;
  }

  push(instr: Instr): ValueId {
    this.#instrs.push(instr);
    return this.#instrs.length - 1;
  }

  isEmpty(): boolean {
    return this.#instrs.length === 0;
  }

  phase(): Phase {
    return { rows: this.#place.rows, lanes: this.#place.lanes, instrs: this.#instrs };
  }

  touched(): Set<BindingId> {
    return new Set(this.#instrs.flatMap(accessesOf).map(({ binding }) => binding));
  }
}
