// Shiu's model of the fly brain, BANC, hemibrain and MANC, and tables like MICrONS'.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { brotliCompressSync } from "node:zlib";
import { float64, int32 } from "@uwdata/flechette";
import { parquetWriteBuffer } from "hyparquet-writer";
import { texts, writeCsv, writeFeather } from "./files.ts";
import { bodyOf, type ExpectedConnection, expectedOf, type SyntheticSet, signsOf, synapsesOf } from "./synthetic.ts";

/** Edges, and the table of neurons. */
export interface PairOfFiles {
  readonly edges: string;
  readonly neurons: string;
}

/** Shiu et al.: the order of the CSV file is that of the indices; no fragments; rows have the sign of Shiu's rule. */
export async function writeShiu(folder: string, set: SyntheticSet): Promise<PairOfFiles> {
  const files = { edges: join(folder, "Connectivity_783.parquet"), neurons: join(folder, "Completeness_783.csv") };
  const { connections, ids, neurons } = expectedOf(set);
  const signs = signsOf(neurons, "shiu");
  const column = (name: string, of: (row: ExpectedConnection) => bigint) => ({
    ...{ name, type: "INT64" as const },
    data: BigInt64Array.from(connections, of),
  });
  const columnData = [
    column("Presynaptic_ID", ({ pre }) => BigInt(ids[pre]!)),
    column("Postsynaptic_ID", ({ post }) => BigInt(ids[post]!)),
    column("Presynaptic_Index", ({ pre }) => BigInt(pre)),
    column("Postsynaptic_Index", ({ post }) => BigInt(post)),
    column("Connectivity", ({ synapses }) => BigInt(synapses)),
    column("Excitatory", ({ pre }) => BigInt(signs[pre]!)),
    column("Excitatory x Connectivity", ({ pre, synapses }) => BigInt(signs[pre]! * synapses)),
  ];
  const compressors = { BROTLI: (page: Uint8Array) => new Uint8Array(brotliCompressSync(page)) };
  const bytes = parquetWriteBuffer({ columnData, codec: "BROTLI", compressors, rowGroupSize: 50 });
  await writeFile(files.edges, new Uint8Array(bytes));
  // The column of ids has no name, as pandas writes an index.
  await writeCsv(
    files.neurons,
    ["", "Completed"],
    ids.map((id) => [id, "True"]),
  );
  return files;
}

const BANC_WORDS: Readonly<Record<string, string>> = { L: "left", R: "right", M: "center" };

/** BANC v888: ids as text. */
export async function writeBanc(folder: string, set: SyntheticSet): Promise<PairOfFiles> {
  const files = {
    edges: join(folder, "banc_888_edgelist_simple.feather"),
    neurons: join(folder, "banc_888_meta.feather"),
  };
  const { pairs, neurons } = set;
  await writeFeather(files.edges, {
    pre: texts(pairs.map(({ pre }) => bodyOf(set, pre))),
    post: texts(pairs.map(({ post }) => bodyOf(set, post))),
    count: [int32(), pairs.map((pair) => synapsesOf(pair))],
    norm: [float64(), pairs.map((pair) => synapsesOf(pair) / 1000)],
  });
  await writeFeather(files.neurons, {
    root_888: texts(neurons.map(({ id }) => id)),
    cell_type: texts(neurons.map(({ type }) => type)),
    super_class: texts(neurons.map(({ superclass }) => superclass)),
    cell_class: texts(neurons.map((neuron) => neuron.class)),
    side: texts(neurons.map(({ side }) => (side === null ? null : BANC_WORDS[side]!))),
    neurotransmitter_predicted: texts(neurons.map(({ transmitter }) => transmitter)),
  });
  return files;
}

/** hemibrain ("total") or MANC: pairs of CSV files. Fragments occur in the edges only. */
export async function writeNeuprint(
  folder: string,
  set: SyntheticSet,
  kind: "hemibrain" | "manc",
): Promise<PairOfFiles> {
  const edges = kind === "hemibrain" ? "traced-total-connections.csv" : "traced-connections.csv";
  const files = { edges: join(folder, edges), neurons: join(folder, "traced-neurons.csv") };
  await writeCsv(
    files.edges,
    ["bodyId_pre", "bodyId_post", "weight"],
    set.pairs.map((pair) => [bodyOf(set, pair.pre), bodyOf(set, pair.post), synapsesOf(pair)]),
  );
  await writeCsv(
    files.neurons,
    ["bodyId", "type", "instance"],
    set.neurons.map(({ id, type, side }) => [id, type, side === null ? type : `${type ?? "T"}_${side}`]),
  );
  return files;
}

/** A table of pairs ("n_syn"), or of synapses with the size of each, as for MICrONS; and a table of cells. */
export async function writeMicrons(
  folder: string,
  set: SyntheticSet,
  rows: "pairs" | "synapses",
): Promise<PairOfFiles> {
  const edges = rows === "pairs" ? "microns_connections.csv.gz" : "microns_synapses.csv.gz";
  const files = { edges: join(folder, edges), neurons: join(folder, "microns_cell_types.csv.gz") };
  const ends = set.pairs.map((pair) => ({ pre: bodyOf(set, pair.pre), post: bodyOf(set, pair.post), pair }));
  if (rows === "pairs") {
    const header = ["pre_pt_root_id", "post_pt_root_id", "n_syn"];
    await writeCsv(
      files.edges,
      header,
      ends.map(({ pre, post, pair }) => [pre, post, synapsesOf(pair)]),
    );
  } else {
    const header = ["id", "pre_pt_root_id", "post_pt_root_id", "size"];
    const synapses = ends.flatMap(({ pre, post, pair }) => Array.from({ length: synapsesOf(pair) }, () => [pre, post]));
    await writeCsv(
      files.edges,
      header,
      synapses.map(([pre, post], k) => [k, pre!, post!, 100 + (k % 7)]),
    );
  }
  await writeCsv(
    files.neurons,
    ["id", "pt_root_id", "cell_type", "classification_system"],
    set.neurons.map(({ id, type, superclass }, i) => [i, id, type, superclass]),
  );
  return files;
}
