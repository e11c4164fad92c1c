// Settings with several values: lists, and numbers by pattern.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { parserOf } from "../../src/cli/values.ts";
import {
  assignments,
  listOf,
  parameterPattern,
  penaltyOfParameters,
  readoutTimes,
  real,
  whole,
  word,
} from "../../src/run/settingTypes.ts";
import { fails } from "../io/fixtures.ts";

const test = suite("types of settings");

const patterns = listOf(word("PATTERN"));
const rates = assignments(word("PATTERN"), real({ above: 0 }));
const penalties = assignments(penaltyOfParameters(), real({ above: 0 }));

test("a list is read from text and data; repetitions and empty parts are refused", () => {
  assert.equal(patterns.read("weights, rnn.*,time constants"), ["weights", "rnn.*", "time constants"]);
  assert.equal(patterns.read(["weights"]), ["weights"]);
  assert.equal(listOf(whole(1)).read("3,4"), [3, 4]);
  for (const wrong of ["", "a,,b", "a,a", [], ["a", 3], ["a,b"], [" a"], 3, null, {}])
    assert.is(patterns.read(wrong), undefined, JSON.stringify(wrong));
});

test("assignments keep their order; names and numbers are checked", () => {
  const read = rates.read("*=1e-3, read-out = 0.01")!;
  assert.equal(Object.entries(read), [
    ["*", 1e-3],
    ["read-out", 0.01],
  ]);
  assert.equal(rates.read({ weights: 2 }), { weights: 2 });
  for (const wrong of [
    "",
    "weights",
    "weights=",
    "=1",
    "weights=0",
    "weights=x",
    "a=1,a=2",
    {},
    { a: "1" },
    [],
    3,
    null,
  ])
    assert.is(rates.read(wrong), undefined, JSON.stringify(wrong));
});

test("penalties have a kind and a pattern", () => {
  assert.equal(penalties.read("l2:weights=1e-4,distance:rnn.*=0.5"), { "l2:weights": 1e-4, "distance:rnn.*": 0.5 });
  for (const wrong of ["weights=1", "l3:weights=1", "l2:=1", "l2:weights=-1"])
    assert.is(penalties.read(wrong), undefined, wrong);
});

test("patterns may have neurons in brackets, whose commas, bars and equals signs belong to them", () => {
  assert.equal(penalties.read("l2:weights[pre: type=T4a,T4b]=1e-4, l1:biases=2"), {
    "l2:weights[pre: type=T4a,T4b]": 1e-4,
    "l1:biases": 2,
  });
  const patterns = listOf(parameterPattern());
  assert.equal(patterns.read('biases[type="a],b"], weights[side!=L][pre: x|y]'), [
    'biases[type="a],b"]',
    "weights[side!=L][pre: x|y]",
  ]);
  const { schema } = parameterPattern();
  for (const right of [
    "weights",
    "rnn.hh.*",
    "!biases",
    "biases[T4*]",
    "weights [pre: a,b][post: c]",
    "time constants",
  ]) {
    assert.is(parameterPattern().read(right), right);
    assert.match(right, new RegExp(schema.pattern as string));
  }
  for (const wrong of ["", "biases[", "biases[]", "biases[a &]", "[a]", "!biases[a]", "a,b", "biases[a]b", 3, null])
    assert.is(parameterPattern().read(wrong), undefined, String(wrong));
});

test("times of a read-out are named, or ascending indices", () => {
  const times = readoutTimes();
  for (const name of ["auto", "last", "all", "last:4"]) assert.is(times.read(name), name);
  assert.equal(times.read("3"), [3]);
  assert.equal(times.read("0, 3,7"), [0, 3, 7]);
  assert.equal(times.read([0, 3]), [0, 3]);
  for (const wrong of ["", "last:0", "last:", "first", "3,", "3,3", "3,1", "-1", "0.5", [], ["last"], [2, 1], null, {}])
    assert.is(times.read(wrong), undefined, JSON.stringify(wrong));
});

test("a wrong value on the command line is shown with what was expected", async () => {
  const message = /expected PATTERN=a number above 0, or several, separated by commas, got "weights" \(--lr-of\)/;
  await fails(() => parserOf(rates, "--lr-of")("weights"), "argument", message);
  await fails(() => parserOf(penalties, "--penalty")("l3:a=1"), "argument", /expected KIND:PATTERN=.* got "l3:a=1"/);
});

test.run();
