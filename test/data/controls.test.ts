import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type Csr, csrFromCoo } from "../../src/core/csr.ts";
import { keyOfSeed, RandomStream } from "../../src/core/random.ts";
import { degreePreservingShuffle } from "../../src/data/degreePreservingShuffle.ts";
import { distanceDecay } from "../../src/data/distanceDecay.ts";
import { erdosRenyi, erdosRenyiLike } from "../../src/data/erdosRenyi.ts";
import { logNormalConnectome } from "../../src/data/logNormalConnectome.ts";
import { smallWorld } from "../../src/data/smallWorld.ts";
import { fails } from "../io/fixtures.ts";
import { note } from "../support/note.ts";
import { forEachEntry, inDegrees, outDegrees, pairsOf, weightsOf } from "./generators.ts";

const test = suite("controls");

/** A random matrix with some self loops and weights that are all different. */
function randomMatrix(seed: number): Csr {
  const stream = new RandomStream(keyOfSeed(seed));
  const n = 2 + stream.below(30);
  const nnz = stream.below(n * n);
  const index = (): number => stream.below(n);
  const values = Float64Array.from({ length: nnz }, () => stream.normal());
  return csrFromCoo({ nRows: n, nCols: n, rows: Array.from(values, index), cols: Array.from(values, index), values });
}

const diagonal = (csr: Csr): string => {
  const parts: string[] = [];
  forEachEntry(csr, (i, j, w) => {
    if (i === j) parts.push(`${i}:${w}`);
  });
  return parts.join();
};

test("a shuffle keeps all degrees, the diagonal, and the weights of each source or target", () => {
  for (let seed = 0; seed < 60; seed++) {
    const csr = randomMatrix(seed);
    for (const keep of ["source", "target"] as const) {
      const shuffled = degreePreservingShuffle(csr, { keep, seed });
      assert.equal(inDegrees(shuffled), inDegrees(csr), `seed ${seed}`);
      assert.equal(outDegrees(shuffled), outDegrees(csr), `seed ${seed}`);
      assert.is(shuffled.duplicatesSummed, 0);
      assert.is(diagonal(shuffled), diagonal(csr));
      const by = keep === "source" ? "column" : "row";
      assert.equal(weightsOf(shuffled, by), weightsOf(csr, by), `seed ${seed}`);
    }
  }
});

test("a shuffle leaves no more common pairs than chance, and repeats with its seed", () => {
  const csr = logNormalConnectome({ neurons: 1000, connections: 20_000, seed: 1, sigmaIn: 0, sigmaOut: 0 });
  const shuffled = degreePreservingShuffle(csr, { seed: 1 });
  assert.equal(degreePreservingShuffle(csr, { seed: 1 }), shuffled);
  assert.not.equal(degreePreservingShuffle(csr, { seed: 2 }).colIdx, shuffled.colIdx);
  const before = pairsOf(csr);
  const common = [...pairsOf(shuffled)].filter((pair) => before.has(pair)).length;
  // A pair is drawn with probability 2 %; the self loops, 20 or so, stay.
  assert.ok(common < 0.03 * csr.nnz, `${common} of ${csr.nnz}`);
});

test("all matrices with the given degrees are equally likely", () => {
  // Four neurons, each with one input and one output, no self loops: the 9 derangements.
  const csr = csrFromCoo({ nRows: 4, nCols: 4, rows: [0, 1, 2, 3], cols: [1, 0, 3, 2], values: [1, 1, 1, 1] });
  const counts = new Map<string, number>();
  for (let seed = 0; seed < 4500; seed++) {
    const found = degreePreservingShuffle(csr, { seed }).colIdx.join();
    counts.set(found, (counts.get(found) ?? 0) + 1);
  }
  assert.is(counts.size, 9);
  // 500 ± 21 each; chi-squared with 8 degrees of freedom is above 26 once in a thousand times.
  const chiSquared = [...counts.values()].reduce((sum, n) => sum + (n - 500) ** 2 / 500, 0);
  assert.ok(chiSquared < 26, `${chiSquared}`);
});

test("nothing happens without sweeps, and matrices that are not square are refused", async () => {
  const csr = randomMatrix(7);
  assert.equal(degreePreservingShuffle(csr, { sweeps: 0, seed: 1 }), { ...csr, duplicatesSummed: 0 });
  const wide = csrFromCoo({ nRows: 1, nCols: 2, rows: [0], cols: [1], values: [1] });
  await fails(() => degreePreservingShuffle(wide, { seed: 1 }), "argument", /1 × 2/);
  await fails(() => erdosRenyiLike(wide, { seed: 1 }), "argument", /1 × 2/);
});

test("a shuffle takes time in proportion to the connections", () => {
  const csr = logNormalConnectome({ neurons: 20_000, connections: 300_000, seed: 1 });
  const start = performance.now();
  degreePreservingShuffle(csr, { seed: 1 });
  const seconds = (performance.now() - start) / 1000;
  note(`degree-preserving shuffle: 300,000 connections, 20 sweeps in ${seconds.toFixed(2)} s`);
});

test("Erdős–Rényi has exactly the connections asked for, and all pairs are alike", () => {
  for (const [neurons, connections, selfLoops] of [
    [300, 9000, false],
    [40, 1600, true],
    [40, 1560, false],
    [1, 0, false],
  ] as const) {
    const csr = erdosRenyi({ neurons, connections, selfLoops, seed: 1 });
    assert.is(csr.nnz, connections);
    assert.is(csr.duplicatesSummed, 0);
    forEachEntry(csr, (i, j) => assert.ok(selfLoops || i !== j));
  }
  const csr = erdosRenyi({ neurons: 1000, connections: 50_000, seed: 2 });
  for (const degrees of [inDegrees(csr), outDegrees(csr)]) {
    const variance = degrees.reduce((sum, d) => sum + (d - 50) ** 2, 0) / 1000;
    // Binomial: 50 · 0.95, known to about 5 % from a thousand.
    assert.ok(Math.abs(variance / 47.5 - 1) < 0.25, `${variance}`);
  }
});

