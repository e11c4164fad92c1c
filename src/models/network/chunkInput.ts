// The input of a chunk: its frames on the device, their way through the input projection to the drive of the dynamics, and the way of
// cotangents back.

import type { DeviceBuffer } from "../../backend/backend.ts";
import type { Desk } from "../../backend/desk.ts";
import type { ModelInput } from "../options.ts";
import { partOf, type SampleRows } from "../samples.ts";
import type { InputCotangent } from "./chunks.ts";
import type { NetworkParameters } from "./parameters.ts";
import { projectProgram, unprojectProgram } from "./projectionPrograms.ts";

/** Changes the drive of frame k, which is all of `drive`, or of a table the frame that `index` says. */
export type AdjustDrive = (k: number, drive: DeviceBuffer, index: DeviceBuffer | undefined) => void;

/**
 * The frames of an input and their drive, U·x_k. Solvers need the drive of all frames at once, one after another in one array. A network in
 * discrete time needs one frame at a time: it is projected when a step asks for it, so that no array grows with the length of the sequence
 * but the frames themselves.
 */
export class ChunkInput {
  readonly desk: Desk;
  /** Length of the sequence; 1: an input that is constant in time. */
  readonly frames: number;
  readonly #model: NetworkParameters;
  /** Frames whose drive is kept: all or one. */
  readonly depth: number;
  /** Each frame, where it is projected or is the drive itself. */
  readonly #x: readonly DeviceBuffer[];
  /** null: the frames are the drive. */
  readonly #drive: DeviceBuffer | null;
  readonly #ctDrive: DeviceBuffer | null;
  /** Of the frames; empty: none is wanted, or it is that of the drive. */
  readonly #ctX: readonly DeviceBuffer[];
  /** Constant per-sample vectors k = 0 … frames − 1, where the drive has all frames. */
  readonly #index: readonly DeviceBuffer[];
  #projected = -1;
  #adjust: AdjustDrive | null = null;

  /** @param readsAnyFrame  see Evolution */
  constructor(model: NetworkParameters, desk: Desk, frames: number, readsAnyFrame: boolean) {
    const { numNeurons: n, inputSize, inputProjection: U, inputGradient = false } = model.options;
    const each = (name: string, rows: number): DeviceBuffer[] =>
      Array.from({ length: frames }, (_, k) => desk.state(`${name} ${k}`, rows));
    this.#model = model;
    this.desk = desk;
    this.frames = frames;
    const depth = readsAnyFrame ? frames : 1;
    this.depth = depth;
    const isDrive = !U && depth === 1;
    this.#x = U || isDrive ? each("x", inputSize) : [];
    this.#drive = isDrive ? null : desk.state("drive", depth * n);
    this.#ctDrive = isDrive || !model.needsDrive ? null : desk.state("ct drive", depth * n);
    this.#ctX = inputGradient && (U || isDrive) ? each("ct x", inputSize) : [];
    this.#index = depth > 1 ? Array.from({ length: frames }, (_, k) => desk.sample(`frame ${k}`)) : [];
    this.#index.forEach((b, k) => {
      desk.set(b, () => k);
    });
  }

  /**
   * Uploads the input of some samples.
   * @param adjust  called once for the drive of each frame, whenever it has been made
   */
  upload(
    samples: { readonly first: number; readonly count: number },
    { data }: ModelInput,
    rows: SampleRows,
    adjust: AdjustDrive | null = null,
  ): void {
    const { desk } = this;
    this.#projected = -1;
    this.#adjust = adjust;
    for (let k = 0; k < this.frames; k++) {
      const part = partOf(rows, samples, k);
      if (this.#x.length > 0) desk.put(this.#x[k]!, data, part);
      else desk.put(this.#drive!, data, { ...part, frame: { index: k, rows: rows.width } });
    }
    if (this.#drive && this.depth === 1) return;
    if (this.#drive && this.#x.length > 0) {
      this.#model.backend.fill(this.#drive, 0);
      for (let k = 0; k < this.frames; k++) this.#project(k);
    }
    for (let k = 0; k < this.frames; k++) adjust?.(k, this.#drive ?? this.#x[k]!, this.#index[k]);
  }

  /** The drive of frame k; or of all frames, where any may be read. */
  drive(k: number): DeviceBuffer {
    if (!this.#drive) return this.#x[k]!;
    if (this.depth === 1 && this.#projected !== k) {
      this.#project(k);
      this.#adjust?.(k, this.#drive, this.#index[k]);
      this.#projected = k;
    }
    return this.#drive;
  }

  /** drive_k = U·x_k. */
  #project(k: number): void {
    const U = this.#model.options.inputProjection!;
    const program = this.desk.program("project", () => projectProgram(U, this.depth));
    const { bindable } = this.#model.input!;
    this.desk.run(program, { ih: bindable, x: this.#x[k], index: this.#index[k], drive: this.#drive });
  }

  /** What a program of the last frame binds, and the number of frames in its drive. */
  lastFrame(): { readonly steps: number; readonly bindings: Readonly<Record<string, DeviceBuffer | undefined>> } {
    const bindings = { drive: this.drive(this.frames - 1), index: this.#index.at(-1) };
    return { steps: this.depth, bindings };
  }

  /** Zeros, to which the cotangent of `drive(k)` is to be added; null: it is not wanted. `pull` has to follow before the next one. */
  cotangent(k: number): DeviceBuffer | null {
    if (!this.#model.needsDrive) return null;
    const ct = this.#ctDrive ?? this.#ctX[k]!;
    this.#model.backend.fill(ct, 0);
    return ct;
  }

  /** From the cotangent of the drive of frame k, the gradient of the projection, which is added, and the cotangent of the frame. */
  pull(k: number): void {
    const { input, options } = this.#model;
    const { inputProjection: U, inputGradient = false } = options;
    if (!U || !this.#ctDrive) return;
    const { bindable, gradTarget, trainable } = input!;
    const program = this.desk.program("unproject", () => unprojectProgram(U, this.depth, trainable, inputGradient));
    this.desk.run(program, {
      ih: bindable,
      x: this.#x[k],
      index: this.#index[k],
      "ct.drive": this.#ctDrive,
      "grad.ih": gradTarget,
      "ct.x": this.#ctX[k],
    });
  }

  /** The cotangent of each frame; none without `inputGradient`. */
  get cotangents(): readonly InputCotangent[] {
    if (!this.#model.options.inputGradient) return [];
    if (this.#ctX.length > 0) return this.#ctX.map((buffer) => ({ buffer, index: 0 }));
    return Array.from({ length: this.frames }, (_, index) => ({ buffer: this.#ctDrive!, index }));
  }
}
