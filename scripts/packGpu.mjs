// npm run pack:gpu: one archive that runs on an offline x86-64 Linux machine with a GPU driver and nothing else.
//
//   node scripts/packGpu.mjs [--dist FOLDER] [--out FOLDER] [--verify]
//
// dist-gpu/axograd-gpu-linux-x64.tar.gz contains: Node itself (the one that runs this script), the built library with its tests, the packages
// they need (Dawn for linux-x64 only), a Vulkan loader, the C++ library that Node is linked with (used only if the system has none), a small
// connectome and data set, the peers for CUDA, and `gpu-report`, which generates the large network that it times. --verify unpacks the archive
// into a temporary folder and runs it there with an empty environment, on the software adapter.

import { execFileSync, spawnSync } from "node:child_process";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { brotliDecompressSync, gzipSync } from "node:zlib";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const NAME = "axograd-gpu-linux-x64";
const MOST_BYTES = 60e6;
/** Members of the SwiftShader archive in @sparticuz/chromium. */
const LOADER = "libvulkan.so.1";
const SOFTWARE_DRIVER = ["libvk_swiftshader.so", "vk_swiftshader_icd.json"];
/** NVIDIA's Vulkan driver, with and without X. */
const NVIDIA_LIBRARIES = ["libGLX_nvidia", "libEGL_nvidia"];
/** Side of the visual system's grid of columns: 1,134 neurons. */
const COLUMNS = 9;
const TEST_PACKAGES = ["uvu"];
const CXX = ["libstdc++.so.6", "libgcc_s.so.1"];

const NOTICE = `This archive holds, besides axograd (axograd/LICENSE) and npm packages with their licences in axograd/node_modules:
bin/node           Node.js ${process.version}, MIT and others: https://github.com/nodejs/node/blob/${process.version}/LICENSE
lib/cxx            GCC's runtime libraries, GPL-3.0 with the GCC Runtime Library Exception
lib/vulkan         Vulkan loader, Apache-2.0, as shipped by the npm package @sparticuz/chromium
`;

const { values } = parseArgs({
  options: {
    dist: { type: "string", default: join(ROOT, "dist") },
    out: { type: "string", default: join(ROOT, "dist-gpu") },
    verify: { type: "boolean", default: false },
  },
});

if (process.platform !== "linux" || process.arch !== "x64") {
  throw new Error(
    `pack:gpu: expected to run on linux-x64, whose Node it packs, got ${process.platform}-${process.arch}`,
  );
}
const archive = await pack(values.dist, values.out);
const { size } = statSync(archive);
console.log(`${archive}: ${(size / 1e6).toFixed(1)} MB`);
if (size > MOST_BYTES) throw new Error(`pack:gpu: expected at most ${MOST_BYTES} bytes, got ${size}`);
if (values.verify) verify(archive);

async function pack(dist, out) {
  const stage = join(out, NAME);
  rmSync(stage, { recursive: true, force: true });
  mkdirSync(stage, { recursive: true });
  writeFileSync(join(out, ".gitignore"), "*\n");
  addNode(stage);
  addLibrary(stage, dist);
  await addCommit(stage, dist);
  addVulkan(stage);
  await addData(stage, dist);
  cpSync(join(ROOT, "scripts/gpu-report/run.sh"), join(stage, "gpu-report"));
  chmodSync(join(stage, "gpu-report"), 0o755);
  writeFileSync(join(stage, "NOTICE"), NOTICE);
  const file = join(out, `${NAME}.tar.gz`);
  execFileSync("tar", ["--owner=0", "--group=0", "-I", "gzip -9", "-C", out, "-cf", file, NAME]);
  return file;
}

/** The running Node without its symbols, and the C++ library next to it in the loader's list. */
function addNode(stage) {
  const node = join(stage, "bin/node");
  cpSync(realpathSync(process.execPath), node);
  strip(node);
  const cxx = join(stage, "lib/cxx");
  mkdirSync(cxx, { recursive: true });
  const linked = execFileSync("ldd", [process.execPath], { encoding: "utf8" });
  for (const name of CXX) {
    const path = linked
      .split("\n")
      .find((line) => line.includes(name))
      ?.match(/=> (\S+)/)?.[1];
    if (path) cpSync(realpathSync(path), join(cxx, name));
  }
}

function addLibrary(stage, dist) {
  const target = join(stage, "axograd");
  const isCode = (path) => statSync(path).isDirectory() || path.endsWith(".js");
  for (const part of ["src", "test", "bench"]) {
    cpSync(join(dist, part), join(target, "dist", part), { recursive: true, filter: isCode });
  }
  cpSync(join(dist, "wasm/axograd.wasm"), join(target, "dist/wasm/axograd.wasm"));
  // Built where this machine has a C compiler; of use where the other one has several equal GPUs.
  if (existsSync(join(dist, "vulkan"))) cpSync(join(dist, "vulkan"), join(target, "dist/vulkan"), { recursive: true });
  cpSync(join(ROOT, "vulkan"), join(target, "vulkan"), { recursive: true });
  cpSync(join(ROOT, "package.json"), join(target, "package.json"));
  cpSync(join(ROOT, "LICENSE"), join(target, "LICENSE"));
  cpSync(join(ROOT, "scripts/gpu-report"), join(target, "scripts/gpu-report"), { recursive: true });
  for (const file of ["cuda_peers.py", "torch_dopri5.py", "torch_product.py"]) {
    cpSync(join(ROOT, "bench/peers", file), join(target, "bench/peers", file));
  }
  const isSource = (path) => !path.endsWith("__pycache__");
  cpSync(join(ROOT, "bench/peers/on_cuda"), join(target, "bench/peers/on_cuda"), { recursive: true, filter: isSource });
  for (const folder of dependencies()) addPackage(folder, join(target, "node_modules"));
}

