import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Csr } from "../../src/core/csr.ts";
import { keyOfSeed, RandomStream } from "../../src/core/random.ts";
import { EdgeStore } from "../../src/import/edgeStore.ts";
import { readEdges, readEdgesOfAll, tableEdges } from "../../src/import/edges.ts";
import { idIndexOf } from "../../src/import/idIndex.ts";
import type { IdIndex } from "../../src/import/types.ts";
import type { Cells, TableFile } from "../../src/io/tableFile.ts";
import { fails } from "../io/fixtures.ts";
import { type Edge, edgesIn } from "./edgeFixtures.ts";

const test = suite("edges");

const neurons = (...ids: readonly bigint[]): IdIndex => idIndexOf(BigInt64Array.from(ids), (i) => `neuron ${i}`);

/** Entries "post,pre,value" of a matrix, by row and column. */
function entries({ nRows, rowPtr, colIdx, values }: Csr): string[] {
  const all: string[] = [];
  for (let i = 0; i < nRows; i++) {
    for (let k = rowPtr[i]!; k < rowPtr[i + 1]!; k++) all.push(`${i},${colIdx[k]},${values[k]}`);
  }
  return all;
}

const BASE = 720575940599457990n;

test("rows about the same pair are summed before the threshold, as neuropils are", async () => {
  const edges: Edge[] = [
    [BASE, BASE + 1n, 2],
    [BASE + 1n, BASE, 2],
    [BASE, BASE + 1n, 2],
    [BASE + 2n, BASE, 1],
    [BASE, BASE + 1n, 1],
    [BASE, 5n, 9],
    [BASE + 1n, BASE + 1n, 5],
    [BASE + 2n, BASE + 1n, 0],
  ];
  const index = neurons(BASE + 1n, BASE, BASE + 2n);
  const { csr, counts } = await readEdges([edgesIn(edges, { batch: 3 })], index, { minSynapses: 5 });
  assert.equal(entries(csr), ["0,0,5", "0,1,5"]);
  assert.ok(csr.values instanceof Float32Array);
  assert.equal(counts, {
    rows: 8,
    synapses: 22,
    rowsOfFile: 8,
    outsideRows: 1,
    outsideSynapses: 9,
    zeroRows: 1,
    summedRows: 2,
    belowConnections: 2,
    belowSynapses: 3,
    connections: 2,
    connectionSynapses: 10,
    selfConnections: 1,
    orderBroken: null,
  });
});

test("a sorted file is left at the threshold, whatever its batches", async () => {
  const edges: Edge[] = Array.from({ length: 100 }, (_, k) => [BigInt(k % 10), BigInt(Math.floor(k / 10)), 100 - k]);
  const index = neurons(...Array.from({ length: 10 }, (_, i) => BigInt(i)));
  const whole = await readEdges([edgesIn(edges)], index, { minSynapses: 61 });
  for (const batch of [1, 7, 20, 40, 64, 200]) {
    const source = edgesIn(edges, { batch, isSorted: true });
    const early = await readEdges([source], index, { minSynapses: 61 });
    assert.equal(entries(early.csr), entries(whole.csr));
    assert.is(early.counts.rows, 40);
    assert.is(early.counts.rowsOfFile, 100);
    assert.is(early.counts.belowConnections, null);
    assert.is(source.batches(), Math.min(Math.ceil(100 / batch), Math.floor(40 / batch) + 1));
  }
  assert.is(whole.counts.belowConnections, 60);
  const none = edgesIn(edges, { isSorted: true });
  assert.is((await readEdges([none], index)).counts.rows, 100);
  const unknown = edgesIn(edges, { isSorted: true, isCounted: false });
  assert.is((await readEdges([unknown], index, { minSynapses: 61 })).counts.rowsOfFile, null);
});

test("a file that is not in its order, or has a pair twice, is read whole, and that is said", async () => {
  const index = neurons(1n, 2n, 3n);
  const unsorted: Edge[] = [
    [1n, 2n, 9],
    [1n, 3n, 2],
    [2n, 3n, 8],
    [3n, 1n, 1],
    [3n, 2n, 7],
  ];
  const late = await readEdges([edgesIn(unsorted, { isSorted: true, batch: 5 })], index, { minSynapses: 3 });
  assert.equal(entries(late.csr), ["1,0,9", "1,2,7", "2,1,8"]);
  assert.is(late.counts.orderBroken, "edges.feather: row 2, weight: 8 comes after 2");
  assert.is(late.counts.belowConnections, 2);
  const twice: Edge[] = [
    [1n, 2n, 4],
    [1n, 2n, 3],
    [1n, 3n, 3],
    [2n, 3n, 2],
    [1n, 3n, 2],
  ];
  const source = edgesIn(twice, { isSorted: true, batch: 1 });
  const again = await readEdges([source], index, { minSynapses: 3 });
  assert.equal(entries(again.csr), ["1,0,7", "2,0,5"]);
  assert.match(again.counts.orderBroken!, /pairs of neurons occur more than once/);
  assert.is(again.counts.rows, 5);
});

