// Where a connectome comes from, for people: in a line, in lines, and as a part of a page.

import { formatCount } from "../core/format.ts";
import { alignColumns, plural, printable, shortened } from "../core/text.ts";
import type { Provenance, ProvenanceStep } from "../io/provenance.ts";
import type { FactsPart } from "./page.ts";

/** Digits of a hash that tell files apart in a text. */
const HASH_DIGITS = 12;
/** Rules may be long lists. */
const LINE_LENGTH = 500;
const STEP_COLUMNS = ["step", "neurons", "connections", "synapses"] as const;

/** "MaleCNS v1.0, 3 files, nodes superclass=*, minSynapses 3": the rules that have an effect. */
export function originText({ dataset, sources, rules }: Provenance): string {
  const applied = Object.entries(rules).filter(([, value]) => value !== null && value !== false);
  const parts = [dataset, plural(sources.length, "file"), ...applied.map(([name, value]) => `${name} ${value}`)];
  return shortened(printable(parts.join(", ")), LINE_LENGTH);
}

/** The whole record in lines. */
export function originLines(provenance: Provenance): string[] {
  const { dataset, layout, axograd, created, sources, rules, steps, notes = [] } = provenance;
  const facts = [
    ["data set", `${dataset}, layout ${layout}`],
    ...Object.entries(creditsOf(provenance)),
    ["imported", `${created} by axograd ${axograd}`],
    ...sources.map(({ role, file, sha256, bytes }) => [
      role,
      `${file}, ${formatCount(bytes)} bytes, SHA-256 ${sha256.slice(0, HASH_DIGITS)}…`,
    ]),
    ...Object.entries(rules).map(([name, value]) => [name, `${value ?? "none"}`]),
  ];
  const table = steps.length === 0 ? [] : ["", ...alignColumns([STEP_COLUMNS, ...steps.map(cellsOf)], [1, 2, 3])];
  const said = notes.length === 0 ? [] : ["", ...notes];
  return [...alignColumns(facts), ...table, ...said].map((line) => shortened(printable(line), LINE_LENGTH));
}

/** The record as a part of a page: names and values, and the steps as a table. */
export function originPart(provenance: Provenance): FactsPart {
  const { dataset, layout, axograd, created, sources, rules, steps, notes = [] } = provenance;
  const files = sources.map(({ role, file, sha256, bytes }, k) => [
    `source ${k + 1}, ${role}`,
    `${file}, ${formatCount(bytes)} bytes, SHA-256 ${sha256}`,
  ]);
  return {
    title: "Connectome: where it comes from",
    facts: {
      "data set": dataset,
      ...creditsOf(provenance),
      layout,
      imported: `${created} by axograd ${axograd}`,
      ...Object.fromEntries(files),
      ...Object.fromEntries(Object.entries(rules).map(([name, value]) => [`rule ${name}`, value])),
      ...Object.fromEntries(notes.map((note, k) => [`note ${k + 1}`, note])),
    },
    table: { columns: STEP_COLUMNS, rows: steps.map(cellsOf) },
  };
}

/** Who made the data, and their licence, where the record says so. */
function creditsOf({ citation, licence }: Provenance): Readonly<Record<string, string>> {
  return { ...(citation !== undefined && { citation }), ...(licence !== undefined && { licence }) };
}

function cellsOf({ step, neurons, connections, synapses }: ProvenanceStep): string[] {
  const count = (n: number | null): string => (n === null ? "–" : formatCount(n));
  return [step, count(neurons), count(connections), count(synapses)];
}
