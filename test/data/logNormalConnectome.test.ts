import { suite } from "uvu";
import * as assert from "uvu/assert";
import { logNormalConnectome } from "../../src/data/logNormalConnectome.ts";
import { fails } from "../io/fixtures.ts";

const test = suite("logNormalConnectome");

test("the same seed gives the same matrix, another seed another one", () => {
  const options = { neurons: 200, connections: 3000, seed: 1 } as const;
  assert.equal(logNormalConnectome(options), logNormalConnectome(options));
  assert.not.equal(logNormalConnectome({ ...options, seed: 2 }).colIdx, logNormalConnectome(options).colIdx);
});

test("it has exactly the connections asked for, distinct, positive, within a quarter of the neurons per row", () => {
  const csr = logNormalConnectome({ neurons: 500, connections: 20_000, seed: 3 });
  assert.is(csr.nnz, 20_000);
  assert.is(csr.duplicatesSummed, 0);
  assert.ok(csr.values.every((w) => w > 0));
  for (let i = 0; i < csr.nRows; i++) {
    assert.ok(csr.rowPtr[i + 1]! - csr.rowPtr[i]! <= 125);
    for (let k = csr.rowPtr[i]! + 1; k < csr.rowPtr[i + 1]!; k++) assert.ok(csr.colIdx[k]! > csr.colIdx[k - 1]!);
  }
});

test("a full matrix, an empty one and the smallest one can be made", () => {
  assert.is(logNormalConnectome({ neurons: 40, connections: 400, seed: 1 }).nnz, 400);
  assert.is(logNormalConnectome({ neurons: 40, connections: 0, seed: 1 }).nnz, 0);
  assert.is(logNormalConnectome({ neurons: 4, connections: 4, seed: 1 }).nnz, 4);
});

test("degrees and weights are as skewed as their spreads say", () => {
  const neurons = 20_000;
  const csr = logNormalConnectome({ neurons, connections: 50 * neurons, seed: 4 });
  const inDegrees = Float64Array.from({ length: neurons }, (_, i) => csr.rowPtr[i + 1]! - csr.rowPtr[i]!).sort();
  // Median over mean of a log-normal is exp(−σ²/2) = 0.607; its standard error here is below 1 %.
  assert.ok(Math.abs(inDegrees[neurons / 2]! / 50 - 0.607) < 0.03);
  const outDegrees = new Float64Array(neurons);
  for (const column of csr.colIdx) outDegrees[column]!++;
  assert.ok(Math.abs(outDegrees.sort()[neurons / 2]! / 50 - 0.607) < 0.05);
  const logs = Float64Array.from(csr.values, Math.log);
  const mean = logs.reduce((a, b) => a + b) / logs.length;
  const deviation = Math.sqrt(logs.reduce((sum, x) => sum + (x - mean) ** 2, 0) / logs.length);
  assert.ok(Math.abs(mean) < 0.003 && Math.abs(deviation - 0.5) < 0.003);
});

test("without spread the rows are equal and the columns uniform", () => {
  const csr = logNormalConnectome({ neurons: 1000, connections: 50_000, seed: 5, sigmaIn: 0, sigmaOut: 0 });
  for (let i = 0; i < 1000; i++) assert.is(csr.rowPtr[i + 1]! - csr.rowPtr[i]!, 50);
  const outDegrees = new Float64Array(1000);
  for (const column of csr.colIdx) outDegrees[column]!++;
  // 50 ± 7; six standard deviations for the largest of a thousand.
  assert.ok(outDegrees.every((degree) => Math.abs(degree - 50) < 43));
});

test("counts and spreads out of range are refused", async () => {
  const good = { neurons: 100, connections: 100, seed: 1 } as const;
  await fails(() => logNormalConnectome({ ...good, neurons: 3 }), "argument", /neurons/);
  await fails(() => logNormalConnectome({ ...good, connections: 2501 }), "argument", /0 to 2500, got 2501/);
  await fails(() => logNormalConnectome({ ...good, seed: -1 }), "argument", /seed/);
  await fails(() => logNormalConnectome({ ...good, sigmaOut: 4 }), "argument", /sigmaOut/);
});

test.run();
