// A process whose environment names the drivers: lists its adapters, opens those that it is given one after another, with a new list before each,
// and uses all of them together. Prints what it found as JSON, and on stderr "open WANTED" before each, between the lines of Vulkan's loader.
//
// node adaptersProcess.js FOLDER_WITH_A_LOADER WANTED…

import { writeSync } from "node:fs";
import { createWebGpuBackend, type WebGpuBackend } from "../../src/backend/webgpu/backend.ts";
import { listAdapters, rescanAdapters } from "../../src/backend/webgpu/dawn.ts";
import { BackendError } from "../../src/core/errors.ts";
import { needLoader } from "./softwareAdapter.ts";

/** What became of one that was to be opened. */
export interface Opened {
  readonly index?: number;
  readonly pci?: string | null;
  /** Its error. */
  readonly code?: string;
  readonly message?: string;
}

export interface AdaptersFound {
  readonly adapters: readonly {
    readonly name: string;
    readonly pci: string | null;
    readonly obstacle: string | null;
  }[];
  readonly opened: readonly Opened[];
  /** Variables of Vulkan's loader about layers, afterwards. */
  readonly layerVariables: readonly string[];
}

const [folder = "", ...wanted] = process.argv.slice(2);
needLoader(folder);
const adapters = (await listAdapters()).map(({ name, pci, obstacle }) => ({ name, pci, obstacle }));
const opened: Opened[] = [];
const alive: WebGpuBackend[] = [];
for (const adapter of wanted) {
  await rescanAdapters();
  writeSync(2, `open ${adapter}\n`);
  try {
    const backend = await createWebGpuBackend({ adapter });
    const { index, pci } = backend.adapter;
    opened.push({ index, pci });
    alive.push(backend);
  } catch (error) {
    if (!(error instanceof BackendError)) throw error;
    opened.push({ code: error.code, message: error.message });
  }
}
for (const [k, backend] of alive.entries()) {
  const numbers = backend.buffer("numbers", 4);
  backend.fill(numbers, k);
  const [first] = await backend.download(numbers);
  if (first !== k) throw new Error(`expected ${k} of device ${k}, got ${first}`);
  await backend.dispose();
}
const layerVariables = Object.keys(process.env).filter((name) => /^VK_.*LAYER/.test(name));
const found: AdaptersFound = { adapters, opened, layerVariables };
writeSync(1, JSON.stringify(found));
// Dawn's instances keep the process alive.
process.exit(0);
