// C. elegans: a sheet of a dense matrix, saved as CSV. Chemical synapses and gap junctions are different files.

import { type Layout, SENSORY_TO_MOTOR } from "./layout.ts";
import { matrixLayout } from "./matrix.ts";

export const celegans: Layout = matrixLayout({
  name: "celegans",
  title: "C. elegans (Cook et al.)",
  citation: "Cook et al., Nature 571, 63 (2019), doi:10.1038/s41586-019-1352-7",
  licence: "see the supplement",
  files: [
    {
      role: "edges",
      name: "a sheet of SI 5 as CSV, such as hermaphrodite_chemical.csv",
      patterns: [/(^|\/)[^/]*herm[^/]*chem[^/]*\.csv$/i, /(^|\/)[^/]*chem[^/]*\.csv$/i],
      isNeeded: true,
    },
    { role: "neurons", name: "neurons.csv", patterns: [/(^|\/)neurons\.csv$/i], isNeeded: false },
  ],
  defaultNodes: null,
  roles: SENSORY_TO_MOTOR,
  rows: "pre",
  neurons: { role: "neurons", id: ["name", "neuron", "id", "cell"] },
  shared: {
    type: ["type", "cell_class", "class"],
    superclass: ["superclass", "category", "role"],
    side: ["side"],
    transmitter: ["transmitter", "neurotransmitter"],
  },
});
