// lavapipe, Mesa's Vulkan device on the CPU, from the Debian archive that this machine's apt is set up for. Nothing is installed: apt works in
// folders of its own, and the packages are unpacked into the system's temporary folder.

import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Dawn refuses those before: they lack dynamic indexing of arrays. */
const LEAST_MESA = 25;
const DRIVER = "mesa-vulkan-drivers";
const LOADER = "libvulkan1";
const LIBRARIES = "root/usr/lib/x86_64-linux-gnu";
/** Older packages have theirs here. */
const MORE_LIBRARIES = "root/lib/x86_64-linux-gnu";
const MANIFEST = "lvp_icd.json";
const KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";
const SOURCES = "/etc/apt";
/** For all of it: where the network answers slowly, or not at all, tests do not wait. */
const MOST_MS = 40_000;

let deadline = Number.POSITIVE_INFINITY;

/** Why lavapipe cannot be had. */
export class Unavailable extends Error {}

/** Fetches it, once per release of the system. @returns the environment in which a process finds it, and nothing else */
export function lavapipe() {
  const folder = join(tmpdir(), `axograd-lavapipe-${release()}`);
  if (!existsSync(join(folder, MANIFEST))) fetchInto(folder);
  return {
    VK_ICD_FILENAMES: join(folder, MANIFEST),
    VK_DRIVER_FILES: join(folder, MANIFEST),
    LD_LIBRARY_PATH: libraryPath(folder),
    MESA_SHADER_CACHE_DIR: join(folder, "shaders"),
    // Tests compile much and compute little.
    GALLIVM_PERF: "nopt",
  };
}

function release() {
  if (process.platform !== "linux" || process.arch !== "x64") throw new Unavailable("not Linux on x64");
  const facts = existsSync("/etc/os-release") ? readFileSync("/etc/os-release", "utf8") : "";
  const [, name] = /^VERSION_CODENAME=(\w+)$/m.exec(facts) ?? [];
  if (!/^ID=debian$/m.test(facts) || name === undefined) throw new Unavailable("not Debian");
  return name;
}

