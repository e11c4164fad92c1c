// `axograd sweep --launcher slurm` on a real cluster of two nodes inside this machine: nothing is submitted twice, and whatever ends a run, it
// continues.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { SweepFolder } from "../../src/cli/sweep/sweepFolder.ts";
import { tempDir } from "../io/fixtures.ts";
import { testOrSkip } from "../support/skip.ts";
import { clusterLack, SlurmCluster } from "../support/slurmCluster.ts";
import { axograd, type Finished, start } from "./process.ts";

const test = suite("axograd sweep on Slurm");
const dir = tempDir();
const lack = clusterLack();
const environment = { ...process.env };
let cluster: SlurmCluster;

test.before(async () => {
  if (lack !== null) return;
  cluster = await SlurmCluster.start({ gpus: 2, maxArraySize: 2 });
  Object.assign(process.env, cluster.env);
});

test.after(async () => {
  for (const name of ["SLURM_CONF", "PATH"]) {
    if (environment[name] === undefined) delete process.env[name];
    else process.env[name] = environment[name];
  }
  await cluster?.stop();
});

function onCluster(name: string, run: () => Promise<void>): void {
  testOrSkip(test, lack === null, lack ?? "", name, run);
}

const ENDLESS = 1_000_000;

/** Writes a sweep of small runs, and returns its command. */
async function sweepOf(name: string, steps: number, seeds = 1) {
  const settings = { generate: "900x5000", trainSamples: 64, validationSamples: 16, testSamples: 24, batchSize: 16 };
  const base = { ...settings, calibration: 32, device: "wasm", checkpointEvery: 50, steps };
  await writeFile(join(dir, `${name}.yaml`), JSON.stringify({ base, seeds }));
  const args = (more: readonly string[]) => ["sweep", `${name}.yaml`, "--launcher", "slurm", ...more];
  return {
    folder: new SweepFolder(join(dir, "sweeps", name)),
    submit: (...more: readonly string[]): Promise<Finished> => axograd(args(more), { cwd: dir }),
    submitInShell: (): Promise<Finished> => start(args(["--slurm-option", "hold"]), { cwd: dir }).finished,
  };
}

interface Job {
  readonly id: string;
  readonly state: string;
  readonly restarts: number;
  readonly node: string;
}

/** The tasks of a sweep that Slurm knows. */
async function jobsOf(name: string): Promise<Job[]> {
  const columns = "JobID:20,State:20,RestartCnt:10,NodeList:20,Name:60";
  const { stdout } = await cluster.run("squeue", "--noheader", "--array", "--states=all", "-O", columns);
  const lines = stdout.split("\n").filter((line) => line.includes(` axograd-${name}-`));
  return lines.map((line) => {
    const [id, state, restarts, node] = [0, 20, 40, 50].map((at, k) =>
      line.slice(at, at + [20, 20, 10, 20][k]!).trim(),
    );
    return { id: id!, state: state!, restarts: Number(restarts), node: node! };
  });
}

/** Asks until the answer is there. */
async function until<T>(what: string, ask: () => Promise<T | null | false>): Promise<T> {
  const deadline = performance.now() + 180_000;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (performance.now() > deadline) throw new Error(`expected ${what}, waited in vain`);
    await pause(200);
  }
}

/** The job of a sweep of one run once that has done steps in this start of the job. */
function runningJob(name: string, folder: SweepFolder, restarts: number): Promise<Job> {
  return until(`${name} to run after ${restarts} restarts`, async () => {
    const job = (await jobsOf(name)).find((one) => one.state === "RUNNING" && one.restarts === restarts);
    const log = await readFile(folder.log("seed=0"), "utf8").catch(() => "");
    return job && /^step /m.test(log) && (restarts === 0 || /^continues after step /m.test(log)) ? job : null;
  });
}

/** The process that works in a folder, on any node: they share this machine. */
async function processOf(folder: string): Promise<number> {
  for (const name of await readdir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const words = (await readFile(`/proc/${name}/cmdline`, "utf8").catch(() => "")).split("\0");
    if (words.includes("train") && words.includes(folder)) return Number(name);
  }
  throw new Error(`expected a process that works in ${folder}, got none`);
}

