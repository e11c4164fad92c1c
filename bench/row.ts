// The report of a benchmark run: measurements, the machine, and what was left out. Data only.

import type { DType } from "../src/core/dtype.ts";
import type { StepProfile } from "../src/profile/stepProfile.ts";

/** Suites, by their names in `--suite`. */
export const SUITES = ["kernels", "rhs", "solve", "step", "discrete", "load", "startup"] as const;
export type SuiteName = (typeof SUITES)[number];

/** Peers, by their names in `--peers`. */
export const PEERS = ["native-128", "native-wide", "eigen", "scipy", "torch", "tfjs", "jax-js"] as const;
export type PeerName = (typeof PEERS)[number];

export interface Dims {
  readonly neurons: number;
  readonly connections: number;
  /** Samples per run; 0 if the work does not depend on it. */
  readonly batch: number;
}

/** Times of one run of an operation, in seconds. */
export interface Timing {
  readonly medianS: number;
  readonly minS: number;
  /** Half width of the 95 % confidence interval of the mean, in percent of it; null for a single sample. */
  readonly rmePct: number | null;
  readonly samples: number;
}

/** One measurement of axograd (`peer` is null), or of a peer that does the same work on the same data, interleaved with it. */
export interface Row extends Timing {
  readonly suite: SuiteName;
  /** E.g. "spmm", "step.backward". */
  readonly op: string;
  readonly network: string;
  /** "wasm" or "webgpu"; for a peer, its name. */
  readonly backend: string;
  readonly dtype: DType;
  readonly dims: Dims;
  /** Work by formula (cost.ts) over median time; null if no formula applies. */
  readonly gflops: number | null;
  readonly gbps: number | null;
  /** Bytes of one run by formula. */
  readonly bytes: number | null;
  /** Time that the measured rates of this machine allow (roofline/roofline.ts) over median time. */
  readonly fractionOfRoofline: number | null;
  /** Evaluations of the right-hand side in one run; null if there is no solve. */
  readonly rhsEvaluations: number | null;
  readonly peer: string | null;
  /** Peer time / axograd time, medians of one interleaved measurement: above 1, axograd is faster. */
  readonly ratio: number | null;
  /** Most bytes of device buffers during the measurement. */
  readonly peakBytes: number | null;
  /** Largest resident set of a process that did only this, Node itself included. */
  readonly maxRssBytes: number | null;
  /** GPU adapter and its kind; null on the CPU. */
  readonly adapter: string | null;
  readonly cpu: string;
  readonly threads: number;
  readonly node: string;
  readonly commit: string;
}

/** Where the time of one training step went. */
export interface StepProfileRecord extends StepProfile {
  /** Absent in older files: "step". */
  readonly suite?: SuiteName;
  readonly network: string;
  readonly batch: number;
  readonly threads: number;
}

/** Rates of this machine, measured in WASM. Bytes per second and FLOP per second, summed over the threads. */
export interface Roofline {
  readonly threads: number;
  readonly flops: number;
  /** Read and written bytes both count. */
  readonly copy: number;
  /** Reads from working sets of rising size, per thread. */
  readonly levels: readonly RooflineLevel[];
}

export interface RooflineLevel {
  readonly name: "L2" | "L3" | "DRAM";
  /** Its working set in the measurement; larger sets belong to the next level. */
  readonly bytes: number;
  readonly bandwidth: number;
}

/** A power law t = c·x^exponent, fitted to medians. */
export interface Fit {
  readonly op: string;
  readonly against: "connections" | "batch";
  /** The fixed parameters, e.g. "batch 8, 2 threads". */
  readonly at: string;
  readonly exponent: number;
  readonly points: number;
}

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly os: string;
  readonly node: string;
  readonly commit: string;
}

/** Content of the file `--json`. */
export interface Report {
  readonly startedAt: string;
  readonly arguments: readonly string[];
  /** Other activity of the machine, in words. */
  readonly label: string;
  /** Mean number of runnable processes in the minute before the start and before the end. */
  readonly load: { readonly before: number; readonly after: number };
  readonly machine: Machine;
  readonly rooflines: readonly Roofline[];
  readonly rows: readonly Row[];
  readonly fits: readonly Fit[];
  /** Of runs with --profile. */
  readonly profiles?: readonly StepProfileRecord[];
  /** What was skipped or refused, and why. */
  readonly notes: readonly string[];
  /** Kernels whose results were wrong; they have no rows. */
  readonly refused: readonly string[];
}
