// What every backend checks of the buffers, executables and programs that it is given: the same mistakes, words and codes on all devices.

import { BackendError, nearestName } from "../core/errors.ts";
import type { Bindable, DeviceBuffer, DeviceSparse, Executable } from "./backend.ts";
import { accessesOf, isWrite } from "./instr.ts";
import { elementTypeOf, lengthOf } from "./layout.ts";
import type { Binding, BindingId, PanelLayout, Program } from "./program.ts";

/** A buffer or matrix as backends implement it. */
type Held = Bindable & { readonly released: boolean };

/** An error "foreign": `what` is another backend's. */
export function foreignError(where: string, what: string): BackendError {
  return new BackendError("foreign", `${where}: expected ${what} of this backend, got another's`);
}

/** An error "disposed". */
export function disposedError(backend: string): BackendError {
  return new BackendError("disposed", `${backend}: expected a backend in use, got a disposed one`);
}

/**
 * `given` as what the backend made.
 *
 * @throws {BackendError} "foreign", "released"
 */
export function checkOwn<Own extends Held>(
  where: string,
  given: Bindable,
  isOwn: (given: Bindable) => given is Own,
): Own {
  if (!isOwn(given)) throw foreignError(where, `a buffer (${given.label})`);
  checkLive(where, given);
  return given;
}

function checkLive(where: string, { released, label }: Held): void {
  if (released) throw new BackendError("released", `${where}: expected a live buffer, got a released one (${label})`);
}

/** @throws {BackendError} "length" */
export function checkLength(label: string, length: number): void {
  if (Number.isInteger(length) && length >= 0) return;
  throw new BackendError("length", `buffer: expected a whole number of elements, got ${length} (${label})`);
}

/** @throws {BackendError} "range" */
export function checkRange(where: string, buffer: DeviceBuffer, offset: number, length: number): void {
  const whole = Number.isInteger(offset) && Number.isInteger(length);
  if (whole && offset >= 0 && length >= 0 && offset + length <= buffer.length) return;
  const [expected, got] = [`a range within ${buffer.length} elements`, `${offset} to ${offset + length}`];
  throw new BackendError("range", `${where}: expected ${expected}, got ${got} (${buffer.label})`);
}

/** @throws {BackendError} "length" unless there is a mark for each row */
export function checkTakenRows({ nRows, label }: DeviceSparse, isTaken: ArrayLike<number>): void {
  if (isTaken.length === nRows) return;
  throw new BackendError(
    "length",
    `sparseRows: expected ${nRows} marks, one per row, got ${isTaken.length} (${label})`,
  );
}

/** @throws {BackendError} "length" unless `source` can be copied to `target` as it is */
export function checkCopy(target: DeviceBuffer, source: DeviceBuffer): void {
  if (target.length === source.length && target.type === source.type) return;
  throw new BackendError("length", `copy: expected ${describe(target)}, got ${describe(source)}`);
}

function describe({ length, type, label }: DeviceBuffer): string {
  return `${length} elements of type ${type} (${label})`;
}

/**
 * By BindingId: what is bound; null for a temporary.
 *
 * @throws {BackendError} "foreign", "released"; "binding" when one is missing, unknown, of the wrong kind, type or size, or shares memory
 *   with another one in a phase that writes it
 */
export function resolveBindings<Own extends Held>(
  { program, layout }: Executable,
  given: Readonly<Record<string, Bindable>>,
  isOwn: (given: Bindable) => given is Own,
): readonly (Own | null)[] {
  const known = program.bindings.filter((b) => !b.temp).map((b) => b.name);
  for (const name of Object.keys(given)) {
    if (known.includes(name)) continue;
    const near = nearestName(name, known);
    throw bindError(program, `one of its bindings${near === null ? "" : `, perhaps ${near}`}`, "another name", name);
  }
  const bound = program.bindings.map((binding) => {
    if (binding.temp) return null;
    const offered = given[binding.name];
    if (!offered) throw bindError(program, `a ${binding.kind}`, "nothing", binding.name);
    const own = checkOwn(program.name, offered, isOwn);
    checkBinding(program, binding, own, layout);
    return own;
  });
  checkGradients(program, bound);
  checkAliases(program, bound);
  return bound;
}

