// Penalties on parameters: terms of what is minimised that depend on parameters alone. One program per parameter computes the values of
// its terms and adds their gradients to its gradient buffer, before clipping and the optimiser's step.

import { Graph } from "../autodiff/graph.ts";
import { lower } from "../autodiff/lower.ts";
import { pullBack } from "../autodiff/vjp.ts";
import type { Backend, DeviceBuffer } from "../backend/backend.ts";
import { Desk } from "../backend/desk.ts";
import type { Program } from "../backend/program.ts";
import { callsOf } from "../core/callQueue.ts";
import { ArgumentError, EngineError, ShapeError } from "../core/errors.ts";
import { checkFinite } from "../core/finite.ts";
import { checkNames } from "../core/optionNames.ts";
import { orRelease } from "../core/release.ts";
import { inDeviceOrder, type Parameter } from "../models/parameters/parameter.ts";
import type { ParameterSet } from "../models/parameters/parameterSet.ts";
import type { ParameterPattern } from "../models/parameters/pattern.ts";
import type { Value } from "../ops/value.ts";
import { type ChosenElements, chosenElements, type PatternScope } from "./parameterElements.ts";

/**
 * A penalty as a graph: the term of each number of a parameter [n], which are summed, or one scalar.
 *
 * @param w      the parameter as it is stored [n]: one number per connection, neuron, type or group that has a value of its own
 * @param start  its values at the beginning of training [n]
 */
export type PenaltyGraph = (g: Graph, w: Value, start: Value) => Value;

/** Ready-made penalties: Σ|w|, ½Σw², and ½Σ(w − w_start)², w_start the values at the beginning of training. */
export type PenaltyKind = "l1" | "l2" | "distance";

/** A term: `weight` times the sum of its kind over all parameters, or elements of some neurons, that match. */
export interface ParameterPenalty {
  /** As results and files have it; unique. */
  readonly name: string;
  /** Shared values count once, however many connections or neurons share them. */
  readonly parameters: ParameterPattern;
  readonly kind: PenaltyKind | PenaltyGraph;
  /** Above 0. That of "l2" is what torch's SGD calls weight_decay. */
  readonly weight: number;
}

/** Every kind by name. A new one is a line here and its name in `PenaltyKind`. */
const KINDS: Readonly<Record<PenaltyKind, PenaltyGraph>> = {
  l1: ({ ops }, w) => ops.abs(w),
  l2: ({ ops }, w) => ops.mul(0.5, ops.mul(w, w)),
  distance: ({ ops }, w, start) => {
    const d = ops.sub(w, start);
    return ops.mul(0.5, ops.mul(d, d));
  },
};

/** Names of the ready-made penalties. */
export const PENALTY_KINDS: readonly PenaltyKind[] = Object.keys(KINDS) as PenaltyKind[];

const TERM_OPTIONS: Readonly<Record<keyof ParameterPenalty, true>> = {
  name: true,
  parameters: true,
  kind: true,
  weight: true,
};

/** The terms of one parameter. */
interface Penalised {
  readonly parameter: Parameter;
  /** Its elements in each of its terms, by the term's number. */
  readonly terms: ReadonlyMap<number, ChosenElements>;
  readonly program: Program;
  /** For terms on some of its elements: 1 for those, 0 for others, by the names of leaves. */
  readonly chosen: Readonly<Record<string, DeviceBuffer>>;
  /** Its values at the beginning of training; null: no term reads them. */
  readonly start: DeviceBuffer | null;
}

/**
 * Penalties on the parameters of a model, on its device. `Trainer` takes them as an option. In a loop of your own:
 *
 *     const { loss, measured } = await model.gradients(input, labels, step, {}, (complete) => penalties.add(complete));
 *     const total = loss + Object.values(penalties.read(measured)).reduce((sum, x) => sum + x, 0);
 *     optimizer.step();
 */
export class ParameterPenalties {
  readonly #backend: Backend;
  readonly #parameters: ParameterSet;
  readonly #terms: readonly ParameterPenalty[];
  readonly #desk: Desk;
  readonly #penalised: readonly Penalised[];
  readonly #values: readonly DeviceBuffer[];
  readonly #always: DeviceBuffer;
  #hasBegun = false;
  #isDisposed = false;