test("several files add up, and are read whole", async () => {
  const index = neurons(1n, 2n);
  const sources = [
    edgesIn([[1n, 2n, 2]], { isSorted: true, file: "a.csv" }),
    edgesIn([[1n, 2n, 2]], { isSorted: true, file: "b.csv" }),
  ];
  const done: number[] = [];
  const { csr, counts } = await readEdges(sources, index, {
    minSynapses: 3,
    onProgress: (p) => done.push(p.done / p.total),
  });
  assert.equal(entries(csr), ["1,0,4"]);
  assert.is(counts.rowsOfFile, 2);
  assert.equal(done, [0.5, 1]);
});

test("random edges agree with sums in a map, at every threshold", async () => {
  for (const [seed, n] of [
    [1, 5],
    [2, 40],
    [3, 40],
    [4, 300],
  ] as const) {
    const stream = new RandomStream(keyOfSeed(seed));
    const ids = Array.from({ length: n }, (_, i) => BASE + 3n * BigInt(i));
    const end = (): bigint => (stream.below(4) === 0 ? BASE + BigInt(stream.below(3 * n)) : ids[stream.below(n)]!);
    const edges = Array.from({ length: 20_000 }, (): Edge => [end(), end(), 1 + stream.below(5)]);
    const place = new Map(ids.map((id, i) => [id, i]));
    const sums = new Map<number, number>();
    for (const [pre, post, weight] of edges) {
      const [j, i] = [place.get(pre as bigint), place.get(post as bigint)];
      if (i !== undefined && j !== undefined) sums.set(i * n + j, (sums.get(i * n + j) ?? 0) + weight);
    }
    for (const minSynapses of [1, 3, 6]) {
      const expected = [...sums]
        .filter(([, sum]) => sum >= minSynapses)
        .sort(([a], [b]) => a - b)
        .map(([key, sum]) => `${Math.floor(key / n)},${key % n},${sum}`);
      const { csr, counts } = await readEdges([edgesIn(edges, { batch: 999 })], neurons(...ids), { minSynapses });
      assert.equal(entries(csr), expected);
      assert.is(counts.connections + counts.belowConnections!, sums.size);
      assert.is(counts.rows, 20_000);
      assert.is(
        counts.synapses,
        edges.reduce((sum, [, , weight]) => sum + weight, 0),
      );
      assert.is(counts.connectionSynapses + counts.belowSynapses! + counts.outsideSynapses, counts.synapses);
    }
  }
});

test("weights are f32 where that is exact, else f64", async () => {
  const index = neurons(1n, 2n);
  const values = async (...edges: readonly Edge[]): Promise<Csr["values"]> =>
    (await readEdges([edgesIn(edges)], index)).csr.values;
  assert.equal(await values([1n, 2n, 16777215], [1n, 2n, 1]), Float32Array.of(16777216));
  assert.equal(await values([1n, 2n, 16777216], [1n, 2n, 1]), Float64Array.of(16777217));
  assert.equal(await values([1n, 1n, 1], [1n, 2n, 0.1], [1n, 1n, 1]), Float64Array.of(2, 0.1));
  // Halves of a synapse that only the sum makes whole, and one that only the threshold leaves out.
  assert.equal(await values([1n, 2n, 16777216.5], [1n, 2n, 0.5]), Float64Array.of(16777217));
  const kept = await readEdges(
    [
      edgesIn([
        [1n, 2n, 0.1],
        [2n, 1n, 3],
      ]),
    ],
    index,
    { minSynapses: 1 },
  );
  assert.equal(kept.csr.values, Float32Array.of(3));
});

test("weights that are none are refused, with their place", async () => {
  const index = neurons(1n, 2n);
  const read = (weight: number) =>
    readEdges(
      [
        edgesIn([
          [1n, 2n, 1],
          [2n, 1n, weight],
        ]),
      ],
      index,
    );
  await fails(() => read(-1), "file-format", /row 1, weight: expected a weight, a number from 0, got -1/);
  await fails(() => read(Number.NaN), "file-format", /row 1, weight/);
  await fails(() => read(Number.POSITIVE_INFINITY), "file-format", /row 1, weight/);
  await fails(() => readEdges([edgesIn([[1n, -2n, 1]])], index), "file-format", /row 0, post: .*"-2"/);
});

