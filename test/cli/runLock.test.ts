// Locks of run folders: who is known to be gone, whose heartbeat is watched, who wins, and who notices that he has lost. Other hosts,
// boots, namespaces and jobs are made up in the lock; the processes are real.

import { spawn } from "node:child_process";
import { mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { BEAT_MS } from "../../src/cli/heartbeat.ts";
import { describeSelf, fateOf, fateOfJob, type Holder, jobOf, parseHolder } from "../../src/cli/lockHolder.ts";
import { RunFolder } from "../../src/cli/runFolder.ts";
import { RunLock } from "../../src/cli/runLock.ts";
import { callSlurm } from "../../src/cli/slurmQueue.ts";
import { fails, tempDir } from "../io/fixtures.ts";
import { testOrSkip } from "../support/skip.ts";

const test = suite("locks of run folders");
const dir = tempDir();
const isLinux = process.platform === "linux";
const QUICK = { looks: 4, lookMs: 50 };

async function folder(name: string): Promise<string> {
  await mkdir(join(dir, name));
  return join(dir, name);
}

const lockOf = (path: string): string => join(path, "run.lock");

/** This process, with other facts. */
async function like(facts: Partial<Holder> = {}): Promise<Holder> {
  return { ...(await describeSelf("some-id", "000000000007")), ...facts };
}

/** A process that has ended. */
async function deadPid(): Promise<number> {
  const child = spawn(process.execPath, ["--version"], { stdio: "ignore" });
  await new Promise((resolve) => child.once("close", resolve));
  return child.pid!;
}

async function lockAs(path: string, holder: Partial<Holder>): Promise<void> {
  await writeFile(lockOf(path), `${JSON.stringify(holder)}\n`);
}

/** As a machine elsewhere would say it. */
const ELSEWHERE = { host: "node-17", began: "other-boot:12", namespace: "pid:[1]", pid: 42 };

test("a job is known by its id, or as a task of its array, on its cluster", () => {
  assert.is(jobOf({}), null);
  assert.equal(jobOf({ SLURM_JOB_ID: "7" }), { cluster: "", id: "7", task: null, restarts: 0 });
  const env = { SLURM_JOB_ID: "9", SLURM_ARRAY_JOB_ID: "7", SLURM_ARRAY_TASK_ID: "2", SLURM_RESTART_COUNT: "3" };
  assert.equal(jobOf({ ...env, SLURM_CLUSTER_NAME: "c" }), { cluster: "c", id: "9", task: "7_2", restarts: 3 });
});

testOrSkip(
  test,
  isLinux,
  "boots and namespaces are known on Linux",
  "who is gone, who lives, who cannot be asked",
  async () => {
    const me = await like();
    const pid = await deadPid();
    const fate = async (facts: Partial<Holder>, mine: Partial<Holder> = {}) =>
      fateOf(await like(facts), { ...me, ...mine });
    assert.is(await fate({}), "alive");
    assert.is(await fate({ pid }), "gone");
    assert.is(await fate({ pid, host: "renamed" }), "gone", "the boot tells the machine, not its name");
    assert.is(await fate({ began: `${me.began!.split(":")[0]}:1` }), "gone", "its number is another's now");
    assert.is(await fate({ pid, namespace: "pid:[1]" }), "unknown", "a container of the same name");
    assert.is(await fate({ pid, began: "other-boot:1" }), "unknown", "a machine of the same name");
    assert.is(await fate({ pid, began: null }), "unknown");
    const job = { cluster: "c", id: "7", task: null, restarts: 0 };
    const requeued = { job: { ...job, restarts: 1 } };
    assert.is(await fate({ ...ELSEWHERE, job }, requeued), "gone");
    assert.is(await fate({ ...ELSEWHERE, job }, { job }), "unknown");
    assert.is(await fate({ ...ELSEWHERE, job: { ...job, cluster: "d" } }, requeued), "unknown");
    assert.is(await fate({ ...ELSEWHERE, job: { ...job, id: "8" } }, requeued), "unknown");
    const task = { ...job, id: "8", task: "6_1" };
    assert.is(await fate({ ...ELSEWHERE, job: task }, { job: { ...task, id: "9", restarts: 1 } }), "gone");
    assert.is(
      await fate({ ...ELSEWHERE, job: task }, { job: { ...task, id: "9", task: "6_2", restarts: 1 } }),
      "unknown",
    );
    // Locks of the first version: host, pid, beginning.
    const old = { id: null, beat: null, namespace: null, job: null };
    assert.is(await fate({ ...old, pid }), "gone");
    assert.is(await fate(old), "alive");
    assert.is(await fate({ ...old, ...ELSEWHERE }), "unknown");
  },
);

testOrSkip(
  test,
  isLinux,
  "states of processes are known on Linux",
  "a process that ended, and whose parent has not noticed, is gone",
  async () => {
    // sleep does not wait for the child that it has from the shell before it.
    const parent = spawn("sh", ["-c", "sleep 0.1 & echo $!; exec sleep 30"], { stdio: ["ignore", "pipe", "ignore"] });
    const pid = Number(
      await new Promise<string>((resolve) => parent.stdout.once("data", (text) => resolve(String(text)))),
    );
    const state = async () => (await readFile(`/proc/${pid}/stat`, "utf8")).split(") ")[1]![0];
    while ((await state()) !== "Z") await setTimeout(20);
    process.kill(pid, 0);
    assert.is(await fateOf(await like({ pid }), await like()), "gone");
    parent.kill("SIGKILL");
  },
);

test("a program of Slurm that does not answer is not waited for for ever", async () => {
  const { failure } = await callSlurm("sleep", ["60"], { limitMs: 50 });
  assert.is(failure, "no answer within 0.05 s");
});

test("Slurm says of a job whether its processes have ended", () => {
  const held = { cluster: "c", id: "8", task: "6_1", restarts: 1 };
  const job = { id: "8", name: "sweep", task: { array: "6", index: 1 }, state: "RUNNING", restarts: 1 };
  const fate = (facts: object | null, mine: object = {}) =>
    fateOfJob({ ...held, ...mine }, { name: "c", jobs: facts === null ? [] : [{ ...job, ...facts }] });
  assert.is(fateOfJob(held, null), "unknown", "no Slurm here");
  assert.is(fate(null), "gone", "forgotten");
  assert.is(fate(null, { cluster: "d" }), "unknown", "another cluster");
  for (const state of ["RUNNING", "COMPLETING", "SIGNALING"]) assert.is(fate({ state }), "unknown", state);
  for (const state of ["CANCELLED", "NODE_FAIL", "OUT_OF_MEMORY", "PENDING"]) assert.is(fate({ state }), "gone", state);
  for (const state of ["SUSPENDED", "STOPPED"]) assert.is(fate({ state }), "suspended", "it lives without a heartbeat");
  assert.is(fate({ restarts: 2 }), "gone", "a later start of the job");
  assert.is(fate({ id: "9" }), "unknown", "the task has another id after it was requeued");
  assert.is(fate({ task: { array: "6", index: 2 } }), "gone", "another task");
  assert.is(fate({ task: null }, { task: null }), "unknown");
});

test("a heartbeat that stands still is one that has ended, however old the lock says it is", async () => {
  const path = await folder("still");
  await lockAs(path, await like({ ...ELSEWHERE, since: "2999-01-01T00:00:00Z" }));
  assert.not.ok(await RunLock.isFree(path), "not known without watching");
  const waits: string[] = [];
  const lock = await RunLock.take(path, { ...QUICK, onWait: (text) => waits.push(text) });
  assert.is(waits.length, 1);
  assert.match(waits[0]!, /still is in use by process 42 on node-17: waiting/);
  assert.is(parseHolder(await readFile(lockOf(path), "utf8"))!.pid, process.pid);
  await lock.release();
  assert.equal(await readdir(path), []);
});

test("what was found gone at the check is not watched again", async () => {
  const path = await folder("twice");
  await lockAs(path, await like(ELSEWHERE));
  const departed = await RunLock.check(path, QUICK);
  const lock = await RunLock.take(path, { looks: 1e9, lookMs: 1e6 }, departed);
  await lock.release();
});

test("a heartbeat that goes on is refused, with who, where and what to do", async () => {
  const path = await folder("moving");
  const holder = await like({ ...ELSEWHERE, job: { cluster: "c", id: "7", task: "7_3", restarts: 0 } });
  await lockAs(path, holder);
  const refused = fails(
    () => RunLock.take(path, { looks: 400, lookMs: 20 }),
    "argument",
    /moving to be free, got one that is in use by process 42 on node-17 \(Slurm job 7_3\) since 20/,
    /it is alive: end it there first, or give --take-over/,
  );
  await setTimeout(100);
  await lockAs(path, { ...holder, beat: "000000000008" });
  await refused;
  assert.equal(await readdir(path), ["run.lock"]);
});

test("--take-over does not watch, and takes nothing from a process that is known to live", async () => {
  const path = await folder("taken");
  await lockAs(path, await like(ELSEWHERE));
  const lock = await RunLock.take(path, { takeOver: true, looks: 1e9, lookMs: 1e6 });
  await fails(
    () => RunLock.take(path, { takeOver: true }),
    "argument",
    new RegExp(`process ${process.pid} on`),
    /kill/,
  );
  await lock.release();
  await lockAs(path, { pid: 1, host: "node-17", since: "then" });
  await fails(() => RunLock.take(path, QUICK), "argument", /delete .*run\.lock or give --take-over/);
  await (await RunLock.take(path, { takeOver: true })).release();
});

test("a lock that cannot be read may be one that is being written", async () => {
  for (const text of ["", "{", "3", "null"]) {
    const path = await folder(`half ${text.length} ${text.charCodeAt(0)}`);
    await writeFile(lockOf(path), text);
    const refused = fails(() => RunLock.take(path, { looks: 400, lookMs: 20 }), "argument", /in use by process/);
    await setTimeout(100);
    await lockAs(path, await like());
    await refused;
  }
  const path = await folder("broken");
  await writeFile(lockOf(path), "");
  await (await RunLock.take(path, QUICK)).release();
});

test("a lock that changes but can never be read is refused, not watched for ever", async () => {
  const path = await folder("noise");
  await writeFile(lockOf(path), "0");
  let count = 0;
  const timer = setInterval(() => writeFile(lockOf(path), `${++count}`), 10);
  const waits: string[] = [];
  try {
    await fails(
      () => RunLock.take(path, { ...QUICK, onWait: (text) => waits.push(text) }),
      "argument",
      /noise to be free, got one that is in use by a process whose lock cannot be read; it is alive: end it there first/,
    );
  } finally {
    clearInterval(timer);
  }
  assert.is(waits.length, 1);
});

testOrSkip(test, isLinux, "links are as on Linux", "a link is no lock, wherever it leads", async () => {
  const path = await folder("link");
  await symlink("nowhere", lockOf(path));
  await fails(() => RunLock.take(path, QUICK), "file-write", /run\.lock: expected .*, got a symbolic link/);
});

test("of many that find the same stale lock, one gets it", async () => {
  for (let round = 0; round < 5; round++) {
    const path = await folder(`race ${round}`);
    await lockAs(path, await like({ pid: await deadPid(), began: isLinux ? (await like()).began : null }));
    const takers = await Promise.allSettled(Array.from({ length: 6 }, () => RunLock.take(path, { takeOver: true })));
    const won = takers.flatMap((taker) => (taker.status === "fulfilled" ? [taker.value] : []));
    assert.is(won.length, 1);
    await won[0]!.assertHeld();
    await won[0]!.release();
    assert.equal(await readdir(path), []);
  }
});

test("who was taken for gone and is not, notices before he writes, and leaves the other's lock", async () => {
  const path = await folder("lost");
  const lock = await RunLock.take(path);
  await lock.assertHeld();
  const other = await like({ ...ELSEWHERE, id: "another" });
  await lockAs(path, other);
  await fails(() => lock.assertHeld(), "lock-lost", /taken over by process 42 on node-17/);
  await fails(() => lock.assertHeld(), "lock-lost");
  await lock.release();
  assert.equal(parseHolder(await readFile(lockOf(path), "utf8")), other);
});

test("the heartbeat goes on in the file, while the main thread stands still, until the lock is lost", async () => {
  const path = await folder("beats");
  const lock = await RunLock.take(path);
  const beat = async () => parseHolder(await readFile(lockOf(path), "utf8"))!.beat;
  assert.is(await beat(), "000000000000");
  await setTimeout(500);
  const standStill = (ms: number) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
  standStill(2.4 * BEAT_MS);
  assert.ok(Number(await beat()) >= 1, `${await beat()}`);
  await lock.assertHeld();
  await lockAs(path, await like({ ...ELSEWHERE, id: "another" }));
  standStill(1.4 * BEAT_MS);
  assert.is(await beat(), "000000000007", "the other's beat is not written over");
  await lock.release();
});

test("locks that are being taken stay, those of processes that are gone do not", async () => {
  const path = await folder("temporaries");
  const put = async (name: string, holder: Partial<Holder>) =>
    writeFile(join(path, name), `${JSON.stringify(holder)}\n`);
  await put("run.lock.living.tmp", await like());
  await put("run.lock.elsewhere.stale", await like(ELSEWHERE));
  await writeFile(join(path, "run.lock.being-written.tmp"), "");
  await put("run.lock.dead.tmp", { pid: await deadPid(), host: (await like()).host, since: "then" });
  const run = new RunFolder(path);
  await run.open();
  await run.release();
  assert.equal((await readdir(path)).sort(), [
    "run.lock.being-written.tmp",
    "run.lock.elsewhere.stale",
    "run.lock.living.tmp",
  ]);
});

test("a folder with a lock and nothing else can be begun, one with files cannot", async () => {
  const path = await folder("begun");
  const pid = await deadPid();
  await lockAs(path, { pid, host: (await like()).host, since: "then" });
  await writeFile(join(path, `config.json.${pid}.tmp`), "{");
  const run = new RunFolder(path);
  await run.check({ overwrite: false });
  await run.create();
  assert.equal(await readdir(path), ["run.lock"]);
  await run.release();
  await writeFile(join(path, "config.json"), "{}");
  await fails(() => new RunFolder(path).check({ overwrite: false }), "argument", /which has files/);
});

test("files of a run that began and ended between check and create are not removed", async () => {
  const path = await folder("between");
  const run = new RunFolder(path);
  await run.check({ overwrite: false });
  await writeFile(join(path, "config.json"), "{}");
  await fails(() => run.create(), "argument", /which has files/);
  assert.equal(await readdir(path), ["config.json"], "nor is the lock left");
});

test.run();
