// Which GPUs a launcher gave to this process. The variables that say so speak to CUDA, ROCm and Level Zero; Vulkan, which Dawn uses, shows all
// GPUs that the process may open nevertheless. So what they name is found among the adapters, vendor by vendor.

import { readdirSync, readFileSync, realpathSync } from "node:fs";
import { basename, join } from "node:path";
import { ArgumentError } from "../../core/errors.ts";
import type { AdapterInfo } from "./dawn.ts";
import { comparePci, pciAddressOf } from "./pciAddress.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** The variables of each vendor, by Dawn's name for it; the first one that is set counts. */
const VENDORS = [
  ["nvidia", ["CUDA_VISIBLE_DEVICES"]],
  ["amd", ["ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES"]],
  ["intel", ["ZE_AFFINITY_MASK"]],
] as const;
/** Those of Slurm, with the numbers that its configuration gives to the GPUs of a node: of a step, or else of a job. */
const SLURM = ["SLURM_STEP_GPUS", "SLURM_JOB_GPUS"] as const;
const ALL_VARIABLES = [...VENDORS.flatMap(([, variables]) => variables), ...SLURM];

/** A GPU as the operating system reports it. */
export interface SystemGpu {
  readonly vendor: string;
  /** As `pciAddressOf` writes it. */
  readonly pci: string;
  /** Number of its device file: N of /dev/nvidiaN or /dev/dri/renderDN. */
  readonly minor: number;
  /** "GPU-…", as CUDA or ROCm writes it; null: not known. */
  readonly uuid: string | null;
}

/** PCI vendors. */
const VENDOR_NUMBERS: Readonly<Record<string, string>> = { "0x10de": "nvidia", "0x1002": "amd", "0x8086": "intel" };

/**
 * The GPUs that Linux reports: /proc/driver/nvidia, and /sys/class/drm for other drivers. Empty on other systems.
 *
 * @param root  the folder that has proc and sys
 */
export function gpusOfSystem(root = "/"): readonly SystemGpu[] {
  const nvidia = entriesOf(join(root, "proc/driver/nvidia/gpus")).map((folder): SystemGpu | null => {
    const facts = textOf(join(folder, "information"));
    const pci = pciAddressOf(basename(folder));
    const minor = /^Device Minor:\s*(\d+)/m.exec(facts)?.[1];
    const uuid = /^GPU UUID:\s*(GPU-[0-9a-f-]+)/im.exec(facts)?.[1] ?? null;
    return pci === null || minor === undefined ? null : { vendor: "nvidia", pci, minor: Number(minor), uuid };
  });
  const others = entriesOf(join(root, "sys/class/drm")).map((node): SystemGpu | null => {
    const minor = /^renderD(\d+)$/.exec(basename(node))?.[1];
    const vendor = VENDOR_NUMBERS[textOf(join(node, "device/vendor")).trim()];
    const pci = minor === undefined ? null : pciOf(join(node, "device"));
    if (vendor === undefined || pci === null) return null;
    const id = textOf(join(node, "device/unique_id")).trim();
    return { vendor, pci, minor: Number(minor), uuid: id === "" ? null : `GPU-${id}` };
  });
  const found = nvidia.filter((gpu) => gpu !== null);
  // NVIDIA's driver may have nodes there, too.
  const more = others.filter((gpu) => gpu !== null && !found.some(({ pci }) => pci === gpu.pci)) as SystemGpu[];
  return [...found, ...more].sort((a, b) => comparePci(a.pci, b.pci));
}

/** The address of the device that a link of /sys leads to. */
function pciOf(link: string): string | null {
  try {
    return pciAddressOf(basename(realpathSync(link)));
  } catch {
    return null;
  }
}

/** Paths of the entries of a folder; none if it cannot be read. */
function entriesOf(folder: string): string[] {
  try {
    return readdirSync(folder).map((name) => join(folder, name));
  } catch {
    return [];
  }
}

