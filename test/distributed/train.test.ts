// `axograd train` under mpirun, with each MPI library that is there: the same bits for any number of ranks and threads, resume across numbers of
// ranks, signals, refusals. A process without MPI loads nothing of it.

import { readFile, writeFile } from "node:fs/promises";
import { constants } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { loadCheckpoint } from "../../src/train/checkpoint.ts";
import { axograd, MAIN, start } from "../cli/process.ts";
import { linesOf, metricsOf, numbersOf } from "../cli/trained.ts";
import { tempDir } from "../io/fixtures.ts";
import {
  hasMpirun,
  IMPLEMENTATIONS,
  type Implementation,
  mpirun,
  mpirunMissing,
  startMpirun,
} from "../support/mpirun.ts";
import { testOrSkip } from "../support/skip.ts";

const test = suite("train under mpirun");
const dir = tempDir();

/** Four micro-batches per step; the last step of an epoch has three, one of which is not full. */
const COMMON: readonly string[] = [
  ...["train", "--quiet", "--no-report", "--device", "wasm", "--micro-batch", "16", "--diagnose-every", "0"],
  ...["--train-samples", "104", "--validation-samples", "20", "--test-samples", "0", "--eval-every", "15"],
];
const CONTINUOUS: readonly string[] = [
  ...["--generate", "300x900", "--rtol", "0.1", "--atol", "0.01", "--calibration", "32"],
  ...["--batch-size", "64", "--clip-norm", "1", "--penalty", "l2:weights=0.01"],
];
const DISCRETE: readonly string[] = [
  ...[
    "--columns",
    "3",
    "--time",
    "discrete",
    "--recurrences",
    "4",
    "--fc-dim",
    "8",
    "--dropout",
    "0.3",
    "--shift",
    "1",
  ],
  ...["--batch-size", "32", "--accumulate", "2", "--dtype", "f64", "--optimizer", "sgd", "--calibration", "40"],
];
const STEPS = 20;

const path = (...names: readonly string[]): string => join(dir, ...names);

const launch = (implementation: Implementation, ranks: number, ...args: readonly string[]) =>
  mpirun({ implementation, ranks, command: ["node", MAIN, ...args], cwd: dir, timeoutS: 240 });

/** What axograd says, without the launcher. */
const said = (stderr: string): string[] => stderr.split("\n").filter((line) => line.startsWith("axograd:"));

async function alone(out: string, settings: readonly string[], steps: number): Promise<void> {
  const { code, stderr } = await axograd([...COMMON, ...settings, "--steps", `${steps}`, "--out", out], { cwd: dir });
  assert.is(code, 0, stderr);
}

const SETTINGS = { continuous: CONTINUOUS, discrete: DISCRETE } as const;
const references = new Map<string, Promise<void>>();

/** One process with the same settings, once. */
function reference(name: keyof typeof SETTINGS): Promise<void> {
  const run = references.get(name) ?? alone(name, SETTINGS[name], STEPS);
  references.set(name, run);
  return run;
}

