// Where a graph's values are computed: in which phase each of them, which go through memory, which are recomputed.
//
// 1. Every value gets a *step*: the earliest phase in which its operands are there. What a contraction gathers, and what
//    crosses from one space to another (a per-sample result used by neurons), must be complete, so it costs a step.
// 2. Contractions and reductions run at their step. A pointwise value has no phase of its own: every phase that demands it computes
//    it (so it fuses with the contraction before or after it), unless several phases demand it and recomputing costs more than
//    storing; then the first of them stores it and the others load it. A phase that has the operands at hand recomputes at little cost.
//    That is known only when all values have their places, so the choice is then made once more.

import { isPerLane } from "../backend/layout.ts";
import { POINTWISE } from "../ops/pointwise.ts";
import { broadcasts, gathersFirst, isContraction, isExtremum, type Value } from "../ops/value.ts";
import type { Effect, Graph } from "./graph.ts";

/** What is placed: the values of a graph, and what they are for. */
export type Placed = Pick<Graph, "values" | "effects">;

/** A pointwise value demanded by several phases is stored when recomputing it from leaves costs more than this many additions. */
const RECOMPUTE_LIMIT = 3;
/**
 * Cost, in additions, of loading one state from memory, and of storing one (a store first reads the cache line). A fused addition
 * keeps its operands in registers, so the ratio is that of a processor's speed and its bandwidth, rounded down.
 */
const LOAD_COST = 2;
const STORE_COST = 4;

/** A phase before it has instructions. */
export interface PhasePlace {
  readonly key: string;
  readonly step: number;
  readonly rows: number;
  readonly lanes: "batch" | "none";
}

/** The binding through which later phases read a value. */
export interface StoredValue {
  readonly name: string;
  /** Whether the program owns it; else it is an output. */
  readonly temp: boolean;
  /** The key of the phase that stores it. */
  readonly phase: string;
}

export class Placement {
  readonly #graph: Placed;
  readonly #live: Uint8Array;
  /** Values with one set of bits: computed in one phase only. */
  readonly #once: ReadonlySet<Value>;
  readonly #inlineable: Uint8Array;
  readonly #steps: Int32Array;
  readonly #phases = new Map<string, PhasePlace>();
  /** Phases in which a value is computed. */
  readonly #computedIn: (Set<string> | undefined)[] = [];
  /** By value id. */
  readonly #stored = new Map<number, StoredValue>();
  /** Values whose store effect already puts them in a readable binding. */
  readonly #outputOf: ReadonlyMap<number, string>;
  /** Leaves whose bindings effects write. */
  readonly #overwritten: ReadonlySet<string>;
  /** By value: the phases that compute with it. */
  readonly #demand: readonly Set<string>[];
  /** The step of the last store of a sample. */
  readonly #lastSampleStep: number;

  constructor(graph: Placed) {
    this.#graph = graph;
    this.#overwritten = new Set(graph.effects.flatMap((e) => (e.type === "store" ? [e.name] : [])));
    this.#demand = graph.values.map(() => new Set());
    this.#live = liveValues(graph);
    this.#once = comparedValues(graph);
    this.#inlineable = inlineableValues(graph, this.#once);
    this.#steps = stepsOf(graph, this.#live, this.#inlineable);
    this.#outputOf = readableOutputs(graph);
    this.#lastSampleStep = Math.max(0, ...graph.effects.map((e) => (this.#canWait(e) ? this.#storeStep(e) : 0)));
    this.#place();
  }

  /** The phases in the order in which they run; some may turn out empty. */
  phases(): readonly PhasePlace[] {
    return [...this.#phases.values()].sort(
      (a, b) => a.step - b.step || a.rows - b.rows || a.lanes.localeCompare(b.lanes),
    );
  }

  isLive(v: Value): boolean {
    return this.#live[v.id] === 1;
  }

