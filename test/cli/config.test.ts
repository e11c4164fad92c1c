// Settings from a file, from --set and from options: which counts, what is refused, and the files made from the table of settings.

import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Command } from "commander";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { parse, parseDocument } from "yaml";
import { readConfigFile } from "../../src/cli/configFile.ts";
import { schemaText } from "../../src/cli/configSchema.ts";
import { configTemplate } from "../../src/cli/configTemplate.ts";
import { readSweepFile } from "../../src/cli/sweep/sweepFile.ts";
import { addSettings, configOf, settingsAmong } from "../../src/cli/trainOptions.ts";
import { resolveConfig, resumedConfig, settingsOfAssignments } from "../../src/run/configLayers.ts";
import { CONFIG_KEYS, CONFIG_OPTIONS, optionName } from "../../src/run/configOptions.ts";
import { PRESETS } from "../../src/run/presets.ts";
import { solveOptionsOf } from "../../src/run/solver.ts";
import { fails, tempDir } from "../io/fixtures.ts";
import { repositoryRoot } from "../support/shared.ts";
import { axograd, TINY } from "./process.ts";

const test = suite("configuration");
const dir = tempDir();

async function file(name: string, text: string): Promise<string> {
  await writeFile(join(dir, name), text);
  return join(dir, name);
}

test("preset, file, --set and options take precedence in this order", async () => {
  const config = await file("order.yaml", "preset: tutorial\ngain: 3\nlr: 0.5\nbatchSize: 7\n");
  const resolved = await configOf({ config, set: ["lr=0.25", "batchSize=9"], batchSize: 11 });
  assert.equal(
    [resolved.preset, resolved.nonlinearity, resolved.gain, resolved.lr, resolved.batchSize],
    ["tutorial", "Sigmoid", 3, 0.25, 11],
  );
});

test("an option takes none where a setting may be empty, and so undoes a preset", async () => {
  const parsed = (...args: readonly string[]) => addSettings(new Command()).parse(args, { from: "user" }).opts();
  assert.is((await configOf({ preset: "retina" })).fcDim, 256);
  assert.is((await configOf(parsed("--preset", "retina", "--fc-dim", "none"))).fcDim, null);
  const nullable = CONFIG_KEYS.filter((key) => CONFIG_OPTIONS[key].type.read(null) === null);
  assert.ok(nullable.length > 10, `${nullable}`);
  for (const key of nullable) assert.is(settingsAmong([key], parsed(optionName(key), "none"))[key], null, key);
});

test("a limit, or a network, replaces the other kind of the layers below", async () => {
  const config = await file("limits.yaml", "epochs: 3\ngenerate: 900x5000\n");
  const plain = await configOf({ config });
  assert.equal([plain.epochs, plain.steps, plain.generate], [3, null, { neurons: 900, connections: 5000 }]);
  const other = await configOf({ config, steps: 5, connectome: "a.npz" });
  assert.equal([other.epochs, other.steps, other.generate, other.connectome], [null, 5, null, "a.npz"]);
  const both = await configOf({ config, steps: 5, epochs: 2 });
  assert.equal([both.epochs, both.steps], [2, 5]);
});

test("another solver, or a tolerance, comes without the fixed steps of the layers below", async () => {
  const config = await file("fixed.yaml", "solver: heun\ndt: 0.5\n");
  const solving = async (given: Parameters<typeof configOf>[0]): Promise<unknown[]> => {
    const resolved = await configOf({ config, ...given });
    const { tableau, controller, dt0 } = solveOptionsOf(resolved, null);
    return [tableau?.name, controller?.type, dt0];
  };
  assert.equal(await solving({}), ["heun", "fixed", 0.5]);
  assert.equal(await solving({ dt: 0.25 }), ["heun", "fixed", 0.25]);
  assert.equal(await solving({ solver: "tsit5" }), ["tsit5", "integral", undefined]);
  assert.equal(await solving({ solver: "tsit5", controller: "pi", dt: 0.1 }), ["tsit5", "pid", 0.1]);
  assert.equal(await solving({ solver: "exponential-euler", dt: 0.1 }), ["exponentialEuler", "fixed", 0.1]);
  assert.equal(await solving({ rtol: 0.1 }), ["heun", "integral", undefined]);
});

test("a solver without an error estimate needs fixed steps, and fixed steps a size", async () => {
  for (const solver of ["euler", "rk4", "exponential-euler"] as const) {
    await fails(
      () => configOf({ solver }),
      "argument",
      new RegExp(`another --solver, like dopri5, or fixed steps, as ${solver} .*--dt`),
    );
    const given = { solver, controller: "integral", dt: 1 } as const;
    await fails(() => configOf(given), "argument", /no error estimate, got integral \(--controller\)/);
  }
  await fails(() => configOf({ solver: "heun", controller: "fixed" }), "argument", /a step size.*--dt/);
});

