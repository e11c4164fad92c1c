// The benchmarks run end to end; no test looks at how fast anything is.

import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { fitsOf } from "../../bench/report/fits.ts";
import { reportTable, summaryTable } from "../../bench/report/markdown.ts";
import { type Report, type Row, SUITES } from "../../bench/row.ts";

const test = suite("benchmarks");

const run = promisify(execFile);
const RUN = fileURLToPath(new URL("../../bench/run.js", import.meta.url));
const TABLE = fileURLToPath(new URL("../../bench/table.js", import.meta.url));

let folder = "";
let file = "";
let report: Report;

test.before(async () => {
  folder = mkdtempSync(join(tmpdir(), "axograd-bench-test-"));
  file = join(folder, "run.json");
  const options = ["--quick", "--sizes", "tiny", "--batch", "4,20", "--threads", "1,2", "--no-peers"];
  await run(process.execPath, [RUN, ...options, "--profile", "--json", file]);
  report = JSON.parse(readFileSync(file, "utf8")) as Report;
});

test.after(() => rmSync(folder, { recursive: true, force: true }));

test("every suite writes rows for every batch and thread count, and nothing is refused", () => {
  assert.equal(report.refused, []);
  assert.equal(new Set(report.rows.map((row) => row.suite)), new Set(SUITES));
  for (const op of [
    "spmm",
    "spmmT+grad",
    "gemm",
    "gemmT+grad",
    "reduceRows",
    "reduceLanes",
    "rhs",
    "solve",
    "step",
    "discrete",
  ]) {
    const shapes = rowsOf(op).map(({ dims, threads }) => `${dims.batch} on ${threads}`);
    assert.equal(new Set(shapes), new Set(["4 on 1", "20 on 1", "4 on 2", "20 on 2"]), op);
  }
  for (const op of ["adam", "csr.refresh"]) assert.is(rowsOf(op).length, 2, op);
  assert.is(rowsOf("startup").length, 2);
  for (const part of ["forward", "backward", "readout", "optimiser", "host"]) {
    assert.is(rowsOf(`step.${part}`).length, 4, part);
    assert.is(rowsOf(`discrete.${part}`).length, 4, part);
  }
});

test("rows hold times, work by formula, and where they come from", () => {
  for (const row of report.rows) {
    assert.ok(row.minS > 0 && row.medianS >= row.minS, `${row.op}: times`);
    assert.ok(row.samples >= 1 && row.node === process.version && row.cpu !== "", `${row.op}: facts`);
    assert.equal([row.dims.neurons, row.dims.connections], [500, 10_000]);
    if (row.gflops !== null) assert.ok(row.gflops > 0 && row.gbps! > 0 && row.fractionOfRoofline! > 0, row.op);
  }
  const { gflops, medianS, bytes } = rowsOf("spmm").find((row) => row.dims.batch === 4)!;
  // 2·nnz·lanes FLOP; values, 16-bit indices and row starts in order, a row of X per entry, and Y.
  assert.ok(Math.abs((gflops! * 1e9 * medianS) / (2 * 10_000 * 4) - 1) < 1e-9);
  assert.is(bytes, 10_000 * (4 + 2) + 4 * 500 + 10_000 * 4 * 4 + 500 * 4 * 4);
  for (const row of rowsOf("step")) {
    assert.ok(row.maxRssBytes! > 2 ** 20, "peak memory");
    assert.ok(row.rhsEvaluations! > 10, "right-hand sides");
  }
  for (const row of rowsOf("discrete")) {
    assert.ok(row.maxRssBytes! > 2 ** 20, "peak memory");
    assert.is(row.rhsEvaluations, 8 * Math.ceil(row.dims.batch / 16), "updates, chunk by chunk");
  }
});

test("profiles: one per suite of steps, batch and thread count, and each adds up", () => {
  const profiles = report.profiles!;
  assert.equal(
    profiles.map(({ suite, network, batch, threads }) => `${suite} ${network} ${batch} on ${threads}`),
    ["step", "discrete"].flatMap((name) => [1, 2].flatMap((n) => [4, 20].map((b) => `${name} tiny ${b} on ${n}`))),
  );
  for (const { ms, rows } of profiles) {
    assert.ok(Math.abs(rows.reduce((sum, row) => sum + row.ms, 0) - ms) < 1e-9 * ms);
  }
});

test("exponents are fitted to three points or more, against connections only where the work is per connection", () => {
  assert.equal(report.fits, []);
  const [base] = rowsOf("spmm");
  const grown = (op: string, connections: number): Row => ({
    ...base!,
    op,
    network: `${connections}`,
    dims: { ...base!.dims, connections },
    medianS: 1e-9 * connections ** 1.25,
  });
  const rows = [10, 100, 1000].flatMap((connections) => [grown("spmm", connections), grown("gemm", connections)]);
  const [fit, ...others] = fitsOf(rows);
  assert.equal(others, []);
  assert.ok(Math.abs(fit!.exponent - 1.25) < 1e-9);
  assert.equal([fit!.op, fit!.against, fit!.points], ["spmm", "connections", 3]);
});

test("measured rates are positive, one roofline per thread count", () => {
  assert.equal(
    report.rooflines.map((r) => r.threads),
    [1, 2],
  );
  for (const { flops, copy, levels } of report.rooflines) {
    assert.ok(flops > 0 && copy > 0);
    assert.equal(
      levels.map((level) => level.name),
      ["L2", "L3", "DRAM"],
    );
    assert.ok(levels.every((level) => level.bandwidth > 0 && level.bytes > 0));
  }
});

test("the table script prints the rows as Markdown", async () => {
  const { stdout } = await run(process.execPath, [TABLE, file]);
  assert.is(stdout.trimEnd(), reportTable(report));
  const lines = stdout.split("\n").filter((line) => line.startsWith("| "));
  const cells = lines.map((line) => line.split("|").length);
  assert.is(lines.length, report.rows.length + 2);
  assert.ok(cells.every((n) => n === cells[0]));
  const short = summaryTable(report);
  assert.match(short, /\| step \(\d+ rhs\) \| tiny \| 20 \| 2 \|/);
  assert.not.match(short, /step\.forward|pointwise/);
  // By its column: a measured number may be 1, too.
  const rows = short.split("\n").filter((line) => /^\| .*\d/.test(line));
  assert.ok(rows.length > 0 && rows.every((row) => row.split("|")[4]!.trim() !== "1"), short);
});

test("unknown options end with code 2 and a hint", async () => {
  const failed = await run(process.execPath, [RUN, "--suite", "kernel"]).catch((error: unknown) => error);
  assert.is((failed as { code: number }).code, 2);
  assert.match((failed as { stderr: string }).stderr, "kernels?");
});

function rowsOf(op: string): Row[] {
  return report.rows.filter((row) => row.op === op);
}

test.run();
