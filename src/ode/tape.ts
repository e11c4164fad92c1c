// What the reverse pass remembers: for each attempt the state it started from and the contraction outputs of its stages, as
// far as a memory budget allows. The rest is recomputed, to the same bits, from the nearest state that was kept.
//
// It serves the attempts of a solver and the steps of a network in discrete time alike; here both are called attempts.
//
// As the solve grows: store everything; then only starting states of further attempts; then every 2nd, 4th, … of these; then fewer attempts
// whole. A device with less memory than the budget refuses; the tape then keeps to less than it got.

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
  /**
   * Attempts that the reverse pass runs again, once each, because there was no room for their records. Attempts with void trial steps, which
   * it always runs again, do not count.
   */
  readonly attemptsRecomputed: number;
  /** Every `stride`-th attempt that is not stored whole keeps its starting state. */
  readonly stride: number;
  readonly bytesPerStart: number;
  readonly bytesPerSaves: number;
  /**
   * The budget: as requested, else the device's `tapeBudgetBytes`; less where the device had less. The tape exceeds it only where it
   * cannot take less, or a solve needs more attempts than the one before.
   */
  readonly budgetBytes: number;
  /** "device": it refused memory within the budget, which was lowered to less than it gave. */
  readonly limitedBy: "budget" | "device";
}

/** What a tape has to keep, and the most bytes that it may take. */
export type TapeSizes = Pick<TapePlan, "bytesPerStart" | "bytesPerSaves" | "budgetBytes">;

/** How many attempts are stored whole; every `stride`-th of the others keeps its starting state. */
export interface TapeShape {
  readonly stored: number;
  readonly stride: number;
}

/** Part of what a device gave before it was full; the rest is left to other users of the device. */
const SHARE_WHERE_FULL = 0.75;

/** Numbers of starting states, and of what attempts leave. */
interface Sets {
  readonly starts: number;
  readonly saves: number;
}

/** The sets kept for this many attempts, and for one stretch between two starting states that has been run again. */
function setsOf(attempts: number, { stored, stride }: TapeShape): Sets {
  const bare = attempts - stored;
  const stretch = Math.min(stride, bare);
  return { starts: stored + Math.ceil(bare / stride) + Math.max(1, stretch), saves: stored + stretch };
}

function bytesOf({ starts, saves }: Sets, { bytesPerStart, bytesPerSaves }: TapeSizes): number {
  return starts * bytesPerStart + saves * bytesPerSaves;
}

/** Most bytes of a tape of this many attempts. */
export function tapeBytes(attempts: number, shape: TapeShape, sizes: TapeSizes): number {
  return bytesOf(setsOf(attempts, shape), sizes);
}

/** Whether this many attempts may all be stored whole. */
function fits(attempts: number, sizes: TapeSizes): boolean {
  return tapeBytes(attempts, { stored: attempts, stride: 1 }, sizes) <= sizes.budgetBytes;
}

/**
 * Gives way until this many attempts fit into the budget: longer strides as long as they take less memory, then fewer attempts stored whole.
 * If nothing fits, the shape that takes least.
 */
function giveWay(attempts: number, shape: TapeShape, sizes: TapeSizes): TapeShape {
  let { stored, stride } = shape;
  const bytes = (factor: number) => tapeBytes(attempts, { stored, stride: factor * stride }, sizes);
  while (bytes(1) > sizes.budgetBytes) {
    if (bytes(2) < bytes(1)) stride *= 2;
    else if (stored > 0) stored--;
    else break;
  }
  return { stored, stride };
}

