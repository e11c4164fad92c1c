// MICrONS, visual cortex of a mouse: tables of synapses or of pairs, by root ids.

import { type Layout, tableNamed } from "./layout.ts";
import { tableLayout } from "./tables.ts";

export const microns: Layout = tableLayout({
  // Its tables have names of all kinds.
  isRecognised: false,
  name: "microns",
  title: "MICrONS",
  citation: "MICrONS Consortium, Nature 640, 435 (2025), doi:10.1038/s41586-025-08790-w",
  licence: "see microns-explorer.org",
  files: [
    {
      role: "edges",
      name: "a table of synapses or connections (pre_pt_root_id, post_pt_root_id)",
      patterns: [tableNamed("(.*_)?(connections|edges|edgelist)([_-].*)?"), tableNamed("(.*_)?synapses?([_-].*)?")],
      isNeeded: true,
    },
    {
      role: "neurons",
      name: "a table of cells (pt_root_id, cell_type)",
      patterns: [tableNamed("(.*_)?(cell_types?|cells|neurons|nucleus.*|.*cell_type.*)([_-].*)?")],
      isNeeded: false,
    },
  ],
  defaultNodes: null,
  roles: null,
  // The column size is that of a cleft, no count: --weight size takes it all the same.
  edges: {
    pre: ["pre_pt_root_id"],
    post: ["post_pt_root_id"],
    weight: ["n_syn", "syn_count", "synapse_count"],
    rowsMayBeSynapses: true,
  },
  // 0 is the root id of what belongs to no cell.
  neurons: [{ role: "neurons", id: ["pt_root_id", "root_id"], noIds: ["0"] }],
  shared: { type: ["cell_type", "type"], superclass: ["classification_system"], class: ["class"], status: ["status"] },
});
