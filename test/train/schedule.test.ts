import { suite } from "uvu";
import * as assert from "uvu/assert";
import { constant, cosine, oneCycle, stepDecay, warmUp } from "../../src/train/schedule.ts";
import { fails } from "../io/fixtures.ts";

const test = suite("schedule");

/** A few roundings of numbers up to 1. */
const close = (actual: number, expected: number): void =>
  assert.ok(Math.abs(actual - expected) < 1e-12, `${actual}, expected ${expected}`);

test("constant and step decay", () => {
  assert.equal([0, 5, 1e6].map(constant), [1, 1, 1]);
  assert.equal([0, 9, 10, 25].map(stepDecay(10, 0.5)), [1, 1, 0.5, 0.25]);
});

test("the cosine falls from 1 to its floor, through the middle at half time, and stays there", () => {
  const factor = cosine(100, 0.2);
  close(factor(0), 1);
  close(factor(50), 0.6);
  close(factor(100), 0.2);
  close(factor(1000), 0.2);
  for (let k = 0; k < 100; k++) assert.ok(factor(k + 1) < factor(k));
});

test("a warm-up rises to 1 in equal steps, then the schedule after it begins", () => {
  const factor = warmUp(4, cosine(10));
  assert.equal([0, 1, 2, 3].map(factor), [0.25, 0.5, 0.75, 1]);
  for (let k = 0; k <= 10; k++) close(factor(4 + k), cosine(10)(k));
});

test("one cycle rises from 1/25 to 1 and falls to 1/250,000, as torch's OneCycleLR", () => {
  const factor = oneCycle(100);
  // torch's phases end at steps 0.3·100 − 1 and 99.
  close(factor(0), 1 / 25);
  close(factor(29), 1);
  close(factor(14.5), (1 + 1 / 25) / 2);
  close(factor(64), (1 + 1 / 25e4) / 2);
  close(factor(99), 1 / 25e4);
  close(factor(500), 1 / 25e4);
});

test("numbers of steps that make no sense are refused", async () => {
  for (const make of [() => cosine(0), () => oneCycle(1.5), () => warmUp(-1), () => stepDecay(0, 1)]) {
    await fails(make, "argument", /whole number of at least 1/);
  }
});

test("factors that are not finite are refused", async () => {
  const { NaN: none } = Number;
  for (const make of [
    () => cosine(3, none),
    () => warmUp(3, undefined, none),
    () => stepDecay(3, none),
    () => oneCycle(3, none),
  ])
    await fails(make, "argument", /a finite number, got NaN/);
  await fails(() => oneCycle(3, 0.3, 0), "argument", /a number above 0, got 0 \(divide\)/);
});

test.run();
