// What was found about an ensemble, as its folder and its page have it.

import type { PartName } from "../data/sampleArrays.ts";
import type { TaskDescription } from "../train/taskDescription.ts";
import type { OutputScale } from "./averageOutputs.ts";
import type { ComparedNumbers } from "./comparedNumbers.ts";
import type { EnsembleStatistics, MemberSpread, ParameterSpread } from "./ensemble.ts";

/** Mean activity of groups of neurons over time, of all members. */
export interface EnsembleResponses {
  /** Samples that the mean is over; of the member that failed on most. */
  readonly samples: number;
  readonly part: PartName;
  readonly groups: readonly { readonly name: string; readonly neurons: number }[];
  /** In time constants; of a network in discrete time numbers of steps. */
  readonly ts: readonly number[];
  /** [members][groups][times] */
  readonly values: readonly (readonly (readonly number[])[])[];
}

/** Values of a parameter that has one per connection or neuron: how far apart the members' distributions are. */
export interface DistributionSpread {
  readonly parameter: string;
  readonly of: string;
  /** Values of a member, and how many of them were compared. */
  readonly values: number;
  readonly compared: number;
  /** Mean over pairs of members of `distributionDistance`. */
  readonly distance: number;
  /** In standard deviations of the values of all members; null: they do not vary. */
  readonly relative: number | null;
}

/** Predictions of members, and of all together. */
export interface EnsemblePrediction {
  readonly part: PartName;
  readonly samples: number;
  /** Samples that some member failed on: left out of the common prediction. */
  readonly failed: number;
  /** What is averaged: see `OutputAverage`. */
  readonly scale: OutputScale;
  /** Metrics and loss (without penalties), of each member and of the mean of their outputs. */
  readonly metrics: readonly {
    readonly name: string;
    readonly better: "higher" | "lower";
    readonly members: readonly number[];
    readonly spread: MemberSpread | null;
    readonly best: number | null;
    readonly ensemble: number;
  }[];
}

/** What the same analysis found of every member. */
export interface EnsembleAnalysis {
  /** Of its records, and which analysis it is. */
  readonly name: string;
  readonly kind: string;
  readonly numbers: readonly ComparedNumbers[];
}

/** Everything about an ensemble. */
export interface EnsembleResult {
  readonly members: readonly {
    readonly name: string;
    readonly folder: string;
    readonly seed: number;
    readonly step: number;
    readonly version: string;
  }[];
  /** Runs that were not taken, and why. */
  readonly leftOut: readonly { readonly folder: string; readonly reason: string }[];
  /** Settings other than the seed in which members differ; `values` [members]. */
  readonly differences: readonly { readonly setting: string; readonly values: readonly unknown[] }[];
  readonly task: TaskDescription;
  readonly statistics: EnsembleStatistics;
  readonly parameters: readonly ParameterSpread[];
  readonly distributions: readonly DistributionSpread[];
  /** null: no analysis was asked for. */
  readonly analysis: EnsembleAnalysis | null;
  /** null: members are compared by an analysis. */
  readonly responses: EnsembleResponses | null;
  readonly prediction: EnsemblePrediction | null;
  /** What a user should know, a sentence each. */
  readonly notes: readonly string[];
}
