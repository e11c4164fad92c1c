// The command line under Bun and Deno: both devices with the bits of Node, and what differs between runtimes: native libraries, threads,
// files, signals. AXOGRAD_BUN and AXOGRAD_DENO name the programs, which are otherwise searched in PATH.

import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { parquetWriteBuffer } from "hyparquet-writer";
import * as assert from "uvu/assert";
import type { Diagnosis } from "../../src/cli/doctor.ts";
import { beatText } from "../../src/cli/heartbeat.ts";
import { parseHolder } from "../../src/cli/lockHolder.ts";
import { tempDir } from "../io/fixtures.ts";
import { testOrSkip } from "../support/skip.ts";
import { adapterEnvironment, requireTestAdapter } from "../support/softwareAdapter.ts";
import { suite } from "../support/suite.ts";
import { type Finished, jsonLines, type Program, start, startScript, TINY } from "./process.ts";

const test = suite("runtimes");
const dir = tempDir();

/** What runs a script, from the variable or PATH; null: this machine does not have it. */
function found(name: "bun" | "deno", ...words: string[]): Program | null {
  const given = process.env[`AXOGRAD_${name.toUpperCase()}`];
  if (given) return [given, ...words];
  const paths = (process.env.PATH ?? "").split(delimiter).map((folder) => join(folder, name));
  const path = paths.find((file) => existsSync(file));
  return path === undefined ? null : [path, ...words];
}

const RUNTIMES = { Bun: found("bun"), Deno: found("deno", "run", "-A") };
const ADAPTER = Object.values(RUNTIMES).some((program) => program !== null) ? await requireTestAdapter() : null;

/** Few programs: on a software adapter, most of the time goes into compiling. */
const WEBGPU: readonly string[] = [
  ...["--device", "webgpu", "--solver", "euler", "--dt", "0.2", "--calibration", "16"],
  ...["--validation-samples", "0", "--test-samples", "0", "--no-report"],
];

const DEVICES: Readonly<Record<string, readonly string[]>> = {
  "on the CPU with one thread": ["--threads", "1"],
  "on the CPU with two threads": ["--threads", "2"],
  "on WebGPU": WEBGPU,
};

async function succeeded(finished: Promise<Finished>): Promise<string> {
  const { code, stdout, stderr } = await finished;
  assert.is(code, 0, stderr);
  return stdout;
}

/** The checkpoint of a short training. */
async function checkpointOf(name: string, runtime: Program | undefined, device: readonly string[]): Promise<Buffer> {
  const out = join(dir, name);
  await succeeded(start(["train", ...TINY, ...device, "--out", out], { runtime, env: adapterEnvironment() }).finished);
  return readFile(join(out, "checkpoint.safetensors"));
}

/** Those of Node, made when first asked for. */
const ofNode = new Map<string, Promise<Buffer>>();
function checkpointOfNode(device: string, options: readonly string[]): Promise<Buffer> {
  const made = ofNode.get(device) ?? checkpointOf(`Node ${device}`, undefined, options);
  ofNode.set(device, made);
  return made;
}

const moduleUrl = (path: string): string => JSON.stringify(new URL(`../../src/${path}`, import.meta.url).href);

