// How numbers lie on a device, whichever it is: panels, the sizes of what is bound, and the way between the host's sample-major arrays
// [samples][rows] and the device's panels [panels][rows][panel] (see program.ts).

import type { FloatArray } from "../core/dtype.ts";
import { BackendError, ShapeError } from "../core/errors.ts";
import type { Binding, BindingKind, PanelLayout } from "./program.ts";

/** How many samples a device state of this layout holds, those that only fill a panel included. */
export function lanesOf(layout: PanelLayout): number {
  return layout.panel * layout.panels;
}

/** Tells layouts apart: "8x2" is two panels of eight lanes. */
export function layoutKey({ panel, panels }: PanelLayout): string {
  return `${panel}x${panels}`;
}

function checkSamples(where: string, samples: number, layout: PanelLayout): void {
  if (samples >= 1 && samples <= lanesOf(layout)) return;
  throw new ShapeError(where, "samples", `1 to ${lanesOf(layout)}`, `${samples}`);
}

/**
 * Copies `samples` samples of `rows` numbers into device order. Lanes without a sample repeat the last one: they take the same
 * steps as a real sample, so they never prolong a solve and never make a NaN of their own.
 *
 * @param at  position in `source` of (sample, row)
 * @throws {ShapeError} no sample, more than there are lanes, or a target of another length
 */
export function packState(
  source: ArrayLike<number>,
  at: (sample: number, row: number) => number,
  samples: number,
  rows: number,
  layout: PanelLayout,
  target: FloatArray,
): FloatArray {
  const { panel, panels } = layout;
  checkSamples("packState", samples, layout);
  if (target.length !== rows * lanesOf(layout)) {
    throw new ShapeError("packState", "target", `${rows * lanesOf(layout)} numbers`, `${target.length}`);
  }
  for (let p = 0; p < panels; p++) {
    for (let lane = 0; lane < panel; lane++) {
      const sample = Math.min(p * panel + lane, samples - 1);
      for (let row = 0; row < rows; row++) target[(p * rows + row) * panel + lane] = source[at(sample, row)]!;
    }
  }
  return target;
}

/**
 * The inverse: writes the real samples of a device state into `target`.
 *
 * @param at  position in `target` of (sample, row)
 * @throws {ShapeError} no sample, or more than there are lanes
 */
export function unpackState(
  state: ArrayLike<number>,
  target: FloatArray,
  at: (sample: number, row: number) => number,
  samples: number,
  rows: number,
  layout: PanelLayout,
): void {
  const { panel } = layout;
  checkSamples("unpackState", samples, layout);
  for (let sample = 0; sample < samples; sample++) {
    const p = Math.floor(sample / panel);
    const lane = sample % panel;
    for (let row = 0; row < rows; row++) target[at(sample, row)] = state[(p * rows + row) * panel + lane]!;
  }
}

/** Sets the lanes without a sample to zero: cotangents there must not count. */
export function clearUnusedLanes(state: FloatArray, samples: number, rows: number, layout: PanelLayout): void {
  const { panel, panels } = layout;
  for (let lane = samples; lane < panel * panels; lane++) {
    const base = Math.floor(lane / panel) * rows * panel + (lane % panel);
    for (let row = 0; row < rows; row++) state[base + row * panel] = 0;
  }
}

/**
 * The layout for `lanes` samples: the narrowest panel that holds them all, else panels of 16.
 *
 * @throws {BackendError} "lanes" beyond `most`
 */
export function layoutFor(lanes: number, most: number): PanelLayout {
  if (!Number.isInteger(lanes) || lanes < 1 || lanes > most) {
    throw new BackendError("lanes", `layoutFor: expected 1 to ${most} lanes, got ${lanes} (lanes)`);
  }
  const panel = lanes <= 4 ? 4 : lanes <= 8 ? 8 : 16;
  return { panel, panels: Math.ceil(lanes / panel) };
}

/** Whether each lane has numbers of its own. */
export function isPerLane({ kind }: { readonly kind: BindingKind }): boolean {
  return kind === "state" || kind === "sample" || kind === "table";
}

/** Rows of what is bound; 1 for what has one number, or one per lane. */
export function rowsOf({ kind, rows }: Binding): number {
  return kind === "sample" || kind === "scalar" ? 1 : rows;
}

/** Elements of the buffer bound as `binding`; 0 for a sparse matrix, which is not one buffer. */
export function lengthOf(binding: Binding, layout: PanelLayout): number {
  const { kind, cols = 1 } = binding;
  if (kind === "sparse") return 0;
  if (kind === "key") return 2;
  const perLane = rowsOf(binding) * (kind === "table" || kind === "dense" ? cols : 1);
  return isPerLane(binding) ? perLane * lanesOf(layout) : perLane;
}

/** What the elements of that buffer are. */
export function elementTypeOf({ kind }: Binding): "float" | "u32" {
  return kind === "index" || kind === "key" ? "u32" : "float";
}
