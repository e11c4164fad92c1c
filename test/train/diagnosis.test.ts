// What a diagnosis says, and above all when it says nothing.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { resolveConfig } from "../../src/run/configLayers.ts";
import { inFlags } from "../../src/run/remedies.ts";
import { describeDiagnosis, diagnose, type TrainingState } from "../../src/train/diagnosis.ts";

const test = suite("diagnosis");

const HEALTHY = {
  saturated: 0,
  silent: 0.3,
  featureSpread: 0.8,
  constantFeatures: 0.1,
  deadUnits: null,
  stats: [],
} as const;

const STATE: TrainingState = {
  step: 50,
  meanLoss: 1.5,
  classes: 10,
  chance: Math.log(10),
  gradientNorms: [
    ["weights", 3],
    ["biases", 1],
    ["read-out", 3],
    ["read-out", 4],
  ],
  standardised: false,
};

const faults = (probe: Partial<Parameters<typeof diagnose>[0]>, state: Partial<TrainingState> = {}): string[] =>
  diagnose({ ...HEALTHY, ...probe }, { ...STATE, ...state }).findings.map(({ fault }) => fault);

test("a healthy training, early or late, has no findings", () => {
  assert.equal(faults({}), []);
  assert.equal(faults({}, { meanLoss: 2.31, step: 10 }), []);
  assert.equal(faults({ deadUnits: 0.5 }), []);
  assert.equal(faults({ silent: 0.9, constantFeatures: 0.9 }), []);
});

test("a dead read-out and features without differences are told at once, but not of the untrained network", () => {
  assert.equal(faults({ deadUnits: 0.95 }, { step: 5 }), ["dead-read-out"]);
  assert.equal(faults({ constantFeatures: 1 }, { step: 5 }), ["constant-features"]);
  assert.equal(faults({ deadUnits: 1, constantFeatures: 1, saturated: 1 }, { step: 0, meanLoss: null }), []);
});

test("a saturated network is told if it does not learn, and not if it does", () => {
  assert.equal(faults({ saturated: 0.8 }, { meanLoss: 2.3, step: 25 }), ["saturated"]);
  assert.equal(faults({ saturated: 0.8 }, { meanLoss: 2.3, step: 10 }), []);
  assert.equal(faults({ saturated: 0.8 }, { meanLoss: 1.9, step: 25 }), []);
});

test("a loss that stays at chance is told after 200 steps, unless a reason is", () => {
  assert.equal(faults({}, { meanLoss: 2.3, step: 199 }), []);
  assert.equal(faults({}, { meanLoss: 2.3, step: 200 }), ["stalled"]);
  assert.equal(faults({}, { meanLoss: Number.NaN, step: 200 }), ["stalled"]);
  assert.equal(faults({ deadUnits: 1 }, { meanLoss: 2.3, step: 200 }), ["dead-read-out"]);
  assert.equal(faults({}, { meanLoss: 1.2, chance: Math.log(4), step: 200 }), []);
});

test("without a known loss of guessing, only what keeps any training from working is told", () => {
  const numbers = { chance: null, classes: null, meanLoss: 2.3, step: 200 } as const;
  assert.equal(faults({ saturated: 1 }, numbers), []);
  const { findings } = diagnose({ ...HEALTHY, constantFeatures: 1 }, { ...STATE, ...numbers });
  assert.match(findings[0]!.message, /^this run can hardly learn: what is read out is the same for every sample\. Try/);
  const [binary] = diagnose({ ...HEALTHY, constantFeatures: 1 }, { ...STATE, ...numbers, chance: Math.LN2 }).findings;
  assert.match(binary!.message, /^this run is heading for a loss of 0\.693, which is guessing/);
});

test("messages say where the loss goes, why, and what to change, in options or as the caller says", () => {
  const ill = [
    { ...HEALTHY, deadUnits: 0.953, saturated: 0.87 },
    { ...STATE, meanLoss: 2.3 },
  ] as const;
  const { findings } = diagnose(...ill);
  assert.match(findings[0]!.message, /heading for a loss of ln 10 = 2\.303, which is guessing: 95 % of the read-out's/);
  assert.match(
    findings[0]!.message,
    /differ between samples by 80 % .*Try standardise: true, or fcDim: null with a smaller lr$/,
  );
  assert.match(
    findings[1]!.message,
    /87 % of the neurons are saturated.* 6e-1 of the read-out's.*neuronNonlinearity: "ReLU"$/,
  );
  for (const { message } of findings) assert.not.match(message, /--/, "flags mean nothing to a program");
  const [first, second] = diagnose(...ill, inFlags(resolveConfig([{ preset: "tutorial" }]))).findings;
  assert.match(first!.message, /Try --standardise, or --fc-dim none with a smaller --lr$/);
  assert.match(second!.message, /Try --weights signed --normalise rows, a smaller --gain, or --nonlinearity ReLU$/);
});

test("only settings that the run has, and that would change it, are advised", () => {
  const probe = { ...HEALTHY, constantFeatures: 1, saturated: 1 };
  const messages = (...config: Parameters<typeof resolveConfig>[0]) =>
    diagnose(probe, { ...STATE, meanLoss: 2.3, step: 200 }, inFlags(resolveConfig(config))).findings.map(
      ({ message }) => message.split(". Try ")[1],
    );
  assert.equal(messages({}), [
    "a longer --end-time, a larger --gain, or other neurons to --readout",
    "a smaller --gain",
  ]);
  assert.equal(messages({ data: "addition", time: "discrete", head: "groups", nonlinearity: "Tanh", gain: 3 }), [
    "more --recurrences, a larger --gain, or a larger --group-size",
    "a smaller --gain, or --nonlinearity ReLU",
  ]);
  // Nothing is said where there is nothing to try.
  assert.equal(messages({ wiring: "none", readout: "all" }), ["a longer --end-time", undefined]);
  const stalled = (config: Parameters<typeof resolveConfig>[0][number], standardised: boolean) =>
    diagnose(HEALTHY, { ...STATE, meanLoss: 2.3, step: 200, standardised }, inFlags(resolveConfig([config])))
      .findings[0]!.message;
  assert.match(stalled({}, true), /Try another --lr, or --preset retina, which is known to learn$/);
  assert.match(
    stalled({ preset: "demo", data: "addition", time: "discrete", standardise: false }, false),
    /Try another --lr, --standardise, or --preset addition, which is known to learn$/,
  );
  assert.match(stalled({ data: "samples.npz", time: "discrete" }, true), /Try another --lr$/);
});

test("gradients are summed up by group, and the line for people has every measure", () => {
  const diagnosis = diagnose({ ...HEALTHY, deadUnits: 0.25 }, STATE);
  assert.equal(diagnosis.gradients, { weights: 3, biases: 1, "read-out": 5 });
  const line = describeDiagnosis(diagnosis);
  assert.match(
    line,
    /^step 50: 0 % of neurons saturated, 30 % silent; features vary by 80 % of their size, 10 % not at/,
  );
  assert.match(line, /25 % of hidden units dead; gradients weights 3\.0, biases 1\.0, read-out 5\.0$/);
  const first = diagnose({ ...HEALTHY, featureSpread: null }, { ...STATE, step: 0, gradientNorms: null });
  assert.is(describeDiagnosis(first), "step 0: 0 % of neurons saturated, 30 % silent; all features 0");
});

test.run();
