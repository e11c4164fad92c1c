// The input of a chunk: its frames on the device, their way through the input projection to the drive of the dynamics, and the way of
// cotangents back.

import type { DeviceBuffer } from "../../backend/backend.ts";
import type { Desk } from "../../backend/desk.ts";
import type { ModelInput } from "../options.ts";
import { bindingsOf } from "../parameters/parameter.ts";
import { partOf, type SampleRows } from "../samples.ts";
import type { InputCotangent } from "./chunks.ts";
import type { NetworkParameters } from "./parameters.ts";
import { type ProjectedDrive, projectProgram, unprojectProgram } from "./projectionPrograms.ts";

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
  /** By leaf, that of the state first; empty: the frames are the drive. */
  readonly #drives: Readonly<Record<string, DeviceBuffer>>;
  /** Likewise; empty: they are not wanted, or those of the frames. */
  readonly #ctDrives: Readonly<Record<string, DeviceBuffer>>;
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
    const drives = (before: string) =>
      Object.fromEntries(model.drives.map((leaf) => [leaf, desk.state(`${before}${leaf}`, depth * n)]));
    this.#drives = isDrive ? {} : drives("");
    this.#ctDrives = isDrive || !model.needsDrive ? {} : drives("ct ");
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
      else desk.put(this.#drives.drive!, data, { ...part, frame: { index: k, rows: rows.width } });
    }
    const { drive } = this.#drives;
    if (drive && this.depth === 1) return;
    if (drive && this.#x.length > 0) {
      for (const each of Object.values(this.#drives)) this.#model.backend.fill(each, 0);
      for (let k = 0; k < this.frames; k++) this.#project(k);
    }
    for (let k = 0; k < this.frames; k++) adjust?.(k, drive ?? this.#x[k]!, this.#index[k]);
  }

  /** The drives of frame k, by leaf; or of all frames, where any may be read. */
  drives(k: number): Readonly<Record<string, DeviceBuffer>> {
    const { drive } = this.#drives;
    if (!drive) return { drive: this.#x[k]! };
    if (this.depth === 1 && this.#projected !== k) {
      this.#project(k);
      this.#adjust?.(k, drive, this.#index[k]);
      this.#projected = k;
    }
    return this.#drives;
  }

  /** drive_k = U·x_k, of the state and of each gate. */
  #project(k: number): void {
    const U = this.#model.options.inputProjection!;
    const program = this.desk.program("project", () => projectProgram(U, this.depth, this.#pairs));
    const matrices = Object.fromEntries(this.#model.inputs.map(({ leaf, bindable }) => [leaf, bindable]));
    this.desk.run(program, { ...matrices, ...this.#drives, x: this.#x[k], index: this.#index[k] });
  }

  /** Each input projection and what it gives. */
  get #pairs(): readonly ProjectedDrive[] {
    const { inputs, drives } = this.#model;
    return inputs.map(({ leaf, trainable }, i) => ({ matrix: leaf, drive: drives[i]!, trained: trainable }));
  }

  /** What a program of the last frame binds, and the number of frames in its drive. */
  lastFrame(): { readonly steps: number; readonly bindings: Readonly<Record<string, DeviceBuffer | undefined>> } {
    const bindings = { ...this.drives(this.frames - 1), index: this.#index.at(-1) };
    return { steps: this.depth, bindings };
  }

  /** Zeros by leaf, to which the cotangents of `drives(k)` are to be added; none: they are not wanted. `pull` has to follow before the next ones. */
  cotangents(k: number): Readonly<Record<string, DeviceBuffer>> {
    if (!this.#model.needsDrive) return {};
    const cts = this.#ctDrives.drive ? this.#ctDrives : { drive: this.#ctX[k]! };
    for (const ct of Object.values(cts)) this.#model.backend.fill(ct, 0);
    return cts;
  }

  /** From the cotangents of the drives of frame k, the gradients of the projections, which are added, and the cotangent of the frame. */
  pull(k: number): void {
    const { inputs, options } = this.#model;
    const { inputProjection: U, inputGradient = false } = options;
    if (!U || !this.#ctDrives.drive) return;
    const program = this.desk.program("unproject", () => unprojectProgram(U, this.depth, this.#pairs, inputGradient));
    this.desk.run(program, {
      ...bindingsOf(inputs),
      ...Object.fromEntries(Object.entries(this.#ctDrives).map(([leaf, ct]) => [`ct.${leaf}`, ct])),
      x: this.#x[k],
      index: this.#index[k],
      "ct.x": this.#ctX[k],
    });
  }

  /** The cotangent of each frame; none without `inputGradient`. */
  get frameCotangents(): readonly InputCotangent[] {
    if (!this.#model.options.inputGradient) return [];
    if (this.#ctX.length > 0) return this.#ctX.map((buffer) => ({ buffer, index: 0 }));
    return Array.from({ length: this.frames }, (_, index) => ({ buffer: this.#ctDrives.drive!, index }));
  }
}
