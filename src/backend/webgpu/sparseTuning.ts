// How a GPU walks sparse matrices: choices that may differ between devices. Only the grouping of sums depends on them.

import { ArgumentError } from "../../core/errors.ts";
import type { PanelLayout } from "../program.ts";
import { panelsAtOnce } from "./panels.ts";
import type { SparsePlan } from "./plan.ts";

/**
 * Choices of the sparse kernels. One record serves all matrices of a backend. Sums are grouped by `limits` (Y = W·X and Wᵀ·G) and by
 * `gradPanels` (the gradient of W, and other sums over lanes beside a product); the other choices leave every bit as it is.
 */
export interface SparseTuning {
  /** Most entries of a row that 1, 4 and 16 threads walk; a longer row gets 64. */
  readonly limits: readonly [number, number, number];
  /** Rows of a kind are walked in order of their length within windows of this size; 1: as stored, Infinity: all in order. */
  readonly window: number;
  /** Most panels of lanes that a thread of spmm.wgsl visits per read of indices and values. */
  readonly panels: number;
  /** The same for spmmGrad.wgsl, and for spmm.wgsl where it sums over lanes: a dispatch then covers this many panels. */
  readonly gradPanels: number;
  /** How threads of spmmGrad.wgsl add up: in quads, which need the feature "subgroups", or through the workgroup's memory. */
  readonly exchange: "quads" | "workgroup";
}

export const SPARSE_TUNING: SparseTuning = {
  limits: [16, 256, 1024],
  window: Number.POSITIVE_INFINITY,
  panels: 4,
  gradPanels: 4,
  exchange: "quads",
};

/** The user's choices over the defaults. Without the feature "subgroups" the default exchange is the workgroup's memory. */
export function tuningOf(choices: Partial<SparseTuning>, hasSubgroups: boolean): SparseTuning {
  const exchange = hasSubgroups ? SPARSE_TUNING.exchange : "workgroup";
  return { ...SPARSE_TUNING, exchange, ...choices };
}

/** @throws {ArgumentError} naming a choice that no kernel supports, or that does not exist */
export function checkChoices(choices: Partial<SparseTuning>, where = "createWebGpuBackend"): void {
  const { limits, window, panels, gradPanels, exchange } = { ...SPARSE_TUNING, ...choices };
  const refuse = (name: string, expected: string, got: unknown): never => {
    throw new ArgumentError(where, `sparseTuning.${name}`, expected, `${got}`);
  };
  for (const name of Object.keys(choices)) {
    if (!(name in SPARSE_TUNING)) refuse(name, `one of ${Object.keys(SPARSE_TUNING).join(", ")}`, name);
  }
  const isLimit = (limit: unknown, k: number): boolean =>
    (Number.isInteger(limit) || limit === Number.POSITIVE_INFINITY) && (limit as number) > (limits[k - 1] ?? 0);
  const grows = Array.isArray(limits) && limits.length === 3 && limits.every(isLimit);
  if (!grows) refuse("limits", "three whole numbers that grow", limits);
  if (!(window === Number.POSITIVE_INFINITY || (Number.isInteger(window) && window >= 1))) {
    refuse("window", "a whole number of at least 1, or Infinity", window);
  }
  for (const [name, value] of [
    ["panels", panels],
    ["gradPanels", gradPanels],
  ] as const) {
    if (![1, 2, 4, 8].includes(value)) refuse(name, "1, 2, 4 or 8", value);
  }
  if (exchange !== "quads" && exchange !== "workgroup") refuse("exchange", '"quads" or "workgroup"', exchange);
}

/** Whether rows are dealt out to threads in the same way. */
export function isSameTable(a: SparseTuning, b: SparseTuning): boolean {
  return a.window === b.window && a.limits.every((limit, k) => limit === b.limits[k]);
}

export function isSameTuning(a: SparseTuning, b: SparseTuning): boolean {
  const names = Object.keys(SPARSE_TUNING) as (keyof SparseTuning)[];
  return isSameTable(a, b) && names.every((name) => name === "limits" || a[name] === b[name]);
}

/** Panels per thread. */
export function blockPanels({ crossesLanes }: SparsePlan, layout: PanelLayout, tuning: SparseTuning): number {
  return panelsAtOnce(crossesLanes ? tuning.gradPanels : tuning.panels, layout);
}
