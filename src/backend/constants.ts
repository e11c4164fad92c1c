// Numbers on the device that seldom change: times, weights of samples, start values.

import type { Backend, DeviceBuffer } from "./backend.ts";

/** Uploads only what differs from the last upload. For buffers that nothing else writes. */
export class Constants {
  readonly #backend: Backend;
  readonly #known = new WeakMap<DeviceBuffer, Float64Array>();

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  /** Element k becomes `value(k)`. */
  set(target: DeviceBuffer, value: (k: number) => number): void {
    const values = Float64Array.from({ length: target.length }, (_, k) => value(k));
    const known = this.#known.get(target);
    if (known?.every((x, k) => Object.is(x, values[k]))) return;
    this.#backend.upload(target, values);
    this.#known.set(target, values);
  }
}
