// From the name of a device to its backend. Only the one that is used is loaded.

import type { DType } from "../core/dtype.ts";
import type { Backend } from "./backend.ts";

/** The names of devices. */
export const DEVICES = ["auto", "wasm", "webgpu"] as const;

/** "auto": a GPU if there is one and f32 is asked for, else the CPU. */
export type Device = (typeof DEVICES)[number];

/** Which device to open, and how. */
export interface BackendSelection {
  /** Default "auto". */
  readonly device?: Device;
  /** Default "f32". */
  readonly dtype?: DType;
  /** Worker threads of the CPU; default: all cores. */
  readonly threads?: number;
  /** Collect time per kind of work; default false. */
  readonly profile?: boolean;
}

/**
 * Opens a device. What came of "auto" is told by the backend's `description`.
 *
 * @throws {BackendError} the device is not available, or cannot do what was asked
 */
export async function createBackend(selection: BackendSelection = {}): Promise<Backend> {
  const { device = "auto", dtype = "f32", threads, profile = false } = selection;
  const useGpu = device === "webgpu" || (device === "auto" && dtype === "f32" && (await hasGpu()));
  if (useGpu) {
    const { createWebGpuBackend } = await import("./webgpu/backend.ts");
    return createWebGpuBackend({ dtype, profile });
  }
  const { createWasmBackend } = await import("./wasm/backend.ts");
  return createWasmBackend({ dtype, profile, ...(threads === undefined ? {} : { threads }) });
}

/** Whether WebGPU finds a real GPU; software adapters compute slower than WASM does, and do not count. */
async function hasGpu(): Promise<boolean> {
  try {
    const { listAdapters } = await import("./webgpu/backend.ts");
    return (await listAdapters()).some(({ isSoftware }) => !isSoftware);
  } catch {
    // No driver, or no WebGPU for this platform: "auto" asks for the best there is, not for this one.
    return false;
  }
}
