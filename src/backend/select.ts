// From the name of a device to its backend. Only the one that is used is loaded.

import { DTYPES, type DType } from "../core/dtype.ts";
import { ArgumentError } from "../core/errors.ts";
import { checkNames } from "../core/optionNames.ts";
import type { Backend } from "./backend.ts";

/** The names of devices. */
export const DEVICES = ["auto", "wasm", "webgpu"] as const;

/** "auto": if f32 is asked for, the adapter that is named, or else a GPU if there is one; else the CPU. */
export type Device = (typeof DEVICES)[number];

/** Which device to open, and how. */
export interface BackendSelection {
  /** Default "auto". */
  readonly device?: Device;
  /** Default "f32". */
  readonly dtype?: DType;
  /**
   * Adapter of WebGPU: its name, a part of it, or its index as `axograd doctor` shows it. Default: the one that the environment variable
   * AXOGRAD_ADAPTER names, or else the first GPU.
   */
  readonly adapter?: string | number;
  /** Worker threads of the CPU; default: all cores. */
  readonly threads?: number;
  /** Collect time per kind of work; default false. */
  readonly profile?: boolean;
}

const OPTIONS: Readonly<Record<keyof BackendSelection, true>> = {
  device: true,
  dtype: true,
  adapter: true,
  threads: true,
  profile: true,
};

/**
 * Opens a device. What came of "auto" is told by the backend's `description`.
 *
 * @throws {BackendError} the device is not available, or cannot do what was asked
 * @throws {ArgumentError} an unknown device, precision or option; an adapter together with what only the CPU does
 */
export async function createBackend(selection: BackendSelection = {}): Promise<Backend> {
  const { device = "auto", dtype = "f32", adapter, threads, profile = false } = selection;
  checkNames("createBackend", selection, OPTIONS);
  checkOneOf("device", device, DEVICES);
  checkOneOf("dtype", dtype, DTYPES);
  const canChoose = device === "auto" && dtype === "f32";
  if (device === "webgpu" || (canChoose && (adapter !== undefined || (await hasGpu())))) {
    const { createWebGpuBackend } = await import("./webgpu/backend.ts");
    return createWebGpuBackend({ dtype, profile, ...(adapter === undefined ? {} : { adapter }) });
  }
  if (adapter !== undefined && !canChoose)
    throw new ArgumentError(
      "createBackend",
      "adapter",
      'it dropped, or device "webgpu" and f32',
      `${device}, ${dtype}`,
    );
  const { createWasmBackend } = await import("./wasm/backend.ts");
  return createWasmBackend({ dtype, profile, ...(threads === undefined ? {} : { threads }) });
}

function checkOneOf(argument: string, value: string, known: readonly string[]): void {
  if (known.includes(value)) return;
  throw new ArgumentError("createBackend", argument, known.map((name) => `"${name}"`).join(", "), `"${value}"`);
}

/**
 * Whether WebGPU finds a real GPU, or an adapter is named. Software adapters compute slower than WASM does, and do not count by
 * themselves.
 */
async function hasGpu(): Promise<boolean> {
  try {
    const { adapterOfEnvironment, listAdapters } = await import("./webgpu/backend.ts");
    return adapterOfEnvironment() !== undefined || (await listAdapters()).some(({ isSoftware }) => !isSoftware);
  } catch {
    // No driver, or no WebGPU for this platform: "auto" asks for the best there is, not for this one.
    return false;
  }
}