test("--set takes numbers, switches, null, and parts of a value", async () => {
  const set = (...texts: string[]) => settingsOfAssignments(texts, { generate: { neurons: 1, connections: 2 } });
  assert.equal(set("lr=1e-2", "standardise=false", "fcDim=null", "data=null", "connectome=12"), {
    lr: 0.01,
    standardise: false,
    fcDim: null,
    data: null,
    connectome: "12",
  });
  assert.equal(set("generate.connections=30"), { generate: { neurons: 1, connections: 30 } });
  await fails(() => set("generate.size=30"), "argument", /NEURONSxCONNECTIONS/);
  await fails(() => set("lr.a=30"), "argument", /without parts/);
  await fails(() => set("lr"), "argument", /key=value/);
  await fails(() => set("leaning=3"), "argument", /"leaning"/);
  await fails(() => set("batch_size=3"), "argument", /did you mean "batchSize"\?/);
});

test("unknown keys are refused with line and nearest name, wrong values with key, expected and got", async () => {
  const refused = async (text: string, ...patterns: RegExp[]): Promise<void> => {
    const wrong = await file("wrong.yaml", text);
    const { code, stderr } = await axograd(["train", "--config", wrong], { cwd: dir });
    assert.is(code, 2, stderr);
    assert.match(stderr, /^axograd: .*\n$/);
    for (const pattern of patterns) assert.match(stderr, pattern);
  };
  await refused("lr: 1\nbatchsize: 3\n", /wrong\.yaml:2: /, /"batchsize", did you mean "batchSize"\?/);
  await refused("lr: fast\n", /wrong\.yaml:1: expected a number above 0, got "fast" \(lr\)/);
  await refused("epochs: [1]\n", /expected a whole number of at least 1, got \[1\] \(epochs\)/);
  await refused("\n\nstandardise: yes\n", /:3: expected true or false, got "yes" \(standardise\)/);
  await refused("wiring: shuffle\n", /got "shuffle", did you mean "shuffled"\? \(wiring\)/);
  await refused("readout: type:(\n", /a selector of neurons, got "type:\(": expected a value of "type" .* \(readout\)/);
  await refused("gain: null\n", /got null \(gain\)/);
  await refused("lr: 1\nlr: 2\n", /wrong\.yaml:2: expected YAML or JSON/);
  await refused("- 1\n", /keys with values/);
  await refused("__proto__: 1\n", /the name of a setting/);
});

test("JSON is read as YAML is, and so is an empty file", async () => {
  const json = await file("a.json", '{"$schema": "x.json", "lr": 0.5, "generate": {"neurons": 3, "connections": 4}}');
  assert.equal(await readConfigFile(json), { lr: 0.5, generate: { neurons: 3, connections: 4 } });
  assert.equal(await readConfigFile(await file("empty.yaml", "# nothing\n")), {});
});

test("what init writes has every setting, and means the preset", async () => {
  for (const preset of Object.keys(PRESETS)) {
    const text = configTemplate(preset, "schema.json");
    assert.equal(await configOf({ config: await file("init.yaml", text) }), resolveConfig([{ preset }]));
    for (const key of CONFIG_KEYS) assert.match(text, new RegExp(`^(# )?${key}:( |$)`, "m"));
    for (const line of text.split("\n")) assert.ok(line.length <= 102, line);
  }
});

test("every preset saves checkpoints on the way: a crash costs minutes, not the run", () => {
  for (const preset of Object.keys(PRESETS)) {
    const { checkpointEvery } = resolveConfig([{ preset }]);
    assert.ok(checkpointEvery > 0 && checkpointEvery <= 500, preset);
  }
});

test("init writes JSON, too, that means the same and names its schema", async () => {
  for (const preset of Object.keys(PRESETS)) {
    const { code, stderr } = await axograd(["init", `${preset}.json`, "--preset", preset], { cwd: dir });
    assert.is(code, 0, stderr);
    const file = join(dir, `${preset}.json`);
    assert.is(await readFile(join(dir, JSON.parse(await readFile(file, "utf8")).$schema), "utf8"), schemaText());
    assert.equal(await configOf({ config: file }), resolveConfig([{ preset }]));
  }
  assert.is((await axograd(["init", "sweep.json", "--sweep"], { cwd: dir })).code, 0);
  const { base, seeds, grid } = await readSweepFile(join(dir, "sweep.json"));
  assert.equal([base.preset, seeds, grid.length], ["demo", [0, 1, 2], 1]);
});

