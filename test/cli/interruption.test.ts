// What stops a run from outside: signals as terminals and schedulers send them, output that cannot be written, a folder that is taken
// over or deleted, processes in other namespaces. Afterwards the last checkpoint is whole, no lock is left, and the exit code says it.

import { spawn, spawnSync } from "node:child_process";
import { openSync } from "node:fs";
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { constants } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Interruption } from "../../src/cli/interruption.ts";
import { describeSelf } from "../../src/cli/lockHolder.ts";
import { loadCheckpoint } from "../../src/train/checkpoint.ts";
import { tempDir } from "../io/fixtures.ts";
import { testOrSkip } from "../support/skip.ts";
import { axograd, type Finished, jsonLines, MAIN, start, TINY } from "./process.ts";

const test = suite("runs that are stopped from outside");
const dir = tempDir();
const LONG: readonly string[] = ["train", "--no-report", ...TINY, "--steps", "1000000", "--checkpoint-every", "2"];
const isPosix = process.platform !== "win32";
const isLinux = process.platform === "linux";

const path = (...names: readonly string[]): string => join(dir, ...names);

async function steps(run: string): Promise<number> {
  const text = await readFile(path(run, "metrics.jsonl"), "utf8").catch(() => "");
  return text.split('"event":"step"').length - 1;
}

async function hasSteps(run: string, count: number): Promise<void> {
  while ((await steps(run)) < count) await setTimeout(20);
}

/** The step of the last checkpoint, which must be whole. */
async function checkpointStep(run: string): Promise<number> {
  return (await loadCheckpoint(path(run, "checkpoint.safetensors"))).position.step;
}

async function assertNoLock(run: string): Promise<void> {
  const left = (await readdir(path(run))).filter((name) => name.startsWith("run.lock") || name.endsWith(".tmp"));
  assert.equal(left, []);
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"] as const) {
  testOrSkip(test, isPosix, "signals of POSIX", `${signal}: a checkpoint, then the end`, async () => {
    const { child, finished } = start([...LONG, "--out", signal], { cwd: dir });
    await hasSteps(signal, 3);
    child.kill(signal);
    const { code, stderr } = await finished;
    assert.is(code, 128 + constants.signals[signal], stderr);
    assert.not.match(stderr, /[Dd]ebugger/);
    assert.is(await checkpointStep(signal), await steps(signal));
    const last = jsonLines(await readFile(path(signal, "metrics.jsonl"), "utf8")).at(-1)!;
    assert.equal([last.event, last.interrupted], ["summary", signal]);
    await assertNoLock(signal);
  });
}

testOrSkip(
  test,
  isPosix,
  "signals of POSIX",
  "SIGUSR1 ends a command that is being loaded, too, and starts no debugger",
  async () => {
    await writeFile(path("edges.csv"), "pre,post,weight\n0,1,0.5\n");
    // As soon as a listener is added, and before the commands are loaded.
    const early =
      'process.on("newListener", (name) => { if (name === "SIGUSR1") process.kill(process.pid, "SIGUSR1"); })';
    const imports = `data:text/javascript,${encodeURIComponent(early)}`;
    const { code, stdout, stderr } = await start(["inspect", "edges.csv"], { cwd: dir, imports }).finished;
    assert.equal([code, stdout, stderr], [128 + constants.signals.SIGUSR1, "", ""]);
  },
);

test("signals within a second, and one after the end of a reader, are one request; a later one ends the process", async () => {
  const { exit } = process;
  const ends: unknown[] = [];
  process.exit = ((code: number) => ends.push(code)) as never;
  const interruption = new Interruption();
  try {
    for (const code of ["EPIPE", "ECONNRESET"]) process.stdout.emit("error", Object.assign(new Error(code), { code }));
    assert.ok(interruption.signal.aborted);
    process.emit("SIGTERM");
    process.emit("SIGINT");
    assert.equal([ends, interruption.cause, interruption.failure], [[], "SIGPIPE", null]);
    await setTimeout(1100);
    process.emit("SIGINT");
    assert.equal(ends, [130]);
  } finally {
    interruption.dispose();
    process.exit = exit;
  }
});

testOrSkip(
  test,
  isPosix,
  "signals of POSIX",
  "a scheduler's signals, all at once, leave a checkpoint and no lock",
  async () => {
    const { child, finished } = start([...LONG, "--out", "several"], { cwd: dir });
    await hasSteps("several", 1);
    child.kill("SIGUSR1");
    child.kill("SIGTERM");
    child.kill("SIGTERM");
    assert.ok([138, 143].includes((await finished).code!));
    assert.is(await checkpointStep("several"), await steps("several"));
    await assertNoLock("several");
  },
);