test("nothing to import is an error that says why", async () => {
  const index = neurons(1n, 2n);
  await fails(() => readEdges([edgesIn([])], index), "file-format", /edges between the neurons, got none/);
  await fails(
    () => readEdges([edgesIn([[5n, 6n, 1]])], index),
    "file-format",
    /none among 1 row, as "5" at .*row 0, pre is none of the neurons/,
  );
  const weak = edgesIn([[1n, 2n, 4]]);
  await fails(() => readEdges([weak], index, { minSynapses: 5 }), "argument", /at most 4.*got 5/);
  const sorted = edgesIn(
    [
      [1n, 9n, 6],
      [1n, 2n, 4],
    ],
    { isSorted: true },
  );
  await fails(
    () => readEdges([sorted], index, { minSynapses: 5 }),
    "argument",
    /got 5; the 1 row of edges.feather with as many is not between/,
  );
  await fails(
    () => readEdges([sorted], index, { minSynapses: 7 }),
    "argument",
    /at most 6, the synapses of the strongest row of edges.feather, got 7/,
  );
  await fails(() => readEdges([weak], index, { minSynapses: Number.NaN }), "argument", /minSynapses/);
  await fails(() => readEdges([weak], neurons()), "argument", /at least one neuron/);
  const stopped = AbortSignal.abort(new Error("stop"));
  let reason: unknown;
  await readEdges([weak], index, { signal: stopped }).catch((error: unknown) => {
    reason = error;
  });
  assert.is((reason as Error).message, "stop");
});

test("without a table all ids are neurons, by size or by name", async () => {
  const wide = await readEdgesOfAll([
    edgesIn([
      [BASE + 1n, BASE, 3],
      [99999n, BASE + 1n, 1],
    ]),
  ]);
  assert.equal(wide.ids, BigInt64Array.of(99999n, BASE, BASE + 1n));
  assert.equal(entries(wide.csr), ["1,2,3", "2,0,1"]);
  assert.is(wide.decision.taken, "numbers");
  const named = await readEdgesOfAll([
    edgesIn(
      [
        ["b", "10", 3],
        ["9", "a", 1],
        [10n, "b", 2],
      ],
      { batch: 1 },
    ),
  ]);
  assert.equal(named.ids, ["9", "10", "a", "b"]);
  assert.equal(entries(named.csr), ["1,3,3", "2,0,1", "3,1,2"]);
  assert.match(named.decision.why, /names as written, since "b"/);
});

test("small numbers are positions only where few are left out", async () => {
  const dense = await readEdgesOfAll([
    edgesIn([
      [0n, 10n, 4],
      [2n, 1n, 1],
    ]),
  ]);
  assert.is(dense.csr.nRows, 11);
  assert.match(dense.decision.why, /positions in the matrix, since 4 of the numbers from 0 to 10 occur/);
  // Ids of five digits, as the nerve cord has them.
  const sparse = await readEdgesOfAll([
    edgesIn([
      [10003n, 58999n, 4],
      [21000n, 10003n, 1],
    ]),
  ]);
  assert.equal(sparse.ids, BigInt64Array.of(10003n, 21000n, 58999n));
  assert.is(sparse.decision.taken, "numbers");
  const forced = await readEdgesOfAll(
    [
      edgesIn([
        [0n, 10n, 4],
        [2n, 1n, 1],
      ]),
    ],
    { ids: "number" },
  );
  assert.equal(forced.ids, BigInt64Array.of(0n, 1n, 2n, 10n));
  const texts = await readEdgesOfAll(
    [
      edgesIn([
        [0n, 10n, 4],
        [2n, 1n, 1],
      ]),
    ],
    { ids: "name" },
  );
  assert.equal(texts.ids, ["0", "1", "2", "10"]);
  const demanded = await readEdgesOfAll([edgesIn([[10003n, 58999n, 4]])], { ids: "position" });
  assert.is(demanded.csr.nRows, 59000);
  for (const large of [BASE, "99999999999999999999"]) {
    const source = edgesIn([[large, 1n, 4]]);
    await fails(() => readEdgesOfAll([source], { ids: "position" }), "file-format", /positions below.*"\d+"/);
  }
});

test("numbers that went through floating point are the same neurons; ambiguous ones are refused", async () => {
  const floats = await readEdgesOfAll([
    edgesIn(
      [
        ["2.0", "10.0", 4],
        ["10.0", "0.0", 1],
        [1n, 2n, 1],
      ],
      { batch: 2 },
    ),
  ]);
  assert.is(floats.csr.nRows, 11);
  assert.equal(entries(floats.csr), ["0,10,1", "2,1,1", "10,2,4"]);
  const padded = edgesIn(
    [
      ["007", "a", 1],
      ["7", "a", 1],
    ],
    { batch: 1 },
  );
  await fails(() => readEdgesOfAll([padded]), "file-format", /one neuron or two/);
  const fraction = edgesIn([["1.5", "2", 1]]);
  await fails(() => readEdgesOfAll([fraction]), "file-format", /row 0, pre: .*"1\.5"/);
  await fails(() => readEdgesOfAll([edgesIn([["a", "2", 1]])], { ids: "number" }), "file-format", /row 0, pre/);
  await fails(() => readEdgesOfAll([edgesIn([[-1n, 2n, 1]])]), "file-format", /row 0, pre/);
  await fails(() => readEdgesOfAll([edgesIn([])]), "file-format", /edges, got none/);
});