test("init writes a file that train takes, with a schema that exists, and replaces none", async () => {
  await mkdir(join(dir, "sub"));
  const first = await axograd(["init", "sub/mine.yaml", "--preset", "tutorial"], { cwd: dir });
  assert.is(first.code, 0, first.stderr);
  const text = await readFile(join(dir, "sub/mine.yaml"), "utf8");
  const schema = /\$schema=(.*)/.exec(text)![1]!;
  assert.is(await readFile(join(dir, "sub", schema), "utf8"), schemaText());
  assert.is(parse(text).nonlinearity, "Sigmoid");
  const second = await axograd(["init", "sub/mine.yaml"], { cwd: dir });
  assert.is(second.code, 2);
  assert.match(second.stderr, /--overwrite/);
});

test("the configuration of a run makes the same run", async () => {
  const args = ["train", ...TINY, "--quiet"];
  const first = await axograd([...args, "--set", "gain=1.5", "--out", "first"], { cwd: dir });
  assert.is(first.code, 0, first.stderr);
  const again = await axograd(["train", "--config", "first/config.json", "--quiet", "--out", "again"], { cwd: dir });
  assert.is(again.code, 0, again.stderr);
  const of = async (run: string): Promise<unknown> =>
    JSON.parse(await readFile(join(dir, run, "config.json"), "utf8")).config;
  assert.equal(await of("again"), await of("first"));
  assert.equal(
    await readFile(join(dir, "again", "checkpoint.safetensors")),
    await readFile(join(dir, "first", "checkpoint.safetensors")),
  );
});

test("the schema that is shipped is up to date and has every setting", async () => {
  const shipped = await readFile(join(repositoryRoot(), "schema", "train.schema.json"), "utf8");
  assert.is(shipped, schemaText(), "run npm run build:schema");
  const { properties } = JSON.parse(shipped);
  assert.equal(Object.keys(properties), ["$schema", ...CONFIG_KEYS]);
  assert.is(parseDocument(shipped).errors.length, 0);
});

test("a resumed run may go on longer, but not with other mathematics", async () => {
  const saved = resolveConfig([{ seed: 3 }]);
  assert.is(resumedConfig(saved, { epochs: 9, threads: 2 }).epochs, 9);
  assert.equal(resumedConfig(saved, { seed: 3, lr: saved.lr }), saved);
  // Several processes replaced the default of a file with all settings by a number.
  const grouped = resolveConfig([{ microBatch: 16 }]);
  assert.equal(resumedConfig(grouped, { microBatch: null }), grouped);
  assert.is(resumedConfig(saved, { microBatch: 16 }).microBatch, 16, "once");
  await fails(() => resumedConfig(grouped, { microBatch: 8 }), "argument", /microBatch as the run began, 16, got 8/);
  await fails(() => resumedConfig(saved, { lr: 0.5 }), "argument", /lr as the run began, 0\.001, got 0\.5 \(--lr\)/);
  const scheduled = resolveConfig([{ schedule: "cosine", epochs: 2 }]);
  assert.equal(resumedConfig(scheduled, { epochs: 2, threads: 2 }).epochs, 2);
  await fails(() => resumedConfig(scheduled, { epochs: 3 }), "argument", /epochs as the run began, 2, got 3/);
  const thirds = resolveConfig([{ schedule: "step", epochs: 2 }]);
  await fails(() => resumedConfig(thirds, { epochs: 3 }), "argument", /epochs as the run began, 2, got 3/);
  const stepped = resolveConfig([{ schedule: "step", decayEvery: 100, epochs: 2 }]);
  assert.is(resumedConfig(stepped, { epochs: 3 }).epochs, 3);
});

