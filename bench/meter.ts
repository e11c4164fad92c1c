// A backend that keeps books: what programs cost by formula, and how long their runs took. So a training step is split into
// its parts without touching the model.

import type { Backend, BoundProgram } from "../src/backend/backend.ts";
import type { Purpose } from "../src/backend/program.ts";
import { bytesOf } from "../src/core/dtype.ts";
import { addCosts, type Cost, NO_COST, programCost, storedEntriesOf } from "../src/profile/cost.ts";
import { observed } from "../src/profile/observed.ts";

/** What the runs of programs of one purpose added up to. */
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
  /** Counting costs microseconds per run; without it nothing is added up. */
  recording = true;
  readonly #costs = new WeakMap<BoundProgram, Cost>();
  #accounts = new Map<Purpose | undefined, Account>();

  constructor(inner: Backend) {
    const element = bytesOf(inner.dtype);
    this.backend = observed(inner, {
      bound: (bound, bindings) => {
        const { program, layout } = bound.executable;
        this.#costs.set(bound, programCost(program, layout, element, storedEntriesOf(bindings)));
      },
      ran: (bound, ms) => {
        if (this.recording) this.#count(bound, ms / 1000);
      },
    });
  }

  /** Accounts by purpose since the last call; of programs without one together. */
  take(): ReadonlyMap<Purpose | undefined, Account> {
    const accounts = this.#accounts;
    this.#accounts = new Map();
    return accounts;
  }

  #count(bound: BoundProgram, seconds: number): void {
    const { purpose } = bound.executable.program;
    const account = this.#accounts.get(purpose) ?? EMPTY;
    this.#accounts.set(purpose, {
      cost: addCosts([account.cost, this.#costs.get(bound) ?? NO_COST]),
      seconds: account.seconds + seconds,
      runs: account.runs + 1,
    });
  }
}
