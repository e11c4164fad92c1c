// From a graph to a program: which values are computed in which phase, which go through memory, which are recomputed.
//
// 1. Every value gets a *step*: the earliest phase in which its operands are there. What a contraction gathers, and what
//    crosses from one space to another (a per-sample result used by neurons), must be complete, so it costs a step.
// 2. Contractions and reductions run at their step. A pointwise value has no phase of its own: it is computed in every phase
//    that demands it (so it fuses with the contraction before or after it), unless several phases demand it and it is dearer to
//    recompute than to store; then the first of them stores it and the others load it. What a phase has at hand anyway makes
//    recomputing cheap there: that is known only when all values have their places, so then the choice is made once more.
// 3. Each phase becomes a straight list of instructions; values that pass through memory become temporaries with lifetimes.

import { accessesOf } from "../backend/instr.ts";
import { isPerLane } from "../backend/layout.ts";
import type { Binding, BindingId, Guard, Instr, Phase, Program, ValueId } from "../backend/program.ts";
import { POINTWISE } from "../ops/pointwise.ts";
import { broadcasts, gathersFirst, isContraction, isExtremum, type Matrix, type Value } from "../ops/value.ts";
import type { Effect, Graph } from "./graph.ts";

/** A pointwise value demanded by several phases is stored when recomputing it from leaves costs more than this many additions. */
const RECOMPUTE_LIMIT = 3;
/**
 * Additions that take as long as bringing one state from memory, or to it (which reads what was there before). A fused addition
 * keeps its operands in registers, so the ratio is that of a processor's speed and its bandwidth, rounded down.
 */
const LOAD_COST = 2;
const STORE_COST = 4;

interface PhaseKey {
  readonly step: number;
  readonly rows: number;
  readonly lanes: "batch" | "none";
}

/** A program's guard, its scalars by name. */
export interface GuardNames {
  readonly scalars: readonly string[];
  readonly skips: Guard["skips"];
}

/** Lowers the effects of `graph` (and all that they need) to a program. */
export function lower(graph: Graph, name: string, guard?: GuardNames): Program {
  return new Lowering(graph).program(name, guard);
}

class Lowering {
  readonly #graph: Graph;
  readonly #live: Uint8Array;
  /** Values with one set of bits: computed in one phase only. */
  readonly #once: ReadonlySet<Value>;
  readonly #inlineable: Uint8Array;
  readonly #steps: Int32Array;
  readonly #bindings: Binding[] = [];
  readonly #bindingIds = new Map<string, BindingId>();
  readonly #phases = new Map<string, PhaseKey>();
  /** Phases in which a value is computed. */
  readonly #computedIn: (Set<string> | undefined)[] = [];
  /** Binding through which other phases read a value, by value id. */
  readonly #storedAs = new Map<number, string>();
  /** The phase that stores it there. */
  readonly #storedIn = new Map<number, string>();
  /** Values whose store effect already puts them in a readable binding. */
  readonly #outputOf = new Map<number, string>();
  readonly #leafNames: ReadonlySet<string>;
  /** Leaves whose bindings effects write. */
  readonly #overwritten: ReadonlySet<string>;
  /** By value: the phases that compute with it. */
  readonly #demand: readonly Set<string>[];

  constructor(graph: Graph) {
    this.#graph = graph;
    this.#leafNames = new Set(graph.values.flatMap((v) => (v.op.type === "leaf" ? [v.op.name] : [])));
    this.#overwritten = new Set(graph.effects.flatMap((e) => (e.type === "store" ? [e.name] : [])));
    this.#demand = graph.values.map(() => new Set());
    this.#live = liveValues(graph);
    this.#once = comparedValues(graph);
    this.#inlineable = inlineableValues(graph, this.#once);
    this.#steps = stepsOf(graph, this.#live, this.#inlineable);
  }

