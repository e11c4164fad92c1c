// Runs that were stopped, killed, or went wrong, and what --resume makes of them.

import { cp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { keyOfSeed, RandomStream } from "../../src/core/random.ts";
import { readSafetensors, writeSafetensors } from "../../src/io/safetensors.ts";
import { tempDir } from "../io/fixtures.ts";
import { note } from "../support/note.ts";
import { axograd, jsonLines, type Line, start, TINY } from "./process.ts";

const test = suite("axograd train --resume");
const dir = tempDir();
/** Three and a half epochs of four steps, with a read-out that draws random numbers. */
const RUN: readonly string[] = [
  "train",
  "--no-report",
  ...[...TINY, "--steps", "14", "--fc-dim", "8", "--dropout", "0.3"],
  ...["--checkpoint-every", "3", "--eval-every", "4", "--keep-checkpoints", "2", "--json"],
];
const LAST = "checkpoint.safetensors";

/** Lines of metrics without what no two runs have in common. */
async function metrics(run: string): Promise<unknown[]> {
  const VARYING = new Set([
    "seconds",
    "stepsPerSecond",
    "eta",
    "peakMemoryBytes",
    "statedMemoryBytes",
    "trainingPeakMemoryBytes",
    "deviceMemory",
    "folder",
    "file",
    "files",
  ]);
  const bare = (line: Line) =>
    JSON.parse(JSON.stringify(line, (key: string, value: unknown) => (VARYING.has(key) ? undefined : value)));
  return jsonLines(await readFile(join(dir, run, "metrics.jsonl"), "utf8"))
    .filter(({ event }) => event !== "resumed")
    .map(bare);
}

async function tensors(run: string, file = LAST): Promise<Buffer> {
  return readFile(join(dir, run, file));
}

async function done(...args: readonly string[]): Promise<void> {
  const { code, stderr } = await axograd([...args, "--no-report"], { cwd: dir });
  assert.is(code, 0, stderr);
}

test("a run that is killed again and again ends with the same bits and the same metrics", async () => {
  await done(...RUN, "--out", "whole");
  const seed = Number(process.env.AXOGRAD_TEST_SEED ?? Date.now());
  note(`resume: kills drawn with AXOGRAD_TEST_SEED=${seed}`);
  const stream = new RandomStream(keyOfSeed(seed));
  let args: readonly string[] = [...RUN, "--out", "killed"];
  for (let kills = 0; kills < 4; kills++) {
    const { child, finished } = start(args, { cwd: dir });
    let lines = stream.below(8);
    // Once there is a record of it, a run can be resumed.
    child.stdout!.on("data", (text: string) => {
      lines -= text.split("\n").length - 1;
      if (lines < 0) setTimeout(() => child.kill("SIGKILL"), stream.below(8));
    });
    await finished;
    args = ["train", "--resume", "killed", "--json", "--no-report"];
  }
  await done(...args);
  assert.equal(await tensors("killed"), await tensors("whole"));
  assert.equal(await tensors("killed", "best.safetensors"), await tensors("whole", "best.safetensors"));
  assert.equal(await metrics("killed"), await metrics("whole"));
  // TensorBoard's events go on in further files.
  const files = async (run: string) =>
    (await readdir(join(dir, run))).filter((name) => !name.startsWith("events.")).sort();
  assert.equal(await files("killed"), await files("whole"));
});

test("the last checkpoints stay, as many as wanted, and the best", async () => {
  const names = await readdir(join(dir, "whole"));
  assert.equal(names.filter((name) => name.endsWith(".safetensors")).sort(), [
    "best.safetensors",
    "checkpoint-00000012.safetensors",
    "checkpoint-00000014.safetensors",
    LAST,
  ]);
  assert.equal(await tensors("whole", "checkpoint-00000014.safetensors"), await tensors("whole"));
});

test("a run that was stopped by a signal, or is to go on longer, continues as if it had not ended", async () => {
  const { child, finished } = start([...RUN, "--steps", "1000000", "--out", "longer"], { cwd: dir });
  child.stdout!.on("data", (text: string) => {
    if (text.includes('"step":2,')) child.kill("SIGTERM");
  });
  assert.is((await finished).code, 143);
  await done("train", "--resume", "longer", "--steps", "7", "--threads", "2", "--json");
  await done("train", "--resume", "longer", "--set", "steps=14", "--json");
  const losses = async (run: string) =>
    jsonLines(await readFile(join(dir, run, "metrics.jsonl"), "utf8")).flatMap(({ event, step, loss, meanLoss }) =>
      event === "step" ? [[step, loss, meanLoss]] : [],
    );
  assert.equal(await losses("longer"), await losses("whole"));
});

test("a run that ended is evaluated again, and its metrics have no step twice", async () => {
  await cp(join(dir, "whole"), join(dir, "again"), { recursive: true });
  await done("train", "--resume", "again", "--json");
  assert.equal(await metrics("again"), await metrics("whole"));
});

test("a damaged record and a checkpoint without checksums are said, and the run goes on", async () => {
  const resumed = async (run: string): Promise<string> => {
    const { code, stderr } = await axograd(["train", "--resume", run, "--no-report", "--quiet"], { cwd: dir });
    assert.is(code, 0, stderr);
    return stderr;
  };
  await cp(join(dir, "whole"), join(dir, "damaged"), { recursive: true });
  const file = join(dir, "damaged", "metrics.jsonl");
  const lines = (await readFile(file, "utf8")).split("\n");
  const at = lines.findIndex((line) => line.includes('"event":"step","step":5,'));
  const line = lines[at]!;
  await writeFile(file, lines.with(at, line.slice(0, 40)).join("\n"));
  assert.match(
    await resumed("damaged"),
    /^axograd: warning: line \d+ of .*is damaged; it is now in .*\naxograd: warning: .*is not whole: the record of step 5 is lost/,
  );
  assert.is(await readFile(`${file}.damaged`, "utf8"), `${line.slice(0, 40)}\n`);
  const expected = (await metrics("whole")).filter((event) => !isStep(event, 5));
  const found = (await metrics("damaged")).filter((event) => (event as Line).event !== "warning");
  assert.equal(found.slice(0, -1), expected.slice(0, -1), "but for the summary, all other lines are there");
  await rm(file);
  assert.match(await resumed("damaged"), /metrics\.jsonl is gone: the record of 14 steps from 1 to 14 is lost/);

  const checkpoint = join(dir, "damaged", LAST);
  const { tensors: content, metadata } = await readSafetensors(checkpoint);
  await writeSafetensors(checkpoint, content, metadata);
  assert.match(await resumed("damaged"), /checkpoint\.safetensors has no checksums, as an earlier version/);
  const state = JSON.parse(metadata.axograd!);
  const contradictory = { ...state, position: { ...state.position, batch: state.position.batch ^ 1 } };
  await writeSafetensors(checkpoint, content, { axograd: JSON.stringify(contradictory) });
  const { code, stderr } = await axograd(["train", "--resume", "damaged", "--no-report"], { cwd: dir });
  assert.is(code, 2);
  assert.match(stderr, /step 14 as the position, in epochs of 4 steps, got batch 3 of epoch 3/);
});

function isStep(event: unknown, step: number): boolean {
  const line = event as Line;
  return line.event === "step" && line.step === step;
}

test("what would change the run, or is no run, is refused and nothing is changed", async () => {
  const before = await readdir(join(dir, "whole"));
  const refused = async (args: readonly string[], ...patterns: readonly RegExp[]): Promise<void> => {
    const { code, stderr } = await axograd(["train", "--resume", ...args], { cwd: dir });
    assert.is(code, 2, stderr);
    for (const pattern of patterns) assert.match(stderr, pattern);
  };
  await refused(["whole", "--lr", "0.5"], /lr as the run began, 0\.001, got 0\.5 \(--lr\)/);
  await refused(["whole", "--out", "elsewhere"], /--out/);
  await refused(["nowhere"], /config\.json, got nowhere/);
  await refused(["whole", "--set", "seed=9"], /\(--seed\)/);
  assert.equal(await readdir(join(dir, "whole")), before);
});

test("a second process on the same folder is refused; the lock of one that is gone is not", async () => {
  const { child, finished } = start([...RUN, "--steps", "1000000", "--out", "busy"], { cwd: dir });
  await new Promise<void>((resolve) => child.stdout!.once("data", () => resolve()));
  for (const args of [
    ["train", "--resume", "busy"],
    [...RUN, "--out", "busy", "--overwrite"],
  ]) {
    const { code, stderr } = await axograd(args, { cwd: dir });
    assert.is(code, 2, stderr);
    assert.match(stderr, new RegExp(`busy to be free, got one that is in use by process ${child.pid} on`));
  }
  child.kill("SIGINT");
  assert.is((await finished).code, 130);
  const locks = [
    { pid: child.pid, host: hostname(), began: null, since: "then" },
    // The pid is in use again, by a process that began later.
    { pid: process.pid, host: hostname(), began: "boot:1", since: "then" },
  ];
  for (const lock of process.platform === "linux" ? locks : locks.slice(0, 1)) {
    await writeFile(join(dir, "busy", "run.lock"), JSON.stringify(lock));
    await done("train", "--resume", "busy", "--steps", "1", "--json");
  }
  const elsewhere = { pid: 1, host: "another.machine", began: null, since: "then" };
  await writeFile(join(dir, "busy", "run.lock"), JSON.stringify(elsewhere));
  const { code, stderr } = await axograd(["train", "--resume", "busy"], { cwd: dir });
  assert.is(code, 2);
  assert.match(stderr, /process 1 on another\.machine since then; if it has ended, delete .*run\.lock/);
});

test.run();
