// Swaps of connections: all graphs of given degrees, and what is kept under every constraint.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type Csr, csrFromCoo, withValues } from "../../src/core/csr.ts";
import { keyOfSeed, RandomStream } from "../../src/core/random.ts";
import { checkInvariant, type InvariantName } from "../../src/data/invariants.ts";
import { logNormalConnectome } from "../../src/data/logNormalConnectome.ts";
import { PartnerSets } from "../../src/data/partnerSets.ts";
import { type RewireOptions, rewire } from "../../src/data/rewire.ts";
import { fails } from "../io/fixtures.ts";
import { forEachEntry, pairsOf } from "./generators.ts";

const test = suite("rewire");

const graph = (n: number, edges: readonly (readonly [number, number])[], weights?: readonly number[]): Csr =>
  csrFromCoo({
    nRows: n,
    nCols: n,
    rows: edges.map(([, post]) => post),
    cols: edges.map(([pre]) => pre),
    values: weights ?? edges.map(() => 1),
  });

const textOf = (csr: Csr): string => [...pairsOf(csr)].sort().join(" ");

/** All graphs without self-loops with the degrees of `csr` for which `isKept` holds. */
function enumerate(csr: Csr, isKept: (csr: Csr) => boolean): Set<string> {
  const n = csr.nRows;
  const cells: [number, number][] = [];
  for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) if (i !== j) cells.push([i, j]);
  const found = new Set<string>();
  for (let bits = 0; bits < 2 ** cells.length; bits++) {
    const edges = cells.filter((_, k) => (bits >> k) & 1);
    if (edges.length !== csr.nnz) continue;
    const made = graph(n, edges);
    const same = (name: InvariantName) => agrees(csr, made, name);
    if (same("in-degrees") && same("out-degrees") && isKept(made)) found.add(textOf(made));
  }
  return found;
}

function agrees(csr: Csr, made: Csr, name: InvariantName): boolean {
  try {
    checkInvariant(csr, made, name);
    return true;
  } catch {
    return false;
  }
}

/** χ² of how often each of the graphs comes out. */
function chiSquared(csr: Csr, graphs: ReadonlySet<string>, runs: number, options: Omit<RewireOptions, "seed">): number {
  const counts = new Map([...graphs].map((text) => [text, 0]));
  for (let seed = 0; seed < runs; seed++) {
    const text = textOf(rewire(csr, { ...options, seed }).csr);
    assert.ok(counts.has(text), text);
    counts.set(text, counts.get(text)! + 1);
  }
  const expected = runs / graphs.size;
  return [...counts.values()].reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
}

/** χ² with d degrees of freedom is above this once in a thousand times (Wilson and Hilferty). */
const bound = (d: number): number => d * (1 - 2 / (9 * d) + 3.09 * Math.sqrt(2 / (9 * d))) ** 3;

test("all graphs with the given degrees come out equally often", () => {
  const degrees = graph(4, [
    [0, 1],
    [0, 2],
    [1, 0],
    [2, 3],
    [3, 0],
  ]);
  const graphs = enumerate(degrees, () => true);
  assert.is(graphs.size, 6);
  const found = chiSquared(degrees, graphs, 1600, { swapsPerEdge: 20 });
  assert.ok(found < bound(graphs.size - 1), `${found}`);
  // The test can fail: after one sweep of few connections, the graph at the beginning is still more frequent.
  const early = chiSquared(degrees, graphs, 1600, { swapsPerEdge: 1 });
  assert.ok(early > bound(graphs.size - 1), `${early}`);
});

test("all graphs with the given degrees and reciprocal pairs come out equally often", () => {
  const degrees = graph(4, [
    [0, 1],
    [1, 0],
    [2, 3],
    [3, 2],
    [0, 2],
    [1, 3],
  ]);
  const graphs = enumerate(degrees, (made) => agrees(degrees, made, "reciprocal-pairs"));
  const found = chiSquared(degrees, graphs, 1600, { swapsPerEdge: 20, reciprocity: true });
  assert.ok(graphs.size > 2);
  assert.ok(found < bound(graphs.size - 1), `${graphs.size} graphs, ${found}`);
});

