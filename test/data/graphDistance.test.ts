import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type Csr, csrFromCoo } from "../../src/core/csr.ts";
import { keyOfSeed, RandomStream } from "../../src/core/random.ts";
import { largestComponent, type StepDirection, withinSteps } from "../../src/data/graphDistance.ts";
import { fails } from "../io/fixtures.ts";

const test = suite("graphDistance");

const graph = (n: number, ...edges: readonly (readonly [pre: number, post: number])[]): Csr =>
  csrFromCoo({
    nRows: n,
    nCols: n,
    rows: edges.map(([, post]) => post),
    cols: edges.map(([pre]) => pre),
    values: edges.map(() => 1),
  });

const members = (set: Uint8Array): number[] => Array.from(set.keys()).filter((i) => set[i] === 1);

test("steps follow connections in the direction asked for", () => {
  // 0 → 1 → 2 → 3, 4 → 2, 5 alone.
  const csr = graph(6, [0, 1], [1, 2], [2, 3], [4, 2]);
  const within = (steps: number, direction: StepDirection): number[] =>
    members(withinSteps(csr, [2], steps, direction));
  assert.equal(within(0, "both"), [2]);
  assert.equal(within(1, "in"), [1, 2, 4]);
  assert.equal(within(2, "in"), [0, 1, 2, 4]);
  assert.equal(within(1, "out"), [2, 3]);
  assert.equal(within(9, "out"), [2, 3]);
  assert.equal(within(1, "both"), [1, 2, 3, 4]);
  assert.equal(members(withinSteps(csr, [0], 3, "both")), [0, 1, 2, 3, 4]);
  assert.equal(members(withinSteps(csr, [], 3, "both")), []);
});

test("random graphs agree with distances by relaxation", () => {
  for (let seed = 0; seed < 60; seed++) {
    const stream = new RandomStream(keyOfSeed(seed));
    const n = 1 + stream.below(20);
    const edges = Array.from({ length: stream.below(2 * n) }, () => [stream.below(n), stream.below(n)] as const);
    const csr = graph(n, ...edges);
    const seeds = [stream.below(n), stream.below(n)];
    for (const direction of ["in", "out", "both"] as const) {
      const distance = new Array<number>(n).fill(Number.POSITIVE_INFINITY);
      for (const s of seeds) distance[s] = 0;
      for (let round = 0; round < n; round++) {
        for (const [pre, post] of edges) {
          if (direction !== "out") distance[pre] = Math.min(distance[pre]!, distance[post]! + 1);
          if (direction !== "in") distance[post] = Math.min(distance[post]!, distance[pre]! + 1);
        }
      }
      for (let steps = 0; steps < 5; steps++) {
        const expected = distance.flatMap((d, i) => (d <= steps ? [i] : []));
        assert.equal(members(withinSteps(csr, seeds, steps, direction)), expected, `seed ${seed}`);
      }
    }
  }
});

test("a long chain takes linear time", () => {
  const n = 300_000;
  const index = Uint32Array.from({ length: n - 1 }, (_, i) => i);
  const values = new Float32Array(n - 1).fill(1);
  const chain = csrFromCoo({ nRows: n, nCols: n, rows: index.map((i) => i + 1), cols: index, values });
  assert.is(withinSteps(chain, [0], n, "out")[n - 1], 1);
  assert.is(withinSteps(chain, [n - 1], n - 2, "in")[0], 0);
  assert.is(withinSteps(chain, [n - 1], n - 1, "both")[0], 1);
});

test("the largest component is strong or weak; of equal ones the first", () => {
  // Cycle 3 → 4 → 5 → 3, and 0 ↔ 1, which leads to 2.
  const csr = graph(7, [3, 4], [4, 5], [5, 3], [0, 1], [1, 0], [1, 2], [2, 6]);
  assert.equal(members(largestComponent(csr, "strong")), [3, 4, 5]);
  assert.equal(members(largestComponent(csr, "weak")), [0, 1, 2, 6]);
  assert.equal(members(largestComponent(graph(4, [2, 3], [3, 2], [0, 1], [1, 0]), "strong")), [0, 1]);
});

test("what is no graph or no neuron is refused", async () => {
  const csr = graph(3, [0, 1]);
  await fails(() => withinSteps(csr, [3], 1, "in"), "argument", /indices of neurons from 0 to 2/);
  await fails(() => withinSteps(csr, [0], 1.5, "in"), "argument", /steps/);
  const wide = csrFromCoo({ nRows: 1, nCols: 2, rows: [0], cols: [1], values: [1] });
  await fails(() => withinSteps(wide, [0], 1, "in"), "argument", /square/);
  await fails(() => largestComponent(wide, "weak"), "argument", /square/);
});

test.run();
