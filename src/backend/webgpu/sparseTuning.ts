// How a GPU is made to walk sparse matrices: what may differ between devices without a difference in what is computed.

import { ArgumentError } from "../../core/errors.ts";
import type { PanelLayout } from "../program.ts";
import { panelsAtOnce } from "./panels.ts";

/**
 * Choices of the sparse kernels. One record serves all matrices of a backend. Sums are grouped by `limits` (Y = W·X and Wᵀ·G) and by
 * `gradPanels` (the gradient of W); the other choices leave every bit as it is.
 */
export interface SparseTuning {
  /** Most entries of a row that 1, 4 and 16 threads walk; a longer row gets 64. */
  readonly limits: readonly [number, number, number];
  /** Rows of a kind are walked in order of their length inside windows of so many; 1: as they are stored, Infinity: all in order. */
  readonly window: number;
  /** Most panels of lanes that a thread of spmm.wgsl visits with one reading of indices and values. */
  readonly panels: number;
  /** The same for spmmGrad.wgsl, whose dispatches cover so many panels each. */
  readonly gradPanels: number;
  /** How threads of spmmGrad.wgsl add up: in quads, which take the feature "subgroups", or through the workgroup's memory. */
  readonly exchange: "quads" | "workgroup";
}

export const SPARSE_TUNING: SparseTuning = {
  limits: [16, 256, 1024],
  window: Number.POSITIVE_INFINITY,
  panels: 4,
  gradPanels: 4,
  exchange: "quads",
};

/** The default with these choices of the user's; without the feature "subgroups", threads exchange through memory unless told otherwise. */
export function tuningOf(choices: Partial<SparseTuning>, hasSubgroups: boolean): SparseTuning {
  const exchange = hasSubgroups ? SPARSE_TUNING.exchange : "workgroup";
  return { ...SPARSE_TUNING, exchange, ...choices };
}

/** @throws {ArgumentError} naming a choice that no kernel has */
export function checkTuning(choices: Partial<SparseTuning>): void {
  const { limits, window, panels, gradPanels, exchange } = { ...SPARSE_TUNING, ...choices };
  const refuse = (name: keyof SparseTuning, expected: string, got: unknown): never => {
    throw new ArgumentError("createWebGpuBackend", `sparseTuning.${name}`, expected, `${got}`);
  };
  const grows = limits.length === 3 && limits.every((limit, k) => limit > (limits[k - 1] ?? 0));
  if (!grows) refuse("limits", "three numbers that grow", limits);
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

/** Panels that one thread visits. */
export function blockPanels(kernel: "spmm" | "spmmGrad", layout: PanelLayout, tuning: SparseTuning): number {
  return panelsAtOnce(kernel === "spmm" ? tuning.panels : tuning.gradPanels, layout);
}
