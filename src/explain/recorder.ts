// Which programs something runs: a backend that keeps what is bound on it.

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
 * Records the programs that are bound on `backend`, in the order in which they came. Equal programs (one for each of two arrays of a size)
 * count as one.
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

  /** @param runsAhead  what `Backend.runsAhead` says: true has the programs bound that a GPU needs; default: what `inner` says */
  constructor(inner: Backend, { runsAhead = inner.runsAhead }: { readonly runsAhead?: boolean } = {}) {
    const observer: Observer = {
      bound: ({ executable }) => void this.#entryOf(executable.program),
      ran: ({ executable }) => void this.#entryOf(executable.program).runs++,
    };
    this.backend = observed(inner, observer, { runsAhead });
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
    const key = this.#keys.get(program) ?? JSON.stringify(program);
    this.#keys.set(program, key);
    const known = this.#recorded.get(key) ?? { program, runs: 0 };
    this.#recorded.set(key, known);
    return known;
  }
}
