// Facts about the machine, needed to judge a measurement: card, driver, clocks, how Vulkan was found.

import { existsSync, readFileSync } from "node:fs";
import { describeMachine } from "../../../dist/bench/machine.js";
import { gpuVariables } from "../../../dist/src/backend/webgpu/assignedGpus.js";
import { listAdapters } from "../../../dist/src/backend/webgpu/dawn.js";
import { hasVulkanLoader } from "../../../dist/src/backend/webgpu/vulkanLoader.js";
import { COMMIT } from "../archive.mjs";
import { nvidiaSmi } from "../nvidiaSmi.mjs";

const VARIABLES = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES", "LD_LIBRARY_PATH", "AXOGRAD_ADAPTER", "AXOGRAD_DAWN"];

export async function run({ row }) {
  const environment = Object.fromEntries(VARIABLES.map((name) => [name, process.env[name] ?? null]));
  const host = describeMachine();
  row({ name: "host", ...host, commit: existsSync(COMMIT) ? readFileSync(COMMIT, "utf8") : host.commit });
  row({ name: "Vulkan", loader: hasVulkanLoader(), environment, assigned: gpuVariables() });
  row({ name: "nvidia-smi", when: "at rest, before any work", ...nvidiaSmi() });
  const adapters = await listAdapters();
  for (const { name, ...facts } of adapters) row({ name: "adapter", adapter: name, ...facts });
  if (adapters.length === 0) row({ name: "adapter", error: "none found" });
}
