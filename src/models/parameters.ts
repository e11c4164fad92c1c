// Named parameters on a device: values, gradients, constraints. Names and orders on the host are torch-biopl's: the values of a
// sparse matrix are row-major (CSR order); on the device the parameter lies in CSC order, with a copy in CSR order for W·x.

import { Graph } from "../autodiff/graph.ts";
import { type GuardNames, lower } from "../autodiff/lower.ts";
import type { Backend, Bindable, BoundProgram, DeviceBuffer, DeviceSparse } from "../backend/backend.ts";
import { compileAndBind } from "../backend/bind.ts";
import type { Program } from "../backend/program.ts";
import { callsOf } from "../core/callQueue.ts";
import type { Csr } from "../core/csr.ts";
import { type FloatArray, floatArray } from "../core/dtype.ts";
import { ArgumentError, nearestName, ShapeError } from "../core/errors.ts";
import { checkFinite } from "../core/finite.ts";
import { type Constraint, checkMinimum, checkSigns } from "./constraint.ts";

/** A parameter of a model, on the device. */
export interface Parameter {
  readonly name: string;
  readonly size: number;
  readonly trainable: boolean;
  /** [size] on the device. */
  readonly value: DeviceBuffer;
  /** [size], same order; null for a frozen parameter. Complete after `foldGradients`. */
  readonly grad: DeviceBuffer | null;
  /** What programs bind for it: the value, the sparse matrix, or the value spread over neurons. */
  readonly bindable: Bindable;
  /** Where programs add its gradient: `grad`, or the gradient before it is summed over what shares the parameter. */
  readonly gradTarget: DeviceBuffer | null;
  readonly sparse: DeviceSparse | null;
}

interface Owned extends Parameter {
  readonly constraint: Constraint;
  /** Signs that "sign" keeps, in device order. */
  readonly signs: Int8Array | null;
  /** Programs that restore the constraint and whatever is derived from the value. */
  readonly refresh: readonly BoundProgram[];
  /** Sums the gradient over what shares the parameter, where the scalar is not 0. */
  readonly fold: ((complete: DeviceBuffer) => void) | null;
  /** Buffers and bound programs. */
  readonly owned: readonly { release(): void }[];
}

/** Whether a parameter is trained, and what its values must satisfy. */
export interface ParameterOptions {
  readonly trainable: boolean;
  readonly constraint?: Constraint;
}

/** How values are taken that contradict the constraint of their parameter. */
export interface SetOptions {
  /** true: they are put right before the next pass, as torch-biopl does without a word; default: as the constraint says, else false. */
  readonly clamp?: boolean;
}

/**
 * The parameters of a model by name, with their gradients and constraints.
 *
 * While a call of the model is pending, changes and questions take their turn behind it.
 */
export class ParameterSet {
  readonly #backend: Backend;
  readonly #parameters = new Map<string, Owned>();
  readonly #always: DeviceBuffer;
  #stale = true;