  /**
   * @throws {ArgumentError} a pattern that matches nothing or only what the model has frozen; a name that is taken; a weight that is not
   *   above 0; a kind that does not exist; a graph that does not depend on the parameter
   * @throws {ShapeError} a graph whose result is neither one number per number of the parameter nor a scalar, or a scalar for some elements
   */
  constructor(
    backend: Backend,
    parameters: ParameterSet,
    terms: readonly ParameterPenalty[],
    scope: PatternScope = {},
  ) {
    terms.forEach((term, i) => {
      check(term, i, terms);
    });
    this.#backend = backend;
    this.#parameters = parameters;
    this.#terms = terms.map((term) => ({ ...term }));
    this.#desk = new Desk(backend, backend.layoutFor(1), "ParameterPenalties");
    const { penalised, values, always } = orRelease(this.#desk, () => {
      const scalar = this.#desk.vector("always", 1);
      backend.fill(scalar, 1);
      return {
        penalised: penalisedOf(this.#desk, parameters, terms, scope),
        values: terms.map((_, i) => this.#desk.vector(valueName(i), 1)),
        always: scalar,
      };
    });
    this.#penalised = penalised;
    this.#values = values;
    this.#always = always;
  }

  /** The names of the terms, in order. */
  get names(): readonly string[] {
    return this.#terms.map(({ name }) => name);
  }

  /**
   * Enqueues the values of all terms, and adds their gradients to those of the parameters. The first time, the present values of the
   * parameters become those at the beginning of training, unless `begin` or `restore` has set them.
   *
   * @param complete  scalar on the device; where it is 0 nothing is added (default: always)
   * @returns where the values will be: a scalar per term, on the device; `read` gives them their names
   */
  add(complete: DeviceBuffer = this.#always): readonly DeviceBuffer[] {
    this.#checkInUse("add");
    this.#keepStart();
    for (const value of this.#values) this.#backend.fill(value, 0);
    // Solves have scalars of their own, which go with them.
    this.#desk.nextRound();
    for (const { parameter, program, start, chosen } of this.#penalised) {
      const { value: w, grad } = parameter;
      this.#desk.run(program, { w, grad, start, complete, ...chosen });
    }
    return this.#values;
  }

  /** The values of the terms by name, from the numbers of the buffers that `add` returned. */
  read(values: readonly ArrayLike<number>[]): Record<string, number> {
    return Object.fromEntries(this.#terms.map(({ name }, i) => [name, values[i]![0]!]));
  }

  /**
   * A result of training with the terms in its loss and among its penalties.
   *
   * @throws {ArgumentError} the result has a penalty of the same name
   */
  addedTo<R extends { readonly loss: number; readonly penalties: Readonly<Record<string, number>> }>(
    result: R,
    values: readonly ArrayLike<number>[],
  ): R {
    const own = this.read(values);
    const taken = this.names.find((name) => Object.hasOwn(result.penalties, name));
    if (taken !== undefined)
      throw new ArgumentError("ParameterPenalties", taken, "a name that no penalty of the model has", `"${taken}"`);
    const loss = Object.values(own).reduce((sum, value) => sum + value, result.loss);
    return { ...result, loss, penalties: { ...result.penalties, ...own } };
  }

  /** Makes the present values of the parameters those at the beginning of training. */
  begin(): void {
    this.#checkInUse("begin");
    callsOf(this.#parameters).change("begin", () => {
      this.#hasBegun = false;
      this.#keepStart();
    });
  }

  /** Keeps the start values unless there are some, for code that runs in the turn of a call. */
  #keepStart(): void {
    if (this.#hasBegun) return;
    this.#parameters.refresh();
    for (const { parameter, start } of this.#penalised) {
      const { size, value: w } = parameter;
      if (start)
        this.#desk.run(
          this.#desk.program(`start ${size}`, () => startProgram(size)),
          { w, start },
        );
    }
    this.#hasBegun = true;
  }

  /** The parameters whose values at the beginning of training are kept, as a term reads them. */
  get keptParameters(): readonly Parameter[] {
    return this.#penalised.flatMap(({ parameter, start }) => (start ? [parameter] : []));
  }

  /** These parameters and their start values in device order, for code that runs in the turn of a call. Before the first step they are the present ones. */
  starts(): readonly (readonly [Parameter, DeviceBuffer])[] {
    this.#keepStart();
    return this.#penalised.flatMap(({ parameter, start }) => (start ? [[parameter, start] as const] : []));
  }

  /**
   * Sets the values at the beginning of training, by the names of the parameters and in the order of files.
   *
   * @throws {ArgumentError | ShapeError} values are missing, of another size, or not finite; nothing is changed then
   */
  restore(starts: ReadonlyMap<string, ArrayLike<number>>): void {
    this.#checkInUse("restore");
    const calls = callsOf(this.#parameters);
    const kept = this.#penalised.filter(({ start }) => start !== null);
    const all = kept.map(({ parameter, start }) => {
      const { name, size } = parameter;
      const values = starts.get(name);
      if (!values)
        throw new ArgumentError("ParameterPenalties", name, "its values at the beginning of training", "nothing");
      if (values.length !== size)
        throw new ShapeError("ParameterPenalties", name, `${size} values`, `${values.length}`);
      checkFinite("ParameterPenalties", name, values, this.#backend.dtype);
      return [start!, inDeviceOrder(calls.isBusy ? Float64Array.from(values) : values, parameter)] as const;
    });
    calls.change("restore", () => {
      for (const [start, values] of all) this.#backend.upload(start, values);
      this.#hasBegun = true;
    });
  }

  /**
   * @param trained  elements that are updated, by parameter (Optimizer.trainedElements)
   * @throws {ArgumentError} a term has no effect, as none of its elements is among them
   */
  checkTrained(trained: ReadonlyMap<Parameter, ChosenElements>): void {
    this.#terms.forEach((term, i) => {
      const hasEffect = this.#penalised.some(({ parameter, terms }) => {
        const [own, updated] = [terms.get(i), trained.get(parameter)];
        return own !== undefined && updated !== undefined && haveCommon(own, updated);
      });
      if (hasEffect) return;
      const got = `"${term.parameters}" of ${term.name}, all frozen`;
      throw new ArgumentError(
        "ParameterPenalties",
        `${term.name}.parameters`,
        "a parameter that the optimiser trains",
        got,
      );
    });
  }

  /** Releases everything when the calls before it have ended. */
  dispose(): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    callsOf(this.#parameters).afterwards(() => this.#desk.release());
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #checkInUse(name: string): void {
    if (!this.#isDisposed) return;
    const where = `ParameterPenalties.${name}`;
    throw new EngineError("disposed", `${where}: expected penalties in use, got some that have been disposed of`, {
      where,
    });
  }
}

