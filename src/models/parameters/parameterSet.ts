// Named parameters on a device: values, gradients, constraints. Names and orders on the host are torch-biopl's: the values of a
// sparse matrix are row-major (CSR order); on the device they lie in CSC order, with a copy in CSR order for W·x.

import type { Backend, DeviceBuffer } from "../../backend/backend.ts";
import { callsOf } from "../../core/callQueue.ts";
import type { Csr } from "../../core/csr.ts";
import type { FloatArray } from "../../core/dtype.ts";
import { ArgumentError, nearestName, ShapeError } from "../../core/errors.ts";
import { checkFinite } from "../../core/finite.ts";
import { orRelease } from "../../core/release.ts";
import { type Constraint, checkMinimum, checkSigns } from "../constraint.ts";
import { type DeviceParameter, deviceParameter } from "./deviceParameter.ts";
import { inDeviceOrder, inFileOrder, type Parameter, type ParameterSpec } from "./parameter.ts";

/** Values that are put in the order of the device together: a part of this many, or one of so many parts. */
const LEAST_PART = 2 ** 20;
const PARTS = 4;

/** Whether a parameter is trained, and what its values must satisfy. */
export interface ParameterOptions {
  readonly trainable: boolean;
  readonly constraint?: Constraint;
}

/** Treatment of values that contradict the constraint of their parameter. */
export interface SetOptions {
  /** true: the next pass puts them right, as torch-biopl does silently; default: as the constraint says, else false. */
  readonly clamp?: boolean;
}

/**
 * The parameters of a model by name, with their gradients and constraints.
 *
 * While a call of the model is pending, changes and questions take their turn behind it.
 */
export class ParameterSet {
  readonly #backend: Backend;
  readonly #parameters = new Map<string, DeviceParameter>();
  readonly #always: DeviceBuffer;
  /** Names of those whose constraints and copies do not follow from their values. */
  readonly #stale = new Set<string>();
  #revision = 0;

