// The matrix of group means: an output projection that reads out the mean over groups of neurons.

import { type Csr, csrFromParts } from "../../core/csr.ts";
import { ArgumentError } from "../../core/errors.ts";

/**
 * M [nGroups, group.length] with M[k, i] = 1/n_k for the n_k neurons i of group k, else 0: M·h are the means over groups. As an output
 * projection, with `outputProjectionBias: false` and `trainOutputProjection: false`, it makes these means the features of a read-out.
 *
 * @param group    the group of each neuron, from 0; −1: in none
 * @param nGroups  default: one more than the largest
 * @throws {ArgumentError} a group out of range, or one without a neuron
 */
export function groupMeans(group: ArrayLike<number>, nGroups?: number): Csr {
  const n = nGroups ?? Array.from(group).reduce((most, k) => Math.max(most, Math.floor(k) + 1), 0);
  if (!Number.isInteger(n) || n < 1)
    throw new ArgumentError("groupMeans", "nGroups", "a whole number of at least 1", `${n}`);
  const members = Array.from({ length: n }, (): number[] => []);
  for (let i = 0; i < group.length; i++) {
    const k = group[i]!;
    if (!Number.isInteger(k) || k < -1 || k >= n)
      throw new ArgumentError("groupMeans", "group", `groups 0 to ${n - 1}, or -1`, `${k} at neuron ${i}`);
    if (k >= 0) members[k]!.push(i);
  }
  const empty = members.findIndex((neurons) => neurons.length === 0);
  if (empty >= 0) throw new ArgumentError("groupMeans", "group", "a neuron in every group", `none in group ${empty}`);
  const rowPtr = new Uint32Array(n + 1);
  for (const [k, neurons] of members.entries()) rowPtr[k + 1] = rowPtr[k]! + neurons.length;
  const colIdx = Uint32Array.from(members.flat());
  const values = Float64Array.from(members.flatMap((neurons) => neurons.map(() => 1 / neurons.length)));
  return csrFromParts({ nRows: n, nCols: group.length, rowPtr, colIdx, values });
}
