import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type Csr, csrFromCoo } from "../../src/core/csr.ts";
import { keyOfSeed, RandomStream } from "../../src/core/random.ts";
import { stronglyConnectedComponents, weaklyConnectedComponents } from "../../src/data/components.ts";
import { growthRate, spectralRadiusOfAbsolute } from "../../src/data/spectralRadius.ts";
import { fails } from "../io/fixtures.ts";

const test = suite("components");

const matrix = (n: number, ...entries: readonly (readonly [post: number, pre: number, weight: number])[]): Csr =>
  csrFromCoo({
    nRows: n,
    nCols: n,
    rows: entries.map((e) => e[0]),
    cols: entries.map((e) => e[1]),
    values: entries.map((e) => e[2]),
  });

/** Which neurons reach which, by Warshall's algorithm. */
function reachability(csr: Csr, symmetric: boolean): boolean[][] {
  const n = csr.nRows;
  const reach = Array.from({ length: n }, (_, i) => Array.from({ length: n }, (_, j) => i === j));
  for (let i = 0; i < n; i++) {
    for (let k = csr.rowPtr[i]!; k < csr.rowPtr[i + 1]!; k++) {
      reach[i]![csr.colIdx[k]!] = true;
      if (symmetric) reach[csr.colIdx[k]!]![i] = true;
    }
  }
  for (let m = 0; m < n; m++) {
    for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) reach[i]![j] ||= reach[i]![m]! && reach[m]![j]!;
  }
  return reach;
}

test("components agree with who reaches whom", () => {
  for (let seed = 0; seed < 100; seed++) {
    const stream = new RandomStream(keyOfSeed(seed));
    const n = 1 + stream.below(14);
    const edges = Array.from({ length: stream.below(2 * n) }, () => [stream.below(n), stream.below(n), 1] as const);
    const csr = matrix(n, ...edges);
    const [weak, strong] = [weaklyConnectedComponents(csr), stronglyConnectedComponents(csr)];
    const [weakReach, strongReach] = [reachability(csr, true), reachability(csr, false)];
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < n; j++) {
        assert.is(weak.componentIdx[i] === weak.componentIdx[j], weakReach[i]![j]!, `seed ${seed}`);
        assert.is(
          strong.componentIdx[i] === strong.componentIdx[j],
          strongReach[i]![j]! && strongReach[j]![i]!,
          `seed ${seed}`,
        );
      }
    }
    for (const { sizes, count } of [weak, strong]) {
      assert.is(sizes.length, count);
      assert.is(
        sizes.reduce((a, b) => a + b, 0),
        n,
      );
      assert.ok(sizes.every((size) => size > 0));
    }
  }
});

test("a chain of a hundred thousand neurons needs no deep recursion", () => {
  const n = 100_000;
  const index = Array.from({ length: n - 1 }, (_, i) => i);
  const values = new Float32Array(n - 1).fill(1);
  const chain = csrFromCoo({ nRows: n, nCols: n, rows: index, cols: index.map((i) => i + 1), values });
  assert.is(stronglyConnectedComponents(chain).count, n);
  assert.is(weaklyConnectedComponents(chain).count, 1);
});

test("radii of matrices with known eigenvalues are found", () => {
  const symmetric = matrix(2, [0, 0, 2], [0, 1, -1], [1, 0, -1], [1, 1, 2]);
  assert.ok(Math.abs(spectralRadiusOfAbsolute(symmetric).value - 3) < 1e-7);
  assert.ok(Math.abs(growthRate(symmetric).value - 3) < 0.01);
  // A cycle of four with weights 1, 2, 3, 4: all eigenvalues have modulus 24^(1/4).
  const cycle = matrix(4, [1, 0, 1], [2, 1, 2], [3, 2, -3], [0, 3, 4]);
  const radius = spectralRadiusOfAbsolute(cycle);
  assert.ok(radius.converged);
  assert.ok(Math.abs(radius.value - 24 ** 0.25) < 1e-6);
  assert.ok(Math.abs(growthRate(cycle).value - 24 ** 0.25) < 0.02);
});

test("signs can cancel what their absolute values would amplify", () => {
  const cancelling = matrix(2, [0, 0, 1], [0, 1, -1], [1, 0, 1], [1, 1, -1]);
  assert.ok(Math.abs(spectralRadiusOfAbsolute(cancelling).value - 2) < 1e-7);
  assert.ok(growthRate(cancelling).value < 1e-3);
});

test("a cycle of weights that are all 0 amplifies nothing", () => {
  const zeros = matrix(2, [0, 1, 0], [1, 0, 0]);
  assert.equal(spectralRadiusOfAbsolute(zeros), { value: 0, iterations: 0, converged: true });
  assert.is(growthRate(zeros).value, 0);
});

test("without cycles both are zero at once, and only square matrices have them", async () => {
  assert.equal(spectralRadiusOfAbsolute(matrix(3, [1, 0, 9], [2, 1, 9])), { value: 0, iterations: 0, converged: true });
  const wide = csrFromCoo({ nRows: 1, nCols: 2, rows: [0], cols: [1], values: [1] });
  await fails(() => spectralRadiusOfAbsolute(wide), "argument", /square/);
  await fails(() => growthRate(wide), "argument", /square/);
});

test.run();
