// What a machine can give: address space, memory, threads, WebAssembly at all; and that it is said in words where it cannot.

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { createBackend } from "../../src/backend/select.ts";
import { addressSpaceLeft, memorySpace, RESERVED_BYTES } from "../../src/backend/wasm/addressSpace.ts";
import { createWasmBackend } from "../../src/backend/wasm/backend.ts";
import { createMemory, MAX_PAGES, PAGE_BYTES } from "../../src/backend/wasm/module.ts";
import { defaultThreads, describeMachine, mostThreads } from "../../src/backend/wasm/threads.ts";
import { BackendError } from "../../src/core/errors.ts";
import { TINY } from "../cli/process.ts";
import { tempDir } from "../io/fixtures.ts";
import { testOrSkip } from "../support/skip.ts";

const test = suite("machine");
const GIB = 2 ** 30;
const MAIN = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));

async function failureOf(action: () => unknown): Promise<BackendError> {
  try {
    await action();
  } catch (error) {
    if (error instanceof BackendError) return error;
    throw error;
  }
  throw new Error("expected a BackendError, got none");
}

/** An `ulimit -v` of 8 GiB, 1 GiB of which is taken, as Linux tells it. */
const limited = (file: "limits" | "status"): string =>
  file === "limits"
    ? "Limit                     Soft Limit           Hard Limit           Units\nMax address space         8589934592           unlimited            bytes\n"
    : "Name:\tnode\nVmPeak:\t 2097152 kB\nVmSize:\t 1048576 kB\n";

test("the address space that is left is read from the process's own limits", () => {
  assert.is(addressSpaceLeft(limited), 7 * GIB);
  assert.is(
    addressSpaceLeft((file) => limited(file).replace("8589934592", "unlimited ")),
    Number.POSITIVE_INFINITY,
  );
  const absent = (): string => {
    throw new Error("ENOENT");
  };
  assert.is(addressSpaceLeft(absent), Number.POSITIVE_INFINITY);
});

test("memory takes all that V8 reserves, or half of what is left", () => {
  assert.is(memorySpace(Number.POSITIVE_INFINITY), RESERVED_BYTES);
  assert.is(memorySpace(7 * GIB), 3.5 * GIB);
  assert.is(memorySpace(-1), 0);
});

test("memory grows to what address space there is; too little is an error that says what to do", async () => {
  assert.is(createMemory(MAX_PAGES).maxPages, MAX_PAGES);
  assert.is(createMemory(MAX_PAGES, 2 * GIB).maxPages * PAGE_BYTES, GIB);
  const { code, message } = await failureOf(() => createMemory(MAX_PAGES, 2 ** 20));
  assert.is(code, "address-space");
  assert.match(message, /10\.3 GiB of virtual memory.*ulimit -v/);
});

test("the most threads follow from cores, memory and address space; one there always is", () => {
  const machine = { cores: 4, memoryBytes: 16 * GIB, addressSpaceBytes: Number.POSITIVE_INFINITY };
  assert.is(mostThreads(machine), 32);
  assert.is(mostThreads({ ...machine, cores: 16 }), 128);
  assert.is(mostThreads({ ...machine, cores: 128 }), 128, "an eighth of the memory, 16 MiB each");
  assert.is(mostThreads({ ...machine, memoryBytes: 2 ** 27 }), 1);
  assert.is(
    mostThreads({ ...machine, addressSpaceBytes: 5 * GIB }),
    2,
    "half of 5 GiB, 896 MiB each, but for those of one other thread, and the caller's",
  );
  assert.is(mostThreads({ ...machine, addressSpaceBytes: 0 }), 1);
  assert.match(describeMachine({ ...machine, addressSpaceBytes: 5 * GIB }), /^4 cores, 16 GiB .* 5 GiB .*ulimit -v/);
});

test("in a job of Slurm, threads are as many as the CPUs that it was granted, at most one per core", () => {
  const all = defaultThreads({});
  assert.is(defaultThreads({ SLURM_CPUS_ON_NODE: "1" }), all, "no job");
  assert.is(defaultThreads({ SLURM_JOB_ID: "7", SLURM_CPUS_ON_NODE: "1" }), 1);
  assert.is(defaultThreads({ SLURM_JOB_ID: "7", SLURM_CPUS_PER_TASK: "1", SLURM_CPUS_ON_NODE: "64" }), 1);
  assert.is(defaultThreads({ SLURM_JOB_ID: "7", SLURM_CPUS_ON_NODE: "100000" }), all);
  assert.is(defaultThreads({ SLURM_JOB_ID: "7" }), all);
});