function haveCommon(a: ChosenElements, b: ChosenElements): boolean {
  // Neither is empty.
  return a === null || b === null || a.some((isIn, k) => isIn === 1 && b[k] === 1);
}

function check(term: ParameterPenalty, i: number, all: readonly ParameterPenalty[]): void {
  const where = "ParameterPenalties";
  checkNames(where, term, TERM_OPTIONS, `terms[${i}].`);
  const { name, parameters, kind, weight } = term;
  const refuse = (option: keyof ParameterPenalty, expected: string, got: unknown): never => {
    throw new ArgumentError(where, `terms[${i}].${option}`, expected, `${got}`);
  };
  if (typeof name !== "string" || name === "") refuse("name", "a name", name);
  if (all.findIndex((other) => other.name === name) !== i) refuse("name", "a new name", `"${name}", which is taken`);
  if (typeof parameters !== "string") refuse("parameters", "a pattern of names or roles", parameters);
  if (typeof kind !== "function" && !Object.hasOwn(KINDS, kind))
    refuse("kind", `${PENALTY_KINDS.join(", ")}, or a function`, kind);
  if (!(weight > 0 && Number.isFinite(weight))) refuse("weight", "a finite number above 0", weight);
}

function penalisedOf(
  desk: Desk,
  parameters: ParameterSet,
  terms: readonly ParameterPenalty[],
  scope: PatternScope,
): Penalised[] {
  const all = parameters.all();
  const matched = terms.map(({ name, parameters: pattern }) =>
    chosenElements("ParameterPenalties", `${name}.parameters`, pattern, all, scope),
  );
  return all.flatMap((parameter): Penalised[] => {
    const { name, size } = parameter;
    const own = terms.flatMap((_, i) => (matched[i]!.has(parameter) ? [i] : []));
    // A matrix without entries has nothing to penalise.
    if (own.length === 0 || size === 0) return [];
    const elements = (i: number): ChosenElements => matched[i]!.get(parameter)!;
    const partial = own.filter((i) => elements(i) !== null);
    const program = penaltyProgram(
      size,
      own.map((i) => ({ value: valueName(i), term: terms[i]!, chosen: elements(i) && chosenName(i) })),
    );
    const readsStart = program.bindings.some((binding) => binding.name === "start");
    const start = readsStart ? desk.vector(`${name} start`, size) : null;
    const chosen = partial.map((i) => {
      const buffer = desk.vector(`${name} ${chosenName(i)}`, size);
      desk.backend.upload(buffer, elements(i)!);
      return [chosenName(i), buffer] as const;
    });
    return [
      {
        parameter,
        terms: new Map(own.map((i) => [i, elements(i)])),
        program,
        start,
        chosen: Object.fromEntries(chosen),
      },
    ];
  });
}

