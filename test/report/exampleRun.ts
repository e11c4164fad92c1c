// A made-up run with everything that a report can show; nothing is trained for it.

import { csrFromCoo } from "../../src/core/csr.ts";
import { keyOfSeed, RandomStream } from "../../src/core/random.ts";
import { imageSamples } from "../../src/data/imageSamples.ts";
import type { Samples } from "../../src/data/sampleSet.ts";
import { syntheticDigits } from "../../src/data/syntheticDigits.ts";
import { groupsByProjections } from "../../src/report/groups.ts";
import { shownSamples } from "../../src/report/observation.ts";
import type { ReportParts } from "../../src/report/report.ts";
import type { EvaluationRecord } from "../../src/train/metrics.ts";
import { classificationTask } from "../../src/train/taskDescription.ts";
import type { StepMetrics } from "../../src/train/trainer.ts";

const N = 60;
const STEPS = 40;
const TIMES = 8;

/** 40 of 40 steps, two validations and a test, a checkpoint at the end. */
export function exampleParts(): ReportParts {
  const random = new RandomStream(keyOfSeed(5));
  const uniform = (length: number) => Float64Array.from({ length }, () => random.uniform());
  const entries = Array.from(
    { length: 400 },
    () => [random.below(N), random.below(N), random.uniform() - 0.4] as const,
  );
  const weights = csrFromCoo({
    nRows: N,
    nCols: N,
    rows: entries.map(([i]) => i),
    cols: entries.map(([, j]) => j),
    values: entries.map(([, , w]) => w),
  });
  const groups = groupsByProjections(
    N,
    (i) => i < 15,
    (i) => i >= 40,
  );
  const images = syntheticDigits(12, keyOfSeed(1));
  const samples = imageSamples(images);
  const examples = Array.from({ length: images.count }, (_, index) => ({
    index,
    pixels: images.images.subarray(index * 784, (index + 1) * 784),
    width: 28,
    height: 28,
    label: images.labels[index]!,
    answer: index % 4 === 0 ? (images.labels[index]! + 1) % 10 : images.labels[index]!,
    probability: random.uniform(),
  }));
  const before = uniform(weights.nnz);
  return {
    analyses: [],
    run: {
      folder: "runs/example",
      start: {
        version: "0.0.0",
        task: classificationTask(10),
        config: { preset: "demo", batchSize: 8, lr: 1e-3, data: null, standardise: true },
        ...{ samples: null, known: null, files: null, provenance: null },
        network: { source: "made up", neurons: N, connections: weights.nnz },
        data: { source: "generated <digits>", train: 80, validation: 20, test: 50, classes: 10 },
        tuning: null,
        device: "wasm f32, 1 thread",
        trainedParameters: 1234,
        stepsPerEpoch: 10,
        lastStep: STEPS,
        environment: { node: "v20", platform: "linux", arch: "x64", cpu: "a processor" },
      },
      steps: Array.from({ length: STEPS }, (_, k) => stepMetrics(k + 1)),
      evaluations: [evaluation("validation", 20), evaluation("validation", STEPS), evaluation("test", STEPS)],
      findings: [],
      failure: null,
      missingSteps: 0,
      summary: {
        steps: STEPS,
        seconds: 20,
        trainingLoss: 0.3,
        recovery: null,
        validation: { set: "validation", metrics: { accuracy: 0.91 }, loss: 0.4 },
        test: { set: "test", metrics: { accuracy: 0.91 }, loss: 0.4 },
        peakMemoryBytes: 2e8,
        statedMemoryBytes: 1.9e8,
        deviceMemory: { peakBytes: 5e7, largestBytes: 9e6 },
        interrupted: null,
        stepsPerSecond: 1.5,
      },
    },
    network: { weights, groups },
    observations: {
      step: STEPS,
      responses: {
        examples,
        sampleSet: "test",
        activity: {
          inputs: shownSamples(samples, samples.read([0, 1, 2, 3], null) as Samples),
          ts: Array.from({ length: TIMES }, (_, k) => k / (TIMES - 1)),
          numNeurons: N,
          hs: uniform(4 * TIMES * N),
          groups,
        },
      },
      changes: [
        { name: "weights", of: "connections", before, after: before.map((w) => w * 1.1 - 0.05) },
        { name: "bias", of: "neurons", before: new Float64Array(N), after: uniform(N) },
        { name: "tau", of: "neurons", before: new Float64Array(N).fill(1), after: new Float64Array(N).fill(1) },
      ],
    },
  };
}

function stepMetrics(step: number): StepMetrics {
  const loss = 2.3 * Math.exp(-step / 20);
  return {
    step,
    epoch: Math.floor((step - 1) / 10),
    loss,
    metrics: { accuracy: 1 - loss / 2.4 },
    meanLoss: loss,
    meanMetrics: { accuracy: 1 - loss / 2.4 },
    learningRate: 1e-3,
    solver: { rhsEvaluations: 44, steps: { min: 6, mean: 7.2, max: 9 }, rejected: step % 5, failed: 0 },
    seconds: 0.5,
    stepsPerSecond: 2,
    eta: 0,
    lastStep: STEPS,
  };
}

function evaluation(set: EvaluationRecord["set"], step: number): EvaluationRecord {
  const confusion = Array.from({ length: 10 }, (_, i) =>
    Array.from({ length: 10 }, (_, j) => (i === j ? 97 : (i * 7 + j * 3) % 5)),
  );
  return { set, step, loss: 0.4, metrics: { accuracy: 0.91 }, count: 1200, failed: 0, seconds: 3, confusion };
}
