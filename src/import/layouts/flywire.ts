// FlyWire v783, the brain of a female fly: the downloads of Codex, whose headers changed, and the Feather file on Zenodo.

import { type Layout, type LayoutFile, SENSORY_TO_MOTOR, type SharedSources, tableNamed } from "./layout.ts";
import { type NeuronTableLayout, tableLayout } from "./tables.ts";

const CITATION =
  "Dorkenwald et al., Nature 634, 124 (2024), doi:10.1038/s41586-024-07558-y; Schlegel et al., Nature 634, 139 (2024), doi:10.1038/s41586-024-07686-5";

const ID: readonly string[] = ["root_id", "root_id_783", "pt_root_id"];

const shared: SharedSources = {
  type: ["primary_type", "primary_cell_type", "cell_type", "hemibrain_type", "type"],
  superclass: ["super_class"],
  class: ["class", "cell_class"],
  side: ["side", "soma_side"],
  status: ["status"],
  transmitter: ["nt_type", "predicted_nt_type", "top_nt", "predicted_nt"],
};

/** Tables of Codex that have one row per neuron. */
const tables: readonly LayoutFile[] = [
  { role: "neurons", name: "neurons.csv.gz", patterns: [tableNamed("neurons")], isNeeded: true },
  { role: "classes", name: "classification.csv.gz", patterns: [tableNamed("classification")], isNeeded: false },
  {
    role: "types",
    name: "consolidated_cell_types.csv.gz",
    patterns: [tableNamed("consolidated_cell_types"), tableNamed("cell_types")],
    isNeeded: false,
  },
  { role: "sizes", name: "cell_stats.csv.gz", patterns: [tableNamed("cell_stats")], isNeeded: false },
];
const neurons: readonly NeuronTableLayout[] = tables.map(({ role }) => ({ role, id: ID }));

export const flywireCodex: Layout = tableLayout({
  name: "flywire-codex",
  title: "FlyWire, Codex download",
  citation: CITATION,
  licence: "CC BY-NC 4.0 (Codex)",
  files: [
    {
      role: "edges",
      name: "connections_princeton.csv.gz",
      patterns: [
        tableNamed("connections_princeton_no_threshold"),
        tableNamed("connections_princeton"),
        tableNamed("connections_no_threshold"),
        tableNamed("connections"),
      ],
      isNeeded: true,
    },
    ...tables,
  ],
  defaultNodes: null,
  roles: SENSORY_TO_MOTOR,
  edges: {
    pre: ["pre_root_id", "presynaptic_root_id", "pre_pt_root_id", "from"],
    post: ["post_root_id", "postsynaptic_root_id", "post_pt_root_id", "to"],
    weight: ["syn_count", "synapse_count", "synapses", "syn_num"],
  },
  neurons,
  shared,
});

export const flywire: Layout = tableLayout({
  name: "flywire",
  title: "FlyWire v783, proofread connections (Zenodo)",
  citation: `${CITATION}; doi:10.5281/zenodo.10676866`,
  licence: "CC BY 4.0",
  files: [
    {
      role: "edges",
      name: "proofread_connections_783.feather",
      patterns: [tableNamed("proofread_connections_\\d+")],
      isNeeded: true,
    },
    {
      role: "neurons",
      name: "Supplemental_file1_neuron_annotations.tsv",
      patterns: [/(^|\/)Supplemental_file1.*annotations.*\.(tsv|csv)(\.gz)?$/i, tableNamed("neurons")],
      isNeeded: false,
    },
    ...tables.slice(1),
  ],
  defaultNodes: null,
  roles: SENSORY_TO_MOTOR,
  edges: { pre: ["pre_pt_root_id"], post: ["post_pt_root_id"], weight: ["syn_count"] },
  transmitterShares: [
    { column: "ach_avg", transmitter: "acetylcholine" },
    { column: "gaba_avg", transmitter: "GABA" },
    { column: "glut_avg", transmitter: "glutamate" },
    { column: "da_avg", transmitter: "dopamine" },
    { column: "ser_avg", transmitter: "serotonin" },
    { column: "oct_avg", transmitter: "octopamine" },
  ],
  neurons,
  shared,
});
