// Trials of sparse products, for programs: any backend is asked, and the tuner is loaded only when it is used.

import type { Csr } from "../core/csr.ts";
import { ArgumentError } from "../core/errors.ts";
import type { Backend } from "./backend.ts";
import type { WebGpuBackend } from "./webgpu/backend.ts";
import type { TuneOptions, TuningResult } from "./webgpu/tuningResult.ts";

/**
 * Chooses by trial how the sparse products of a training step run on a GPU. The backend keeps its choices: give the result to
 * `createBackend({ device: "webgpu", sparseTuning })`. A choice other than the default is at least 3 % faster, and gives the default's results:
 * to the bit, or with `regroup` within the bound of rounding. Nothing is tried on a software adapter, or where a product has fewer than 10⁶
 * terms (connections times lanes).
 *
 *     const { tuning } = await tuneSparse(backend, csr, { lanes: 64 });
 *
 * @param csr  [post, pre], whose structure alone matters
 * @throws {ArgumentError} a backend that is not WebGPU's, or a budget that is not above 0
 * @throws {BackendError} more lanes than the backend has; the default itself fails
 * @throws the signal's reason, once it is aborted
 */
export async function tuneSparse(backend: Backend, csr: Csr, options: TuneOptions): Promise<TuningResult> {
  if (backend.name !== "webgpu") throw new ArgumentError("tuneSparse", "backend", "one of WebGPU", backend.description);
  const { tuneSparse: tune } = await import("./webgpu/tuneSparse.ts");
  return tune(backend as WebGpuBackend, csr, options);
}
