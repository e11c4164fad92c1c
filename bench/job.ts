// What the parent process asks of a child, and what the child answers.

import type { DType } from "../src/core/dtype.ts";
import type { Machine, PeerName, Roofline, Row, StepProfileRecord, SuiteName } from "./row.ts";

/** Each job has a process of its own: peak memory is its own, and no GPU device is open where the CPU is timed. */
export type Job =
  | {
      readonly type: "roofline";
      readonly threads: number;
      /** Compiled rates.as. */
      readonly module: string;
      readonly seconds: number;
    }
  | ({ readonly type: "suite"; readonly suite: SuiteName } & SuiteJob)
  | ({ readonly type: "memory" } & SuiteJob);

export interface SuiteJob {
  /** Folder of the network (networks.ts); files that the job makes go there, too. */
  readonly folder: string;
  readonly batches: readonly number[];
  readonly threads: number;
  readonly dtype: DType;
  readonly device: "wasm" | "webgpu";
  readonly peers: readonly PeerName[];
  readonly quick: boolean;
  readonly rounds: number | null;
  readonly profile: boolean;
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
  | { readonly type: "memory"; readonly batch: number; readonly maxRssBytes: number };
