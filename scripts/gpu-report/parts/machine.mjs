// What a reader must know about the machine to read a number: card, driver, clocks, how Vulkan was found.

import { cpus, release, totalmem } from "node:os";
import { hasVulkanLoader, listAdapters } from "../../../dist/src/backend/webgpu/dawn.js";
import { nvidiaSmi } from "../nvidiaSmi.mjs";

const VARIABLES = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES", "LD_LIBRARY_PATH", "AXOGRAD_ADAPTER", "AXOGRAD_DAWN"];

export async function run({ row }) {
  const environment = Object.fromEntries(VARIABLES.map((name) => [name, process.env[name] ?? null]));
  const cpu = cpus()[0]?.model.trim() ?? "unknown";
  row({ name: "host", node: process.version, kernel: release(), cpu, cores: cpus().length, memoryBytes: totalmem() });
  row({ name: "Vulkan", loader: hasVulkanLoader(), environment });
  row({ name: "nvidia-smi", ...nvidiaSmi() });
  const adapters = await listAdapters();
  for (const { name, ...facts } of adapters) row({ name: "adapter", adapter: name, ...facts });
  if (adapters.length === 0) row({ name: "adapter", error: "none found" });
}
