// axograd controls: what it trains and takes up again; and that without connections nothing comes through.

import { createHash } from "node:crypto";
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { planControls, register } from "../../src/cli/controls.ts";
import { CONTROL_ARM_NAMES, controlsOf, controlTexts, REAL, USUAL_CONTROLS } from "../../src/cli/study/arms.ts";
import { normaliseRows } from "../../src/data/connectomes.ts";
import { WIRINGS } from "../../src/run/config.ts";
import { loadCheckpoint } from "../../src/train/checkpoint.ts";
import { fails, tempDir } from "../io/fixtures.ts";
import { runCommand } from "./command.ts";
import { writeNetwork } from "./network.ts";
import { axograd, TINY } from "./process.ts";

const test = suite("axograd controls");
const dir = tempDir();

const LEARNS: readonly string[] = [
  ...["--train-samples", "1024", "--validation-samples", "0", "--test-samples", "200", "--batch-size", "32"],
  ...["--steps", "60", "--lr", "5e-3", "--solver", "euler", "--dt", "0.5", "--threads", "1", "--device", "wasm"],
];

interface Results {
  readonly runs: readonly { readonly run: string; readonly status: string; readonly testAccuracy: number }[];
  readonly groups: readonly { readonly options: (typeof REAL)["options"]; readonly finished: number }[];
  readonly outcome: {
    readonly verdicts: readonly { readonly control: string; readonly kind: string; readonly sentence: string }[];
    readonly deviations: readonly { readonly what: string; readonly reason: string | null }[];
  };
}

test("without connections the read-out of output neurons is at chance, with the real ones it is not", async () => {
  const { csr } = await writeNetwork(dir, 6);
  const study = ["--controls", "frozen,none", "--seeds", "1", "--json", "--out", "chance"];
  const args = ["controls", "--connectome", "net_csr.npz", ...LEARNS, ...study];
  const { code, stdout, stderr } = await axograd(args, { cwd: dir });
  assert.is(code, 0, stderr);
  const { runs } = JSON.parse(stdout) as Results;
  const accuracy = Object.fromEntries(runs.map(({ run, testAccuracy }) => [run, testAccuracy]));
  const of = (wiring: string, trained: boolean): string => `wiring=${wiring}_trainConnectome=${trained}_seed=0`;
  // No image can be told from another: all are taken for the same class.
  const none = of("none", false);
  const summary = JSON.parse(await readFile(join(dir, "chance", "runs", none, "summary.json"), "utf8"));
  const { confusion } = summary.test as { confusion: number[][] };
  const predicted = confusion[0]!.map((_, c) => confusion.reduce((sum, row) => sum + row[c]!, 0));
  assert.is(predicted.filter((n) => n > 0).length, 1, `${predicted}`);
  // 200 test images: chance is 10 %, with a standard deviation of 2.1 %.
  assert.ok(accuracy[none]! < 0.2, `${accuracy[none]}`);
  for (const run of [of("real", true), of("real", false)]) assert.ok(accuracy[run]! > 0.4, `${run} ${accuracy[run]}`);
  const weights = async (run: string): Promise<Float64Array> => {
    const { tensors } = await loadCheckpoint(join(dir, "chance", "runs", run, "checkpoint.safetensors"));
    return Float64Array.from(tensors.get("rnn.hh.values")!.data as Float32Array);
  };
  const initial = Float64Array.from(normaliseRows(csr, 2).values, Math.fround);
  assert.equal(await weights(of("real", false)), initial);
  assert.not.equal(await weights(of("real", true)), initial);
  assert.ok((await weights(none)).every((w) => w === 0));
});

test("on a cluster the folder has a name, by which the same command finds it again", async () => {
  for (const launcher of ["slurm", "kubernetes"]) {
    const { code, stderr } = await axograd(["controls", ...TINY, "--launcher", launcher], { cwd: dir });
    assert.is(code, 2);
    assert.is(stderr, `axograd: controls: expected a folder with --launcher ${launcher}, got nothing (--out)\n`);
  }
});

