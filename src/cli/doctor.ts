// axograd doctor: the capabilities of this machine, the device that "auto" chooses, and what to install if something is missing.

import { existsSync, readdirSync } from "node:fs";
import { arch, availableParallelism, cpus, freemem, release, totalmem } from "node:os";
import { join } from "node:path";
import type { Command } from "commander";
import { createMemory, MAX_PAGES, PAGE_BYTES, webAssembly } from "../backend/wasm/module.ts";
import { mostThreads } from "../backend/wasm/threads.ts";
import { assignedAdapters, gpuVariables } from "../backend/webgpu/assignedGpus.ts";
import {
  ADAPTER_VARIABLE,
  type AdapterInfo,
  adapterAmong,
  adapterOfEnvironment,
  adaptersAmong,
  adapterText,
  listAdapters,
  ONE_GPU_EACH,
} from "../backend/webgpu/dawn.ts";
import { togglesText } from "../backend/webgpu/toggles.ts";
import { vulkanLayer } from "../backend/webgpu/vulkanLayer.ts";
import { hasVulkanLoader } from "../backend/webgpu/vulkanLoader.ts";
import { ArgumentError } from "../core/errors.ts";
import { formatBytes } from "../core/format.ts";
import { type Runtime, runtimeOf } from "../core/runtime.ts";
import { plural } from "../core/text.ts";
import { VERSION } from "../core/version.ts";
import { localRankOf } from "../distributed/launcher.ts";
import { rememberedByCard, tuningCacheFile } from "../run/tuningFile.ts";
import { writeJson, writeText } from "./console.ts";

/** Everything that `doctor` finds out. */
export interface Diagnosis {
  readonly axograd: string;
  /** The version of Node.js; under Bun and Deno, the one whose interfaces they offer. */
  readonly node: string;
  readonly runtime: Runtime;
  readonly system: { readonly platform: string; readonly release: string; readonly arch: string };
  readonly cpu: { readonly model: string; readonly cores: number };
  readonly memory: { readonly totalBytes: number; readonly freeBytes: number };
  readonly wasm: WasmReport;
  readonly vulkan: VulkanReport;
  readonly adapters: readonly AdapterInfo[];
  /** Why adapters could not be listed; null if they could, even if there are none. */
  readonly adapterError: string | null;
  /** Names that several adapters have. */
  readonly equalAdapters: readonly EqualAdapters[];
  /** What a launcher says about this process; null: nothing. */
  readonly launcher: LauncherReport | null;
  readonly choice: { readonly device: "wasm" | "webgpu"; readonly reason: string };
  /** What trainings remember of cards. */
  readonly tuning: TuningReport;
  readonly advice: readonly string[];
}

/** Adapters of one name. */
export interface EqualAdapters {
  readonly name: string;
  readonly indices: readonly number[];
  /** How they are told apart; null: they are not. */
  readonly how: string | null;
}

/** This process among those that a launcher started. */
export interface LauncherReport {
  /** Those that assign GPUs, as NAME=value. */
  readonly variables: readonly string[];
  /** Number of the process on its host; null: no launcher says. */
  readonly localRank: number | null;
  /** Index of the adapter that a rank of a training takes here; null: none. */
  readonly adapter: number | null;
  /** Why the variables cannot be followed; null: they can. */
  readonly error: string | null;
}

/** The choices of sparse kernels that are remembered on this machine. */
export interface TuningReport {
  readonly file: string;
  /** How many, by the name of the adapter that they were found on; empty if there is no file. */
  readonly choices: Readonly<Record<string, number>>;
  /** Why the file cannot be read; null: it can, or there is none. */
  readonly error: string | null;
}

/** WebAssembly in this process. */
export interface WasmReport {
  readonly simd: boolean;
  readonly threads: boolean;
  /** Largest memory of a backend, in bytes; 0: no backend can be opened. */
  readonly memoryBytes: number;
  /** Most threads that a backend starts. */
  readonly mostThreads: number;
  /** Why there is none; null where there is. */
  readonly error: string | null;
}

