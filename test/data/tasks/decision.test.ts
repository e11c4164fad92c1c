import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { SampleSet } from "../../../src/data/sampleSet.ts";
import { decision } from "../../../src/data/tasks/decision.ts";
import { match } from "../../../src/data/tasks/match.ts";
import { fails } from "../../io/fixtures.ts";

const test = suite("decision");
const samples = { train: 20_000, validation: 1, test: 1 };

interface Trial {
  /** [steps][channels] */
  readonly frames: readonly (readonly number[])[];
  readonly targets: readonly number[];
  readonly weights: readonly number[];
}

async function trials(set: SampleSet): Promise<Trial[]> {
  const { inputs, targets, weights } = await set.read(
    Array.from({ length: set.count }, (_, i) => i),
    null,
  );
  const { steps, inputSize } = set;
  return Array.from({ length: set.count }, (_, k) => ({
    frames: Array.from({ length: steps! }, (_, t) =>
      Array.from(inputs.subarray((k * steps! + t) * inputSize, (k * steps! + t + 1) * inputSize)),
    ),
    targets: Array.from(targets.subarray(k * steps!, (k + 1) * steps!)),
    weights: Array.from(weights!.subarray(k * steps!, (k + 1) * steps!)),
  }));
}

/** Whether the mean is within five standard errors. */
function isMean(values: readonly number[], expected: number): boolean {
  const mean = values.reduce((sum, x) => sum + x, 0) / values.length;
  const variance = values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / (values.length - 1);
  return Math.abs(mean - expected) < 5 * Math.sqrt(variance / values.length);
}

for (const evidence of ["gaussian", "pulses"] as const) {
  test(`${evidence}: who goes by the sign of the sum has the known accuracy, and the posterior the known loss`, async () => {
    const strength = 0.3;
    // An even number of pulses may add up to nothing: a tie.
    const options = { evidence, strength, stimulus: 10, delay: 1 };
    const { train, known } = decision.make({ seed: 2, samples, options });
    const right: number[] = [];
    const losses: number[] = [];
    for (const { frames, targets } of await trials(train)) {
      const sum = frames.reduce((total, [, x]) => total + x!, 0);
      const side = targets.at(-1)! === 1 ? 1 : -1;
      right.push(sum === 0 ? 0.5 : Math.sign(sum) === side ? 1 : 0);
      const odds = sum * (evidence === "gaussian" ? 2 * strength : Math.log((1 + strength) / (1 - strength)));
      losses.push(Math.log1p(Math.exp(-side * odds)));
    }
    assert.ok(isMean(right, known.accuracy!.best!));
    assert.ok(isMean(losses, known.loss!.best!));
    assert.not(isMean(right, known.accuracy!.best! + 0.03));
  });
}

test("pulses: the ideal observer's accuracy and loss are those of all sequences, one by one", () => {
  const [n, strength] = [9, 0.4];
  let [accuracy, loss] = [0, 0];
  for (let sequence = 0; sequence < 2 ** n; sequence++) {
    const ups = Array.from({ length: n }, (_, k) => (sequence >> k) & 1).reduce((sum, x) => sum + x, 0);
    const ifUp = 0.7 ** ups * 0.3 ** (n - ups);
    const ifDown = 0.3 ** ups * 0.7 ** (n - ups);
    accuracy += Math.max(ifUp, ifDown) / 2;
    loss -= (ifUp * Math.log(ifUp / (ifUp + ifDown)) + ifDown * Math.log(ifDown / (ifUp + ifDown))) / 2;
  }
  const options = { evidence: "pulses", strength, stimulus: n };
  const { known } = decision.make({ seed: 1, samples, options });
  assert.ok(Math.abs(known.accuracy!.best! - accuracy) < 1e-13);
  assert.ok(Math.abs(known.loss!.best! - loss) < 1e-13);
});

test("Gaussian evidence: tabulated values of the normal distribution", () => {
  for (const [strength, stimulus, accuracy] of [
    [1, 1, 0.8413447460685429],
    [0.5, 16, 0.9772498680518208],
    [1, 9, 0.9986501019683699],
    [10, 4, 1],
  ] as const) {
    const { known } = decision.make({ seed: 1, samples, options: { strength, stimulus } });
    assert.ok(Math.abs(known.accuracy!.best! - accuracy) < 1e-15, `${known.accuracy!.best}`);
  }
});

test("a trial: fixation until the answer begins, evidence for its steps only, targets in the answer only", async () => {
  const options = { fixation: 2, stimulus: 3, delay: 1, answer: 2 };
  const { train } = decision.make({ seed: 1, samples: { ...samples, train: 50 }, options });
  for (const { frames, targets, weights } of await trials(train)) {
    assert.equal(
      frames.map(([fixation]) => fixation),
      [1, 1, 1, 1, 1, 1, 0, 0],
    );
    assert.equal(
      frames.map(([, x]) => x !== 0),
      [false, false, true, true, true, false, false, false],
    );
    assert.equal(weights, [0, 0, 0, 0, 0, 0, 1, 1]);
    assert.is(targets[6], targets[7]);
  }
});

test("pulses stronger than sure are refused; sure ones make no errors", async () => {
  const make = (strength: number) => decision.make({ seed: 1, samples, options: { evidence: "pulses", strength } });
  await fails(() => make(1.5), "argument", /strength/);
  assert.equal([make(1).known.accuracy!.best, make(1).known.loss!.best], [1, 0]);
});

test("match: the answer is whether cue and probe are the same; neither alone says anything", async () => {
  const options = { cues: 3, fixation: 1, stimulus: 2, delay: 3, answer: 2 };
  const { train } = match.make({ seed: 1, samples, options });
  const same: number[][][] = Array.from({ length: 2 }, () => Array.from({ length: 3 }, () => []));
  for (const { frames, targets, weights } of await trials(train)) {
    const shown = frames.map((frame) => frame.slice(1).indexOf(1));
    const [cue, probe] = [shown[1]!, shown[6]!];
    assert.equal(shown, [-1, cue, cue, -1, -1, -1, probe, probe, -1, -1]);
    assert.equal(
      frames.map((frame) => frame.reduce((sum, x) => sum + x, 0)),
      [1, 2, 2, 1, 1, 1, 2, 2, 0, 0],
    );
    assert.equal(weights, [0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
    assert.equal(targets.slice(8), cue === probe ? [1, 1] : [0, 0]);
    same[0]![cue]!.push(targets[8]!);
    same[1]![probe]!.push(targets[8]!);
  }
  for (const answers of same.flat()) {
    assert.ok(isMean(answers, 0.5));
    // Binomial: 20,000/3 ± 67; five standard deviations.
    assert.ok(Math.abs(answers.length - samples.train / 3) < 334);
  }
});

test.run();