for (const [name, program] of Object.entries(RUNTIMES)) {
  const runtime = program ?? undefined;
  const variable = `AXOGRAD_${name.toUpperCase()}`;
  const reason = `no ${name.toLowerCase()} in PATH, and no ${variable}`;
  const testIn = (title: string, run: () => Promise<void>, isPossible = true): void =>
    testOrSkip(test, program !== null && isPossible, reason, `${name}: ${title}`, run);

  testIn("doctor names the runtime and finds SIMD, threads, the Vulkan loader and the adapters", async () => {
    const { finished } = start(["doctor", "--json"], { runtime, env: adapterEnvironment() });
    const it = JSON.parse(await succeeded(finished)) as Diagnosis;
    assert.is(it.runtime.name, name.toLowerCase());
    const { simd, threads, error } = it.wasm;
    assert.equal({ simd, threads, error }, { simd: true, threads: true, error: null });
    if (ADAPTER === null) return;
    assert.is.not(it.vulkan.loader, false);
    assert.ok(it.adapters.some((adapter) => adapter.name === ADAPTER.name));
  });

  for (const [device, options] of Object.entries(DEVICES)) {
    const isPossible = device !== "on WebGPU" || ADAPTER !== null;
    testIn(
      `a training ${device} gives the checkpoint that Node gives`,
      async () => {
        const expected = await checkpointOfNode(device, options);
        assert.ok(expected.equals(await checkpointOf(`${name} ${device}`, runtime, options)));
      },
      isPossible,
    );
  }

  testIn("SIGTERM ends a training with a checkpoint, and Node goes on from there", async () => {
    const out = join(dir, `${name} ended`);
    const endless = ["--steps", "1000000", "--json", "--out", out];
    const { child, finished } = start(["train", ...TINY, ...endless], { runtime });
    child.stdout!.on("data", (text: string) => {
      if (text.includes('"event":"step"')) child.kill("SIGTERM");
    });
    const { code, stderr } = await finished;
    assert.is(code, 143, stderr);
    const { position } = JSON.parse(await readFile(join(out, "checkpoint.json"), "utf8"));
    const { step } = position as { readonly step: number };
    assert.ok(step >= 1);
    const resumed = await succeeded(start(["train", "--resume", out, "--steps", `${step + 1}`, "--json"]).finished);
    assert.ok(jsonLines(resumed).some((line) => line.event === "step" && line.step === step + 1));
  });

  testIn("the heartbeat of a lock is written in its place", async () => {
    const folder = join(dir, `${name} locked`);
    const script = join(dir, `${name} lock.mjs`);
    await mkdir(folder);
    await writeFile(
      script,
      `import { RunLock } from ${moduleUrl("cli/runLock.js")};
       await RunLock.take(${JSON.stringify(folder)});
       setInterval(() => {}, 1000);`,
    );
    const { child, finished } = startScript([script], { runtime });
    const lock = (): Promise<string> => readFile(join(folder, "run.lock"), "utf8").catch(() => "");
    const first = await changed(lock, "");
    const next = await changed(lock, first);
    child.kill("SIGKILL");
    await finished;
    assert.is(parseHolder(first)?.beat, beatText(0));
    assert.is(next, first.replace(beatText(0), beatText(1)));
  });

  testIn("the decoder of Parquet files is ended when it takes more memory than it may", async () => {
    const [file, script] = [join(dir, "table.parquet"), join(dir, `${name} decoder.mjs`)];
    const columnData = [{ name: "pre", type: "DOUBLE" as const, data: new Float64Array(100) }];
    await writeFile(file, new Uint8Array(parquetWriteBuffer({ columnData })));
    await writeFile(
      script,
      `import { fork } from "node:child_process";
       import { fileURLToPath } from "node:url";
       const program = fileURLToPath(${moduleUrl("io/parquetDecoder.js")});
       const args = [${JSON.stringify(file)}, "600", process.argv[2]];
       const decoder = fork(program, args, { execArgv: ["--max-old-space-size=" + process.argv[2]], stdio: ["ignore", "ignore", "ignore", "ipc"] });
       decoder.on("message", () => setTimeout(() => decoder.connected && decoder.disconnect(), 1000));
       decoder.on("exit", (code, signal) => console.log(code === 0 ? "in time" : "ended"));`,
    );
    const outcome = (mebibytes: string): Promise<string> =>
      succeeded(startScript([script, mebibytes], { runtime }).finished);
    assert.is(await outcome("1000"), "in time\n");
    assert.is(await outcome("1"), "ended\n");
  });

  testIn(
    "variables that are set reach native libraries",
    async () => {
      const script = join(dir, `${name} variables.mjs`);
      await writeFile(
        script,
        `import koffi from ${JSON.stringify(import.meta.resolve("koffi"))};
         import { setVariable } from ${moduleUrl("core/nativeEnvironment.js")};
         const getenv = koffi.load("libc.so.6").func("const char *getenv(const char *name)");
         setVariable("AXOGRAD_TEST", "given");
         console.log(getenv("AXOGRAD_TEST"), process.env.AXOGRAD_TEST);
         setVariable("AXOGRAD_TEST", undefined);
         console.log(getenv("AXOGRAD_TEST"), process.env.AXOGRAD_TEST);`,
      );
      assert.is(await succeeded(startScript([script], { runtime }).finished), "given given\nnull undefined\n");
    },
    process.platform === "linux",
  );

  testIn(
    "libraries are found, or not, as by the dynamic linker",
    async () => {
      const script = join(dir, `${name} libraries.mjs`);
      await writeFile(
        script,
        `import { canOpen } from ${moduleUrl("backend/webgpu/vulkanLoader.js")};
       console.log(canOpen("libc.so.6"), canOpen("libnone.so.6"));`,
      );
      assert.is(await succeeded(startScript([script], { runtime }).finished), "true false\n");
    },
    process.platform === "linux",
  );
}

/** Waits for another text than `before`. */
async function changed(read: () => Promise<string>, before: string): Promise<string> {
  for (let look = 0; look < 300; look++) {
    const text = await read();
    if (text !== before) return text;
    await setTimeout(100);
  }
  throw new Error(`expected another text than ${before} within 30 s, got none`);
}

test.run();
