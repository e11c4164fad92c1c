// An executable with its buffers.

import type { BoundProgram } from "../backend.ts";
import { checkRunnable } from "../checkBuffers.ts";
import type { BindingId } from "../program.ts";
import { WasmBuffer, type WasmMatrix } from "./buffers.ts";
import type { WasmExecutable } from "./compile.ts";

/** What a binding is bound to; null for a temporary. */
export type Bound = WasmBuffer | WasmMatrix | null;

export class WasmBound implements BoundProgram {
  readonly executable: WasmExecutable;
  readonly bound: readonly Bound[];
  readonly #onRelease: () => void;
  #released = false;

  constructor(executable: WasmExecutable, bound: readonly Bound[], onRelease: () => void) {
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