test("every network is trained for every seed; a run that failed loses no other, is tried again, and leaves the verdict undecided", async () => {
  const controls = ["none"];
  const args = ["controls", ...TINY, "--controls", "none", "--seeds", "3", "--seed", "5", "--out", "again"];
  const lost = join(dir, "again", "runs", "wiring=none_trainConnectome=false_seed=6");
  const results = async (): Promise<Results> => JSON.parse(await readFile(join(dir, "again", "results.json"), "utf8"));
  const first = await axograd(args, { cwd: dir });
  assert.is(first.code, 0, first.stderr);
  assert.match(first.stdout, /verdict: test accuracy \(higher is better\) of real against none; 3 paired seeds/);
  const before = await results();
  const { runs, groups, outcome } = before;
  assert.equal(
    groups.map(({ options, finished }) => ({ ...options, finished })),
    [REAL, ...controlsOf(controls)].map(({ options }) => ({ ...options, finished: 3 })),
  );
  assert.is(runs.length, 6);
  assert.equal(
    outcome.verdicts.map(({ control }) => control),
    controls,
  );
  await rm(lost, { recursive: true });
  await writeFile(lost, "in the way");
  const failed = await axograd(args, { cwd: dir });
  assert.is(failed.code, 1);
  assert.match(failed.stderr, /got 1 that failed.*wiring=none_trainConnectome=false_seed=6/s);
  const analysed = await axograd(["controls", "--analyse", "again"], { cwd: dir });
  assert.is(analysed.code, 0, analysed.stderr);
  assert.match(analysed.stdout, /undecided between real and none: 1 of 3 pairs is missing \(seed 6\)/);
  await rm(lost);
  const again = await axograd(args, { cwd: dir });
  assert.is(again.code, 0, again.stderr);
  const after = await results();
  const accuracies = ({ runs: all }: Results): number[] => all.map(({ testAccuracy }) => testAccuracy);
  assert.equal(accuracies(after), accuracies(before));
  assert.equal(after.outcome.verdicts, before.outcome.verdicts);
  const files = await readdir(join(dir, "again"));
  for (const file of ["results.csv", "results.json", "results.md", "results.svg", "results.html", "differences.svg"])
    assert.ok(files.includes(file), file);
  // Another metric after the runs is told.
  const later = await axograd(["controls", "--analyse", "again", "--judge-by", "loss", "--json"], { cwd: dir });
  assert.is(later.code, 0, later.stderr);
  assert.equal(
    (JSON.parse(later.stdout) as Results).outcome.deviations.map(({ what }) => what),
    ["metric"],
  );
  await fails(() => planControls({ wiring: "random" }, [0], controlsOf(controls)), "argument", /left to --controls/);
  const unknown = runCommand(register, "controls", "--analyse", join(dir, "again"), "--judge-by", "acuracy");
  await fails(() => unknown, "argument", /a metric of the runs on test samples: accuracy.*loss, got acuracy/);
  const planned = runCommand(register, "controls", "--analyse", join(dir, "again"), "--lr", "0.1");
  await fails(() => planned, "argument", /no runs to be planned with it, got --lr/);
});

