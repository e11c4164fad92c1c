// A backend that records the programs that are bound on it, and how often each runs.

import type { Backend } from "../backend/backend.ts";
import type { Program } from "../backend/program.ts";
import { type Observer, observed } from "../profile/observed.ts";

/** A program that was bound, and how often it ran. */
export interface RecordedProgram {
  readonly program: Program;
  /** Since the beginning, or since `resetRuns`. */
  readonly runs: number;
}

/**
 * Records the programs that are bound on `backend`, in the order in which they came. Equal programs (as for two arrays of one size) count
 * as one.
 *
 *     const recorder = new ProgramRecorder(await createBackend());
 *     const solver = new OdeSolver(recorder.backend, system, options);
 *     …
 *     for (const { program, runs } of recorder.programs()) console.log(program.name, runs);
 */
export class ProgramRecorder {
  /** Behaves as the backend that was given. */
  readonly backend: Backend;
  readonly #recorded = new Map<string, { readonly program: Program; runs: number }>();
  readonly #keys = new WeakMap<Program, string>();

  /** @param isAsynchronous  `Backend.isAsynchronous` of `backend`; true: the programs that a GPU needs are bound; default: that of `inner` */
  constructor(inner: Backend, { isAsynchronous = inner.isAsynchronous }: { readonly isAsynchronous?: boolean } = {}) {
    const observer: Observer = {
      bound: ({ executable }) => void this.#entryOf(executable.program),
      ran: ({ executable }) => void this.#entryOf(executable.program).runs++,
    };
    this.backend = observed(inner, observer, { isAsynchronous });
  }

  /** What was bound so far. */
  programs(): readonly RecordedProgram[] {
    return [...this.#recorded.values()].map(({ program, runs }) => ({ program, runs }));
  }

  /** Forgets how often programs ran, not the programs. */
  resetRuns(): void {
    for (const entry of this.#recorded.values()) entry.runs = 0;
  }

  #entryOf(program: Program): { readonly program: Program; runs: number } {
    const key = this.#keys.get(program) ?? JSON.stringify(program, distinct);
    this.#keys.set(program, key);
    const known = this.#recorded.get(key) ?? { program, runs: 0 };
    this.#recorded.set(key, known);
    return known;
  }
}

/** JSON has null for NaN and both infinities, and 0 for −0. */
function distinct(_key: string, value: unknown): unknown {
  if (Object.is(value, -0)) return "-0";
  return typeof value === "number" && !Number.isFinite(value) ? `${value}` : value;
}
