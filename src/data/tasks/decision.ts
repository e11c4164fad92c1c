// Decision: evidence for one of two sides is integrated; the accuracy of the ideal observer is known.

import { ArgumentError } from "../../core/errors.ts";
import { generatedSet, type KnownAnswer, type TaskSet, taskSet } from "./taskSet.ts";

const SIDES = ["negative", "positive"] as const;
const FIXATION = 0;
const EVIDENCE = 1;
const CHANNELS = 2;

/**
 * A trial: fixation, evidence, delay, answer. Inputs are [steps, 2]: 1 until the answer begins, then 0; the evidence, else 0. A side s = ±1
 * is drawn; each step of evidence is s·strength plus standard normal noise, or a pulse s with probability (1 + strength)/2, else −s. The
 * target is the side, at each step of the answer; other steps do not count. The ideal observer goes by the sign of the sum.
 */
export const decision: TaskSet = taskSet("decision", {
  summary: "tell by noisy evidence which of two sides it comes from",
  options: {
    evidence: {
      kind: "choice",
      help: "gaussian: noise of standard deviation 1 around the strength; pulses: +1 or -1, with the strength as mean",
      default: "gaussian",
      values: ["gaussian", "pulses"],
    },
    strength: {
      kind: "number",
      help: "mean evidence of a step for the right side",
      default: 0.6,
      least: 0.01,
      most: 10,
    },
    fixation: { kind: "whole", help: "steps before the evidence", default: 2, least: 0, most: 4096 },
    stimulus: { kind: "whole", help: "steps of evidence", default: 16, least: 1, most: 4096 },
    delay: { kind: "whole", help: "steps between evidence and answer", default: 0, least: 0, most: 4096 },
    answer: { kind: "whole", help: "steps of the answer", default: 4, least: 1, most: 4096 },
  },
  make: ({ options, parts }) => {
    const { evidence, strength, fixation, stimulus, delay, answer } = options;
    if (evidence === "pulses" && strength > 1) {
      throw new ArgumentError(
        "decision",
        "strength",
        "at most 1, the mean of pulses that are never wrong",
        `${strength}`,
      );
    }
    const answerFrom = fixation + stimulus + delay;
    const steps = answerFrom + answer;
    const sets = parts((count, key) =>
      generatedSet(
        {
          inputSize: CHANNELS,
          steps,
          target: { kind: "class", width: 1, classes: 2, times: steps },
          weighted: true,
          source: `decision: ${stimulus} steps of ${evidence === "pulses" ? "pulses" : "Gaussian evidence"}`,
          classNames: SIDES,
        },
        count,
        key,
        (stream, { inputs, targets, weights }) => {
          const side = stream.below(2);
          const sign = 2 * side - 1;
          for (let t = 0; t < answerFrom; t++) inputs[t * CHANNELS + FIXATION] = 1;
          for (let t = fixation; t < fixation + stimulus; t++) {
            const forSide =
              evidence === "gaussian" ? strength + stream.normal() : stream.uniform() < (1 + strength) / 2 ? 1 : -1;
            inputs[t * CHANNELS + EVIDENCE] = sign * forSide;
          }
          targets.fill(side, answerFrom);
          weights.fill(1, answerFrom);
        },
      ),
    );
    const { accuracy, loss } = (evidence === "gaussian" ? idealOfNormal : idealOfPulses)(strength, stimulus);
    return { ...sets, known: knownOf(accuracy, loss) };
  },
});

function knownOf(accuracy: number, loss: number): Record<string, KnownAnswer> {
  const reason =
    "the ideal observer sums the evidence; both sides are equally likely, and the answer begins after the evidence";
  return {
    accuracy: { best: accuracy, memoryless: 0.5, chance: 0.5, reason },
    loss: { best: loss, memoryless: Math.LN2, chance: Math.LN2, reason },
  };
}

interface Ideal {
  readonly accuracy: number;
  /** E ln(1 + e^(−L)), L the logarithm of the posterior odds of the right side. */
  readonly loss: number;
}

/** The sum of n steps is normal with mean n·μ and variance n; L = 2μ·sum. */
function idealOfNormal(mean: number, n: number): Ideal {
  const d = mean * Math.sqrt(n);
  // The trapezoidal rule converges faster than any power of its step for an analytic integrand that vanishes at both ends.
  const step = 1 / 64;
  let loss = 0;
  for (let z = -12; z <= 12; z += step) loss += softplus(-2 * d * (d + z)) * normalDensity(z) * step;
  return { accuracy: normalDistribution(d), loss };
}

/** The right pulses among n are binomial; L = net·ln(p/(1 − p)), net the right pulses less the wrong ones. */
function idealOfPulses(mean: number, n: number): Ideal {
  const p = (1 + mean) / 2;
  const odds = Math.log(p / (1 - p));
  let accuracy = 0;
  let loss = 0;
  binomial(n, p).forEach((probability, right) => {
    const net = 2 * right - n;
    if (net >= 0) accuracy += net === 0 ? probability / 2 : probability;
    if (probability > 0) loss += probability * softplus(-net * odds);
  });
  return { accuracy, loss };
}

/** Probabilities of 0 … n successes. */
function binomial(n: number, p: number): Float64Array {
  const probabilities = new Float64Array(n + 1);
  probabilities[0] = 1;
  for (let trial = 1; trial <= n; trial++) {
    for (let k = trial; k >= 0; k--) {
      probabilities[k] = (1 - p) * probabilities[k]! + (k > 0 ? p * probabilities[k - 1]! : 0);
    }
  }
  return probabilities;
}

/** ln(1 + e^x) */
function softplus(x: number): number {
  return x > 0 ? x + Math.log1p(Math.exp(-x)) : Math.log1p(Math.exp(x));
}

function normalDensity(z: number): number {
  return Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI);
}

/** Φ(x) for x ≥ 0: ½ + φ(x)·(x + x³/3 + x⁵/(3·5) + …), all terms positive. Source: Abramowitz, Stegun, 26.2.11. */
function normalDistribution(x: number): number {
  // 1 − Φ(10) is below the resolution of double precision.
  if (x > 10) return 1;
  let term = x;
  let sum = 0;
  for (let n = 3; term > 0 && sum + term !== sum; n += 2) {
    sum += term;
    term *= (x * x) / n;
  }
  return 0.5 + normalDensity(x) * sum;
}
