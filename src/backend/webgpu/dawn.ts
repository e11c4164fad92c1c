// The one place that loads Dawn (npm `webgpu`) and asks it for adapters.
//
// Dawn instances live on a symbol of the global object for the life of the process: Node crashes when the result of `create()` is
// garbage-collected, and a module variable does not prevent that. Only this file imports the package, and only on request of a GPU.

import { BackendError } from "../../core/errors.ts";
import { flagsOf, resolveToggles, type Toggles } from "./toggles.ts";
import { hasVulkanLoader } from "./vulkanLoader.ts";

export interface AdapterInfo {
  readonly index: number;
  /** The driver's name for it, e.g. "NVIDIA H200" or "SwiftShader Device (Subzero)". */
  readonly name: string;
  /** Graphics API under it: "vulkan", "metal", "d3d12". */
  readonly api: string;
  readonly vendor: string;
  readonly architecture: string;
  readonly driver: string;
  /** Emulated on the CPU: correct, but slow. */
  readonly isSoftware: boolean;
  readonly features: readonly string[];
  readonly limits: Readonly<Record<string, number>>;
  /** Dawn toggles set by the environment (AXOGRAD_DAWN) or the program: whether each is on. */
  readonly toggles: Readonly<Record<string, boolean>>;
}

/** Environment variable that names the adapter (as `chooseAdapter` does) if the program does not. */
export const ADAPTER_VARIABLE = "AXOGRAD_ADAPTER";

interface Dawn {
  readonly create: (options: string[]) => GPU;
  readonly instances: Map<string, GPU>;
}

/** An adapter Dawn knows by name. */
interface KnownAdapter {
  readonly api: string;
  readonly name: string;
}

const DAWN: unique symbol = Symbol.for("axograd.dawn");
const holder = globalThis as { [DAWN]?: Promise<Dawn> };

/** The limits that matter to compute; the others concern graphics. */
export const COMPUTE_LIMITS = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxComputeWorkgroupsPerDimension",
] as const;

function dawn(): Promise<Dawn> {
  holder[DAWN] ??= load();
  return holder[DAWN];
}

async function load(): Promise<Dawn> {
  try {
    const { create, globals } = await import("webgpu");
    Object.assign(globalThis, globals);
    return { create, instances: new Map() };
  } catch (cause) {
    delete holder[DAWN];
    throw new BackendError(
      "webgpu-missing",
      `webgpu: expected the npm package "webgpu" for ${process.platform}-${process.arch}, got an error loading it. ` +
        `Install it (npm install webgpu) or use the wasm backend. ${messageOf(cause)}`,
      {},
      cause,
    );
  }
}

/** A Dawn instance created with these flags; the same flags give the same instance. */
async function instance(flags: string[]): Promise<GPU> {
  const { create, instances } = await dawn();
  const key = flags.join("|");
  let gpu = instances.get(key);
  if (!gpu) {
    gpu = create(flags);
    instances.set(key, gpu);
  }
  return gpu;
}

/** Discards the list of drivers, so that a driver added since is found. The instances stay alive. */
export async function rescanAdapters(): Promise<void> {
  const { instances } = await dawn();
  for (const [key, gpu] of [...instances]) {
    instances.delete(key);
    instances.set(`${key} before scan ${instances.size}`, gpu);
  }
}

/** Dawn cannot list its adapters, but the error for an unknown adapter names them all. */
async function knownAdapters(): Promise<readonly KnownAdapter[]> {
  if (hasVulkanLoader() === false) return [];
  const gpu = await instance(["adapter=none of these"]);
  try {
    await gpu.requestAdapter();
    return [];
  } catch (error) {
    const found = messageOf(error).matchAll(/backend: '([^']*)', name: '([^']*)'/g);
    return [...found].map(([, api = "", name = ""]) => ({ api, name })).filter(({ api }) => api !== "null");
  }
}

/** Options of an adapter. */
export interface AdapterRequest {
  /** Dawn toggles, in addition to those of the environment. */
  readonly toggles?: Toggles | undefined;
  /** Exact timestamps. */
  readonly profile?: boolean;
}

/** Kernels write workgroup memory before they read it. Zeroing it first makes SwiftShader compile ten times as long. */
const OWN_TOGGLES: Toggles = { disable_workgroup_init: true };
/** By default Dawn rounds timestamps to multiples of 65,536 ns, longer than most kernels take. */
const PROFILE_TOGGLES: Toggles = { timestamp_quantization: false };

async function requestByName({ api, name }: KnownAdapter, toggles: Toggles): Promise<GPUAdapter | null> {
  const gpu = await instance([`backend=${api}`, `adapter=${name}`, ...flagsOf(toggles)]);
  return gpu.requestAdapter();
}

