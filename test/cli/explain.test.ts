import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { register } from "../../src/cli/explain.ts";
import { runCommand } from "./command.ts";
import { axograd } from "./process.ts";

const test = suite("explain");

const TINY = [
  "explain",
  "--generate",
  "60x300",
  "--readout",
  "all",
  "--train-samples",
  "16",
  "--batch-size",
  "4",
  "--validation-samples",
  "0",
];
const TINY_EXPLICIT = [...TINY, "--solver", "euler", "--dt", "0.5"];

interface Listed {
  readonly id: string;
  readonly name: string;
  readonly purpose: string | null;
  readonly runs: number;
  readonly phases: readonly { readonly instructions: number; readonly flops: number; readonly bytes: number }[];
  readonly flops: number;
  readonly bytes: number;
  readonly temporaryBytes: number;
  readonly dispatches: readonly { readonly kernel: string }[] | null;
  readonly functions: number | null;
  readonly text: Readonly<Record<string, string>>;
}

async function explained(...args: readonly string[]): Promise<{
  readonly device: string;
  readonly dtype: string;
  readonly lanes: number;
  readonly programs: readonly Listed[];
}> {
  return JSON.parse(await runCommand(register, ...args, "--json"));
}

test("the table has every program of a step, with its work and where to look further", async () => {
  const text = await runCommand(register, ...TINY, "--device", "wasm");
  const lines = text.split("\n");
  assert.is(lines[0], "wasm f32, 4 samples at once");
  assert.match(
    lines[2]!,
    /^program +purpose +runs +phases +rows +instructions +functions +MFLOP +MB moved +MiB temporary$/,
  );
  for (const name of ["attempt", "attempt.recorded", "attempt.reverse", "readout", "readout.train", "adam", "csr.copy"])
    assert.ok(
      lines.some((line) => line.startsWith(`${name} `)),
      name,
    );
  assert.match(text, /--show graph,phases,buffers,code/);
});

test("as JSON: purposes, runs and costs of all programs; recorded attempts are those of the reverse pass", async () => {
  const { device, dtype, lanes, programs } = await explained(...TINY, "--device", "wasm", "--dtype", "f64");
  assert.equal([device, dtype, lanes], ["wasm", "f64", 4]);
  const ids = programs.map(({ id }) => id);
  assert.is(new Set(ids).size, ids.length, "names are told apart");
  for (const { id, purpose, phases, flops, bytes, dispatches, functions, text } of programs) {
    assert.ok(purpose, `${id} has a purpose`);
    assert.is(
      phases.reduce((sum, phase) => sum + phase.flops, 0),
      flops,
    );
    assert.ok(bytes > 0 && phases.length > 0, id);
    assert.equal([dispatches, typeof functions, text], [null, "number", {}]);
  }
  const runsOf = (prefix: string): number =>
    programs.filter(({ id }) => id === prefix || id === `${prefix}.dense`).reduce((sum, { runs }) => sum + runs, 0);
  assert.ok(runsOf("attempt.recorded") > 0);
  assert.is(runsOf("attempt.recorded"), runsOf("attempt.reverse"));
  assert.is(runsOf("attempt"), 0, "a step records its attempts");
  assert.is(runsOf("csr.copy"), 1, "what follows an update is part of a step");
});

test("discrete time, rest, means over times and penalties have programs with names and purposes of their own", async () => {
  const { programs } = await explained(
    ...[
      "explain",
      "--preset",
      "demo",
      "--data",
      "addition",
      "--generate",
      "600x3000",
      "--time",
      "discrete",
      "--rest",
      "0.1",
      "--rest-time",
      "3",
    ],
    ...["--readout-times", "last:2", "--readout-average", "--activity-penalty", "0.1", "--penalty", "l2:weights=0.01"],
    ...["--train-samples", "16", "--batch-size", "4", "--validation-samples", "0", "--test-samples", "0"],
  );
  const purposes = Object.fromEntries(programs.map(({ id, purpose }) => [id, purpose]));
  for (const [purpose, ids] of Object.entries({
    forward: ["rest", "rest.spread", "step", "step.recorded", "project"],
    readout: ["readout", "readout.train", "readout.mean", "penalties", "penalties.train", "penalties.parameters"],
    reverse: ["step.reverse", "add"],
    optimiser: ["adam"],
  })) {
    for (const id of ids) assert.is(purposes[id], purpose, id);
  }
  assert.ok(programs.every(({ purpose }) => purpose !== null));
  const kinds = new Set(programs.map(({ name, purpose }) => `${name} ${purpose}`));
  assert.is(kinds.size, new Set(programs.map(({ name }) => name)).size, "one name, one purpose");
  for (const absent of ["attempt", "init", "dense"]) assert.is(purposes[absent], undefined);
});

test("WGSL needs no GPU, and what a GPU needs beside is there", async () => {
  const { device, lanes, programs } = await explained(
    ...TINY,
    "--device",
    "webgpu",
    "--batch-size",
    "40",
    "--show",
    "code",
  );
  assert.equal([device, lanes], ["webgpu", 40]);
  assert.ok(programs.some(({ id }) => id === "completion"));
  for (const { dispatches, text } of programs) {
    assert.ok(dispatches!.length > 0);
    assert.is(text.code!.match(/@compute/g)!.length, dispatches!.length);
  }
  const gradient = async (...more: string[]): Promise<string> =>
    runCommand(
      register,
      ...TINY,
      "--device",
      "webgpu",
      "--program",
      "attempt.reverse.dense",
      "--show",
      "code",
      ...more,
    );
  assert.match(await gradient(), /enable subgroups;/);
  assert.not.match(await gradient("--no-subgroups"), /enable subgroups;/);
});

