// An executable with its buffers, and the rule they must keep.

import { BackendError } from "../../core/errors.ts";
import type { BoundProgram } from "../backend.ts";
import { accessesOf, isWrite } from "../instr.ts";
import type { BindingId, Program } from "../program.ts";
import { type WasmBuffer, WasmSparse } from "./buffers.ts";
import type { WasmExecutable } from "./compile.ts";

/** What a binding is bound to; null for a temporary. */
export type Bound = WasmBuffer | WasmSparse | null;

export class WasmBound implements BoundProgram {
  readonly executable: WasmExecutable;
  readonly bound: readonly Bound[];
  readonly #onRelease: () => void;
  #released = false;

  /** @throws {BackendError} "binding" when a phase would reach memory it writes by two names */
  constructor(executable: WasmExecutable, bound: readonly Bound[], onRelease: () => void) {
    checkAliases(executable.program, bound);
    this.executable = executable;
    this.bound = bound;
    this.#onRelease = onRelease;
  }

  /** Whether a run would have no effect. */
  isIdle(): boolean {
    const { guard } = this.executable.program;
    return guard?.skips === "everything" && guard.scalars.some((id) => this.#scalar(id) === 0);
  }

  #scalar(id: BindingId): number {
    const bound = this.bound[id];
    return bound && !(bound instanceof WasmSparse) ? bound.view()[0]! : 1;
  }

  /** Its image goes with it. */
  release(): void {
    if (this.#released) return;
    this.#released = true;
    this.#onRelease();
  }

  /** @throws {BackendError} "released" when it or a buffer has been released since */
  checkLive(): void {
    if (this.#released) {
      const { name } = this.executable.program;
      throw new BackendError("released", `${name}: expected a live program, got a released one`);
    }
    for (const bound of this.bound) {
      if (!bound?.released) continue;
      const { name } = this.executable.program;
      throw new BackendError("released", `${name}: expected live buffers, got a released one (${bound.label})`);
    }
  }
}

/**
 * One phase must not reach the same memory through two bindings when it writes one of them: WebGPU refuses it, tiles running in
 * parallel would race, and values read in place would change under the reader.
 */
function checkAliases(program: Program, bound: readonly Bound[]): void {
  const shared = sharedMemory(bound);
  if (shared.length === 0) return;
  for (const [phaseIdx, { instrs }] of program.phases.entries()) {
    const accesses = instrs.flatMap(accessesOf);
    const touched = new Set(accesses.map((a) => a.binding));
    const written = new Set(accesses.filter(isWrite).map((a) => a.binding));
    for (const [a, b] of shared) {
      if (!touched.has(a) || !touched.has(b) || !(written.has(a) || written.has(b))) continue;
      const names = `${program.bindings[a]!.name}, ${program.bindings[b]!.name}`;
      const message = `expected no two bindings of what phase ${phaseIdx} writes, got the same memory twice (${names})`;
      throw new BackendError("binding", `${program.name}: ${message}`, { argument: names });
    }
  }
}

/** Pairs of bindings with memory in common. */
function sharedMemory(bound: readonly Bound[]): readonly (readonly [BindingId, BindingId])[] {
  const owners = new Map<WasmBuffer, BindingId[]>();
  bound.forEach((b, id) => {
    for (const buffer of buffersOf(b)) owners.set(buffer, [...(owners.get(buffer) ?? []), id]);
  });
  return [...owners.values()].flatMap((ids) => ids.flatMap((a, i) => ids.slice(i + 1).map((b) => [a, b] as const)));
}

function buffersOf(bound: Bound): readonly WasmBuffer[] {
  if (bound instanceof WasmSparse) return [bound.valuesCsc, bound.valuesCsr, bound.cscOfCsr];
  return bound ? [bound] : [];
}