/** Vulkan as the process sees it. */
export interface VulkanReport {
  /** null where WebGPU does not go through Vulkan. */
  readonly loader: boolean | null;
  /** Manifests of drivers: those named by the environment, or else the system's. */
  readonly drivers: readonly string[];
  /** Whether the kernel module of NVIDIA's driver is loaded. */
  readonly nvidiaModule: boolean;
}

/** Facts that decide what can be run and how fast. */
const LIMITS = [
  ["maxStorageBufferBindingSize", "binding"],
  ["maxBufferSize", "buffer"],
  ["maxStorageBuffersPerShaderStage", "storage buffers per stage"],
  ["maxComputeInvocationsPerWorkgroup", "threads per workgroup"],
  ["maxComputeWorkgroupSizeX", "workgroup size x"],
  ["maxComputeWorkgroupStorageSize", "workgroup memory"],
] as const;
const FEATURES = ["timestamp-query", "shader-f16", "subgroups"] as const;

/** Where Vulkan loaders look for manifests of drivers. */
const DRIVER_FOLDERS = ["/etc/vulkan/icd.d", "/usr/share/vulkan/icd.d", "/usr/local/share/vulkan/icd.d"];
const NVIDIA_MODULE = "/proc/driver/nvidia/version";

/** Adds the command to the program. */
export function register(program: Command): void {
  program
    .command("doctor")
    .description(
      "report what this machine offers (threads, SIMD, GPUs), which device would be chosen, and what is missing",
    )
    .option("--json", "print everything as one JSON object")
    .action(async ({ json = false }: { readonly json?: boolean }) => {
      const diagnosis = await diagnose();
      if (json) writeJson(diagnosis);
      else writeText(textOf(diagnosis));
    });
}

/**
 * Examines the machine. A missing part is part of the answer.
 *
 * @throws {ArgumentError} toggles in the environment that Dawn does not know
 */
export async function diagnose(): Promise<Diagnosis> {
  const { vulkan, adapters, adapterError } = await graphics();
  const wasm = webAssemblyReport();
  const equal = await equalAdapters(adapters);
  const launcher = launcherReport(adapters);
  return {
    axograd: VERSION,
    node: process.version,
    runtime: runtimeOf(),
    system: { platform: process.platform, release: release(), arch: arch() },
    cpu: { model: cpus()[0]?.model.trim() ?? "unknown", cores: availableParallelism() },
    memory: { totalBytes: totalmem(), freeBytes: freemem() },
    wasm,
    vulkan,
    adapters,
    adapterError,
    equalAdapters: equal,
    launcher,
    choice: choiceAmong(adapters),
    tuning: await tuningReport(),
    advice: [
      ...(wasm.error === null ? [] : [wasm.error]),
      ...adviceFor(vulkan, adapters, adapterError),
      ...adviceOnEquals(adapters, equal),
      ...(launcher?.error ? [launcher.error] : []),
    ],
  };
}

function adviceOnEquals(adapters: readonly AdapterInfo[], equal: readonly EqualAdapters[]): string[] {
  if (equal.every(({ how }) => how !== null)) return [];
  const reasons = [...new Set(adapters.flatMap(({ obstacle }) => obstacle ?? []))];
  return [`Equal adapters are not told apart: ${reasons.join("; ")}. ${ONE_GPU_EACH}`];
}

async function equalAdapters(adapters: readonly AdapterInfo[]): Promise<readonly EqualAdapters[]> {
  const names = [...new Set(adapters.map(({ name }) => name))];
  const equal = names.map((name) => adapters.filter((one) => one.name === name)).filter(({ length }) => length > 1);
  return Promise.all(
    equal.map(async (group): Promise<EqualAdapters> => {
      const isClear = group.every(({ obstacle }) => obstacle === null);
      const how = isClear ? `by a Vulkan layer, ${(await vulkanLayer()).origin}` : null;
      return { name: group[0]!.name, indices: group.map(({ index }) => index), how };
    }),
  );
}

