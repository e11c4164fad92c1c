import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { arraySamples } from "../../src/data/arraySamples.ts";
import { openSamples } from "../../src/data/openSamples.ts";
import { writeSamples } from "../../src/data/writeSamples.ts";
import { fails, tempDir } from "../io/fixtures.ts";
import { array, assertSameSamples, labels, normals } from "./sampleFixtures.ts";

const test = suite("writeSamples");
const dir = tempDir();

const SETS = {
  classes: arraySamples({ inputs: normals(1, 600, 3), targets: labels(600, 4), classNames: ["a", "b", "c", "d"] })
    .train,
  "classes at several times": arraySamples(
    {
      ...{ inputs: normals(1, 6, 2, 3), targets: array([6, 2], new Int8Array(12)) },
      ...{ mask: labels(6, 2), times: [1, 2] },
    },
    { classes: 2 },
  ).train,
  numbers: arraySamples({ inputs: normals(1, 6, 3), targets: normals(2, 6, 2), outputNames: ["x", "y"] }).train,
  "numbers at several times, f64": arraySamples({
    inputs: array([2, 1], Float64Array.of(0.1, 0.2)),
    targets: array([2, 2, 1], Float64Array.of(0.1, 0.2, 0.3, 0.4)),
  }).train,
};

for (const [name, set] of Object.entries(SETS)) {
  test(`${name}: written and read again`, async () => {
    for (const extension of [".npz", ".safetensors"]) {
      const file = join(dir, `set${extension}`);
      await writeSamples(file, set);
      const { train } = await openSamples(file, set.target.classes === null ? {} : { classes: set.target.classes });
      assert.equal([train.target, train.steps, train.times], [set.target, set.steps, set.times]);
      if (extension === ".npz") {
        assert.equal([train.classNames, train.outputNames], [set.classNames, set.outputNames]);
      }
      await assertSameSamples(train, set);
    }
  });
}

test("another ending and an empty set are refused", async () => {
  await fails(() => writeSamples(join(dir, "a.csv"), SETS.numbers), "argument", /\.npz or \.safetensors/);
  await fails(() => writeSamples(join(dir, "a.npz"), { ...SETS.numbers, count: 0 } as never), "argument", /samples/);
});

test.run();
