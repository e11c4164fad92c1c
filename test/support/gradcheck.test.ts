// The gradient check can fail: on a wrong gradient, on a gradient that is not finite, and where it would be too blunt to tell.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { assertGradient, type Point } from "./gradcheck.ts";

const test = suite("gradcheck");
const point = { x: [0.3, -1.2, 2.5], y: [0.7] };

/** Σ x³ + y·x₀. */
async function cubic({ x, y }: Point): Promise<number> {
  return x![0]! ** 3 + x![1]! ** 3 + x![2]! ** 3 + y![0]! * x![0]!;
}

function slopes(): Record<string, number[]> {
  return { x: point.x.map((x, i) => 3 * x * x + (i === 0 ? point.y[0]! : 0)), y: [point.x[0]!] };
}

async function refuses(gradient: Point, f: (p: Point) => Promise<number> = cubic): Promise<string> {
  try {
    await assertGradient("refused", f, point, gradient);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  return assert.unreachable("the check passed") as never;
}

test("a right gradient passes", () => assertGradient("cubic", cubic, point, slopes()));

test("one entry wrong by a part in a million fails", async () => {
  const gradient = slopes();
  gradient.x![1]! *= 1 + 1e-6;
  assert.match(await refuses(gradient), /derivative along direction/);
});

test("a missing factor, a missing term and NaN fail", async () => {
  const { x, y } = slopes();
  assert.match(await refuses({ x: x!.map((g) => 2 * g), y: y! }), /derivative along direction/);
  assert.match(await refuses({ x: x!, y: [0] }), /derivative along direction/);
  assert.match(await refuses({ x: [Number.NaN, x![1]!, x![2]!], y: y! }), /finite/);
});

test("a function too rough to be differentiated numerically is refused, not passed", async () => {
  const rough = async (p: Point) => (await cubic(p)) + Math.sin(1e7 * p.x![0]!);
  assert.match(await refuses(slopes(), rough), /sharp/);
});

test.run();
