// Paired statistics: examples by hand, and simulated studies that show whether intervals, levels and power are what they claim.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { deriveKey, keyOfSeed, RandomStream } from "../../src/core/random.ts";
import { equivalenceP, hedgesCorrection, holm, pairedStatistics, signFlipP } from "../../src/stats/paired.ts";
import { type PairedRuns, type VerdictRules, verdicts } from "../../src/stats/verdict.ts";
import { fails } from "../io/fixtures.ts";

const test = suite("paired statistics");

const RULES: VerdictRules = { better: "higher", alpha: 0.05, smallestEffect: null, allowMissing: false };

function close(actual: number | null, expected: number, tolerance: number): void {
  assert.ok(actual !== null && Math.abs(actual - expected) <= tolerance, `expected ${expected}, got ${actual}`);
}

test("an example by hand", () => {
  // 1 … 5: mean 3, s = √2.5, t = 3/(√2.5/√5) = 4.2426 with 4 degrees of freedom; J(4) = Γ(2)/(√2·Γ(1.5)) = 0.797885.
  const {
    n,
    mean,
    sd,
    interval,
    p,
    effectSize,
    signFlipP: flips,
  } = pairedStatistics([1, 2, 3, 4, 5], 5, { alpha: 0.05 });
  assert.equal([n, mean, flips], [5, 3, null]);
  close(sd, Math.sqrt(2.5), 1e-14);
  close(interval![0], 3 - 2.7764451 * Math.sqrt(0.5), 1e-6);
  close(interval![1], 3 + 2.7764451 * Math.sqrt(0.5), 1e-6);
  // For four degrees of freedom: P = 1 − u·(3 − u²)/2, u = t/√(4 + t²).
  const u = Math.sqrt(18 / 22);
  close(p, 1 - (u * (3 - u * u)) / 2, 1e-13);
  close(hedgesCorrection(4), Math.sqrt(2 / Math.PI), 1e-14);
  close(effectSize, (Math.sqrt(2 / Math.PI) * 3) / Math.sqrt(2.5), 1e-13);
});

test("what cannot be computed is null, and a spread within rounding is none", async () => {
  assert.equal(pairedStatistics([], 0, { alpha: 0.05 }).mean, null);
  assert.equal(pairedStatistics([2], 2, { alpha: 0.05 }).sd, null);
  // 0.95 − 0.94 and 0.85 − 0.84 differ in the last bits only.
  const same = pairedStatistics([0.95 - 0.94, 0.85 - 0.84, 0.55 - 0.54], 0.95, { alpha: 0.05 });
  assert.equal([same.sd, same.interval, same.p, same.effectSize, same.detectable], [0, null, null, null, null]);
  const two = pairedStatistics([1, 2], 2, { alpha: 0.05 });
  assert.is(two.effectSize, null);
  assert.ok(two.interval !== null);
  await fails(() => pairedStatistics([1, Number.NaN], 1, { alpha: 0.05 }), "argument", /finite numbers, got NaN/);
});

test("sign flips are counted exactly", () => {
  // All of one sign: the two choices of equal signs among 2^n.
  for (const n of [6, 9, 20]) assert.is(signFlipP(Array.from({ length: n }, (_, k) => 1 + k / n)), 2 / 2 ** n);
  // By brute force over all signs.
  const d = [0.4, -0.1, 0.3, 0.2, -0.4, 0.25, 0.1];
  const total = Math.abs(d.reduce((sum, x) => sum + x, 0));
  let asLarge = 0;
  for (let bits = 0; bits < 2 ** d.length; bits++) {
    const sum = d.reduce((s, x, k) => s + ((bits >> k) & 1 ? x : -x), 0);
    if (Math.abs(sum) >= total - 1e-12) asLarge++;
  }
  assert.is(signFlipP(d), asLarge / 2 ** d.length);
  assert.is(signFlipP([1, -1, 1, -1, 1, -1]), 1);
});

test("Holm corrects as in his table; what has no p-value makes no other easier", () => {
  const corrected = holm([0.01, 0.04, 0.03, 0.005]);
  [0.03, 0.06, 0.06, 0.02].forEach((p, k) => {
    close(corrected[k]!, p, 1e-15);
  });
  assert.equal(holm([0.02, null]), [0.04, null]);
  assert.equal(holm([0.9, 0.8]), [1, 1]);
});

