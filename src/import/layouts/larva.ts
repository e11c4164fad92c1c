// The brain of a larva of the fruit fly, as a dense matrix.

import type { Layout } from "./layout.ts";
import { matrixLayout } from "./matrix.ts";

export const larva: Layout = matrixLayout({
  name: "larva",
  title: "Larval brain of Drosophila (Winding et al.)",
  citation: "Winding et al., Science 379, eadd9330 (2023), doi:10.1126/science.add9330",
  licence: "see the supplement",
  files: [
    {
      role: "edges",
      name: "all-all_connectivity_matrix.csv",
      patterns: [/(^|\/)all-all_connectivity_matrix\.csv(\.gz)?$/i, /(^|\/)\w+_connectivity_matrix\.csv(\.gz)?$/i],
      isNeeded: true,
    },
    { role: "neurons", name: "annotations.csv", patterns: [/(^|\/)annotations\.csv(\.gz)?$/i], isNeeded: false },
  ],
  defaultNodes: null,
  roles: { column: "superclass", input: /sensory/i, output: /^DN|^RGN|motor/i },
  rows: "pre",
  neurons: {
    role: "neurons",
    id: ["id", "skid", "neuron_id"],
    // A line of the table is about a left neuron and its partner.
    pairs: [
      { id: "left_id", side: "left" },
      { id: "right_id", side: "right" },
    ],
    noIds: ["no pair"],
  },
  shared: { type: ["celltype", "cell_type", "type"], superclass: ["celltype", "superclass"], side: ["side"] },
});
