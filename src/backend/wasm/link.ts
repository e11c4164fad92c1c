// Links an executable into an image: orders the steps, distributes the work over threads, and fills in all addresses.

import type { BindingId } from "../program.ts";
import type { Bound } from "./bound.ts";
import type { WasmBuffer, WasmMatrix } from "./buffers.ts";
import type { WasmExecutable } from "./compile.ts";
import * as isa from "./isa.ts";
import type { ContractionCost, MachineInstr, MachinePhase, Part, Word } from "./machine.ts";
import { PROFILE_KINDS } from "./profile.ts";

/** Addresses of the memory that all programs share. */
export interface Bases {
  /** Temporaries and partial results. */
  readonly shared: number;
  /** Registers of thread 0; those of the other threads follow. */
  readonly scratch: number;
  /** The image itself. */
  readonly image: number;
}

/** Work, in nanoseconds, that justifies waking another thread. */
const WORTH_SHARING = 30_000;

/** The image of `executable`, its bindings bound to `bound`, for `threads` threads. */
export function link(executable: WasmExecutable, bound: readonly Bound[], bases: Bases, threads: number): Uint32Array {
  return new Linker(executable, bound, bases, threads).link();
}

/** A step; a phase's offsets are filled in once all parts are laid out. */
interface Step {
  readonly words: Uint32Array;
  readonly phaseIdx: number | null;
}

class Linker {
  readonly #executable: WasmExecutable;
  readonly #bound: readonly Bound[];
  readonly #bases: Bases;
  readonly #threads: number;
  readonly #steps: Step[] = [];
  /** Per phase: the tiles of each thread. */
  readonly #shares: Uint32Array[] = [];
  /** Where the next operand table goes. */
  #operandsAt = 0;
  /** Kind of the last step with work since the last barrier. */
  #pending: "nothing" | "parallel" | "serial" = "nothing";

  constructor(executable: WasmExecutable, bound: readonly Bound[], bases: Bases, threads: number) {
    this.#executable = executable;
    this.#bound = bound;
    this.#bases = bases;
    this.#threads = threads;
  }

