// The interface of a device: buffers and programs. backend/wasm and backend/webgpu implement it.
//
// Contract. Work takes effect in the order of the calls. WASM does it before a call returns; WebGPU may return earlier. Only `download`,
// `downloadAll`, `finish` and `buffersIfRoom` wait. `run` allocates nothing. A backend knows no models, ops or solvers. Errors are
// BackendError.

import type { Csr } from "../core/csr.ts";
import type { DType, FloatArray } from "../core/dtype.ts";
import type { PanelLayout, Program } from "./program.ts";

/** Device memory of `length` elements of the backend's dtype (u32 for indices and keys). Owned by the backend until released. */
export interface DeviceBuffer {
  readonly label: string;
  readonly length: number;
  readonly type: "float" | "u32";
  release(): void;
}

/** A sparse matrix on the device: CSR and CSC structure, their permutation, and its values in both orders. */
export interface DeviceSparse {
  readonly label: string;
  readonly nRows: number;
  readonly nCols: number;
  readonly nnz: number;
  /** Values in CSC order: the parameter, what an optimiser updates; gradients have this order too. */
  readonly valuesCsc: DeviceBuffer;
  /** Values in CSR order: a copy, what W·X reads. Refresh it with a `gather` through `cscOfCsr` of all values after changing valuesCsc. */
  readonly valuesCsr: DeviceBuffer;
  /** u32 [nnz]: position in CSC order of the k-th entry in CSR order. */
  readonly cscOfCsr: DeviceBuffer;
  /** Stored entries that W·X and Wᵀ·G go through, where these are not all (see `sparseRows`). */
  readonly walked?: { readonly product: number; readonly reverse: number };
  /** Host copy of the same permutation. Empty on an imagined device that has none: any order will do where nothing is computed. */
  readonly cscOfCsrHost: Uint32Array;
  release(): void;
}

/** What may be bound: by the kind of the program's binding. */
export type Bindable = DeviceBuffer | DeviceSparse;

/** A program made ready for a device and a panel layout. */
export interface Executable {
  readonly program: Program;
  readonly layout: PanelLayout;
}

/** An executable with its buffers; make it once, run it often. */
export interface BoundProgram {
  readonly executable: Executable;
  /** Gives back what the device keeps for it; the buffers stay their owner's. It cannot run again. Idempotent. */
  release(): void;
}

/** Memory of a device, in bytes. */
export interface MemoryStats {
  /** Bytes held now, and the most held at once. */
  readonly bytes: number;
  readonly peakBytes: number;
  readonly liveBuffers: number;
  /** Programs that are bound and not released. */
  readonly livePrograms: number;
  /** The largest single allocation so far, in bytes: shows that nothing of size N×N or nnz×B exists. */
  readonly largestBytes: number;
  /** What the device has taken from the machine for all this, gaps between buffers included; it need not shrink. */
  readonly takenBytes: number;
}

/** What went over the border between host and device since the backend was made. */
export interface Traffic {
  readonly dispatches: number;
  readonly submits: number;
  readonly uploadedBytes: number;
  readonly downloadedBytes: number;
}

/** `buffersIfRoom` leaves room for this many arrays of the size of its largest, for callers that cannot do without theirs. */
export const SPARED_ARRAYS = 16;

/** A device: its buffers, and programs that run on them, in the order of the calls. */
export interface Backend {
  readonly name: "wasm" | "webgpu";
  readonly dtype: DType;
  /** One line for people: "wasm f32, 2 threads, SIMD". */
  readonly description: string;
  /** Most lanes that one run can take (wasm: one panel of 16). Larger batches run chunk by chunk. */
  readonly maxLanes: number;
  /** The same for runs with up to `numbers` numbers per lane in one array: fewer where a device limits the size of arrays. */
  lanesFor(numbers: number): number;
  /** Its memory is that of this process (wasm, software adapters), not of a card. */
  readonly usesHostMemory: boolean;
  /** Most bytes of one array: what the device can bind, or has memory for. */
  readonly maxArrayBytes: number;
  /**
   * Default of the bytes that the record of a solve for its reverse pass (ode/tape.ts) may take. The device may have fewer: see
   * `buffersIfRoom`.
   */
  readonly tapeBudgetBytes: number;
  /** true: work runs behind the host, and reading a result waits for it (webgpu); false: work is done when the call returns (wasm). */
  readonly isAsynchronous: boolean;

  /** The panel layout for `lanes` ≤ maxLanes samples. */
  layoutFor(lanes: number): PanelLayout;

  /** Memory of zeros. */
  buffer(label: string, length: number, type?: "float" | "u32"): DeviceBuffer;
  /**
   * A set of optional buffers that programs use together, by name; zeros. null if the device has no memory for them, or little more than
   * that. May wait for the device's answer.
   *
   * @param kind  what sets that are alike have in common; default: the label. WebGPU puts a set together, and kinds apart from each other
   *   and from single buffers, since which of its buffers lie together decides a shader's text
   */
  buffersIfRoom<Name extends string>(
    label: string,
    lengths: Readonly<Record<Name, number>>,
    kind?: string,
  ): Promise<Readonly<Record<Name, DeviceBuffer>> | null>;
  /** Uploads a matrix; values are converted to the backend's dtype. */
  sparse(label: string, csr: Csr): DeviceSparse;
  /**
   * The rows i of a matrix with isTaken[i] ≠ 0, for products of which only these count. It is bound in place of the matrix, whose values,
   * and places of gradients, it shares. Rows of W·X that are not taken are 0 or what they are in the matrix. Wᵀ·G and the gradient need a G
   * that is 0 in these rows, and are then those of the matrix, to the bit. null: the device has no (further) rows for this matrix.
   */
  sparseRows(matrix: DeviceSparse, isTaken: ArrayLike<number>): DeviceSparse | null;
  upload(target: DeviceBuffer, data: ArrayLike<number>, offset?: number): void;
  download(source: DeviceBuffer, offset?: number, length?: number): Promise<FloatArray | Uint32Array>;
  /** Several buffers with one wait. */
  downloadAll(sources: readonly DeviceBuffer[]): Promise<readonly (FloatArray | Uint32Array)[]>;
  fill(target: DeviceBuffer, value: number): void;
  copy(target: DeviceBuffer, source: DeviceBuffer): void;

  /** @throws {BackendError} "program" where it breaks a rule of the format, "layout" where the device has no such panels */
  compile(program: Program, layout: PanelLayout): Executable;
  /** @throws {BackendError} "binding", "foreign", "released", naming what cannot be bound */
  bind(executable: Executable, bindings: Readonly<Record<string, Bindable>>): BoundProgram;
  /** Runs, but for what the program's guard says may be left out. */
  run(bound: BoundProgram): void;
  /** Waits until all enqueued work is done. */
  finish(): Promise<void>;

  memory(): MemoryStats;
  /**
   * A device like this one, with its limits, whose memory is imagined: buffers, matrices and programs can be made, bound and released, and
   * `memory` counts them, but nothing holds a number. For `rehearse` (rehearsal.ts), which adds what moves numbers.
   */
  imagined(): Backend;
  /** null where host and device share their memory (wasm). */
  traffic(): Traffic | null;
  /** Time and bytes per kind of work since the last call, when the backend was created with `profile: true`. */
  profile(): Readonly<Record<string, { readonly ms: number; readonly runs: number }>>;
  /** Releases everything: threads, memory, device. Idempotent. */
  dispose(): Promise<void>;
  /** The same, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}
