import { suite } from "uvu";
import * as assert from "uvu/assert";
import { typedConnectome } from "../../src/data/typedConnectome.ts";
import { fails } from "../io/fixtures.ts";
import { forEachEntry } from "./generators.ts";

const test = suite("typedConnectome");
const connectivity = [
  [0.05, 0.2],
  [0, 1],
] as const;

test("each block has the density asked for, by [post][pre]", () => {
  const counts = [400, 100];
  const { csr, typeIdx } = typedConnectome({ typeCounts: counts, connectivity, seed: 1 });
  const found = [
    [0, 0],
    [0, 0],
  ];
  forEachEntry(csr, (i, j) => {
    found[typeIdx[i]!]![typeIdx[j]!]!++;
  });
  for (const post of [0, 1]) {
    for (const pre of [0, 1]) {
      const pairs = counts[post]! * counts[pre]!;
      const p = connectivity[post]![pre]!;
      const sigma = Math.sqrt(pairs * p * (1 - p));
      assert.ok(Math.abs(found[post]![pre]! - pairs * p) <= 5 * sigma, `block ${post}, ${pre}`);
    }
  }
});

test("counts are exact, in random order or type after type", () => {
  const { typeIdx } = typedConnectome({ typeCounts: [3, 0, 2], connectivity: square(3, 0), shuffled: false, seed: 1 });
  assert.equal(typeIdx, Uint32Array.of(0, 0, 0, 2, 2));
  const mixed = typedConnectome({ typeCounts: [500, 500], connectivity: square(2, 0), seed: 1 }).typeIdx;
  assert.is(mixed.filter((t) => t === 0).length, 500);
  assert.ok(mixed.subarray(0, 500).some((t) => t === 1));
});

test("types drawn by probability have their shares", () => {
  const { typeIdx } = typedConnectome({
    neurons: 10_000,
    typeProbs: [0.7, 0, 0.3],
    connectivity: square(3, 0),
    seed: 2,
  });
  const share = typeIdx.filter((t) => t === 0).length / 10_000;
  assert.ok(Math.abs(share - 0.7) < 0.023);
  assert.not.ok(typeIdx.includes(1));
});

test("self recurrence can be excluded", () => {
  const full = (selfRecurrence: boolean): number =>
    typedConnectome({ typeCounts: [7], connectivity: [[1]], selfRecurrence, seed: 1 }).csr.nnz;
  assert.equal([full(true), full(false)], [49, 42]);
});

test("a seed repeats the network, and blocks do not depend on one another", () => {
  const make = (p: number, seed: number): ReturnType<typeof typedConnectome> =>
    typedConnectome({
      typeCounts: [50, 50],
      connectivity: [
        [0.1, p],
        [0.1, 0.1],
      ],
      shuffled: false,
      seed,
    });
  assert.equal(make(0.1, 3), make(0.1, 3));
  const [sparse, dense] = [make(0.1, 3).csr, make(0.9, 3).csr];
  const last = (csr: typeof sparse): unknown => csr.colIdx.slice(csr.rowPtr[50]!);
  assert.equal(last(sparse), last(dense));
});

test("a hundred thousand neurons take memory for their connections, not for their pairs", () => {
  const { csr } = typedConnectome({ typeCounts: [60_000, 40_000], connectivity: square(2, 1e-5), seed: 4 });
  assert.ok(Math.abs(csr.nnz - 100_000) < 5 * Math.sqrt(100_000));
});

test("contradictions and numbers out of range are refused", async () => {
  const good = { typeCounts: [2, 2], connectivity: square(2, 0.5), seed: 1 };
  await fails(() => typedConnectome({ ...good, neurons: 4 }), "argument", /typeCounts/, /both/);
  await fails(() => typedConnectome({ connectivity: square(2, 0), seed: 1 }), "argument", /neither/);
  await fails(() => typedConnectome({ ...good, connectivity: square(3, 0) }), "shape", /\[2\]\[2\]/, /3 rows/);
  await fails(() => typedConnectome({ ...good, connectivity: square(2, 1.1) }), "argument", /0 to 1, got 1\.1/);
  await fails(
    () => typedConnectome({ neurons: 3, typeProbs: [0.5, 0.4], connectivity: square(2, 0), seed: 1 }),
    "argument",
    /add up to 1, got 0\.9/,
  );
});

function square(types: number, p: number): number[][] {
  return Array.from({ length: types }, () => new Array<number>(types).fill(p));
}

test.run();
