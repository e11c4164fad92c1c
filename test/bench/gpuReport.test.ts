// The report on a GPU: what happens to a part that hangs, crashes or has no time, what is on disk meanwhile, and what the table says.

import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, sep } from "node:path";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { csrFromCoo } from "../../src/core/csr.ts";
import { tempDir } from "../io/fixtures.ts";
import { requireTestAdapter } from "../support/softwareAdapter.ts";

const KIT = new URL("../../../scripts/gpu-report/", import.meta.url);
const load = (name: string) => import(new URL(name, KIT).href);

const { Record, appendRow, readRows } = await load("record.mjs");
const { runParts } = await load("run.mjs");
const { findings } = await load("findings.mjs");
const { tablesOf } = await load("tables.mjs");
const { markdownOf, textOf } = await load("write.mjs");
const { optionsOf, UsageError } = await load("options.mjs");
const { plannedParts } = await load("parts.mjs");
const { withClocks } = await load("clock.mjs");
const { addressOf, G, X } = await load("sparseProducts.mjs");
const { errorsOverBounds, sameBits, sameSamples } = await load("sparseCheck.mjs");

const test = suite("gpu-report");
const adapter = await requireTestAdapter();

/** A part that is a script. */
function part(title: string, script: string, limitS = 60): object {
  return { part: title, title, limitS, command: () => [process.execPath, "--input-type=module", "-e", script] };
}

function beginReport(planned: readonly string[]): { file: string; record: typeof Record } {
  const file = join(tempDir(), "report.json");
  return { file, record: new Record(file, { date: "2026-01-01", planned, options: { parts: planned } }) };
}

/** Whether somebody still appends to a file, as the child below does every 20 ms. */
async function isGrowing(file: string): Promise<boolean> {
  const before = readFileSync(file).length;
  await setTimeout(500);
  return readFileSync(file).length > before;
}

/** Test files, by name, that import a file of the tests, directly or not. */
function filesReaching(target: string): string[] {
  const tests = fileURLToPath(new URL("../../../test/", import.meta.url));
  const names = readdirSync(tests, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts"));
  const imports = new Map(
    names.map((name) => {
      const found = readFileSync(join(tests, name), "utf8").matchAll(/(?:from|import) "(\.[^"]+)"/g);
      return [join(tests, name), [...found].map(([, path]) => join(tests, dirname(name), path!))];
    }),
  );
  const reaches = (file: string, seen: Set<string>): boolean => {
    if (seen.has(file)) return false;
    seen.add(file);
    return file === join(tests, target) || (imports.get(file) ?? []).some((next) => reaches(next, seen));
  };
  return names
    .filter((name) => name.endsWith(".test.ts") && reaches(join(tests, name), new Set()))
    .map((name) => name.replaceAll(sep, "/").replace(/\.test\.ts$/, ""))
    .sort();
}

