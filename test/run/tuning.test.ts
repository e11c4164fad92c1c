// The choices of sparse kernels that a run gets: tried once, remembered, from files, or as its record says.

import { createHash } from "node:crypto";
import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Backend } from "../../src/backend/backend.ts";
import { createBackend } from "../../src/backend/select.ts";
import { tuneSparse } from "../../src/backend/tuneSparse.ts";
import type { WebGpuBackend } from "../../src/backend/webgpu/backend.ts";
import { SPARSE_TUNING, type SparseTuning, tuningOf } from "../../src/backend/webgpu/sparseTuning.ts";
import type { TuningResult } from "../../src/backend/webgpu/tuneSparse.ts";
import { tuningJson } from "../../src/backend/webgpu/tuningKey.ts";
import { ArgumentError, BackendError, FileFormatError } from "../../src/core/errors.ts";
import { logNormalConnectome } from "../../src/data/connectomes.ts";
import {
  type RunTuning,
  runTuningJson,
  runTuningOf,
  type Tuned,
  type Tuner,
  type TuningPlan,
  tuneDevice,
  tuningPlan,
} from "../../src/run/tuning.ts";
import {
  readTuningFile,
  recall,
  remember,
  rememberedByCard,
  type TuningEntry,
  tuningCacheFile,
  writeTuningFile,
} from "../../src/run/tuningFile.ts";
import { tempDir } from "../io/fixtures.ts";

const test = suite("tuning of runs");
const dir = tempDir();
const CSR = logNormalConnectome({ neurons: 50, connections: 300, seed: 1 });
const FAST: SparseTuning = { ...SPARSE_TUNING, panels: 8 };
const OTHER: SparseTuning = { limits: [8, 64, 512], window: 1024, panels: 2, gradPanels: 2, exchange: "workgroup" };

/** A card that only keeps what it is given. */
class Card {
  readonly name = "webgpu";
  readonly description: string;
  readonly adapter: { readonly name: string; readonly driver: string; readonly isSoftware: boolean };
  readonly standardTuning: SparseTuning;
  given: SparseTuning | null = null;

  constructor(name = "Great GPU", { driver = "1.2", isSoftware = false, subgroups = true } = {}) {
    this.description = `webgpu f32, ${name}`;
    this.adapter = { name, driver, isSoftware };
    this.standardTuning = tuningOf({}, subgroups);
  }

  retune(choices: SparseTuning): void {
    this.given = choices;
  }

  get backend(): WebGpuBackend {
    return this as unknown as WebGpuBackend;
  }
}

function resultOf(tuning: SparseTuning): TuningResult {
  const trials = [SPARSE_TUNING, tuning].map((t, k) => ({
    tuning: t,
    kernel: "spmm" as const,
    us: 20 - k,
    problem: null,
  }));
  return { tuning, trials, untried: 0, ms: 12, skipped: null };
}

/** Counts its trials; their result is always `tuning`, or that there was nothing to try. */
class FakeTuner implements Tuner {
  trials = 0;
  readonly #tuning: SparseTuning | null;

  constructor(tuning: SparseTuning | null = FAST) {
    this.#tuning = tuning;
  }