/** The packed commit: measurements need it. */
async function addCommit(stage, dist) {
  const { describeMachine } = await import(pathToFileURL(join(dist, "bench/machine.js")).href);
  writeFileSync(join(stage, "axograd/COMMIT"), describeMachine().commit);
}

/** Folders of all packages that axograd and its GPU tests need. */
function dependencies() {
  const folders = new Map();
  const visit = (parent, names = Object.keys(manifestOf(parent).dependencies ?? {})) => {
    for (const name of names) {
      const paths = createRequire(join(parent, "package.json")).resolve.paths(name);
      const folder = paths.map((path) => join(path, name)).find((path) => existsSync(join(path, "package.json")));
      if (folder === undefined) throw new Error(`pack:gpu: expected the package ${name}, got none; run npm ci`);
      if (folders.has(name)) continue;
      folders.set(name, folder);
      visit(folder);
    }
  };
  visit(ROOT);
  visit(ROOT, TEST_PACKAGES);
  return folders.values();
}

function manifestOf(folder) {
  return JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
}

function addPackage(folder, modules) {
  const { name } = manifestOf(folder);
  const platforms = join(folder, "dist");
  const isNeeded = (path) =>
    name !== "webgpu" || !path.startsWith(`${platforms}/`) || path.startsWith(join(platforms, "linux-x64"));
  cpSync(folder, join(modules, name), { recursive: true, dereference: true, filter: isNeeded });
  if (name === "webgpu") strip(join(modules, name, "dist/linux-x64/dawn.node"));
}

function strip(file) {
  // Stripping only saves space: without binutils the archive is larger.
  spawnSync("strip", [file]);
}

function addVulkan(stage) {
  const folder = join(stage, "lib/vulkan");
  mkdirSync(folder, { recursive: true });
  unpackSwiftShader(folder, [LOADER]);
  for (const library of NVIDIA_LIBRARIES) {
    const manifest = { file_format_version: "1.0.0", ICD: { library_path: `${library}.so.0`, api_version: "1.3.0" } };
    writeFileSync(join(folder, `${library}.json`), `${JSON.stringify(manifest)}\n`);
  }
}

/** A generated visual system and digits, in the file formats of real ones. */
async function addData(stage, dist) {
  const { deriveKey, keyOfSeed, retinotopicConnectome, syntheticDigits, writeConnectome } = await import(
    pathToFileURL(join(dist, "src/index.js")).href
  );
  const digits = join(stage, "data/digits");
  mkdirSync(digits, { recursive: true });
  await writeConnectome(join(stage, "data/connectome.npz"), retinotopicConnectome({ columns: COLUMNS }).csr);
  const key = deriveKey(keyOfSeed(1), "digits");
  for (const [name, count, first] of [
    ["train", 1000, 0],
    ["t10k", 200, 1e6],
  ]) {
    const { images, labels, height, width } = syntheticDigits(count, key, { first });
    writeFileSync(join(digits, `${name}-images-idx3-ubyte.gz`), idx([count, height, width], images));
    writeFileSync(join(digits, `${name}-labels-idx1-ubyte.gz`), idx([count], labels));
  }
}

/** An IDX file of unsigned bytes, packed: magic number, extents, data. */
function idx(shape, data) {
  const header = Buffer.alloc(4 + 4 * shape.length);
  header.writeUInt32BE(0x800 + shape.length);
  for (const [d, extent] of shape.entries()) header.writeUInt32BE(extent, 4 + 4 * d);
  return gzipSync(Buffer.concat([header, data]));
}

function unpackSwiftShader(folder, names) {
  const source = join(ROOT, "node_modules/@sparticuz/chromium/bin/swiftshader.tar.br");
  if (!existsSync(source))
    throw new Error("pack:gpu: expected the dev dependency @sparticuz/chromium, got none; run npm ci");
  const tar = brotliDecompressSync(readFileSync(source));
  execFileSync("tar", ["-x", "-C", folder, ...names], { input: tar });
}

/** Runs the archive in a place without access to this checkout. */
function verify(file) {
  const folder = mkdtempSync(join(tmpdir(), "axograd-gpu-"));
  try {
    execFileSync("tar", ["-xzf", file, "-C", folder]);
    unpackSwiftShader(folder, SOFTWARE_DRIVER);
    const driver = join(folder, basename(SOFTWARE_DRIVER[1]));
    const sizes = ["--quick", "--neurons", "400", "--connections", "6000", "--batches", "1,8", "--patience", "5"];
    const report = join(folder, NAME, "gpu-report");
    const args = ["-i", report, ...sizes, "--driver", driver, "--out", join(folder, "report.json")];
    spawnSync("env", args, { cwd: dirname(folder), stdio: "inherit" });
    const { parts, rows } = JSON.parse(readFileSync(join(folder, "report.json"), "utf8"));
    const wrong = [
      ...parts.filter(({ outcome }) => outcome !== "done"),
      ...rows.filter(({ passed }) => passed === false),
    ];
    if (parts.length === 0 || wrong.length > 0) {
      throw new Error(`pack:gpu: expected all parts to be done and right, got ${JSON.stringify(wrong, null, 1)}`);
    }
    const { adapter, isSoftware } = rows.find(({ name }) => name === "adapter");
    if (!isSoftware) throw new Error(`pack:gpu: expected the software adapter, got ${adapter}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
