// Clusters: trees and silhouettes by hand, planted clusters, and a cloud without any.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { deriveKey, keyOfSeed, RandomStream } from "../../src/core/random.ts";
import { averageLinkage, cluster, clustersAt, silhouettes } from "../../src/stats/clusters.ts";
import { fails } from "../io/fixtures.ts";

const test = suite("clusters");

/** Points on a line: distances are differences. */
function onLine(...points: readonly number[]): number[][] {
  return points.map((a) => points.map((b) => Math.abs(a - b)));
}

function close(actual: number, expected: number, tolerance = 1e-12): void {
  assert.ok(Math.abs(actual - expected) <= tolerance, `expected ${expected}, got ${actual}`);
}

test("the tree of five things by hand", () => {
  // The first two merge at 17, the last with them at (23 + 21)/2 = 22, the others at 28, and the two clusters at
  // (21 + 31 + 30 + 34 + 39 + 43)/6 = 33.
  const distances = [
    [0, 17, 21, 31, 23],
    [17, 0, 30, 34, 21],
    [21, 30, 0, 28, 39],
    [31, 34, 28, 0, 43],
    [23, 21, 39, 43, 0],
  ];
  assert.equal(averageLinkage(distances), [
    { left: 0, right: 1, height: 17, size: 2 },
    { left: 5, right: 4, height: 22, size: 3 },
    { left: 2, right: 3, height: 28, size: 2 },
    { left: 6, right: 7, height: 33, size: 5 },
  ]);
});

test("clusters are the branches below the last merges, numbered in the order of the things", () => {
  const merges = averageLinkage(onLine(10, 0, 11, 1, 30));
  assert.equal(clustersAt(merges, 5), [0, 1, 2, 3, 4]);
  assert.equal(clustersAt(merges, 3), [0, 1, 0, 1, 2]);
  assert.equal(clustersAt(merges, 2), [0, 0, 0, 0, 1]);
  assert.equal(clustersAt(merges, 1), [0, 0, 0, 0, 0]);
});

test("silhouettes of 0, 1 and 10, 12, and of a thing that is alone, by hand", () => {
  // 0: a = 1, b = 11; 1: a = 1, b = 10; 10: a = 2, b = 9.5; 12: a = 2, b = 11.5.
  const all = silhouettes(onLine(0, 1, 10, 12), [0, 0, 1, 1]);
  [10 / 11, 9 / 10, 7.5 / 9.5, 9.5 / 11.5].forEach((expected, i) => {
    close(all[i]!, expected);
  });
  // In the wrong cluster: 10 with 0 and 1 has a = 9.5 and b = 2.
  close(silhouettes(onLine(0, 1, 10, 12), [0, 0, 0, 1])[2]!, (2 - 9.5) / 9.5);
  assert.is(silhouettes(onLine(0, 1, 10, 12), [0, 0, 0, 1])[3], 0);
  assert.equal(silhouettes(onLine(3, 3, 3), [0, 1, 1]), [0, 0, 0]);
});

test("silhouettes need two clusters, and a label for each thing", async () => {
  await fails(() => silhouettes(onLine(0, 1), [0, 0]), "argument", /two clusters/);
  await fails(() => silhouettes(onLine(0, 1), [0]), "shape", /2 labels/);
});

test("the number of clusters is the one with the largest mean silhouette", () => {
  const { count, labels, counts, order } = cluster(onLine(0, 10, 1, 12));
  assert.is(count, 2);
  assert.equal(labels, [0, 1, 0, 1]);
  assert.equal(order, [0, 2, 1, 3]);
  close(counts[0]!.silhouette, (10 / 11 + 9 / 10 + 7.5 / 9.5 + 9.5 / 11.5) / 4);
  assert.equal(
    counts.map((it) => it.count),
    [2, 3],
  );
  assert.is(cluster(onLine(0, 10, 1, 12), { leastSilhouette: 0.9 }).count, 1);
  assert.is(cluster(onLine(0, 1, 20, 21, 50, 51)).count, 3);
});

test("two planted clusters are found, and a cloud is one", () => {
  const stream = new RandomStream(deriveKey(keyOfSeed(0), "clusters"));
  const cloud = (centre: number): number[] => Array.from({ length: 20 }, () => centre + stream.normal());
  const distances = (points: readonly (readonly number[])[]): number[][] =>
    points.map((a) => points.map((b) => Math.hypot(...a.map((x, i) => x - b[i]!))));
  const planted = cluster(
    distances([...Array.from({ length: 6 }, () => cloud(0)), ...Array.from({ length: 5 }, () => cloud(4))]),
  );
  assert.equal(planted.labels, [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1]);
  const one = cluster(distances(Array.from({ length: 11 }, () => cloud(0))));
  assert.is(one.count, 1);
  assert.ok(one.counts.every(({ silhouette }) => silhouette < 0.2));
});

test("few things are one cluster; distances that are none are refused", async () => {
  assert.equal(cluster([[0]]), { merges: [], order: [0], count: 1, labels: [0], counts: [], leastSilhouette: 0.5 });
  assert.equal(cluster(onLine(0, 5)).labels, [0, 0]);
  await fails(() => cluster([]), "shape", /at least one row/);
  await fails(() => averageLinkage([[0, 1], [1]]), "shape", /distances\[1\]/);
  for (const wrong of [Number.NaN, -1, 2, Number.POSITIVE_INFINITY])
    await fails(
      () =>
        averageLinkage([
          [0, wrong],
          [1, 0],
        ]),
      "argument",
      /distances\[0\]\[1\]/,
    );
  await fails(() => cluster(onLine(0, 1, 2), { leastSilhouette: 2 }), "argument", /leastSilhouette/);
});

test.run();
