// Where a connectome comes from: the record that travels in its file and into every run made with it.

import { FileFormatError } from "../core/errors.ts";
import { quoteValue } from "../core/text.ts";
import { type HashedFile, hashedFileOf } from "./hash.ts";
import { JsonParts } from "./jsonParts.ts";

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

const WHAT = "where a connectome comes from";
/** Longer records would not fit into those of runs. */
const MOST_CHARACTERS = 2 ** 18;

/** The record as JSON. @throws {FileFormatError} a longer one than files and runs hold */
export function provenanceText(where: string, provenance: Provenance): string {
  return checkedLength(where, JSON.stringify(provenance));
}

function checkedLength(where: string, text: string): string {
  if (text.length <= MOST_CHARACTERS) return text;
  throw new FileFormatError(where, `${WHAT}, in at most ${MOST_CHARACTERS} characters`, `${text.length}`);
}

/** The record from its JSON. @throws {FileFormatError} no JSON, too long, another version, a part that is missing or wrong */
export function parseProvenance(where: string, text: string): Provenance {
  return provenanceOf(where, JsonParts.parse(where, checkedLength(where, text), WHAT));
}

/** The same as a part of other JSON. */
export function provenanceOf(where: string, parts: JsonParts): Provenance {
  const { format } = parts.all;
  if (format !== 1) throw new FileFormatError(where, `${WHAT}, of version 1`, `version ${quoteValue(format)}`);
  const rules = parts.object("rules").all;
  for (const [name, value] of Object.entries(rules)) {
    if (value !== null && !["string", "number", "boolean"].includes(typeof value)) {
      throw parts.object("rules").error(name, "text, a number, true, false or null");
    }
  }
  const steps = parts.objects("steps").map((step) => ({
    ...step.all,
    step: step.text("step"),
    neurons: step.countOrNull("neurons"),
    connections: step.countOrNull("connections"),
    synapses: step.numberOrNull("synapses"),
  }));
  // Earlier records have none of these.
  for (const name of ["citation", "licence"]) if (parts.has(name)) parts.text(name);
  if (parts.has("notes")) parts.texts("notes");
  return {
    ...parts.all,
    format,
    dataset: parts.text("dataset"),
    layout: parts.text("layout"),
    axograd: parts.text("axograd"),
    created: parts.text("created"),
    sources: parts.objects("sources").map((source) => ({ ...source.all, ...hashedFileOf(source) })),
    rules: rules as Provenance["rules"],
    steps,
    ...(parts.has("citation") && { citation: parts.text("citation") }),
    ...(parts.has("licence") && { licence: parts.text("licence") }),
    ...(parts.has("notes") && { notes: parts.texts("notes") }),
  };
}
