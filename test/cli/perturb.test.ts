// `axograd perturb`: experiments by options, their record, table, arrays and page; what is refused; what an interruption leaves.

import { readdir, readFile } from "node:fs/promises";
import { constants } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { readAnalysis } from "../../src/analysis/record.ts";
import { register as registerPerturb } from "../../src/cli/analyses/perturb.ts";
import { register as registerReport } from "../../src/cli/report.ts";
import { register as registerTrain } from "../../src/cli/train.ts";
import { neuronsByColumn } from "../../src/data/neuronGroups.ts";
import { readNpz } from "../../src/io/npz.ts";
import { openRun } from "../../src/run/openRun.ts";
import { fails, tempDir } from "../io/fixtures.ts";
import { testOrSkip } from "../support/skip.ts";
import { runCommand } from "./command.ts";
import { writeNetwork } from "./network.ts";
import { start } from "./process.ts";

const test = suite("axograd perturb");
const dir = tempDir();
const at = (name: string): string => join(dir, name);
const SMALL = [
  ...[
    "--time",
    "discrete",
    "--recurrences",
    "5",
    "--train-samples",
    "64",
    "--validation-samples",
    "16",
    "--test-samples",
    "40",
    "--seed",
    "3",
  ],
  ...["--batch-size", "16", "--steps", "6", "--threads", "1", "--device", "wasm", "--no-report", "--quiet"],
];

interface Found {
  readonly name: string;
  readonly act: string;
  readonly actValue: number | null;
  readonly neurons: number;
  readonly change: { readonly loss: number; readonly metrics: { readonly accuracy: number } };
}

interface Report {
  readonly file: string;
  readonly result: {
    readonly samples: number;
    readonly source: string;
    readonly intact: { readonly loss: number };
    readonly effects: readonly Found[];
  };
}

async function perturbed(run: string, ...args: readonly string[]): Promise<Report> {
  return JSON.parse(await runCommand(registerPerturb, "perturb", at(run), ...args, "--json", "--device", "wasm"));
}

test.before(async () => {
  await writeNetwork(dir, 5);
  const files = ["--connectome", at("net_csr.npz"), "--neuron-table", at("net_neurons.csv")];
  await runCommand(registerTrain, "train", ...files, ...SMALL, "--out", at("typed"));
  await runCommand(registerTrain, "train", "--generate", "200x1000", ...SMALL, "--out", at("plain"));
});

test("without options every type is silenced once, the worst first; the record is the result", async () => {
  const out = at("types.csv");
  const { file, result } = await perturbed("typed", "--out", out);
  await using run = await openRun(at("typed"), { device: "wasm" });
  const types = neuronsByColumn(run.selectable, "type", null);
  assert.equal(
    result.effects.map(({ name, neurons }) => [name, neurons]).sort(),
    types.map(({ name, neurons }) => [name, neurons.length]).sort(),
  );
  assert.ok(result.effects.every(({ act, actValue }) => act === "silence" && actValue === null));
  const changes = result.effects.map(({ change }) => change.metrics.accuracy);
  assert.equal(
    changes,
    [...changes].sort((a, b) => a - b),
  );
  assert.is(result.samples, 40);
  assert.match(result.source, / \(test\)$/);
  const { loss } = await run.trainer.evaluate(run.data.test!);
  // Sums over groups of samples, in another order.
  assert.ok(Math.abs(result.intact.loss - loss) < 1e-5 * loss);
  const { step, kind, result: parts } = await readAnalysis(file, "perturb");
  assert.equal([step, kind], [6, "perturb"]);
  assert.equal(parts.all, result as object);
  const [head, ...rows] = (await readFile(out, "utf8")).trimEnd().split("\n");
  assert.match(
    head!,
    /^name,act,act_value,neurons,failed_samples,accuracy,accuracy_change,accuracy_error,loss,.*,failure$/,
  );
  assert.is(rows.length, result.effects.length);
  assert.ok(rows[0]!.startsWith(`${result.effects[0]!.name},silence,,`));
});

