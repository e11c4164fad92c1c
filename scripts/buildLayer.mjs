// Compiles the Vulkan layer (vulkan/deviceNames.c) for Linux on x64 and arm64, wherever this machine has a compiler for them, into dist/vulkan.
// Without one, nothing is lost but on machines with several equal GPUs and no compiler either.

import { builtLayerFolder, compileLayer } from "../dist/src/backend/webgpu/vulkanLayer.js";

const CROSS = { x64: "x86_64-linux-gnu-gcc", arm64: "aarch64-linux-gnu-gcc" };

for (const [arch, cross] of Object.entries(CROSS)) {
  const isOwn = process.platform === "linux" && process.arch === arch;
  try {
    await compileLayer(isOwn ? process.env.CC || "cc" : cross, builtLayerFolder(arch));
  } catch (error) {
    console.log(`# Vulkan layer for linux-${arch}: SKIPPED: ${error.message}`);
  }
}
