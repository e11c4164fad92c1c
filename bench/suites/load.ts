// Loading a matrix: reading and checking a file, then uploading structure and values to the device.

import { join } from "node:path";
import { readConnectome } from "../../src/io/connectome.ts";
import { writeSparseNpz } from "../../src/io/npz.ts";
import { asyncContender, interleave } from "../measure.ts";
import type { BenchSession } from "../session.ts";

export async function loadSuite(session: BenchSession): Promise<void> {
  const { network, backend, effort, job } = session;
  const { csr } = network;
  const file = join(job.folder, "connectome.npz");
  await writeSparseNpz(file, csr);
  const read = await readConnectome(file);
  const equal = (a: ArrayLike<number>, b: ArrayLike<number>): boolean =>
    a.length === b.length && Array.prototype.every.call(a, (x, i) => x === b[i]);
  if (!equal(read.rowPtr, csr.rowPtr) || !equal(read.colIdx, csr.colIdx) || !equal(read.values, csr.values)) {
    session.refuse("load: the file that was read is not the one that was written");
    return;
  }
  const [reading, uploading] = await interleave(
    [
      asyncContender("load.read", async () => {
        await readConnectome(file);
      }),
      asyncContender("load.upload", async () => {
        backend.sparse("w", csr).release();
        await backend.finish();
      }),
    ],
    effort,
  );
  session.row({ op: "load.read", batch: 0, cost: null }, reading!);
  session.row({ op: "load.upload", batch: 0, cost: null }, uploading!);
}