test("equivalence: two one-sided tests, whose 90 % interval lies within the margin", () => {
  const statistics = pairedStatistics([0.1, -0.1, 0.2, -0.2, 0.05], 1, { alpha: 0.1 });
  const [low, high] = statistics.interval!;
  const margin = Math.max(-low, high);
  close(equivalenceP(statistics, margin), 0.05, 1e-9);
  assert.ok(equivalenceP(statistics, 1.1 * margin)! < 0.05);
  assert.ok(equivalenceP(statistics, 0.9 * margin)! > 0.05);
  assert.is(equivalenceP(pairedStatistics([1, 1, 1], 1, { alpha: 0.05 }), 2), null);
});

function runsOf(control: string, real: readonly (number | null)[], other: readonly (number | null)[]): PairedRuns {
  return { control, pairs: real.map((value, seed) => ({ seed, real: value, control: other[seed]! })) };
}

function kindsOf(pairs: readonly PairedRuns[], rules: Partial<VerdictRules> = {}): string[] {
  return verdicts(pairs, { ...RULES, ...rules }).map(({ kind }) => kind);
}

test("verdicts: direction by metric, and what is stated instead of one", () => {
  const high = [0.95, 0.951, 0.949, 0.952, 0.95];
  const low = [0.9, 0.902, 0.901, 0.899, 0.901];
  assert.equal(kindsOf([runsOf("c", high, low)]), ["better"]);
  assert.equal(kindsOf([runsOf("c", low, high)]), ["worse"]);
  assert.equal(kindsOf([runsOf("c", high, low)], { better: "lower" }), ["worse"]);
  assert.equal(kindsOf([runsOf("c", high, high)]), ["none"]);
  const shifted = high.map((x) => x + 0.001);
  assert.equal(kindsOf([runsOf("c", shifted, high)]), ["undecided"], "the same difference in every pair");
  assert.equal(kindsOf([runsOf("c", high.slice(0, 2), low.slice(0, 2))]), ["too-few"]);
  const missing = [...low.slice(0, 4), null];
  assert.equal(kindsOf([runsOf("c", high, missing)]), ["undecided"]);
  assert.equal(kindsOf([runsOf("c", high, [...low.slice(0, 4), Number.NaN])]), ["undecided"]);
  assert.equal(kindsOf([runsOf("c", high, missing)], { allowMissing: true }), ["better"]);
  const gone = [...low.slice(0, 2), null, null, null];
  assert.equal(kindsOf([runsOf("c", high, gone)], { allowMissing: true }), ["too-few"]);
});

test("equivalence is claimed only with a smallest effect of interest, by a test", () => {
  const real = [0.95, 0.951, 0.949, 0.952, 0.95];
  const near = [0.951, 0.95, 0.95, 0.951, 0.95];
  assert.equal(kindsOf([runsOf("c", real, near)]), ["none"]);
  assert.equal(kindsOf([runsOf("c", real, near)], { smallestEffect: 0.01 }), ["equivalent"]);
  assert.equal(kindsOf([runsOf("c", real, near)], { smallestEffect: 0.0005 }), ["none"]);
  // A difference that is found, and does not matter.
  const below = real.map((x, k) => x - 0.002 - 0.0001 * (k % 2));
  const [verdict] = verdicts([runsOf("c", real, below)], { ...RULES, smallestEffect: 0.01 });
  assert.equal([verdict!.kind, verdict!.isEquivalent], ["better", true]);
});

// ---- simulated studies -------------------------------------------------------------------------------------------------

const STUDIES = 4000;
type Draw = (stream: RandomStream) => number;
const normal: Draw = (stream) => stream.normal();
/** Exponential, mean 0 and variance 1: skewness 2. */
const skewed: Draw = (stream) => -Math.log(1 - stream.uniform()) - 1;

/** Largest deviation of a share from its expectation: four standard errors of STUDIES studies, passed by chance once in 16,000. */
function error(share: number): number {
  return 4 * Math.sqrt((share * (1 - share)) / STUDIES);
}