/** `axograd <args>` with stdout into a file or device. */
function printingTo(target: string, args: readonly string[]): Promise<Finished> {
  const child = spawn(process.execPath, [MAIN, ...args], {
    cwd: dir,
    stdio: ["ignore", openSync(target, "w"), "pipe"],
  });
  let stderr = "";
  child.stderr!.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  return new Promise((resolve) => child.once("close", (code) => resolve({ code, stdout: "", stderr })));
}

testOrSkip(
  test,
  isLinux,
  "/dev/full",
  "--json to a full disk: a checkpoint, one line that says so, no lock",
  async () => {
    const { code, stderr } = await printingTo("/dev/full", [...LONG, "--json", "--out", "full"]);
    assert.is(code, 1);
    assert.match(
      stderr,
      /^axograd: stdout: expected a place to write to, got a full disk; the last good checkpoint is full/m,
    );
    assert.not.match(stderr, /\n {4}at /);
    assert.is(await checkpointStep("full"), await steps("full"));
    await assertNoLock("full");
    // A command that writes its results at its end.
    const predict = ["predict", "full", "--samples", "8", "--threads", "1", "--device", "wasm", "--json"];
    const predicted = await printingTo("/dev/full", [...predict, "--out", "full.npz"]);
    assert.is(predicted.code, 1);
    assert.match(predicted.stderr, /(^|\n)axograd: stdout: expected a place to write to, got a full disk\n$/);
  },
);

testOrSkip(test, isLinux, "/dev/full", "any command that prints to a full disk says so and fails", async () => {
  for (const args of [
    ["doctor", "--json"],
    ["init", "--schema"],
    ["train", "--help"],
  ]) {
    const { code, stderr } = await printingTo("/dev/full", args);
    assert.is(code, 1, args.join(" "));
    // Before it, Dawn may say that a loader of Vulkan finds no driver.
    assert.match(stderr, /(^|\n)axograd: stdout: expected a place to write to, got a full disk\n$/);
  }
});

/** Whether this user may mount a file system in memory, as a disk that is full soon. */
function canMount(): boolean {
  return spawnSync("unshare", ["-m", "sh", "-c", "mount -t tmpfs -o size=1m tmpfs /mnt"]).status === 0;
}

testOrSkip(
  test,
  isLinux && canMount(),
  "mounting a small file system",
  "every output that a full disk refuses: exit code 1, one line, the earlier checkpoint whole, no lock",
  async () => {
    // From too small for anything, over one checkpoint, to all but the page.
    const said: string[] = [];
    for (const size of ["4k", "64k", "300k", "520k"]) {
      const inside = `mount -t tmpfs -o size=${size} tmpfs /mnt && "$@"; code=$?; cp -r /mnt/. "$KEPT"; exit $code`;
      const kept = path(`disk ${size}`);
      await mkdir(kept);
      const args = ["train", ...TINY, "--checkpoint-every", "1", "--quiet", "--out", "/mnt/run"];
      const result = spawnSync("unshare", ["-m", "sh", "-c", inside, "sh", process.execPath, MAIN, ...args], {
        env: { ...process.env, KEPT: kept },
        encoding: "utf8",
      });
      assert.is(result.status, 1, `${size}: ${result.stderr}`);
      assert.match(result.stderr, /^axograd: .*expected a place to write to, got a full disk.*\n$/, size);
      said.push(result.stderr);
      const names = await readdir(join(kept, "run")).catch((): string[] => []);
      const left = names.filter((name) => name.startsWith("run.lock") || name.endsWith(".tmp"));
      assert.equal(left, [], size);
      if (result.stderr.includes("last good")) await loadCheckpoint(join(kept, "run", "checkpoint.safetensors"));
    }
    for (const pattern of [
      /there is no checkpoint yet/,
      /the last good checkpoint is .*, of step \d/,
      /complete but for its page/,
    ]) {
      assert.ok(
        said.some((text) => pattern.test(text)),
        `${pattern}`,
      );
    }
  },
);

test("a folder that is deleted or moved in mid-run: no checkpoint is named that is not there, and none is made", async () => {
  for (const [name, remove] of [
    ["deleted", (folder: string) => rm(folder, { recursive: true, maxRetries: 9 })],
    ["moved", (folder: string) => rename(folder, `${folder}-elsewhere`)],
  ] as const) {
    const { finished } = start([...LONG, "--out", name], { cwd: dir });
    await hasSteps(name, 3);
    await remove(path(name));
    const { code, stderr } = await finished;
    assert.is(code, 1, stderr);
    // At the look before a write, or at the write itself.
    assert.match(
      stderr,
      /expected to hold the folder of the run, got it deleted or moved; |got no such folder; /,
      stderr,
    );
    assert.match(stderr, /the checkpoint of step \d+ is no longer there\n$/);
    assert.not.ok((await readdir(dir)).includes(name));
  }
});