function checkBinding(program: Program, binding: Binding, bound: Bindable, layout: PanelLayout): void {
  const { name, kind, rows, cols } = binding;
  const length = lengthOf(binding, layout);
  if ("nnz" in bound) {
    const got = `a sparse matrix of ${bound.nRows} × ${bound.nCols} (${bound.label})`;
    if (kind !== "sparse") throw bindError(program, `a ${kind} of ${length} elements`, got, name);
    if (bound.nRows !== rows || bound.nCols !== cols) throw bindError(program, `${rows} × ${cols}`, got, name);
    return;
  }
  if (kind === "sparse") throw bindError(program, `a sparse matrix of ${rows} × ${cols}`, describe(bound), name);
  const type = elementTypeOf(binding);
  if (bound.type === type && bound.length === length) return;
  throw bindError(program, `${length} elements of type ${type} (${kind})`, describe(bound), name);
}

/** The gradient of a sparse matrix has as many numbers as the matrix that is bound. */
function checkGradients(program: Program, bound: readonly (Bindable | null)[]): void {
  for (const { instrs } of program.phases) {
    for (const instr of instrs) {
      if (instr.op !== "matmulT" || !instr.grad) continue;
      const [matrix, { name, rows }] = [bound[instr.matrix], program.bindings[instr.grad.binding]!];
      if (!matrix || !("nnz" in matrix) || matrix.nnz === rows) continue;
      throw bindError(program, `a matrix of ${rows} stored values`, `${matrix.nnz} (${matrix.label})`, name);
    }
  }
}

/**
 * A phase must not reach the same memory through two bindings when it writes one of them: WebGPU refuses it, tiles running in parallel would
 * race, and values read in place would change under the reader.
 */
function checkAliases(program: Program, bound: readonly (Bindable | null)[]): void {
  const shared = pairsSharingMemory(bound);
  if (shared.length === 0) return;
  for (const [phaseIdx, { instrs }] of program.phases.entries()) {
    const accesses = instrs.flatMap(accessesOf);
    const touched = new Set(accesses.map((a) => a.binding));
    const written = new Set(accesses.filter(isWrite).map((a) => a.binding));
    for (const [a, b] of shared) {
      if (!touched.has(a) || !touched.has(b) || !(written.has(a) || written.has(b))) continue;
      const names = `${program.bindings[a]!.name}, ${program.bindings[b]!.name}`;
      throw bindError(program, `memory of its own for what phase ${phaseIdx} writes`, "the same memory twice", names);
    }
  }
}

function pairsSharingMemory(bound: readonly (Bindable | null)[]): readonly (readonly [BindingId, BindingId])[] {
  const owners = new Map<DeviceBuffer, BindingId[]>();
  bound.forEach((b, id) => {
    for (const buffer of buffersOf(b)) owners.set(buffer, [...(owners.get(buffer) ?? []), id]);
  });
  return [...owners.values()].flatMap((ids) => ids.flatMap((a, i) => ids.slice(i + 1).map((b) => [a, b] as const)));
}

function buffersOf(bound: Bindable | null): readonly DeviceBuffer[] {
  if (!bound) return [];
  return "nnz" in bound ? [bound.valuesCsc, bound.valuesCsr, bound.cscOfCsr] : [bound];
}

/**
 * Checks a bound program before it runs.
 *
 * @throws {BackendError} "released" when it, or a buffer that it uses, has been released since it was bound
 */
export function checkRunnable(program: Program, released: boolean, bound: readonly (Held | null)[]): void {
  if (released) throw new BackendError("released", `${program.name}: expected a live program, got a released one`);
  for (const held of bound) if (held) checkLive(program.name, held);
}

/** A mistake in what is bound as `argument`. */
export function bindError(program: Program, expected: string, got: string, argument: string): BackendError {
  return new BackendError("binding", `${program.name}: expected ${expected}, got ${got} (${argument})`, { argument });
}
