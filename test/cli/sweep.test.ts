// `axograd sweep` and `axograd collect`: which runs a file means, what is refused, and what becomes of runs that fail or are stopped.

import { execFile, spawnSync } from "node:child_process";
import { chmod, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { promisify } from "node:util";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { planRuns } from "../../src/cli/sweep/plan.ts";
import { collectResults } from "../../src/cli/sweep/results.ts";
import {
  groupName,
  plottedMeasure,
  resultsCsv,
  resultsMarkdown,
  resultsText,
} from "../../src/cli/sweep/resultTables.ts";
import { SweepJobs } from "../../src/cli/sweep/slurm.ts";
import { parseSlurmOption, requestedOf, type SlurmOptions } from "../../src/cli/sweep/slurmOptions.ts";
import { slurmScript } from "../../src/cli/sweep/slurmScript.ts";
import { readSweepFile } from "../../src/cli/sweep/sweepFile.ts";
import { type RunState, SweepFolder } from "../../src/cli/sweep/sweepFolder.ts";
import { sweepSchemaText } from "../../src/cli/sweep/sweepSchema.ts";
import { standaloneSvg } from "../../src/report/figure.ts";
import { comparisonFigure } from "../../src/report/plots/comparison.ts";
import { CONFIG_KEYS } from "../../src/run/configOptions.ts";
import { spread } from "../../src/stats/spread.ts";
import type { TaskDescription } from "../../src/train/taskDescription.ts";
import { fails, tempDir } from "../io/fixtures.ts";
import { repositoryRoot } from "../support/shared.ts";
import { axograd, type Finished, start } from "./process.ts";
import { SMALL_BASE } from "./sweepBase.ts";

const test = suite("axograd sweep");
const dir = tempDir();

const BASE = `${SMALL_BASE}  threads: 1
`;

async function file(name: string, text: string): Promise<string> {
  await writeFile(join(dir, name), text);
  return join(dir, name);
}

async function plan(text: string) {
  return planRuns(await readSweepFile(await file("plan.yaml", text)));
}

async function sweep(...args: readonly string[]): Promise<Finished> {
  return axograd(["sweep", ...args], { cwd: dir });
}

test("every combination of grid and zip is run with every seed, under names that stay", async () => {
  const runs = await plan("seeds: [4, 2]\ngrid:\n  lr: [1e-3, 0.5]\nzip:\n  gain: [1, 2]\n  endTime: [5, 3]\n");
  assert.equal(
    runs.map(({ name }) => name),
    [
      ...["gain=1_endTime=5_lr=0.001_seed=4", "gain=1_endTime=5_lr=0.001_seed=2"],
      ...["gain=1_endTime=5_lr=0.5_seed=4", "gain=1_endTime=5_lr=0.5_seed=2"],
      ...["gain=2_endTime=3_lr=0.001_seed=4", "gain=2_endTime=3_lr=0.001_seed=2"],
      ...["gain=2_endTime=3_lr=0.5_seed=4", "gain=2_endTime=3_lr=0.5_seed=2"],
    ],
  );
  const { options, config } = runs.at(-1)!;
  assert.equal(options, { gain: 2, endTime: 3, lr: 0.5 });
  assert.equal([config.gain, config.endTime, config.lr, config.seed, config.preset], [2, 3, 0.5, 2, "demo"]);
});

test("lists and values by name make names of their own", async () => {
  const names = async (text: string) => (await plan(text)).map(({ name }) => name);
  assert.equal(await names("grid:\n  metrics: [[accuracy], [balanced-accuracy, accuracy]]\n"), [
    "metrics=accuracy",
    "metrics=balanced-accuracy-accuracy",
  ]);
  assert.equal(
    await names('grid:\n  lrOf: ["weights=0.1,biases=0.2", {weights: 0.3}]\n  penalty: ["l2:weights=0.1", null]\n'),
    [
      ...["lrOf=weights-0.1-biases-0.2_penalty=l2-weights-0.1", "lrOf=weights-0.1-biases-0.2_penalty=none"],
      ...["lrOf=weights-0.3_penalty=l2-weights-0.1", "lrOf=weights-0.3_penalty=none"],
    ],
  );
  assert.equal(await names("base: {data: addition}\ngrid:\n  dataOptions: [{wait: 4}, {wait: 8, digits: 2}]\n"), [
    "dataOptions=wait-4",
    "dataOptions=wait-8-digits-2",
  ]);
});

test("values that are no part of a file's name are written otherwise, limits displace each other", async () => {
  const names = async (text: string) => (await plan(text)).map(({ name }) => name);
  assert.equal(await names("grid:\n  connectome: [a/b c.npz, ../d.npz]\n"), [
    "connectome=a-b-c.npz",
    "connectome=..-d.npz",
  ]);
  assert.equal(await names("grid:\n  fcDim: [null, 3]\n  generate: [9x20]\n"), [
    "fcDim=none_generate=9x20",
    "fcDim=3_generate=9x20",
  ]);
  assert.equal(await names(""), ["run"]);
  const [run] = await plan("base:\n  epochs: 3\ngrid:\n  steps: [7]\n");
  assert.equal([run!.config.epochs, run!.config.steps], [null, 7]);
});

test("the base may be a file", async () => {
  const base = await file("base.yaml", "gain: 1.5\n");
  const [run] = await plan(`base: ${base}\nseeds: 1\n`);
  assert.is(run!.config.gain, 1.5);
});

test("wrong files are refused with line, key, what was expected and what came", async () => {
  const refused = (text: string, ...patterns: readonly RegExp[]) => fails(() => plan(text), "argument", ...patterns);
  await refused("sedes: 3\n", /plan\.yaml:1: /, /"sedes", did you mean "seeds"\?/);
  await refused("lr: 3\n", /settings of all runs go below base/);
  await refused("base:\n  gain: 2\n  batchsize: 3\n", /:3: /, /did you mean "batchSize"\?/);
  await refused("grid:\n  learning: [3]\n", /:2: expected the name of a setting/);
  await refused("grid:\n  lr: [0.1, fast]\n", /:2: expected a number above 0, got "fast" \(lr\)/);
  await refused("grid:\n  lr: 0.1\n", /a list of at least one value, got 0\.1 \(lr\)/);
  await refused("grid:\n  lr: []\n", /a list of at least one value/);
  await refused("grid:\n  lr: [1, 1.0]\n", /values that differ/);
  await refused("grid: [lr]\n", /settings with lists of values/);
  await refused("grid:\n  seed: [1]\n", /seeds under "seeds"/);
  await refused("seeds: 0\n", /how many seeds/);
  await refused("seeds: [1, 1]\n", /seeds that differ/);
  await refused("seeds: [-1]\n", /whole numbers of at least 0, got \[-1\]/);
  await refused("base:\n  seed: 3\nseeds: 3\n", /no seeds where base has a seed/);
  await refused("grid:\n  lr: [1]\nzip:\n  lr: [1]\n", /:4: .*under both/);
  await refused("zip:\n  lr: [1, 2]\n  gain: [1]\n", /:3: expected 2 values, as lr has, got 1 \(gain\)/);
  await refused("grid:\n  connectome: [a/b.npz, a-b.npz]\n", /different names of folders/);
  await refused(`grid:\n  connectome: [${"a".repeat(300)}]\n`, /at most 200 characters/);
  await fails(() => plan("base: 3\n"), "file-format", /:1: expected settings, or the name of a file, got 3/);
  await fails(() => plan("- 1\n"), "file-format", /keys with values/);
});

test("mean and standard deviation over seeds", () => {
  assert.equal(spread([]), null);
  assert.equal(spread([3]), { mean: 3, sd: null });
  assert.equal(spread([1, 2, 3]), { mean: 2, sd: 1 });
});

test("tables quote what needs it, and the plot has a line per combination", () => {
  const none = { validationLoss: null, testLoss: null, trainingLoss: null, validationAccuracy: null };
  const common = { ...none, seed: 0, error: null, status: "finished" as const, steps: 5, seconds: 1 };
  const runs = [0.5, 0.75].map((testAccuracy, k) => ({
    ...common,
    run: `run ${k}`,
    options: { nonlinearity: k === 0 ? "ReLU,Tanh" : "a|b" },
    testAccuracy,
    error: k === 0 ? 'said "no"' : null,
  }));
  const groups = runs.map(({ options, testAccuracy }) => {
    const measures = { ...none, testAccuracy: { mean: testAccuracy, sd: 0.05 }, steps: null, seconds: null };
    return { options, finished: 1, runs: 2, measures };
  });
  const { measures } = collectResults([]);
  const accuracies = (["validation", "test"] as const).map((set) => ({
    ...{ key: `${set}Accuracy` as const, name: `${set} accuracy` },
    ...({ format: "share", range: [0, 1], better: "higher" } as const),
  }));
  const results = { measures: [...accuracies, ...measures], runs, groups };
  const csv = resultsCsv(results).split("\r\n");
  assert.is(csv[1], 'run 0,"ReLU,Tanh",0,finished,,0.5,,,,5,1,"said ""no"""');
  const markdown = resultsMarkdown(results);
  assert.match(markdown, "| a\\|b | 1 of 2 | 75.00 ± 5.00 |");
  assert.match(markdown, '- `run 0`: said "no"');
  const plot = resultsText(results).split("\n").slice(-4);
  assert.match(plot[0]!, /^nonlinearity=ReLU,Tanh {2}├─+●─+┤$/);
  assert.match(plot[1]!, /^nonlinearity=a\|b {8}/);
  assert.match(plot[2]!, /^ +45\.0 % +80\.0 % {2}test accuracy$/);
});

test("the metrics of any task are collected, and the first one compares the combinations", async () => {
  const runs = await plan("grid:\n  lr: [1, 2]\n");
  const number = { format: "number", chance: null } as const;
  const task: TaskDescription = {
    loss: { name: "squared", unit: null, chance: null },
    metrics: [
      { ...number, name: "mean-error", better: "lower", range: [0, null] },
      { ...number, name: "r2", better: "higher", range: [null, 1] },
    ],
    target: { kind: "numbers", width: 2, classes: null, times: null },
  };
  const states = runs.map((run, k): RunState => {
    const test = {
      set: "test" as const,
      loss: 0.5 + k,
      metrics: { "mean-error": 120 + 30 * k, r2: k === 0 ? 0.25 : Number.NaN },
    };
    const memory = { peakMemoryBytes: 1, statedMemoryBytes: null, deviceMemory: { peakBytes: 1, largestBytes: 1 } };
    const work = { steps: 5, seconds: 1, stepsPerSecond: 5, trainingLoss: 1, recovery: null, interrupted: null };
    const summary = { ...work, ...memory, validation: null, test };
    return { run, status: "finished", begun: true, pageDue: false, task, summary, error: null };
  });
  const results = collectResults(states);
  assert.equal(
    results.measures.map(({ key }) => key),
    [
      ...(["validationMeanError", "testMeanError", "validationR2", "testR2", "validationLoss", "testLoss"] as const),
      ...(["trainingLoss", "steps", "seconds"] as const),
    ],
  );
  assert.equal([results.runs[0]!.testMeanError, results.runs[0]!.testR2, results.runs[1]!.testR2], [120, 0.25, null]);
  assert.is(plottedMeasure(results)!.name, "test mean-error");
  assert.match(resultsMarkdown(results), "| lr | runs | test mean-error | test r2 | test loss |");
  const plot = resultsText(results).split("\n");
  assert.match(plot.at(-2)!, /^ +120 +150 {2}test mean-error$/);
  const svg = standaloneSvg(
    comparisonFigure(
      results.groups.map((group) => ({
        name: groupName(group),
        values: [],
        mean: group.measures.testMeanError!.mean,
        sd: null,
      })),
      plottedMeasure(results)!,
    ),
  );
  assert.match(svg, />150</);
  assert.not.match(svg, /%</);
});

test("one failed run does not stop the others; the same command goes on with what is left", async () => {
  const text = (steps: number, lr: string) => `${BASE}  steps: ${steps}\nseeds: 2\ngrid:\n  lr: [1e-3, ${lr}]\n`;
  await file("some.yaml", text(3, "1e38"));
  const listed = await sweep("some.yaml", "--dry-run");
  assert.is(listed.code, 0, listed.stderr);
  assert.match(listed.stdout, /lr=1e\+38_seed=1 {2}waiting/);
  assert.not.ok((await readdir(dir)).includes("sweeps"), "nothing is written");

  const first = await sweep("some.yaml", "--parallel", "2");
  assert.is(first.code, 1, first.stderr);
  assert.match(first.stderr, /\[4\/4\]/);
  assert.match(first.stderr, /axograd: sweep: expected all runs to finish, got 2 that failed/);
  assert.match(first.stderr, /\n {2}lr=1e\+38_seed=0: .*not finite.*\n {2}lr=1e\+38_seed=1: /);
  const { runs, groups } = JSON.parse((await axograd(["collect", "sweeps/some", "--json"], { cwd: dir })).stdout);
  assert.equal(
    runs.map(({ run, seed, status }: Record<string, unknown>) => [run, seed, status]),
    [
      ["lr=0.001_seed=0", 0, "finished"],
      ["lr=0.001_seed=1", 1, "finished"],
      ["lr=1e+38_seed=0", 0, "failed"],
      ["lr=1e+38_seed=1", 1, "failed"],
    ],
  );
  assert.equal([groups[0].finished, groups[1].finished, groups[1].measures.testAccuracy], [2, 0, null]);
  const [a, b] = runs.map(({ testAccuracy }: { testAccuracy: number }) => testAccuracy);
  assert.is(groups[0].measures.testAccuracy.mean, (a + b) / 2);
  const names = await readdir(join(dir, "sweeps/some"));
  for (const name of ["results.csv", "results.md", "results.json", "results.svg", "sweep.json"]) {
    assert.ok(names.includes(name), name);
  }
  assert.match(await readFile(join(dir, "sweeps/some/results.svg"), "utf8"), /lr=0\.001/);

  const changed = async (run: string) => readFile(join(dir, "sweeps/some/runs", run, "summary.json"), "utf8");
  const before = await changed("lr=0.001_seed=0");
  await file("some.yaml", text(3, "2e-3"));
  const second = await sweep("some.yaml", "--json");
  assert.is(second.code, 0, second.stderr);
  assert.is(await changed("lr=0.001_seed=0"), before, "a finished run is not run again");
  const statuses = JSON.parse(second.stdout).runs.map(({ status }: { status: string }) => status);
  assert.equal(statuses, ["finished", "finished", "finished", "finished"]);

  await file("some.yaml", text(3, "2e-3").replace("batchSize: 16", "batchSize: 8"));
  const other = await sweep("some.yaml");
  assert.is(other.code, 2);
  assert.match(other.stderr, /batchSize as the run began, 16 in .*; another --out begins anew, got 8 \(--batch-size\)/);
});

/** Waits until a run has done a step. */
async function hasStep(metrics: string): Promise<void> {
  while (!(await readFile(metrics, "utf8").catch(() => "")).includes('"event":"step"')) await setTimeout(50);
}

test("Ctrl-C stops the runs with their checkpoints, and the same command resumes them", async () => {
  const text = (steps: number) => `${BASE}  steps: ${steps}\nseeds: 3\n`;
  await file("long.yaml", text(1_000_000));
  const { child, finished } = start(["sweep", "long.yaml", "--parallel", "2"], { cwd: dir });
  const folder = new SweepFolder(join(dir, "sweeps/long"));
  for (const name of ["seed=0", "seed=1"]) await hasStep(join(folder.run(name), "metrics.jsonl"));
  child.kill("SIGINT");
  const stopped = await finished;
  assert.is(stopped.code, 130, stopped.stderr);
  const states = await folder.states(await folder.runs());
  assert.equal(
    states.map(({ status }) => status),
    ["interrupted", "interrupted", "waiting"],
  );
  await file("long.yaml", text(2));
  const resumed = await sweep("long.yaml", "--quiet");
  assert.is(resumed.code, 0, resumed.stderr);
  assert.is(resumed.stderr, "");
  const metrics = await readFile(join(folder.run("seed=0"), "metrics.jsonl"), "utf8");
  assert.match(metrics, /"event":"resumed"/);
});

test("a sweep that is killed and started again at once waits for what is left of it, and finishes everything", async () => {
  await file("killed.yaml", `${BASE}  steps: 150\nseeds: 2\n`);
  const { child, finished } = start(["sweep", "killed.yaml", "--parallel", "2"], { cwd: dir });
  const folder = new SweepFolder(join(dir, "sweeps/killed"));
  for (const name of ["seed=0", "seed=1"]) await hasStep(join(folder.run(name), "metrics.jsonl"));
  child.kill("SIGKILL");
  await finished;
  const { code, stdout, stderr } = await sweep("killed.yaml", "--parallel", "2", "--json");
  assert.is(code, 0, stderr);
  const { runs } = JSON.parse(stdout);
  assert.equal(
    runs.map(({ status, steps }: Record<string, unknown>) => [status, steps]),
    [
      ["finished", 150],
      ["finished", 150],
    ],
  );
});

test("a page that was not made, or is gone, is made by the same command, and the run is left as it is", async () => {
  await file("page.yaml", `${BASE}  steps: 2\n`);
  const first = await sweep("page.yaml");
  assert.is(first.code, 0, first.stderr);
  const run = new SweepFolder(join(dir, "sweeps/page")).run("run");
  const summary = await readFile(join(run, "summary.json"), "utf8");
  await rm(join(run, "report.html"));
  const [state] = await new SweepFolder(join(dir, "sweeps/page")).states(await plan(`${BASE}  steps: 2\n`));
  assert.equal([state!.status, state!.pageDue], ["finished", true]);
  const second = await sweep("page.yaml");
  assert.is(second.code, 0, second.stderr);
  assert.match(await readFile(join(run, "report.html"), "utf8"), /<html/);
  assert.is(await readFile(join(run, "summary.json"), "utf8"), summary);
  const third = await sweep("page.yaml");
  assert.not.match(third.stderr, /\[1\/1\]/, "nothing is left to do");
});

test("of two equal commands in two shells, the second is refused while the first works", async () => {
  await file("shells.yaml", `${BASE}  steps: 1000000\n`);
  const { child, finished } = start(["sweep", "shells.yaml"], { cwd: dir });
  await hasStep(join(new SweepFolder(join(dir, "sweeps/shells")).run("run"), "metrics.jsonl"));
  for (const more of [[], ["--launcher", "slurm"], ["--launcher", "slurm", "--dry-run"]]) {
    const second = await sweep("shells.yaml", ...more);
    assert.is(second.code, 2, second.stderr);
    assert.match(
      second.stderr,
      new RegExp(`sweeps/shells to be free, got one that is in use by process ${child.pid} on`),
    );
  }
  const looked = await sweep("shells.yaml", "--dry-run");
  assert.match(looked.stdout, /run {2}running/);
  child.kill("SIGTERM");
  assert.is((await finished).code, 143);
});

test("a run whose process nobody can ask is not taken for running for ever: the command fails and says what to do", async () => {
  await file("unknown.yaml", `${BASE}  steps: 2\nseeds: 2\n`);
  const folder = new SweepFolder(join(dir, "sweeps/unknown"));
  await mkdir(folder.run("seed=0"), { recursive: true });
  await writeFile(join(dir, "sweeps/unknown/sweep.json"), "{}");
  const lock = join(folder.run("seed=0"), "run.lock");
  await writeFile(lock, JSON.stringify({ pid: 1, host: "another.machine", began: null, since: "then" }));
  const { code, stderr } = await sweep("unknown.yaml");
  assert.is(code, 1);
  assert.match(stderr, /got 1 that did not; the same command tries them again:\n {2}seed=0: running\n$/);
  assert.match(
    stderr,
    /seed=0 {2}running {2}.*process 1 on another\.machine since then; if it has ended, delete .*run\.lock or give/,
  );
  const taken = await sweep("unknown.yaml", "--take-over", "--no-memory-check");
  assert.is(taken.code, 0, taken.stderr);
});

test("what a library writes to the stdout of a run goes into its log, and the run goes on", async () => {
  await file("chatty.yaml", `${BASE}  steps: 2\n`);
  const imports = `data:text/javascript,${encodeURIComponent('console.log("driver 1.0"); console.log(3)')}`;
  const { code, stderr } = await start(["sweep", "chatty.yaml"], { cwd: dir, imports }).finished;
  assert.is(code, 0, stderr);
  const log = await readFile(new SweepFolder(join(dir, "sweeps/chatty")).log("run"), "utf8");
  assert.match(log, /^driver 1\.0\n3\n$/m);
});

test("a run that ends with an exit code and no other word has failed", async () => {
  await file("mute.yaml", `${BASE}  steps: 2\n`);
  const imports = `data:text/javascript,${encodeURIComponent('if (process.argv[2] === "train") process.exit(7)')}`;
  const { code, stderr } = await start(["sweep", "mute.yaml"], { cwd: dir, imports }).finished;
  assert.is(code, 1, stderr);
  assert.match(stderr, "  run: the process ended with exit code 7\n");
});

test("a job array has a task per run, and each task starts its run or continues it", async () => {
  await file("array.yaml", `${BASE}  steps: 2\nseeds: 2\n`);
  const options = ["--slurm-option", "time=02:00:00", "--slurm-option", "exclusive", "--parallel", "1"];
  await sweep("array.yaml", "--launcher", "slurm", "--dry-run", "--no-memory-check", ...options);
  assert.match(await readFile(join(dir, "sweeps/array/slurm.sh"), "utf8"), / train .* --no-memory-check >&3 /);
  const dry = await sweep("array.yaml", "--launcher", "slurm", "--dry-run", ...options);
  assert.is(dry.code, 0, dry.stderr);
  assert.match(dry.stdout, /slurm\.sh: 2 tasks; submit it with: cd 'sweeps\/array' && sbatch slurm\.sh\n$/);
  const script = await readFile(join(dir, "sweeps/array/slurm.sh"), "utf8");
  for (const [task, words] of [
    ["2", /no run has the index of this task/],
    ["", /submit it with sbatch/],
  ] as const) {
    const env = { ...process.env, SLURM_ARRAY_TASK_ID: task };
    const stray = spawnSync("bash", ["slurm.sh"], { cwd: join(dir, "sweeps/array"), env, encoding: "utf8" });
    assert.is.not(stray.status, 0);
    assert.match(stray.stderr, words);
  }
  assert.match(script, /^#SBATCH --job-name=axograd-array-[0-9a-f]{8}\n#SBATCH --array=0-1%1\n/m);
  assert.match(script, "#SBATCH --time=02:00:00\n#SBATCH --exclusive\n");

  // Stands in for Slurm: runs the tasks one after another.
  const bin = join(dir, "bin");
  await mkdir(bin);
  await writeFile(
    join(bin, "sbatch"),
    "#!/bin/sh\nfor k in 0 1; do SLURM_ARRAY_TASK_ID=$k bash slurm.sh 0; done\necho Submitted batch job 7\n",
  );
  await chmod(join(bin, "sbatch"), 0o755);
  const path = process.env.PATH;
  process.env.PATH = `${bin}${delimiter}${path}`;
  try {
    const submitted = await sweep("array.yaml", "--launcher", "slurm");
    assert.is(submitted.code, 0, submitted.stderr);
    assert.match(submitted.stdout, "submitted job 7: 2 runs");
    const collected = await axograd(["collect", "sweeps/array"], { cwd: dir });
    assert.match(collected.stdout, /^runs .*\n2 /);
  } finally {
    process.env.PATH = path;
  }
});

test("runs that Slurm has in its queue are not submitted again", async () => {
  await file("queue.yaml", `${BASE}  steps: 2\nseeds: 3\n`);
  // Stands in for Slurm: keeps jobs in files, one line per task.
  const bin = join(dir, "queue-bin");
  await mkdir(bin);
  const program = async (name: string, text: string): Promise<void> => {
    await writeFile(join(bin, name), `#!/bin/sh\ncd "${bin}"\n${text}\n`);
    await chmod(join(bin, name), 0o755);
  };
  await program(
    "sbatch",
    'n=$(ls job.* 2>/dev/null | wc -l); for k in 0 1 2; do echo "8$k 7$n $k PENDING 0 someone" >> job.7$n; done; echo 7$n',
  );
  await program("squeue", "cat job.* 2>/dev/null || true");
  const path = process.env.PATH;
  process.env.PATH = `${bin}${delimiter}${path}`;
  try {
    const submit = () => sweep("queue.yaml", "--launcher", "slurm");
    assert.match((await submit()).stdout, /3 tasks\nsubmitted job 70: 3 runs\n/);
    const again = await submit();
    assert.is(again.code, 0, again.stderr);
    assert.match(again.stdout, /3 runs in Slurm's queue already\n$/);
    const local = await sweep("queue.yaml");
    assert.is(local.code, 2);
    assert.match(
      local.stderr,
      /expected slurm, whose queue has 3 runs of the folder \(to remove: scancel 70\), got local /,
    );
    // Task 1 is over, without a result.
    await writeFile(join(bin, "job.70"), "80 70 0 RUNNING 0 x\n81 70 1 CANCELLED 0 x\n82 70 2 PENDING 0 x\n");
    assert.match((await submit()).stdout, /2 runs in .*\n.*slurm\.sh: 1 task\nsubmitted job 71: 1 run\n/);
    assert.match(await readFile(join(dir, "sweeps/queue/slurm.sh"), "utf8"), /names=\(\n {2}'seed=1'\n\)/);
    // Slurm forgets jobs that are over.
    await rm(join(bin, "job.70"));
    await rm(join(bin, "job.71"));
    assert.match((await submit()).stdout, /slurm\.sh: 3 tasks\nsubmitted/);
    await program("squeue", "echo no connection >&2; exit 1");
    const unsure = await submit();
    assert.is(unsure.code, 1);
    assert.match(
      unsure.stderr,
      /squeue to say what is left of job 70, got no connection; without it, runs could be submitted twice/,
    );
    const warnings: string[] = [];
    const jobs = await SweepJobs.open(new SweepFolder(join(dir, "sweeps/queue")), (text) => warnings.push(text));
    jobs.assertNoneQueued("local");
    assert.match(warnings.join(), /^Slurm may start runs of this folder, too \(job 70\): no connection$/);
    await writeFile(join(dir, "sweeps/queue/slurm.json"), '{"jobs":[{"job":"70"}]}');
    const damaged = await submit();
    assert.is(damaged.code, 2);
    assert.match(damaged.stderr, /slurm\.json: expected a list of texts at jobs\.0\.runs, got nothing/);
  } finally {
    process.env.PATH = path;
  }
});

const NO_OPTIONS: SlurmOptions = { options: [], parallel: null, memoryCheck: true, ranks: null, gpus: null, mpi: null };
const ONE = [{ name: "job", first: 0, count: 1 }];

test("names with quotes and spaces stay whole in the script", async () => {
  const runs = await plan("grid:\n  lr: [1]\n");
  const folder = new SweepFolder("/a b/it's");
  const state = {
    run: runs[0]!,
    status: "waiting" as const,
    begun: false,
    pageDue: false,
    task: null,
    summary: null,
    error: null,
  };
  const script = slurmScript(folder, [state], ONE, NO_OPTIONS);
  assert.match(script, "sweep='/a b/it'\\''s'\n");
  assert.match(script, "#SBATCH --job-name=job\n#SBATCH --array=0-0\n");
});

test("nothing in the name of a sweep becomes a command or an option of sbatch", async () => {
  const [run] = await plan("grid:\n  lr: [1]\n");
  const path = join(dir, "a\n#SBATCH --mem=0\ntouch pwned\n$(touch pwned)'`touch pwned`");
  await mkdir(path, { recursive: true });
  const state = {
    run: run!,
    status: "waiting" as const,
    begun: false,
    pageDue: false,
    task: null,
    summary: null,
    error: null,
  };
  const options = { ...NO_OPTIONS, options: ["comment=$(touch pwned)"] };
  const script = slurmScript(new SweepFolder(path), [state], ONE, options);
  // sbatch reads its options up to the first command.
  const [head = ""] = script.split("\nnames=(");
  assert.equal(head.match(/^#SBATCH --[a-z-]+/gm), [
    ...["#SBATCH --job-name", "#SBATCH --array", "#SBATCH --output", "#SBATCH --open-mode", "#SBATCH --requeue"],
    ...["#SBATCH --signal", "#SBATCH --comment"],
  ]);
  assert.not.match(head, /^[^#]/m);
  await mkdir(join(path, "logs"));
  await writeFile(join(path, "slurm.sh"), script);
  // A function in place of Node only says what it would have run.
  const shell = `${process.execPath}() { printf '%s\\0' node "$@"; }; cd "$1"; shift; . ./slurm.sh`;
  await promisify(execFile)("bash", ["-c", shell, "bash", path], {
    env: { ...process.env, SLURM_ARRAY_TASK_ID: "0" },
    cwd: dir,
  });
  const said = await readFile(join(path, "logs/lr=1.log"), "utf8");
  const [, , command, out, target] = said.split("\0");
  assert.equal([command, out, target], ["train", "--out", join(path, "runs/lr=1")]);
  for (const folder of [dir, path, process.cwd()]) assert.not((await readdir(folder)).includes("pwned"));
});

test("an option of sbatch is one line", async () => {
  for (const text of ["comment=a\nrm", "comment=a\rrm", "comment=a\u0000"]) {
    await fails(() => parseSlurmOption(text), "argument", /key=value of sbatch/);
  }
});

test("options of sbatch have their long names; those of the sweep, and wrong ones, are refused", async () => {
  const line = (text: string) => requestedOf({ ...NO_OPTIONS, options: [text] }).lines.at(-1);
  assert.is(line("gres=gpu:1"), "#SBATCH --gres=gpu:1");
  assert.is(line("--mem=4G"), "#SBATCH --mem=4G");
  for (const text of ["p=main", "-p=main", "partition=main"]) assert.is(line(text), "#SBATCH --partition=main");
  assert.is(line("H"), "#SBATCH --hold");
  assert.is(line("comment=it's # two"), "#SBATCH --comment='it'\\''s # two'");
  const refused = (text: string, pattern: RegExp) => fails(() => parseSlurmOption(text), "argument", pattern);
  await refused("array=1", /none that sweep sets itself; in place of array: --parallel, got "array=1"/);
  await refused("J=mine", /in place of job-name: --out/);
  await refused("n=4", /in place of ntasks: --ranks/);
  await refused("p", /a value, like partition=… or p=…, got p alone/);
  await refused("H=1", /hold without a value/);
  await refused("y=1", /an option of sbatch, by its long name/);
  await refused("Time 3", /key=value of sbatch/);
  await refused("-p main", /key=value of sbatch/);
  await refused("signal=USR1@60", /signal=B:USR1@seconds/);
  assert.is(parseSlurmOption("signal=B:USR2@60").value, "B:USR2@60");
});

test("ranks are started by srun, each with a GPU and the CPUs of a task; contradictions are refused", async () => {
  const [run] = await plan("grid:\n  lr: [1]\n");
  const facts = { status: "waiting" as const, begun: false, pageDue: false, task: null, summary: null, error: null };
  const scriptOf = (options: Partial<SlurmOptions>) =>
    slurmScript(new SweepFolder("s"), [{ run: run!, ...facts }], ONE, { ...NO_OPTIONS, ...options });
  const alone = scriptOf({});
  assert.match(alone, /^'\/.*node' '.*main\.js' train .*\$\{threads:\+--threads "\$threads"\} >&3 /m);
  assert.match(alone, /^threads=\$\{SLURM_CPUS_PER_TASK:-\$SLURM_CPUS_ON_NODE\}$/m);
  assert.not.match(alone, /srun|ntasks/);
  const ranks = scriptOf({ ranks: 4, mpi: "pmi2" });
  assert.match(ranks, "#SBATCH --ntasks=4\n");
  assert.match(
    ranks,
    /^srun -K --mpi=pmi2 --ntasks=4 \$\{SLURM_CPUS_PER_TASK:\+--cpus-per-task="\$SLURM_CPUS_PER_TASK"\} '\/.* >&3 /m,
  );
  assert.not.match(ranks, "--threads");
  assert.match(
    scriptOf({ gpus: 2 }),
    /#SBATCH --ntasks=2\n#SBATCH --gpus-per-task=1\n(?:.*\n)+srun -K --mpi=pmix --ntasks=2 /,
  );
  const one = scriptOf({ gpus: 1 });
  assert.match(one, "#SBATCH --gpus-per-task=1");
  assert.not.match(one, "srun");
  assert.not.match(scriptOf({ options: ["no-requeue"] }), /--requeue|scontrol requeue/);
  const refused = (options: Partial<SlurmOptions>, pattern: RegExp) =>
    fails(() => scriptOf(options), "argument", pattern);
  await refused({ ranks: 4, gpus: 2 }, /as many as --ranks 4: each rank takes one, got 2 \(--gpus\)/);
  await refused({ gpus: 2, options: ["G=2"] }, /no gpus with --gpus/);
  await file("ranks.yaml", `${BASE}  steps: 2\n`);
  for (const option of ["--ranks", "--gpus"]) {
    const local = await sweep("ranks.yaml", option, "2");
    assert.is(local.code, 2);
    assert.match(
      local.stderr,
      /--launcher slurm with it, got --launcher local; on one machine, mpirun -n 4 npx axograd sweep/,
    );
  }
  const idle = await sweep("ranks.yaml", "--launcher", "slurm", "--mpi", "pmix", "--dry-run");
  assert.match(idle.stderr, /--ranks of at least 2 with it, got runs of one process \(--mpi\)/);
});

test("a limit of jobs takes what fits; an answer that gets lost is searched for; nothing is submitted twice", async () => {
  await file("limits.yaml", `${BASE}  steps: 2\nseeds: 5\n`);
  const bin = join(dir, "limits-bin");
  await mkdir(bin);
  const program = async (name: string, text: string): Promise<void> => {
    await writeFile(join(bin, name), `#!/bin/bash\ncd "${bin}"\n${text}\n`);
    await chmod(join(bin, name), 0o755);
  };
  const tasks = 'for k in $(seq 0 $last); do echo "9$k $job $k PENDING 0 $name" >> queue; done';
  const parse = `for a; do case $a in --array=*) last=\${a##*-}; last=\${last%\\%*} ;; --job-name=*) name=\${a#*=} ;; esac; done
job=$((100 + $(cat queue 2> /dev/null | wc -l)))`;
  const over =
    "sbatch: error: AssocMaxSubmitJobLimit\nsbatch: error: Batch job submission failed: Job violates accounting/QOS policy";
  await program("sbatch", `${parse}\nif [ $last -gt 2 ]; then printf '${over}' >&2; exit 1; fi\n${tasks}\necho $job`);
  await program("squeue", "cat queue 2> /dev/null || true");
  await program(
    "scontrol",
    "echo 'MaxArraySize            = 4'; echo 'SchedulerParameters = bf_continue,max_array_tasks=4'",
  );
  const path = process.env.PATH;
  process.env.PATH = `${bin}${delimiter}${path}`;
  try {
    const submit = () => sweep("limits.yaml", "--launcher", "slurm", "--parallel", "1");
    const first = await submit();
    assert.is(first.code, 1);
    assert.match(
      first.stderr,
      /sbatch to take 5 runs, got 2 taken \(100\), then: .*AssocMaxSubmitJobLimit; .*; the same command submits the rest\n/,
    );
    // The controller takes the jobs, but sbatch does not hear of it.
    await program(
      "sbatch",
      `echo "$@" >> calls; env >> env\n${parse}\n${tasks}\necho Socket timed out on send/recv operation >&2; exit 1`,
    );
    process.env.SLURM_RESTART_COUNT = "7";
    const second = await submit();
    delete process.env.SLURM_RESTART_COUNT;
    assert.not.match(
      await readFile(join(bin, "env"), "utf8"),
      "SLURM_RESTART_COUNT",
      "a job inherits nothing of another",
    );
    assert.is(second.code, 0, second.stderr);
    assert.match(second.stdout, /2 runs in .*\n.*3 tasks\nsubmitted job 102: 3 runs\n/);
    assert.match((await submit()).stdout, /5 runs in Slurm's queue already\n$/);
    // No id was recorded, as after a crash.
    const record = join(dir, "sweeps/limits/slurm.json");
    await writeFile(record, (await readFile(record, "utf8")).replace(/"job": "\d+"/g, '"job": null'));
    assert.match((await submit()).stdout, /5 runs in Slurm's queue already\n$/);
    // All are over. Of several arrays, each begins after the one before it.
    await rm(join(bin, "queue"));
    await writeFile(record, (await readFile(record, "utf8")).replaceAll('"job": null', '"job": "1"'));
    const third = await submit();
    assert.match(third.stdout, /5 tasks\nsubmitted job 100: 4 runs\nsubmitted job 104: 1 run\n/);
    const calls = (await readFile(join(bin, "calls"), "utf8")).trim().split("\n").slice(-2);
    assert.match(calls[0]!, /^--parsable --job-name=axograd-limits-\w+-1 --array=0-3%1 slurm\.sh 0$/);
    assert.match(
      calls[1]!,
      /^--parsable --dependency=afterany:100 --job-name=axograd-limits-\w+-2 --array=0-0%1 slurm\.sh 4$/,
    );
    assert.match(
      await readFile(join(dir, "sweeps/limits/slurm.sh"), "utf8"),
      /# then: sbatch --job-name=.* slurm\.sh 4\n/,
    );
  } finally {
    process.env.PATH = path;
  }
});

test("without sbatch the script stays and the error says so; wrong options are refused", async () => {
  await file("none.yaml", `${BASE}  steps: 2\n`);
  const path = process.env.PATH;
  process.env.PATH = dir;
  try {
    const { code, stderr } = await sweep("none.yaml", "--launcher", "slurm");
    assert.is(code, 1);
    assert.match(stderr, /^axograd: sweep: expected sbatch to take .*slurm\.sh, got no sbatch in PATH; .*\n$/);
  } finally {
    process.env.PATH = path;
  }
  const local = await sweep("none.yaml", "--slurm-option", "time=1");
  assert.is(local.code, 2);
  assert.match(local.stderr, /--launcher slurm/);
});

test("a setting that varies must do something in every run, and one of all runs in some of them", async () => {
  const refused = (text: string, message: RegExp) => fails(() => plan(text), "argument", message);
  await refused("grid:\n  decayFactor: [0.5, 0.2]\n", /^sweep: expected --schedule step .*\(--decay-factor\)/);
  await refused("grid:\n  schedule: [step, cosine]\n  decayFactor: [0.5]\n", /got --schedule cosine/);
  await refused("base: {decayFactor: 0.5}\ngrid:\n  lr: [1, 2]\n", /\(--decay-factor\)/);
  await plan("base: {decayFactor: 0.5}\ngrid:\n  schedule: [cosine, step]\n");
  await plan("zip:\n  schedule: [cosine, step]\n  decayFactor: [0.1, 0.5]\n");
  await plan("base: {gain: 3}\ngrid:\n  wiring: [real, none]\n");
});

test("other folders are left alone", async () => {
  await file("own.yaml", BASE);
  await mkdir(join(dir, "own"));
  await writeFile(join(dir, "own", "thesis.txt"), "");
  const { code, stderr } = await sweep("own.yaml", "--out", "own");
  assert.is(code, 2);
  assert.match(stderr, /a new folder, or that of a sweep, got own, which has other files \(--out\)/);
  assert.equal(await readdir(join(dir, "own")), ["thesis.txt"]);
  const collected = await axograd(["collect", "own"], { cwd: dir });
  assert.is(collected.code, 2);
  assert.match(collected.stderr, /sweep\.json: expected the record of a sweep, got no such file/);
});

test("init --sweep writes a file that sweep takes, and the schema that is shipped is up to date", async () => {
  const made = await axograd(["init", "--sweep"], { cwd: dir });
  assert.is(made.code, 0, made.stderr);
  assert.match(made.stdout, "run it with: npx axograd sweep sweep.yaml");
  const dry = await sweep("sweep.yaml", "--dry-run");
  assert.match(dry.stdout, /sweeps\/sweep: 6 runs/);
  const shipped = await readFile(join(repositoryRoot(), "schema", "sweep.schema.json"), "utf8");
  assert.is(shipped, sweepSchemaText(), "run npm run build:schema");
  const { definitions, properties } = JSON.parse(shipped);
  assert.equal(Object.keys(definitions), CONFIG_KEYS);
  assert.equal(
    Object.keys(properties.grid.properties),
    CONFIG_KEYS.filter((key) => key !== "seed"),
  );
});

test.run();
