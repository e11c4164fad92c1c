// Transmitters of neurons from edges whose rows say how likely each one is, as FlyWire's are.

import { FileFormatError } from "../core/errors.ts";
import type { NeuronColumn } from "../core/selector.ts";
import type { IdCells, NumberCells, ReadTableOptions, TableFile } from "../io/tableFile.ts";
import type { EdgeTableColumns } from "./edges.ts";
import { idIndexOf } from "./idIndex.ts";
import type { NeuronIds } from "./types.ts";

/** A column of shares, from 0 to 1, and the transmitter that it is about. */
export interface TransmitterShare {
  readonly column: string;
  readonly transmitter: string;
}

/**
 * For each neuron the transmitter with the largest Σ share · synapses over the rows in which it is presynaptic, whatever their other end; "" where
 * it has no such row, or two transmitters are level. Empty shares count 0.
 *
 * @throws {FileFormatError} a share that is none, with its place; what reading throws
 */
export async function transmittersByShares(
  table: TableFile,
  { pre, weight }: EdgeTableColumns,
  shares: readonly TransmitterShare[],
  ids: NeuronIds,
  options: ReadTableOptions,
): Promise<NeuronColumn> {
  const index = idIndexOf(ids, (i) => `neuron ${String(ids[i])}`);
  const kinds = shares.length;
  const sums = new Float64Array(ids.length * kinds);
  let neurons = new Int32Array(0);
  await table.read(
    [
      { name: pre, as: "id" },
      ...[...(weight === null ? [] : [weight]), ...shares.map(({ column }) => column)].map((name) => ({
        ...{ name, as: "number" as const },
      })),
    ],
    ({ rowStart, count, cells }) => {
      if (neurons.length < count) neurons = new Int32Array(count);
      index.lookup((cells[0] as IdCells).ids, neurons, (row) => table.placeOf(rowStart + row, pre));
      const numbers = cells.slice(1) as readonly NumberCells[];
      const synapses = weight === null ? null : numbers[0]!.numbers;
      const first = weight === null ? 0 : 1;
      for (let s = 0; s < kinds; s++) {
        const { numbers: own, nulls } = numbers[first + s]!;
        for (let row = 0; row < count; row++) {
          const neuron = neurons[row]!;
          if (neuron < 0 || nulls?.[row]) continue;
          const share = own[row]!;
          if (!(share >= 0 && share <= 1)) {
            const place = table.placeOf(rowStart + row, shares[s]!.column);
            throw new FileFormatError(place, "a share from 0 to 1, or an empty cell", `${share}`);
          }
          sums[neuron * kinds + s]! += share * (synapses ? synapses[row]! : 1);
        }
      }
      return true;
    },
    options,
  );
  return { values: ["", ...shares.map(({ transmitter }) => transmitter)], valueIdx: largestOf(sums, kinds) };
}

/** For each group of `kinds` sums the position of the largest one, counted from 1; 0: all are 0, or two are level. */
function largestOf(sums: Float64Array, kinds: number): Uint32Array {
  return Uint32Array.from({ length: sums.length / kinds }, (_, i) => {
    let [best, most] = [0, 0];
    for (let s = 0; s < kinds; s++) {
      const sum = sums[i * kinds + s]!;
      if (sum > most) [best, most] = [s + 1, sum];
      else if (sum === most) best = 0;
    }
    return best;
  });
}
