// One test body on both devices: what every backend must do alike.

import type { Test } from "uvu";
import * as assert from "uvu/assert";
import type { Backend } from "../../src/backend/backend.ts";
import { createWasmBackend } from "../../src/backend/wasm/backend.ts";
import { createWebGpuBackend } from "../../src/backend/webgpu/backend.ts";
import { BackendError } from "../../src/core/errors.ts";
import { requireTestAdapter } from "./softwareAdapter.ts";
import { suite } from "./suite.ts";

/** What a test gets: the backend under test, and another one of the same device. */
export interface OnDevice {
  backend: Backend;
  other: Backend;
}

const open = { wasm: () => createWasmBackend({ threads: 1 }), webgpu: () => createWebGpuBackend() } as const;

/** Registers a suite for WASM and, where there is an adapter, for WebGPU, and schedules them; `define` adds the tests. */
export async function forEachDevice(title: string, define: (test: Test<OnDevice>) => void): Promise<void> {
  const adapter = await requireTestAdapter();
  for (const device of ["wasm", ...(adapter ? (["webgpu"] as const) : [])] as const) {
    const test = suite<OnDevice>(`${title}, ${device}`, {} as OnDevice);
    test.before(async (context) => {
      context.backend = await open[device]();
      context.other = await open[device]();
    });
    define(test);
    test.after(async ({ backend, other }) => {
      await backend.dispose();
      await other.dispose();
    });
    test.run();
  }
}

/** The error that `action` throws or rejects with. @throws unless it is a BackendError with this code and message */
export async function assertRefused(action: () => unknown, code: string, message: RegExp): Promise<void> {
  let error: unknown = null;
  try {
    await action();
  } catch (thrown) {
    error = thrown;
  }
  if (!(error instanceof BackendError)) throw error ?? new Error(`expected an error of code ${code}, got none`);
  assert.is(error.code, code, error.message);
  assert.match(error.message, message);
}
