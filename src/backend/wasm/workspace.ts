// Memory outside buffers: the running program's image, and the temporaries and registers, which programs share because they never run at
// the same time. It grows when a program is compiled, never when one runs.

import type { Arena, Block } from "./arena.ts";
import type { WasmBound } from "./bound.ts";
import type { WasmExecutable } from "./compile.ts";
import { link } from "./link.ts";
import type { WasmMemory } from "./module.ts";

/** An image and the addresses that it was linked to. */
interface Linked {
  readonly image: Uint32Array;
  readonly generation: number;
}

export class Workspace {
  readonly #memory: WasmMemory;
  readonly #arena: Arena;
  readonly #threads: number;
  #image: Block = NOTHING;
  #shared: Block = NOTHING;
  #scratch: Block = NOTHING;
  /** Increases whenever a block moves. */
  #generation = 0;
  readonly #linked = new WeakMap<WasmBound, Linked>();
  /** The image currently in memory. */
  #loaded: Uint32Array | null = null;

  constructor(memory: WasmMemory, arena: Arena, threads: number) {
    this.#memory = memory;
    this.#arena = arena;
    this.#threads = threads;
  }

  /**
   * Makes room for running `executable`.
   *
   * @throws {BackendError} "out-of-memory"; programs compiled before can still run
   */
  reserve(executable: WasmExecutable): void {
    const { program, sharedBytes, scratchBytes } = executable;
    const threads = this.#threads;
    this.#image = this.#grown(this.#image, `code of ${program.name}`, executable.imageBytes(threads));
    this.#shared = this.#grown(this.#shared, `temporaries of ${program.name}`, sharedBytes);
    this.#scratch = this.#grown(this.#scratch, `registers of ${program.name}`, scratchBytes * threads);
  }

  /** Copies the image of a bound program into memory and returns its address. */
  load(bound: WasmBound): number {
    const image = this.link(bound);
    if (this.#loaded !== image) {
      new Uint32Array(this.#memory.buffer, this.#image.address, image.length).set(image);
      this.#loaded = image;
    }
    return this.#image.address;
  }

  /** The image of a bound program: linked once, and again after the workspace moves. */
  link(bound: WasmBound): Uint32Array {
    const known = this.#linked.get(bound);
    if (known?.generation === this.#generation) return known.image;
    const bases = { shared: this.#shared.address, scratch: this.#scratch.address, image: this.#image.address };
    const image = link(bound.executable, bound.bound, bases, this.#threads);
    this.#linked.set(bound, { image, generation: this.#generation });
    return image;
  }

  /**
   * Replaces `block` by one of at least `bytes`; its content is lost. The new block is allocated first: if that fails, images linked to the old
   * one stay valid.
   */
  #grown(block: Block, label: string, bytes: number): Block {
    if (bytes <= block.bytes) return block;
    const grown = this.#arena.allocate(label, bytes);
    if (block.bytes > 0) this.#arena.free(block);
    this.#generation++;
    this.#loaded = null;
    return grown;
  }
}

const NOTHING: Block = { address: 0, bytes: 0 };
