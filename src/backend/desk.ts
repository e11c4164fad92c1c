// A desk: the buffers and bound programs that one owner keeps on a device for one panel layout, and the transfer of samples between
// host arrays and the device's panels.

import { type FloatArray, floatArray } from "../core/dtype.ts";
import { ArgumentError, BackendError, ShapeError } from "../core/errors.ts";
import type { Releasable } from "../core/release.ts";
import { RoundCache } from "../core/roundCache.ts";
import type { Backend, Bindable, BoundProgram, DeviceBuffer, Executable } from "./backend.ts";
import { Constants } from "./constants.ts";
import { clearUnusedLanes, lanesOf, layoutKey, packState, unpackState } from "./layout.ts";
import type { Binding, PanelLayout, Program } from "./program.ts";

/** The samples of a batch that the lanes hold, and where a host array has their numbers. */
export interface Part {
  /** First sample of the batch; default 0. */
  readonly first?: number;
  /** Number of samples, at most the lanes of the layout. */
  readonly count: number;
  /** Position in the host array of (sample of the batch, row); default: sample-major, sample · rows + row. */
  readonly at?: (sample: number, row: number) => number;
  /** Selects one state where a buffer holds several, one after another (the frames of a sequence), each of `rows` rows. */
  readonly frame?: { readonly index: number; readonly rows: number };
}

/** Content of the lanes without a sample: "repeat" the last sample, or "zero", for cotangents: these lanes must not count. */
export type UnusedLanes = "repeat" | "zero";

/** Buffers and matrices by the names of a program's bindings. */
export type Bindings = Readonly<Record<string, Bindable | null | undefined>>;

/** A bound program outlives its last use by so many rounds, and at most by twice as many. */
const KEPT_ROUNDS = 64;

/**
 * Owns buffers, made at their first use and found again by name, and programs, bound once to each set of buffers. `release` gives all of
 * it back. Running a program again on the same buffers makes nothing new, neither here nor on the device.
 */
export class Desk {
  readonly backend: Backend;
  readonly layout: PanelLayout;
  /** Lanes of the layout: samples that a state holds, those that only fill a panel included. */
  readonly lanes: number;
  /** Tells the desks of one owner apart (see Desks). */
  readonly key: string;
  readonly #owner: string;
  readonly #buffers = new Map<string, DeviceBuffer>();
  readonly #owned: Releasable[] = [];
  readonly #programs = new Map<string, Program>();
  readonly #executables = new Map<Program, Executable>();
  readonly #bound = new RoundCache<BoundProgram>(KEPT_ROUNDS);
  readonly #constants: Constants;
  readonly #staging = new Map<number, FloatArray>();
  readonly #ids = new WeakMap<object, number>();
  #nextId = 0;
  #isReleased = false;

  /** @param owner  named in error messages */
  constructor(backend: Backend, layout: PanelLayout, owner: string, key: string = layoutKey(layout)) {
    this.backend = backend;
    this.layout = layout;
    this.lanes = lanesOf(layout);
    this.key = key;
    this.#owner = owner;
    this.#constants = new Constants(backend);
  }

  // ---- buffers -----------------------------------------------------------------------------------------------------------

