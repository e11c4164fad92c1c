// flyvis: cell types, and connections between them at offsets in hexagonal columns, as JSON.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";

/** Mean synapses from a cell to those at an offset (u, v). */
type Offset = readonly [step: readonly [u: number, v: number], synapses: number];

export interface FlyvisEdge {
  readonly src: string;
  readonly tar: string;
  readonly offsets: readonly Offset[];
  readonly alpha: 1 | -1;
}

/** Two inputs, a hidden type in every second column, an output that connects to itself. */
export const FLYVIS_TYPES = ["R1", "R2", "L1", "T4a"] as const;
export const FLYVIS_EDGES: readonly FlyvisEdge[] = [
  { src: "R1", tar: "L1", offsets: [[[0, 0], 40]], alpha: -1 },
  {
    src: "R2",
    tar: "L1",
    offsets: [
      [[0, 0], 12.5],
      [[1, -1], 2],
    ],
    alpha: 1,
  },
  {
    src: "L1",
    tar: "T4a",
    offsets: [
      [[0, 0], 3],
      [[0, 1], 1],
      [[-1, 0], 2],
    ],
    alpha: 1,
  },
  { src: "T4a", tar: "T4a", offsets: [[[1, 0], 4]], alpha: -1 },
];

export async function writeFlyvis(folder: string): Promise<string> {
  const file = join(folder, "fib25-fib19_v2.2.json");
  const nodes = FLYVIS_TYPES.map((name) => ({
    ...{ name, pattern: ["stride", name === "L1" ? [2, 2] : [1, 1]], activation: "relu", bias: 0.5, bias_fixed: false },
    ...{ time_constant: null, time_constant_fixed: false },
  }));
  const edges = FLYVIS_EDGES.map((edge) => ({
    ...{ ...edge, alpha_fixed: true, alpha_references: [], time_constant: null, time_constant_fixed: false },
    ...{ lambda_mult: 1, edge_type: "chem" },
  }));
  const whole = { nodes, edges, receptors: [], input_units: ["R1", "R2"], output_units: ["T4a"] };
  await writeFile(file, JSON.stringify(whole));
  return file;
}