function shareOf(name: string, isSo: (stream: RandomStream) => boolean): number {
  const stream = new RandomStream(deriveKey(keyOfSeed(1), name));
  let count = 0;
  for (let k = 0; k < STUDIES; k++) if (isSo(stream)) count++;
  return count / STUDIES;
}

function drawn(n: number, draw: () => number): number[] {
  return Array.from({ length: n }, draw);
}

/** A study with the given number of controls, each shifted against the network; seeds have effects that its runs share. */
function study(stream: RandomStream, n: number, shifts: readonly number[], draw: Draw): PairedRuns[] {
  const seeds = drawn(n, () => 3 * normal(stream));
  const real = seeds.map((effect) => effect + draw(stream));
  return shifts.map((shift, k) =>
    runsOf(
      `control ${k}`,
      real,
      seeds.map((effect) => effect + draw(stream) - shift),
    ),
  );
}

function covers(differences: readonly number[], truth: number): boolean {
  const [low, high] = pairedStatistics(differences, 100, { alpha: 0.05 }).interval!;
  return low <= truth && truth <= high;
}

test("95 % intervals of normal differences cover the truth in 95 % of studies, ties and differences, for 3, 5 and 30 pairs", () => {
  for (const n of [3, 5, 30]) {
    for (const truth of [0, 0.7]) {
      const share = shareOf(`${n} ${truth}`, (stream) =>
        covers(
          drawn(n, () => truth + normal(stream)),
          truth,
        ),
      );
      assert.ok(Math.abs(share - 0.95) <= error(0.95), `${n} pairs, ${truth}: ${share}`);
    }
  }
});

test("intervals of skewed differences are too short with few pairs, and approach their level with more", () => {
  const [few, many] = [5, 60].map((n) =>
    shareOf(`skewed ${n}`, (stream) =>
      covers(
        drawn(n, () => skewed(stream)),
        0,
      ),
    ),
  ) as [number, number];
  assert.ok(few > 0.85 && few < 0.92, `${few}`);
  assert.ok(many > few + error(0.9) && many > 0.92, `${many}`);
});

test("under ties any difference is claimed in at most 5 % of studies with four controls, normal or skewed", () => {
  for (const [name, draw] of Object.entries({ normal, skewed })) {
    for (const n of [3, 5, 8]) {
      const share = shareOf(`ties ${name} ${n}`, (stream) =>
        kindsOf(study(stream, n, [0, 0, 0, 0], draw)).some((kind) => kind !== "none"),
      );
      assert.ok(share <= 0.05 + error(0.05), `${name}, ${n} pairs: ${share}`);
    }
  }
});

test("without the correction the share is above 5 %: the test sees false claims", () => {
  const share = shareOf("uncorrected", (stream) =>
    study(stream, 5, [0, 0, 0, 0], normal).some((runs) => kindsOf([runs])[0] !== "none"),
  );
  assert.ok(share > 0.05 + 2 * error(0.05), `${share}`);
});

test("a true difference as large as the detectable one is found in 80 % of studies", () => {
  for (const [n, m] of [
    [3, 1],
    [5, 4],
    [8, 4],
  ] as const) {
    // The spread of the differences is known here: √2.
    const spread = drawn(n, () => 0).map((_, k) => (k % 2 === 0 ? 1 : -1));
    const { sd, detectable } = pairedStatistics(spread, 1, { alpha: 0.05, detectableAlpha: 0.05 / m });
    const truth = (Math.SQRT2 * detectable!) / sd!;
    const share = shareOf(`power ${n} ${m}`, (stream) => {
      const [runs] = study(stream, n, [truth], normal);
      return kindsOf([runs!], { alpha: 0.05 / m })[0] === "better";
    });
    assert.ok(Math.abs(share - 0.8) <= error(0.8), `${n} pairs, ${m} controls: ${share}`);
  }
});

test("networks that differ by the smallest effect are called equivalent in at most 5 % of studies", () => {
  const share = shareOf("equivalence", (stream) =>
    verdicts(study(stream, 8, [2, -2], normal), { ...RULES, smallestEffect: 2 }).some((it) => it.isEquivalent),
  );
  assert.ok(share <= 0.05 + error(0.05), `${share}`);
});

test.run();
