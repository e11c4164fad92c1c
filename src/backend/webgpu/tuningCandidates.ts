// The choices that are worth a trial, the most promising ones first.

import { type Csr, columnOffsets, lengthsOf } from "../../core/csr.ts";
import type { PanelLayout } from "../program.ts";
import { panelsAtOnce } from "./panels.ts";
import type { SparseTuning } from "./sparseTuning.ts";
import type { TrialKernel } from "./trialProducts.ts";

export interface Candidate {
  readonly kernel: TrialKernel;
  readonly tuning: SparseTuning;
}

/**
 * Choices of one kernel that need no other row tables. On an H200 the forward product of 64 lanes took 151 µs with four panels at a time, 149 with two
 * and 153 with one; on an H100 the backward one was best as it is.
 *
 * @param usual  the default
 * @param regroup  whether sums may be grouped otherwise
 */
export function kernelCandidates(usual: SparseTuning, layout: PanelLayout, regroup: boolean): readonly Candidate[] {
  const others = (name: "panels" | "gradPanels", wanted: readonly number[]): readonly SparseTuning[] =>
    // Batches of few panels have the same shader for several choices.
    wanted
      .filter((n) => panelsAtOnce(n, layout) !== panelsAtOnce(usual[name], layout))
      .map((n) => ({ ...usual, [name]: n }));
  const forward = others("panels", [1, 2, 8]).map((tuning): Candidate => ({ kernel: "spmm", tuning }));
  const grad = [
    ...(usual.exchange === "quads" ? [{ ...usual, exchange: "workgroup" as const }] : []),
    ...(regroup ? others("gradPanels", [8, 2, 1]) : []),
  ].map((tuning): Candidate => ({ kernel: "spmmGrad", tuning }));
  return [...forward.slice(0, 1), ...grad, ...forward.slice(1)];
}

/** Row lengths up to which 1, 4 and 16 threads walk. With few lanes smaller ones, with many lanes larger ones were best on an H100. */
const LIMITS: readonly SparseTuning["limits"][] = [
  [16, 128, 512],
  [8, 128, 1024],
  [4, 64, 512],
  [64, 512, 2048],
  [8, 64, 256],
];

/** `limits` that give some row or column of the matrix other threads than the default does, each in another way. */
export function limitsCandidates(csr: Csr, usual: SparseTuning): readonly SparseTuning["limits"][] {
  const lengths = [lengthsOf(csr.rowPtr), lengthsOf(columnOffsets(csr))];
  const known = new Set([dealt(lengths, usual.limits)]);
  return LIMITS.filter((limits) => {
    const key = dealt(lengths, limits);
    return !known.has(key) && known.add(key);
  });
}

/** Rows and columns above each limit: if they are as many, they are the same ones. */
function dealt(lengths: readonly Uint32Array[], limits: SparseTuning["limits"]): string {
  const above = lengths.flatMap((list) =>
    limits.map((limit) => list.reduce((count, length) => count + (length > limit ? 1 : 0), 0)),
  );
  return above.join(" ");
}
