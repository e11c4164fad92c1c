// An adapter for WebGPU tests on any machine: the one that AXOGRAD_ADAPTER names, or else what the system has, GPUs first, else SwiftShader
// (a Vulkan device on the CPU) out of the npm package @sparticuz/chromium, which needs no installation. SwiftShader computes for real; it
// says nothing about speed.

import { mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { brotliDecompressSync } from "node:zlib";
import { suite } from "uvu";
import {
  type AdapterInfo,
  adapterAmong,
  adapterOfEnvironment,
  hasVulkanLoader,
  listAdapters,
  rescanAdapters,
} from "../../src/backend/webgpu/dawn.ts";
import { BackendError } from "../../src/core/errors.ts";
import { CONTRACTION_VARIABLE, contracted, rewriteShaders } from "./contraction.ts";
import { ADAPTER_NOTE, note } from "./note.ts";

/** RTLD_NODELETE of glibc: Node closes what it could not register as an add-on, but the library has to stay. */
const RTLD_NODELETE = 0x1000;
const LOADER = "libvulkan.so.1";
const DRIVER = "vk_swiftshader_icd.json";

export { DRIVER as SWIFTSHADER_MANIFEST };

/**
 * The adapter that tests run on, made available first where the system has none; null where none can be had.
 * Prints it, so that no log leaves open what was tested.
 */
export async function testAdapter(): Promise<AdapterInfo | null> {
  const adapter = (await systemAdapter()) ?? (await swiftShader());
  if (adapter) note(`${ADAPTER_NOTE}${adapter.name} (${adapter.isSoftware ? "software" : "GPU"})`);
  if (adapter && process.env[CONTRACTION_VARIABLE] === "1") rewriteShaders(contracted);
  return adapter;
}

/** `testAdapter`, but a machine without any is a failure unless AXOGRAD_ALLOW_NO_ADAPTER=1 says that it is known. */
export async function requireTestAdapter(): Promise<AdapterInfo | null> {
  const adapter = await testAdapter();
  if (adapter) return adapter;
  if (process.env.AXOGRAD_ALLOW_NO_ADAPTER !== "1") {
    const wanted = adapterOfEnvironment();
    if (wanted !== undefined) throw new Error(`expected the adapter that AXOGRAD_ADAPTER names (${wanted}), got none`);
    throw new Error(
      "expected an adapter for the WebGPU tests, got none: install dev dependencies (SwiftShader runs on linux-x64), or set " +
        "AXOGRAD_ALLOW_NO_ADAPTER=1 to skip these tests",
    );
  }
  note("no gpu adapter: WebGPU tests SKIPPED (AXOGRAD_ALLOW_NO_ADAPTER=1)");
  const skipped = suite("webgpu");
  skipped.skip("everything: this machine has no adapter");
  skipped.run();
  return null;
}

async function systemAdapter(): Promise<AdapterInfo | null> {
  try {
    return await defaultAdapter();
  } catch (error) {
    // Dawn itself is missing for this platform, so there is nothing to make available.
    if (!(error instanceof BackendError)) throw error;
    note(error.message);
    return null;
  }
}

async function swiftShader(): Promise<AdapterInfo | null> {
  const folder = swiftShaderFolder();
  if (folder === null) return null;
  // The loader reads the environment when it enumerates drivers, not when it is loaded.
  process.env.VK_ICD_FILENAMES = join(folder, DRIVER);
  needLoader(folder);
  await rescanAdapters();
  return defaultAdapter();
}

/** SwiftShader's files, among them a manifest (`SWIFTSHADER_MANIFEST`) and a loader; null: it does not run here. */
export function swiftShaderFolder(): string | null {
  return process.platform === "linux" && process.arch === "x64" ? unpack() : null;
}

/** Loads the loader of this folder where the system has none. */
export function needLoader(folder: string): void {
  if (!hasVulkanLoader()) loadForGood(join(folder, LOADER));
}

/** The adapter that a backend takes where nobody names another. */
async function defaultAdapter(): Promise<AdapterInfo | null> {
  return adapterAmong(await listAdapters(), adapterOfEnvironment() ?? 0) ?? null;
}

/** Loads a library into the process for all, and keeps it. */
function loadForGood(path: string): void {
  try {
    process.dlopen({ exports: {} }, path, constants.dlopen.RTLD_NOW | constants.dlopen.RTLD_GLOBAL | RTLD_NODELETE);
  } catch (error) {
    // Always thrown: a library is no add-on. By then it is loaded.
    if (!/did not self-register/.test(String(error))) throw error;
  }
}

/** Unpacks SwiftShader into a cache folder, once per version; safe when several processes do so at a time. */
function unpack(): string {
  const archive = swiftShaderArchive();
  const { size, mtimeMs } = statSync(archive);
  const folder = join(tmpdir(), `axograd-swiftshader-${size}-${Math.round(mtimeMs)}`);
  if (exists(join(folder, DRIVER))) return folder;
  const partial = `${folder}.${process.pid}`;
  mkdirSync(partial, { recursive: true });
  for (const { name, data } of tarEntries(brotliDecompressSync(readFileSync(archive)))) {
    if (name === LOADER || name === DRIVER || name === "libvk_swiftshader.so") writeFileSync(join(partial, name), data);
  }
  try {
    renameSync(partial, folder);
  } catch (error) {
    if (!exists(join(folder, DRIVER))) throw error;
  }
  return folder;
}

/** The archive in the nearest installation of the package (whose module entry need not be loadable on this version of Node). */
function swiftShaderArchive(): string {
  const folders = createRequire(import.meta.url).resolve.paths("@sparticuz/chromium") ?? [];
  const archives = folders.map((folder) => join(folder, "@sparticuz/chromium/bin/swiftshader.tar.br"));
  const found = archives.find(exists);
  if (found === undefined) throw new Error("expected the dev dependency @sparticuz/chromium (SwiftShader), got none");
  return found;
}

function exists(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}

/** Regular files of a tar archive: 512-byte headers (name at 0, octal size at 124, type at 156), data padded to 512. */
function* tarEntries(tar: Buffer): Generator<{ readonly name: string; readonly data: Buffer }> {
  const text = (from: number, length: number): string => tar.toString("latin1", from, from + length).split("\0")[0]!;
  for (let at = 0; at + 512 <= tar.length && tar[at] !== 0; ) {
    const size = Number.parseInt(text(at + 124, 12), 8) || 0;
    if (text(at + 156, 1) === "0") yield { name: text(at, 100), data: tar.subarray(at + 512, at + 512 + size) };
    at += 512 + Math.ceil(size / 512) * 512;
  }
}
