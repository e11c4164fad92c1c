// A rehearsal: work is done as on a device, but nothing is computed and no memory is taken, only counted. So the memory that a model, its
// training or any other work will take is known beforehand, from the code that takes it.

import { bytesOf, floatArray } from "../core/dtype.ts";
import type { Releasable } from "../core/release.ts";
import type { Backend, DeviceBuffer } from "./backend.ts";
import { lanesOf } from "./layout.ts";

/**
 * What the device would answer where the host reads the buffer with this label, unless it is a scalar that the host has filled; undefined: numbers that
 * differ, from 0 on. Called once per download.
 */
export type Answers = (label: string) => number | undefined;

/** Memory at the moment when most was in use. */
export interface PeakMemory {
  /** Bytes of buffers by label; of matrices, by theirs with " matrix" after it. */
  readonly byLabel: ReadonlyMap<string, number>;
  /** Bytes besides buffers: temporaries and code of programs. */
  readonly programs: number;
  /** Bytes of all of these. */
  readonly bytes: number;
  /** Bytes that the device has taken from the machine for them at most, gaps included. */
  readonly takenBytes: number;
  /** Most bytes of device and process together, where the device is in the memory of the process: arrays that the host needs for a while count. */
  readonly processBytes: number;
  /** The largest arrays that there were at any time, largest first. */
  readonly largest: readonly { readonly label: string; readonly bytes: number }[];
}

/** A device to rehearse on. Dispose of the backend in the end. */
export interface Rehearsal {
  readonly backend: Backend;
  /** The peak so far. */
  peak(): PeakMemory;
  /** The most lanes that a program was compiled for: samples that run at once. */
  mostLanes(): number;
}

const LARGEST_KEPT = 8;
/** Numbers that the host reads differ from lane to lane: calibration refuses features that do not. */
const DIFFERENT = 8;

/** Begins a rehearsal on an imagined device like `device`. Errors (memory, limits) are those that the device would have. */
export function rehearse(device: Backend, answers: Answers = () => undefined): Rehearsal {
  const inner = device.imagined();
  const books = new Books(inner);
  const fills = new WeakMap<DeviceBuffer, number>();
  const read = (source: DeviceBuffer, length: number) => {
    const numbers = source.type === "u32" ? new Uint32Array(length) : floatArray(inner.dtype, length);
    const value = fills.get(source) ?? answers(source.label);
    if (value !== undefined) return value === 0 ? numbers : numbers.fill(value);
    for (let k = 0; k < length; k++) numbers[k] = (k % DIFFERENT) / DIFFERENT;
    return numbers;
  };
  let mostLanes = 0;
  const own: Partial<Backend> = {
    buffer: (label, length, type) => books.keep(label, () => inner.buffer(label, length, type)),
    sparse: (label, csr) => books.keep(`${label} matrix`, () => inner.sparse(label, csr)),
    sparseRows: (matrix, isTaken) => books.keep(`${matrix.label} rows matrix`, () => inner.sparseRows(matrix, isTaken)),
    async buffersIfRoom(label, lengths, kind) {
      const made = await inner.buffersIfRoom(label, lengths, kind);
      for (const buffer of Object.values<DeviceBuffer>(made ?? {})) {
        books.add(buffer.label, buffer, buffer.length * bytesOf(inner.dtype));
      }
      return made;
    },
    compile(program, layout) {
      mostLanes = Math.max(mostLanes, lanesOf(layout));
      return books.noting(() => inner.compile(program, layout));
    },
    bind: (executable, bindings) => books.noting(() => inner.bind(executable, bindings)),
    upload: () => {},
    fill: (target, value) => {
      // What programs compute takes the place of what larger buffers begin with.
      if (target.length === 1) fills.set(target, value);
    },
    copy: () => {},
    run: () => {},
    download: async (source, offset = 0, length = source.length - offset) => read(source, length),
    downloadAll: async (sources) => sources.map((source) => read(source, source.length)),
    finish: async () => {},
  };
  const backend = new Proxy(inner, {
    get(target, name) {
      const value: unknown = Reflect.get(own, name) ?? Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  return { backend, peak: () => books.peak(), mostLanes: () => mostLanes };
}

/** Who holds how much now, and at the peak. */
class Books {
  readonly #backend: Backend;
  readonly #live = new Map<string, number>();
  readonly #largest = new Map<string, number>();
  #bytes = 0;
  #taken = 0;
  #process = 0;
  /** The last state of these books in which most was in use; null: it is the present one. */
  #peak: Omit<PeakMemory, "takenBytes" | "processBytes" | "largest"> | null = null;
  #most = 0;

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  /** Makes something and books what it took. */
  keep<T extends Releasable | null>(label: string, make: () => T): T {
    const before = this.#backend.memory().bytes;
    const made = make();
    if (made) this.add(label, made, this.#backend.memory().bytes - before);
    return made;
  }

  /** Books `bytes` until `thing` is released. */
  add(label: string, thing: Releasable, bytes: number): void {
    this.#book(label, bytes);
    this.#largest.set(label, Math.max(bytes, this.#largest.get(label) ?? 0));
    const release = thing.release.bind(thing);
    let isHeld = true;
    Object.assign(thing, {
      release: () => {
        this.#keepPeak();
        if (isHeld) this.#book(label, -bytes);
        isHeld = false;
        release();
      },
    });
    this.#note();
  }

  noting<T>(make: () => T): T {
    this.#keepPeak();
    const made = make();
    this.#note();
    return made;
  }

  #book(label: string, bytes: number): void {
    this.#bytes += bytes;
    const now = (this.#live.get(label) ?? 0) + bytes;
    if (now > 0) this.#live.set(label, now);
    else this.#live.delete(label);
  }

  #note(): void {
    const { bytes, takenBytes } = this.#backend.memory();
    this.#taken = Math.max(this.#taken, takenBytes);
    this.#process = Math.max(this.#process, takenBytes + process.memoryUsage.rss());
    if (bytes <= this.#most) return;
    this.#most = bytes;
    this.#peak = null;
  }

  /** Before the books change: what they say now may be the peak. */
  #keepPeak(): void {
    this.#peak ??= this.#now();
  }

  #now(): Omit<PeakMemory, "takenBytes" | "processBytes" | "largest"> {
    const { bytes } = this.#backend.memory();
    return { byLabel: new Map(this.#live), programs: bytes - this.#bytes, bytes };
  }

  peak(): PeakMemory {
    this.#keepPeak();
    const sorted = [...this.#largest].sort(([, a], [, b]) => b - a).slice(0, LARGEST_KEPT);
    const largest = sorted.map(([label, bytes]) => ({ label, bytes }));
    return { ...this.#peak!, takenBytes: this.#taken, processBytes: this.#process, largest };
  }
}