  /** Whether the phase computes `v` itself. */
  isComputedIn(v: Value, phase: string): boolean {
    return this.#computedIn[v.id]?.has(phase) ?? false;
  }

  /** How later phases read `v`; undefined: they do not. */
  storedAs(v: Value): StoredValue | undefined {
    return this.#stored.get(v.id);
  }

  /** The phase in which an effect takes place. */
  phaseOf(e: Effect): string {
    if (e.type === "store") {
      const lanes = e.kind === "state" || e.kind === "sample" ? "batch" : "none";
      const fused = this.fusedReduction(e);
      if (fused) return this.#homeOf(fused);
      const step = this.#canWait(e) ? this.#lastSampleStep : this.#storeStep(e);
      return this.#phaseKey({ step, rows: e.rows, lanes });
    }
    if (e.type === "matrixGrad") return this.#homeOf(e.value);
    const step = Math.max(this.#stepForSpace(e.value, e.table.rows), this.#stepForSpace(e.index, e.table.rows));
    return this.#phaseKey({ step, rows: e.table.rows, lanes: "batch" });
  }

  /** Whether an effect is a store of a sample that can wait for the last one, so that one phase does them all. */
  #canWait(e: Effect): e is Effect & { type: "store" } {
    if (e.type !== "store" || e.kind !== "sample" || this.fusedReduction(e)) return false;
    return this.#graph.effects.every((other) => other === e || other.type !== "store" || other.name !== e.name);
  }

  /** The first step at which a store can take place. */
  #storeStep({ value, kind, rows }: Effect & { type: "store" }): number {
    const lanes = kind === "state" || kind === "sample" ? "batch" : "none";
    const crosses = !isEverywhere(value, this.#inlineable) && !inSpace(value, rows, lanes);
    return Math.max(0, this.#steps[value.id]! + (crosses ? 1 : 0));
  }

  /** A reduction over lanes whose only use is to be added to a binding needs no temporary: the phase adds it directly. */
  fusedReduction(e: Effect & { type: "store" }): Value | null {
    const { op } = e.value;
    const same = e.value.kind === e.kind && e.value.rows === e.rows;
    return same && (op.type === "reduceLanes" || op.type === "reduceRows") ? e.value : null;
  }

  #stepForSpace(v: Value, rows: number): number {
    if (isEverywhere(v, this.#inlineable)) return 0;
    return inSpace(v, rows, "batch") ? this.#steps[v.id]! : this.#steps[v.id]! + 1;
  }

  #phaseKey(phase: Omit<PhasePlace, "key">): string {
    const key = `${phase.step}/${phase.rows}/${phase.lanes}`;
    if (!this.#phases.has(key)) this.#phases.set(key, { ...phase, key });
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
      const phase = this.phaseOf(e);
      demand[e.value.id]!.add(phase);
      if (e.type === "scatter") demand[e.index.id]!.add(phase);
    }
    for (let id = values.length - 1; id >= 0; id--) {
      const v = values[id]!;
      if (!this.#live[id] || !needsPhase(v)) continue;
      this.#computedIn[id] = this.#placeValue(v, demand[id]!, gathered.has(id));
      const phases = this.#computedIn[id]!;
      v.args.forEach((arg, i) => {
        if (gathersFirst(v) && i === 0) gathered.add(arg.id);
        else for (const p of phases) demand[arg.id]!.add(p);
      });
    }
    for (const v of values) {
      const kept = gathered.has(v.id) || this.#outputOf.has(v.id) || this.#once.has(v);
      const onlyShared = this.#stored.has(v.id) && !kept;
      if (onlyShared && v.op.type === "pointwise" && v.kind === "state") this.#reconsider(v);
    }
  }

  /** Has every phase that demands `v` compute it, if that costs less than passing it through memory. */
  #reconsider(v: Value): void {
    const first = this.#stored.get(v.id)!.phase;
    const others = [...this.#demand[v.id]!].filter((p) => p !== first);
    const passing = STORE_COST + LOAD_COST * others.length;
    let recomputing = 0;
    for (const p of others) recomputing += this.#costIn(p, v, new Set());
    if (recomputing > passing) return;
    this.#stored.delete(v.id);
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
    return !needsPhase(v) || this.#stored.has(v.id);
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
    const isExpensive = this.#outputOf.has(v.id) || this.#once.has(v) || recomputeCost(v) > RECOMPUTE_LIMIT;
    if (!isGathered && !(isShared && isExpensive)) return new Set(phases);
    this.#store(v, phases[0]!);
    return new Set([phases[0]!]);
  }

  #stepOf(phase: string): number {
    return this.#phases.get(phase)!.step;
  }

  /** Gives a value a binding that other phases can read: its output if it has one, else a temporary. */
  #store(v: Value, phase: string): void {
    const output = this.#outputOf.get(v.id);
    this.#stored.set(v.id, { name: output ?? `%${v.id}`, temp: output === undefined, phase });
  }
}

