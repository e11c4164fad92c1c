// Where the numbers of a binding lie: its shape, its length, and the panel layout's address arithmetic.

import type { Binding, PanelLayout } from "../../../src/backend/program.ts";

/** Extent of a vector-like binding: how many rows, and whether each lane has its own number. */
export interface VectorShape {
  readonly rows: number;
  readonly perLane: boolean;
}

/** All lanes of a run, padding included. */
export function lanesOf(layout: PanelLayout): number {
  return layout.panels * layout.panel;
}

/** The shape of a binding that `load` and `store` can address; null for tables, matrices, indices and keys. */
export function vectorShape(binding: Binding): VectorShape | null {
  switch (binding.kind) {
    case "state":
      return { rows: binding.rows, perLane: true };
    case "sample":
      return { rows: 1, perLane: true };
    case "row":
    case "nnz":
      return { rows: binding.rows, perLane: false };
    case "scalar":
      return { rows: 1, perLane: false };
    default:
      return null;
  }
}

/** Elements a buffer bound as `binding` holds; null for "sparse", which is not one buffer. */
export function lengthOf(binding: Binding, layout: PanelLayout): number | null {
  const cols = binding.cols ?? 1;
  switch (binding.kind) {
    case "state":
      return binding.rows * lanesOf(layout);
    case "table":
      return cols * binding.rows * lanesOf(layout);
    case "sample":
      return lanesOf(layout);
    case "row":
    case "nnz":
    case "index":
      return binding.rows;
    case "scalar":
      return 1;
    case "dense":
      return binding.rows * cols;
    case "key":
      return 2;
    case "sparse":
      return null;
  }
}

/** Address of (row, lane) in a state of `rows` rows: [nPanels][rows][panel]. With rows = 1 that of a sample vector. */
export function stateOffset(layout: PanelLayout, rows: number, row: number, lane: number): number {
  const panelIdx = Math.floor(lane / layout.panel);
  return (panelIdx * rows + row) * layout.panel + (lane % layout.panel);
}