test("a part that hangs, crashes, fails or breaks off in a row is reported, and the others run", async () => {
  const { file, record } = beginReport(["good", "hangs", "crashes", "fails", "breaks off", "reads"]);
  const beats = join(dirname(file), "beats");
  const beat = `setInterval(() => require("node:fs").appendFileSync(${JSON.stringify(beats)}, "."), 20);`;
  const spawnsAndHangs = `import { spawn } from "node:child_process";
    spawn(process.execPath, ["-e", ${JSON.stringify(beat)}]); setInterval(() => {}, 1000);`;
  const append = `import { appendFileSync, readFileSync } from "node:fs"; const rows = ${JSON.stringify(record.rowsFile)};`;
  const parts = [
    part("good", `${append} appendFileSync(rows, '{"part":"good","name":"one","value":1}\\n');`),
    part("hangs", spawnsAndHangs, 2),
    part("crashes", "process.abort()"),
    part("fails", "process.exit(3)"),
    part(
      "breaks off",
      `${append} appendFileSync(rows, '{"part":"breaks off","na'); process.kill(process.pid, "SIGKILL");`,
    ),
    // What is on disk is whole while parts run: this one has the file of all before it.
    part(
      "reads",
      `${append} const { parts } = JSON.parse(readFileSync(${JSON.stringify(file)}, "utf8"));
      appendFileSync(rows, JSON.stringify({ part: "reads", name: "seen", count: parts.length }) + "\\n");`,
    ),
  ];
  await runParts(parts, record, 100);
  const { parts: ended, rows } = JSON.parse(readFileSync(file, "utf8"));
  assert.equal(
    ended.map(({ title, outcome }: { title: string; outcome: string }) => `${title}: ${outcome}`),
    [
      "good: done",
      "hangs: cut after 2 s",
      "crashes: ended by SIGABRT",
      "fails: failed (exit code 3)",
      "breaks off: ended by SIGKILL",
      "reads: done",
    ],
  );
  assert.is(rows.find(({ name }: { name: string }) => name === "one").value, 1);
  assert.is(rows.find(({ name }: { name: string }) => name === "seen").count, 5);
  assert.match(rows.find(({ name }: { name: string }) => name === "damaged row").error, /"breaks off","na/);
  assert.not.ok(await isGrowing(beats), "what a part started ends with it");

  const found = findings([record.read()]);
  const text = textOf(tablesOf(found));
  for (const line of [
    /hangs\s+cut after 2 s/,
    /crashes\s+ended by SIGABRT/,
    /fails\s+failed/,
    /breaks off\s+ended by/,
  ]) {
    assert.match(text, line);
  }
  assert.match(markdownOf(tablesOf(found)), /\| hangs \| cut after 2 s \|/);
});

test("what there is no time for is named, and so is what was not ended or not asked for", async () => {
  const { record } = beginReport(["late", "never"]);
  await runParts([part("late", "process.exit(1)")], record, 1);
  const { missing } = findings([record.read()]);
  const why = (title: string): string => missing.find(({ what }: { what: string }) => what === title)?.why;
  assert.is(why("late"), "not reached: no time left");
  assert.is(why("never"), "not ended");
  assert.is(why("conformance"), "not asked for");
});

test("rows are found by their question", () => {
  const file = join(tempDir(), "rows");
  const kernels = [{ kernel: "attempt: spmm", ms: 3, runs: 48 }];
  const plan = { attempts: 8, attemptsStored: 2 };
  const clocks = { clockBefore: "1980 MHz", clockAfter: "1965 MHz" };
  for (const row of [
    { part: "machine", name: "adapter", adapter: "Voodoo 2", driver: "1.0", isSoftware: false },
    {
      part: "products",
      name: "right",
      batch: 8,
      passed: false,
      errorOverBound: 3,
      sameTwice: true,
      sameInBatches: false,
    },
    { part: "products", name: "right", batch: 64, passed: false, errorOverBound: Number.NaN },
    { part: "train", name: "train", passed: false, difference: Number.NaN },
    { part: "machine", name: "nvidia-smi", when: "at rest", query: "name,clocks.sm", text: "Voodoo 2, 345 MHz" },
    { part: "conformance", name: "a.test.js", passed: true, count: 3, failed: 0, skipped: 0, failures: [] },
    {
      part: "conformance",
      name: "b.test.js",
      passed: false,
      count: 150,
      failed: 0,
      skipped: 0,
      problem: "timed out after 9 s",
      failures: [],
    },
    {
      part: "conformance",
      name: "c.test.js",
      passed: false,
      count: 2,
      failed: 1,
      skipped: 0,
      failures: ["tanh of NaN"],
    },
    { part: "products", name: "time", batch: 8, product: "forward product", wallUs: 90, wallTflops: 1 },
    { part: "products", name: "time", batch: 8, product: "forward product", deviceUs: 80, tflops: 1.1 },
    { part: "start", name: "cold start", batch: 8, firstMs: 5000, laterMs: [30, 50, 40], pipelines: 100 },
    { part: "step", name: "training step", batch: 8, medianMs: 12, pipelinedMs: 10, firstMs: 1000, plan, ...clocks },
    { part: "step", name: "time by kernel", batch: 8, deviceMs: 9, kernels },
    { part: "discrete", name: "discrete", batch: 4, lightCone: true, medianMs: 6.73, connectionsRead: 17, memory: {} },
    {
      part: "timeline",
      name: "timeline",
      batch: 8,
      stepMs: 10,
      submits: 3,
      firstSubmitMs: 0.5,
      lastSubmitMs: 4,
      waitMs: 6,
    },
    { part: "peers", group: "step_seed", name: "seed", batch: 8, ms: 300 },
    { part: "peers", group: "cusparse", name: "slow", batch: 8, ms: 0.2 },
    { part: "peers", group: "cusparse", name: "fast", batch: 8, ms: 0.04 },
    { part: "peers", group: "jax", name: "jax", batch: 8, skipped: "no JAX" },
  ]) {
    appendRow(file, row);
  }
  const found = findings([{ planned: [], parts: [], options: { parts: [] }, rows: readRows(file) }]);
  const [it] = found.batches;
  assert.equal(it.forward, { us: 80, tflops: 1.1 }, "the device's own time where there is one");
  assert.equal([it.deviceMs, it.recomputed, it.coldMs, it.coldFirstMs, it.warmFirstMs], [9, 6, 40, 5000, 1000]);
  const text = textOf(tablesOf(found));
  assert.match(text, /Voodoo 2/);
  assert.match(text, /batch 8\s+WRONG\s+error 300 % of its bound, same bits twice: yes, in any batch: no/);
  assert.match(text, /batch 64\s+WRONG\s+error no number/);
  assert.match(text, /train\s+WRONG\s+largest difference of a loss no number/);
  assert.match(text, /a\.test\.js\s+ok\s+3 passed, 0 failed\n/);
  assert.match(text, /b\.test\.js\s+NOT ENDED\s+150 passed, 0 failed, timed out after 9 s\n/);
  assert.match(text, /c\.test\.js\s+WRONG\s+2 passed, 1 failed\n/);
  assert.match(text, /c\.test\.js\s+tanh of NaN\n/);
  assert.match(text, /when\s+name,clocks\.sm\n\s+at rest\s+Voodoo 2, 345 MHz\n/);
  assert.match(text, /1980 MHz, 1965 MHz\n/);
  assert.match(text, /re-written\)\s+300 \(30\.00\)/);
  assert.match(text, /cuSPARSE, its best algorithm\s+0\.04 \(0\.50\)/);
  assert.match(text, /jax: batch 8\s+no JAX/);
  assert.match(text, /\n\s+4\s+yes\s+6\.73\s+17\s+-\n/);
  assert.match(text, /\n\s+8\s+10\s+0\.5\s+4\s+3\s+6\n/);
});

