// An executable with its buffers.

import type { BoundProgram } from "../backend.ts";
import { checkRunnable } from "../checkBuffers.ts";
import type { BindingId } from "../program.ts";
import { WasmBuffer, type WasmMatrix, WasmPermutation } from "./buffers.ts";
import type { WasmExecutable } from "./compile.ts";

/** What a binding is bound to; null for a temporary. */
export type Bound = WasmBuffer | WasmMatrix | null;

export class WasmBound implements BoundProgram {
  /** Maybe another than was given, which does the same. */
  readonly executable: WasmExecutable;
  readonly bound: readonly Bound[];
  readonly #onRelease: () => void;
  #released = false;

  constructor(executable: WasmExecutable, bound: readonly Bound[], onRelease: () => void) {
    this.executable = inPasses(executable, bound);
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
    return bound instanceof WasmBuffer ? bound.view()[0]! : 1;
  }

  /** Its image goes with it. */
  release(): void {
    if (this.#released) return;
    this.#released = true;
    this.#onRelease();
  }

  /** @throws {BackendError} "released" when it or a buffer has been released since */
  checkLive(): void {
    checkRunnable(this.executable.program, this.#released, this.bound);
  }
}

/** `executable` in two passes, if it copies the values of a matrix that has blocks to CSR order; else itself. */
function inPasses(executable: WasmExecutable, bound: readonly Bound[]): WasmExecutable {
  const [phase, ...others] = executable.program.phases;
  const [gather, store, ...rest] = phase?.instrs ?? [];
  if (others.length + rest.length > 0 || gather?.op !== "gather" || store?.op !== "store" || store.accumulate)
    return executable;
  const index = bound[gather.index];
  if (!(index instanceof WasmPermutation)) return executable;
  const { csrCopy, valuesCsc, valuesCsr } = index.permutes;
  const isCopy = bound[gather.source] === valuesCsc && bound[store.binding] === valuesCsr;
  return csrCopy && isCopy ? csrCopy.executable(executable) : executable;
}