function fetchInto(folder) {
  deadline = performance.now() + MOST_MS;
  // Several processes may fetch it at a time.
  const partial = `${folder}.${process.pid}`;
  try {
    const apt = privateApt(partial);
    unpack(apt, partial, [`${DRIVER}=${mesaVersion(apt)}`, LOADER]);
    unpack(apt, partial, missingPackages(apt, partial));
    const driver = join(partial, LIBRARIES, "libvulkan_lvp.so");
    const missing = missingLibraries(partial);
    if (missing.length > 0) throw new Unavailable(`without ${missing.join(", ")}`);
    const manifest = { file_format_version: "1.0.0", ICD: { api_version: "1.4.305" } };
    manifest.ICD.library_path = driver.replace(partial, folder);
    writeFileSync(join(partial, MANIFEST), JSON.stringify(manifest));
    for (const name of ["cache", "lists"]) rmSync(join(partial, name), { recursive: true });
    renameSync(partial, folder);
  } catch (error) {
    if (!existsSync(join(folder, MANIFEST))) throw error;
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
}

/** An apt that knows this release of Debian and its backports, and keeps what it knows in `folder`. */
function privateApt(folder) {
  if (!existsSync(KEYRING)) throw new Unavailable(`no ${KEYRING}`);
  for (const name of ["lists/partial", "cache/archives/partial", "root"])
    mkdirSync(join(folder, name), { recursive: true });
  const sources = join(folder, "sources.list");
  const suites = [release(), `${release()}-backports`];
  writeFileSync(sources, suites.map((suite) => `deb [signed-by=${KEYRING}] ${mirror()} ${suite} main\n`).join(""));
  const options = {
    "Dir::Etc::sourcelist": sources,
    "Dir::Etc::sourceparts": "-",
    "Dir::State::lists": join(folder, "lists"),
    "Dir::Cache": join(folder, "cache"),
    "APT::Sandbox::User": "root",
    "Acquire::Retries": "1",
    "Acquire::http::Timeout": "10",
    "Acquire::Languages": "none",
  };
  const flags = Object.entries(options).flatMap(([name, value]) => ["-o", `${name}=${value}`]);
  const apt = (command, args, cwd = folder) => output(command, [...flags, ...args], cwd);
  apt("apt-get", ["update", "--error-on=any"]);
  return apt;
}

/** The archive that the system's own sources name. */
function mirror() {
  const folder = join(SOURCES, "sources.list.d");
  const files = [
    join(SOURCES, "sources.list"),
    ...(existsSync(folder) ? readdirSync(folder).map((f) => join(folder, f)) : []),
  ];
  const lines = files.filter((file) => existsSync(file)).flatMap((file) => readFileSync(file, "utf8").split("\n"));
  const [found] = lines
    .filter((line) => !line.startsWith("#"))
    .flatMap((line) => line.match(/\bhttps?:\S+\/debian\/?(?=\s|$)/) ?? []);
  if (found === undefined) throw new Unavailable("no Debian archive among the sources of apt");
  return found;
}

function mesaVersion(apt) {
  const versions = apt("apt-cache", ["madison", DRIVER])
    .split("\n")
    .map((line) => line.split("|")[1]?.trim() ?? "");
  const found = versions.find((version) => Number.parseInt(version, 10) >= LEAST_MESA);
  if (found === undefined) throw new Unavailable(`Mesa ${LEAST_MESA} or newer is not in the archive`);
  return found;
}

function unpack(apt, folder, packages) {
  if (packages.length === 0) return;
  apt("apt-get", ["download", ...packages]);
  for (const file of readdirSync(folder).filter((name) => name.endsWith(".deb"))) {
    output("dpkg-deb", ["-x", file, "root"], folder);
    renameSync(join(folder, file), join(folder, "cache", file));
  }
}

/** Packages with what the driver needs and the system lacks. */
function missingPackages(apt, folder) {
  const needed = new Set();
  const seen = new Set([DRIVER]);
  for (const name of missingLibraries(folder).length > 0 ? seen : []) {
    // Of the newest version.
    const [depends = ""] = [...apt("apt-cache", ["show", name]).matchAll(/^Depends: (.*)$/gm)].map(([, text]) => text);
    for (const one of depends.split(",").map((text) => text.trim().split(/[ (|:]/)[0])) {
      if (one !== "" && !seen.has(one) && !isInstalled(one, folder)) {
        seen.add(one);
        needed.add(one);
      }
    }
  }
  return [...needed];
}

function isInstalled(name, folder) {
  try {
    return output("dpkg-query", ["-W", `-f=\${Status}`, name], folder) === "install ok installed";
  } catch {
    return false;
  }
}

function libraryPath(folder) {
  return [LIBRARIES, MORE_LIBRARIES].map((path) => join(folder, path)).join(":");
}

function missingLibraries(folder) {
  const env = { ...process.env, LD_LIBRARY_PATH: libraryPath(folder) };
  const found = output("ldd", [join(folder, LIBRARIES, "libvulkan_lvp.so")], folder, env);
  return [...found.matchAll(/^\s*(\S+) => not found$/gm)].map(([, name]) => name);
}

/** @throws {Unavailable} the command is missing or fails */
function output(command, args, cwd, env = process.env) {
  try {
    const stdio = ["ignore", "pipe", "pipe"];
    const leftMs = Math.min(MOST_MS, Math.max(1, Math.ceil(deadline - performance.now())));
    return execFileSync(command, args, { cwd, env, stdio, encoding: "utf8", timeout: leftMs });
  } catch (error) {
    if (error.code === "ETIMEDOUT")
      throw new Unavailable(`${command}: not done after ${MOST_MS / 1000} s`, { cause: error });
    const [reason = error.message] = `${error.stderr ?? ""}`.split("\n").filter((line) => line.startsWith("E: "));
    throw new Unavailable(`${command}: ${reason}`, { cause: error });
  }
}
