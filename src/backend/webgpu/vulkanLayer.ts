// The Vulkan layer that tells equal adapters apart (vulkan/deviceNames.c): where its library comes from, how a process loads it, and what the
// names that it gives say. It is loaded only into Vulkan instances created within `withLayer`; child processes inherit nothing of it.

import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { isMainThread } from "node:worker_threads";
import { cacheFolder } from "../../core/cacheFolder.ts";
import { BackendError } from "../../core/errors.ts";
import { setVariable } from "../../core/nativeEnvironment.ts";

/** As in its manifest. */
const NAME = "VK_LAYER_AXOGRAD_device_names";
const LIBRARY = "libVkLayer_axograd.so";
const MANIFEST = "manifest.json";
const FLAGS = ["-O2", "-shared", "-fPIC", "-fvisibility=hidden", "-s"];
/** A compiler that takes longer hangs. */
const MOST_MS = 60_000;

const PACKAGE = new URL("../../../../", import.meta.url);
const SOURCE = fileURLToPath(new URL("vulkan/deviceNames.c", PACKAGE));
const SOURCE_MANIFEST = fileURLToPath(new URL(`vulkan/${MANIFEST}`, PACKAGE));

/** Where `npm run build` puts the library for a processor. */
export function builtLayerFolder(arch: string = process.arch): string {
  return fileURLToPath(new URL(`dist/vulkan/linux-${arch}`, PACKAGE));
}

/** Where the library is, and its origin in words. */
export interface Layer {
  readonly folder: string;
  readonly origin: string;
}

/** Where a layer can come from; by default, from where this process looks for it. */
export interface LayerSources {
  readonly platform?: string;
  /** With the library for this processor. */
  readonly built?: string;
  /** For one that is compiled. */
  readonly cache?: string;
  /** As `compileLayer` takes it. Default: what CC names, or cc. */
  readonly compiler?: string;
}

/**
 * The layer: out of the package, or compiled into the cache folder of the user, once.
 *
 * @throws {BackendError} "vulkan-layer": there is none; says why
 */
export async function vulkanLayer(sources: LayerSources = {}): Promise<Layer> {
  const { platform = process.platform, built = builtLayerFolder(), cache = cacheFolder() } = sources;
  const { compiler = process.env.CC || "cc" } = sources;
  if (platform !== "linux") throw new BackendError("vulkan-layer", "only on Linux a Vulkan layer can tell them apart");
  if (existsSync(join(built, LIBRARY))) return { folder: built, origin: "of the package" };
  const folder = join(cache, `vulkan-layer-${process.arch}-${sourceHash()}`);
  if (existsSync(join(folder, LIBRARY)) && isSafe(folder)) return { folder, origin: `compiled earlier, in ${folder}` };
  const own = temporaryFolders.get(folder);
  if (own !== undefined) return temporaryLayer(own);
  const partial = newFolderFor(folder);
  try {
    await compileLayer(compiler, partial);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    const missing = `this package has no Vulkan layer for ${platform}-${process.arch}, and ${why}`;
    throw new BackendError("vulkan-layer", missing, {}, error);
  }
  if (dirname(partial) !== dirname(folder)) {
    temporaryFolders.set(folder, partial);
    return temporaryLayer(partial);
  }
  keep(partial, folder);
  return { folder, origin: `compiled, in ${folder}` };
}

/** Folders of this process with the library, by those in the cache that they replace. */
const temporaryFolders = new Map<string, string>();

function temporaryLayer(folder: string): Layer {
  return { folder, origin: `compiled for this process, in ${folder}` };
}

function sourceHash(): string {
  const hash = createHash("sha256");
  for (const file of [SOURCE, SOURCE_MANIFEST]) hash.update(readFileSync(file));
  return hash.digest("hex").slice(0, 16);
}

/** Whether only this user and root can change what is in a folder: code is loaded from no other. */
function isSafe(folder: string): boolean {
  const user = process.geteuid?.();
  for (let at = realpathSync(folder); ; at = dirname(at)) {
    const { uid, mode } = statSync(at);
    // Where the sticky bit is set, as on /tmp, others cannot replace what they do not own.
    const isOpen = (mode & 0o022) !== 0 && (mode & 0o1000) === 0;
    if ((uid !== 0 && uid !== user) || isOpen) return false;
    if (at === dirname(at)) return true;
  }
}

