// The model of the fly brain by Shiu et al.: FlyWire's connections with the sign of each.

import { type Layout, SENSORY_TO_MOTOR } from "./layout.ts";
import { tableLayout } from "./tables.ts";

export const shiu: Layout = tableLayout({
  name: "shiu",
  title: "Shiu et al., model of the fly brain (FlyWire v783)",
  citation: "Shiu et al., Nature 634, 210 (2024), doi:10.1038/s41586-024-07763-9",
  licence: "see its repository; the data are FlyWire's",
  files: [
    {
      role: "edges",
      name: "Connectivity_783.parquet",
      patterns: [/(^|\/)(\d{4}_\d{2}_\d{2}_)?connectivity_\d+.*\.parquet$/i],
      isNeeded: true,
    },
    {
      role: "neurons",
      name: "Completeness_783.csv",
      patterns: [/(^|\/)(\d{4}_\d{2}_\d{2}_)?completeness_\d+.*\.csv$/i],
      isNeeded: true,
    },
  ],
  defaultNodes: null,
  roles: SENSORY_TO_MOTOR,
  edges: { pre: ["Presynaptic_ID"], post: ["Postsynaptic_ID"], weight: ["Connectivity"] },
  neurons: [{ role: "neurons", id: ["root_id", "id"], idsMayBeUnnamed: true }],
  shared: {},
  sign: "Excitatory",
});