  link(): Uint32Array {
    this.#executable.phases.forEach((phase, phaseIdx) => {
      this.#schedule(phase, phaseIdx);
    });
    const parallel = this.#steps.some(({ words }) => words[isa.STEP_KIND / 4] === isa.KIND_PARALLEL);
    // The host may change the image once thread 0 returns, so no thread may still be reading it.
    if (parallel) this.#barrier();
    return this.#assemble(parallel);
  }

  /** Appends the steps of a phase: a barrier if it needs one, its tiles, and the folding of its reductions. */
  #schedule(phase: MachinePhase, phaseIdx: number): void {
    const shares = this.#share(phase);
    this.#shares.push(shares);
    const serial = shares[1] === shares.at(-1);
    if (this.#pending === "parallel" || (!serial && this.#pending === "serial")) this.#barrier();
    this.#append(phase.profile, { [isa.STEP_KIND]: serial ? isa.KIND_SERIAL : isa.KIND_PARALLEL }, phaseIdx);
    this.#pending = serial ? "serial" : "parallel";
    if (phase.reductions.length > 0 && !serial) this.#barrier();
    phase.reductions.forEach((reduction, i) => {
      this.#append(PROFILE_KINDS.indexOf("reduction"), {
        [isa.STEP_KIND]: isa.KIND_COMBINE,
        [isa.STEP_ROWS]: tilesOf(phase),
        [isa.STEP_PARTIALS]: this.#bases.shared + this.#executable.partials[phaseIdx]![i]!,
        [isa.STEP_TARGET]: this.#address(reduction.binding, "data"),
        [isa.STEP_WIDTH]: reduction.width,
        [isa.STEP_HOW]: reduction.how,
        [isa.STEP_ACCUMULATE]: reduction.accumulate ? 1 : 0,
      });
      this.#pending = "serial";
    });
  }

  #barrier(): void {
    this.#append(PROFILE_KINDS.indexOf("barrier"), { [isa.STEP_KIND]: isa.KIND_BARRIER });
    this.#pending = "nothing";
  }

  #append(profile: number, fields: Readonly<Record<number, number>>, phaseIdx: number | null = null): void {
    const words = new Uint32Array(isa.STEP_BYTES / 4);
    words[isa.STEP_PROFILE / 4] = profile;
    for (const [offset, value] of Object.entries(fields)) words[Number(offset) / 4] = value;
    this.#steps.push({ words, phaseIdx });
  }

  /**
   * The first tile of every thread, and the number of tiles: contiguous shares of about equal time. Small phases go to thread 0. Results do not
   * depend on the shares.
   */
  #share(phase: MachinePhase): Uint32Array {
    const nTiles = tilesOf(phase);
    const total = this.#timeUntil(phase, nTiles);
    const workers = Math.min(this.#threads, Math.max(1, Math.floor(total / WORTH_SHARING)));
    return Uint32Array.from({ length: this.#threads + 1 }, (_, thread) => {
      return thread >= workers ? nTiles : this.#tileAt(phase, (total * thread) / workers);
    });
  }

  /** The first tile for which the tiles before it take at least `time`. */
  #tileAt(phase: MachinePhase, time: number): number {
    let [low, high] = [0, tilesOf(phase)];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#timeUntil(phase, middle) >= time) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** Estimated nanoseconds for the tiles before `tile`. */
  #timeUntil(phase: MachinePhase, tile: number): number {
    const row = Math.min(tile * phase.tileRows, phase.rows);
    return phase.contractions.reduce((sum, c) => sum + this.#entriesUntil(c, row) * c.perEntry, row * phase.perRow);
  }

  #entriesUntil({ matrix, ptr }: ContractionCost, row: number): number {
    const { rowPtrHost, colPtrHost } = this.#bound[matrix] as WasmMatrix;
    return (ptr === "rowPtr" ? rowPtrHost : colPtrHost)[row]!;
  }

  /** Lays out the parts consecutively and fills in offsets and addresses. */
  #assemble(parallel: boolean): Uint32Array {
    const { phases, scratchBytes } = this.#executable;
    const rangesAt = isa.IMAGE_HEADER_BYTES + this.#steps.length * isa.STEP_BYTES;
    const codeAt = rangesAt + phases.length * 4 * (this.#threads + 1);
    const instrs = phases.flatMap(({ prologue, body }) => [...prologue, ...body]);
    const nOperands = instrs.reduce((n, { operands }) => n + operands.length, 0);
    this.#operandsAt = codeAt + instrs.length * isa.INSTR_BYTES;
    const image = new Uint32Array((this.#operandsAt + nOperands * isa.OPERAND_BYTES) / 4);
    image[isa.IMAGE_STEPS / 4] = this.#steps.length;
    image[isa.IMAGE_PARALLEL / 4] = parallel ? 1 : 0;
    image[isa.IMAGE_SCRATCH / 4] = this.#bases.scratch;
    image[isa.IMAGE_SCRATCH_BYTES / 4] = scratchBytes;
    let range = rangesAt;
    let code = codeAt;
    this.#steps.forEach(({ words, phaseIdx }, i) => {
      if (phaseIdx !== null) {
        const phase = phases[phaseIdx]!;
        image.set(this.#shares[phaseIdx]!, range / 4);
        const prologueAt = code;
        const bodyAt = this.#encode(image, prologueAt, phase.prologue, phaseIdx);
        code = this.#encode(image, bodyAt, phase.body, phaseIdx);
        words[isa.STEP_ROWS / 4] = phase.rows;
        words[isa.STEP_TILE_ROWS / 4] = phase.tileRows;
        words[isa.STEP_PROLOGUE / 4] = prologueAt;
        words[isa.STEP_PROLOGUE_COUNT / 4] = phase.prologue.length;
        words[isa.STEP_BODY / 4] = bodyAt;
        words[isa.STEP_BODY_COUNT / 4] = phase.body.length;
        words[isa.STEP_RANGES / 4] = range;
        range += 4 * (this.#threads + 1);
      }
      image.set(words, (isa.IMAGE_HEADER_BYTES + i * isa.STEP_BYTES) / 4);
    });
    return image;
  }

  /** Writes instructions from byte `at` on and appends their operand tables; returns the end of the instructions. */
  #encode(image: Uint32Array, at: number, instrs: readonly MachineInstr[], phaseIdx: number): number {
    const write = (words: readonly Word[], place: number): void => {
      image.set(
        words.map((word) => this.#resolve(word, phaseIdx)),
        place / 4,
      );
    };
    for (const { op, width, d, a, b, c, e, f, g, operands } of instrs) {
      if (typeof op === "string") throw new TypeError(`${op} has not become a call`);
      const table = op === isa.OP_CALL ? [this.#bases.image + this.#operandsAt, 0] : a;
      write([op, width, ...d, ...table, ...b, ...c, e, f, g], at);
      at += isa.INSTR_BYTES;
      for (const { slot } of operands) {
        write(slot, this.#operandsAt);
        this.#operandsAt += isa.OPERAND_BYTES;
      }
    }
    return at;
  }

  #resolve(word: Word, phaseIdx: number): number {
    if (typeof word === "number") return word;
    if ("binding" in word) return this.#address(word.binding, word.part);
    if ("partials" in word) return this.#bases.shared + this.#executable.partials[phaseIdx]![word.partials]!;
    if ("indexBytes" in word) return (this.#bound[word.indexBytes] as WasmMatrix)[word.part].bytesPerIndex;
    return word.register;
  }

  #address(binding: BindingId, part: Part): number {
    const bound = this.#bound[binding];
    if (!bound) return this.#bases.shared + this.#executable.temporaries.get(binding)!;
    return part === "data" ? (bound as WasmBuffer).address : placeOf(bound as WasmMatrix, part);
  }
}

/** The address of an array of a matrix. */
function placeOf(matrix: WasmMatrix, part: Exclude<Part, "data">): number {
  return matrix[part].address;
}

function tilesOf(phase: MachinePhase): number {
  return Math.ceil(phase.rows / phase.tileRows);
}