test("silencing by hand, by type, and by clamping at 0 give the same numbers", async () => {
  const own = ["--silence", "type=L1", "--clamp", "type=L1=0", "--drive", "type=L1=0", "--samples", "20"];
  const single = (await perturbed("typed", ...own, "--name", "single")).result.effects;
  const each = await perturbed("typed", "--among", "type=L1", "--samples", "20", "--name", "each");
  const [series] = each.result.effects;
  assert.is(each.result.effects.length, 1);
  const of = (kind: string): Found => single.find(({ act }) => act === kind)!;
  assert.equal(of("silence").change, series!.change);
  // A held rate of 0 is a silenced one.
  assert.equal(of("clamp").change, of("silence").change);
  assert.equal([of("drive").change.loss, of("drive").actValue], [0, 0]);
  assert.is.not(of("silence").change.loss, 0);
});

test("another column and act, arrays, and a network without types by role", async () => {
  const out = at("roles.npz");
  const { result } = await perturbed("plain", "--act", "clamp=0.25", "--out", out, "--samples", "16");
  assert.equal([...new Set(result.effects.map(({ act, actValue }) => `${act} ${actValue}`))], ["clamp 0.25"]);
  const names = result.effects.map(({ name }) => name);
  assert.ok(names.includes("input") && names.includes("output"), `${names}`);
  const arrays = await readNpz(out, ["change", "intact", "neurons"]);
  assert.equal(arrays.get("change")!.shape, [names.length, 12]);
  assert.is(arrays.get("intact")!.data[1], result.intact.loss);
  const signs = await perturbed("plain", "--each", "role", "--act", "drive=1", "--name", "roles", "--samples", "16");
  assert.equal(signs.result.effects.map(({ name }) => name).sort(), [...names].sort());
});

test("a result is kept unless --overwrite says otherwise, and stands on the page", async () => {
  const again = (...args: readonly string[]) => perturbed("typed", "--silence", "type=L2", "--samples", "8", ...args);
  await fails(() => again(), "file-exists", /perturb\.json: expected no result of this name/);
  const { result } = await again("--overwrite");
  assert.equal(
    result.effects.map(({ name }) => name),
    ["type=L2"],
  );
  await runCommand(registerReport, "report", at("typed"), "--device", "wasm");
  const page = await readFile(at("typed/report.html"), "utf8");
  assert.match(page, "Perturbed neurons: single");
  assert.match(page, "type=L2");
  const plots = await readdir(at("typed/plots"));
  assert.ok(plots.includes("perturb-change.svg") && plots.includes("single-change.svg"), `${plots}`);
});

test("wrong options are refused with their names, before anything is computed", async () => {
  const refused = (...args: readonly string[]) => perturbed("typed", "--name", "wrong", ...args);
  await fails(() => refused("--each", "colour"), "argument", /perturb: expected a column of the neurons.*--each/);
  await fails(() => refused("--among", "type=Q9"), "argument", /--among/);
  await fails(() => refused("--act", "kill"), "argument", /silence, clamp=STATE or drive=CURRENT, got "kill"/);
  await fails(() => refused("--act", "clamp=x"), "argument", /a number behind the last =, got "x" \(--act\)/);
  await fails(() => refused("--clamp", "T1"), "argument", /NEURONS=STATE.*--clamp/);
  await fails(() => refused("--samples", "4000"), "argument", /at most 40/);
  await fails(() => refused("--name", "../up"), "argument", /--name/);
  await fails(() => refused("--out", "x.txt"), "argument", /--out/);
  assert.not.ok((await readdir(at("typed/analyses"))).includes("wrong.json"));
});

testOrSkip(test, process.platform !== "win32", "signals of POSIX", "an interruption writes nothing", async () => {
  const before = await readdir(at("typed/analyses"));
  const args = [
    "perturb",
    at("typed"),
    "--data",
    "digits",
    "--samples",
    "20000",
    "--name",
    "stopped",
    "--out",
    at("s.csv"),
  ];
  const { child, finished } = start([...args, "--device", "wasm", "--threads", "1"]);
  // Progress appears once it takes long.
  child.stderr!.once("data", () => child.kill("SIGINT"));
  const { code, stderr } = await finished;
  assert.is(code, 128 + constants.signals.SIGINT, stderr);
  assert.match(stderr, /stopped by SIGINT; nothing was written/);
  assert.equal(await readdir(at("typed/analyses")), before);
  assert.not.ok((await readdir(dir)).includes("s.csv"));
});

test.run();