  constructor(backend: Backend) {
    this.#backend = backend;
    this.#always = backend.buffer("always", 1);
    orRelease(this.#always, () => backend.fill(this.#always, 1));
  }

  /**
   * Puts a parameter on the device.
   * @throws {ArgumentError} a name that is taken; values that are not finite or contradict the constraint
   * @throws {ShapeError | ArgumentError} values that do not fit the matrix or what shares them
   */
  add(spec: ParameterSpec): Parameter {
    const { name, shared } = spec;
    const { dtype } = this.#backend;
    if (this.#parameters.has(name)) throw new ArgumentError("parameters", name, "a new name", "one that is taken");
    checkSizes(spec);
    if (shared?.factor) checkFinite("parameters", name, shared.factor, dtype);
    if (!("draw" in spec)) {
      checkFinite("parameters", name, spec.values, dtype);
      checkMinimum("parameters", name, spec.values, spec.constraint ?? "none");
    }
    const parameter = deviceParameter(this.#backend, spec);
    this.#parameters.set(name, parameter);
    this.touch([parameter]);
    return parameter;
  }

  /**
   * A vector: one number per neuron, or a dense matrix in row-major order. With `spreadBy`, programs see value[spreadBy[i]] for
   * each i (one number per type, spread over the neurons), and the gradient is summed back.
   */
  addVector(
    name: string,
    values: ArrayLike<number>,
    { spreadBy: by, ...options }: ParameterOptions & { readonly spreadBy?: ArrayLike<number> },
  ): Parameter {
    return this.add({ name, values, ...options, ...(by && { shared: { by, factor: null, dictionary: null } }) });
  }

  /** A vector whose values are drawn in order; the host never holds all of them. */
  addDrawn(
    name: string,
    size: number,
    draw: () => number,
    { trainable }: Pick<ParameterOptions, "trainable">,
  ): Parameter {
    return this.add({ name, size, draw, trainable });
  }

  /** The stored values of a sparse matrix. */
  addSparse(name: string, csr: Csr, options: ParameterOptions): Parameter {
    return this.add({ name, values: csr.values, matrix: csr, ...options });
  }

  /**
   * Strengths shared by the connections of a group: value of a stored entry = magnitude (of `csr`, signed) · strength[group].
   * @param group  row-major, one per stored entry
   */
  addSharedSparse(
    name: string,
    csr: Csr,
    strengths: ArrayLike<number>,
    group: ArrayLike<number>,
    options: ParameterOptions,
  ): Parameter {
    const shared = { by: group, factor: csr.values, dictionary: null };
    return this.add({ name, values: strengths, matrix: csr, shared, ...options });
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

  #get(name: string): DeviceParameter {
    const parameter = this.#parameters.get(name);
    if (parameter) return parameter;
    const near = nearestName(name, this.#parameters.keys());
    const known = [...this.#parameters.keys()].join(", ");
    throw new ArgumentError("parameters", name, `${near ? `${near}? one of ` : "one of "}${known}`, `"${name}"`);
  }

  /**
   * Marks values as changed on the device (by an optimiser's step): their constraints and copies are restored before the next use.
   *
   * @param changed  default: all
   */
  touch(changed: Iterable<Parameter> = this.#parameters.values()): void {
    for (const { name } of changed) this.#stale.add(name);
    this.#revision++;
  }

  /** Rises with every change of values. */
  get revision(): number {
    return this.#revision;
  }

  /** Restores constraints and CSR copies if values changed. */
  refresh(): void {
    for (const name of this.#stale) this.#parameters.get(name)!.refresh();
    this.#stale.clear();
  }

  zeroGradients(): void {
    callsOf(this).change("zeroGradients", () => this.clearGradients());
  }

  /** `zeroGradients` at once, for code that runs in the turn of a call. */
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
      const { fileOrder, sparse } = this.#get(name);
      // Fresh, the copy that products read has the order of files.
      if (fileOrder && sparse) return this.#backend.download(sparse.valuesCsr) as Promise<FloatArray>;
      return this.read(name, "value");
    });
  }

  /** Whether `values` would give these numbers; copies few of them at a time. */
  async hasValues(name: string, values: ArrayLike<number>): Promise<boolean> {
    return callsOf(this).run("hasValues", async () => {
      this.refresh();
      const { fileOrder, sparse, value, size } = this.#get(name);
      if (values.length !== size) return false;
      const buffer = fileOrder ? sparse!.valuesCsr : value;
      for (let begin = 0; begin < size; begin += LEAST_PART) {
        const part = await this.#backend.download(buffer, begin, Math.min(LEAST_PART, size - begin));
        for (let k = 0; k < part.length; k++) if (part[k] !== values[begin + k]) return false;
      }
      return true;
    });
  }

  /** Host copy of a parameter's gradient, in the same order. */
  async gradient(name: string): Promise<FloatArray> {
    return callsOf(this).run("gradient", () => this.read(name, "gradient"));
  }

  /**
   * Values or gradient at once, for code that runs in the turn of a call. After an optimiser's step values may violate their
   * constraint until the next pass, as in torch-biopl.
   */
  async read(name: string, of: "value" | "gradient"): Promise<FloatArray> {
    const p = this.#get(name);
    const buffer = of === "value" ? p.value : p.grad;
    if (!buffer) throw new ArgumentError("gradient", name, "a trainable parameter", "a frozen one");
    return inFileOrder((await this.#backend.download(buffer)) as FloatArray, p);
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
    // The caller may change its array while these wait for their turn.
    const own = given.map(
      ([name, values]) => [this.#get(name), calls.isBusy ? Float64Array.from(values) : values] as const,
    );
    calls.change("set", () => {
      for (const [p, values] of own) this.#upload(p, values);
      this.touch(own.map(([parameter]) => parameter));
    });
  }

  /** In another order than files have: in a few parts, so that there is no second array of all values. */
  #upload({ value, size, fileOrder }: Parameter, values: ArrayLike<number>): void {
    if (!fileOrder) {
      this.#backend.upload(value, values);
      return;
    }
    const most = Math.max(LEAST_PART, Math.ceil(size / PARTS));
    for (let begin = 0; begin < size; begin += most) {
      const length = Math.min(most, size - begin);
      const part = this.#backend.dtype === "f32" ? new Float32Array(length) : new Float64Array(length);
      for (let k = 0; k < size; k++) {
        const at = fileOrder[k]! - begin;
        if (at >= 0 && at < length) part[at] = values[k]!;
      }
      this.#backend.upload(value, part, begin);
    }
  }

  /** What `setAll` checks. @throws as `set` */
  checkAll(all: Iterable<readonly [name: string, values: ArrayLike<number>]>, options: SetOptions = {}): void {
    for (const [name, values] of all) this.#checkValues(this.#get(name), values, options);
  }

  #checkValues(p: DeviceParameter, values: ArrayLike<number>, { clamp }: SetOptions): void {
    const { name, size, constraint, signs } = p;
    const where = "parameters";
    if (values.length !== size) throw new ShapeError(where, name, `${size} values`, `${values.length}`);
    checkFinite(where, name, values, this.#backend.dtype);
    if (clamp) return;
    checkMinimum(where, name, values, constraint);
    if (signs) checkSigns(where, name, inDeviceOrder(values, p), signs);
  }

  /** Releases everything when the calls before it have ended; calls after it are refused. */
  dispose(): void {
    callsOf(this).end(() => {
      for (const p of this.#parameters.values()) p.release();
      this.#parameters.clear();
      this.#always.release();
    });
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

function checkSizes(spec: ParameterSpec): void {
  const { name, matrix, shared } = spec;
  const size = "draw" in spec ? spec.size : spec.values.length;
  const elements = matrix?.nnz ?? shared?.by.length ?? size;
  const perElement = shared ? { by: shared.by.length, factor: shared.factor?.length } : { values: size };
  for (const [part, length = elements] of Object.entries(perElement)) {
    if (length === elements) continue;
    throw new ShapeError("parameters", `${name}, ${part}`, `${elements} numbers, one per element`, `${length}`);
  }
  const { by = [] } = shared ?? {};
  for (let i = 0; i < by.length; i++) {
    if (Number.isInteger(by[i]) && by[i]! >= 0 && by[i]! < size) continue;
    throw new ArgumentError("parameters", `${name}, by`, `whole numbers from 0 to ${size - 1}`, `${by[i]} at ${i}`);
  }
}