test("absurd numbers of threads are refused before any is started", async () => {
  let started = 0;
  const count = (): void => void started++;
  process.on("worker", count);
  for (const open of [createWasmBackend, createBackend]) {
    const { code, message } = await failureOf(() => open({ device: "wasm", threads: 100_000 } as object));
    assert.is(code, "threads");
    assert.match(message, /at most \d+ threads? on this machine \(.*cores?, .*GiB.*\), got 100000 \(threads\)/);
  }
  process.off("worker", count);
  assert.is(started, 0);
});

test("more than ten threads work without a warning", async () => {
  const program =
    `import { createWasmBackend } from ${JSON.stringify(new URL("../../src/backend/wasm/backend.js", import.meta.url))};` +
    "const backend = await createWasmBackend({ threads: 12 }); console.log(backend.description); await backend.dispose();";
  const { stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", program], { encoding: "utf8" });
  assert.is(stderr, "");
  assert.match(stdout, /12 threads/);
});

function axograd(nodeOptions: readonly string[], args: readonly string[], limitKib?: number) {
  const command = [process.execPath, ...nodeOptions, MAIN, ...args];
  const cwd = tempDir();
  if (limitKib === undefined) return spawnSync(command[0]!, command.slice(1), { encoding: "utf8", cwd });
  const script = `ulimit -v ${limitKib}; exec "$@"`;
  return spawnSync("/bin/sh", ["-c", script, "sh", ...command], { encoding: "utf8", cwd });
}

test("a number of threads that a run brings along from elsewhere is lowered with a word", () => {
  const args = TINY.map((arg, k) => (TINY[k - 1] === "--threads" ? "1000" : arg));
  const { status, stdout, stderr } = axograd([], ["train", ...args, "--no-report"]);
  assert.is(status, 0, stderr);
  assert.match(stderr, /warning: --threads 1000 is too many for this machine, which gets \d+/);
  assert.match(stdout, /wasm f32, \d\d? threads/);
});

test("Node.js without WebAssembly is named, by train and by doctor", () => {
  const { status, stderr } = axograd(["--jitless"], ["train", ...TINY]);
  assert.is(status, 1);
  assert.match(stderr, /expected WebAssembly, got Node\.js without it.*--jitless/);
  assert.not.match(stderr, /^ {4}at /m);
  const doctor = axograd(["--jitless"], ["doctor"]);
  assert.is(doctor.status, 0, doctor.stderr);
  assert.match(doctor.stdout, /^wasm .*cannot be used$/m);
  assert.match(doctor.stdout, /^advice .*--jitless/m);
});

const LIMIT_KIB = 8 * 2 ** 20;

testOrSkip(
  test,
  process.platform === "linux",
  "address space is limited on Linux only",
  "under a limit of virtual memory a run works, or it and doctor say what the limit does",
  () => {
    const { status, stderr } = axograd([], ["train", ...TINY, "--no-report"], LIMIT_KIB);
    assert.not.match(stderr, /^ {4}at |FATAL|Fatal/m);
    const doctor = axograd([], ["doctor"], LIMIT_KIB).stdout;
    if (status === 0) {
      // Node.js 24 itself does without the large reservation.
      assert.match(doctor, /^wasm .*up to [\d.]+ GiB of memory$/m);
      return;
    }
    assert.is(status, 1);
    assert.match(stderr, /virtual memory.*ulimit -v/);
    assert.match(doctor, /^wasm .*cannot be used$/m);
    assert.match(doctor, /^advice .*ulimit -v/m);
  },
);

const flag = "--disable-wasm-trap-handler";
testOrSkip(
  test,
  process.platform === "linux" && process.allowedNodeEnvironmentFlags.has(flag),
  `this Node.js has no ${flag}`,
  "with bounds checked in code a run works under a limit of virtual memory, with as many threads as have room",
  () => {
    const args = TINY.map((arg, k) => (TINY[k - 1] === "--threads" ? "32" : arg));
    const { status, stdout, stderr } = axograd([flag], ["train", ...args, "--no-report"], LIMIT_KIB);
    assert.is(status, 0, stderr);
    assert.match(stdout, /wasm f32, [2-9] threads/);
  },
);

test.run();
