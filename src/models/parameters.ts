// Named parameters on a device: values, gradients, constraints. Names and orders on the host are torch-biopl's: the values of a
// sparse matrix are row-major (CSR order); on the device the parameter lies in CSC order, with a copy in CSR order for W·x.

import { Graph } from "../autodiff/graph.ts";
import { lower } from "../autodiff/lower.ts";
import type { Backend, Bindable, BoundProgram, DeviceBuffer, DeviceSparse } from "../backend/backend.ts";
import type { Program } from "../backend/program.ts";
import type { Csr } from "../core/csr.ts";
import { type FloatArray, floatArray } from "../core/dtype.ts";
import { ArgumentError, nearestName, ShapeError } from "../core/errors.ts";

/**
 * What the values must satisfy; they are projected onto it before each forward pass, in place, and the gradient is that at the
 * projected value, not masked. "sign": no weight may change the sign it started with (0 may become either).
 */
export type Constraint = "none" | "sign" | { readonly min: number };

export interface Parameter {
  readonly name: string;
  readonly size: number;
  readonly trainable: boolean;
  /** [size] on the device. */
  readonly value: DeviceBuffer;
  /** [size], same order; null for a frozen parameter. */
  readonly grad: DeviceBuffer | null;
  /** What programs bind for it. */
  readonly bindable: Bindable;
  readonly sparse: DeviceSparse | null;
}

interface Owned extends Parameter {
  /** Programs that restore the constraint and the CSR copy. */
  readonly refresh: readonly BoundProgram[];
  readonly buffers: readonly { release(): void }[];
}

export class ParameterSet {
  readonly #backend: Backend;
  readonly #parameters = new Map<string, Owned>();
  #stale = true;

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  /** A vector: one number per neuron, or a dense matrix in row-major order. */
  addVector(
    name: string,
    values: ArrayLike<number>,
    options: { trainable: boolean; constraint?: Constraint },
  ): Parameter {
    checkFinite(name, values);
    const value = this.#backend.buffer(name, values.length);
    this.#backend.upload(value, values);
    return this.#add(name, value, value, null, values, options);
  }

  addSparse(name: string, csr: Csr, options: { trainable: boolean; constraint?: Constraint }): Parameter {
    checkFinite(name, csr.values);
    const sparse = this.#backend.sparse(name, csr);
    return this.#add(name, sparse.valuesCsc, sparse, sparse, csr.values, options);
  }

  #add(
    name: string,
    value: DeviceBuffer,
    bindable: Bindable,
    sparse: DeviceSparse | null,
    initial: ArrayLike<number>,
    { trainable, constraint = "none" }: { trainable: boolean; constraint?: Constraint },
  ): Parameter {
    const backend = this.#backend;
    const size = value.length;
    const grad = trainable ? backend.buffer(`${name} gradient`, size) : null;
    const buffers: { release(): void }[] = [sparse ?? value, ...(grad ? [grad] : [])];
    const refresh: BoundProgram[] = [];
    const layout = backend.layoutFor(1);
    const prepare = (program: Program, bindings: Record<string, Bindable>) =>
      refresh.push(backend.bind(backend.compile(program, layout), bindings));
    if (constraint === "sign") {
      const sign = backend.buffer(`${name} sign`, size);
      buffers.push(sign);
      backend.upload(sign, sparse ? cscOrder(sparse, signs(initial)) : signs(initial));
      prepare(signProgram(size), { value, sign });
    } else if (constraint !== "none") prepare(minProgram(size, constraint.min), { value });
    if (sparse) {
      prepare(csrCopyProgram(size), { csc: value, csr: sparse.valuesCsr, cscOfCsr: sparse.cscOfCsr });
    }
    const parameter: Owned = { name, size, trainable, value, grad, bindable, sparse, refresh, buffers };
    this.#parameters.set(name, parameter);
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
    for (const p of this.#parameters.values()) if (p.grad) this.#backend.fill(p.grad, 0);
  }

  /** Host copy of a parameter's values; row-major for a sparse matrix. */
  async values(name: string): Promise<FloatArray> {
    const p = this.#get(name);
    return this.#toHost(p, p.value);
  }

  /** Host copy of a parameter's gradient, in the same order. */
  async gradient(name: string): Promise<FloatArray> {
    const p = this.#get(name);
    if (!p.grad) throw new ArgumentError("gradient", name, "a trainable parameter", "a frozen one");
    return this.#toHost(p, p.grad);
  }

  async #toHost(p: Owned, buffer: DeviceBuffer): Promise<FloatArray> {
    const values = (await this.#backend.download(buffer)) as FloatArray;
    if (!p.sparse) return values;
    const order = p.sparse.cscOfCsrHost;
    const rowMajor = floatArray(this.#backend.dtype, p.size);
    for (let k = 0; k < p.size; k++) rowMajor[k] = values[order[k]!]!;
    return rowMajor;
  }

  /** Overwrites a parameter's values (row-major for a sparse matrix). */
  set(name: string, values: ArrayLike<number>): void {
    const p = this.#get(name);
    if (values.length !== p.size) throw new ShapeError("parameters", name, `${p.size} values`, `${values.length}`);
    checkFinite(name, values);
    this.#backend.upload(p.value, p.sparse ? cscOrder(p.sparse, values) : values);
    this.touch();
  }

  dispose(): void {
    for (const p of this.#parameters.values()) for (const b of p.buffers) b.release();
    this.#parameters.clear();
  }
}

function cscOrder(sparse: DeviceSparse, rowMajor: ArrayLike<number>): Float64Array {
  const csc = new Float64Array(rowMajor.length);
  for (let k = 0; k < rowMajor.length; k++) csc[sparse.cscOfCsrHost[k]!] = rowMajor[k]!;
  return csc;
}

function signs(values: ArrayLike<number>): Float64Array {
  return Float64Array.from(values, Math.sign);
}

function checkFinite(name: string, values: ArrayLike<number>): void {
  for (let i = 0; i < values.length; i++) {
    if (!Number.isFinite(values[i]!))
      throw new ArgumentError("parameters", name, "finite values", `${values[i]} at ${i}`);
  }
}

function minProgram(size: number, min: number): Program {
  const g = new Graph();
  const value = g.row("value", size);
  g.store("value", g.ops.select(g.ops.lt(value, min), min, value));
  return lower(g, "constrain.min");
}

function signProgram(size: number): Program {
  const g = new Graph();
  const value = g.row("value", size);
  g.store("value", g.ops.select(g.ops.lt(g.ops.mul(value, g.row("sign", size)), 0), 0, value));
  return lower(g, "constrain.sign");
}

function csrCopyProgram(nnz: number): Program {
  const g = new Graph();
  g.store("csr", g.gather(g.row("csc", nnz), "cscOfCsr", nnz));
  return lower(g, "csr.copy");
}