/** A new folder beside this one, or, where nothing can be kept safely there, a temporary one that goes with the process. */
function newFolderFor(folder: string): string {
  try {
    mkdirSync(dirname(folder), { recursive: true, mode: 0o700 });
    if (isSafe(dirname(folder))) return mkdtempSync(`${folder}.`);
  } catch {
    // Nothing can be written there.
  }
  const temporary = mkdtempSync(join(tmpdir(), `${basename(folder)}.`));
  process.once("exit", () => rmSync(temporary, { recursive: true, force: true }));
  return temporary;
}

/** Gives it its name, unless another process was faster. */
function keep(partial: string, folder: string): void {
  try {
    renameSync(partial, folder);
  } catch (error) {
    rmSync(partial, { recursive: true, force: true });
    if (!existsSync(join(folder, LIBRARY)) || !isSafe(folder)) throw error;
  }
}

/**
 * Compiles the library, with its manifest beside it.
 *
 * @param compiler  a command that takes the options of cc, with options of its own as in make's CC
 * @throws {BackendError} "vulkan-layer": there is no such compiler, or it fails
 */
export async function compileLayer(compiler: string, folder: string): Promise<void> {
  mkdirSync(folder, { recursive: true });
  const [program = "", ...options] = compiler.trim().split(/\s+/);
  try {
    await promisify(execFile)(program, [...options, ...FLAGS, "-o", join(folder, LIBRARY), SOURCE], {
      timeout: MOST_MS,
    });
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    const { code, stderr = "" } = error as { readonly code?: unknown; readonly stderr?: string };
    const why =
      code === "ENOENT"
        ? `there is no C compiler (${compiler}); install one (Debian, Ubuntu: apt install gcc libc6-dev)`
        : `${compiler} cannot compile it: ${stderr.trim() || String(error)}`;
    throw new BackendError("vulkan-layer", why, {}, error);
  }
  copyFileSync(SOURCE_MANIFEST, join(folder, MANIFEST));
}

/** The variables of Vulkan's loader that load the layer, besides what the user has it load. */
export function layerVariables(
  folder: string,
  {
    VK_INSTANCE_LAYERS: layers,
    VK_LAYER_PATH: path,
    VK_ADD_LAYER_PATH: added,
    VK_LOADER_LAYERS_ENABLE: enabled,
  }: Readonly<Record<string, string | undefined>>,
): Readonly<Record<string, string>> {
  // The first is nearest to the application, so that no other layer changes the names again. Old loaders go by the order of folders.
  const before = (first: string, list: string | undefined): string => (list ? `${first}:${list}` : first);
  // VK_LAYER_PATH, which all loaders know, replaces the folders where the user's layers are found; VK_ADD_LAYER_PATH (1.3.207) adds to them.
  const adds = !path && (layers || added || enabled);
  return {
    VK_INSTANCE_LAYERS: before(NAME, layers),
    ...(adds ? { VK_ADD_LAYER_PATH: before(folder, added) } : { VK_LAYER_PATH: before(folder, path) }),
  };
}

/** Runs `create`, whose Vulkan instances have the layer. It must create them before it returns. */
export function withLayer<T>({ folder }: Layer, create: () => T): T {
  const { env } = process;
  const variables = Object.entries(layerVariables(folder, env));
  const before = variables.map(([name]) => [name, env[name]] as const);
  for (const [name, value] of variables) setVariable(name, value);
  try {
    return create();
  } finally {
    for (const [name, value] of before) setVariable(name, value);
  }
}

/** What the layer's name of a device says. */
export interface DevicePlace {
  /** The driver's name. */
  readonly name: string;
  /** "0000:65:00.0"; null: the driver does not report it. */
  readonly pci: string | null;
}

/** null: the layer did not name it. */
export function placeOf(deviceName: string): DevicePlace | null {
  const [, name, pci] = /^(.*) \[axograd \d+ (\S+)\]$/.exec(deviceName) ?? [];
  return name === undefined || pci === undefined ? null : { name, pci: pci === "-" ? null : pci };
}

/** Why the loader may not have loaded the layer, and what to do. */
export function notLoaded({ folder }: Layer): string {
  const isDeaf = !isMainThread && process.versions.bun === undefined;
  const why = isDeaf
    ? "a worker thread does not pass variables on to libraries; set before the start: " +
      Object.entries(layerVariables(folder, process.env))
        .map(([name, value]) => `${name}=${value}`)
        .join(" ")
    : "VK_LOADER_DEBUG=all shows why";
  return `Vulkan's loader did not load the layer ${NAME} from ${folder} (${why})`;
}
