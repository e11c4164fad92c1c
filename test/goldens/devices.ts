// The devices that reference values can be checked on.

import type { Backend } from "../../src/backend/backend.ts";
import { createBackend } from "../../src/backend/select.ts";
import type { DType } from "../../src/core/dtype.ts";
import { ArgumentError } from "../../src/core/errors.ts";
import { createOracleBackend } from "../support/oracleBackend.ts";
import { requireTestAdapter } from "../support/softwareAdapter.ts";

export const DEVICES = ["wasm", "webgpu", "oracle"] as const;
export type Device = (typeof DEVICES)[number];

/** The precision a device works in unless told otherwise. */
export function defaultDtype(device: Device): DType {
  return device === "webgpu" ? "f32" : "f64";
}

/** @throws {EngineError} a precision that the device does not have, or a device that is not there */
export async function openDevice(device: Device, dtype: DType): Promise<Backend> {
  // Without a GPU the software adapter of the tests computes the same programs.
  if (device === "webgpu") await requireTestAdapter();
  if (device !== "oracle") return createBackend({ device, dtype });
  if (dtype !== "f64") throw new ArgumentError("goldens", "dtype", "f64, the oracle's only precision", dtype);
  return createOracleBackend();
}
