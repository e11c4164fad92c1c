// A made-up visual system as files: what a user has of a connectome.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type RetinotopicConnectome, retinotopicConnectome } from "../../src/data/connectomes.ts";
import { writeSparseNpz } from "../../src/io/npz.ts";

/** Writes `net_csr.npz` and `net_neurons.csv` beside it, with `columns`² columns. */
export async function writeNetwork(dir: string, columns: number): Promise<RetinotopicConnectome> {
  const network = retinotopicConnectome({ columns });
  const { csr, count, typeIdx, types, role, x, y } = network;
  await writeSparseNpz(join(dir, "net_csr.npz"), csr);
  const rows = Array.from({ length: count }, (_, i) => {
    // The table places neurons on a hexagonal grid: x = 1.5 v, y = −√3 (u + v/2).
    const v = x[i]! / 1.5;
    const u = -y[i]! / Math.sqrt(3) - v / 2;
    return `${i},${types[typeIdx[i]!]},${typeIdx[i]},${u},${v},${role[i]},exc`;
  });
  const header = "index,cell_type,type_index,u,v,role,sign_class";
  await writeFile(join(dir, "net_neurons.csv"), `${[header, ...rows].join("\n")}\n`);
  return network;
}