  async tune(): Promise<TuningResult> {
    this.trials++;
    if (this.#tuning) return resultOf(this.#tuning);
    return { ...resultOf(SPARSE_TUNING), trials: [], skipped: "nothing to gain" };
  }

  key({ adapter }: WebGpuBackend, { nnz }: typeof CSR, lanes: number, regroup: boolean): string {
    const facts = [adapter.name, adapter.driver, nnz, lanes, regroup];
    return createHash("sha256").update(facts.join()).digest("hex");
  }
}

interface Outcome extends Tuned {
  readonly warnings: readonly string[];
}

async function tuned(
  card: Card,
  plan: TuningPlan,
  { tuner = new FakeTuner(), lanes = 64 }: { readonly tuner?: FakeTuner; readonly lanes?: number } = {},
): Promise<Outcome> {
  const warnings: string[] = [];
  const found = await tuneDevice(card.backend, plan, { csr: CSR, lanes, tuner, warn: (text) => warnings.push(text) });
  assert.equal(card.given, found!.tuning.tuning, "the device has them");
  return { ...found!, warnings };
}

/** A folder of its own for what is remembered. */
function freshCache(name: string): string {
  process.env.XDG_CACHE_HOME = join(dir, name);
  return tuningCacheFile();
}

const before = process.env.XDG_CACHE_HOME;
test.after(() => {
  if (before === undefined) delete process.env.XDG_CACHE_HOME;
  else process.env.XDG_CACHE_HOME = before;
});

test("a choice is tried once, then remembered for its card, driver, matrix and samples", async () => {
  const file = freshCache("once");
  const tuner = new FakeTuner();
  const first = await tuned(new Card(), { how: "auto" }, { tuner });
  assert.is(first.tuning.source, "trial");
  assert.equal(first.tuning.tuning, FAST);
  assert.match(first.text, /^panels 8, the best of 2 trials in 0\.0 s$/);
  const second = await tuned(new Card(), { how: "auto" }, { tuner });
  assert.is(second.tuning.source, "cache");
  assert.equal(second.tuning.tuning, FAST);
  assert.match(second.text, /^panels 8, as remembered since \d{4}-\d\d-\d\d$/);
  assert.is(tuner.trials, 1);
  await tuned(new Card("Great GPU", { driver: "1.3" }), { how: "auto" }, { tuner });
  assert.is(tuner.trials, 2, "another driver");
  await tuned(new Card(), { how: "auto" }, { tuner, lanes: 8 });
  assert.is(tuner.trials, 3, "another number of samples");
  assert.equal(first.warnings, []);
  const [entry] = await readTuningFile(file);
  const { created, ...facts } = entry!;
  const { source: _, ...record } = first.tuning;
  assert.equal(facts, { ...record, driver: "1.2", version: facts.version, trials: resultOf(FAST).trials });
  assert.ok(Math.abs(Date.now() - Date.parse(created)) < 60_000);
  assert.equal([...(await rememberedByCard())], [["Great GPU", 3]]);
});

test("again tries anew and replaces what is remembered; off asks nobody", async () => {
  const file = freshCache("again");
  await tuned(new Card(), { how: "auto" });
  const again = await tuned(new Card(), { how: "again" }, { tuner: new FakeTuner(OTHER) });
  assert.equal(again.tuning.tuning, OTHER);
  assert.equal(
    (await readTuningFile(file)).map(({ tuning }) => tuning),
    [OTHER],
  );
  const tuner = new FakeTuner();
  const off = await tuned(new Card(), { how: "off" }, { tuner });
  assert.equal([off.tuning.source, off.tuning.tuning, tuner.trials], ["default", SPARSE_TUNING, 0]);
});

test("where nothing is worth a trial, nothing is remembered", async () => {
  freshCache("nothing");
  for (const isSoftware of [true, false]) {
    const tuner = new FakeTuner(null);
    const { tuning, text } = await tuned(new Card("some", { isSoftware }), { how: "auto" }, { tuner });
    assert.equal([tuning.source, tuning.tuning], ["default", SPARSE_TUNING]);
    assert.is(text, "default choices: nothing to gain");
  }
  assert.is((await rememberedByCard()).size, 0);
});

test("trials that fail are a word, and the run goes on with the default choices", async () => {
  freshCache("failing");
  const tuner = new FakeTuner();
  tuner.tune = async () => {
    throw new BackendError("out-of-memory", "webgpu: no memory left");
  };
  const { tuning, warnings } = await tuned(new Card(), { how: "auto" }, { tuner });
  assert.equal([tuning.source, tuning.tuning], ["default", SPARSE_TUNING]);
  assert.match(warnings.join(), /^trials failed.*no memory left/);
  assert.is((await rememberedByCard()).size, 0);
});

test("a damaged file is ignored with a word, and replaced", async () => {
  const file = freshCache("damaged");
  await tuned(new Card(), { how: "auto" });
  const whole = await readFile(file, "utf8");
  const bad = [
    "{",
    "[]",
    whole.slice(0, 100),
    whole.replace('"tuning": 1', '"tuning": 2'),
    whole.replace('"panels":8', '"panels":3'),
    whole.replace('"driver":"1.2"', '"driver":null'),
  ];
  for (const text of bad) {
    assert.is.not(text, whole);
    await writeFile(file, text);
    const tuner = new FakeTuner();
    const { warnings } = await tuned(new Card(), { how: "auto" }, { tuner });
    assert.is(tuner.trials, 1, text);
    assert.match(warnings.join(), /^ignores remembered choices: .*expected .*got/, text);
    assert.is((await readTuningFile(file)).length, 1, text);
  }
});

test("an entry of another version of axograd, with other choices, harms nobody and stays", async () => {
  const file = freshCache("versions");
  await tuned(new Card(), { how: "auto" });
  const later = (await readFile(file, "utf8"))
    .replace('"panels":8', '"panels":8,"turbo":true')
    .replace(/"key":"./, '"key":"0');
  await writeFile(file, later);
  const { warnings } = await tuned(new Card(), { how: "auto" }, { lanes: 8 });
  assert.equal(warnings, []);
  const { entries } = JSON.parse(await readFile(file, "utf8"));
  assert.is(entries.length, 2);
  assert.is(entries[0].tuning.turbo, true);
});

function entry(k: number, rest: Partial<TuningEntry> = {}): TuningEntry {
  const facts = { adapter: "Great GPU", lanes: 64, regroup: false, driver: "1.2", version: "0", created: "2026-01-01" };
  return { ...facts, key: `${k}`.padStart(64, "0"), tuning: FAST, trials: [], ...rest };
}

test("writers at the same time lose nothing within a process, and leave a whole file", async () => {
  const file = freshCache("writers");
  const fail = (text: string) => assert.unreachable(text);
  await Promise.all(Array.from({ length: 12 }, (_, k) => remember(entry(k), fail)));
  assert.is((await readTuningFile(file)).length, 12);
  assert.equal((await recall(entry(3).key, fail))!.tuning, FAST);
  assert.is(await recall(entry(99).key, fail), null);
});

test("what is remembered does not grow without end: the oldest goes first", async () => {
  const file = freshCache("many");
  await mkdir(join(dir, "many", "axograd"), { recursive: true });
  await writeTuningFile(
    file,
    Array.from({ length: 256 }, (_, k) => entry(k)),
  );
  await remember(entry(1), assert.unreachable);
  assert.is((await readTuningFile(file)).length, 256);
  await remember(entry(300), assert.unreachable);
  const keys = (await readTuningFile(file)).map(({ key }) => Number(key));
  assert.equal([keys.length, keys[0], keys.at(-1)], [256, 2, 300]);
});

test("a place that cannot be written is a word and no failure", async () => {
  await writeFile(join(dir, "file"), "");
  freshCache(join("file", "cache"));
  const { tuning, warnings } = await tuned(new Card(), { how: "auto" });
  assert.is(tuning.source, "trial");
  assert.match(warnings.at(-1)!, /^the choices are not remembered: .*expected a place to write to/);
  if (process.getuid?.() === 0 || process.platform === "win32") return;
  const file = freshCache("read-only");
  await mkdir(join(dir, "read-only"));
  await chmod(join(dir, "read-only"), 0o500);
  const { warnings: more } = await tuned(new Card(), { how: "auto" });
  assert.match(more.join(), /no permission/);
  assert.is((await rememberedByCard(file)).size, 0);
});

/** A file with choices for some numbers of samples on a card. */
async function written(name: string, card: Card, lanes: readonly number[], regroup = false): Promise<string> {
  const tuner = new FakeTuner();
  const file = join(dir, name);
  const { name: adapter, driver } = card.adapter;
  const entries = lanes.map((n) =>
    entry(n, {
      ...{ adapter, driver, regroup, lanes: n, key: tuner.key(card.backend, CSR, n, regroup) },
      tuning: { ...OTHER, panels: n === 8 ? 1 : 2 },
    }),
  );
  await writeTuningFile(file, entries);
  return file;
}

test("a file's choice for the nearest number of samples is used, with regrouped sums if it says so", async () => {
  freshCache("unused");
  const plan = await tuningPlan(await written("own.json", new Card(), [8, 256], true));
  const tuner = new FakeTuner();
  const few = await tuned(new Card(), plan, { tuner, lanes: 16 });
  assert.equal([few.tuning.source, few.tuning.tuning.panels, few.tuning.regroup], ["file", 1, true]);
  assert.match(few.text, /as .*own\.json says for 8 samples at once$/);
  const many = await tuned(new Card(), plan, { tuner, lanes: 128 });
  assert.is(many.tuning.tuning.panels, 2);
  assert.equal([few.warnings, many.warnings, tuner.trials], [[], [], 0]);
});

test("a file for another card, network or driver is used with a warning", async () => {
  const other = await tuningPlan(await written("other.json", new Card("Old GPU"), [64]));
  const onGreat = await tuned(new Card(), other);
  assert.equal(onGreat.tuning.tuning, OTHER);
  assert.match(onGreat.warnings.join(), /other\.json was made on Old GPU: its choices may be slower/);
  const driver = await tuningPlan(await written("driver.json", new Card("Great GPU", { driver: "0.9" }), [64]));
  assert.match((await tuned(new Card(), driver)).warnings.join(), /for another network, driver or version/);
});

test("quads need a feature of the card", async () => {
  const [first] = await readTuningFile(await written("quads.json", new Card(), [64]));
  const plan: TuningPlan = { how: "file", file: "f", entries: [{ ...first!, tuning: FAST }] };
  const { tuning } = await tuned(new Card("Great GPU", { subgroups: false }), plan);
  assert.equal(tuning.tuning, { ...FAST, exchange: "workgroup" });
});

test("a bad file is a typed error that names it and the part", async () => {
  const file = join(dir, "bad.json");
  const good = JSON.stringify({ tuning: 1, entries: [await entryJson()] });
  const cases: readonly (readonly [string, RegExp])[] = [
    ["", /choices of sparse kernels/],
    ['{"tuning": 1, "entries": []}', /at least one/],
    ['{"entries": []}', /tuning/],
    [good.replace('"tuning":1', '"tuning":9'), /format 1/],
    [good.replace('"panels":2', '"panels":"2"'), /panels/],
    [good.replace('"window":1024', '"window":0.5'), /window/],
    [good.replace('"key":"', '"key":"x'), /key/],
    [good.replace('"lanes":64', '"lanes":0'), /lanes/],
    [good.replace('"trials":[]', '"trials":[{"kernel":"gemm"}]'), /trials\.0/],
    [good.replace('"version"', '"fast":1,"version"'), /fast/],
  ];
  for (const [text, expected] of cases) {
    await writeFile(file, text);
    const error = await tuningPlan(file).catch((e: unknown) => e);
    assert.instance(error, FileFormatError, text);
    assert.match((error as Error).message, /bad\.json.*expected/, text);
    assert.match((error as Error).message, expected, text);
  }
  await writeFile(file, good);
  assert.is((await tuningPlan(file)).how, "file");
  assert.instance(await tuningPlan(join(dir, "none.json")).catch((e: unknown) => e), FileFormatError);
});

async function entryJson(): Promise<object> {
  const [own] = JSON.parse(await readFile(await written("entry.json", new Card(), [64]), "utf8")).entries;
  return own;
}

function recordOf(adapter: string): RunTuning {
  return { source: "trial", key: "1".repeat(64), tuning: OTHER, adapter, lanes: 64, regroup: true };
}

test("a resumed run has its own choices, whatever is remembered; on another card those that group sums", async () => {
  freshCache("resumed");
  await tuned(new Card(), { how: "auto" });
  const tuner = new FakeTuner();
  const same = await tuned(new Card(), { how: "run", recorded: recordOf("Great GPU") }, { tuner });
  assert.equal(same.tuning, recordOf("Great GPU"));
  assert.match(same.text, /as the run began$/);
  const moved = await tuned(new Card(), { how: "run", recorded: recordOf("Old GPU") }, { tuner });
  assert.equal(moved.tuning.tuning, { ...SPARSE_TUNING, limits: OTHER.limits, gradPanels: OTHER.gradPanels });
  assert.equal([moved.tuning.adapter, moved.tuning.regroup], ["Great GPU", true]);
  const early = await tuned(new Card(), { how: "run", recorded: null }, { tuner });
  assert.equal([early.tuning.source, early.tuning.tuning], ["default", SPARSE_TUNING]);
  assert.is(tuner.trials, 0);
});

test("a record comes back from JSON; another one is refused by name", () => {
  const record = { ...recordOf("Great GPU"), tuning: SPARSE_TUNING };
  const json = JSON.parse(JSON.stringify(runTuningJson(record)));
  assert.equal(runTuningOf("config.json", json), record);
  for (const wrong of [{ source: "hearsay" }, { tuning: { ...tuningJson(FAST), panels: 5 } }, { adapter: 1 }]) {
    assert.throws(() => runTuningOf("config.json", { ...json, ...wrong }), /config\.json.*expected/);
  }
});

test("programs cannot give choices to the CPU, nor tune it", async () => {
  const refusalOf = (asked: Promise<unknown>) => asked.then(() => null).catch((error: unknown) => error);
  const given = await refusalOf(createBackend({ device: "wasm", sparseTuning: { panels: 8 } }));
  assert.instance(given, ArgumentError);
  assert.is((given as ArgumentError).facts.argument, "sparseTuning");
  await using cpu = await createBackend({ device: "wasm", threads: 1, sparseTuning: {} });
  const tried = await refusalOf(tuneSparse(cpu, CSR, { lanes: 8 }));
  assert.instance(tried, ArgumentError);
  assert.match((tried as ArgumentError).message, /tuneSparse: expected one of WebGPU, got wasm f32/);
});

test("the CPU has no such choices: a file, or again, is mentioned", async () => {
  const cpu = { name: "wasm", description: "wasm f32, 1 thread" } as unknown as Backend;
  const ask = async (plan: TuningPlan): Promise<string[]> => {
    const warnings: string[] = [];
    const subject = { csr: CSR, lanes: 16, warn: (text: string) => warnings.push(text) };
    assert.is(await tuneDevice(cpu, plan, subject), null);
    return warnings;
  };
  assert.equal(await ask({ how: "auto" }), []);
  assert.equal(await ask({ how: "off" }), []);
  assert.equal(await ask({ how: "run", recorded: recordOf("Great GPU") }), []);
  assert.match((await ask({ how: "again" })).join(), /--tune again has no effect, as the device is wasm f32/);
  assert.match((await ask({ how: "file", file: "a.json", entries: [] })).join(), /--tune a\.json has no effect/);
});

test("choices are remembered where the system keeps such files", () => {
  const at = (env: Record<string, string>, platform: string) => tuningCacheFile(env, platform, "/home/ann");
  assert.is(at({}, "linux"), join("/home/ann", ".cache", "axograd", "tuning.json"));
  assert.is(at({ XDG_CACHE_HOME: "/scratch" }, "linux"), join("/scratch", "axograd", "tuning.json"));
  assert.is(at({ XDG_CACHE_HOME: "relative" }, "linux"), join("/home/ann", ".cache", "axograd", "tuning.json"));
  assert.is(at({}, "darwin"), join("/home/ann", "Library", "Caches", "axograd", "tuning.json"));
  assert.is(at({ LOCALAPPDATA: "/local" }, "win32"), join("/local", "axograd", "tuning.json"));
});

test.run();