/** The shape of a tape for a solve of this many attempts, if the device has the memory. */
export function plannedTape(attempts: number, sizes: TapeSizes): TapeShape {
  let shape: TapeShape = { stored: 0, stride: 1 };
  for (let n = 1; n <= attempts; n++) {
    const isStored = shape.stored === n - 1 && fits(n, sizes);
    shape = isStored ? { stored: n, stride: 1 } : giveWay(n, shape, sizes);
  }
  return shape;
}

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

  /** Sets that `take` hands out without making any. */
  get free(): number {
    return this.#free.size;
  }

  /** Sets in use and free. */
  get size(): number {
    return this.#all.length;
  }

  /** Makes another set for `take`, unless the device has no room for it. */
  async grow(): Promise<boolean> {
    const made = await this.#backend.buffersIfRoom(`${this.#label} ${this.#all.length}`, this.#shapes, this.#label);
    if (!made) return false;
    this.#all.push(made);
    this.#free.add(made);
    return true;
  }

  /** Gives free sets back to the device, until `keep` are left. */
  shrink(keep: number): void {
    for (const record of [...this.#all].reverse()) {
      if (this.#free.size <= keep) return;
      if (!this.#free.delete(record)) continue;
      this.#all.splice(this.#all.indexOf(record), 1);
      release(record);
    }
  }

  take(): BufferSet {
    const free = this.#free.size > 0 ? this.#all.find((record) => this.#free.has(record)) : undefined;
    if (free) {
      this.#free.delete(free);
      return free;
    }
    return this.#make();
  }

  /** Makes a set; without room for it, the device's error. */
  #make(): BufferSet {
    const made: Record<string, DeviceBuffer> = {};
    try {
      for (const [name, length] of Object.entries(this.#shapes))
        made[name] = this.#backend.buffer(`${this.#label} ${this.#all.length} ${name}`, length);
    } catch (error) {
      release(made);
      throw error;
    }
    this.#all.push(made);
    return made;
  }

  give(record: BufferSet): void {
    this.#free.add(record);
  }

  dispose(): void {
    for (const record of this.#all) release(record);
    this.#all.length = 0;
    this.#free.clear();
  }
}

function release(record: BufferSet): void {
  for (const buffer of Object.values(record)) buffer.release();
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
  #sizes: TapeSizes;
  #isRefused = false;
  #entries: Entry[] = [];
  #stored = 0;
  #stride = 1;
  /** As far as is known from the expected number of attempts. */
  #mostStored = 0;
  /** The first attempt that is not stored whole; −1: all are. */
  #firstBare = -1;

  constructor(backend: Backend, starts: Shapes, saves: Shapes, elementBytes: number, budgetBytes: number) {
    this.#starts = new Pool(backend, "tape start", starts);
    this.#saves = new Pool(backend, "tape saves", saves);
    const total = (shapes: Shapes) => Object.values(shapes).reduce((sum, n) => sum + n * elementBytes, 0);
    this.#sizes = { bytesPerStart: total(starts), bytesPerSaves: total(saves), budgetBytes };
  }

  /**
   * Forgets the last solve.
   *
   * @param expected attempts that this one may take: what will not fit is not stored in the first place
   * @returns the record that attempt 0 starts from
   */
  async begin(expected: number): Promise<BufferSet> {
    for (const e of this.#entries) this.#free(e);
    this.#entries = [];
    this.#stored = 0;
    this.#firstBare = -1;
    const { stored, stride } = plannedTape(expected, this.#sizes);
    this.#mostStored = stored === expected ? Number.POSITIVE_INFINITY : stored;
    const needed = setsOf(expected, { stored, stride });
    // A solve with another number of attempts than expected may have left more sets than the budget allows.
    const starts = Math.max(needed.starts, this.#starts.size);
    const saves = Math.max(needed.saves, this.#saves.size);
    if (bytesOf({ starts, saves }, this.#sizes) > this.#sizes.budgetBytes) {
      this.#starts.shrink(needed.starts);
      this.#saves.shrink(needed.saves);
    }
    await this.#provide(this.#starts, 1);
    this.#entries = [entryOf(this.#starts.take())];
    this.#stride = stride;
    return this.#entries[0]!.start!;
  }

  /** Buffers for attempt i = 0, 1, …: where it starts from, where the next one will, and saves if there is room for them. */
  async open(i: number): Promise<{ start: BufferSet; next: BufferSet; saves: BufferSet | null }> {
    await this.#provide(this.#starts, 1);
    const entry = this.#entries[i]!;
    const next = entryOf(this.#starts.take());
    this.#entries.push(next);
    if (this.#firstBare < 0 && i < this.#mostStored && fits(i + 1, this.#sizes) && (await this.#canStore())) {
      entry.saves = this.#saves.take();
      this.#stored++;
    } else if (this.#firstBare < 0) this.#firstBare = i;
    return { start: entry.start!, next: next.start!, saves: entry.saves };
  }

  async #canStore(): Promise<boolean> {
    if (this.#saves.free > 0 || (await this.#saves.grow())) return true;
    this.#retreat(1);
    return false;
  }

  /** Call when attempt i is done: drops starting states that the budget has no room for, and allocates what the reverse pass needs. */
  async close(i: number): Promise<void> {
    if (this.#firstBare < 0) return;
    this.#giveWay(i + 1);
    this.#thin(i);
    const longest = this.#longestRun(i);
    await this.#provide(this.#saves, longest);
    await this.#provide(this.#starts, longest - 1);
  }

  #giveWay(attempts: number): void {
    const { stored, stride } = giveWay(attempts, { stored: this.#stored, stride: this.#stride }, this.#sizes);
    this.#stride = stride;
    while (this.#stored > stored) this.#dropSaves();
  }

  /** Drops starting states that are nearer than a stride to the one kept before. */
  #thin(last: number): void {
    let kept = this.#firstBare;
    for (let j = kept + 1; j <= last; j++) {
      if (!this.#entries[j]!.start) continue;
      if (j - kept < this.#stride) this.#free(this.#entries[j]!);
      else kept = j;
    }
  }

  /** Longest run of attempts of which only the first has kept its starting state. */
  #longestRun(last: number): number {
    let longest = 0;
    for (let j = this.#firstBare, kept = j; j <= last; j++) {
      if (this.#entries[j]!.start) kept = j;
      longest = Math.max(longest, j - kept + 1);
    }
    return longest;
  }

  /** Gets `count` free sets into a pool. If the device has no room even so, `take` fails with its reason. */
  async #provide(pool: Pool, count: number): Promise<void> {
    while (pool.free < count) {
      if (await pool.grow()) continue;
      if (!this.#retreat(pool === this.#saves ? count : 1)) return;
    }
  }

  /**
   * The device has refused memory: from now on the tape keeps to less than it has been given, and leaves the rest to others.
   *
   * @param keep free saves that are needed
   * @returns whether something has become free
   */
  #retreat(keep: number): boolean {
    const got = bytesOf({ starts: this.#starts.size, saves: this.#saves.size }, this.#sizes);
    const budgetBytes = Math.min(this.#sizes.budgetBytes, Math.floor(got * SHARE_WHERE_FULL));
    this.#isRefused = true;
    this.#sizes = { ...this.#sizes, budgetBytes };
    const { size, free } = this.#saves;
    if (this.#stored > 0) this.#dropSaves();
    this.#giveWay(Math.max(0, this.#entries.length - 1));
    this.#saves.shrink(keep);
    return this.#saves.size < size || this.#saves.free > free;
  }

  /** Of the attempts stored whole, the last one keeps its starting state only. */
  #dropSaves(): void {
    const last = --this.#stored;
    const entry = this.#entries[last]!;
    this.#saves.give(entry.saves!);
    entry.saves = null;
    this.#firstBare = last;
  }

  /** Drops what was opened after attempt `n` − 1 (attempts enqueued after every sample had finished). */
  truncate(n: number): void {
    for (const e of this.#entries.splice(n + 1)) this.#free(e);
  }

  /**
   * The records of attempt i for its reverse, recomputed where they were not kept.
   * @param rerun runs an attempt again: from `start`, into `next` and `saves`
   */
  recall(
    i: number,
    rerun: (start: BufferSet, next: BufferSet, saves: BufferSet, attempt: number) => void,
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
      rerun(e.start!, after.start, e.saves, j);
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
    const attemptsStored = Math.min(this.#stored, attempts);
    const isWhole = attemptsStored === attempts;
    return {
      strategy: isWhole ? "store" : this.#stride === 1 ? "recompute" : "checkpoint",
      attempts,
      attemptsStored,
      attemptsRecomputed: attempts - attemptsStored,
      stride: isWhole ? 1 : this.#stride,
      ...this.#sizes,
      limitedBy: this.#isRefused ? "device" : "budget",
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
