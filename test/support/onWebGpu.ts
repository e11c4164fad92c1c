// Suites on WebGPU, where there is an adapter. It is looked for when this module is loaded: before a file registers its first suite, as uvu
// runs what is registered as soon as the file pauses.

import type { Test } from "uvu";
import type { Backend } from "../../src/backend/backend.ts";
import { createWebGpuBackend } from "../../src/backend/webgpu/backend.ts";
import { onBackend, type WithBackend } from "./backends.ts";
import { requireTestAdapter } from "./softwareAdapter.ts";

/** Whether there is an adapter. */
export const hasAdapter: boolean = (await requireTestAdapter()) !== null;

/** Registers a suite on WebGPU, where there is an adapter, and schedules it; `define` adds its tests, which get the backend as their context. */
export function onWebGpu(
  title: string,
  define: (test: Test<WithBackend>) => void,
  open: () => Promise<Backend> = () => createWebGpuBackend(),
): void {
  if (hasAdapter) onBackend(`${title}, webgpu`, open, define);
}