/** "" for a file that cannot be read. */
function textOf(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

/** The variables that name GPUs for this process, with their values. */
export function gpuVariables(environment: Environment = process.env): readonly string[] {
  return ALL_VARIABLES.filter((name) => environment[name] !== undefined).map((name) => `${name}=${environment[name]}`);
}

/** Whether the environment names GPUs for this process. */
export function namesGpus(environment: Environment = process.env): boolean {
  return gpuVariables(environment).length > 0;
}

/**
 * The adapters that this process is to use, in order: the GPUs that its environment assigns to it, all GPUs where it says nothing, and
 * where there is no GPU the software adapters. Never both kinds. Empty: the environment hides all GPUs.
 *
 * CUDA_VISIBLE_DEVICES counts for NVIDIA's GPUs, ROCR_VISIBLE_DEVICES or else HIP_VISIBLE_DEVICES for AMD's, ZE_AFFINITY_MASK for Intel's:
 * indices in the order of PCI addresses among the GPUs that the process may open, or UUIDs. Without any of them SLURM_STEP_GPUS or
 * SLURM_JOB_GPUS count, whose numbers are in the order of device files. Where some are assigned, GPUs of vendors whose variable is not set do
 * not count. A GPU that two drivers show is listed once.
 *
 * @throws {ArgumentError} a variable names a GPU that is not there
 */
export function assignedAdapters(
  adapters: readonly AdapterInfo[],
  environment: Environment = process.env,
  system: () => readonly SystemGpu[] = gpusOfSystem,
): readonly AdapterInfo[] {
  const gpus = adapters.filter(
    (one) => !one.isSoftware && !(one.pci && adapters.find(({ pci }) => pci === one.pci) !== one),
  );
  if (gpus.length === 0) return adapters;
  const byVendor = VENDORS.flatMap(([vendor, names]) => {
    const variable = names.find((name) => environment[name] !== undefined);
    return variable === undefined ? [] : [{ vendor: vendor as string, variable }];
  });
  const slurm = SLURM.find((name) => environment[name] !== undefined);
  if (byVendor.length === 0) return slurm === undefined ? gpus : ofSlurm(gpus, slurm, environment[slurm]!, system());
  const found = byVendor.map(({ vendor, variable }) => {
    const own = gpus.filter((one) => one.vendor === vendor).sort((a, b) => comparePci(a.pci, b.pci));
    return named(own, variable, environment[variable]!, system);
  });
  const assigned = new Set(found.flatMap((one) => one.adapters));
  const [error] = found.flatMap((one) => one.error ?? []);
  // Slurm sets the variables of all vendors alike, whichever vendor the GPUs are of.
  if (error && !found.some((one) => one.adapters.length > 0 && one.error === null)) throw error;
  return assigned.size > 0
    ? [...assigned]
    : gpus.filter(({ vendor }) => !byVendor.some((one) => one.vendor === vendor));
}

/** @param own  all GPUs of a vendor, in the order of their PCI addresses */
function named(
  own: readonly AdapterInfo[],
  variable: string,
  value: string,
  system: () => readonly SystemGpu[],
): { readonly adapters: readonly AdapterInfo[]; readonly error: ArgumentError | null } {
  if (own.length === 0) return { adapters: [], error: null };
  const all = entriesIn(value);
  // CUDA ends the list before -1. Old versions of Slurm give NoDevFiles to steps without a GPU.
  const end = all.findIndex((entry) => entry === "-1" || entry === "NoDevFiles");
  const entries = end < 0 ? all : all.slice(0, end);
  const found = entries.map((entry) => {
    // Level Zero numbers the parts of a device, too: 0.1.
    const index = /^(\d+)(\.\d+)*$/.exec(entry)?.[1];
    return index === undefined ? withUuid(own, entry, system()) : own[Number(index)];
  });
  const adapters = found.filter((one) => one !== undefined);
  return { adapters, error: adapters.length === entries.length ? null : unknownGpu(variable, value, own) };
}

/** Tools accept the beginning of a UUID. */
function withUuid(own: readonly AdapterInfo[], uuid: string, system: readonly SystemGpu[]): AdapterInfo | undefined {
  const matches = system.filter((gpu) => gpu.uuid?.toLowerCase().startsWith(uuid.toLowerCase()));
  const pcis = matches.map(({ pci }) => pci);
  const found = own.filter(({ pci }) => pci !== null && pcis.includes(pci));
  return matches.length === 1
    ? (found[0] ?? (own.length === 1 && own[0]?.pci === null ? own[0] : undefined))
    : undefined;
}

function ofSlurm(
  gpus: readonly AdapterInfo[],
  variable: string,
  value: string,
  system: readonly SystemGpu[],
): readonly AdapterInfo[] {
  const numbers = entriesIn(value).flatMap((entry) => {
    const [, first, last = first] = /^(\d+)(?:-(\d+))?$/.exec(entry) ?? [];
    if (first === undefined) throw unknownGpu(variable, value, gpus);
    return Array.from({ length: Math.max(0, Number(last) - Number(first) + 1) }, (_, k) => Number(first) + k);
  });
  // Slurm lets the process open those only (ConstrainDevices), or it has all.
  if (numbers.length >= gpus.length) return gpus;
  const vendors = gpus.map(({ vendor }) => vendor);
  const files = system.filter(({ vendor }) => vendors.includes(vendor)).sort((a, b) => a.minor - b.minor);
  const places = files.length > 0 ? files.map(({ pci }) => pci) : null;
  const ordered = [...gpus].sort((a, b) => comparePci(a.pci, b.pci));
  return numbers.map((number) => {
    const found = places ? gpus.find(({ pci }) => pci !== null && pci === places[number]) : ordered[number];
    if (found) return found;
    throw unknownGpu(variable, value, gpus);
  });
}

function entriesIn(value: string): string[] {
  return value
    .split(",")
    .map((entry) => entry.trim())
    .filter((entry) => entry !== "");
}

function unknownGpu(variable: string, value: string, gpus: readonly AdapterInfo[]): ArgumentError {
  const known = gpus.map(({ name, pci }) => (pci === null ? name : `${name} at ${pci}`)).join("; ");
  return new ArgumentError(
    "webgpu",
    variable,
    `GPUs among the ${gpus.length} that Vulkan shows (${known})`,
    `"${value}"`,
  );
}
