// Moving numbers between host and device: uploads, downloads through staging buffers that are used again, copies, fills.

import { BackendError } from "../../core/errors.ts";
import type { Traffic } from "../backend.ts";
import type { Device } from "./device.ts";
import type { GpuDeviceBuffer } from "./deviceBuffers.ts";
import type { CommandQueue } from "./queue.ts";

/** Copies within one slab go through a buffer of this size: WebGPU copies only between different buffers. */
const SCRATCH_BYTES = 4 * 2 ** 20;
/** Fills with a number other than zero are uploads in pieces of this many elements. */
const FILL_LENGTH = 2 ** 18;
const SMALLEST_STAGING = 4096;

/** Elements of a buffer. */
export interface Part {
  readonly buffer: GpuDeviceBuffer;
  readonly offset: number;
  readonly length: number;
}

export class Transfer {
  readonly #device: Device;
  readonly #queue: CommandQueue;
  readonly #staging: GPUBuffer[] = [];
  #uploaded = 0;
  #downloaded = 0;
  #scratch: GPUBuffer | null = null;

  constructor(device: Device, queue: CommandQueue) {
    this.#device = device;
    this.#queue = queue;
  }

  /** Since the beginning. */
  get counts(): Pick<Traffic, "uploadedBytes" | "downloadedBytes"> {
    return { uploadedBytes: this.#uploaded, downloadedBytes: this.#downloaded };
  }

  upload(target: GpuDeviceBuffer, data: ArrayLike<number>, offset: number): void {
    if (data.length === 0) return;
    this.#uploaded += 4 * data.length;
    const { slab, byteOffset } = target.piece;
    this.#queue.write(slab.buffer, byteOffset + 4 * offset, words(target, data));
  }

  fill(target: GpuDeviceBuffer, value: number): void {
    if (target.length === 0) return;
    const { slab, byteOffset } = target.piece;
    if (Object.is(value, 0)) {
      this.#queue.clear(slab.buffer, byteOffset, 4 * target.length);
      return;
    }
    const length = Math.min(target.length, FILL_LENGTH);
    const filled = (target.type === "float" ? new Float32Array(length) : new Uint32Array(length)).fill(value);
    for (let at = 0; at < target.length; at += FILL_LENGTH) {
      const part = filled.subarray(0, Math.min(FILL_LENGTH, target.length - at));
      this.#queue.write(slab.buffer, byteOffset + 4 * at, part);
      this.#uploaded += part.byteLength;
    }
  }

  copy(target: GpuDeviceBuffer, source: GpuDeviceBuffer): void {
    if (source.length === 0) return;
    const [to, from] = [target.piece, source.piece];
    const bytes = 4 * source.length;
    if (to.slab !== from.slab) {
      this.#queue.copy(from.slab.buffer, from.byteOffset, to.slab.buffer, to.byteOffset, bytes);
      return;
    }
    const usage = GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    this.#scratch ??= this.#device.buffer("scratch", SCRATCH_BYTES, usage);
    for (let at = 0; at < bytes; at += SCRATCH_BYTES) {
      const part = Math.min(SCRATCH_BYTES, bytes - at);
      this.#queue.copy(from.slab.buffer, from.byteOffset + at, this.#scratch, 0, part);
      this.#queue.copy(this.#scratch, 0, to.slab.buffer, to.byteOffset + at, part);
    }
  }

  /** Parts of several buffers through one staging buffer, with one wait. */
  async download(parts: readonly Part[]): Promise<(Float32Array | Uint32Array)[]> {
    const bytes = parts.reduce((sum, { length }) => sum + 4 * length, 0);
    if (bytes === 0) return parts.map(({ buffer }) => words(buffer, []));
    const staging = this.#takeStaging(bytes);
    let at = 0;
    for (const { buffer, offset, length } of parts) {
      const { slab, byteOffset } = buffer.piece;
      if (length > 0) this.#queue.copy(slab.buffer, byteOffset + 4 * offset, staging, at, 4 * length);
      at += 4 * length;
    }
    this.#queue.submit();
    this.#downloaded += bytes;
    try {
      await staging.mapAsync(GPUMapMode.READ, 0, bytes);
      this.#queue.waited();
    } catch (error) {
      await this.#device.settle();
      throw this.#device.failure(error);
    }
    const copy = staging.getMappedRange(0, bytes).slice(0);
    staging.unmap();
    this.#staging.push(staging);
    await this.#device.settle();
    at = 0;
    return parts.map(({ buffer, length }) => {
      const view = buffer.type === "float" ? new Float32Array(copy, at, length) : new Uint32Array(copy, at, length);
      at += 4 * length;
      return view;
    });
  }

  /** The smallest idle staging buffer that is large enough, or a new one; sizes are powers of two. */
  #takeStaging(bytes: number): GPUBuffer {
    const size = 2 ** Math.ceil(Math.log2(Math.max(bytes, SMALLEST_STAGING)));
    const at = this.#staging.findIndex((buffer) => buffer.size === size);
    if (at >= 0) return this.#staging.splice(at, 1)[0]!;
    return this.#device.buffer(`staging ${size}`, size, GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST);
  }
}

/** `data` in the element type of `buffer`; not copied if it has that type already. */
function words(buffer: GpuDeviceBuffer, data: ArrayLike<number>): Float32Array | Uint32Array {
  if (buffer.type === "float") return data instanceof Float32Array ? data : Float32Array.from(data);
  if (data instanceof Uint32Array) return data;
  return Uint32Array.from(data, (x, at) => {
    if (x >>> 0 === x) return x;
    throw new BackendError("range", `upload: expected a u32, got ${x} at ${at} (${buffer.label})`);
  });
}
