// What the tests of files share: a temporary folder, the optional data, expected failures, and a writer of small pickles.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deflateRawSync } from "node:zlib";
import type { Test } from "uvu";
import * as assert from "uvu/assert";
import { EngineError } from "../../src/core/errors.ts";
import { crc32 } from "../../src/io/crc32.ts";
import { encodeZip } from "../../src/io/zip.ts";
import { sharedPath } from "../support/shared.ts";
import { testOrSkip } from "../support/skip.ts";

/** A fresh folder, removed when the process ends. */
export function tempDir(): string {
  const dir = mkdtempSync(join(tmpdir(), "axograd-test-"));
  process.once("exit", () => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/**
 * Registers a test that needs files of the optional data folder; it is skipped, and says so, where one of them is absent.
 *
 * @param files paths in the data folder, e.g. "flyvis/flyvis_e2.pt"; `body` gets where they are
 */
export function testWithData<const Files extends readonly string[]>(
  test: Test,
  files: Files,
  name: string,
  body: (...paths: { [K in keyof Files]: string }) => Promise<void>,
): void {
  const paths = files.map((file) => sharedPath("data", ...file.split("/")));
  const found = paths.filter((path) => path !== null);
  testOrSkip(test, found.length === files.length, `optional data: ${files.join(", ")}`, name, () =>
    body(...(found as { [K in keyof Files]: string })),
  );
}

/** Runs `action` and demands an EngineError with this code and a message that matches every pattern. */
export async function fails(action: () => unknown, code: string, ...patterns: readonly RegExp[]): Promise<void> {
  try {
    await action();
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    assert.is(error.code, code, error.message);
    for (const pattern of patterns) assert.match(error.message, pattern);
    return;
  }
  assert.unreachable(`expected a failure with code ${code}`);
}

/** A value to pickle. */
export type Pickled =
  | string
  | number
  | boolean
  | null
  | { readonly global: string }
  | { readonly tuple: readonly Pickled[] }
  | { readonly dict: readonly (readonly [string, Pickled])[] }
  | { readonly call: string; readonly args: readonly Pickled[] }
  | { readonly persistent: Pickled };

/** A pickle of protocol 2. Names are given as "module name". */
export function pickle(value: Pickled): Uint8Array {
  const bytes: number[] = [0x80, 2];
  const text = (s: string): number[] => Array.from(new TextEncoder().encode(s));
  const u32 = (n: number): number[] => [n & 255, (n >> 8) & 255, (n >> 16) & 255, (n >> 24) & 255];
  const global = (name: string): void => {
    const [module, attribute] = name.split(" ");
    bytes.push(0x63, ...text(`${module}\n${attribute}\n`));
  };
  const write = (v: Pickled): void => {
    if (v === null) bytes.push(0x4e);
    else if (typeof v === "boolean") bytes.push(v ? 0x88 : 0x89);
    else if (typeof v === "number") bytes.push(0x4a, ...u32(v));
    else if (typeof v === "string") bytes.push(0x58, ...u32(text(v).length), ...text(v));
    else if ("global" in v) global(v.global);
    else if ("tuple" in v) {
      bytes.push(0x28);
      v.tuple.forEach(write);
      bytes.push(0x74);
    } else if ("dict" in v) {
      bytes.push(0x7d, 0x28);
      for (const [key, entry] of v.dict) {
        write(key);
        write(entry);
      }
      bytes.push(0x75);
    } else if ("call" in v) {
      global(v.call);
      write({ tuple: v.args });
      bytes.push(0x52);
    } else {
      write(v.persistent);
      bytes.push(0x51);
    }
  };
  write(value);
  bytes.push(0x2e);
  return Uint8Array.from(bytes);
}

/** Bytes of a .pt archive with this pickle and these storages. */
export function torchZip(
  data: Uint8Array,
  storages: Readonly<Record<string, Uint8Array>>,
  extra: Readonly<Record<string, string>> = {},
): Uint8Array {
  return encodeZip([
    { name: "archive/data.pkl", bytes: data },
    ...Object.entries(storages).map(([key, bytes]) => ({ name: `archive/data/${key}`, bytes })),
    ...Object.entries(extra).map(([name, text]) => ({
      name: `archive/${name}`,
      bytes: new TextEncoder().encode(text),
    })),
  ]);
}

/** The pickled call that rebuilds a tensor, contiguous unless strides are given, from storage `key` of `length` elements. */
export function tensor(
  storage: string,
  key: string,
  shape: readonly number[],
  strides?: readonly number[],
  length: number = shape.reduce((a, b) => a * b, 1),
): Pickled {
  const steps = strides ?? shape.map((_, d) => shape.slice(d + 1).reduce((a, b) => a * b, 1));
  return {
    call: "torch._utils _rebuild_tensor_v2",
    args: [
      { persistent: { tuple: ["storage", { global: `torch ${storage}` }, key, "cpu", length] } },
      0,
      { tuple: shape },
      { tuple: steps },
      false,
      { call: "collections OrderedDict", args: [] },
    ],
  };
}

/** The pickled call that rebuilds a sparse tensor of a layout from its parts; `flag` is torch 2's coalesced flag. */
export function sparseTensor(
  layout: string,
  parts: readonly Pickled[],
  shape: readonly number[],
  flag?: boolean,
): Pickled {
  return {
    call: "torch._utils _rebuild_sparse_tensor",
    args: [
      { call: "torch.serialization _get_layout", args: [layout] },
      { tuple: [...parts, { call: "torch Size", args: [{ tuple: shape }] }, ...(flag === undefined ? [] : [flag])] },
    ],
  };
}

/** Bytes of a zip archive with one entry, packed as such archives mostly are. */
export function packedZip(name: string, bytes: Uint8Array): Uint8Array {
  const data = deflateRawSync(bytes);
  const zip = encodeZip([{ name, bytes: data }]);
  const view = new DataView(zip.buffer);
  const directory = 30 + name.length + data.length;
  for (const at of [4, directory + 6]) {
    view.setUint16(at + 4, 8, true); // deflate
    view.setUint32(at + 10, crc32(bytes), true);
    view.setUint32(at + 18, bytes.length, true);
  }
  return zip;
}

/** The memory of typed data. */
export function bytesOf(data: ArrayBufferView): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

/** 64-bit integers. */
export function longs(...values: readonly number[]): Uint8Array {
  return bytesOf(BigInt64Array.from(values, BigInt));
}
