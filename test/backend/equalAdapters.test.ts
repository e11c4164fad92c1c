// Equal adapters: each of three copies of SwiftShader is opened, as the log of Vulkan's loader shows, or refused.

import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import * as assert from "uvu/assert";
import { compileLayer, layerVariables, placeOf, vulkanLayer, withLayer } from "../../src/backend/webgpu/vulkanLayer.ts";
import { BackendError } from "../../src/core/errors.ts";
import { tempDir } from "../io/fixtures.ts";
import type { AdaptersFound } from "../support/adaptersProcess.ts";
import { note } from "../support/note.ts";
import { repositoryRoot } from "../support/shared.ts";
import { testOrSkip } from "../support/skip.ts";
import { SWIFTSHADER_MANIFEST, swiftShaderFolder } from "../support/softwareAdapter.ts";
import { suite } from "../support/suite.ts";

const test = suite("webgpu, equal adapters");

const COPIES = [0, 1, 2] as const;
const DRIVER = "libvk_swiftshader.so";
const PROGRAM = fileURLToPath(new URL("../support/adaptersProcess.js", import.meta.url));
const COMPILER = process.env.CC || "cc";

const driver = swiftShaderFolder();
const hasCompiler = spawnSync(COMPILER, ["--version"]).status === 0;
const canRun = driver !== null && hasCompiler;
const WHY_NOT = driver === null ? "SwiftShader runs on linux-x64" : `no C compiler (${COMPILER})`;

/** A folder with copies of the driver, and their manifests as the loader takes them. */
function copies(count: number): { readonly folder: string; readonly manifests: string } {
  const folder = tempDir();
  const manifests = COPIES.slice(0, count).map((k) => {
    const copy = join(folder, `copy${k}`);
    mkdirSync(copy);
    for (const file of [DRIVER, SWIFTSHADER_MANIFEST]) copyFileSync(join(driver!, file), join(copy, file));
    return join(copy, SWIFTSHADER_MANIFEST);
  });
  return { folder, manifests: manifests.join(delimiter) };
}

interface Observed extends AdaptersFound {
  /** By what was to be opened, in order: the copies of the driver on which the loader created devices. */
  readonly copies: readonly string[];
  /** Vulkan instances that the loader created. */
  readonly instances: number;
  readonly log: string;
}