test("an option that does nothing with the others is refused, with what it needs", async () => {
  const refusals: readonly (readonly [Parameters<typeof configOf>[0], RegExp])[] = [
    [{ decayEvery: 10 }, /expected --schedule step with it, .*, got --schedule constant \(--decay-every\)/],
    [{ decayFactor: 0.1 }, /\(--decay-factor\)/],
    [{ decayFactor: 0.5, schedule: "cosine" }, /got --schedule cosine \(--decay-factor\)/],
    [{ set: ["decayFactor=0.5"] }, /\(--decay-factor\)/],
    [{ keepSigns: true, weights: "abs" }, /--weights signed .*\(--keep-signs\)/],
    [{ gain: 3, wiring: "none" }, /W = 0 .*\(--gain\)/],
    [{ weights: "abs", wiring: "none" }, /\(--weights\)/],
    [{ normalise: "none", wiring: "none" }, /\(--normalise\)/],
    [{ trainConnectome: true, wiring: "none" }, /\(--train-connectome\)/],
    [{ dropout: 0.5 }, /hidden units \(--fc-dim, or --hidden-channels\) .*, got a linear one \(--dropout\)/],
    [{ dropout: 0.5, head: "columns" }, /hidden units .*, got one convolution \(--dropout\)/],
    [{ hiddenChannels: 8 }, /--head columns .*, got --head layers \(--hidden-channels\)/],
    [{ bias: 0.5, wiring: "dense" }, /neurons of the connectome.*\(--bias\)/],
    [{ dropout: 0.5, fcDim: 8, head: "states" }, /got --head states/],
    [{ trainInput: true, input: "direct" }, /got --input direct \(--train-input\)/],
    [{ dataMemory: 8, data: "text" }, /file or folder of arrays .*\(--data-memory\)/],
    [{ calibration: 64, standardise: false }, /--standardise .*\(--calibration\)/],
    [{ rtol: 0.1, dt: 0.5, solver: "heun" }, /got fixed steps of --dt 0\.5 \(--rtol\)/],
    [{ atol: 0.1, controller: "fixed", dt: 0.5 }, /\(--atol\)/],
    [{ evalEvery: 10, validationSamples: 0 }, /--validation-samples.*\(--eval-every\)/],
    [{ columns: 7, generate: { neurons: 900, connections: 5000 } }, /made-up .*, got --generate \(--columns\)/],
    [{ columns: 7, connectome: "a.npz" }, /made-up visual system.*, got --connectome \(--columns\)/],
    [{ inputScale: 2, input: "direct" }, /an --input with weights .*, got --input direct \(--input-scale\)/],
    [{ headScale: 8 }, /--head groups .*, got --head layers \(--head-scale\)/],
    [{ trainTau: false, dynamics: "plain" }, /time constants .*, got --dynamics plain \(--train-tau\)/],
    [{ positiveWeight: 3, loss: "squared" }, /binary-cross-entropy .*, got --loss squared \(--positive-weight\)/],
  ];
  for (const [given, message] of refusals) await fails(() => configOf(given), "argument", message);
});

test("what does something is taken, and so is what says that something is not wanted", async () => {
  for (const given of [
    { decayEvery: 10, decayFactor: 0.5, schedule: "step" },
    { decayEvery: null },
    { trainConnectome: false, wiring: "none" },
    { dropout: 0, fcDim: null },
    { trainInput: false, input: "direct" },
    { labelSmoothing: 0, loss: "ordinal" },
    { dropout: 0.5, fcDim: 8 },
    { rtol: 0.1, dt: 0.5, controller: "pi" },
    { evalEvery: 0, validationSamples: 0 },
  ] as const) {
    await configOf(given);
  }
});

test("a file may list settings that do nothing as the preset has them, and a run's record may; others are refused", async () => {
  const idle = await file("idle.yaml", "schedule: cosine\ndecayFactor: 0.5\n");
  await fails(
    () => configOf({ config: idle }),
    "argument",
    /idle\.yaml: expected --schedule step .*\(--decay-factor\)/,
  );
  await configOf({ config: await file("listed.yaml", "schedule: cosine\ndecayFactor: 0.1\nrtol: 0.01\ndropout: 0\n") });
  const step = await file("step.yaml", "schedule: step\ndecayFactor: 0.5\n");
  assert.is((await configOf({ config: step, schedule: "cosine" })).schedule, "cosine");
  const record = { version: "0.1.0", config: await configOf({ schedule: "step", decayFactor: 0.5 }) };
  assert.is((await configOf({ config: await file("record.json", JSON.stringify(record)) })).decayFactor, 0.5);
});

test("options of commands that do nothing together are refused", async () => {
  const refused = async (args: readonly string[], message: RegExp): Promise<void> => {
    const { code, stdout, stderr } = await axograd(args, { cwd: dir });
    assert.is(code, 2, stderr);
    assert.is(stdout, "");
    assert.match(stderr, message);
  };
  await refused(["train", "--overwrite"], /^axograd: train: expected --out with it, .*\(--overwrite\)\n$/);
  await refused(
    ["init", "mine.yaml", "--schema"],
    /^axograd: init: expected it alone .*, got mine\.yaml \(--schema\)\n$/,
  );
  await refused(["init", "--preset", "demo", "--schema"], /got demo \(--schema\)/);
  await refused(["check", "--full"], /^axograd: check: expected --connectome with it, .*\(--full\)\n$/);
  await refused(["check", "--pre", "a"], /\(--pre\)/);
});

test.run();