test("--program takes names and purposes, --show forms", async () => {
  const args = [...TINY_EXPLICIT, "--device", "wasm", "--program", "attempt,optimiser"];
  const { programs } = await explained(...args, "--show", "graph,phases");
  assert.ok(programs.some(({ id }) => id === "attempt") && programs.length > 2);
  for (const { name, purpose, text } of programs) {
    assert.ok(name === "attempt" || purpose === "optimiser", name);
    assert.equal(Object.keys(text), ["graph", "phases"]);
    assert.ok(text.phases!.startsWith(`program ${name}, `) && text.graph!.length > 0);
  }
  const text = await runCommand(register, ...TINY_EXPLICIT, "--device", "wasm", "--program", "attempt");
  assert.match(text, /^program attempt, forward\n/);
  assert.not.match(text, /^# /m, "one text has no heading");
  const several = await runCommand(
    register,
    ...TINY_EXPLICIT,
    "--device",
    "wasm",
    "--program",
    "adam",
    "--show",
    "all",
  );
  assert.match(several, /^# adam: graph\n\n(.|\n)*\nexp_avg : row 300\n(.|\n)*\n# adam-2: code\n\n;; adam: /);
  assert.match(text, /\nphase 1: matmul sparse, 60 rows × lanes\n {2}v0 = matmul\(matrix: hh, x: ode.y\)\n/);
});

test("--out writes a file for each program and form", async () => {
  const dir = await mkdtemp(join(tmpdir(), "axograd-explain-"));
  try {
    const out = join(dir, "explained");
    const args = [...TINY_EXPLICIT, "--device", "wasm", "--program", "attempt,readout"];
    const text = await runCommand(register, ...args, "--out", out);
    assert.is(text, `3 programs in ${out}\n`);
    const forms = ["buffers.txt", "graph.txt", "phases.txt", "wat"];
    const programs = ["attempt", "readout", "readout.train"];
    assert.equal(
      await readdir(out),
      [...programs.flatMap((p) => forms.map((f) => `${p}.${f}`)), "programs.json"].sort(),
    );
    const listed: readonly Listed[] = JSON.parse(await readFile(join(out, "programs.json"), "utf8"));
    assert.equal(
      listed.map(({ id }) => id),
      programs,
    );
    assert.match(
      await readFile(join(out, "attempt.wat"), "utf8"),
      /^;; attempt: \d+ functions, \d+ bytes of registers\n(.|\n)*\n\(func \$f0 /,
    );
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});

test("the settings of a run are taken", async () => {
  const dir = await mkdtemp(join(tmpdir(), "axograd-explain-"));
  try {
    const [, ...settings] = TINY;
    const run = join(dir, "run");
    const trained = await axograd([
      "train",
      ...settings,
      "--solver",
      "heun",
      "--steps",
      "1",
      "--test-samples",
      "0",
      "--no-report",
      "--out",
      run,
    ]);
    assert.is(trained.code, 0, trained.stderr);
    const { programs } = await explained("explain", run, "--device", "wasm", "--program", "attempt");
    const products = programs[0]!.phases.length;
    const euler = await explained(
      "explain",
      run,
      "--device",
      "wasm",
      "--program",
      "attempt",
      "--solver",
      "euler",
      "--dt",
      "1",
    );
    assert.ok(products > euler.programs[0]!.phases.length, "options come before the settings of the run");
    const assigned = await explained(
      "explain",
      run,
      "--device",
      "wasm",
      "--program",
      "attempt",
      "--set",
      "solver=bosh3",
    );
    assert.ok(products < assigned.programs[0]!.phases.length, "so do assignments");
    await assertRefused(["explain", run, "--config", "mine.yaml"], /--config/);
    await assertRefused(["explain", run, "--preset", "retina"], /--preset/);
    await assertRefused(["explain", run, "--neuron-table", "X.csv"], /--neuron-table/);
    const through = join(run, "config.json", "out");
    await assertRefused(["explain", run, "--device", "wasm", "--program", "adam", "--out", through], /config\.json/);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});

async function assertRefused(args: readonly string[], pattern: RegExp): Promise<void> {
  try {
    await runCommand(register, ...args);
  } catch (error) {
    assert.match((error as Error).message, pattern);
    return;
  }
  assert.unreachable(`${args.join(" ")} should be refused`);
}

test("wrong names are refused, with the nearest", async () => {
  await assertRefused(
    [...TINY_EXPLICIT, "--device", "wasm", "--program", "atempt"],
    /got atempt \(did you mean attempt\?\)/,
  );
  await assertRefused([...TINY, "--program", "a,,b"], /names, separated by commas/);
  await assertRefused([...TINY, "--show", "phases,wgsl"], /graph, phases, buffers, code or all/);
  await assertRefused([...TINY, "--device", "webgpu", "--dtype", "f64"], /f32|dtype/);
});

test.run();
