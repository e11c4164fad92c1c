// Opens a backend by the name of its device. Loads only the one that is used.

import { DTYPES, type DType } from "../core/dtype.ts";
import { ArgumentError } from "../core/errors.ts";
import { checkNames } from "../core/optionNames.ts";
import type { Backend } from "./backend.ts";
import { GATHERS, type Gather } from "./gather.ts";
import type { SparseTuning } from "./webgpu/sparseTuning.ts";

/** The names of devices. */
export const DEVICES = ["auto", "wasm", "webgpu"] as const;

/** "auto": if f32 is asked for, WebGPU where there is a GPU, or what only WebGPU takes is given; else the CPU. */
export type Device = (typeof DEVICES)[number];

/** Which device to open, and how. */
export interface BackendSelection {
  /** Default "auto". */
  readonly device?: Device;
  /** Default "f32". */
  readonly dtype?: DType;
  /**
   * Adapter of WebGPU: its name, a part of it, its index or its PCI address ("0000:65:00.0") as `axograd doctor` shows them. Default: the one
   * that the environment variable AXOGRAD_ADAPTER names, or else the first GPU, of those that a launcher gave to this process
   * (CUDA_VISIBLE_DEVICES, ROCR_VISIBLE_DEVICES, ZE_AFFINITY_MASK, SLURM_STEP_GPUS).
   */
  readonly adapter?: string | number;
  /**
   * Toggles of Dawn, which WebGPU runs on: whether each is on. Default: those that the environment variable AXOGRAD_DAWN names, as in
   * `+disable_robustness -timestamp_quantization`, and to which these are added.
   */
  readonly dawnToggles?: Readonly<Record<string, boolean>>;
  /**
   * "f16": sparse products of WebGPU gather states in half precision, which changes results (see `WebGpuOptions.gather`). Refused for the
   * CPU. Default "f32".
   */
  readonly gather?: Gather;
  /** Choices of WebGPU's sparse kernels, where they are not to be the default ones: those that `tuneSparse` found, for instance. */
  readonly sparseTuning?: Partial<SparseTuning>;
  /** Worker threads of the CPU; default: all cores. */
  readonly threads?: number;
  /** Collect time per kind of work; default false. */
  readonly profile?: boolean;
}

const OPTIONS: Readonly<Record<keyof BackendSelection, true>> = {
  device: true,
  dtype: true,
  adapter: true,
  dawnToggles: true,
  gather: true,
  sparseTuning: true,
  threads: true,
  profile: true,
};

/** What only WebGPU takes. */
const GPU_OPTIONS = ["adapter", "dawnToggles", "gather", "sparseTuning"] as const;

/**
 * Opens a device. The backend's `description` says what "auto" chose.
 *
 * @throws {BackendError} the device is not available, or cannot do what was asked
 * @throws {ArgumentError} an unknown device, precision, option, toggle or choice; what only WebGPU takes together with what only the CPU does
 */
export async function createBackend(selection: BackendSelection = {}): Promise<Backend> {
  const { device = "auto", dtype = "f32", gather = "f32", threads, profile = false } = selection;
  checkNames("createBackend", selection, OPTIONS);
  checkOneOf("device", device, DEVICES);
  checkOneOf("dtype", dtype, DTYPES);
  checkOneOf("gather", gather, GATHERS);
  const canChoose = device === "auto" && dtype === "f32";
  const forGpu = Object.fromEntries(
    GPU_OPTIONS.map((name) => [name, selection[name]] as const).filter(([, value]) => asksForGpu(value)),
  );
  const [named] = Object.keys(forGpu);
  if (device === "webgpu" || (canChoose && (named !== undefined || (await hasGpu())))) {
    const { createWebGpuBackend } = await import("./webgpu/backend.ts");
    return createWebGpuBackend({ dtype, profile, ...forGpu });
  }
  if (named !== undefined)
    throw new ArgumentError("createBackend", named, 'it dropped, or device "webgpu" and f32', `${device}, ${dtype}`);
  const { createWasmBackend } = await import("./wasm/backend.ts");
  return createWasmBackend({ dtype, profile, ...(threads === undefined ? {} : { threads }) });
}

/** Toggles and choices may be none, and every device gathers f32. */
function asksForGpu(value: string | number | object | undefined): boolean {
  return typeof value === "object" ? Object.keys(value).length > 0 : value !== undefined && value !== "f32";
}

function checkOneOf(argument: string, value: string, known: readonly string[]): void {
  if (known.includes(value)) return;
  throw new ArgumentError("createBackend", argument, known.map((name) => `"${name}"`).join(", "), `"${value}"`);
}

/**
 * Whether WebGPU finds a real GPU, or an adapter is named. Software adapters compute slower than WASM does, and do not count by
 * themselves.
 *
 * @throws {ArgumentError} the environment names toggles that Dawn does not know
 */
async function hasGpu(): Promise<boolean> {
  try {
    const { adapterOfEnvironment, hasGpu: hasAssignedGpu } = await import("./webgpu/backend.ts");
    return adapterOfEnvironment() !== undefined || (await hasAssignedGpu());
  } catch (error) {
    if (error instanceof ArgumentError) throw error;
    // No driver, or no WebGPU for this platform: "auto" asks for the best there is, not for this one.
    return false;
  }
}
