// `axograd sweep --launcher slurm` on a real cluster of two nodes inside this machine: nothing is submitted twice, and whatever ends a run, it
// continues.

import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { SweepFolder } from "../../src/cli/sweep/sweepFolder.ts";
import { loadCheckpoint } from "../../src/train/checkpoint.ts";
import { tempDir } from "../io/fixtures.ts";
import { hasMpirun, mpirunMissing } from "../support/mpirun.ts";
import { testOrSkip } from "../support/skip.ts";
import { clusterLack, pmixLack, SlurmCluster } from "../support/slurmCluster.ts";
import { axograd, type Finished, start } from "./process.ts";

const test = suite("axograd sweep on Slurm");
const dir = tempDir();
const lack = clusterLack();
const mpiLack = lack ?? pmixLack() ?? (hasMpirun("openmpi") ? null : mpirunMissing("openmpi"));
const environment = { ...process.env };
let cluster: SlurmCluster;

test.before(async () => {
  if (lack !== null) return;
  cluster = await SlurmCluster.start({ cpus: 8, gpus: 2, maxArraySize: 2 });
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

/** Processes that another one's death ends: the watch needs two seconds, srun -K five more; the rest is for a busy machine. */
const ENDS_MS = 30_000;

/** One rank on each node. */
const TWO_NODES: readonly string[] = ["--slurm-option", "nodes=2", "--slurm-option", "ntasks-per-node=1"];

/** Writes a sweep of small runs, and returns its command. */
async function sweepOf(name: string, steps: number, seeds = 1) {
  const samples = { trainSamples: 64, validationSamples: 16, testSamples: 24, batchSize: 16, microBatch: 8 };
  const network = { generate: "300x900", rtol: 0.1, atol: 0.01, calibration: 32, device: "wasm" };
  const base = { ...network, ...samples, checkpointEvery: 5, steps };
  await writeFile(join(dir, `${name}.yaml`), JSON.stringify({ base, seeds }));
  await writeFile(join(dir, `${name}-base.yaml`), JSON.stringify(base));
  const args = (more: readonly string[]) => ["sweep", `${name}.yaml`, "--launcher", "slurm", ...more];
  return {
    folder: new SweepFolder(join(dir, "sweeps", name)),
    /** The settings of its runs. */
    config: `${name}-base.yaml`,
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
    if (!job) return null;
    // Each start clears the log before its process takes the lock.
    const lock = await textOf(join(folder.run("seed=0"), "run.lock"));
    const holder = lock === "" ? null : JSON.parse(lock).job;
    const isOfThisStart = holder?.id === job.id && holder.restarts === restarts;
    return isOfThisStart && /^step /m.test(await textOf(folder.log("seed=0"))) ? job : null;
  });
}

/** "": it is not there. */
async function textOf(file: string): Promise<string> {
  return readFile(file, "utf8").catch(() => "");
}

/** A rank of a run, on any node: they share this machine. */
async function processOf(folder: string, rank: number): Promise<number> {
  for (const name of await readdir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const [program, ...words] = (await textOf(`/proc/${name}/cmdline`)).split("\0");
    if (program !== process.execPath || !words.includes("train") || !words.includes(folder)) continue;
    if ((await textOf(`/proc/${name}/environ`)).split("\0").includes(`SLURM_PROCID=${rank}`)) return Number(name);
  }
  throw new Error(`expected rank ${rank} of a run in ${folder}, got none`);
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

/** Hash of all parameters, moments and statistics of a run. */
async function numbersOf(run: string): Promise<string> {
  const { tensors } = await loadCheckpoint(join(run, "checkpoint.safetensors"));
  const hash = createHash("sha256");
  for (const [name, { data }] of tensors) hash.update(name).update(data as Float32Array);
  return hash.digest("hex");
}

/** Sets the number of steps of a sweep; returns it. */
async function endAfter(name: string, steps: number): Promise<number> {
  const file = join(dir, `${name}.yaml`);
  await writeFile(file, (await readFile(file, "utf8")).replace(/"steps":\d+/, `"steps":${steps}`));
  return steps;
}

/** A run of one process, and one of two ranks, each on its node. Both are sweeps of one run. */
const COURSES = [
  { name: "alone", ranks: 1, options: [], last: 0, end: /^the process ended with exit code 137 in job \d+_0 on n\d$/ },
  {
    ...{ name: "pair", ranks: 2, options: [...TWO_NODES, "--ranks", "2"], last: 1 },
    end: /^rank 1 \(host n2, process \d+\) ended: /,
  },
].filter(({ ranks }) => ranks === 1 || mpiLack === null);

onCluster(
  "notice of the time limit, SIGKILL, the same command, a node that dies: runs of one process and of ranks on two nodes go on",
  async () => {
    let courses = await Promise.all(
      COURSES.map(async (course) => ({ ...course, ...(await sweepOf(course.name, ENDLESS)) })),
    );
    const each = <T>(action: (course: (typeof courses)[number], k: number) => Promise<T>): Promise<T[]> =>
      Promise.all(courses.map(action));
    const running = (restarts: number) => each(({ name, folder }) => runningJob(name, folder, restarts));
    const submitAll = (...more: readonly string[]) =>
      each(({ submit, options }) => submit(...options, ...more, "--slurm-option", "time=60"));

    for (const { code, stderr } of await submitAll()) assert.is(code, 0, stderr);
    // As Slurm gives notice of a time limit: to the shell alone.
    for (const { id } of await running(0)) await cluster.run("scancel", "--batch", "--signal=USR1", id);
    const noticed = await running(1);
    await each(async ({ folder }) => {
      const [, continued] = /^continues after step (\d+)/m.exec(await textOf(folder.log("seed=0")))!;
      assert.ok(Number(continued) > 0);
      const resumed = (await textOf(join(folder.run("seed=0"), "metrics.jsonl"))).match(
        /"event":"resumed","step":\d+/g,
      );
      assert.equal(resumed, [`"event":"resumed","step":${continued}`], "from the one checkpoint");
      assert.equal(await statuses(folder), ["running"]);
    });

    const killed = performance.now();
    await each(async ({ folder, last }) => process.kill(await processOf(folder.run("seed=0"), last), "SIGKILL"));
    await each(async ({ name, folder, end }, k) => {
      await until("the job to end", async () => (await jobsOf(name)).every(({ state }) => state === "FAILED"));
      const [state] = await folder.states(await folder.runs());
      assert.is(state!.status, "failed");
      assert.match(state!.error!, end);
      const lock = await textOf(join(folder.run("seed=0"), "run.lock"));
      assert.is(JSON.parse(lock).job.id, noticed[k]!.id, "the lock is left");
    });
    assert.ok(performance.now() - killed < ENDS_MS, "all processes end within seconds");
    const pair = courses[1];
    courses = courses.slice(0, 1);

    for (const { stdout, stderr } of await submitAll()) {
      assert.match(stdout, /\(1 failed\)\n.*1 task\nsubmitted job/);
      assert.is(stderr, "", "no heartbeat is watched");
    }
    const [{ node }] = (await running(0)) as [Job];
    await cluster.powerOff(node);
    await cluster.run("scontrol", "update", `nodename=${node}`, "state=down", "reason=test");
    for (const { stdout } of await submitAll())
      assert.match(stdout, /1 run in Slurm's queue already\n$/, "Slurm begins it again itself");
    const alone = await runningJob("alone", courses[0]!.folder, 1);
    assert.is.not(alone.node, node);
    await cluster.powerOn(node);
    await running(1);

    await each(async ({ name }) => {
      await cluster.run("scancel", (await jobsOf(name)).at(-1)!.id);
    });
    await each(({ folder }) => until("to end", async () => !(await statuses(folder)).includes("running")));
    assert.equal(await statuses(courses[0]!.folder), ["interrupted"], "a cancelled run has its checkpoint");
    // Runs here take the folders over, too.
    for (const { name, folder } of pair ? [...courses, pair] : courses) {
      const { step } = (await loadCheckpoint(join(folder.run("seed=0"), "checkpoint.safetensors"))).position;
      await endAfter(name, step + 2);
      const here = await axograd(["sweep", `${name}.yaml`], { cwd: dir });
      assert.is(here.code, 0, here.stderr);
    }
    if (!pair) return;
    const { step } = (await loadCheckpoint(join(pair.folder.run("seed=0"), "checkpoint.safetensors"))).position;
    const settings = ["--config", pair.config, "--steps", `${step}`, "--seed", "0"];
    const reference = await axograd(["train", ...settings, "--no-report", "--quiet", "--out", "reference"], {
      cwd: dir,
    });
    assert.is(reference.code, 0, reference.stderr);
    assert.is(await numbersOf(pair.folder.run("seed=0")), await numbersOf(join(dir, "reference")));
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
      .replace(/'\S*node' .*(?= >&3 )/, "bash -c 'echo rank $SLURM_PROCID of $SLURM_NTASKS: $CUDA_VISIBLE_DEVICES'"),
  );
  await mkdir(join(folder.path, "logs"), { recursive: true });
  await cluster.run("sbatch", `--chdir=${folder.path}`, "--wait", join(folder.path, "slurm.sh"));
  const log = (await readFile(folder.log("seed=0"), "utf8")).trim().split("\n").sort();
  assert.equal(log, ["rank 0 of 2: 0", "rank 1 of 2: 1"]);
});

testOrSkip(
  test,
  mpiLack === null,
  mpiLack ?? "",
  "srun starts ranks of train and sweep on both nodes; what cannot work is refused once",
  async () => {
    const sweep = await sweepOf("shared", 3, 2);
    const settings = ["--config", sweep.config, "--steps", "3", "--seed", "0", "--no-report", "--quiet"];
    const srun = (options: readonly string[], args: readonly string[], env = {}): Promise<Finished> =>
      start(args, {
        ...{ cwd: dir, env: { ...process.env, ...env } },
        runtime: ["srun", "--quiet", "--nodes=2", ...options, process.execPath],
      }).finished;
    const train = (options: readonly string[], out: string, env = {}): Promise<Finished> =>
      srun(options, ["train", ...settings, "--micro-batch", "4", "--out", out], env);
    const lacksMpich = !hasMpirun("mpich");
    const [pmix, none, predict, shared, pmi2] = await Promise.all([
      train(["-K", "--mpi=pmix", "-n", "4"], "pmix"),
      train(["-n", "2"], "none"),
      srun(["-n", "2"], ["predict", "pmix", "--out", "predicted"]),
      srun(["-K", "--mpi=pmix", "-n", "2", "-c", "2"], ["sweep", "shared.yaml"]),
      lacksMpich ? null : train(["-K", "--mpi=pmi2", "-n", "2"], "pmi2", { AXOGRAD_MPI: "libmpich.so.12" }),
    ]);
    assert.is(pmix.code, 0, pmix.stderr);
    const alone = await axograd(["train", ...settings, "--micro-batch", "4", "--out", "one"], { cwd: dir });
    assert.is(alone.code, 0, alone.stderr);
    assert.is(await numbersOf(join(dir, "pmix")), await numbersOf(join(dir, "one")));
    const messages = ({ stderr }: Finished): string[] =>
      stderr.split("\n").filter((line) => line.startsWith("axograd: "));
    assert.is.not(none.code, 0);
    assert.is(messages(none).length, 1, none.stderr);
    assert.match(messages(none)[0]!, "srun of Slurm says that this is rank 0 of 2, but Open MPI");
    assert.is(predict.code, 2);
    assert.is(messages(predict).length, 1, predict.stderr);
    assert.match(messages(predict)[0]!, "predict: expected one process, got rank 0 of 2, started by srun of Slurm");
    assert.is(shared.code, 0, shared.stderr);
    assert.equal(await statuses(sweep.folder), ["finished", "finished"]);
    const threads = await Promise.all(
      ["seed=0", "seed=1"].map(async (name) => {
        const { config } = JSON.parse(await textOf(join(sweep.folder.run(name), "config.json")));
        return config.threads;
      }),
    );
    assert.equal(threads, [2, 2], "the CPUs of a task, not of its node");
    if (pmi2 === null) return;
    assert.is(pmi2.code, 0, pmi2.stderr);
    assert.is(await numbersOf(join(dir, "pmi2")), await numbersOf(join(dir, "one")));
  },
);

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
