// Early stopping: patience, improvements, and a state that goes on after a resume.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { EarlyStopping, type EarlyStoppingOptions } from "../../src/train/earlyStopping.ts";
import { fails } from "../io/fixtures.ts";

const test = suite("early stopping");

/** The number of the evaluation, from 1, after which the training ends; null: it goes on. */
function endOf(options: EarlyStoppingOptions, values: readonly number[]): number | null {
  const stopping = new EarlyStopping(options);
  const at = values.findIndex((value, i) => stopping.isOver(10 * (i + 1), value));
  return at < 0 ? null : at + 1;
}

test("stops after `patience` evaluations in a row without an improvement", () => {
  const lower = { patience: 2, better: "lower" } as const;
  assert.is(endOf(lower, [3, 2, 2.5, 1, 1, 1]), 6);
  assert.is(endOf(lower, [3, 2, 1, 0.5]), null);
  assert.is(endOf({ ...lower, patience: 1 }, [3, 3]), 2);
  assert.is(endOf({ patience: 2, better: "higher" }, [0.1, 0.2, 0.15, 0.2]), 4);
});

test("an improvement is larger than minDelta, from the best value", () => {
  const options = { patience: 2, better: "lower", minDelta: 0.5 } as const;
  assert.is(endOf(options, [3, 2.75, 2.25, 1.5]), null);
  assert.is(endOf(options, [3, 2.75, 2.5, 1]), 3);
});

test("what is no number is no improvement, also where nothing was before; an infinite loss can be improved on", () => {
  const lower = { patience: 3, better: "lower" } as const;
  assert.is(endOf(lower, [Number.NaN, Number.NaN, Number.NaN]), 3);
  assert.is(endOf(lower, [Number.NaN, 1, Number.NaN, Number.NaN]), null);
  assert.is(endOf(lower, [Number.POSITIVE_INFINITY, 5, 6, 6, 6]), 5);
});

test("a restored state goes on as the whole would", () => {
  const options = { patience: 3, better: "higher" } as const;
  const values = [0.1, 0.5, 0.4, 0.3, 0.2];
  for (let cut = 0; cut < values.length; cut++) {
    const first = new EarlyStopping(options);
    values.slice(0, cut).forEach((value, i) => {
      assert.not.ok(first.isOver(i, value));
    });
    const rest = new EarlyStopping(options);
    rest.restore(JSON.parse(JSON.stringify(first.state)));
    assert.equal(rest.state, first.state);
    values.slice(cut).forEach((value, i) => {
      assert.is(rest.isOver(cut + i, value), cut + i === 4);
    });
    assert.equal(rest.state, { best: { value: 0.5, step: 1 }, waited: 3 });
    assert.ok(rest.isExhausted);
  }
});

test("options and states that make no sense are refused by name", async () => {
  const make = (options: object) => () =>
    new EarlyStopping({ patience: 1, better: "lower", ...options } as EarlyStoppingOptions);
  await fails(make({ patience: 0 }), "argument", /whole number of at least 1, got 0 \(patience\)/);
  await fails(make({ patience: 1.5 }), "argument", /patience/);
  await fails(make({ better: "more" }), "argument", /"higher" or "lower", got more \(better\)/);
  await fails(make({ minDelta: -1 }), "argument", /minDelta/);
  await fails(make({ patients: 3 }), "argument", /expected patience, or another option/);
  const stopping = make({})();
  await fails(() => stopping.restore({ best: null, waited: -1 }), "argument", /waited/);
  await fails(() => stopping.restore({ best: { value: Number.NaN, step: 1 }, waited: 0 }), "argument", /best/);
  assert.equal(stopping.state, { best: null, waited: 0 });
});

test.run();
