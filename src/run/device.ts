// Opens the device of a run, with at most as many threads as this machine supports.

import type { Backend } from "../backend/backend.ts";
import { createBackend } from "../backend/select.ts";
import { mostThreads } from "../backend/wasm/threads.ts";
import type { TrainConfig } from "./config.ts";
import { type RunTuning, retuneAs } from "./tuning.ts";

export interface DeviceOptions {
  readonly profile?: boolean;
  /** Gets a warning about threads that are not started; by default only the backend's description has their number. */
  readonly warn?: (message: string) => void;
  /** The choices of sparse kernels that a run began with; null: the default ones. */
  readonly tuning?: RunTuning | null;
}

export async function openDevice(
  { device, dtype, gather, threads }: Pick<TrainConfig, "device" | "dtype" | "gather" | "threads">,
  { profile = false, warn = () => {}, tuning = null }: DeviceOptions = {},
): Promise<Backend> {
  const most = mostThreads();
  if (threads > most && device !== "webgpu")
    warn(`--threads ${threads} is too many for this machine, which gets ${most}`);
  const backend = await createBackend({ device, dtype, gather, threads: Math.min(threads, most), profile });
  retuneAs(backend, tuning);
  return backend;
}
