// FlyWire v783: the CSV files of Codex with both kinds of headers, and the Feather file on Zenodo.

import { join } from "node:path";
import { float64 } from "@uwdata/flechette";
import { int64s, texts, writeCsv, writeFeather } from "./files.ts";
import { bodyOf, type SyntheticNeuron, type SyntheticSet, type Transmitter } from "./synthetic.ts";

/** Codex' words; other transmitters have none. */
export const CODEX_TRANSMITTERS: Readonly<Record<string, string>> = {
  acetylcholine: "ACH",
  gaba: "GABA",
  glutamate: "GLUT",
  dopamine: "DA",
  serotonin: "SER",
  octopamine: "OCT",
};
/** Codex' words for sides. */
export const CODEX_SIDES = { L: "left", R: "right", M: "center" } as const;
/** Codex' words for superclasses. */
export const CODEX_SUPERCLASSES: Readonly<Record<string, string>> = {
  cb_sensory: "sensory",
  ol_intrinsic: "optic",
  cb_intrinsic: "central",
  visual_projection: "visual_projection",
  descending: "descending",
  cb_motor: "motor",
};
const NEUROPILS = ["AL_L", "ME_R", "FB"] as const;

export interface CodexFiles {
  readonly connections: string;
  readonly neurons: string;
  readonly classification: string;
  readonly types: string;
}

/** Older headers: root_id, super_class; newer ones: Root ID, Super Class. */
export type CodexHeaders = "old" | "new";

/** The word that Codex has for a transmitter; null where it has none. */
export function codexTransmitter(transmitter: Transmitter): string | null {
  return CODEX_TRANSMITTERS[transmitter ?? ""] ?? null;
}

/** Rows of a pair, one for each neuropil. */
function rowsOf(set: SyntheticSet): { pre: string; post: string; neuropil: string; synapses: number; by: number }[] {
  const rows = set.pairs.flatMap(({ pre, post, parts }) =>
    parts.map((synapses, part) => ({
      ...{ pre: bodyOf(set, pre), post: bodyOf(set, post), neuropil: NEUROPILS[part % 3]!, synapses, by: pre },
      part,
    })),
  );
  // The rows of a pair need not be neighbours.
  return rows.sort((a, b) => a.part - b.part);
}

/** Writes a set; fragments occur in the connections only. */
export async function writeCodex(
  folder: string,
  set: SyntheticSet,
  headers: CodexHeaders = "old",
): Promise<CodexFiles> {
  const files: CodexFiles = {
    connections: join(folder, "connections_princeton.csv.gz"),
    neurons: join(folder, "neurons.csv.gz"),
    classification: join(folder, "classification.csv.gz"),
    types: join(folder, "consolidated_cell_types.csv.gz"),
  };
  const isOld = headers === "old";
  const ntOf = (body: number): string | null => codexTransmitter(set.neurons[body]?.transmitter ?? null);
  await writeCsv(
    files.connections,
    ["pre_root_id", "post_root_id", "neuropil", "syn_count", "nt_type"],
    rowsOf(set).map(({ pre, post, neuropil, synapses, by }) => [pre, post, neuropil, synapses, ntOf(by)]),
  );
  await writeCsv(
    files.neurons,
    isOld
      ? ["root_id", "group", "nt_type", "nt_type_score"]
      : ["Root ID", "Group", "Predicted NT type", "Predicted NT confidence"],
    set.neurons.map(({ id, transmitter }, i) => [id, `G.${i % 3}`, codexTransmitter(transmitter), i / 100]),
  );
  await writeCsv(
    files.classification,
    isOld
      ? ["root_id", "flow", "super_class", "class", "sub_class", "hemilineage", "side", "nerve"]
      : ["Root ID", "Flow", "Super Class", "Class", "Sub Class", "Hemilineage", "Side", "Nerve"],
    // In another order, since tables of Codex are sorted differently.
    [...set.neurons].reverse().map((neuron) => classOf(neuron)),
  );
  const typed = set.neurons.filter(({ type }) => type !== null);
  await writeCsv(
    files.types,
    isOld
      ? ["root_id", "primary_type", "additional_type(s)"]
      : ["Root ID", "Primary Cell Type", "Alternative Cell Type(s)"],
    typed.map(({ id, type }, i) => [id, type, i % 4 === 0 ? "a,b" : null]),
  );
  return files;
}

function classOf({ id, superclass, class: cls, side }: SyntheticNeuron): (string | null)[] {
  return [
    id,
    "intrinsic",
    CODEX_SUPERCLASSES[superclass]!,
    cls,
    null,
    null,
    side === null ? null : CODEX_SIDES[side],
    null,
  ];
}

const SHARES = ["gaba_avg", "ach_avg", "glut_avg", "oct_avg", "ser_avg", "da_avg"] as const;

/** Writes the connections of a set as proofread_connections_783.feather. */
export async function writeZenodo(folder: string, set: SyntheticSet): Promise<string> {
  const file = join(folder, "proofread_connections_783.feather");
  const rows = rowsOf(set);
  await writeFeather(file, {
    pre_pt_root_id: int64s(rows.map(({ pre }) => pre)),
    post_pt_root_id: int64s(rows.map(({ post }) => post)),
    neuropil: texts(rows.map(({ neuropil }) => neuropil)),
    syn_count: int64s(rows.map(({ synapses }) => synapses)),
    ...Object.fromEntries(SHARES.map((name, i) => [name, [float64(), rows.map((_, k) => ((k + i) % 6) / 15)]])),
  });
  return file;
}
