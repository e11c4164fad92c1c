// BANC, the brain and nerve cord of a female fly. Its ids are text.

import { type Layout, SENSORY_TO_MOTOR, tableNamed } from "./layout.ts";
import { tableLayout } from "./tables.ts";

export const banc: Layout = tableLayout({
  name: "banc",
  title: "BANC v888",
  citation: "Bates et al., distributed control circuits across a brain-and-cord connectome (2025)",
  licence: "CC BY 4.0",
  files: [
    {
      role: "edges",
      name: "banc_888_edgelist_simple.feather",
      patterns: [
        tableNamed("banc_\\d+_edgelist_simple_v3"),
        tableNamed("banc_\\d+_edgelist_simple_v2"),
        tableNamed("banc_\\d+_(simple_)?edgelist(_simple)?"),
        tableNamed("banc_.*edgelist.*"),
      ],
      isNeeded: true,
    },
    { role: "neurons", name: "banc_888_meta.feather", patterns: [tableNamed("banc_.*meta.*")], isNeeded: true },
  ],
  defaultNodes: null,
  roles: SENSORY_TO_MOTOR,
  edges: { pre: ["pre"], post: ["post"], weight: ["count", "weight", "syn_count"] },
  // A column root_id may have the ids of an earlier version; that of the version has its number.
  neurons: [{ role: "neurons", id: ["banc_888_id", "root_888", "id", "root_id"] }],
  shared: {
    type: ["cell_type"],
    superclass: ["super_class"],
    class: ["cell_class"],
    side: ["side"],
    status: ["status"],
    transmitter: ["neurotransmitter_verified", "neurotransmitter_predicted", "top_nt"],
  },
});
