// Opens the device of a run, with at most as many threads as this machine supports.

import type { Backend } from "../backend/backend.ts";
import { createBackend } from "../backend/select.ts";
import { mostThreads } from "../backend/wasm/threads.ts";
import type { AdapterInfo } from "../backend/webgpu/backend.ts";
import { type Communicator, SOLO } from "../distributed/communicator.ts";
import { grantedCpus } from "../distributed/threads.ts";
import type { TrainConfig } from "./config.ts";
import { type RunTuning, retuneAs } from "./tuning.ts";

export interface DeviceOptions {
  readonly profile?: boolean;
  /**
   * Gets warnings about threads that are not started (by default only the backend's description has their number), and, on rank 0, about
   * GPUs that ranks share.
   */
  readonly warn?: (message: string) => void;
  /** The choices of sparse kernels that a run began with; null: the default ones. */
  readonly tuning?: RunTuning | null;
  /** The ranks that train together. Each gets a GPU (`adapterOfRank`); all compute on the same kind of device. The call is then collective. */
  readonly communicator?: Communicator;
}

export async function openDevice(
  { device, dtype, gather, threads }: Pick<TrainConfig, "device" | "dtype" | "gather" | "threads">,
  { profile = false, warn = () => {}, tuning = null, communicator = SOLO }: DeviceOptions = {},
): Promise<Backend> {
  const most = mostThreads();
  if (threads > most && device !== "webgpu")
    warn(`--threads ${threads} is too many for this machine, which gets ${most}`);
  const onGpu = communicator.size > 1 && device !== "wasm" && (device === "webgpu" || dtype === "f32");
  const place = onGpu ? await placeOfRank(communicator, device === "auto", warn) : { device };
  const backend = await createBackend({ dtype, gather, threads: Math.min(threads, most), profile, ...place });
  retuneAs(backend, tuning);
  return backend;
}

/** A device in words: its description and, of GPUs that have equals, the PCI address. */
export function deviceName(backend: Backend): string {
  const pci = "adapter" in backend ? (backend.adapter as AdapterInfo).pci : null;
  return pci === null ? backend.description : `${backend.description}, PCI ${pci}`;
}

/** @param isFree  the CPU will do where a rank has no GPU */
async function placeOfRank(
  communicator: Communicator,
  isFree: boolean,
  warn: (message: string) => void,
): Promise<{ readonly device: "wasm" | "webgpu"; readonly adapter?: number }> {
  const { adapterOfRank } = await import("./rankAdapter.ts");
  const { adapter, warnings } = await adapterOfRank(communicator, { orNone: isFree });
  if (communicator.rank === 0) for (const warning of warnings) warn(warning);
  return adapter ? { device: "webgpu", adapter: adapter.index } : { device: "wasm" };
}

/** CPU threads of this process: as many as the launcher grants it, or its part of what its host has. Collective. */
export async function grantedThreads(communicator: Communicator): Promise<number> {
  return Math.min(await grantedCpus(communicator), mostThreads());
}
