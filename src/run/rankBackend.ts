// The device of a program that is one of several processes.

import type { Backend } from "../backend/backend.ts";
import type { BackendSelection } from "../backend/select.ts";
import type { Communicator } from "../distributed/communicator.ts";
import { grantedThreads, openDevice } from "./device.ts";

/** What a rank asks for; the same on all ranks. */
export interface RankBackendOptions extends Pick<BackendSelection, "device" | "dtype" | "gather" | "profile"> {
  /** Gets, on rank 0, warnings about GPUs that ranks share; default: `process.emitWarning`. */
  readonly warn?: (message: string) => void;
}

/**
 * As `createBackend`, for one of several processes: on a CPU with the threads that its launcher granted it, or its part of its host's; on a GPU
 * of its own, as far as there are enough. All compute on the same kind of device. Collective.
 *
 * @throws {BackendError} "rank-adapter", on all ranks: one of them has no adapter
 */
export async function createRankBackend(
  communicator: Communicator,
  { device = "auto", dtype = "f32", gather = "f32", profile, warn = process.emitWarning }: RankBackendOptions = {},
): Promise<Backend> {
  const threads = await grantedThreads(communicator);
  return openDevice(
    { device, dtype, gather, threads },
    { communicator, warn, ...(profile === undefined ? {} : { profile }) },
  );
}
