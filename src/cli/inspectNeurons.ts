// What a connectome file says of its neurons and of its origin.

import { formatCount } from "../core/format.ts";
import type { NeuronColumn } from "../core/selector.ts";
import { alignColumns, plural, printable, shortened } from "../core/text.ts";
import type { ConnectomeContent } from "../io/connectomeFile.ts";
import { NEURON_ROLES, type NeuronTable } from "../io/neuronTable.ts";
import type { Provenance } from "../io/provenance.ts";
import { originLines } from "../report/origin.ts";

/** More values are counted, not named. */
const NAMED_VALUES = 8;
const NAME_LENGTH = 40;
/** Columns that all data sets share, whose values are named. */
const NAMED_COLUMNS: readonly string[] = ["superclass", "class", "side", "status", "transmitter"];

/** The values of a column. */
export interface ColumnCounts {
  readonly column: string;
  /** Different values that neurons have, "" not among them. */
  readonly values: number;
  /** Neurons without a value. */
  readonly without: number;
  /** The most frequent values. */
  readonly top: readonly { readonly value: string; readonly count: number }[];
}

/** Neurons by their table, and the origin of the connectome. */
export interface NeuronInspection {
  /** null: the file has no table. */
  readonly neuronTable: {
    /** Types, the columns that all data sets share, signs and roles. */
    readonly counts: readonly ColumnCounts[];
    /** Names of all columns. */
    readonly columns: readonly string[];
  } | null;
  readonly provenance: Provenance | null;
}

/** Counts the neurons of a file by what its table says of them. */
export function inspectNeurons({ table, provenance }: ConnectomeContent): NeuronInspection {
  if (table === null) return { neuronTable: null, provenance };
  const columns = table.columns ?? new Map<string, NeuronColumn>();
  const counts = [
    countsOf("type", table.types, table.typeIdx),
    ...NAMED_COLUMNS.flatMap((name) => {
      const column = columns.get(name);
      return column ? [countsOf(name, column.values, column.valueIdx)] : [];
    }),
    ...signsAndRoles(table),
  ];
  return { neuronTable: { counts, columns: [...columns.keys()] }, provenance };
}

const SIGNS = ["inhibitory", "mixed", "excitatory"] as const;

function signsAndRoles({ role, sign }: NeuronTable): ColumnCounts[] {
  return [
    ...(sign
      ? [
          countsOf(
            "sign",
            SIGNS,
            Array.from(sign, (s) => s + 1),
          ),
        ]
      : []),
    ...(role
      ? [
          countsOf(
            "role",
            NEURON_ROLES,
            Array.from(role, (name) => NEURON_ROLES.indexOf(name)),
          ),
        ]
      : []),
  ];
}

function countsOf(column: string, values: readonly string[], valueIdx: ArrayLike<number>): ColumnCounts {
  const counts = new Uint32Array(values.length);
  for (let i = 0; i < valueIdx.length; i++) counts[valueIdx[i]!]!++;
  const used = values.flatMap((value, v) => (counts[v]! > 0 && value !== "" ? [{ value, count: counts[v]! }] : []));
  const named = used.reduce((sum, { count }) => sum + count, 0);
  const top = used.sort((a, b) => b.count - a.count).slice(0, NAMED_VALUES);
  return { column, values: used.length, without: valueIdx.length - named, top };
}

/** The report for people; nothing where the file says nothing. */
export function neuronLines({ neuronTable, provenance }: NeuronInspection): string[] {
  const lines: string[] = [];
  const add = (title: string, own: readonly string[]): void => {
    lines.push(`  ${title}`, ...own.map((line) => (line === "" ? "" : `    ${line}`)), "");
  };
  if (neuronTable) {
    const { counts, columns } = neuronTable;
    const names = columns.map(nameText).join(", ");
    const rows = counts.map((counted) => [counted.column, countsText(counted)]);
    add("neuron table", alignColumns([...rows, ["columns", names === "" ? "none" : names]]));
  }
  if (provenance) add("where it comes from", originLines(provenance));
  return lines;
}

/** "11,751: KCg-m 1,342, … and 11,743 more; 120 neurons without". */
function countsText({ values, without, top }: ColumnCounts): string {
  const named = top.map(({ value, count }) => `${nameText(value)} ${formatCount(count)}`);
  const more = values > top.length ? ` and ${formatCount(values - top.length)} more` : "";
  const empty = without > 0 ? `; ${plural(without, "neuron")} without` : "";
  return `${formatCount(values)}${values === 0 ? "" : `: ${named.join(", ")}${more}`}${empty}`;
}

function nameText(name: string): string {
  return printable(shortened(name, NAME_LENGTH));
}