test("the control of equal density keeps size, connections and weights", () => {
  const csr = logNormalConnectome({ neurons: 200, connections: 3000, seed: 1 });
  const control = erdosRenyiLike(csr, { seed: 1 });
  assert.is(control.nnz, csr.nnz);
  assert.equal(control.values.slice().sort(), csr.values.slice().sort());
  assert.equal(erdosRenyiLike(csr, { seed: 1 }), control);
  assert.not.equal(inDegrees(control), inDegrees(csr));
});

test("too many connections are refused with the most that fit", async () => {
  await fails(() => erdosRenyi({ neurons: 5, connections: 21, seed: 1 }), "argument", /0 to 20, got 21/);
});

test("a small world without rewiring is a ring of nearest neighbours", () => {
  const csr = smallWorld({ neurons: 10, neighbours: 4, rewiring: 0, seed: 1 });
  const row = (i: number): string => csr.colIdx.slice(csr.rowPtr[i]!, csr.rowPtr[i + 1]!).join();
  assert.is(row(0), "1,2,8,9");
  assert.is(row(5), "3,4,6,7");
});

test("rewiring changes as many inputs as asked for and keeps in-degrees", () => {
  const ring = pairsOf(smallWorld({ neurons: 2000, neighbours: 10, rewiring: 0, seed: 1 }));
  const csr = smallWorld({ neurons: 2000, neighbours: 10, rewiring: 0.3, seed: 1 });
  assert.ok(inDegrees(csr).every((degree) => degree === 10));
  const kept = [...pairsOf(csr)].filter((pair) => ring.has(pair)).length;
  assert.ok(Math.abs(kept / 20_000 - 0.7) < 0.02, `${kept}`);
  forEachEntry(csr, (i, j) => assert.is.not(i, j));
});

test("small worlds that cannot be are refused", async () => {
  await fails(() => smallWorld({ neurons: 10, neighbours: 3, rewiring: 0, seed: 1 }), "argument", /even/);
  await fails(() => smallWorld({ neurons: 10, neighbours: 8, rewiring: 0, seed: 1 }), "argument", /up to 5/);
  await fails(() => smallWorld({ neurons: 10, neighbours: 4, rewiring: 2, seed: 1 }), "argument", /rewiring/);
});

test("the probability to connect decays with distance as told", () => {
  const stream = new RandomStream(keyOfSeed(5));
  const n = 1500;
  const positions = Float64Array.from({ length: 2 * n }, () => 10 * stream.uniform());
  const csr = distanceDecay({ positions, dimensions: 2, lengthConstant: 1.5, peakProbability: 0.8, seed: 1 });
  const distance = (i: number, j: number): number =>
    Math.hypot(positions[2 * i]! - positions[2 * j]!, positions[2 * i + 1]! - positions[2 * j + 1]!);
  const expected = new Float64Array(14);
  const found = new Float64Array(14);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      if (i !== j) expected[Math.floor(distance(i, j))]! += 0.8 * Math.exp(-distance(i, j) / 1.5);
    }
  }
  forEachEntry(csr, (i, j) => {
    assert.is.not(i, j);
    found[Math.floor(distance(i, j))]!++;
  });
  found.forEach((count, d) => {
    assert.ok(
      Math.abs(count - expected[d]!) < 5 * Math.sqrt(expected[d]!) + 3,
      `distance ${d}: ${count}, ${expected[d]}`,
    );
  });
});

test("distance decay works in one and three dimensions, for points in one place, and repeats with its seed", () => {
  const line = { positions: [0, 0.5, 100], dimensions: 1, lengthConstant: 1, seed: 1 };
  assert.equal(distanceDecay({ ...line, peakProbability: 0.5 }), distanceDecay({ ...line, peakProbability: 0.5 }));
  const same = { positions: new Float64Array(3 * 20), dimensions: 3, lengthConstant: 1, peakProbability: 1, seed: 1 };
  assert.is(distanceDecay(same).nnz, 380);
  assert.is(distanceDecay({ ...same, selfLoops: true }).nnz, 400);
});

test("large sheets cost time for their connections, not for their pairs", () => {
  const side = 200;
  const positions = Float64Array.from({ length: 2 * side * side }, (_, k) =>
    k % 2 === 0 ? Math.floor(k / 2 / side) : (k >> 1) % side,
  );
  const start = performance.now();
  const csr = distanceDecay({ positions, dimensions: 2, lengthConstant: 1, peakProbability: 0.5, seed: 1 });
  const seconds = (performance.now() - start) / 1000;
  // Σ 0.5 exp(−d) over the sheet is about π minus the centre.
  assert.ok(Math.abs(csr.nnz / (side * side) - 2.7) < 0.3, `${csr.nnz}`);
  note(`distance decay: ${side * side} neurons, ${csr.nnz} connections in ${seconds.toFixed(2)} s`);
});

test("positions that are no points are refused", async () => {
  const good = { dimensions: 2, lengthConstant: 1, peakProbability: 1, seed: 1 };
  await fails(() => distanceDecay({ ...good, positions: [1, 2, 3] }), "shape", /multiple of 2/);
  await fails(() => distanceDecay({ ...good, positions: [1, Number.NaN] }), "shape", /NaN of point 0/);
  await fails(() => distanceDecay({ ...good, positions: [1, 2], lengthConstant: 0 }), "argument", /lengthConstant/);
});

test.run();
