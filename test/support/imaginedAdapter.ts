// Adapters that no machine has.

import type { AdapterInfo } from "../../src/backend/webgpu/dawn.ts";

const FACTS: AdapterInfo = {
  ...{ index: 0, name: "Great GPU", pci: null, obstacle: null, isSoftware: false },
  ...{ api: "vulkan", vendor: "maker", architecture: "", driver: "driver 1.2" },
  ...{ features: ["subgroups"], toggles: {} },
  limits: { maxBufferSize: 2 ** 31, maxStorageBufferBindingSize: 2 ** 30, maxStorageBuffersPerShaderStage: 12 },
};

/** An adapter with these facts, and others that do not matter. */
export function imaginedAdapter(facts: Partial<AdapterInfo>): AdapterInfo {
  return { ...FACTS, ...facts };
}