test("a protocol is written before the runs, followed to the letter, and deviations are refused by name or shown", async () => {
  const { csr } = await writeNetwork(dir, 6);
  assert.ok(csr.nnz > 0);
  const few = ["--train-samples", "32", "--validation-samples", "0", "--test-samples", "24", "--batch-size", "16"];
  const solver = ["--lr", "5e-3", "--solver", "euler", "--dt", "0.5", "--calibration", "32", "--steps", "2"];
  const common = [...few, ...solver, "--threads", "1", "--device", "wasm", "--controls", "none"];
  const planned = ["controls", "--connectome", "net_csr.npz", ...common];
  const design = ["--seeds", "1", "--smallest-effect", "0.02", "--question", "Does it matter?"];
  const written = await axograd([...planned, ...design, "--write-protocol", "plan.json"], { cwd: dir });
  assert.is(written.code, 0, written.stderr);
  const text = await readFile(join(dir, "plan.json"), "utf8");
  const protocol = JSON.parse(text);
  const sha256 = createHash("sha256").update(text).digest("hex");
  assert.equal(written.stdout.split("\n"), [
    `plan.json: protocol, SHA-256 ${sha256}`,
    "verdict: test accuracy (higher is better) of real against none; 1 paired seed; alpha 0.05, Holm, smallest effect of interest 0.02",
    "",
  ]);
  const again = await axograd([...planned, "--write-protocol", "plan.json"], { cwd: dir });
  assert.is(again.code, 2);
  assert.match(again.stderr, /expected a new file, as no protocol is replaced/);
  assert.equal([protocol.design.metric, protocol.design.split, protocol.better], ["accuracy", "test", "higher"]);
  assert.equal([protocol.design.seeds, protocol.settings.steps, protocol.settings.lr], [[0], 2, 5e-3]);
  const connectome = await readFile(join(dir, "net_csr.npz"));
  assert.is(protocol.inputs[0].sha256, createHash("sha256").update(connectome).digest("hex"));

  const follow = ["controls", "--protocol", "plan.json", "--out", "registered"];
  const refused = async (args: readonly string[], pattern: RegExp): Promise<void> => {
    const { code, stderr } = await axograd([...follow, ...args], { cwd: dir });
    assert.is(code, 2, stderr);
    assert.match(stderr, pattern);
  };
  await refused(["--lr", "0.1"], /expected 0\.005, as the protocol says .*got 0\.1 \(setting lr\)/);
  await writeFile(join(dir, "plan.json"), text.replace(/"code": "[^"]*"/, `"code": "${"0".repeat(64)}"`));
  await refused([], /\(code\)/);
  await writeFile(join(dir, "plan.json"), text);
  assert.not.ok((await readdir(dir)).includes("runs"), "nothing has run");

  const followed = await axograd([...follow, "--json"], { cwd: dir });
  assert.is(followed.code, 0, followed.stderr);
  const { outcome, runs } = JSON.parse(followed.stdout) as Results;
  assert.is(runs.length, 2);
  assert.equal(outcome.deviations, []);
  const folder = join(dir, "registered");
  assert.is(await readFile(join(folder, "protocol.json"), "utf8"), text);
  const page = await readFile(join(folder, "results.html"), "utf8");
  assert.match(page, "Does it matter?");
  assert.match(page, "Protocol and outcome");

  await refused(["--judge-by", "loss"], /\(metric\)/);
  const reason = ["--deviate", "the loss is less noisy"];
  const deviated = await axograd(["controls", "--analyse", "registered", "--judge-by", "loss", ...reason], {
    cwd: dir,
  });
  assert.is(deviated.code, 0, deviated.stderr);
  const told = /Deviation, metric: loss in place of accuracy .*reason: the loss is less noisy/;
  assert.match(deviated.stdout, told);
  assert.match(await readFile(join(folder, "results.md"), "utf8"), told);
  assert.match(await readFile(join(folder, "results.html"), "utf8"), told);
});

test("seeds count from the one that is given; what leaves nothing to judge by is refused", async () => {
  const usual = controlsOf(USUAL_CONTROLS);
  const runs = planControls({ steps: 3 }, [7, 8], usual);
  assert.equal(
    runs.map(({ config }) => config.seed),
    Array.from({ length: 5 }, () => [7, 8]).flat(),
  );
  await fails(() => planControls({ validationSamples: 0, testSamples: 0 }, [0], usual), "argument", /--test-samples/);
  const { code, stderr } = await axograd(["controls", "--seeds", "0"], { cwd: dir });
  assert.is(code, 2);
  assert.match(stderr, /1 to 1000/);
});

test("every wiring is a control, and names are checked", async () => {
  assert.equal([...CONTROL_ARM_NAMES], ["frozen", ...WIRINGS.filter((wiring) => wiring !== "real")]);
  assert.equal(controlsOf(["none"])[0]!.options, { wiring: "none", trainConnectome: false });
  await fails(() => controlsOf(["shufled"]), "argument", /did you mean "shuffled"\?/);
  await fails(() => controlsOf(["none", "none"]), "argument", /"none" twice/);
  // Before the first run: a generated network has no table.
  const blocks = ["--controls", "swapped-blocks", "--seeds", "1", "--out", join(dir, "no")];
  const early = runCommand(register, "controls", ...TINY, ...blocks);
  await fails(() => early, "argument", /a neuron table .*swapped-blocks.*\(--wiring\)/);
  for (const [name, text] of controlTexts()) assert.ok(text.length > 0, name);
});

test.run();