  constructor(backend: Backend) {
    this.#backend = backend;
    this.#always = backend.buffer("always", 1);
    backend.fill(this.#always, 1);
  }

  /**
   * A vector: one number per neuron, or a dense matrix in row-major order. With `spreadBy`, programs see value[spreadBy[i]] for
   * each i (one number per type, spread over the neurons), and the gradient is summed back.
   */
  addVector(
    name: string,
    values: ArrayLike<number>,
    options: ParameterOptions & { readonly spreadBy?: ArrayLike<number> },
  ): Parameter {
    this.#checkNew(name, values, options);
    const value = this.#backend.buffer(name, values.length);
    this.#backend.upload(value, values);
    const build = new Builder(this.#backend, name, value, options.trainable);
    build.constrain(options.constraint ?? "none", () => values);
    if (options.spreadBy) build.spread(options.spreadBy, null);
    return this.#keep(build.finish(null));
  }

  /** A vector whose values are drawn in order; they are nowhere on the host at once. */
  addDrawn(
    name: string,
    size: number,
    draw: () => number,
    { trainable }: Pick<ParameterOptions, "trainable">,
  ): Parameter {
    const value = this.#backend.buffer(name, size);
    for (let at = 0; at < size; at += DRAWN_AT_ONCE) {
      const piece = new Float32Array(Math.min(DRAWN_AT_ONCE, size - at));
      for (let i = 0; i < piece.length; i++) piece[i] = draw();
      this.#backend.upload(value, piece, at);
    }
    return this.#keep(new Builder(this.#backend, name, value, trainable).finish(null));
  }

  /** The stored values of a sparse matrix. */
  addSparse(name: string, csr: Csr, options: ParameterOptions): Parameter {
    this.#checkNew(name, csr.values, options);
    const sparse = this.#backend.sparse(name, csr);
    const build = new Builder(this.#backend, name, sparse.valuesCsc, options.trainable);
    build.constrain(options.constraint ?? "none", () => cscOrder(sparse, csr.values));
    build.copyToCsr(sparse);
    return this.#keep(build.finish(sparse));
  }

  /**
   * Strengths shared by the synapses of a group: value of a stored entry = magnitude (of `csr`, signed) · strength[group].
   * @param group  row-major, one per stored entry
   */
  addSharedSparse(
    name: string,
    csr: Csr,
    strengths: ArrayLike<number>,
    group: ArrayLike<number>,
    options: ParameterOptions,
  ): Parameter {
    const backend = this.#backend;
    checkFinite("parameters", name, csr.values, backend.dtype);
    this.#checkNew(name, strengths, options);
    const sparse = backend.sparse(name, csr);
    const value = backend.buffer(name, strengths.length);
    backend.upload(value, strengths);
    const build = new Builder(backend, name, value, options.trainable);
    build.constrain(options.constraint ?? "none", () => strengths);
    const magnitude = backend.buffer(`${name} magnitude`, csr.nnz);
    backend.upload(magnitude, cscOrder(sparse, csr.values));
    build.spread(cscOrder(sparse, group), { magnitude, into: sparse.valuesCsc });
    build.copyToCsr(sparse);
    return this.#keep(build.finish(sparse));
  }

  #checkNew(name: string, values: ArrayLike<number>, { constraint = "none" }: ParameterOptions): void {
    if (this.#parameters.has(name)) throw new ArgumentError("parameters", name, "a new name", "one that is taken");
    checkFinite("parameters", name, values, this.#backend.dtype);
    checkMinimum("parameters", name, values, constraint);
  }

  #keep(parameter: Owned): Parameter {
    this.#parameters.set(parameter.name, parameter);
    return parameter;
  }

  all(): readonly Parameter[] {
    return [...this.#parameters.values()];
  }

  trainable(): readonly Parameter[] {
    return this.all().filter((p) => p.trainable);
  }

  /** @throws {ArgumentError} with the nearest known name */
  get(name: string): Parameter {
    return this.#get(name);
  }

  #get(name: string): Owned {
    const parameter = this.#parameters.get(name);
    if (parameter) return parameter;
    const near = nearestName(name, this.#parameters.keys());
    const known = [...this.#parameters.keys()].join(", ");
    throw new ArgumentError("parameters", name, `${near ? `${near}? one of ` : "one of "}${known}`, `"${name}"`);
  }

  /** Tells that values changed on the device (an optimiser's step): constraints and copies are restored before the next use. */
  touch(): void {
    this.#stale = true;
  }

  /** Restores constraints and CSR copies if values changed. */
  refresh(): void {
    if (!this.#stale) return;
    for (const p of this.#parameters.values()) for (const bound of p.refresh) this.#backend.run(bound);
    this.#stale = false;
  }

  zeroGradients(): void {
    callsOf(this).change("zeroGradients", () => this.clearGradients());
  }

  /** `zeroGradients` at once; for what runs in the turn of a call. */
  clearGradients(): void {
    for (const p of this.#parameters.values()) {
      if (p.grad) this.#backend.fill(p.grad, 0);
      if (p.gradTarget && p.gradTarget !== p.grad) this.#backend.fill(p.gradTarget, 0);
    }
  }

  /**
   * Completes the gradients of shared parameters with what has been added since the last time.
   * @param complete  scalar on the device; where it is 0 nothing happens (default: at once)
   */
  foldGradients(complete: DeviceBuffer = this.#always): void {
    for (const p of this.#parameters.values()) p.fold?.(complete);
  }

  /** Host copy of a parameter's values, as its constraint wants them; row-major for a sparse matrix. */
  async values(name: string): Promise<FloatArray> {
    return callsOf(this).run("values", () => {
      this.refresh();
      return this.read(name, "value");
    });
  }

  /** Host copy of a parameter's gradient, in the same order. */
  async gradient(name: string): Promise<FloatArray> {
    return callsOf(this).run("gradient", () => this.read(name, "gradient"));
  }

  /**
   * Values or gradient at once; for what runs in the turn of a call. After an optimiser's step the constraint of values is yet to be
   * restored, as in torch-biopl.
   */
  async read(name: string, of: "value" | "gradient"): Promise<FloatArray> {
    const p = this.#get(name);
    const buffer = of === "value" ? p.value : p.grad;
    if (!buffer) throw new ArgumentError("gradient", name, "a trainable parameter", "a frozen one");
    return this.#toHost(p, buffer);
  }

  async #toHost(p: Owned, buffer: DeviceBuffer): Promise<FloatArray> {
    const values = (await this.#backend.download(buffer)) as FloatArray;
    if (p.sparse?.valuesCsc !== p.value) return values;
    const order = p.sparse.cscOfCsrHost;
    const rowMajor = floatArray(this.#backend.dtype, p.size);
    for (let k = 0; k < p.size; k++) rowMajor[k] = values[order[k]!]!;
    return rowMajor;
  }

  /**
   * Overwrites a parameter's values (row-major for a sparse matrix).
   *
   * @throws {ShapeError | ArgumentError} another number of values, values that are not finite or contradict the constraint
   */
  set(name: string, values: ArrayLike<number>, options: SetOptions = {}): void {
    this.setAll([[name, values]], options);
  }

  /** Overwrites several parameters. All values are checked before any is changed. @throws as `set` */
  setAll(all: Iterable<readonly [name: string, values: ArrayLike<number>]>, options: SetOptions = {}): void {
    const calls = callsOf(this);
    calls.check("set");
    const given = [...all];
    this.checkAll(given, options);
    // Those that wait for their turn are not the caller's any more.
    const own = given.map(
      ([name, values]) => [this.#get(name), calls.isBusy ? Float64Array.from(values) : values] as const,
    );
    calls.change("set", () => {
      for (const [{ sparse, value }, values] of own)
        this.#backend.upload(value, sparse?.valuesCsc === value ? cscOrder(sparse, values) : values);
      this.touch();
    });
  }

  /** What `setAll` checks. @throws as `set` */
  checkAll(all: Iterable<readonly [name: string, values: ArrayLike<number>]>, options: SetOptions = {}): void {
    for (const [name, values] of all) this.#checkValues(this.#get(name), values, options);
  }

  #checkValues(p: Owned, values: ArrayLike<number>, { clamp }: SetOptions): void {
    const { name, size, constraint, signs } = p;
    const where = "parameters";
    if (values.length !== size) throw new ShapeError(where, name, `${size} values`, `${values.length}`);
    checkFinite(where, name, values, this.#backend.dtype);
    if (clamp) return;
    checkMinimum(where, name, values, constraint);
    if (signs) checkSigns(where, name, p.sparse?.valuesCsc === p.value ? cscOrder(p.sparse, values) : values, signs);
  }

  /** Releases everything when the calls before it have ended; calls after it are refused. */
  dispose(): void {
    callsOf(this).end(() => {
      for (const p of this.#parameters.values()) for (const part of p.owned) part.release();
      this.#always.release();
      this.#parameters.clear();
    });
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

const DRAWN_AT_ONCE = 2 ** 16;

/** Collects the buffers and programs of one parameter. */
class Builder {
  readonly #backend: Backend;
  readonly #name: string;
  readonly #value: DeviceBuffer;
  readonly #grad: DeviceBuffer | null;
  readonly #refresh: BoundProgram[] = [];
  readonly #owned: { release(): void }[] = [];
  #bindable: Bindable;
  #gradTarget: DeviceBuffer | null;
  #fold: Owned["fold"] = null;
  #constraint: Constraint = "none";
  #signs: Int8Array | null = null;

  constructor(backend: Backend, name: string, value: DeviceBuffer, trainable: boolean) {
    this.#backend = backend;
    this.#name = name;
    this.#value = value;
    this.#bindable = value;
    this.#grad = trainable ? this.#buffer("gradient", value.length) : null;
    this.#gradTarget = this.#grad;
  }

  /** @param initial  in device order: "sign" keeps the signs of these */
  constrain(constraint: Constraint, initial: () => ArrayLike<number>): void {
    const value = this.#value;
    const size = value.length;
    this.#constraint = constraint;
    if (constraint === "none" || size === 0) return;
    if (constraint !== "sign") {
      this.#refresh.push(this.#bind(minProgram(size, constraint.min), { value }));
      return;
    }
    const sign = this.#buffer("sign", size);
    this.#signs = Int8Array.from(initial(), Math.sign);
    this.#backend.upload(sign, this.#signs);
    this.#refresh.push(this.#bind(signProgram(size), { value, sign }));
  }

  /** Programs bind value[by[i]], times a magnitude for shared weights; the gradient flows back by sums over equal `by`. */
  spread(by: ArrayLike<number>, weights: { magnitude: DeviceBuffer; into: DeviceBuffer } | null): void {
    const backend = this.#backend;
    const value = this.#value;
    const n = by.length;
    const { offsets, members } = segments(by, value.length);
    const index = this.#indices("index", Uint32Array.from(by));
    const spread = weights?.into ?? this.#buffer("spread", n);
    if (weights) this.#owned.push(weights.magnitude);
    this.#bindable = spread;
    if (n === 0) {
      if (this.#grad) this.#gradTarget = this.#buffer("spread gradient", 0);
      return;
    }
    const magnitude = weights?.magnitude;
    this.#refresh.push(
      this.#bind(spreadProgram(value.length, n, weights !== null), { value, index, spread, magnitude }),
    );
    if (!this.#grad) return;
    const ct = this.#buffer("spread gradient", n);
    this.#gradTarget = ct;
    const programs = [foldProgram(value.length, n, weights !== null), clearProgram(n)];
    const operands = {
      ct,
      magnitude,
      grad: this.#grad,
      offsets: this.#indices("offsets", offsets),
      members: this.#indices("members", members),
    };
    const bound = new Map<DeviceBuffer, readonly BoundProgram[]>();
    this.#fold = (complete) => {
      const fold = bound.get(complete) ?? programs.map((program) => this.#bind(program, { ...operands, complete }));
      bound.set(complete, fold);
      for (const part of fold) backend.run(part);
    };
    backend.fill(ct, 0);
  }

  copyToCsr(sparse: DeviceSparse): void {
    const { nnz, valuesCsc: csc, valuesCsr: csr, cscOfCsr } = sparse;
    if (nnz > 0) this.#refresh.push(this.#bind(csrCopyProgram(nnz), { csc, csr, cscOfCsr }));
  }

  finish(sparse: DeviceSparse | null): Owned {
    if (sparse) this.#owned.push(sparse);
    if (sparse?.valuesCsc !== this.#value) this.#owned.push(this.#value);
    return {
      name: this.#name,
      size: this.#value.length,
      trainable: this.#grad !== null,
      value: this.#value,
      grad: this.#grad,
      gradTarget: this.#gradTarget,
      bindable: sparse ?? this.#bindable,
      sparse,
      constraint: this.#constraint,
      signs: this.#signs,
      refresh: this.#refresh,
      fold: this.#fold,
      owned: this.#owned,
    };
  }

  #buffer(part: string, length: number): DeviceBuffer {
    const b = this.#backend.buffer(`${this.#name} ${part}`, length);
    this.#owned.push(b);
    return b;
  }

  #indices(part: string, data: Uint32Array): DeviceBuffer {
    const b = this.#backend.buffer(`${this.#name} ${part}`, data.length, "u32");
    this.#backend.upload(b, data);
    this.#owned.push(b);
    return b;
  }

  #bind(program: Program, available: Readonly<Record<string, Bindable | undefined>>): BoundProgram {
    const bound = compileAndBind(this.#backend, program, this.#backend.layoutFor(1), available);
    this.#owned.push(bound);
    return bound;
  }
}

/** The members of each segment 0 … n − 1 of `by`, in order. */
function segments(by: ArrayLike<number>, n: number): { offsets: Uint32Array; members: Uint32Array } {
  const offsets = new Uint32Array(n + 1);
  for (let i = 0; i < by.length; i++) offsets[by[i]! + 1]!++;
  for (let s = 0; s < n; s++) offsets[s + 1]! += offsets[s]!;
  const next = offsets.slice(0, n);
  const members = new Uint32Array(by.length);
  for (let i = 0; i < by.length; i++) members[next[by[i]!]!++] = i;
  return { offsets, members };
}

function cscOrder(sparse: DeviceSparse, rowMajor: ArrayLike<number>): Float64Array {
  const csc = new Float64Array(rowMajor.length);
  for (let k = 0; k < rowMajor.length; k++) csc[sparse.cscOfCsrHost[k]!] = rowMajor[k]!;
  return csc;
}

function minProgram(size: number, min: number): Program {
  const g = new Graph();
  const value = g.row("value", size);
  g.store("value", g.ops.select(g.ops.lt(value, min), min, value));
  return lower(g, "constrain.min", "parameters");
}

function signProgram(size: number): Program {
  const g = new Graph();
  const value = g.row("value", size);
  g.store("value", g.ops.select(g.ops.lt(g.ops.mul(value, g.row("sign", size)), 0), 0, value));
  return lower(g, "constrain.sign", "parameters");
}

/** spread[i] = value[index[i]], times magnitude[i] for shared weights. */
function spreadProgram(size: number, n: number, weighted: boolean): Program {
  const g = new Graph();
  const spread = g.gather(g.row("value", size), "index", n);
  g.store("spread", weighted ? g.ops.mul(g.row("magnitude", n), spread) : spread);
  return lower(g, "spread", "parameters");
}

const WHEN_COMPLETE: GuardNames = { scalars: ["complete"], skips: "everything" };

function clearProgram(n: number): Program {
  const g = new Graph();
  g.store("ct", g.ops.constant(0), { as: { kind: "row", rows: n } });
  return lower(g, "spread.clear", "parameters", WHEN_COMPLETE);
}

/** The transpose of `spreadProgram`: grad[s] += Σ of the cotangents (times magnitude) of what shares value s. */
function foldProgram(size: number, n: number, weighted: boolean): Program {
  const g = new Graph();
  const ct = g.row("ct", n);
  const summed = g.segmentSum(weighted ? g.ops.mul(g.row("magnitude", n), ct) : ct, "offsets", "members", size);
  g.store("grad", summed, { accumulate: true });
  return lower(g, "spread.reverse", "parameters", WHEN_COMPLETE);
}

function csrCopyProgram(nnz: number): Program {
  const g = new Graph();
  g.store("csr", g.gather(g.row("csc", nnz), "cscOfCsr", nnz));
  return lower(g, "csr.copy", "parameters");
}
