// The one place that loads Dawn (npm `webgpu`) and asks it for adapters.
//
// Dawn instances live on a symbol of the global object for the life of the process: Node crashes when the result of `create()` is
// garbage-collected, and a module variable does not prevent that. Only this file imports the package, and only on request of a GPU.
//
// Dawn opens the first adapter whose name contains the one that it is given. Where this is another adapter than the one meant, as with several
// equal GPUs, a Vulkan layer gives each its own name (vulkanLayer.ts); where there is no layer, those that Dawn would miss are refused.

import { BackendError } from "../../core/errors.ts";
import { assignedAdapters, gpusOfSystem, gpuVariables, namesGpus } from "./assignedGpus.ts";
import { comparePci, pciAddressOf } from "./pciAddress.ts";
import { flagsOf, resolveToggles, type Toggles } from "./toggles.ts";
import { type Layer, notLoaded, placeOf, vulkanLayer, withLayer } from "./vulkanLayer.ts";

export interface AdapterInfo {
  readonly index: number;
  /** The driver's name for it, e.g. "NVIDIA H200" or "SwiftShader Device (Subzero)". */
  readonly name: string;
  /** PCI address, "0000:65:00.0". null: not known; it is asked for only where it matters, as between equal adapters. */
  readonly pci: string | null;
  /** Why this adapter cannot be opened: Dawn would open an equal one in its place. null: it can be. */
  readonly obstacle: string | null;
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

/** An adapter that Dawn lists. */
interface KnownAdapter {
  readonly api: string;
  readonly name: string;
  readonly pci: string | null;
  /** Its name for Dawn, and the layer that gave it; null: the driver's. */
  readonly dawnName: string;
  readonly layer: Layer | null;
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
async function instance(flags: string[], layer: Layer | null): Promise<GPU> {
  const { create, instances } = await dawn();
  const key = [layer?.folder ?? "", ...flags].join("|");
  let gpu = instances.get(key);
  if (!gpu) {
    gpu = create(flags);
    instances.set(key, gpu);
  }
  return gpu;
}

/** Asks an instance, which creates its Vulkan instance on the first call, before it returns. */
function request(gpu: GPU, layer: Layer | null): Promise<GPUAdapter | null> {
  return layer ? withLayer(layer, () => gpu.requestAdapter()) : gpu.requestAdapter();
}

/** Discards the list of drivers, so that a driver added since is found. The instances stay alive. */
export async function rescanAdapters(): Promise<void> {
  const { instances } = await dawn();
  for (const [key, gpu] of [...instances]) {
    instances.delete(key);
    instances.set(`${key} before scan ${instances.size}`, gpu);
  }
}

/** Whether the system's Vulkan loader can be opened; null where Dawn does not use Vulkan. */
export function hasVulkanLoader(): boolean | null {
  if (process.platform !== "linux") return null;
  try {
    // The loader is no Node add-on: Node reports that if the file exists, and another error if it does not.
    process.dlopen({ exports: {} }, "libvulkan.so.1");
  } catch (error) {
    return /did not self-register/.test(messageOf(error));
  }
  return true;
}

/** Dawn cannot list its adapters, but the error for an unknown adapter names them all. */
async function listed(layer: Layer | null): Promise<readonly KnownAdapter[]> {
  const gpu = await instance(["adapter=none of these"], layer);
  try {
    await request(gpu, layer);
    return [];
  } catch (error) {
    const found = messageOf(error).matchAll(/backend: '([^']*)', name: '([^']*)'/g);
    return [...found]
      .map(([, api = "", dawnName = ""]) => {
        // The user may have loaded the layer.
        const place = placeOf(dawnName);
        return { api, dawnName, layer: place && layer, name: place?.name ?? dawnName, pci: place?.pci ?? null };
      })
      .filter(({ api }) => api !== "null");
  }
}

/** Whether Dawn opens this adapter when it gets its name, rather than another one. */
function isFound(adapter: KnownAdapter, all: readonly KnownAdapter[]): boolean {
  return adapter === all.find(({ api, dawnName }) => api === adapter.api && dawnName.includes(adapter.dawnName));
}

interface Listing {
  readonly adapters: readonly KnownAdapter[];
  /** Why there is no layer; null: there is one, or it was not needed. */
  readonly obstacle: string | null;
}

/** When PCI addresses are asked for though names are enough to open adapters: always, where there are several, never. */
type Identify = boolean | "several";

async function knownAdapters(identify: Identify): Promise<Listing> {
  if (hasVulkanLoader() === false) return { adapters: [], obstacle: null };
  const plain = await listed(null);
  const isClear = plain.every((one) => isFound(one, plain));
  const isAsked = identify === "several" ? plain.length > 1 : identify;
  if (plain.length === 0 || (isClear && !isAsked)) return { adapters: plain, obstacle: null };
  try {
    const layer = await vulkanLayer();
    const adapters = await listed(layer);
    const isLoaded = adapters.some((one) => one.layer) && adapters.every((one) => isFound(one, adapters));
    return isLoaded
      ? { adapters: inOrderOfPci(adapters), obstacle: null }
      : { adapters: plain, obstacle: notLoaded(layer) };
  } catch (error) {
    return { adapters: plain, obstacle: messageOf(error) };
  }
}

/** Adapters of the same name, in the places of such adapters, by their PCI addresses: as the tools of makers count them. */
function inOrderOfPci(adapters: readonly KnownAdapter[]): readonly KnownAdapter[] {
  const waiting = [...adapters].sort((a, b) => comparePci(a.pci, b.pci));
  return adapters.map(({ name }) => {
    const [next] = waiting.splice(
      waiting.findIndex((one) => one.name === name),
      1,
    );
    return next!;
  });
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

async function requestByName({ api, dawnName, layer }: KnownAdapter, toggles: Toggles): Promise<GPUAdapter | null> {
  return request(await instance([`backend=${api}`, `adapter=${dawnName}`, ...flagsOf(toggles)], layer), layer);
}

/**
 * All adapters that can compute, GPUs first. Empty if there is no driver.
 *
 * @param identify  ask for PCI addresses even where adapters have different names
 * @throws {ArgumentError} toggles in the environment that Dawn does not know
 */
export async function listAdapters({
  identify = false,
}: {
  readonly identify?: Identify;
} = {}): Promise<readonly AdapterInfo[]> {
  return (await openAdapters({}, identify)).adapters.map(({ info }) => info);
}

/**
 * Whether there is a GPU for this process: a real one, which the environment does not keep from it (`assignedAdapters`).
 *
 * @throws {ArgumentError} toggles in the environment that Dawn does not know; GPUs in it that are not there
 */
export async function hasGpu(): Promise<boolean> {
  const adapters = await listAdapters({ identify: needsIdentity(undefined) });
  return assignedAdapters(adapters).some((one) => !one.isSoftware);
}

export interface OpenAdapter {
  readonly info: AdapterInfo;
  readonly adapter: GPUAdapter;
}

interface FoundAdapter {
  readonly info: AdapterInfo;
  /** null: Dawn has none any more. */
  readonly open: () => Promise<OpenAdapter | null>;
}

interface FoundAdapters {
  readonly adapters: readonly FoundAdapter[];
  /** See `Listing`. */
  readonly obstacle: string | null;
}

async function openAdapters(
  { toggles: given, profile = false }: AdapterRequest,
  identify: Identify,
): Promise<FoundAdapters> {
  await dawn();
  const toggles = resolveToggles(given);
  const inForce = { ...OWN_TOGGLES, ...(profile ? PROFILE_TOGGLES : {}), ...toggles };
  const { adapters: all, obstacle } = await knownAdapters(identify);
  const opened: { known: KnownAdapter; adapter: GPUAdapter; isOwn: boolean }[] = [];
  for (const known of all) {
    // Of equal adapters the first is asked for what all of them have: Dawn creates a Vulkan instance for each that is asked.
    const equal = opened.find(({ known: { api, name } }) => api === known.api && name === known.name);
    const adapter = equal?.adapter ?? (await requestByName(known, inForce));
    if (adapter) opened.push({ known, adapter, isOwn: !equal });
  }
  const softwareLast = (a: GPUAdapter): number => (isSoftware(a) ? 1 : 0);
  opened.sort((a, b) => softwareLast(a.adapter) - softwareLast(b.adapter));
  const adapters = opened.map(({ known, adapter, isOwn }, index): FoundAdapter => {
    const facts = { index, toggles, obstacle: isFound(known, all) ? null : obstacle };
    const open = async (): Promise<OpenAdapter | null> => {
      const own = isOwn ? adapter : await requestByName(known, inForce);
      return own && { info: infoOf(known, own, facts), adapter: own };
    };
    return { info: infoOf(known, adapter, facts), open };
  });
  return { adapters, obstacle };
}

function isSoftware(adapter: GPUAdapter): boolean {
  return adapter.info.isFallbackAdapter || /swiftshader|llvmpipe|lavapipe/i.test(adapter.info.description);
}

function infoOf(
  { api, name, pci }: KnownAdapter,
  adapter: GPUAdapter,
  { index, obstacle, toggles }: Pick<AdapterInfo, "index" | "obstacle" | "toggles">,
): AdapterInfo {
  const { vendor, architecture, description } = adapter.info;
  const limits = Object.fromEntries(COMPUTE_LIMITS.map((limit) => [limit, adapter.limits[limit]]));
  const features = [...adapter.features].sort();
  return {
    ...{ index, name, pci, obstacle, api, vendor, architecture, driver: description },
    ...{ isSoftware: isSoftware(adapter), features, limits, toggles },
  };
}

/** The adapter named by the environment; undefined: none is. */
export function adapterOfEnvironment(): string | undefined {
  return process.env[ADAPTER_VARIABLE] || undefined;
}

/** All adapters that `wanted` can mean: see `adapterAmong`. */
export function adaptersAmong(all: readonly AdapterInfo[], wanted: string | number): readonly AdapterInfo[] {
  const byIndex = typeof wanted === "number" || /^\d+$/.test(wanted) ? all[Number(wanted)] : undefined;
  if (byIndex) return [byIndex];
  if (typeof wanted === "number") return [];
  const pci = pciAddressOf(wanted);
  return all.filter((one) => (pci ? one.pci === pci : one.name.toLowerCase().includes(wanted.toLowerCase())));
}

/**
 * The adapter with this index in `listAdapters()` (a number or digits), or with this PCI address ("0000:65:00.0" or "65:00.0"), or else the
 * first whose name contains `wanted`; undefined: none.
 */
export function adapterAmong(all: readonly AdapterInfo[], wanted: string | number): AdapterInfo | undefined {
  return adaptersAmong(all, wanted)[0];
}

/**
 * The adapter that `adapterAmong` finds for `wanted`, or else for the environment (AXOGRAD_ADAPTER); without either the first one that the
 * environment assigns to this process (`assignedAdapters`), which is a GPU if there is any.
 *
 * @throws {BackendError} "no-vulkan-loader", "no-adapter"; "equal-adapters": Dawn would open another one. The message says what to do
 * @throws {ArgumentError} toggles that Dawn does not know; GPUs in the environment that are not there
 */
export async function chooseAdapter(
  wanted: string | number | undefined,
  adapterRequest: AdapterRequest,
): Promise<OpenAdapter> {
  const named = wanted ?? adapterOfEnvironment();
  const { adapters, obstacle } = await openAdapters(adapterRequest, needsIdentity(named));
  if (adapters.length === 0) throw noAdapter();
  const infos = adapters.map(({ info }) => info);
  const chosen = named === undefined ? assignedAdapters(infos)[0] : adapterAmong(infos, named);
  if (!chosen && named === undefined) throw noneAssigned();
  if (!chosen) {
    const source = wanted === undefined ? ADAPTER_VARIABLE : "adapter";
    const expected = `webgpu: expected one of the adapters ${infos.map(adapterText).join("; ")}`;
    const isKnown = infos.some(({ pci }) => pci !== null) || pciAddressOf(`${named}`) === null;
    const why = isKnown ? "" : `. PCI addresses are not known: ${obstacle ?? "the drivers report none"}`;
    throw new BackendError("no-adapter", `${expected}, got ${named} (${source})${why}`, {
      adapters: infos.map(({ name }) => name),
    });
  }
  if (chosen.obstacle !== null) throw equalAdapters(chosen, infos, chosen.obstacle);
  const open = await adapters[chosen.index]!.open();
  if (!open) throw noAdapter();
  return open;
}

/** Where an adapter is named by its PCI address, or the environment chooses among several. */
function needsIdentity(named: string | number | undefined): Identify {
  if (named === undefined) return namesGpus() && "several";
  return pciAddressOf(`${named}`) !== null;
}

/** "1: NVIDIA H200 (0000:65:00.0)". */
export function adapterText({ index, name, pci }: AdapterInfo): string {
  return `${index}: ${name}${pci === null ? "" : ` (${pci})`}`;
}

function equalAdapters({ index, name, vendor }: AdapterInfo, all: readonly AdapterInfo[], why: string): BackendError {
  const equal = all.filter((one) => one.name === name).length;
  const addresses = gpusOfSystem().filter((gpu) => gpu.vendor === vendor);
  const places = addresses.length > 0 ? ` (at ${addresses.map(({ pci }) => pci).join(", ")})` : "";
  return new BackendError(
    "equal-adapters",
    `webgpu: expected adapters that can be told apart, got ${equal} with the name ${name}${places}: ${why}. Adapter ${index} would be the ` +
      `first of them. ${ONE_GPU_EACH}`,
    { adapter: index, name, equal },
  );
}

/** What else helps. */
export const ONE_GPU_EACH: string =
  "Or show each process one GPU: in a container, or by Mesa's layer device_select (MESA_VK_DEVICE_SELECT_FORCE_DEFAULT_DEVICE=1 with " +
  "DRI_PRIME=pci-0000_65_00_0).";

function noneAssigned(): BackendError {
  return new BackendError(
    "no-adapter",
    `webgpu: expected a GPU for this process, got none: ${gpuVariables().join(", ")}. ${ADAPTER_VARIABLE} names one nevertheless; or use ` +
      "the wasm backend.",
  );
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
