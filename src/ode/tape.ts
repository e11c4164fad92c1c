// What the reverse pass remembers: for each attempt the state it started from and the contraction outputs of its stages, as
// much of it as a memory budget allows. The rest is recomputed, to the same bits, from the nearest state that was kept.
//
// Three stages, as the solve grows: store everything; then only starting states; then every 2nd, 4th, … starting state.

import type { Backend, DeviceBuffer } from "../backend/backend.ts";

/** Named buffers that belong together: a starting state, or the saves of one attempt. */
export type BufferSet = Readonly<Record<string, DeviceBuffer>>;

/** Shapes of named buffers. */
export type Shapes = Readonly<Record<string, number>>;

/** What the tape decided, in numbers for people and tests. */
export interface TapePlan {
  readonly strategy: "store" | "recompute" | "checkpoint";
  readonly attempts: number;
  readonly attemptsStored: number;
  /** Every how many attempts a starting state is kept once storing has stopped. */
  readonly stride: number;
  readonly bytesPerStart: number;
  readonly bytesPerSaves: number;
  readonly budgetBytes: number;
}

/** Part of the budget that may fill with whole attempts; the rest is for starting states and recomputation. */
export const FULL_SHARE = 0.75;

/**
 * Buffers of one shape set, handed out and taken back; made when there are none. The first free ones go first, so that equal solves
 * use equal buffers and their programs need not be bound again.
 */
class Pool {
  readonly #backend: Backend;
  readonly #label: string;
  readonly #shapes: Shapes;
  readonly #free = new Set<BufferSet>();
  readonly #all: BufferSet[] = [];

  constructor(backend: Backend, label: string, shapes: Shapes) {
    this.#backend = backend;
    this.#label = label;
    this.#shapes = shapes;
  }