/** What the variables of launchers say about this process. */
export function launcherReport(
  adapters: readonly AdapterInfo[],
  environment: Readonly<Record<string, string | undefined>> = process.env,
): LauncherReport | null {
  const variables = gpuVariables(environment);
  const localRank = localRankOf(environment);
  if (variables.length === 0 && localRank === null) return null;
  try {
    const named = environment[ADAPTER_VARIABLE];
    const usable = named ? adaptersAmong(adapters, named) : assignedAdapters(adapters, environment);
    const adapter = usable[(localRank ?? 0) % Math.max(1, usable.length)]?.index ?? null;
    return { variables, localRank, adapter, error: null };
  } catch (error) {
    return { variables, localRank, adapter: null, error: error instanceof Error ? error.message : String(error) };
  }
}

/** @param file  of what is remembered */
export async function tuningReport(file: string = tuningCacheFile()): Promise<TuningReport> {
  try {
    return { file, choices: Object.fromEntries(await rememberedByCard(file)), error: null };
  } catch (error) {
    return { file, choices: {}, error: error instanceof Error ? error.message : String(error) };
  }
}

/** Reserves memory as a backend does. */
function webAssemblyReport(): WasmReport {
  const found = { simd: false, threads: false, memoryBytes: 0, mostThreads: mostThreads() };
  try {
    const api = webAssembly();
    found.simd = api.validate(SIMD_MODULE);
    found.threads = api.validate(THREADS_MODULE);
    found.memoryBytes = createMemory(MAX_PAGES).maxPages * PAGE_BYTES;
    return { ...found, error: null };
  } catch (error) {
    return { ...found, error: error instanceof Error ? error.message : String(error) };
  }
}

async function graphics(): Promise<Pick<Diagnosis, "vulkan" | "adapters" | "adapterError">> {
  const drivers = driverManifests();
  const nvidiaModule = existsSync(NVIDIA_MODULE);
  const loader = hasVulkanLoader();
  try {
    const adapters = await listAdapters({ identify: true });
    return { vulkan: { loader, drivers, nvidiaModule }, adapters, adapterError: null };
  } catch (error) {
    // Not the machine's fault, and no command would run on a GPU with it.
    if (error instanceof ArgumentError) throw error;
    const adapterError = error instanceof Error ? error.message : String(error);
    return { vulkan: { loader, drivers, nvidiaModule }, adapters: [], adapterError };
  }
}

/** Manifests of Vulkan drivers: as in the loader, the environment's list overrides the system's folders. */
function driverManifests(): string[] {
  const { VK_DRIVER_FILES, VK_ICD_FILENAMES } = process.env;
  const named = VK_DRIVER_FILES ?? VK_ICD_FILENAMES;
  if (named !== undefined) return named.split(":").filter((file) => existsSync(file));
  return DRIVER_FOLDERS.flatMap((folder) => filesIn(folder).filter((file) => file.endsWith(".json")));
}

/** Paths of the entries of a folder; empty if it is absent or not readable. */
function filesIn(folder: string): string[] {
  try {
    return readdirSync(folder).map((name) => join(folder, name));
  } catch {
    return [];
  }
}

/**
 * The device that `--device auto` opens for f32, by the rule of backend/select.ts.
 *
 * @param named  the adapter that the environment names
 */
