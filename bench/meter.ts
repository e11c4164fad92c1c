// A backend that keeps books: what each program cost by formula and how long its runs took. It is how a training step is split
// into its parts without touching the model.

import type { Backend, Bindable, BoundProgram, Executable } from "../src/backend/backend.ts";
import type { Binding } from "../src/backend/program.ts";
import { bytesOf } from "../src/core/dtype.ts";
import { addCosts, type Cost, NO_COST, programCost, type StoredEntries } from "./cost.ts";

/** What the runs of one program added up to. */
export interface Account {
  readonly cost: Cost;
  /** Meaningful where `run` returns when the work is done, that is on the CPU. */
  readonly seconds: number;
  readonly runs: number;
}

const EMPTY: Account = { cost: NO_COST, seconds: 0, runs: 0 };

export class Meter {
  /** Behaves as the backend given to the constructor; what is run on it is counted. */
  readonly backend: Backend;
  /** Counting costs microseconds per run; without it runs go straight through. */
  recording = true;
  readonly #costs = new WeakMap<BoundProgram, Cost>();
  #accounts = new Map<string, Account>();

  constructor(inner: Backend) {
    const element = bytesOf(inner.dtype);
    const bind = (executable: Executable, bindings: Readonly<Record<string, Bindable>>): BoundProgram => {
      const bound = inner.bind(executable, bindings);
      const entries = (b: Binding): StoredEntries => entriesOf(b, bindings[b.name]);
      this.#costs.set(bound, programCost(executable.program, executable.layout, element, entries));
      return bound;
    };
    const run = (bound: BoundProgram): void => {
      if (!this.recording) {
        inner.run(bound);
        return;
      }
      const start = performance.now();
      inner.run(bound);
      this.#count(bound, (performance.now() - start) / 1000);
    };
    this.backend = new Proxy(inner, {
      get(target, key) {
        if (key === "bind") return bind;
        if (key === "run") return run;
        const value: unknown = Reflect.get(target, key);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  }

  /** Accounts by program name since the last call. */
  take(): ReadonlyMap<string, Account> {
    const accounts = this.#accounts;
    this.#accounts = new Map();
    return accounts;
  }

  #count(bound: BoundProgram, seconds: number): void {
    const { name } = bound.executable.program;
    const account = this.#accounts.get(name) ?? EMPTY;
    this.#accounts.set(name, {
      cost: addCosts([account.cost, this.#costs.get(bound) ?? NO_COST]),
      seconds: account.seconds + seconds,
      runs: account.runs + 1,
    });
  }
}

function entriesOf(binding: Binding, bound: Bindable | undefined): StoredEntries {
  if (!bound || !("nnz" in bound)) throw new TypeError(`meter: expected a sparse matrix (${binding.name})`);
  return { nnz: bound.nnz, indexBytes: Math.max(bound.nRows, bound.nCols) <= 65536 ? 2 : 4 };
}
