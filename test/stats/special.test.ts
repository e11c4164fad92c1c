// Special functions and Student's t against tabulated values.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { incompleteBeta, logGamma, normalCdf, positiveZero } from "../../src/stats/special.ts";
import { detectableNoncentrality, tCritical, tPower, tTails } from "../../src/stats/studentT.ts";
import { fails } from "../io/fixtures.ts";

const test = suite("special functions of statistics");

/** Relative to the larger of 1 and the expected value. */
function close(actual: number, expected: number, tolerance: number, what = ""): void {
  const error = Math.abs(actual - expected) / Math.max(1, Math.abs(expected));
  assert.ok(error <= tolerance, `${what}: expected ${expected}, got ${actual}`);
}

test("log Γ at factorials, at 1/2 and below", () => {
  let factorial = 1;
  for (let n = 1; n <= 20; n++) {
    close(logGamma(n), Math.log(factorial), 1e-14, `${n}`);
    factorial *= n;
  }
  close(logGamma(0.5), Math.log(Math.PI) / 2, 1e-14);
  close(logGamma(0.25), Math.log(3.625609908221908), 1e-14);
});

test("I_x(a, b) where it is elementary, and its symmetry", async () => {
  for (const x of [0, 1e-9, 0.1, 0.5, 0.93, 1]) {
    close(incompleteBeta(x, 1, 1), x, 1e-14);
    close(incompleteBeta(x, 3, 1), x ** 3, 1e-14);
    close(incompleteBeta(x, 1, 4), 1 - (1 - x) ** 4, 1e-14);
    close(incompleteBeta(x, 0.5, 0.5), (2 / Math.PI) * Math.asin(Math.sqrt(x)), 1e-14);
    close(incompleteBeta(x, 2.5, 7) + incompleteBeta(1 - x, 7, 2.5), 1, 1e-14);
  }
  // Binomial: P(X ≥ 40) of 100 tosses, by counting.
  let sum = 0;
  let choose = 1;
  for (let k = 0; k <= 100; k++) {
    if (k >= 40) sum += choose;
    choose = (choose * (100 - k)) / (k + 1);
  }
  close(incompleteBeta(0.5, 40, 61), sum / 2 ** 100, 1e-12);
  await fails(() => incompleteBeta(1.5, 1, 1), "argument", /from 0 to 1/);
});

test("Φ against tabulated values", () => {
  const table = [
    [0, 0.5],
    [1, 0.8413447460685429],
    [1.959963984540054, 0.975],
    [3, 0.9986501019683699],
    [-2, 0.0227501319481792],
    [-5, 2.866515718791939e-7],
    [9, 1],
  ] as const;
  for (const [x, p] of table) close(normalCdf(x), p, 1e-15, `${x}`);
});

/** Two-sided critical values; NIST/SEMATECH e-Handbook of Statistical Methods, §1.3.6.7.2. */
const CRITICAL: Readonly<Record<number, readonly [tails: number, t: number][]>> = {
  1: [
    [0.2, 3.078],
    [0.05, 12.706],
    [0.01, 63.657],
  ],
  2: [
    [0.1, 2.92],
    [0.05, 4.303],
    [0.002, 22.327],
  ],
  4: [
    [0.1, 2.132],
    [0.05, 2.776],
    [0.01, 4.604],
  ],
  9: [
    [0.05, 2.262],
    [0.02, 2.821],
  ],
  19: [[0.05, 2.093]],
  30: [[0.05, 2.042]],
  100: [[0.05, 1.984]],
};

test("critical values of t are those of the tables, and t with few degrees of freedom has closed forms", () => {
  for (const [df, rows] of Object.entries(CRITICAL))
    for (const [tails, t] of rows)
      assert.is(tCritical(tails, Number(df)).toFixed(3), t.toFixed(3), `${df} degrees of freedom, ${tails}`);
  for (const t of [-30, -1, 0, 0.3, 2, 1e6]) {
    close(tTails(t, 1), 1 - (2 / Math.PI) * Math.atan(Math.abs(t)), 1e-14, `Cauchy at ${t}`);
    close(tTails(t, 2), 1 - Math.abs(t) / Math.sqrt(2 + t * t), 1e-13, `two at ${t}`);
  }
  close(tTails(1.959963984540054, 1e7), 0.05, 1e-7);
  assert.is(tTails(Number.POSITIVE_INFINITY, 4), 0);
  assert.ok(Number.isNaN(tTails(Number.NaN, 4)));
});

test("power is the level at no effect, that of the normal test with many pairs, and tabulated in between", () => {
  for (const df of [1, 2, 4, 9, 200]) {
    // Levels of few controls, of many, and the smallest that the command takes: the integrand is narrow then.
    for (const alpha of [0.05, 0.05 / 14, 1e-6])
      close(tPower(0, tCritical(alpha, df), df), alpha, 1e-8 * alpha, `${df}`);
  }
  // By integration of the noncentral density with SciPy (scipy.stats.nct), two tails.
  close(tPower(Math.sqrt(5), tCritical(0.05, 4), 4), 0.401389917371795, 1e-9);
  close(tPower(0.8 * Math.sqrt(10), tCritical(0.05, 9), 9), 0.616232763474406, 1e-9);
  close(tPower(-0.8 * Math.sqrt(10), tCritical(0.05, 9), 9), 0.616232763474406, 1e-9, "either direction");
  // Two-sided normal test: Φ(λ − 1.96) + Φ(−λ − 1.96).
  const normal = normalCdf(2 - 1.959963984540054) + normalCdf(-2 - 1.959963984540054);
  close(tPower(2, tCritical(0.05, 1e6), 1e6), normal, 1e-5);
  // Cohen, Statistical Power Analysis, 2nd ed.: a paired test of d = 0.5 needs 34 pairs for 80 %, one of d = 0.8 needs 15.
  const power = (n: number, d: number): number => tPower(d * Math.sqrt(n), tCritical(0.05, n - 1), n - 1);
  for (const [n, d] of [
    [34, 0.5],
    [15, 0.8],
  ] as const) {
    assert.ok(power(n, d) >= 0.8, `${n}: ${power(n, d)}`);
    assert.ok(power(n - 1, d) < 0.8, `${n - 1}: ${power(n - 1, d)}`);
  }
  for (const df of [2, 4, 19]) {
    const noncentrality = detectableNoncentrality(0.05, df, 0.8);
    close(tPower(noncentrality, tCritical(0.05, df), df), 0.8, 1e-12);
  }
});

test("a zero is found to the last bit", () => {
  close(
    positiveZero((x) => x * x < 2),
    Math.SQRT2,
    Number.EPSILON,
  );
  close(
    positiveZero((x) => x < 1e9 + 0.5),
    1e9 + 0.5,
    Number.EPSILON,
  );
});

test.run();