test("files of the first run are read as well", () => {
  const step = { batch: 8, medianMs: 50, pipelinedMs: 60, firstMs: 5000, pipelines: 115 };
  const found = findings([
    {
      adapter: { name: "NVIDIA H200", driver: "580", isSoftware: false },
      check: { passed: true },
      training: { error: null, difference: 1e-7 },
      networks: [
        { rows: [{ batch: 8, work: "forward spmm", error: null, wallMs: 0.08, deviceMs: 0.065, tflops: 1.13 }] },
      ],
    },
    {
      done: [],
      rows: [
        { section: "step 8", name: "step", ...step },
        { section: "step 8, second process", name: "step", ...step, medianMs: 15, firstMs: 1400 },
        { section: "step 64", name: "failed", error: "no" },
        { section: "variants", name: "spmm", batch: 8, error: 1e-7, ms: 1 },
      ],
    },
    {
      environment: {},
      rows: [{ part: "spmm", name: "torch", batch: 8, error: 2e-7, ms: 0.2 }],
      skipped: [{ part: "jax", name: "BCSR", batch: 8, why: "time limit" }],
    },
  ]);
  const [it] = found.batches;
  assert.equal([it.wallMs, it.coldFirstMs, it.warmFirstMs, it.forward.us], [15, 5000, 1400, 80]);
  assert.equal(it.peers.length, 1);
  assert.equal(
    found.missing.map(({ why }: { why: string }) => why),
    ["no", "time limit"],
  );
});

test("a wrong element, and a number that is none, exceed their bounds", () => {
  const n = 40;
  const batch = 4;
  const layout = { panel: 4, panels: 1 };
  const rows = Array.from({ length: 200 }, (_, k) => (k * 7) % n);
  const cols = Array.from({ length: 200 }, (_, k) => (k * 7 + (k % 13) * 3) % n);
  const csr = csrFromCoo({ nRows: n, nCols: n, rows, cols, values: rows.map((_, k) => 1 + (k % 5)) });
  const y = new Float32Array(n * batch);
  const ct = new Float32Array(n * batch);
  const byColumn: { col: number; row: number; sum: number }[] = [];
  for (let row = 0; row < n; row++) {
    for (let k = csr.rowPtr[row]!; k < csr.rowPtr[row + 1]!; k++) {
      const col = csr.colIdx[k]!;
      let sum = 0;
      for (let sample = 0; sample < batch; sample++) {
        y[addressOf(n, row, sample, layout)]! += csr.values[k]! * X(col, sample);
        ct[addressOf(n, col, sample, layout)]! += csr.values[k]! * G(row, sample);
        sum += G(row, sample) * X(col, sample);
      }
      byColumn.push({ col, row, sum });
    }
  }
  byColumn.sort((a, b) => a.col - b.col || a.row - b.row);
  const grad = Float32Array.from(byColumn, ({ sum }) => sum);
  const right = { layout, y, ct, grad };
  for (const error of Object.values(errorsOverBounds(csr, batch, right))) assert.ok((error as number) <= 1);
  for (const name of ["y", "ct", "grad"] as const) {
    for (const wrong of [right[name].map((x) => x * (1 + 1e-4) + 1e-4), right[name].map(() => Number.NaN)]) {
      assert.not.ok(errorsOverBounds(csr, batch, { ...right, [name]: wrong })[name] <= 1, name);
    }
  }
});