// ---- facts about single values ---------------------------------------------------------------------------------------

export function isReduction(v: Value): boolean {
  return v.op.type === "reduceRows" || v.op.type === "reduceLanes";
}

/** False for what any phase can produce on the spot: leaves, constants, the row number. */
export function needsPhase(v: Value): boolean {
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
function comparedValues({ values }: Placed): ReadonlySet<Value> {
  const isEqualityWith = (a: Value, b: Value): boolean => isExtremum(a) && a.args[0] === b;
  return new Set(
    values.flatMap(({ op, args: [a, b] }) => {
      if (op.type !== "pointwise" || op.fn !== "eq") return [];
      return isEqualityWith(a!, b!) ? [b!] : isEqualityWith(b!, a!) ? [a!] : [];
    }),
  );
}

/** 1 for row and scalar arithmetic on leaves: cheap enough to be done inside any phase that wants it. */
function inlineableValues({ values }: Placed, once: ReadonlySet<Value>): Uint8Array {
  const inlineable = new Uint8Array(values.length);
  for (const v of values) {
    if (isPerLane(v) || !broadcasts(v) || once.has(v)) continue;
    if (v.args.every((a) => isEverywhere(a, inlineable))) inlineable[v.id] = 1;
  }
  return inlineable;
}

/** Whether any phase can have `v` from the start. */
function isEverywhere(v: Value, inlineable: Uint8Array): boolean {
  return !needsPhase(v) || inlineable[v.id] === 1;
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

/** Stores that put a value, as it is, where no phase reads something else: other phases can read it there. */
function readableOutputs({ values, effects }: Placed): ReadonlyMap<number, string> {
  const leaves = new Set(values.flatMap((v) => (v.op.type === "leaf" ? [v.op.name] : [])));
  const outputs = effects.flatMap((e): [number, string][] => {
    if (e.type !== "store" || e.accumulate || leaves.has(e.name) || !needsPhase(e.value)) return [];
    return e.value.kind === e.kind && e.value.rows === e.rows ? [[e.value.id, e.name]] : [];
  });
  return new Map(outputs);
}

function liveValues(graph: Placed): Uint8Array {
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
function stepsOf(graph: Placed, live: Uint8Array, inlineable: Uint8Array): Int32Array {
  const steps = new Int32Array(graph.values.length).fill(-1);
  for (const v of graph.values) {
    if (!live[v.id] || !needsPhase(v)) continue;
    const space = spaceOf(v);
    let step = 0;
    v.args.forEach((a, i) => {
      const isGathered = gathersFirst(v) && i === 0;
      // What is gathered must lie in memory, even if any phase could compute it on the spot.
      if (isGathered ? !needsPhase(a) : isEverywhere(a, inlineable)) return;
      const here = !isGathered && inSpace(a, space.rows, space.lanes);
      step = Math.max(step, steps[a.id]! + (here ? 0 : 1));
    });
    steps[v.id] = step;
  }
  return steps;
}