test("with places, all graphs that are reached come out equally often, reciprocal pairs kept or not", () => {
  const positions = [0, 0.12, 0.21, 0.33, 0.38, 0.55, 0.71, 0.8];
  const lengths = { positions, dimensions: 1, binWidth: 0.4 };
  const edges = "0-1 1-3 2-5 3-6 4-0 5-7 6-2 7-4 0-2";
  const paired = "0-1 1-0 2-3 3-2 4-6 5-7 6-4 7-5 0-2";
  for (const [text, reciprocity, reached] of [
    [edges, false, 17],
    [paired, true, 11],
  ] as const) {
    const pairs = text.split(" ").map((pair) => pair.split("-").map(Number) as [number, number]);
    const csr = graph(positions.length, pairs);
    const options = { swapsPerEdge: 30, reciprocity, lengths };
    const graphs = new Set(Array.from({ length: 300 }, (_, seed) => textOf(rewire(csr, { ...options, seed }).csr)));
    assert.is(graphs.size, reached);
    const found = chiSquared(csr, graphs, 1600, options);
    assert.ok(found < bound(graphs.size - 1), `${found}`);
  }
});

/** Weights of both signs and zeros, self-loops, reciprocal pairs; all weights different. */
function randomGraph(seed: number): {
  readonly csr: Csr;
  readonly blocks: Uint32Array;
  readonly positions: Float64Array;
} {
  const stream = new RandomStream(keyOfSeed(seed));
  const n = 1 + stream.below(40);
  const nnz = stream.below(1 + n * Math.min(n, 12));
  const index = (): number => stream.below(n);
  const values = Float64Array.from({ length: nnz }, (_, k) => (k % 17 === 0 ? 0 : stream.normal()));
  const csr = csrFromCoo({
    nRows: n,
    nCols: n,
    rows: Array.from(values, index),
    cols: Array.from(values, index),
    values,
  });
  const blocks = Uint32Array.from({ length: n }, () => stream.below(3));
  const positions = Float64Array.from({ length: 2 * n }, (_, k) => (k % 23 === 4 ? Number.NaN : stream.uniform()));
  positions.set([0, 0], 0);
  positions.set([1, 1], 2 * (n - 1));
  return { csr, blocks, positions };
}

test("every constraint, and all together, keep what they say on graphs of many shapes", () => {
  for (let seed = 0; seed < 48; seed++) {
    const { csr, blocks, positions } = randomGraph(seed);
    const lengths = { positions, dimensions: 2, binWidth: 0.4 };
    const isPlaced = csr.nRows > 1;
    const constraints = {
      reciprocity: (seed & 1) !== 0,
      signs: (seed & 2) !== 0,
      ...((seed & 4) !== 0 && { blocks }),
      ...((seed & 8) !== 0 && isPlaced && { lengths }),
    };
    for (const weights of ["source", "target", "anew"] as const) {
      const { csr: made, mixing } = rewire(csr, { ...constraints, weights, seed });
      const names: InvariantName[] = ["distinct-connections", "self-loops", "in-degrees", "out-degrees"];
      if (weights === "anew") names.push("magnitudes");
      else names.push("weights", weights === "source" ? "source-weights" : "target-weights");
      if (constraints.reciprocity) names.push("reciprocal-pairs");
      if (constraints.signs) names.push("signed-in-degrees", "signed-out-degrees");
      if (constraints.blocks) names.push("block-counts");
      if (constraints.lengths) names.push("lengths");
      for (const name of names) checkInvariant(csr, made, name, { blocks, lengths });
      assert.ok(mixing.accepted <= mixing.attempted);
      assert.is(mixing.attempted <= 5 * (csr.nnz - loopsOf(csr)), true);
      assert.ok(mixing.fixed >= loopsOf(csr));
    }
  }
});

function loopsOf(csr: Csr): number {
  let loops = 0;
  forEachEntry(csr, (i, j) => {
    if (i === j) loops++;
  });
  return loops;
}

test("five swaps per connection move more than nine in ten, whatever is kept", () => {
  const made = logNormalConnectome({ neurons: 5000, connections: 60_000, seed: 3 });
  const stream = new RandomStream(keyOfSeed(1));
  const csr = withValues(
    made,
    made.values.map((w) => (stream.uniform() < 0.3 ? -w : w)),
  );
  const blocks = Uint32Array.from({ length: 5000 }, (_, i) => i % 8);
  const positions = Float64Array.from({ length: 10_000 }, () => stream.uniform());
  const lengths = { positions, dimensions: 2 };
  for (const constraints of [{}, { reciprocity: true }, { signs: true }, { blocks }, { lengths }]) {
    const { csr: control, mixing } = rewire(csr, { ...constraints, seed: 1 });
    const before = pairsOf(csr);
    const common = [...pairsOf(control)].filter((pair) => before.has(pair)).length;
    assert.is(mixing.moved, 1 - common / csr.nnz);
    assert.ok(mixing.moved > 0.9, `${Object.keys(constraints)}: ${mixing.moved}`);
    assert.ok(mixing.accepted > 2 * csr.nnz, `${Object.keys(constraints)}: ${mixing.accepted}`);
  }
});