/** A table of edges of three columns, in one batch. */
function tableOf(cells: readonly Cells[], count: number): TableFile {
  return {
    file: "edges.csv",
    columns: [],
    rows: count,
    placeOf: (row, column) => `edges.csv:${row + 2}, column "${column}"`,
    async read(_, visit) {
      visit({ rowStart: 0, count, cells });
    },
    async close() {},
  };
}

test("tables of columns are edges; an empty cell is refused, with its place", async () => {
  const ids = (list: BigInt64Array, nulls: Uint8Array | null = null): Cells => ({ as: "id", ids: list, nulls });
  const columns = { pre: "body_pre", post: "body_post", weight: "weight" };
  const [pre, post] = [BigInt64Array.of(1n, 2n), BigInt64Array.of(2n, 1n)];
  const weights = (nulls: Uint8Array | null): Cells => ({ as: "number", numbers: Uint8Array.of(3, 4), nulls });
  const index = neurons(1n, 2n);
  const source = tableEdges(tableOf([ids(pre), ids(post), weights(null)], 2), columns, { isSorted: true });
  assert.ok(source.isSorted);
  assert.equal(entries((await readEdges([source], index)).csr), ["0,1,4", "1,0,3"]);
  const unweighted = tableEdges(tableOf([ids(pre), ids(post)], 2), { ...columns, weight: null });
  assert.equal(entries((await readEdges([unweighted], index)).csr), ["0,1,1", "1,0,1"]);
  const nulls = Uint8Array.of(0, 1);
  const empty = [
    [[ids(pre, nulls), ids(post), weights(null)], /edges\.csv:3, column "body_pre": .*an empty cell/],
    [[ids(pre), ids(post, nulls), weights(null)], /edges\.csv:3, column "body_post"/],
    [[ids(pre), ids(post), weights(nulls)], /edges\.csv:3, column "weight"/],
  ] as const;
  for (const [cells, message] of empty) {
    await fails(() => readEdges([tableEdges(tableOf(cells, 2), columns)], index), "file-format", message);
  }
});

test("edges beyond one chunk keep their weights, also where f64 begins in the middle", () => {
  const n = 2000;
  const total = 2 ** 20 + 5000;
  const store = new EdgeStore(n);
  for (let k = 0; k < total; k++) store.push(k % n, Math.floor(k / n), k === 2 ** 20 + 7 ? 0.1 : 1, "edges");
  assert.is(store.count, total);
  const csr = store.takeCsr(n, null, "edges");
  assert.is(store.count, 0);
  assert.is(csr.nnz, total);
  assert.ok(csr.values instanceof Float64Array);
  assert.is(csr.values[2 ** 20 + 7], 0.1);
  assert.is(
    csr.values.reduce((sum, w) => sum + w, 0),
    total - 1 + 0.1,
  );
});

test("a million edges take little more memory than they need", async () => {
  const n = 1000;
  const stream = new RandomStream(keyOfSeed(5));
  const index = neurons(...Array.from({ length: n }, (_, i) => BigInt(i)));
  const count = 2 ** 16;
  const batches = 16;
  const ids = [new BigInt64Array(count), new BigInt64Array(count)] as const;
  for (const list of ids) for (let k = 0; k < count; k++) list[k] = BigInt(stream.below(n));
  const before = process.memoryUsage().arrayBuffers;
  const { csr, counts } = await readEdges(
    [
      {
        ...edgesIn([]),
        async read(visit) {
          for (let b = 0; b < batches; b++) {
            visit({ rowStart: b * count, count, pre: ids[0], post: ids[1], weights: null });
          }
        },
      },
    ],
    index,
  );
  const after = process.memoryUsage().arrayBuffers;
  assert.is(counts.rows, batches * count);
  assert.is(counts.summedRows, counts.rows - csr.nnz);
  // Chunks of 8 bytes and rows of 6 bytes per edge, and the matrix.
  const bytes = counts.rows * (8 + 6) + csr.nnz * 6;
  assert.ok(after - before < bytes + 2 ** 21, `${after - before} bytes, expected at most ${bytes}`);
});

test.run();