for (const implementation of IMPLEMENTATIONS) {
  const [has, missing] = [hasMpirun(implementation), mpirunMissing(implementation)];
  const cases = [
    { name: "continuous", ranks: 2, threads: 2 },
    { name: "continuous", ranks: 4, threads: 1 },
    { name: "discrete", ranks: implementation === "openmpi" ? 3 : 2, threads: 1 },
  ] as const;
  for (const { name, ranks, threads } of cases) {
    const title = `${implementation}: ${ranks} ranks of ${threads} threads leave the numbers and metrics of one process, ${name} time`;
    testOrSkip(test, has, missing, title, async () => {
      await reference(name);
      const out = `${implementation}-${name}-${ranks}`;
      const args = [...COMMON, ...SETTINGS[name], "--steps", `${STEPS}`, "--threads", `${threads}`, "--out", out];
      const { code, stderr } = await launch(implementation, ranks, ...args);
      assert.is(code, 0, `${code}: ${stderr}`);
      assert.is(await numbersOf(path(out)), await numbersOf(path(name)));
      assert.equal(await metricsOf(path(out)), await metricsOf(path(name)));
    });
  }

  testOrSkip(
    test,
    has,
    missing,
    `${implementation}: a signal leads to a checkpoint, from which others go on`,
    async () => {
      const out = `${implementation}-stopped`;
      const args = [...COMMON, ...CONTINUOUS, "--steps", "100000", "--threads", "1", "--out", out];
      const { child, finished } = startMpirun({ implementation, ranks: 2, command: ["node", MAIN, ...args], cwd: dir });
      while (!(await readFile(path(out, "metrics.jsonl"), "utf8").catch(() => "")).includes('"event":"step"'))
        await pause(50);
      // Launchers pass on some signals; see the page about clusters.
      child.kill(implementation === "openmpi" ? "SIGUSR1" : "SIGTERM");
      const { code, stderr } = await finished;
      const signal = implementation === "openmpi" ? "SIGUSR1" : "SIGTERM";
      assert.is(code, 128 + constants.signals[signal], stderr);
      const last = (await linesOf(path(out))).findLast(({ event }) => event === "interrupted")!;
      assert.is(last.signal, signal);
      const step = last.step as number;
      assert.is((await loadCheckpoint(path(out, "checkpoint.safetensors"))).position.step, step);
      const stopped = await numbersOf(path(out));

      const resume = ["train", "--quiet", "--no-report", "--resume", out, "--steps"];
      const { code: next, stderr: why } = await launch(implementation, 4, ...resume, `${step + 2}`);
      assert.is(next, 0, why);
      const solo = await axograd([...resume, `${step + 3}`], { cwd: dir });
      assert.is(solo.code, 0, solo.stderr);
      await alone(`${out}-reference`, CONTINUOUS, step + 3);
      const numbers = await numbersOf(path(out));
      assert.is(numbers, await numbersOf(path(`${out}-reference`)));
      assert.is.not(numbers, stopped);
    },
  );

  testOrSkip(
    test,
    has,
    missing,
    `${implementation}: wrong input is refused once, with code 2, whoever has it`,
    async () => {
      const all = await launch(
        implementation,
        3,
        ...COMMON,
        "--time",
        "discrete",
        "--solver",
        "dopri5",
        "--out",
        "never",
      );
      assert.is(all.code, 2, all.stderr);
      assert.equal(said(all.stderr), [
        "axograd: train: expected --time continuous with it, as it has no effect otherwise, got --time discrete (--solver)",
      ]);
      const own = ["train", "--out", "never", "--config", "gone.yaml"];
      const second = [":", "-n", "1", process.execPath, MAIN, ...own];
      const one = await launch(implementation, 1, ...COMMON, "--out", "never", ...second);
      assert.is(one.code, 2, one.stderr);
      const messages = said(one.stderr);
      assert.is(messages.length, 1, one.stderr);
      assert.match(messages[0]!, /^axograd: rank 1 \(.+\): gone\.yaml: expected /);
    },
  );
}

/** The end of one rank of two, by code that its program runs first. */
const DEATHS = [
  {
    implementation: "openmpi",
    name: "rank 0 is killed while it writes a checkpoint",
    rank: 0,
    code: `const { rename } = promises;
let checkpoints = 0;
promises.rename = async (from, to) => {
  if (to.endsWith("checkpoint.safetensors") && ++checkpoints === 2) process.kill(process.pid, "SIGKILL");
  return rename(from, to);
};
syncBuiltinESMExports();`,
    // The launcher may be the first to notice.
    words: /rank 0 .*(ended: it was killed|exited on signal 9)/,
  },
  {
    implementation: "mpich",
    name: "rank 1 has an unhandled rejection between steps",
    rank: 1,
    code: `setInterval(() => existsSync("mpich-dies/checkpoint.safetensors") && Promise.reject(new Error("boom")), 5).unref();`,
    words: /^axograd: rank 1 \(host .*, process \d+\) ended: Error: boom$/m,
  },
] as const;

