// Any table of edges, with or without a table of neurons, whose columns have usual names or are named.

import { type Layout, SENSORY_TO_MOTOR, tableNamed } from "./layout.ts";
import { tableLayout } from "./tables.ts";

export const table: Layout = {
  ...tableLayout({
    name: "table",
    title: "a table of edges",
    citation: null,
    licence: null,
    files: [
      {
        role: "edges",
        name: "a table of edges (--edges FILE)",
        patterns: [tableNamed("(.*[_-])?(edges|edgelist|connections|connectivity)([_-].*)?"), tableNamed("[^/]*")],
        isNeeded: true,
      },
      { role: "neurons", name: "a table of neurons (--neurons FILE)", patterns: [], isNeeded: false },
    ],
    defaultNodes: null,
    roles: SENSORY_TO_MOTOR,
    edges: {
      pre: [
        "pre",
        "source",
        "from",
        "body_pre",
        "bodyId_pre",
        "pre_root_id",
        "pre_pt_root_id",
        "pre_id",
        "Presynaptic_ID",
      ],
      post: [
        "post",
        "target",
        "to",
        "body_post",
        "bodyId_post",
        "post_root_id",
        "post_pt_root_id",
        "post_id",
        "Postsynaptic_ID",
      ],
      weight: ["weight", "count", "syn_count", "synapse_count", "n_syn", "synapses", "Connectivity"],
    },
    neurons: [{ role: "neurons", id: ["id", "bodyId", "body", "root_id", "pt_root_id", "neuron_id", "name"] }],
    shared: {
      type: ["type", "cell_type", "primary_type"],
      superclass: ["superclass", "super_class"],
      class: ["class", "cell_class"],
      side: ["side", "soma_side"],
      status: ["status"],
      transmitter: ["transmitter", "nt_type", "consensus_nt", "predicted_nt", "top_nt", "neurotransmitter"],
    },
  }),
  isRecognised: false,
};
