import { suite } from "uvu";
import * as assert from "uvu/assert";
import { syntheticDigits } from "../../src/data/syntheticDigits.ts";
import { fails } from "../io/fixtures.ts";

const test = suite("syntheticDigits");
const key = [5, 6] as const;
const PIXELS = 28 * 28;

test("an image depends on the key and its number only", () => {
  const all = syntheticDigits(40, key);
  const part = syntheticDigits(10, key, { first: 25 });
  assert.equal(part.images, all.images.slice(25 * PIXELS, 35 * PIXELS));
  assert.equal(part.labels, all.labels.slice(25, 35));
  assert.not.equal(syntheticDigits(40, [5, 7]).images, all.images);
});

test("the form is MNIST's: ten classes, equally likely, 28 × 28, about as much ink", () => {
  const { images, labels, count, height, width, classes } = syntheticDigits(5000, key);
  assert.equal([count, height, width, classes], [5000, 28, 28, 10]);
  for (let c = 0; c < 10; c++) {
    // Binomial: 500 ± 21; five standard deviations.
    assert.ok(Math.abs(labels.filter((label) => label === c).length - 500) < 107);
  }
  const mean = images.reduce((sum, pixel) => sum + pixel, 0) / images.length / 255;
  assert.ok(mean > 0.09 && mean < 0.16, `mean ${mean}; MNIST has 0.13`);
  const blank = images.reduce((sum, pixel) => sum + (pixel === 0 ? 1 : 0), 0) / images.length;
  assert.ok(blank > 0.7 && blank < 0.9, `blank ${blank}; MNIST has 0.81`);
});

test("digits lie in the middle of the image, by their centre of mass", () => {
  const { images, count } = syntheticDigits(200, key);
  for (let i = 0; i < count; i++) {
    let [mass, x, y] = [0, 0, 0];
    for (let p = 0; p < PIXELS; p++) {
      const ink = images[i * PIXELS + p]!;
      mass += ink;
      x += ink * (p % 28);
      y += ink * Math.floor(p / 28);
    }
    assert.ok(Math.hypot(x / mass - 13.5, y / mass - 13.5) < 4);
  }
});

test("the classes can be learnt, but not from a handful of examples", () => {
  const train = syntheticDigits(2000, key);
  const held = syntheticDigits(500, key, { first: 2000 });
  // Nearest class mean: far above chance, far from perfect.
  const means = new Float64Array(10 * PIXELS);
  const counts = new Float64Array(10);
  train.labels.forEach((label, i) => {
    counts[label]!++;
    for (let p = 0; p < PIXELS; p++) means[label * PIXELS + p]! += train.images[i * PIXELS + p]!;
  });
  let correct = 0;
  held.labels.forEach((label, i) => {
    const distances = Array.from(counts, (n, c) => {
      let sum = 0;
      for (let p = 0; p < PIXELS; p++) sum += (held.images[i * PIXELS + p]! - means[c * PIXELS + p]! / n) ** 2;
      return sum;
    });
    if (distances.indexOf(Math.min(...distances)) === label) correct++;
  });
  const accuracy = correct / held.count;
  assert.ok(accuracy > 0.6 && accuracy < 0.92, `nearest mean ${accuracy}`);
});

test("a count or position that is no whole number is refused", async () => {
  await fails(() => syntheticDigits(-1, key), "argument", /count/);
  await fails(() => syntheticDigits(1, key, { first: 0.5 }), "argument", /first/);
  assert.is(syntheticDigits(0, key).images.length, 0);
});

test.run();
