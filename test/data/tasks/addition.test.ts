import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { SampleSet } from "../../../src/data/sampleSet.ts";
import { addition } from "../../../src/data/tasks/addition.ts";
import { fails } from "../../io/fixtures.ts";

const test = suite("addition");
const samples = { train: 4000, validation: 1000, test: 4000 };

/** Expressions as they are written, with their targets. */
async function written(set: SampleSet, count: number): Promise<[expression: string, sum: number][]> {
  const { inputs, targets } = await set.read(
    Array.from({ length: count }, (_, i) => i),
    null,
  );
  const steps = set.steps!;
  return Array.from({ length: count }, (_, k) => {
    const symbols = Array.from({ length: steps }, (_, t) => {
      const frame = inputs.slice((k * steps + t) * 12, (k * steps + t + 1) * 12);
      const ones = [..."0123456789+="].filter((_, s) => frame[s] === 1);
      assert.is(frame.filter((x) => x !== 0).length, ones.length);
      return ones.length === 0 ? " " : ones.join("");
    });
    return [symbols.join(""), targets[k]!];
  });
}

test("an expression is read symbol by symbol, then nothing; the target is its sum", async () => {
  const { train } = addition.make({ seed: 1, samples, options: { operands: 3, digits: 2, wait: 2 } });
  assert.equal([train.steps, train.inputSize, train.target.classes], [11, 12, 298]);
  for (const [expression, sum] of await written(train, 200)) {
    const parts = /^(\d\d)\+(\d\d)\+(\d\d)= {2}$/.exec(expression);
    assert.ok(parts, expression);
    assert.is(sum, Number(parts[1]) + Number(parts[2]) + Number(parts[3]));
    assert.is(train.classNames![sum], `${sum}`);
  }
});

test("each symbol lasts as many steps as it should", async () => {
  const { train } = addition.make({ seed: 1, samples, options: { hold: 3, wait: 1 } });
  for (const [expression] of await written(train, 20)) assert.match(expression, /^(\d)\1\1\+\+\+(\d)\2\2=== $/);
});

test("all expressions are equally likely", async () => {
  const { train } = addition.make({ seed: 3, samples });
  const counts = new Map<string, number>();
  for (const [expression] of await written(train, 4000)) counts.set(expression, (counts.get(expression) ?? 0) + 1);
  assert.is(counts.size, 100);
  // Binomial: 40 ± 6.3; five standard deviations.
  for (const [expression, count] of counts) assert.ok(Math.abs(count - 40) < 32, `${expression}: ${count}`);
});

test("expressions that are held out are in validation and test, and no others are", async () => {
  const { train, validation, test: held } = addition.make({ seed: 1, samples, options: { heldOut: 0.2 } });
  const of = async (set: SampleSet) => new Set((await written(set, set.count)).map(([expression]) => expression));
  const [trained, validated, tested] = [await of(train), await of(validation), await of(held)];
  assert.equal([trained.size, tested.size, validated.size], [80, 20, 20]);
  assert.equal([...validated].sort(), [...tested].sort());
  assert.is(new Set([...trained, ...tested]).size, 100);
});

test("chance is the distribution of sums, counted expression by expression", () => {
  const sums = new Float64Array(28);
  for (let a = 0; a < 10; a++) for (let b = 0; b < 10; b++) for (let c = 0; c < 10; c++) sums[a + b + c]!++;
  const { accuracy, loss } = addition.make({ seed: 1, samples, options: { operands: 3 } }).known;
  assert.is(accuracy!.chance, Math.max(...sums) / 1000);
  const entropy = sums.reduce((sum, n) => sum - (n / 1000) * Math.log(n / 1000), 0);
  assert.ok(Math.abs(loss!.chance! - entropy) < 1e-14);
  assert.equal([accuracy!.best, loss!.best], [1, 0]);
});

test("with held-out expressions, chance is that of the expressions of the test", async () => {
  const { known, test: held } = addition.make({ seed: 4, samples, options: { heldOut: 0.1 } });
  const sumOf = new Map(await written(held, 4000));
  const counts = new Float64Array(19);
  for (const sum of sumOf.values()) counts[sum]!++;
  assert.is(known.accuracy!.chance, Math.max(...counts) / 10);
});

test("more expressions than can be listed, or none to hold out, are refused", async () => {
  const make = (options: Record<string, number>) => () => addition.make({ seed: 1, samples, options });
  await fails(make({ operands: 4, digits: 2 }), "argument", /10\^\(operands · digits\)/);
  await fails(make({ heldOut: 0.001 }), "argument", /heldOut/);
});

test.run();
