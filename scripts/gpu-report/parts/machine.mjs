// What a reader must know about the machine to read a number: card, driver, clocks, how Vulkan was found.

import { spawnSync } from "node:child_process";
import { cpus, release, totalmem } from "node:os";
import { hasVulkanLoader, listAdapters } from "../../../dist/src/backend/webgpu/dawn.js";

const QUERY =
  "name,driver_version,clocks.sm,clocks.mem,clocks.max.sm,clocks.max.mem,power.limit,temperature.gpu,memory.total,pstate";
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

function nvidiaSmi() {
  const { status, stdout, error } = spawnSync("nvidia-smi", [`--query-gpu=${QUERY}`, "--format=csv,noheader"], {
    encoding: "utf8",
  });
  if (error) return { skipped: `not there (${error.code})` };
  return status === 0 ? { query: QUERY, text: stdout.trim() } : { error: `exit code ${status}` };
}