/**
 * All adapters that can compute, GPUs first. Empty if there is no driver.
 *
 * @throws {ArgumentError} toggles in the environment that Dawn does not know
 */
export async function listAdapters(): Promise<readonly AdapterInfo[]> {
  return (await openAdapters({})).map(({ info }) => info);
}

export interface OpenAdapter {
  readonly info: AdapterInfo;
  readonly adapter: GPUAdapter;
}

async function openAdapters({ toggles: given, profile = false }: AdapterRequest): Promise<readonly OpenAdapter[]> {
  await dawn();
  const toggles = resolveToggles(given);
  const inForce = { ...OWN_TOGGLES, ...(profile ? PROFILE_TOGGLES : {}), ...toggles };
  const opened: { known: KnownAdapter; adapter: GPUAdapter }[] = [];
  for (const known of await knownAdapters()) {
    const adapter = await requestByName(known, inForce);
    if (adapter) opened.push({ known, adapter });
  }
  const softwareLast = (a: GPUAdapter): number => (isSoftware(a) ? 1 : 0);
  opened.sort((a, b) => softwareLast(a.adapter) - softwareLast(b.adapter));
  return opened.map(({ known, adapter }, index) => ({ info: infoOf(known, adapter, index, toggles), adapter }));
}

function isSoftware(adapter: GPUAdapter): boolean {
  return adapter.info.isFallbackAdapter || /swiftshader|llvmpipe|lavapipe/i.test(adapter.info.description);
}

function infoOf({ api, name }: KnownAdapter, adapter: GPUAdapter, index: number, toggles: Toggles): AdapterInfo {
  const { vendor, architecture, description } = adapter.info;
  const limits = Object.fromEntries(COMPUTE_LIMITS.map((limit) => [limit, adapter.limits[limit]]));
  const features = [...adapter.features].sort();
  return {
    ...{ index, name, api, vendor, architecture, driver: description },
    ...{ isSoftware: isSoftware(adapter), features, limits, toggles },
  };
}

/** The adapter named by the environment; undefined: none is. */
export function adapterOfEnvironment(): string | undefined {
  return process.env[ADAPTER_VARIABLE] || undefined;
}

/**
 * The adapter with this index in `listAdapters()` (a number or digits), or else the first whose name contains `wanted`; undefined: none.
 */
export function adapterAmong(all: readonly AdapterInfo[], wanted: string | number): AdapterInfo | undefined {
  const byIndex = typeof wanted === "number" || /^\d+$/.test(wanted) ? all[Number(wanted)] : undefined;
  if (byIndex || typeof wanted === "number") return byIndex;
  return all.find(({ name }) => name.toLowerCase().includes(wanted.toLowerCase()));
}

/**
 * The adapter that `adapterAmong` finds for `wanted`, or else for the environment (AXOGRAD_ADAPTER); without either the first one, which
 * is a GPU if there is any.
 *
 * @throws {BackendError} "no-vulkan-loader", "no-adapter"; the message says what to install or choose
 * @throws {ArgumentError} toggles that Dawn does not know
 */
export async function chooseAdapter(
  wanted: string | number | undefined,
  request: AdapterRequest,
): Promise<OpenAdapter> {
  const all = await openAdapters(request);
  if (all.length === 0) throw noAdapter();
  const named = wanted ?? adapterOfEnvironment() ?? 0;
  const infos = all.map(({ info }) => info);
  const chosen = adapterAmong(infos, named);
  if (chosen) return all[chosen.index]!;
  const known = infos.map(({ index, name }) => `${index}: ${name}`).join("; ");
  const source = wanted === undefined ? ADAPTER_VARIABLE : "adapter";
  throw new BackendError("no-adapter", `webgpu: expected one of the adapters ${known}, got ${named} (${source})`, {
    adapters: infos.map(({ name }) => name),
  });
}

function noAdapter(): BackendError {
  if (hasVulkanLoader() === false) {
    return new BackendError(
      "no-vulkan-loader",
      "webgpu: expected a Vulkan loader, got none (libvulkan.so.1 cannot be opened). Install it (Debian, Ubuntu: libvulkan1; " +
        "Fedora: vulkan-loader) and the driver of the GPU, or use the wasm backend.",
    );
  }
  return new BackendError(
    "no-adapter",
    "webgpu: expected a graphics adapter, got none. Check that the GPU's driver is installed and visible to this process (vulkaninfo; " +
      "in a container: the graphics capability), or use the wasm backend.",
  );
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
