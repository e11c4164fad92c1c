// The devices that reference values can be checked on.

import type { Backend } from "../../src/backend/backend.ts";
import { createWasmBackend } from "../../src/backend/wasm/backend.ts";
import type { DType } from "../../src/core/dtype.ts";
import { ArgumentError } from "../../src/core/errors.ts";
import { createOracleBackend } from "../support/oracleBackend.ts";

export const DEVICES = ["wasm", "webgpu", "oracle"] as const;
export type Device = (typeof DEVICES)[number];

/** The precision a device works in unless told otherwise. */
export function defaultDtype(device: Device): DType {
  return device === "webgpu" ? "f32" : "f64";
}

/** @throws {ArgumentError} a precision that the device does not have */
export async function openDevice(device: Device, dtype: DType): Promise<Backend> {
  if (device === "oracle") {
    if (dtype !== "f64") throw new ArgumentError("goldens", "dtype", "f64, the oracle's only precision", dtype);
    return createOracleBackend();
  }
  if (device === "wasm") return createWasmBackend({ dtype });
  throw new ArgumentError("goldens", "device", "wasm or oracle", device);
}