function chosenName(term: number): string {
  return `chosen ${term}`;
}

function valueName(term: number): string {
  return `value ${term}`;
}

/** A term in a program: the binding of its value, and the leaf of its elements; null: all of them. */
interface TermOfParameter {
  readonly value: string;
  readonly term: ParameterPenalty;
  readonly chosen: string | null;
}

/** Adds the terms of a parameter to their values, and their gradients to its gradient. Leaves: `w`, `start`, and those of `chosen`. */
function penaltyProgram(size: number, terms: readonly TermOfParameter[]): Program {
  const g = new Graph();
  const { ops } = g;
  const w = g.row("w", size);
  const start = g.row("start", size);
  const seeds = terms.map(({ value, term: { name, kind, weight }, chosen }) => {
    const mask = chosen === null ? null : g.row(chosen, size);
    // Nothing flows back to other elements, not even 0 · ∞.
    const own = mask ? ops.select(mask, w, g.detach(w)) : w;
    const all = (typeof kind === "function" ? kind : KINDS[kind])(g, own, start);
    const isSum = all.kind === "row" && all.rows === size;
    if (!isSum && (all.kind !== "scalar" || mask)) {
      const expected = `a row vector of ${size} numbers${mask ? ", for elements of some neurons" : ", or a scalar"}`;
      throw new ShapeError("ParameterPenalties", name, expected, `${all.kind} of ${all.rows}`);
    }
    const term = mask ? ops.select(mask, all, 0) : all;
    if (!dependsOn(term, w))
      throw new ArgumentError(
        "ParameterPenalties",
        name,
        "a function of the parameter",
        "one that does not depend on it",
      );
    g.store(value, ops.mul(weight, isSum ? ops.reduceRows(term) : term), { accumulate: true });
    return [term, ops.constant(weight)] as const;
  });
  pullBack(g, g, seeds, new Map([["w", { binding: "grad", accumulate: true }]]), (v) => v);
  return lower(g, "penalties.parameters", "readout", { scalars: ["complete"], skips: "everything" });
}

function startProgram(size: number): Program {
  const g = new Graph();
  g.store("start", g.row("w", size));
  return lower(g, "penalties.start", "parameters");
}

function dependsOn(value: Value, leaf: Value, seen: Set<Value> = new Set()): boolean {
  if (value === leaf) return true;
  if (seen.has(value)) return false;
  seen.add(value);
  return value.args.some((arg) => dependsOn(arg, leaf, seen));
}
