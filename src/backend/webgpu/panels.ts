// Where the numbers of a binding lie on the device: lengths of buffers, and the vec4 arithmetic of panels.

import type { Binding, PanelLayout } from "../program.ts";

/** All lanes of a run, padding included. */
export function lanesOf(layout: PanelLayout): number {
  return layout.panel * layout.panels;
}

/** vec4s of one row of one panel. */
export function panelVecs(layout: PanelLayout): number {
  return layout.panel / 4;
}

/**
 * Panels that a shader takes at once: a power of two of at most `most`, and no more than there is need of. Numbers of panels that need the
 * same share a shader.
 */
export function panelsAtOnce(most: number, layout: PanelLayout): number {
  return Math.min(most, 2 ** Math.ceil(Math.log2(layout.panels)));
}

/** Whether each lane has a number of its own. */
export function isPerLane(binding: Binding): boolean {
  return binding.kind === "state" || binding.kind === "sample" || binding.kind === "table";
}

/** Rows of a vector-like binding: 1 for a sample or scalar. */
export function rowsOf(binding: Binding): number {
  return binding.kind === "sample" || binding.kind === "scalar" ? 1 : binding.rows;
}

/** Elements of the buffer behind a binding; 0 for "sparse", which is not one buffer. */
export function lengthOf(binding: Binding, layout: PanelLayout): number {
  switch (binding.kind) {
    case "state":
    case "sample":
      return rowsOf(binding) * lanesOf(layout);
    case "table":
      return (binding.cols ?? 1) * binding.rows * lanesOf(layout);
    case "row":
    case "nnz":
    case "index":
    case "scalar":
      return rowsOf(binding);
    case "dense":
      return binding.rows * (binding.cols ?? 1);
    case "key":
      return 2;
    case "sparse":
      return 0;
  }
}
