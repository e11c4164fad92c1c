// MaleCNS v1.0: the whole central nervous system of a male fly, as Feather files.

import { type Layout, SENSORY_TO_MOTOR } from "./layout.ts";
import { tableLayout } from "./tables.ts";

export const malecns: Layout = tableLayout({
  name: "malecns",
  title: "MaleCNS v1.0",
  citation: "Berg et al., male central nervous system of Drosophila, FlyEM, HHMI Janelia (2025, 2026)",
  licence: "CC BY 4.0",
  files: [
    {
      role: "edges",
      name: "connectome-weights-male-cns-v1.0-minconf-0.5.feather",
      // The whole table, whose order is known, before the part between traced neurons.
      patterns: [
        /(^|\/)connectome-weights-male-cns-(?!.*traced-only).*\.feather$/i,
        /(^|\/)connectome-weights-male-cns-.*traced-only\.feather$/i,
      ],
      isNeeded: true,
    },
    {
      role: "neurons",
      name: "body-annotations-male-cns-v1.0-minconf-0.5.feather",
      patterns: [/(^|\/)body-annotations-male-cns-.*\.feather$/i],
      isNeeded: true,
    },
    {
      role: "transmitters",
      name: "body-neurotransmitters-male-cns-v1.0.feather",
      patterns: [/(^|\/)body-neurotransmitters-male-cns-.*\.feather$/i],
      isNeeded: false,
    },
  ],
  defaultNodes: "superclass=*",
  roles: SENSORY_TO_MOTOR,
  edges: { pre: ["body_pre"], post: ["body_post"], weight: ["weight"] },
  neurons: [
    { role: "neurons", id: ["bodyId"] },
    { role: "transmitters", id: ["body"] },
  ],
  shared: {
    type: ["type"],
    superclass: ["superclass"],
    class: ["class"],
    side: ["somaSide", "rootSide", { column: "instance", pattern: /_([LRM])$/ }],
    status: ["status"],
    transmitter: ["consensus_nt", "celltype_predicted_nt", "predicted_nt"],
  },
  isSorted: (file) => !/traced-only/i.test(file),
});
