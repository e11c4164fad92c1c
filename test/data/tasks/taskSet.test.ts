import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { SampleSet, Samples } from "../../../src/data/sampleSet.ts";
import { TASK_SETS } from "../../../src/data/tasks/index.ts";
import type { TaskRequest } from "../../../src/data/tasks/taskSet.ts";
import { fails } from "../../io/fixtures.ts";
import { ringNetwork } from "./ringNetwork.ts";

const test = suite("taskSet");

const SAMPLES = { train: 300, validation: 40, test: 50 };
/** What a task is about, and small samples where those of the default are large. */
const OWN: Readonly<Record<string, Partial<TaskRequest>>> = {
  motion: { options: { extent: 2 } },
  teacher: { network: ringNetwork(6) },
};
const make = (name: string, request: Partial<TaskRequest> = {}) =>
  TASK_SETS[name]!.make({ seed: 1, samples: SAMPLES, ...OWN[name], ...request });

/** Every sample as text, to compare whole samples. */
async function texts(set: SampleSet, indices: readonly number[]): Promise<string[]> {
  const samples = await set.read(indices, null);
  return indices.map((_, k) => JSON.stringify(sample(samples, k)));
}

function sample({ size, inputs, targets, weights }: Samples, k: number): number[][] {
  return [inputs, targets, weights ?? []].map((all) => {
    const length = all.length / size;
    return Array.from(all.slice(k * length, (k + 1) * length));
  });
}

const range = (count: number) => Array.from({ length: count }, (_, i) => i);

for (const name of Object.keys(TASK_SETS)) {
  test(`${name}: shapes are as declared, and every target that counts is in range`, async () => {
    const { train, validation, test: held } = make(name);
    assert.equal([train.count, validation.count, held.count], [300, 40, 50]);
    for (const set of [train, validation, held]) {
      const { inputs, targets, weights, size } = await set.read([0, 3, 3, 7], null);
      const { steps, inputSize, target, weighted } = set;
      assert.is(size, 4);
      assert.is(inputs.length, 4 * (steps ?? 1) * inputSize);
      assert.is(targets.length, 4 * (target.times ?? 1) * target.width);
      assert.is(weights?.length ?? null, weighted ? targets.length : null);
      assert.ok(inputs.every(Number.isFinite));
      assert.ok(weights === null || weights.some((w) => w > 0));
      targets.forEach((y, i) => {
        if (weights?.[i] === 0) return;
        if (target.classes === null) assert.ok(Number.isFinite(y));
        else assert.ok(Number.isInteger(y) && y >= 0 && y < target.classes, `${y} at ${i}`);
      });
      if (set.classNames) assert.is(set.classNames.length, target.classes);
    }
  });

  test(`${name}: a sample is a function of seed and index, in whatever order and number it is read`, async () => {
    const { train } = make(name);
    const all = await texts(train, range(300));
    assert.equal(await texts(make(name).train, [299, 5, 5, 0]), [all[299], all[5], all[5], all[0]]);
    // More samples add new ones behind the old ones.
    const more = make(name, { samples: { ...SAMPLES, train: 2 ** 31 } }).train;
    assert.equal(await texts(more, [5, 299]), [all[5], all[299]]);
    assert.is.not((await texts(more, [2 ** 31 - 1]))[0], all[0]);
    const other = await texts(make(name, { seed: 2 }).train, range(300));
    assert.not.equal(other, all);
  });

  test(`${name}: the parts are drawn independently of each other`, async () => {
    const { train, validation, test: held } = make(name);
    const parts = await Promise.all([train, validation, held].map((set) => texts(set, range(40))));
    for (const [a, b] of [
      [0, 1],
      [0, 2],
      [1, 2],
    ] as const) {
      assert.not.equal(parts[a], parts[b]);
    }
  });

  test(`${name}: known answers are ordered from best to chance`, () => {
    const { known } = make(name);
    for (const [metric, { best, memoryless, chance, reason }] of Object.entries(known)) {
      const sign = metric === "loss" ? 1 : -1;
      const given = [best, memoryless, chance].filter((x) => x !== null).map((x) => sign * x);
      for (const value of given) assert.ok(Number.isFinite(value), metric);
      assert.equal(
        given,
        given.toSorted((a, b) => a - b),
        metric,
      );
      assert.ok(reason.length > 0);
    }
  });

  test(`${name}: what does not fit is refused by name`, async () => {
    await fails(() => make(name, { options: { nonsense: 1 } }), "argument", /nonsense/);
    await fails(() => make(name, { seed: -1 }), "argument", /seed/);
    for (const part of ["train", "validation", "test"] as const) {
      for (const count of [0, 1.5, Number.NaN]) {
        await fails(() => make(name, { samples: { ...SAMPLES, [part]: count } }), "argument", new RegExp(part));
      }
    }
    for (const [option, declared] of Object.entries(TASK_SETS[name]!.options)) {
      const bad =
        declared.kind === "choice"
          ? ["nonsense", 1]
          : [declared.least - 1, declared.most + 1, Number.NaN, "1", ...(declared.kind === "whole" ? [1.5] : [])];
      for (const value of bad) {
        await fails(() => make(name, { options: { [option]: value } }), "argument", new RegExp(option));
      }
    }
    const { train } = make(name);
    for (const index of [300, -1, 0.5]) await fails(() => train.read([index], null), "argument", /indices/);
  });
}

test.run();