// ---- several processes -----------------------------------------------------------------------------------------------------

const UNSHARE = ["unshare", "-rpf", "--mount-proc"] as const;
const canUnshare = isLinux && spawnSync(UNSHARE[0], [...UNSHARE.slice(1), "true"]).status === 0;

/** `axograd <args>` with process ids of its own, as in a container, under the same host name. */
function startApart(args: readonly string[]) {
  const [command, ...options] = UNSHARE;
  const child = spawn(command, [...options, "--kill-child", process.execPath, MAIN, ...args], {
    cwd: dir,
    stdio: ["ignore", "ignore", "pipe"],
  });
  let stderr = "";
  child.stderr!.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const finished = new Promise<Finished>((resolve) =>
    child.once("close", (code) => resolve({ code, stdout: "", stderr })),
  );
  return { child, finished };
}

testOrSkip(
  test,
  canUnshare,
  "unshare",
  "two namespaces of process ids under one host name: the second process is refused",
  async () => {
    const { child, finished } = startApart([...LONG, "--out", "apart"]);
    await hasSteps("apart", 1);
    for (const apart of [false, true]) {
      const args = ["train", "--resume", "apart", "--no-report"];
      const { code, stderr } = apart ? await startApart(args).finished : await axograd(args, { cwd: dir });
      assert.is(code, 2, stderr);
      assert.match(stderr, /apart is in use by process 1 on .*: waiting/);
      assert.match(stderr, /apart to be free, got one that is in use by process 1 on .* it is alive/);
    }
    child.kill("SIGKILL");
    await finished;
  },
);

testOrSkip(
  test,
  canUnshare,
  "unshare",
  "--take-over: the new owner goes on, the old one stops and writes nothing more",
  async () => {
    const old = startApart([...LONG, "--out", "over"]);
    await hasSteps("over", 3);
    // Both run until they are stopped: the old one may go on for any time while the new one is being loaded.
    const taken = start(["train", "--resume", "over", "--take-over", "--no-report"], { cwd: dir });
    const { code, stderr } = await old.finished;
    assert.is(code, 1, stderr);
    assert.match(stderr, /over: expected to hold the folder of the run, got it taken over by process \d+ on /);
    await hasSteps("over", (await steps("over")) + 3);
    taken.child.kill("SIGTERM");
    const ended = await taken.finished;
    assert.is(ended.code, 128 + constants.signals.SIGTERM, ended.stderr);
    const recorded = jsonLines(await readFile(path("over", "metrics.jsonl"), "utf8")).flatMap(({ event, step }) =>
      event === "step" ? [step] : [],
    );
    assert.equal(
      recorded,
      Array.from({ length: await checkpointStep("over") }, (_, k) => k + 1),
    );
    await assertNoLock("over");
  },
);

test("a job that Slurm has requeued goes on at once, on any host; another job's must be waited for", async () => {
  const { child, finished } = start([...LONG, "--out", "requeued"], { cwd: dir });
  await hasSteps("requeued", 3);
  child.kill("SIGKILL");
  await finished;
  const job = { cluster: "c", id: "12", task: "11_4", restarts: 0 };
  const holder = {
    ...(await describeSelf("an-id", "000000000003")),
    host: "node-17",
    began: "b:1",
    namespace: null,
    job,
  };
  await writeFile(path("requeued", "run.lock"), JSON.stringify(holder));
  const slurm = { SLURM_CLUSTER_NAME: "c", SLURM_JOB_ID: "12", SLURM_ARRAY_JOB_ID: "11", SLURM_ARRAY_TASK_ID: "4" };
  Object.assign(process.env, slurm, { SLURM_RESTART_COUNT: "1" });
  try {
    const { code, stderr } = await axograd(["train", "--resume", "requeued", "--steps", "4", "--no-report"], {
      cwd: dir,
    });
    assert.is(code, 0, stderr);
    assert.not.match(stderr, /watching/);
  } finally {
    for (const name of [...Object.keys(slurm), "SLURM_RESTART_COUNT"]) delete process.env[name];
  }
});

test("killed between its lock and its first file, a run is begun again by the same command", async () => {
  const args = [...LONG.slice(0, -4), "--steps", "2", "--out", "early"];
  // At the first look at the folder that is not empty.
  const { child, finished } = start(args, { cwd: dir });
  while (!(await readdir(path("early")).catch((): string[] => [])).includes("run.lock")) await setTimeout(1);
  child.kill("SIGKILL");
  await finished;
  await rm(path("early", "config.json"), { force: true });
  for (const name of await readdir(path("early"))) if (name !== "run.lock") await rm(path("early", name));
  assert.equal(await readdir(path("early")), ["run.lock"]);
  const again = await axograd(args, { cwd: dir });
  assert.is(again.code, 0, again.stderr);
});

test.run();
