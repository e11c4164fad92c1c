// `axograd sweep --launcher kubernetes`: the manifest, what its pods do, and what is refused.

import { execFile, execFileSync, spawn } from "node:child_process";
import { chmod, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { delimiter, join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { promisify } from "node:util";
import type { IJob } from "kubernetes-models/batch/v1/Job";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { parse } from "yaml";
import { checkKubernetesOptions, kubernetesJob, kubernetesOption } from "../../src/cli/sweep/kubernetes.ts";
import { planRuns } from "../../src/cli/sweep/plan.ts";
import { readSweepFile } from "../../src/cli/sweep/sweepFile.ts";
import { type RunState, SweepFolder } from "../../src/cli/sweep/sweepFolder.ts";
import { fails, tempDir } from "../io/fixtures.ts";
import { jobFaults } from "../support/kubernetesSchema.ts";
import { testOrSkip } from "../support/skip.ts";
import { axograd, type Finished, MAIN } from "./process.ts";
import { SMALL_BASE } from "./sweepBase.ts";

const test = suite("axograd sweep --launcher kubernetes");
const dir = tempDir();

const USUAL = ["image=registry.example/axograd:1", "claim=work", `mount=${dir}`, "cpu=1", "memory=2Gi"];

const USUAL_JOB = { options: USUAL, parallel: null, gpus: null, ranks: null, memoryCheck: true };

function given(...options: readonly string[]): string[] {
  return options.flatMap((option) => ["--kubernetes-option", option]);
}

async function sweep(...args: readonly string[]): Promise<Finished> {
  return axograd(["sweep", ...args], { cwd: dir });
}

/** Writes a manifest, as a user does, and reads it. */
async function manifestOf(name: string, text: string, ...args: readonly string[]): Promise<IJob> {
  await writeFile(join(dir, `${name}.yaml`), text);
  const written = await sweep(`${name}.yaml`, "--launcher", "kubernetes", "--dry-run", ...given(...USUAL), ...args);
  assert.is(written.code, 0, written.stderr);
  return readManifest(await readFile(join(dir, "sweeps", name, "kubernetes.yaml"), "utf8"));
}

/** Reads YAML as kubectl does, and checks the manifest. */
function readManifest(text: string): IJob {
  const job: IJob = parse(text, { version: "1.1" });
  assert.equal(jobFaults(job), []);
  return job;
}

async function statesOf(text: string): Promise<RunState[]> {
  await writeFile(join(dir, "plan.yaml"), text);
  const none = { begun: false, pageDue: false, task: null, summary: null, error: null };
  return planRuns(await readSweepFile(join(dir, "plan.yaml"))).map((run) => ({ run, status: "waiting", ...none }));
}

function podOf(job: IJob) {
  const pod = job.spec!.template.spec!;
  return { pod, container: pod.containers[0]! };
}

test("the manifest has an index per run; evicted pods are replaced, wrong input is final", async () => {
  const options = ["namespace=lab", "sub-path=me/fly", "user=1000:100", "retries=5", "grace=30", "priority-class=low"];
  const args = [...given(...options, "node-selector=disk=ssd", "node-selector=example.org/on=on"), "--parallel", "2"];
  const { metadata, spec } = await manifestOf("grid", `${SMALL_BASE}seeds: 2\ngrid:\n  lr: [1, 2]\n`, ...args);
  assert.match(metadata!.name!, /^axograd-grid-[0-9a-f]{8}$/);
  assert.is(metadata!.namespace, "lab");
  const { template, podFailurePolicy, ...rest } = spec!;
  assert.equal(rest, {
    completions: 4,
    parallelism: 2,
    completionMode: "Indexed",
    backoffLimitPerIndex: 5,
    podReplacementPolicy: "Failed",
  });
  assert.equal(
    podFailurePolicy!.rules.map(({ action, onExitCodes, onPodConditions }) => [
      action,
      onExitCodes?.values ?? onPodConditions![0],
    ]),
    [
      ["Ignore", { type: "DisruptionTarget", status: "True" }],
      ["Ignore", [143]],
      ["FailIndex", [2, 126, 127]],
    ],
  );
  assert.equal(template.metadata!.labels, metadata!.labels);
  const { containers, volumes, securityContext, ...pod } = template.spec!;
  assert.equal(pod, {
    restartPolicy: "Never",
    terminationGracePeriodSeconds: 30,
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    priorityClassName: "low",
    nodeSelector: { disk: "ssd", "example.org/on": "on" },
  });
  assert.equal(securityContext, {
    seccompProfile: { type: "RuntimeDefault" },
    ...{ runAsNonRoot: true, runAsUser: 1000, runAsGroup: 100 },
  });
  const [{ resources, volumeMounts, image, env }] = containers as [(typeof containers)[number]];
  assert.equal(
    [image, env, resources],
    ["registry.example/axograd:1", undefined, { limits: { cpu: "1", memory: "2Gi" } }],
  );
  assert.equal(volumeMounts, [{ name: "sweep", mountPath: dir, subPath: "me/fly" }]);
  assert.equal(volumes, [{ name: "sweep", persistentVolumeClaim: { claimName: "work" } }]);
});

test("a GPU is a limit of its vendor's resource; a run has the threads of its CPUs, or of its settings", async () => {
  const states = await statesOf(SMALL_BASE);
  const job = (gpus: number | null, ...more: readonly string[]) => {
    const { script, manifest } = kubernetesJob(new SweepFolder(join(dir, "gpu")), states, {
      ...USUAL_JOB,
      options: [...USUAL.filter((option) => !option.startsWith("cpu=")), ...more],
      gpus,
    });
    const { container } = podOf(readManifest(manifest));
    return { script: script.text, limits: container.resources!.limits!, env: container.env };
  };
  const nvidia = job(1, "cpu=3500m");
  assert.is(nvidia.limits["nvidia.com/gpu"], "1");
  assert.match(nvidia.env![0]!.value!, /graphics/);
  assert.match(nvidia.script, / --threads 3 >&3/);
  const intel = job(1, "cpu=500m", "gpu-resource=gpu.intel.com/i915");
  assert.equal([intel.limits["gpu.intel.com/i915"], intel.env], ["1", undefined]);
  assert.match(intel.script, / --threads 1 >&3/);
  assert.equal(Object.keys(job(null, "cpu=2").limits), ["cpu", "memory"]);
  const own = kubernetesJob(
    new SweepFolder(join(dir, "own")),
    await statesOf(`${SMALL_BASE}grid:\n  threads: [2, 3]\n`),
    {
      ...USUAL_JOB,
      memoryCheck: false,
    },
  );
  assert.not.match(own.script.text, /--threads/);
  assert.match(own.script.text, /\.yaml" --no-memory-check >&3/);
});

test("the check of manifests refuses unknown fields, wrong types and missing parts", async () => {
  const { manifest } = kubernetesJob(new SweepFolder(join(dir, "some")), await statesOf(SMALL_BASE), USUAL_JOB);
  const changed = (change: (job: IJob, container: Record<string, unknown>) => void): string => {
    const job = readManifest(manifest);
    change(job, podOf(job).container as unknown as Record<string, unknown>);
    return jobFaults(job).join("; ");
  };
  assert.match(
    changed((job) => Object.assign(job.spec!, { backoffLimitPerindex: 1 })),
    /^\/spec\/backoffLimitPerindex is unknown$/,
  );
  assert.match(
    changed((_, container) => Object.assign(container, { resource: { limits: 1 } })),
    /containers\/0\/resource is unknown; .*resource\/limits is unknown/,
  );
  assert.match(
    changed((job) => Object.assign(job.spec!, { completions: "4" })),
    /completions must be integer/,
  );
  assert.match(
    changed((_, container) => delete container.name),
    /containers\/0 must have required property/,
  );
  assert.match(
    changed((job) => Object.assign(job.spec!.podFailurePolicy!.rules[0]!, { action: "Retry" })),
    /action must be equal to one of/,
  );
  assert.match(
    changed((_, container) => Object.assign(container, { resources: { limits: { cpu: true } } })),
    /limits\/cpu must be/,
  );
});

/** The minor version of Kubernetes that kubectl knows, 1.x; 0: there is no kubectl. */
function kubectlVersion(): number {
  try {
    const text = execFileSync("kubectl", ["version", "--client", "--output=json"], { encoding: "utf8", stdio: "pipe" });
    return Number.parseInt(JSON.parse(text).clientVersion.minor, 10);
  } catch {
    return 0;
  }
}

testOrSkip(
  test,
  kubectlVersion() >= 29,
  "kubectl 1.29 or newer",
  "kubectl keeps every field of the manifest",
  async () => {
    const args = given("user=1:2", "node-selector=on=on", "priority-class=low", "sub-path=a", "namespace=lab");
    args.push("--gpus", "1");
    const job = await manifestOf("kubectl", `${SMALL_BASE}seeds: 2\n`, ...args);
    // Decodes into Kubernetes' own types, and drops what they lack.
    const file = join(dir, "sweeps/kubectl/kubernetes.yaml");
    const call = ["set", "env", "--local", "--output=json", `--filename=${file}`, "ADDED=1"];
    const { stdout } = await promisify(execFile)("kubectl", call);
    const lost = (part: unknown, whole: unknown, path: string): string[] => {
      if (typeof part !== "object" || part === null) return part === whole ? [] : [path];
      const other = (whole ?? {}) as Record<string, unknown>;
      return Object.entries(part).flatMap(([key, value]) => lost(value, other[key], `${path}/${key}`));
    };
    assert.equal(lost(job, JSON.parse(stdout), ""), []);
    assert.equal(lost({ ...job, more: 1 }, JSON.parse(stdout), ""), ["/more"]);
  },
);

/** A command as the kubelet starts it: `$(NAME)` is expanded, `$$` is `$`. */
function expanded(text: string, env: Readonly<Record<string, string>>): string {
  return text.replace(/\$\$|\$\(([^)]*)\)/g, (match, name?: string) =>
    name === undefined ? "$" : (env[name] ?? match),
  );
}

/** Starts the process of a pod. */
function startPod(job: IJob, index: number, bin: string) {
  const env = { JOB_COMPLETION_INDEX: `${index}` };
  const [program, ...args] = podOf(job).container.command!.map((word) => expanded(word, env));
  const child = spawn(program!, args, {
    env: { ...env, PATH: `${bin}${delimiter}${process.env.PATH}` },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  }
  const finished = new Promise<{ code: number | null; output: string }>((done) => {
    child.once("close", (code) => done({ code, output }));
  });
  return { child, finished };
}

/** A folder with a command `axograd`, as an image has one. */
async function image(name: string, script: string): Promise<string> {
  const bin = join(dir, name);
  await mkdir(bin);
  await writeFile(join(bin, "axograd"), `#!/bin/sh\n${script}\n`);
  await chmod(join(bin, "axograd"), 0o755);
  return bin;
}

test("a pod that is stopped writes a checkpoint, the next one continues, and one that comes too late changes nothing", async () => {
  const bin = await image("image", `exec '${process.execPath}' '${MAIN}' "$@"`);
  const text = (steps: number) => `${SMALL_BASE}  steps: ${steps}\nseeds: 2\n`;
  const first = startPod(await manifestOf("pods", text(1_000_000)), 1, bin);
  const folder = new SweepFolder(join(dir, "sweeps/pods"));
  const metrics = join(folder.run("seed=1"), "metrics.jsonl");
  const hasStep = async () => (await readFile(metrics, "utf8").catch(() => "")).includes('"event":"step"');
  while (first.child.exitCode === null && !(await hasStep())) await setTimeout(50);
  const running = await sweep("pods.yaml", "--launcher", "kubernetes", "--dry-run", ...given(...USUAL));
  assert.match(running.stdout, /\n1 run left out, as processes work on them\n.*kubernetes\.yaml: job .* of 1 run; /);
  first.child.kill("SIGTERM");
  const stopped = await first.finished;
  assert.is(stopped.code, 143, stopped.output);
  assert.is(await readFile(folder.log("seed=1"), "utf8"), stopped.output);

  const job = await manifestOf("pods", text(2));
  assert.is(job.spec!.completions, 2);
  const second = await startPod(job, 1, bin).finished;
  assert.is(second.code, 0, second.output);
  assert.match(await readFile(metrics, "utf8"), /"event":"resumed"/);
  const summary = await readFile(join(folder.run("seed=1"), "summary.json"), "utf8");
  const late = await startPod(job, 1, bin).finished;
  assert.is(late.code, 0, late.output);
  assert.equal(
    JSON.parse(await readFile(join(folder.run("seed=1"), "summary.json"), "utf8")).steps,
    JSON.parse(summary).steps,
  );

  const rest = await manifestOf("pods", text(2));
  assert.is(rest.spec!.completions, 1);
  assert.not.equal(rest.metadata!.name, job.metadata!.name);
  const failed = await startPod(rest, 0, await image("broken", "kill -KILL $$")).finished;
  const word = `the process ended with exit code 137 in pod ${hostname()}`;
  assert.is(failed.code, 137);
  assert.match(failed.output, `axograd: ${word}\n`);
  const collected = JSON.parse((await axograd(["collect", "sweeps/pods", "--json"], { cwd: dir })).stdout);
  assert.equal(
    collected.runs.map(({ status, error }: Record<string, unknown>) => [status, error]),
    [
      ["failed", word],
      ["finished", null],
    ],
  );
  const last = await startPod(rest, 0, bin).finished;
  assert.is(last.code, 0, last.output);
  const none = await sweep("pods.yaml", "--launcher", "kubernetes", "--dry-run", "--json", ...given(...USUAL));
  const { manifest, runs } = JSON.parse(none.stdout);
  assert.equal([manifest, runs.length], [null, 2]);
  assert.not.ok((await readdir(folder.path)).includes("kubernetes.yaml"), "no manifest that submits finished runs");
});

test("names with any characters stay whole, and none becomes a command", async () => {
  const bin = await image("says", `printf '%s\\n' "$PWD" "$@"`);
  const path = join(dir, "it's $(touch pwned) `touch pwned` $$(JOB_COMPLETION_INDEX) $(JOB_COMPLETION_INDEX) \"ü\n: -");
  const folder = new SweepFolder(path);
  await mkdir(join(path, "logs"), { recursive: true });
  const states = await statesOf(`${SMALL_BASE}grid:\n  connectome: [a/b c.npz, "on"]\n`);
  const { script, manifest } = kubernetesJob(folder, states, USUAL_JOB);
  await writeFile(script.file, script.text);
  const job = readManifest(manifest);
  const { code, output } = await startPod(job, 0, bin).finished;
  assert.equal([code, output.split("\n--")[0]], [0, `${process.cwd()}\ntrain`]);
  const run = join(path, "runs/connectome=a-b-c.npz");
  assert.match(output, `\n--out\n${run}\n--overwrite\n--config\n${folder.config("connectome=a-b-c.npz")}\n`);
  assert.is(await readFile(folder.log("connectome=a-b-c.npz"), "utf8"), output);
  for (const each of [dir, path, process.cwd()]) assert.not((await readdir(each)).includes("pwned"));
  assert.match(job.metadata!.name!, /^axograd-it-s-touch-pwned-touch-pwned-job-[0-9a-f]{8}$/);
  assert.is((await startPod(job, 2, bin).finished).code, 2, "an index without a run");
});

test("names of hosts, <job>-<index>, are short enough for any folder and the most runs", async () => {
  const states = await statesOf(SMALL_BASE);
  for (const name of ["x".repeat(200), `${"x".repeat(31)}-y`, "ß∂", "-", "Ünlü", "1"]) {
    const job = kubernetesJob(new SweepFolder(join(dir, name)), states, USUAL_JOB);
    assert.match(`${job.name}-99999`, /^(?=.{1,63}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?$/);
    readManifest(job.manifest);
  }
});

test("options that are missing, unknown, wrong or of no use are refused", async () => {
  await writeFile(join(dir, "refused.yaml"), SMALL_BASE);
  const refused = async (pattern: RegExp, ...args: readonly string[]): Promise<void> => {
    const { code, stderr } = await sweep("refused.yaml", ...args);
    assert.is(code, 2, stderr);
    assert.match(stderr, pattern);
  };
  const launch = ["--launcher", "kubernetes"];
  await refused(/--dry-run with it: .* kubectl apply submits it/, ...launch, ...given(...USUAL));
  await refused(
    /expected claim=… \(.*\), memory=… \(.*\), got only image, mount, cpu /,
    ...launch,
    "--dry-run",
    ...given(...USUAL.filter((_, k) => k % 3 !== 1)),
  );
  await refused(/image=….*, got none/, ...launch, "--dry-run");
  await refused(/expected cpu once, got 1 and 2/, ...launch, "--dry-run", ...given(...USUAL, "cpu=2"));
  await refused(/--launcher kubernetes with it, got --launcher local/, ...given("cpu=2"));
  const all = [...launch, "--dry-run", ...given(...USUAL)];
  await refused(/--launcher slurm with it, got --launcher kubernetes/, ...all, "--slurm-option", "time=1");
  await refused(/--launcher slurm with it, got --launcher kubernetes/, ...all, "--mpi", "pmix");
  await refused(/MPI Operator.*, got 2 \(--ranks\)/, ...all, "--ranks", "2");
  await refused(/at most 1, .* got 4 \(--gpus\)/, ...all, "--gpus", "4");
  const elsewhere = [...USUAL.filter((option) => !option.startsWith("mount=")), `mount=${dir}/sweeps/refused`];
  await refused(/holds the working directory, .*which does not hold/, ...launch, "--dry-run", ...given(...elsewhere));
  const away = [...launch, "--dry-run", ...given(...USUAL), "--out", "../away"];
  await refused(/holds the folder of the sweep, /, ...away);
  assert.not.ok((await readdir(join(dir, "sweeps"))).includes("refused"), "nothing is written");

  const wrong = (text: string, pattern: RegExp) => fails(() => kubernetesOption(text), "argument", pattern);
  await wrong("imge=a", /got "imge", did you mean "image"\? \(--kubernetes-option\)/);
  await wrong("image", /an image with axograd in its PATH, .* got "" \(--kubernetes-option image\)/);
  for (const memory of ["4", "4g", "4GB", "500m", "0Gi", "0.0M", "-1Gi"])
    await wrong(`memory=${memory}`, /memory of a pod/);
  for (const cpu of ["0", "0.0", "0m", "two", "1.2345", "-1", ""]) await wrong(`cpu=${cpu}`, /CPUs of a pod/);
  for (const mount of ["data", "/", "//", "/a:b", "/a\nb", ""]) await wrong(`mount=${mount}`, /the path of the claim/);
  for (const folder of ["/a", "..", "a/../b", "a/..", ""]) await wrong(`sub-path=${folder}`, /a folder within/);
  for (const claim of ["Work", "a_b", "-a", "a.", "a".repeat(254)])
    await wrong(`claim=${claim}`, /PersistentVolumeClaim/);
  for (const user of ["0", "root", "1:", ":1", "-1"]) await wrong(`user=${user}`, /not root/);
  for (const label of ["disk", "a=b=c", "-a=b", "a=-b", "A.B/c=d"]) await wrong(`node-selector=${label}`, /a label/);
  await wrong("gpu-resource=gpu", /nvidia\.com\/gpu/);
  await wrong("retries=-1", /at most 999/);
  await wrong("grace=0", /at least 1/);
  for (const right of [
    "memory=0.5Gi",
    "cpu=0.5",
    "sub-path=a..b/..c",
    "node-selector=a.b/c=",
    "gpu-resource=nvidia.com/mig-1g.5gb",
  ]) {
    kubernetesOption(right);
  }

  const check = (more: object, ...options: readonly string[]) => {
    const here = [...USUAL.filter((option) => !option.startsWith("mount=")), `mount=${process.cwd()}`];
    const all = { ...USUAL_JOB, options: [...here, ...options], ...more };
    return () => checkKubernetesOptions(new SweepFolder("sweeps/any"), all, true);
  };
  await fails(check({ ranks: 2 }), "argument", /1 with --launcher kubernetes, .*MPI Operator.*, got 2 \(--ranks\)/);
  await fails(check({ gpus: 2 }), "argument", /at most 1, .* got 2 \(--gpus\)/);
  await fails(check({}, "gpu-resource=amd.com/gpu"), "argument", /--gpus 1 with it, got no --gpus/);
  check({ gpus: 1, ranks: 1 }, "gpu-resource=amd.com/gpu")();
});

test.run();