async function statuses(folder: SweepFolder): Promise<string[]> {
  return (await folder.states(await folder.runs())).map(({ status }) => status);
}

onCluster("a sweep of several arrays: submitted once, finished, collected; JSON is one object", async () => {
  const { folder, submit } = await sweepOf("whole", 3, 3);
  const first = await submit("--json", "--slurm-option", "p=main", "--slurm-option", "comment=it's # one");
  assert.is(first.code, 0, first.stderr);
  const { slurm, runs } = JSON.parse(first.stdout);
  assert.equal(
    slurm.submitted.map(({ runs }: { runs: string[] }) => runs),
    [["seed=0", "seed=1"], ["seed=2"]],
    "at most two tasks per array",
  );
  assert.is(runs.length, 3);
  const { stdout } = await cluster.run("squeue", "--noheader", "--states=all", "-O", "Comment:40");
  assert.match(stdout, "it's # one");
  const second = await submit("--json");
  assert.equal(JSON.parse(second.stdout).slurm.submitted, []);
  await until("all to finish", async () => (await statuses(folder)).every((status) => status === "finished"));
  assert.equal(new Set((await jobsOf("whole")).map(({ restarts }) => restarts)), new Set([0]));
  const third = await submit("--json");
  assert.is(third.code, 0, third.stderr);
  const collected = JSON.parse(third.stdout);
  assert.equal(
    collected.runs.map(({ status, steps }: Record<string, unknown>) => [status, steps]),
    [
      ["finished", 3],
      ["finished", 3],
      ["finished", 3],
    ],
  );
  assert.match(await readFile(folder.log("seed=0"), "utf8"), /device +wasm f32, 1 thread,/, "a task has one CPU");
  assert.match((await submit()).stdout, /3 runs \(3 finished\)\nruns +validation/);
});

