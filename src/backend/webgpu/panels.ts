// The vec4 arithmetic of panels.

import type { PanelLayout } from "../program.ts";

/** vec4s of one row of one panel. */
export function panelVecs(layout: PanelLayout): number {
  return layout.panel / 4;
}

/**
 * Panels that a shader takes at once: a power of two, at most `most`, and no more than the batch has panels for. Batches that need the same
 * share a shader.
 */
export function panelsAtOnce(most: number, layout: PanelLayout): number {
  return Math.min(most, 2 ** Math.ceil(Math.log2(layout.panels)));
}
