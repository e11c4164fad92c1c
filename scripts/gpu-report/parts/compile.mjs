// Times the pipelines of a first step, all requested at once from a driver that does not know them, to compare with a cold start, which requests
// them one after another.

import { readFileSync } from "node:fs";
import { createWebGpuBackend } from "../../../dist/src/backend/webgpu/backend.js";
import { sourcesFile } from "../tutorialStep.mjs";

export async function run({ folder, batch, row }) {
  const sources = JSON.parse(readFileSync(sourcesFile(folder, batch), "utf8"));
  const { device } = await createWebGpuBackend();
  const begin = performance.now();
  await Promise.all(sources.map((code) => pipelineOf(device, code)));
  row({
    name: "pipelines of a first step, all at once, cold",
    batch,
    pipelines: sources.length,
    wallUs: 1000 * (performance.now() - begin),
  });
}

function pipelineOf(device, code) {
  const module = device.createShaderModule({ code });
  return device.createComputePipelineAsync({ layout: "auto", compute: { module, entryPoint: "main" } });
}
