// Where a connectome comes from: the record that travels in its file and into every run made with it.

import type { HashedFile } from "./hash.ts";

/** How a connectome was made of published files. Plain JSON: it is stored as such. */
export interface Provenance {
  /** Version of this record. */
  readonly format: 1;
  /** The data set, for people: "MaleCNS v1.0". */
  readonly dataset: string;
  /** How its files are laid out: "malecns". */
  readonly layout: string;
  /** Who made the data, and under which licence. */
  readonly citation?: string;
  readonly licence?: string;
  /** Version of axograd that made it. */
  readonly axograd: string;
  /** ISO 8601. */
  readonly created: string;
  readonly sources: readonly HashedFile[];
  /** The rules, as the options that repeat them: { nodes: "superclass=*", minSynapses: 3, signs: "shiu", … }. */
  readonly rules: Readonly<Record<string, string | number | boolean | null>>;
  /** What was kept and dropped, in the order of the steps. */
  readonly steps: readonly ProvenanceStep[];
  /** What was renamed, left out or taken for granted, a sentence each. */
  readonly notes?: readonly string[];
}

/** A step of an import, as a row of a table that a paper could cite. */
export interface ProvenanceStep {
  readonly step: string;
  readonly neurons: number | null;
  readonly connections: number | null;
  readonly synapses: number | null;
}