/** Opens adapters in a process that has three copies of the driver, or fewer. */
function observe(
  wanted: readonly string[],
  { count = 3, env = {} }: { readonly count?: number; readonly env?: Readonly<Record<string, string>> } = {},
): Observed {
  const { manifests } = copies(count);
  const clean = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^VK_|^AXOGRAD_(ADAPTER|DAWN)|_DEVICES$|_MASK$|^SLURM_/.test(name)),
  );
  const { status, stdout, stderr, error } = spawnSync(process.execPath, [PROGRAM, driver!, ...wanted], {
    env: { ...clean, VK_ICD_FILENAMES: manifests, VK_DRIVER_FILES: manifests, VK_LOADER_DEBUG: "all", ...env },
    encoding: "utf8",
    timeout: 120_000,
    maxBuffer: 2 ** 26,
  });
  assert.is(status, 0, `${error ?? ""}${stderr.slice(-2000)}`);
  const parts = stderr.split(/^open .*\n/m).slice(1);
  return {
    ...(JSON.parse(stdout) as AdaptersFound),
    copies: parts.map((log) =>
      [...log.matchAll(/Using .* with driver: .*\/(copy\d)\//g)].map(([, copy]) => copy).join(),
    ),
    instances: stderr.match(/vkCreateInstance layer callstack setup/g)?.length ?? 0,
    log: stderr,
  };
}

testOrSkip(test, canRun, WHY_NOT, "three equal adapters are each opened by index, in one process", () => {
  const { adapters, opened, copies: used, layerVariables: left } = observe(["2", "0", "1", "0", "3"]);
  assert.is(adapters.length, 3);
  assert.equal([...new Set(adapters.map(({ name }) => name))].length, 1);
  assert.equal(
    opened.map(({ index, code }) => index ?? code),
    [2, 0, 1, 0, "no-adapter"],
  );
  assert.match(opened[4]!.message!, /adapters 0: SwiftShader.*; 1: SwiftShader.*; 2: SwiftShader.*, got 3 \(adapter\)/);
  const [two, zero, one, again, none] = used;
  assert.equal([zero, one, two].toSorted(), ["copy0", "copy1", "copy2"]);
  assert.is(again, zero);
  assert.is(none, "");
  assert.equal(left, [], "child processes inherit nothing");
});

testOrSkip(test, canRun, WHY_NOT, "they are in the order of their PCI addresses, and opened by them", () => {
  // A layer below pretends that the drivers report addresses.
  const folder = tempDir();
  const source = join(repositoryRoot(), "test/backend/pciAddresses.c");
  execFileSync(COMPILER, ["-shared", "-fPIC", "-o", join(folder, "libtest.so"), source]);
  const layer = { name: "VK_LAYER_AXOGRAD_test", type: "GLOBAL", library_path: "./libtest.so", api_version: "1.3.0" };
  const manifest = {
    file_format_version: "1.1.2",
    layer: { ...layer, implementation_version: "1", description: "test" },
  };
  writeFileSync(join(folder, "test.json"), JSON.stringify(manifest));
  const env = { VK_LAYER_PATH: folder, VK_INSTANCE_LAYERS: layer.name };
  const { adapters, opened, copies: used } = observe(["0", "1", "2", "16:00.0", "0000:15:00.0", "19:00.0"], { env });
  const addresses = ["0000:15:00.0", "0000:16:00.0", "0000:17:00.0"];
  assert.equal(
    adapters.map(({ pci }) => pci),
    addresses,
  );
  assert.equal(
    opened.map(({ pci, code }) => pci ?? code),
    [...addresses, addresses[1], addresses[0], "no-adapter"],
  );
  assert.match(opened[5]!.message!, /1: SwiftShader.* \(0000:16:00\.0\); .* got 19:00\.0 \(adapter\)/);
  const [lowest, middle, highest, ...again] = used;
  assert.equal([lowest, middle, highest].toSorted(), ["copy0", "copy1", "copy2"]);
  assert.equal(again, [middle, lowest, ""]);
});

testOrSkip(
  test,
  canRun,
  WHY_NOT,
  "where the loader does not load the layer, the first is opened and the others are refused",
  () => {
    const {
      adapters,
      opened,
      copies: used,
    } = observe(["0", "1", "16:00.0"], {
      env: { VK_LOADER_LAYERS_DISABLE: "~all~" },
    });
    if (adapters.every(({ obstacle }) => obstacle === null)) {
      note("skipped: refusal of equal adapters (a loader older than 1.3.234 does not know VK_LOADER_LAYERS_DISABLE)");
      return;
    }
    assert.equal(
      adapters.map(({ obstacle }) => obstacle === null),
      [true, false, false],
    );
    assert.equal(
      opened.map(({ index, code }) => index ?? code),
      [0, "equal-adapters", "no-adapter"],
    );
    assert.match(
      opened[1]!.message!,
      /told apart, got 3 with the name SwiftShader.*did not load.* Or show each process one GPU/,
    );
    assert.match(opened[2]!.message!, /PCI addresses are not known: Vulkan's loader did not load/);
    assert.equal(used.slice(1), ["", ""]);
  },
);

testOrSkip(test, canRun, WHY_NOT, "a user may load the layer, as where a process cannot set variables", async () => {
  const { folder } = await vulkanLayer();
  const { adapters, opened } = observe(["1"], { env: layerVariables(folder, {}) });
  assert.equal([adapters.length, opened[0]!.index], [3, 1]);
  assert.not.match(adapters[1]!.name, /axograd/);
});

testOrSkip(test, driver !== null, WHY_NOT, "one adapter costs what it did: two Vulkan instances, no layer", () => {
  const { adapters, opened, instances, log } = observe(["0"], { count: 1 });
  assert.equal([adapters.length, opened[0]!.index], [1, 0]);
  // The list is made anew before it is opened, so both are there twice.
  assert.is(instances, 4);
  assert.not.match(log, /VK_LAYER_AXOGRAD/);
});

testOrSkip(test, canRun, WHY_NOT, "a layer that the package lacks is compiled once, whoever comes first", async () => {
  const cache = join(tempDir(), "cache");
  const sources = { built: join(cache, "nothing"), cache };
  const layers = await Promise.all(Array.from({ length: 4 }, () => vulkanLayer(sources)));
  assert.is(new Set(layers.map(({ folder }) => folder)).size, 1);
  const { folder } = layers[0]!;
  assert.equal(readdirSync(cache).length, 1, "no partial ones are left");
  assert.equal(readdirSync(folder).toSorted(), ["libVkLayer_axograd.so", "manifest.json"]);
  assert.match((await vulkanLayer(sources)).origin, /^compiled earlier/);
});

testOrSkip(test, canRun, WHY_NOT, "where nothing can be kept, it is compiled for the process", async () => {
  const file = join(tempDir(), "file");
  writeFileSync(file, "");
  const sources = { built: file, cache: join(file, "cache") };
  const { folder, origin } = await vulkanLayer(sources);
  assert.ok(existsSync(join(folder, "manifest.json")) && !folder.startsWith(file));
  assert.match(origin, /^compiled for this process/);
  assert.is((await vulkanLayer(sources)).folder, folder, "once");
});

testOrSkip(test, canRun, WHY_NOT, "nothing is loaded from a folder that others can write", async () => {
  const parent = join(tempDir(), "parent");
  const cache = join(parent, "cache");
  const sources = { built: join(cache, "nothing"), cache };
  const { folder } = await vulkanLayer(sources);
  for (const open of [folder, cache, parent]) {
    chmodSync(open, 0o777);
    const made = await vulkanLayer(sources).catch((error) => ({ folder: null, origin: String(error) }));
    assert.is.not(made.folder, folder, open);
    chmodSync(open, 0o700);
    assert.is((await vulkanLayer(sources)).folder, folder);
  }
});

test("without a layer and a compiler, the reason is said", async () => {
  const cache = tempDir();
  const nowhere = { built: join(cache, "nothing"), cache };
  const cases = [
    [{ ...nowhere, compiler: "no-such-compiler" }, "no C compiler (no-such-compiler)"],
    [{ ...nowhere, compiler: process.execPath }, "cannot compile it"],
    [{ platform: "win32" }, "only on Linux"],
  ] as const;
  for (const [sources, reason] of cases) {
    try {
      await vulkanLayer({ platform: "linux", ...sources });
      assert.unreachable(reason);
    } catch (error) {
      assert.instance(error, BackendError);
      assert.is((error as BackendError).code, "vulkan-layer");
      assert.ok((error as Error).message.includes(reason), (error as Error).message);
    }
  }
  assert.equal(readdirSync(cache), [], "nothing is left");
});

testOrSkip(test, hasCompiler, `no C compiler (${COMPILER})`, "the layer compiles without a warning", async () => {
  const source = join(repositoryRoot(), "vulkan/deviceNames.c");
  const flags = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror", "-fsyntax-only"];
  assert.is(spawnSync(COMPILER, [...flags, source], { encoding: "utf8" }).stderr, "");
  const folder = join(tempDir(), "layer");
  await compileLayer(COMPILER, folder);
  assert.equal(readFileSync(join(folder, "libVkLayer_axograd.so")).subarray(0, 4).toString("latin1"), "\x7fELF");
});

test("the user's layers stay, and the variables are set for the call only", () => {
  const name = "VK_LAYER_AXOGRAD_device_names";
  const cases = [
    [{}, { VK_INSTANCE_LAYERS: name, VK_LAYER_PATH: "/l" }],
    [{ VK_INSTANCE_LAYERS: "A:B" }, { VK_INSTANCE_LAYERS: `${name}:A:B`, VK_ADD_LAYER_PATH: "/l" }],
    [{ VK_LOADER_LAYERS_ENABLE: "*x*" }, { VK_INSTANCE_LAYERS: name, VK_ADD_LAYER_PATH: "/l" }],
    [
      { VK_LAYER_PATH: "/u", VK_INSTANCE_LAYERS: "A" },
      { VK_INSTANCE_LAYERS: `${name}:A`, VK_LAYER_PATH: "/l:/u" },
    ],
    [{ VK_ADD_LAYER_PATH: "/u" }, { VK_INSTANCE_LAYERS: name, VK_ADD_LAYER_PATH: "/l:/u" }],
  ] as const;
  for (const [environment, expected] of cases) assert.equal(layerVariables("/l", environment), expected);
  const before = { ...process.env };
  const layer = { folder: "/l", origin: "" };
  assert.is(
    withLayer(layer, () => process.env.VK_INSTANCE_LAYERS),
    layerVariables("/l", before).VK_INSTANCE_LAYERS,
  );
  assert.equal({ ...process.env }, before);
  assert.throws(() =>
    withLayer(layer, () => {
      throw new Error("no");
    }),
  );
  assert.equal({ ...process.env }, before);
});

test("the layer's names are read, and others left alone", () => {
  assert.equal(placeOf("NVIDIA H200 [axograd 2 0000:65:00.0]"), { name: "NVIDIA H200", pci: "0000:65:00.0" });
  assert.equal(placeOf("A [b] c [axograd 11 -]"), { name: "A [b] c", pci: null });
  for (const other of ["NVIDIA H200", "X [axograd]", "X [axograd 1 -] y"]) assert.is(placeOf(other), null);
});

test.run();
