// Start and results of a run as plain JSON: config.json, summary.json, and the first and last line of the metrics.

import { arch, cpus, platform } from "node:os";
import type { Backend } from "../backend/backend.ts";
import { VERSION } from "../core/version.ts";
import type { Facts } from "../io/jsonParts.ts";
import type { Provenance } from "../io/provenance.ts";
import type { RecoveryFacts } from "../report/runRecord.ts";
import type { TrainConfig } from "../run/config.ts";
import type { RunInputs } from "../run/experiment.ts";
import type { MemoryPlan } from "../run/memoryPlan.ts";
import { factsOf, type InputFacts } from "../run/runStart.ts";
import { type RunTuning, runTuningJson } from "../run/tuning.ts";
import type { EvaluationRecord, EvaluationSet } from "../train/metrics.ts";
import type { MetricValues, TaskDescription } from "../train/taskDescription.ts";
import type { StepMetrics, Trainer } from "../train/trainer.ts";
import type { WarmStart } from "../train/warmStart.ts";
import { describeRanks, type RunRanks } from "./ranks.ts";
import type { StopSignal } from "./signals.ts";

/** A run before its first step: its configuration, and facts about its network, data and device. */
export interface RunStart extends InputFacts {
  readonly version: string;
  readonly config: TrainConfig;
  /** Which loss and metrics there are. */
  readonly task: TaskDescription;
  readonly device: string;
  /** The choices of sparse kernels of the run's GPU, and where they come from; null: no GPU has computed. */
  readonly tuning: Facts | null;
  /** Numbers that training changes. */
  readonly trainedParameters: number;
  readonly stepsPerEpoch: number;
  readonly lastStep: number;
  readonly environment: Readonly<Record<"node" | "platform" | "arch" | "cpu", string>> & { readonly ranks?: string };
  /** The processes that train together; absent: one does. */
  readonly ranks?: RunRanks;
  /** What it was stated to take. */
  readonly memory?: MemoryPlan;
  /** Of a run with `initFrom`: which parameters it began with. */
  readonly init?: WarmStart | Facts;
}

export function describeStart(
  config: TrainConfig,
  inputs: RunInputs,
  backend: Backend,
  trainer: Trainer,
  { tuning = null, ranks = null }: { readonly tuning?: RunTuning | null; readonly ranks?: RunRanks | null } = {},
): RunStart {
  return {
    version: VERSION,
    config,
    task: trainer.task,
    ...factsOf(inputs),
    device: backend.description,
    tuning: tuning && runTuningJson(tuning),
    trainedParameters: trainer.optimizer.trainedNumbers,
    stepsPerEpoch: trainer.stepsPerEpoch,
    lastStep: trainer.lastStep(limitsOf(config)),
    environment: {
      ...{ node: process.version, platform: platform(), arch: arch(), cpu: cpus()[0]?.model ?? "unknown" },
      ...(ranks && { ranks: describeRanks(ranks) }),
    },
    ...(ranks && { ranks }),
  };
}

/** Results of a run. */
export interface RunSummary {
  readonly version: string;
  readonly preset: string;
  readonly device: string;
  readonly tuning: Facts | null;
  readonly threads: number;
  /** The processes that trained together at the end; absent: one did. */
  readonly ranks?: RunRanks;
  /** null: gradients were added batch by batch. */
  readonly microBatch: number | null;
  /** Numbers that training changed. */
  readonly trainedParameters: number;
  readonly steps: number;
  /** Epochs completed. */
  readonly epochs: number;
  /** Of all training steps together. */
  readonly seconds: number;
  readonly stepsPerSecond: number;
  /** null in discrete time, where nothing is solved. */
  readonly rhsEvaluationsPerStep: number | null;
  /** Training samples that were left out because their solve failed. */
  readonly failedSamples: number;
  /** Running mean of the last steps; null before the first step. */
  readonly trainingLoss: number | null;
  readonly trainingMetrics: MetricValues | null;
  readonly validation: EvaluationRecord | null;
  readonly test: EvaluationRecord | null;
  /** Of a run whose samples are traces of a known network; null: of other runs. */
  readonly recovery: RecoveryFacts | null;
  /** Of generated samples: values of metrics that are known before any training. */
  readonly known: RunInputs["known"];
  /** How the connectome was made of published files; null: its file does not say it, or it was generated. */
  readonly provenance: Provenance | null;
  /** Largest resident size of the process, the page about the run included. */
  readonly peakMemoryBytes: number;
  /** As it was stated before the run began. */
  readonly statedMemoryBytes?: number;
  /** Before the page was made. */
  readonly trainingPeakMemoryBytes: number;
  /** The page included. */
  readonly deviceMemory: { readonly peakBytes: number; readonly largestBytes: number };
  readonly interrupted: StopSignal | null;
  readonly folder: string;
  readonly files: readonly string[];
}

/** The part of a summary computed from steps, evaluations and memory. */
export function summarise(
  { preset, threads, time, microBatch }: TrainConfig,
  backend: Backend,
  trainer: Trainer,
  steps: readonly StepMetrics[],
  evaluations: readonly EvaluationRecord[],
): Omit<RunSummary, "tuning" | "recovery" | "known" | "provenance" | "interrupted" | "folder" | "files"> {
  const sum = (f: (m: StepMetrics) => number) => steps.reduce((total, m) => total + f(m), 0);
  const last = (set: EvaluationSet) => evaluations.findLast((e) => e.set === set) ?? null;
  const seconds = sum((m) => m.seconds);
  const memory = peakMemory(backend);
  return {
    version: VERSION,
    preset,
    device: backend.description,
    threads,
    microBatch,
    trainedParameters: trainer.optimizer.trainedNumbers,
    steps: trainer.position.step,
    epochs: trainer.position.epoch,
    seconds,
    stepsPerSecond: seconds > 0 ? steps.length / seconds : 0,
    rhsEvaluationsPerStep:
      time === "discrete" ? null : sum((m) => m.solver?.rhsEvaluations ?? 0) / Math.max(1, steps.length),
    failedSamples: sum((m) => m.solver?.failed ?? 0),
    trainingLoss: steps.at(-1)?.meanLoss ?? null,
    trainingMetrics: steps.at(-1)?.meanMetrics ?? null,
    validation: last("validation"),
    test: last("test"),
    ...memory,
    trainingPeakMemoryBytes: memory.peakMemoryBytes,
  };
}

/** The peak of memory so far. */
export function peakMemory(backend: Backend): Pick<RunSummary, "peakMemoryBytes" | "deviceMemory"> {
  const { peakBytes, largestBytes } = backend.memory();
  return { peakMemoryBytes: process.resourceUsage().maxRSS * 1024, deviceMemory: { peakBytes, largestBytes } };
}

/** The limits of training, as the trainer takes them. */
export function limitsOf({ epochs, steps }: TrainConfig): { epochs?: number; steps?: number } {
  return { ...(epochs === null ? {} : { epochs }), ...(steps === null ? {} : { steps }) };
}