  take(): BufferSet {
    const free = this.#free.size > 0 ? this.#all.find((record) => this.#free.has(record)) : undefined;
    if (free) {
      this.#free.delete(free);
      return free;
    }
    const made: Record<string, DeviceBuffer> = {};
    const set = { kind: this.#label, lengths: Object.values(this.#shapes) };
    for (const [name, length] of Object.entries(this.#shapes)) {
      made[name] = this.#backend.buffer(`${this.#label} ${this.#all.length} ${name}`, length, "float", set);
    }
    this.#all.push(made);
    return made;
  }

  give(record: BufferSet): void {
    this.#free.add(record);
  }

  dispose(): void {
    for (const record of this.#all) for (const b of Object.values(record)) b.release();
    this.#all.length = 0;
    this.#free.clear();
  }
}

interface Entry {
  start: BufferSet | null;
  saves: BufferSet | null;
  /** What the reverse pass has recomputed for itself. */
  recomputed: { start: boolean; saves: boolean };
}

export class Tape {
  readonly #starts: Pool;
  readonly #saves: Pool;
  readonly #bytesPerStart: number;
  readonly #bytesPerSaves: number;
  readonly #budget: number;
  #entries: Entry[] = [];
  #stored = 0;
  #stride = 1;
  #firstBare = -1;

  constructor(backend: Backend, starts: Shapes, saves: Shapes, elementBytes: number, budgetBytes: number) {
    this.#starts = new Pool(backend, "tape start", starts);
    this.#saves = new Pool(backend, "tape saves", saves);
    const total = (shapes: Shapes) => Object.values(shapes).reduce((sum, n) => sum + n * elementBytes, 0);
    this.#bytesPerStart = total(starts);
    this.#bytesPerSaves = total(saves);
    this.#budget = budgetBytes;
  }

  /** Forgets the last solve; `first` is the record that attempt 0 starts from. */
  begin(): BufferSet {
    for (const e of this.#entries) this.#free(e);
    this.#entries = [entryOf(this.#starts.take())];
    this.#stored = 0;
    this.#stride = 1;
    this.#firstBare = -1;
    return this.#entries[0]!.start!;
  }

  /** Buffers for attempt i = 0, 1, …: where it starts from, where the next one will, and saves if there is room for them. */
  open(i: number): { start: BufferSet; next: BufferSet; saves: BufferSet | null } {
    const entry = this.#entries[i]!;
    const start = entry.start!;
    const next = this.#starts.take();
    this.#entries.push(entryOf(next));
    const used = this.#stored * this.#bytesPerSaves + (i + 2) * this.#bytesPerStart;
    if (this.#firstBare < 0 && used + this.#bytesPerSaves <= this.#budget * FULL_SHARE) {
      entry.saves = this.#saves.take();
      this.#stored++;
    } else if (this.#firstBare < 0) this.#firstBare = i;
    return { start, next, saves: entry.saves };
  }

  /** Call when attempt i is done: starting states that the budget has no room for are dropped. */
  close(i: number): void {
    if (this.#firstBare < 0) return;
    const kept = () => this.#entries.slice(this.#firstBare, i + 1).filter((e) => e.start).length;
    const room = Math.max(2, Math.floor((this.#budget * (1 - FULL_SHARE)) / this.#bytesPerStart));
    this.#thin(i);
    while (kept() > room) {
      this.#stride *= 2;
      this.#thin(i);
    }
  }

  #thin(last: number): void {
    for (let j = this.#firstBare; j <= last; j++) {
      if ((j - this.#firstBare) % this.#stride !== 0) this.#free(this.#entries[j]!);
    }
  }

  /** Drops what was opened after attempt `n` − 1 (attempts enqueued after everybody had finished). */
  truncate(n: number): void {
    for (const e of this.#entries.splice(n + 1)) this.#free(e);
  }

  /**
   * The records of attempt i for its reverse, recomputed where they were not kept.
   * @param rerun runs attempt j again: from `start`, into `next` and `saves`
   */
  recall(
    i: number,
    rerun: (start: BufferSet, next: BufferSet, saves: BufferSet) => void,
  ): { start: BufferSet; next: BufferSet; saves: BufferSet } {
    let from = i;
    while (!this.#entries[from]!.start) from--;
    for (let j = from; j <= i; j++) {
      const e = this.#entries[j]!;
      if (e.saves) continue;
      const after = this.#entries[j + 1]!;
      if (!after.start) {
        after.start = this.#starts.take();
        after.recomputed.start = true;
      }
      e.saves = this.#saves.take();
      e.recomputed.saves = true;
      rerun(e.start!, after.start, e.saves);
    }
    const { start, saves } = this.#entries[i]!;
    return { start: start!, next: this.#entries[i + 1]!.start!, saves: saves! };
  }

  /** What attempt 0 starts from; always kept. */
  first(): BufferSet {
    return this.#entries[0]!.start!;
  }

  /** The reverse of attempt i is done: what `recall` recomputed for it and for no earlier one is dropped; the reverse may run again. */
  forget(i: number): void {
    const e = this.#entries[i]!;
    if (e.saves && e.recomputed.saves) {
      this.#saves.give(e.saves);
      e.saves = null;
      e.recomputed.saves = false;
    }
    const after = this.#entries[i + 1]!;
    if (after.start && after.recomputed.start) {
      this.#starts.give(after.start);
      after.start = null;
      after.recomputed.start = false;
    }
  }

  plan(): TapePlan {
    const attempts = this.#entries.length - 1;
    return {
      strategy: this.#firstBare < 0 ? "store" : this.#stride === 1 ? "recompute" : "checkpoint",
      attempts,
      attemptsStored: this.#stored,
      stride: this.#stride,
      bytesPerStart: this.#bytesPerStart,
      bytesPerSaves: this.#bytesPerSaves,
      budgetBytes: this.#budget,
    };
  }

  #free(e: Entry): void {
    if (e.start) this.#starts.give(e.start);
    if (e.saves) this.#saves.give(e.saves);
    e.start = null;
    e.saves = null;
    e.recomputed = { start: false, saves: false };
  }

  dispose(): void {
    this.#entries = [];
    this.#starts.dispose();
    this.#saves.dispose();
  }
}

function entryOf(start: BufferSet): Entry {
  return { start, saves: null, recomputed: { start: false, saves: false } };
}