for (const { implementation, name, rank, code: dies, words } of DEATHS) {
  const [has, missing] = [hasMpirun(implementation), mpirunMissing(implementation)];
  testOrSkip(test, has, missing, `${implementation}: ${name}: all end, and the run goes on`, async () => {
    const out = `${implementation}-dies`;
    const hook = path(`${out}.mjs`);
    await writeFile(
      hook,
      `import { existsSync, promises } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
if (Number(process.env.OMPI_COMM_WORLD_RANK ?? process.env.PMI_RANK) === ${rank}) {
${dies}
}
`,
    );
    const args = [...COMMON, ...CONTINUOUS, "--steps", "100000", "--threads", "1", "--checkpoint-every", "1"];
    const command = ["node", "--import", pathToFileURL(hook).href, MAIN, ...args, "--out", out] as const;
    const { code, stderr } = await mpirun({ implementation, ranks: 2, command, cwd: dir, timeoutS: 240 });
    assert.ok(code !== 0 && code !== null, `${code}: ${stderr}`);
    assert.match(stderr, words);
    const { step } = (await loadCheckpoint(path(out, "checkpoint.safetensors"))).position;
    const resume = ["train", "--quiet", "--no-report", "--resume", out, "--steps", `${step + 1}`];
    const resumed = await axograd(resume, { cwd: dir });
    assert.is(resumed.code, 0, resumed.stderr);
    await alone(`${out}-reference`, CONTINUOUS, step + 1);
    assert.is(await numbersOf(path(out)), await numbersOf(path(`${out}-reference`)));
  });
}

/** Preloaded, it writes what each process loads into a file: modules of the main thread, workers, shared objects at the end. */
async function observer(loaded: string): Promise<string> {
  const append = `import { appendFileSync } from "node:fs";
const note = (what) => appendFileSync(${JSON.stringify(loaded)}, what + "\\n");
`;
  const hooks = path("hooks.mjs");
  await writeFile(
    hooks,
    `${append}export async function load(url, context, next) { note(url); return next(url, context); }\n`,
  );
  const module = path("observer.mjs");
  await writeFile(
    module,
    `${append}import { register, syncBuiltinESMExports } from "node:module";
import threads from "node:worker_threads";
register(${JSON.stringify(pathToFileURL(hooks).href)});
const { Worker } = threads;
threads.Worker = class extends Worker {
  constructor(file, options) {
    note("worker " + file);
    super(file, options);
  }
};
syncBuiltinESMExports();
process.on("exit", () => process.report.getReport().sharedObjects.forEach(note));
`,
  );
  return pathToFileURL(module).href;
}

const OBSERVED = [...COMMON, ...CONTINUOUS, "--threads", "2", "--steps", "1", "--out", "observed", "--overwrite"];
/** What only several ranks need: each must be missing in one process. */
const OF_MPI = [
  /\/koffi\/index\.js$/m,
  /\/koffi\.node$/m,
  /\/libmpi\.so/m,
  /\/distributed\/mpi\/mpiCommunicator\.js$/m,
  /\/distributed\/watch\.js$/m,
  /^worker .*\/distributed\/watchThread\.js$/m,
];

test("a process that no launcher has started loads nothing of MPI", async () => {
  const file = path("alone.txt");
  const { code, stderr } = await start(OBSERVED, { cwd: dir, imports: await observer(file) }).finished;
  assert.is(code, 0, stderr);
  const loaded = await readFile(file, "utf8");
  assert.match(loaded, "/src/distributed/communicator.js");
  assert.match(loaded, /^worker .*heartbeatThread\.js$/m);
  for (const pattern of OF_MPI) assert.not.match(loaded, pattern);
  assert.not.match(loaded, /koffi|libmpi|distributed\/(mpi|watch|star)|^node:(net|tls|http)/m);
});

testOrSkip(
  test,
  hasMpirun("openmpi"),
  mpirunMissing("openmpi"),
  "two ranks load what one process does not",
  async () => {
    const file = path("ranks.txt");
    const command = ["node", "--import", await observer(file), MAIN, ...OBSERVED] as const;
    const { code, stderr } = await mpirun({ implementation: "openmpi", ranks: 2, command, cwd: dir, timeoutS: 240 });
    assert.is(code, 0, stderr);
    const loaded = await readFile(file, "utf8");
    for (const pattern of OF_MPI) assert.match(loaded, pattern);
  },
);

test.run();
