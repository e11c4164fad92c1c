// Messages between the parent process and a child: jobs and answers.

import type { DType } from "../src/core/dtype.ts";
import type { Machine, PeerName, Roofline, Row, StepProfileRecord, SuiteName } from "./row.ts";

/** Each job has its own process: so peak memory is that of the job, and no GPU device is open while the CPU is timed. */
export type Job =
  | {
      readonly type: "roofline";
      readonly threads: number;
      /** Compiled rates.as. */
      readonly module: string;
      readonly seconds: number;
    }
  | ({ readonly type: "suite"; readonly suite: SuiteName } & SuiteJob)
  | ({ readonly type: "memory"; readonly suite: "step" | "discrete" } & SuiteJob);

export interface SuiteJob {
  /** Folder of the network (networks.ts) and of files that the job makes. */
  readonly folder: string;
  readonly batches: readonly number[];
  readonly threads: number;
  readonly dtype: DType;
  readonly device: "wasm" | "webgpu";
  readonly peers: readonly PeerName[];
  readonly quick: boolean;
  readonly rounds: number | null;
  readonly profile: boolean;
  /** Of suite discrete: updates in a training step, and whether the weights are fixed. */
  readonly steps: number;
  readonly frozen: boolean;
  /** null on a GPU: the rates of the CPU say nothing about it. */
  readonly roofline: Roofline | null;
  readonly machine: Machine;
}

export type Answer =
  | { readonly type: "roofline"; readonly roofline: Roofline }
  | { readonly type: "row"; readonly row: Row }
  | { readonly type: "profile"; readonly profile: StepProfileRecord }
  /** Something was skipped, and why. */
  | { readonly type: "note"; readonly text: string }
  /** A kernel had wrong results. */
  | { readonly type: "refused"; readonly text: string }
  /** Peak memory of a process that did one training step. */
  | { readonly type: "memory"; readonly suite: SuiteName; readonly batch: number; readonly maxRssBytes: number };