export function choiceAmong(
  adapters: readonly AdapterInfo[],
  named: string | undefined = adapterOfEnvironment(),
): Diagnosis["choice"] {
  if (named !== undefined) {
    const found = adapterAmong(adapters, named)?.name ?? "an error, as no adapter has this name, index or PCI address";
    return { device: "webgpu", reason: `${ADAPTER_VARIABLE}=${named}: ${found}` };
  }
  const gpu = assignedGpu(adapters);
  if (typeof gpu === "string") return { device: "webgpu", reason: `an error: ${gpu}` };
  if (gpu) return { device: "webgpu", reason: `${gpu.name} is a GPU (f64 runs on wasm)` };
  const reason =
    adapters.length === 0
      ? "no adapter was found"
      : adapters.some(({ isSoftware }) => !isSoftware)
        ? `${gpuVariables().join(", ")}: no GPU for this process`
        : `${[...new Set(adapters.map(({ name }) => name))].join(", ")}: a CPU that poses as a GPU, slower than wasm`;
  return { device: "wasm", reason };
}

/** The GPU that the environment gives to this process first; undefined: none; a text: why its variables cannot be followed. */
function assignedGpu(adapters: readonly AdapterInfo[]): AdapterInfo | string | undefined {
  try {
    return assignedAdapters(adapters).find(({ isSoftware }) => !isSoftware);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** What to install so that a GPU can be used; empty if one was found. */
export function adviceFor(
  { loader, drivers, nvidiaModule }: VulkanReport,
  adapters: readonly AdapterInfo[],
  adapterError: string | null,
): string[] {
  if (adapters.some(({ isSoftware }) => !isSoftware)) return [];
  if (adapterError !== null) return [adapterError];
  const advice: string[] = [];
  if (loader === false)
    advice.push("No Vulkan loader: install it (Debian, Ubuntu: apt install libvulkan1; Fedora: vulkan-loader).");
  const hasNvidiaManifest = drivers.some((file) => /nvidia/i.test(file));
  if (nvidiaModule && !hasNvidiaManifest)
    advice.push(
      "NVIDIA's kernel module is loaded but no nvidia_icd.json was found: install the driver's Vulkan part (libnvidia-gl-<version>), in a " +
        "container add the capability graphics (NVIDIA_DRIVER_CAPABILITIES=compute,utility,graphics), or name the file in VK_DRIVER_FILES.",
    );
  else if (nvidiaModule && loader === true)
    advice.push(
      "NVIDIA's driver is installed but gave no adapter: its user-space part must have the kernel module's version, and /dev/nvidia* " +
        "must be readable; vulkaninfo says more.",
    );
  else if (loader !== null && drivers.length === 0)
    advice.push(
      "No Vulkan driver: install that of the GPU (NVIDIA's own; AMD, Intel: mesa-vulkan-drivers 25 or newer).",
    );
  return advice;
}

/** The report for people. */
export function textOf(it: Diagnosis): string {
  const { runtime, system, cpu, memory, wasm, vulkan, adapters, choice } = it;
  const loader = { true: "found", false: "not found", null: "not used on this platform" }[`${vulkan.loader}`];
  const lines: (readonly [label: string, text: string])[] = [
    ["axograd", it.axograd],
    [runtime.name, runtime.name === "node" ? it.node : `v${runtime.version}, as Node.js ${it.node}`],
    ["system", `${system.platform} ${system.release}, ${system.arch}`],
    ["cpu", `${cpu.model}, ${cpu.cores} threads`],
    ["memory", `${formatBytes(memory.totalBytes)}, ${formatBytes(memory.freeBytes)} free`],
    ["wasm", wasmText(wasm)],
    ["vulkan", `loader ${loader}, drivers: ${vulkan.drivers.join(", ") || "none found"}`],
    ["adapters", adapters.length === 0 ? (it.adapterError ?? "none") : `${adapters.length}`],
  ];
  return [
    ...lines.map(([label, text]) => `${label.padEnd(9)} ${text}`),
    ...adapters.flatMap(adapterLines),
    ...it.equalAdapters.map(({ name, indices, how }) => {
      const all = `${indices.join(", ")} have the name ${name} and are`;
      return `${"equal".padEnd(9)} ${all} ${how === null ? "not told apart: only the first can be opened" : `told apart ${how}`}`;
    }),
    ...(it.launcher === null ? [] : [`${"launcher".padEnd(9)} ${launcherText(it.launcher, adapters)}`]),
    `${"auto".padEnd(9)} ${choice.device}: ${choice.reason}`,
    ...(adapters.length > 1
      ? [`${"".padEnd(9)} ${ADAPTER_VARIABLE}=<index, PCI address or part of a name> chooses another adapter`]
      : []),
    `${"tuning".padEnd(9)} ${tuningText(it)}`,
    ...it.advice.map((text) => `${"advice".padEnd(9)} ${text}`),
    "",
  ].join("\n");
}

/** "2 choices remembered for Great GPU, in …/tuning.json". */
function tuningText({ tuning: { file, choices, error }, adapters }: Diagnosis): string {
  if (error !== null) return `what was remembered cannot be read: ${error}`;
  const here = adapters.filter(({ name }) => Object.hasOwn(choices, name));
  const counts = here.map(({ name }) => `${plural(choices[name]!, "choice")} remembered for ${name}`);
  return counts.length === 0 ? `nothing remembered for these adapters (${file})` : `${counts.join(", ")}, in ${file}`;
}

/** "SLURM_STEP_GPUS=1, local rank 0: takes 1: Great GPU (0000:65:00.0)". */
function launcherText(
  { variables, localRank, adapter, error }: LauncherReport,
  adapters: readonly AdapterInfo[],
): string {
  const facts = [...variables, ...(localRank === null ? [] : [`local rank ${localRank}`])].join(", ");
  const taken = adapters.find(({ index }) => index === adapter);
  return `${facts}: ${taken ? `takes ${adapterText(taken)}` : error === null ? "takes no GPU" : "an error"}`;
}

function wasmText({ simd, threads, memoryBytes, mostThreads: most, error }: WasmReport): string {
  const parts = `SIMD ${yesNo(simd)}, threads ${yesNo(threads)}`;
  return error === null
    ? `${parts} (${most} at most), up to ${formatBytes(memoryBytes)} of memory`
    : `${parts}; cannot be used`;
}

function adapterLines({
  index,
  name,
  pci,
  isSoftware,
  obstacle,
  api,
  vendor,
  architecture,
  driver,
  limits,
  features,
  toggles,
}: AdapterInfo): string[] {
  const maker = [vendor, architecture].filter((part) => part !== "").join(" ");
  const amounts = LIMITS.map(([limit, label]) => `${label} ${amount(limit, limits[limit] ?? 0)}`);
  return [
    `  ${index}: ${name} (${[isSoftware ? "software" : "GPU", api, ...(pci === null ? [] : [`PCI ${pci}`])].join(", ")})`,
    ...(obstacle === null ? [] : [`     cannot be opened: ${obstacle}`]),
    `     driver ${driver || "unknown"}${maker === "" ? "" : `, ${maker}`}`,
    `     ${amounts.join(", ")}`,
    `     ${FEATURES.map((feature) => `${feature} ${yesNo(features.includes(feature))}`).join(", ")}`,
    ...(Object.keys(toggles).length === 0 ? [] : [`     toggles of Dawn ${togglesText(toggles)}`]),
  ];
}

function amount(limit: string, value: number): string {
  return limit.endsWith("Size") ? formatBytes(value) : `${value}`;
}

function yesNo(is: boolean): string {
  return is ? "yes" : "no";
}

/** () → v128: the function `v128.const 0`. */
const SIMD_MODULE = Uint8Array.of(
  ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
  ...[1, 5, 1, 0x60, 0, 1, 0x7b],
  ...[3, 2, 1, 0],
  ...[10, 22, 1, 20, 0, 0xfd, 12, ...new Array<number>(16).fill(0), 11],
);

/** A module with shared memory. */
const THREADS_MODULE = Uint8Array.of(...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0], ...[5, 4, 1, 3, 1, 1]);
