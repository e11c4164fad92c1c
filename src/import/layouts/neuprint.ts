// Exports of neuPrint as pairs of CSV files: hemibrain, and MANC, the nerve cord of a male fly.

import { type Layout, SENSORY_TO_MOTOR, type SharedSources, tableNamed } from "./layout.ts";
import { type TableLayout, tableLayout } from "./tables.ts";

const EDGES: TableLayout["edges"] = { pre: ["bodyId_pre"], post: ["bodyId_post"], weight: ["weight"] };
const NEURONS: TableLayout["neurons"] = [{ role: "neurons", id: ["bodyId"] }];
const SHARED: SharedSources = {
  type: ["type"],
  superclass: ["superclass"],
  class: ["class"],
  side: ["somaSide", "rootSide", { column: "instance", pattern: /_([LRM])$/ }],
  status: ["status", "statusLabel"],
  transmitter: ["consensus_nt", "predictedNt", "predicted_nt"],
};
const neuronFile = {
  role: "neurons",
  name: "traced-neurons.csv",
  patterns: [tableNamed("traced-neurons")],
  isNeeded: true,
};

export const hemibrain: Layout = tableLayout({
  name: "hemibrain",
  title: "Hemibrain v1.2.1",
  citation: "Scheffer et al., eLife 9, e57443 (2020), doi:10.7554/eLife.57443",
  licence: "CC BY 4.0",
  files: [
    {
      role: "edges",
      name: "traced-total-connections.csv",
      patterns: [tableNamed("traced-total-connections"), tableNamed("traced-roi-connections")],
      isNeeded: true,
    },
    neuronFile,
  ],
  defaultNodes: null,
  roles: null,
  edges: EDGES,
  neurons: NEURONS,
  shared: SHARED,
});

export const manc: Layout = tableLayout({
  name: "manc",
  title: "MANC v1.0",
  citation: "Takemura et al., eLife 13, RP97769 (2024), doi:10.7554/eLife.97769",
  licence: "CC BY 4.0",
  files: [
    {
      role: "edges",
      name: "traced-connections.csv",
      // The other name is the hemibrain's: with it, the layout must be named.
      patterns: [tableNamed("traced-connections"), tableNamed("traced-total-connections")],
      isNeeded: true,
    },
    neuronFile,
  ],
  defaultNodes: null,
  roles: SENSORY_TO_MOTOR,
  edges: EDGES,
  neurons: NEURONS,
  shared: SHARED,
});