test("bits are compared by sample whatever the layout, and a difference is found", () => {
  const n = 5;
  const wide = { batch: 6, layout: { panel: 8, panels: 1 }, values: new Float32Array(n * 8) };
  const narrow = { batch: 3, layout: { panel: 4, panels: 1 }, values: new Float32Array(n * 4) };
  for (const { batch, layout, values } of [wide, narrow]) {
    for (let row = 0; row < n; row++) {
      for (let sample = 0; sample < batch; sample++) values[addressOf(n, row, sample, layout)] = 10 * row + sample;
    }
  }
  assert.ok(sameSamples(n, wide, narrow));
  narrow.values[addressOf(n, 4, 2, narrow.layout)]! += 1;
  assert.not.ok(sameSamples(n, wide, narrow));
  assert.ok(sameBits(wide.values, wide.values.slice()));
  assert.not.ok(sameBits(Float32Array.of(0), Float32Array.of(-0)));
});

test("the device is at work while its clock is read, before and after", async () => {
  const order: string[] = [];
  const device = { finish: async () => {} };
  const facts = await withClocks(
    device,
    () => order.push("run"),
    async () => {
      order.push("measure");
      return { us: 5 };
    },
  );
  assert.is(facts.us, 5);
  // Null where there is no nvidia-smi.
  for (const clock of [facts.clockBefore, facts.clockAfter]) assert.ok(clock === null || /\d/.test(clock), `${clock}`);
  const at = order.indexOf("measure");
  assert.ok(at > 0 && at < order.length - 1, order.join(" "));
  assert.is(
    await withClocks(
      device,
      () => {},
      async () => null,
    ),
    null,
  );
});

test("options that make no sense are refused by name", () => {
  for (const [args, message] of [
    [["--parts", "stpe"], /--parts: expected some of machine, .*, got stpe/],
    [["--budget", "0"], /--budget: expected a whole number ≥ 1, got 0/],
    [["--neurons", "5"], /--neurons and --connections go together/],
    [["--frobnicate"], /frobnicate/],
  ] as const) {
    assert.throws(
      () => optionsOf(args),
      (error: Error) => error instanceof UsageError && message.test(error.message),
    );
  }
  const options = optionsOf(["--quick", "--parts", "machine,step"]);
  const planned = plannedParts(options, tempDir(), "rows");
  assert.equal(
    planned.map(({ title }: { title: string }) => title),
    [
      "machine",
      "equal adapters",
      "network",
      "training step, batch 8",
      "training step, batch 64",
      "training step, batch 256",
      "clocks after the steps",
    ],
    "the network is made where a part needs it",
  );
});

test("the conformance part has every test file that opens a device, or says why not", async () => {
  const { FILES, LEFT_OUT } = await load("parts/conformance.mjs");
  const listed = [...FILES.map((file: string) => file.replace(/\.test\.js$/, "")), ...Object.keys(LEFT_OUT)];
  const opening = filesReaching("support/softwareAdapter.ts");
  assert.equal(listed.toSorted(), opening);
  assert.ok(opening.includes("backend/webgpu") && !opening.includes("backend/wasm"));
});

test("tests of the conformance part are named when they fail, in each of their suites", async () => {
  const { FILES } = await load("parts/conformance.mjs");
  const sourceOf = (name: string): string =>
    readFileSync(fileURLToPath(new URL(`../../../test/${name}`, import.meta.url)), "utf8");
  const named = (source: string): boolean =>
    !/\bsuite\b[^;]*\} from "uvu"/.test(source) && /(suite|onWebGpu)\.ts"/.test(source);
  assert.not.ok(named('import { suite, type Test } from "uvu";'));
  for (const file of [...FILES.map((name: string) => name.replace(/js$/, "ts")), "support/backends.ts"])
    assert.ok(named(sourceOf(file)), `${file}: suites of support/suite.ts`);
});

if (adapter) {
  test("on an adapter: products are right, and the file says so", () => {
    const out = join(tempDir(), "report.json");
    const sizes = ["--neurons", "60", "--connections", "500", "--batches", "3,20"];
    // SwiftShader as the tests unpack it: its loader lies beside its manifest.
    const manifest = process.env.VK_ICD_FILENAMES;
    const libraries = manifest === undefined ? {} : { LD_LIBRARY_PATH: dirname(manifest) };
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      [fileURLToPath(new URL("report.mjs", KIT)), "--quick", "--parts", "machine,products", ...sizes, "--out", out],
      { encoding: "utf8", env: { ...process.env, ...libraries } },
    );
    assert.is(status, 0, stdout + stderr);
    const { rows, parts } = JSON.parse(readFileSync(out, "utf8"));
    assert.ok(parts.length > 0 && parts.every(({ outcome }: { outcome: string }) => outcome === "done"));
    const verdicts = rows.filter(({ name }: { name: string }) => name === "right");
    assert.equal(
      verdicts.map(({ batch, passed }: { batch: number; passed: boolean }) => [batch, passed]),
      [
        [3, true],
        [20, true],
      ],
    );
    assert.ok(existsSync(`${out}.rows`));
    assert.match(stdout, /products at full size, batch 20\s+ok/);
  });
}

test.run();
