// Reads WASM memory out of bounds, as a faulty kernel would: a trap.

import { webAssembly } from "../../../src/backend/wasm/module.ts";

/** (module (memory 1) (func (export "f") (param i32) (result i32) local.get 0 i32.load)) */
const MODULE: Uint8Array<ArrayBuffer> = new Uint8Array([
  ...[0, 97, 115, 109, 1, 0, 0, 0, 1, 6, 1, 96, 1, 127, 1, 127, 3, 2, 1, 0],
  ...[5, 3, 1, 0, 1, 7, 5, 1, 1, 102, 0, 0, 10, 9, 1, 7, 0, 32, 0, 40, 2, 0, 11],
]);

export function outOfBounds(): void {
  const { Instance, Module } = webAssembly();
  const { f } = new Instance(new Module(MODULE), {}).exports as { f(address: number): number };
  f(0x7fffffff);
}