onCluster("of two equal commands in two shells, one submits; cancelled jobs are submitted again", async () => {
  const { folder, submit, submitInShell } = await sweepOf("shells", 3);
  const both = await Promise.all([submitInShell(), submitInShell()]);
  for (const { code, stdout, stderr } of both) {
    const isRefused = code === 2 && /to be free, got one that is in use by process/.test(stderr);
    assert.ok(isRefused || /submitted job|1 run in Slurm's queue already/.test(stdout), stdout + stderr);
  }
  assert.is((await jobsOf("shells")).length, 1);
  // As after a crash between submission and record.
  const record = join(folder.path, "slurm.json");
  await writeFile(record, (await readFile(record, "utf8")).replace(/"job": "\d+"/, '"job": null'));
  assert.match((await submit()).stdout, /1 run in Slurm's queue already\n$/);
  const local = await axograd(["sweep", "shells.yaml"], { cwd: dir });
  assert.match(
    local.stderr,
    /expected slurm, whose queue has 1 run of the folder \(to remove: scancel \d+\), got local/,
  );
  await cluster.run("scancel", (await jobsOf("shells"))[0]!.id);
  assert.match((await submit("--slurm-option", "hold")).stdout, /submitted job \d+: 1 run\n$/);
  await cluster.run("scancel", (await jobsOf("shells")).at(-1)!.id);
});

onCluster(
  "a run that is killed is known to have ended at once, and the same command continues it, on the cluster or here",
  async () => {
    const { folder, submit } = await sweepOf("killed", ENDLESS);
    await submit();
    const { id } = await runningJob("killed", folder, 0);
    await until("a checkpoint", () =>
      readFile(join(folder.run("seed=0"), "checkpoint.json"), "utf8").catch(() => null),
    );
    assert.equal(await statuses(folder), ["running"]);
    assert.match((await submit()).stdout, /1 run in Slurm's queue already\n$/);
    process.kill(await processOf(folder.run("seed=0")), "SIGKILL");
    await until("the job to end", async () => (await jobsOf("killed")).every(({ state }) => state === "FAILED"));
    const lock = JSON.parse(await readFile(join(folder.run("seed=0"), "run.lock"), "utf8"));
    assert.is(lock.job.id, id, "the lock is left");
    const [state] = await folder.states(await folder.runs());
    assert.is(state!.status, "failed");
    assert.match(state!.error!, /^the process ended with exit code 137 in job \d+_0 on n\d$/);
    const again = await submit("--slurm-option", "hold");
    assert.match(again.stdout, /\(1 failed\)\n.*1 task\nsubmitted job/);
    assert.is(again.stderr, "", "no heartbeat is watched");
    await cluster.run("scancel", (await jobsOf("killed")).at(-1)!.id);
    // A run here takes the folder over, too.
    await writeFile(
      join(dir, "killed.yaml"),
      (await readFile(join(dir, "killed.yaml"), "utf8")).replace(`${ENDLESS}`, "60"),
    );
    const here = await axograd(["sweep", "killed.yaml"], { cwd: dir });
    assert.is(here.code, 0, here.stderr);
  },
);

onCluster(
  "before its time limit, and when its node dies, a run's job begins again from the checkpoint, on any node",
  async () => {
    const { folder, submit } = await sweepOf("limit", ENDLESS);
    await submit("--slurm-option", "time=60");
    const first = await runningJob("limit", folder, 0);
    // As Slurm gives notice of a time limit: to the shell alone.
    await cluster.run("scancel", "--batch", "--signal=USR1", first.id);
    const second = await runningJob("limit", folder, 1);
    const [, continued] = /^continues after step (\d+)/m.exec(await readFile(folder.log("seed=0"), "utf8"))!;
    assert.ok(Number(continued) > 0);
    await cluster.powerOff(second.node);
    await cluster.run("scontrol", "update", `nodename=${second.node}`, "state=down", "reason=test");
    assert.match((await submit()).stdout, /1 run in Slurm's queue already\n$/, "Slurm begins it again itself");
    const third = await runningJob("limit", folder, 2);
    assert.is.not(third.node, second.node);
    await cluster.run("scancel", third.id);
    await until("the job to end", async () => (await statuses(folder))[0] !== "running");
    assert.equal(await statuses(folder), ["interrupted"], "a cancelled run has its checkpoint");
    await cluster.powerOn(second.node);
  },
);

onCluster("each rank of a run has a GPU, and its own process", async () => {
  const { folder, submit } = await sweepOf("ranks", 3);
  const dry = await submit("--gpus", "2", "--dry-run", "--json");
  assert.is(dry.code, 0, dry.stderr);
  assert.equal(JSON.parse(dry.stdout).slurm.submitted, []);
  const script = await readFile(join(folder.path, "slurm.sh"), "utf8");
  assert.match(script, /\nsrun -K --mpi=pmix --ntasks=2 /);
  // Something else than training, as often as there are ranks.
  await writeFile(
    join(folder.path, "slurm.sh"),
    script
      .replace(/ --mpi=pmix/, "")
      .replace(
        /'\S*node' .*(?= > "\$log")/,
        "bash -c 'echo rank $SLURM_PROCID of $SLURM_NTASKS: $CUDA_VISIBLE_DEVICES'",
      ),
  );
  await mkdir(join(folder.path, "logs"), { recursive: true });
  await cluster.run("sbatch", `--chdir=${folder.path}`, "--wait", join(folder.path, "slurm.sh"));
  const log = (await readFile(folder.log("seed=0"), "utf8")).trim().split("\n").sort();
  assert.equal(log, ["rank 0 of 2: 0", "rank 1 of 2: 1"]);
});

onCluster("a cluster ends with the process that started it, however that ends", async () => {
  const support = new URL("../support/slurmCluster.js", import.meta.url);
  const script = `const { SlurmCluster } = await import("${support}");
    console.log((await SlurmCluster.start()).folder); setInterval(() => {}, 1000);`;
  const owner = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [text] = await once(owner.stdout, "data");
  const folder = String(text).trim();
  const left = async (): Promise<string[]> => {
    const names = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
    const texts = await Promise.all(names.map((name) => readFile(`/proc/${name}/environ`, "utf8").catch(() => "")));
    return names.filter((_, k) => texts[k]!.includes(`SLURM_CONF=${folder}/`));
  };
  assert.ok((await left()).length >= 4, "munged, slurmctld and two slurmd");
  owner.kill("SIGKILL");
  await until("no process to be left", async () => (await left()).length === 0);
  await rm(folder, { recursive: true });
});

test.run();