test("the same seed gives the same connections, another seed others, and no swaps the same as before", () => {
  const csr = logNormalConnectome({ neurons: 100, connections: 500, seed: 1 });
  assert.equal(rewire(csr, { seed: 5 }), rewire(csr, { seed: 5 }));
  assert.not.equal(rewire(csr, { seed: 5 }).csr.colIdx, rewire(csr, { seed: 6 }).csr.colIdx);
  const { csr: same, mixing } = rewire(csr, { seed: 5, swapsPerEdge: 0 });
  assert.equal(same, { ...csr, duplicatesSummed: 0 });
  assert.equal([mixing.attempted, mixing.moved], [0, 0]);
});

test("connections without another one of their kind stay and are counted", () => {
  const csr = graph(
    4,
    [
      [0, 0],
      [0, 1],
      [2, 3],
    ],
    [1, 1, -1],
  );
  const { csr: made, mixing } = rewire(csr, { signs: true, seed: 1 });
  assert.is(textOf(made), textOf(csr));
  assert.is(mixing.fixed, 3);
});

test("progress reaches its end", () => {
  const csr = logNormalConnectome({ neurons: 4000, connections: 120_000, seed: 1 });
  const seen: number[] = [];
  const { mixing } = rewire(csr, { seed: 1, swapsPerEdge: 9, onProgress: (done, total) => seen.push(done / total) });
  assert.ok(seen.length >= Math.floor(mixing.attempted / 2 ** 18));
  assert.ok(seen.every((part, k) => part <= 1 && (k === 0 || part >= seen[k - 1]!)));
});

test("wrong arguments are refused by name", async () => {
  const { csr } = randomGraph(3);
  const wide = csrFromCoo({ nRows: 1, nCols: 2, rows: [0], cols: [1], values: [1] });
  await fails(() => rewire(wide, { seed: 1 }), "argument", /square matrix, got 1 × 2 \(csr\)/);
  await fails(() => rewire(csr, { seed: 1, swapsPerEdge: 0.5 }), "argument", /swapsPerEdge/);
  await fails(() => rewire(csr, { seed: 1, blocks: [0] }), "shape", /blocks/);
  await fails(
    () => rewire(csr, { seed: 1, blocks: new Float64Array(csr.nRows).fill(-1) }),
    "argument",
    /-1 of neuron 0/,
  );
  const positions = new Float64Array(2 * csr.nRows);
  await fails(() => rewire(csr, { seed: 1, lengths: { positions, dimensions: 3 } }), "shape", /positions/);
  await fails(() => rewire(csr, { seed: 1, lengths: { positions, dimensions: 2 } }), "argument", /all in one place/);
  positions[0] = Number.POSITIVE_INFINITY;
  await fails(() => rewire(csr, { seed: 1, lengths: { positions, dimensions: 2 } }), "argument", /of neuron 0/);
  positions[0] = 1;
  await fails(
    () => rewire(csr, { seed: 1, lengths: { positions, dimensions: 2, binWidth: 0 } }),
    "argument",
    /binWidth/,
  );
});

test("sets of partners are sets, however members are replaced", () => {
  const stream = new RandomStream(keyOfSeed(9));
  const sizes = [0, 1, 5, 60];
  const sets = new PartnerSets(sizes);
  sizes.forEach((size, a) => {
    const members = new Set<number>();
    while (members.size < size) {
      const b = stream.below(100);
      if (!members.has(b)) sets.add(a, b);
      members.add(b);
    }
    for (let k = 0; k < 300 && size > 0; k++) {
      const [removed, added] = [[...members][stream.below(size)]!, stream.below(100)];
      if (members.has(added)) continue;
      sets.replace(a, removed, added);
      members.delete(removed);
      members.add(added);
    }
    for (let b = 0; b < 100; b++) assert.is(sets.has(a, b), members.has(b), `set ${a}, member ${b}`);
  });
});

test.run();