  /**
   * The buffer of this name and length; made at the first use, with zeros.
   * @throws {ShapeError} the name has another length or type already
   * @throws {BackendError} the device has no memory left
   */
  vector(name: string, length: number, type: "float" | "u32" = "float"): DeviceBuffer {
    const known = this.#buffers.get(name);
    if (!known) {
      this.#checkLive();
      const made = this.own(this.backend.buffer(name, length, type));
      this.#buffers.set(name, made);
      return made;
    }
    if (known.length === length && known.type === type) return known;
    throw new ShapeError(this.#owner, name, `${known.length} numbers (${known.type})`, `${length} (${type})`);
  }

  /** `rows` numbers per lane. */
  state(name: string, rows: number): DeviceBuffer {
    return this.vector(name, rows * this.lanes);
  }

  /** A number per lane. */
  sample(name: string): DeviceBuffer {
    return this.vector(name, this.lanes);
  }

  /** Buffers `${label} ${name}` by name, of these lengths. */
  vectors<Name extends string>(label: string, lengths: Readonly<Record<Name, number>>): Record<Name, DeviceBuffer> {
    const made = Object.entries<number>(lengths).map(([name, n]) => [name, this.vector(`${label} ${name}`, n)]);
    return Object.fromEntries(made) as Record<Name, DeviceBuffer>;
  }

  /** Hands something else over to the desk, which releases it with the rest. */
  own<T extends Releasable>(thing: T): T {
    this.#owned.push(thing);
    return thing;
  }

  // ---- transfer ----------------------------------------------------------------------------------------------------------

  /**
   * Uploads samples into the lanes of a state.
   * @returns the target
   * @throws {ShapeError} the part has no sample, or more than there are lanes
   */
  put(target: DeviceBuffer, data: ArrayLike<number>, part: Part, unused: UnusedLanes = "repeat"): DeviceBuffer {
    const rows = part.frame?.rows ?? target.length / this.lanes;
    const length = rows * this.lanes;
    const staging = this.#staging.get(length) ?? floatArray(this.backend.dtype, length);
    this.#staging.set(length, staging);
    packState(data, positions(part, rows), part.count, rows, this.layout, staging);
    if (unused === "zero") clearUnusedLanes(staging, part.count, rows, this.layout);
    this.backend.upload(target, staging, (part.frame?.index ?? 0) * length);
    return target;
  }

  /**
   * Downloads the samples of a state into their places in a host array.
   * @returns the target
   * @throws {ShapeError} as `put`
   */
  async take<T extends FloatArray>(source: DeviceBuffer, target: T, part: Part): Promise<T> {
    const length = part.frame ? part.frame.rows * this.lanes : source.length;
    return this.unpack(await this.backend.download(source, (part.frame?.index ?? 0) * length, length), target, part);
  }

  /** The same for a state that has been downloaded already. */
  unpack<T extends FloatArray>(state: ArrayLike<number>, target: T, part: Part): T {
    const rows = state.length / this.lanes;
    unpackState(state, target, positions(part, rows), part.count, rows, this.layout);
    return target;
  }

  /** Downloads the first `count` samples of a state as a new array [count, rows]. */
  async read(source: DeviceBuffer, count: number): Promise<FloatArray> {
    const target = floatArray(this.backend.dtype, (source.length / this.lanes) * count);
    return this.take(source, target, { count });
  }

  /** Element k becomes `value(k)`; uploads only if one differs from the last time. For buffers that nothing else writes. */
  set(target: DeviceBuffer, value: (k: number) => number): void {
    this.#constants.set(target, value);
  }

  /** The same with a number per sample; lanes without a sample repeat the last one. */
  setSamples(target: DeviceBuffer, count: number, value: (sample: number) => number): void {
    this.#constants.set(target, (lane) => value(Math.min(lane, count - 1)));
  }

  // ---- programs ----------------------------------------------------------------------------------------------------------

  /** The program of this name, made at its first use. */
  program(name: string, make: () => Program): Program {
    const program = this.#programs.get(name) ?? make();
    this.#programs.set(name, program);
    return program;
  }

  /**
   * Runs a program on the buffers that it names: the first of that name in `given`, else the desk's own.
   * @throws {ArgumentError} neither has the name
   * @throws {BackendError} the device refuses the program or a buffer; the desk is released
   */
  run(program: Program, ...given: readonly Bindings[]): void {
    this.backend.run(this.bind(program, ...given));
  }

  /** Compiles and binds a program, once for each set of buffers. The desk releases it. Errors: as `run`. */
  bind(program: Program, ...given: readonly Bindings[]): BoundProgram {
    // Runs for every program of every attempt of a solve.
    let key = `${this.#idOf(program)}`;
    for (const binding of program.bindings) {
      if (!binding.temp) key += ` ${this.#idOf(this.#find(program, binding, given))}`;
    }
    const known = this.#bound.get(key);
    if (known) return known;
    this.#checkLive();
    const named = program.bindings.filter(({ temp }) => !temp);
    const bindings = Object.fromEntries(named.map((b) => [b.name, this.#find(program, b, given)]));
    const bound = this.backend.bind(this.executable(program), bindings);
    this.#bound.set(key, bound);
    return bound;
  }

  #find(program: Program, { name, kind }: Binding, given: readonly Bindings[]): Bindable {
    for (const bindings of given) {
      const bindable = bindings[name];
      if (bindable) return bindable;
    }
    const own = this.#buffers.get(name);
    if (own) return own;
    this.#checkLive();
    throw new ArgumentError(this.#owner, name, `a ${kind} for ${program.name}`, "nothing");
  }

  /** The program compiled for this layout, once. */
  executable(program: Program): Executable {
    const executable = this.#executables.get(program) ?? this.backend.compile(program, this.layout);
    this.#executables.set(program, executable);
    return executable;
  }

  /**
   * Begins the next round: programs that did not run in the last 64 rounds (or up to 128) are released. For owners that run programs on
   * buffers of others, which may be new ones each time.
   */
  nextRound(): void {
    this.#bound.next();
  }

  #idOf(thing: object): number {
    let id = this.#ids.get(thing);
    if (id === undefined) {
      id = this.#nextId++;
      this.#ids.set(thing, id);
    }
    return id;
  }

  #checkLive(): void {
    if (this.#isReleased)
      throw new BackendError("released", `${this.#owner}: expected a desk in use, got one that was released`);
  }

  /** Releases everything that the desk owns; it cannot be used again. Idempotent. */
  release(): void {
    this.#isReleased = true;
    this.#bound.clear();
    for (const thing of this.#owned.splice(0).reverse()) thing.release();
    this.#buffers.clear();
  }
}

/** Desks of one owner, by panel layout and whatever else decides the shapes of its buffers. */
export class Desks {
  readonly #backend: Backend;
  readonly #owner: string;
  readonly #desks = new Map<string, Desk>();

  constructor(backend: Backend, owner: string) {
    this.#backend = backend;
    this.#owner = owner;
  }

  /** @param shape  numbers besides the layout that buffers of one name depend on */
  of(layout: PanelLayout, ...shape: readonly number[]): Desk {
    const key = [layoutKey(layout), ...shape].join(" ");
    const desk = this.#desks.get(key) ?? new Desk(this.#backend, layout, this.#owner, key);
    this.#desks.set(key, desk);
    return desk;
  }

  release(): void {
    for (const desk of this.#desks.values()) desk.release();
    this.#desks.clear();
  }
}

/** Positions of (lane, row) in a host array. */
function positions({ first = 0, at }: Part, rows: number): (lane: number, row: number) => number {
  return at ? (lane, row) => at(first + lane, row) : (lane, row) => (first + lane) * rows + row;
}
