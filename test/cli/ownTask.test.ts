// What docs/your-own-task.md promises of arrays on the command line: a wiring and two arrays train as they are; mistakes are named before
// the first step.

import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { keyOfSeed, RandomStream } from "../../src/core/random.ts";
import { arraySamples } from "../../src/data/arraySamples.ts";
import { logNormalConnectome } from "../../src/data/connectomes.ts";
import { writeSamples } from "../../src/data/writeSamples.ts";
import { writeSparseNpz } from "../../src/io/npz.ts";
import { tempDir } from "../io/fixtures.ts";
import { axograd } from "./process.ts";

const test = suite("a task of the user");
const dir = tempDir();
const COUNT = 80;

test.before(async () => {
  await writeSparseNpz(join(dir, "wiring.npz"), logNormalConnectome({ neurons: 200, connections: 2000, seed: 1 }));
  const random = new RandomStream(keyOfSeed(1));
  const data = Float32Array.from({ length: COUNT * 4 }, () => random.normal());
  const targets = Float32Array.from({ length: COUNT }, (_, i) => data[4 * i]! - data[4 * i + 1]!);
  const sets = arraySamples({
    inputs: { shape: [COUNT, 4], data },
    targets: { shape: [COUNT, 1], data: targets },
  });
  await writeSamples(join(dir, "mine.npz"), sets.train);
});

const train = (...options: readonly string[]) =>
  axograd(["train", "--connectome", "wiring.npz", "--data", "mine.npz", "--steps", "3", "--threads", "1", ...options], {
    cwd: dir,
  });

test("a wiring and two arrays need no further options", async () => {
  const { code, stderr, stdout } = await train("--out", "run", "--no-report");
  assert.is(code, 0, stderr);
  assert.match(stdout + stderr, /to 1 number/);
  assert.match(stdout + stderr, /validation {2}r2 -?[\d.]+, mse [\d.]+/);
  assert.not.match(stdout + stderr, /shifted/, "the preset's shift is for images");
});

for (const [name, options, message] of [
  ["a shift of what is no picture", ["--shift", "2"], /only images can be shifted, got 2 \(--shift\)/],
  ["smoothing without classes", ["--label-smoothing", "0.1"], /targets that are classes, .* \(--label-smoothing\)/],
  ["balanced classes without classes", ["--class-weights", "balanced"], /targets that are classes, .*--class-weights/],
  ["targets that the loss cannot take", ["--loss", "poisson"], /mine\.npz \(train\): .*at least 0 .*sample \d+ /],
] as const) {
  test(`refused before a run begins: ${name}`, async () => {
    const { code, stderr } = await train(...options, "--out", "refused");
    assert.is(code, 2, stderr);
    assert.match(stderr, message);
    assert.not.match(stderr, /last good checkpoint/);
  });
}

test.run();