  program(name: string, guard?: GuardNames): Program {
    const { effects } = this.#graph;
    for (const e of effects) {
      if (
        e.type === "store" &&
        !e.accumulate &&
        !this.#leafNames.has(e.name) &&
        e.value.kind === e.kind &&
        e.value.rows === e.rows &&
        needsHome(e.value)
      ) {
        this.#outputOf.set(e.value.id, e.name);
      }
    }
    this.#place();
    const order = [...this.#phases.entries()].sort(
      ([, a], [, b]) => a.step - b.step || a.rows - b.rows || a.lanes.localeCompare(b.lanes),
    );
    const all = order.map(([key, phase]) => new PhaseEmitter(key, phase));
    for (const emitter of all) this.#emit(emitter);
    const emitters = all.filter((e) => !e.isEmpty());
    const scalars = guard?.scalars.map((scalar) => this.#binding(scalar, "scalar", 1, "read", false));
    const guarded = guard && scalars ? { guard: { scalars, skips: guard.skips } } : {};
    return { name, bindings: this.#withLifetimes(emitters), phases: emitters.map((e) => e.phase()), ...guarded };
  }

  // ---- placing ---------------------------------------------------------------------------------------------------------

  /** The phase in which an effect takes place. */
  #phaseOfEffect(e: Effect): string {
    if (e.type === "store") {
      const lanes = e.kind === "state" || e.kind === "sample" ? "batch" : "none";
      const fused = this.#fusedReduction(e);
      if (fused) return this.#homeOf(fused);
      const crosses = !isEverywhere(e.value, this.#inlineable) && !inSpace(e.value, e.rows, lanes);
      return this.#phaseKey({ step: Math.max(0, this.#steps[e.value.id]! + (crosses ? 1 : 0)), rows: e.rows, lanes });
    }
    if (e.type === "matrixGrad") return this.#homeOf(e.value);
    const step = Math.max(this.#stepForSpace(e.value, e.table.rows), this.#stepForSpace(e.index, e.table.rows));
    return this.#phaseKey({ step, rows: e.table.rows, lanes: "batch" });
  }

  /** A reduction over lanes whose only use is to be added to a binding needs no temporary: the phase adds it directly. */
  #fusedReduction(e: Effect & { type: "store" }): Value | null {
    const { op } = e.value;
    const same = e.value.kind === e.kind && e.value.rows === e.rows;
    return same && (op.type === "reduceLanes" || op.type === "reduceRows") ? e.value : null;
  }

  #stepForSpace(v: Value, rows: number): number {
    if (isEverywhere(v, this.#inlineable)) return 0;
    return inSpace(v, rows, "batch") ? this.#steps[v.id]! : this.#steps[v.id]! + 1;
  }

  #phaseKey(phase: PhaseKey): string {
    const key = `${phase.step}/${phase.rows}/${phase.lanes}`;
    if (!this.#phases.has(key)) this.#phases.set(key, phase);
    return key;
  }

  /** The phase of a value that runs at its own step. */
  #homeOf(v: Value): string {
    const space = spaceOf(v);
    return this.#phaseKey({ step: Math.max(0, this.#steps[v.id]!), ...space });
  }

  /** Decides for every live value where it is computed and whether it passes through memory; consumers before producers. */
  #place(): void {
    const { values, effects } = this.#graph;
    const demand = this.#demand;
    const gathered = new Set<number>();
    for (const e of effects) {
      const phase = this.#phaseOfEffect(e);
      if (e.type === "store") {
        if (this.#fusedReduction(e) === null) demand[e.value.id]!.add(phase);
        else demand[e.value.id]!.add(this.#homeOf(e.value));
      } else if (e.type === "matrixGrad") demand[e.value.id]!.add(phase);
      else {
        demand[e.value.id]!.add(phase);
        demand[e.index.id]!.add(phase);
      }
    }
    for (let id = values.length - 1; id >= 0; id--) {
      const v = values[id]!;
      if (!this.#live[id] || !needsHome(v)) continue;
      this.#computedIn[id] = this.#placeValue(v, demand[id]!, gathered.has(id));
      const phases = this.#computedIn[id]!;
      v.args.forEach((arg, i) => {
        if (gathersFirst(v) && i === 0) gathered.add(arg.id);
        else for (const p of phases) demand[arg.id]!.add(p);
      });
    }
    for (const v of values) {
      const kept = gathered.has(v.id) || this.#outputOf.has(v.id) || this.#once.has(v);
      const onlyShared = this.#storedAs.has(v.id) && !kept;
      if (onlyShared && v.op.type === "pointwise" && v.kind === "state") this.#reconsider(v);
    }
  }

  /** Has every phase that demands `v` compute it, if that costs less than passing it through memory. */
  #reconsider(v: Value): void {
    const first = this.#storedIn.get(v.id)!;
    const others = [...this.#demand[v.id]!].filter((p) => p !== first);
    const passing = STORE_COST + LOAD_COST * others.length;
    let recomputing = 0;
    for (const p of others) recomputing += this.#costIn(p, v, new Set());
    if (recomputing > passing) return;
    this.#storedAs.delete(v.id);
    this.#storedIn.delete(v.id);
    for (const p of others) this.#computeIn(p, v);
  }

  /** Additions and loads that it takes to compute `v` in phase `p`, with what is there. `counted`: values that are paid for. */
  #costIn(p: string, v: Value, counted: Set<number>): number {
    let cost = v.op.type === "pointwise" ? POINTWISE[v.op.fn].cost : 0;
    for (const arg of v.args) {
      if (counted.has(arg.id) || this.#demand[arg.id]!.has(p)) continue;
      counted.add(arg.id);
      if (this.#isInMemory(arg)) cost += arg.kind === "state" ? LOAD_COST : 0;
      else if (broadcasts(arg) && !this.#once.has(arg)) cost += this.#costIn(p, arg, counted);
      else return Number.POSITIVE_INFINITY;
    }
    return cost;
  }

  #computeIn(p: string, v: Value): void {
    this.#computedIn[v.id]!.add(p);
    for (const arg of v.args) {
      const known = this.#demand[arg.id]!.has(p);
      this.#demand[arg.id]!.add(p);
      if (!known && !this.#isInMemory(arg)) this.#computeIn(p, arg);
    }
  }

  /** Whether a later phase can load `v`, or has it at no cost: a leaf that no effect overwrites, a constant, a stored value. */
  #isInMemory(v: Value): boolean {
    if (v.op.type === "leaf") return !this.#overwritten.has(v.op.name);
    return !needsHome(v) || this.#storedAs.has(v.id);
  }

  /** The phases that compute `v`, given those that demand it; stores it where others must read it. */
  #placeValue(v: Value, demandedIn: ReadonlySet<string>, isGathered: boolean): Set<string> {
    const home = this.#homeOf(v);
    if (this.#inlineable[v.id]) {
      if (!isGathered) return new Set(demandedIn);
      this.#store(v, home);
      return new Set([home, ...demandedIn]);
    }
    const isMovable =
      !isContraction(v) &&
      (v.kind === "state" || (v.kind === "sample" && [...demandedIn].every((p) => this.#phases.get(p)!.rows === 1)));
    if (!isMovable) {
      if (isGathered || [...demandedIn].some((p) => p !== home)) this.#store(v, home);
      return new Set([home]);
    }
    const phases = [...demandedIn, ...(isGathered ? [home] : [])].sort((a, b) => this.#stepOf(a) - this.#stepOf(b));
    const isShared = phases.some((p) => p !== phases[0]);
    const isDear = this.#outputOf.has(v.id) || this.#once.has(v) || recomputeCost(v) > RECOMPUTE_LIMIT;
    if (!isGathered && !(isShared && isDear)) return new Set(phases);
    this.#store(v, phases[0]!);
    return new Set([phases[0]!]);
  }

  #stepOf(phase: string): number {
    return this.#phases.get(phase)!.step;
  }

  /** Gives a value a binding that other phases can read: its output if it has one, else a temporary. */
  #store(v: Value, phase: string): void {
    this.#storedAs.set(v.id, this.#outputOf.get(v.id) ?? `%${v.id}`);
    this.#storedIn.set(v.id, phase);
  }

  // ---- emitting --------------------------------------------------------------------------------------------------------

  #emit(emitter: PhaseEmitter): void {
    const { values, effects } = this.#graph;
    const { key } = emitter;
    // Contractions first, in graph order, then what is stored for later phases, then the effects.
    for (const v of values) {
      if (!this.#live[v.id] || !this.#computedIn[v.id]?.has(key)) continue;
      if (v.op.type === "matmul" || v.op.type === "matmulT") this.#emitValue(emitter, v);
    }
    for (const v of values) {
      const as = this.#storedAs.get(v.id);
      if (as === undefined || this.#storedIn.get(v.id) !== key) continue;
      const binding = this.#binding(as, v.kind, v.rows, "write", as.startsWith("%"));
      if (isReduction(v)) this.#emitReduction(emitter, v, binding, false);
      else emitter.push({ op: "store", binding, value: this.#emitValue(emitter, v), accumulate: false });
    }
    // A binding that is both read and written (an optimiser's moments) is written last, after everything has read it.
    const inPlace: (() => void)[] = [];
    for (const e of effects) {
      if (e.type === "matrixGrad" || this.#phaseOfEffect(e) !== key) continue;
      if (e.type === "scatter") {
        const table = this.#binding(e.grad, "table", e.table.rows, "readwrite", false, e.table.depth);
        const index = this.#emitValue(emitter, e.index);
        emitter.push({ op: "scatter", table, index, value: this.#emitValue(emitter, e.value) });
        continue;
      }
      if (!e.accumulate && this.#storedAs.get(e.value.id) === e.name && this.#storedIn.get(e.value.id) === key)
        continue;
      const { accumulate } = e;
      const binding = this.#binding(e.name, e.kind, e.rows, accumulate ? "readwrite" : "write", false);
      const fused = this.#fusedReduction(e);
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
    if (needsHome(v) && (!this.#computedIn[v.id]!.has(emitter.key) || isReduction(v))) {
      const as = this.#storedAs.get(v.id);
      if (as === undefined)
        throw new TypeError(`lower: value ${v.id} (${op.type}) is not available in phase ${emitter.key}`);
      return emitter.push({ op: "load", binding: this.#binding(as, v.kind, v.rows, "read", as.startsWith("%")) });
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
      values.some((u) => this.#live[u.id] === 1 && u.args.includes(v)) ||
      effects.some((e) => e.type !== "matrixGrad" && e.value === v)
    );
  }

  #matrix(matrix: Matrix): BindingId {
    return this.#binding(matrix.name, matrix.form, matrix.rows, "read", false, matrix.cols);
  }

  /** The binding that a contraction gathers from. */
  #gatheredBinding(v: Value): BindingId {
    if (v.op.type === "leaf") return this.#binding(v.op.name, v.kind, v.rows, "read", false);
    const as = this.#storedAs.get(v.id)!;
    return this.#binding(as, v.kind, v.rows, "read", as.startsWith("%"));
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
  readonly space: PhaseKey;
  readonly valueIds: Map<number, ValueId> = new Map();
  readonly #instrs: Instr[] = [];

  constructor(key: string, space: PhaseKey) {
    this.key = key;
    this.space = space;
  }

  push(instr: Instr): ValueId {
    this.#instrs.push(instr);
    return this.#instrs.length - 1;
  }

  isEmpty(): boolean {
    return this.#instrs.length === 0;
  }

  phase(): Phase {
    return { rows: this.space.rows, lanes: this.space.lanes, instrs: this.#instrs };
  }

  touched(): Set<BindingId> {
    return new Set(this.#instrs.flatMap(accessesOf).map(({ binding }) => binding));
  }
}

// ---- facts about single values ---------------------------------------------------------------------------------------

function isReduction(v: Value): boolean {
  return v.op.type === "reduceRows" || v.op.type === "reduceLanes";
}

/** False for what any phase can produce on the spot: leaves, constants, the row number. */
function needsHome(v: Value): boolean {
  return v.op.type !== "leaf" && v.op.type !== "const" && v.op.type !== "rowIndex";
}

/** The space in which a value is computed; that of its operand for a reduction. */
function spaceOf(v: Value): { rows: number; lanes: "batch" | "none" } {
  const w = isReduction(v) ? v.args[0]! : v;
  const kind = isReduction(v) && w.kind === "sample" && v.op.type === "reduceLanes" ? "sample" : w.kind;
  return { rows: w.rows, lanes: kind === "state" || kind === "sample" ? "batch" : "none" };
}

/**
 * What is compared for equality with its own maximum or minimum over rows. Devices may contract a product and a sum to one rounding in
 * one phase and not in another, and then nothing would be equal.
 */
function comparedValues({ values }: Graph): ReadonlySet<Value> {
  const isEqualityWith = (a: Value, b: Value): boolean => isExtremum(a) && a.args[0] === b;
  return new Set(
    values.flatMap(({ op, args: [a, b] }) => {
      if (op.type !== "pointwise" || op.fn !== "eq") return [];
      return isEqualityWith(a!, b!) ? [b!] : isEqualityWith(b!, a!) ? [a!] : [];
    }),
  );
}

/** 1 for row and scalar arithmetic on leaves: cheap enough to be done inside any phase that wants it. */
function inlineableValues({ values }: Graph, once: ReadonlySet<Value>): Uint8Array {
  const inlineable = new Uint8Array(values.length);
  for (const v of values) {
    if (isPerLane(v) || !broadcasts(v) || once.has(v)) continue;
    if (v.args.every((a) => isEverywhere(a, inlineable))) inlineable[v.id] = 1;
  }
  return inlineable;
}

/** Whether any phase can have `v` from the start. */
function isEverywhere(v: Value, inlineable: Uint8Array): boolean {
  return !needsHome(v) || inlineable[v.id] === 1;
}

function inSpace(v: Value, rows: number, lanes: "batch" | "none"): boolean {
  if (isReduction(v)) return false;
  const s = spaceOf(v);
  return s.rows === rows && s.lanes === lanes;
}

/** Additions it takes to compute a pointwise value from leaves and contraction outputs, counted without sharing. */
function recomputeCost(v: Value): number {
  if (v.op.type === "random") return 30;
  if (v.op.type === "lookup") return 3;
  if (v.op.type !== "pointwise") return 0;
  let cost = POINTWISE[v.op.fn].cost;
  for (const a of v.args) {
    cost += recomputeCost(a);
    if (cost > 64) break;
  }
  return cost;
}

function liveValues(graph: Graph): Uint8Array {
  const live = new Uint8Array(graph.values.length);
  for (const e of graph.effects) {
    live[e.value.id] = 1;
    if (e.type === "scatter") live[e.index.id] = 1;
  }
  for (let id = graph.values.length - 1; id >= 0; id--) {
    if (live[id]) for (const a of graph.values[id]!.args) live[a.id] = 1;
  }
  return live;
}

/** The earliest step of every live value; −1 for what is there from the start. */
function stepsOf(graph: Graph, live: Uint8Array, inlineable: Uint8Array): Int32Array {
  const steps = new Int32Array(graph.values.length).fill(-1);
  for (const v of graph.values) {
    if (!live[v.id] || !needsHome(v)) continue;
    const space = spaceOf(v);
    let step = 0;
    v.args.forEach((a, i) => {
      const isGathered = gathersFirst(v) && i === 0;
      // What is gathered must lie in memory, even if any phase could compute it on the spot.
      if (isGathered ? !needsHome(a) : isEverywhere(a, inlineable)) return;
      const here = !isGathered && inSpace(a, space.rows, space.lanes);
      step = Math.max(step, steps[a.id]! + (here ? 0 : 1));
    });
    steps[v.id] = step;
  }
  return steps;
}
