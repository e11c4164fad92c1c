// Recorded activity as a file: NumPy arrays (.npz), or a table (.csv) with a line per sample, time and neuron.

import type { FloatArray } from "../core/dtype.ts";
import { csvCell } from "../core/text.ts";
import { replaceFile } from "../io/durable.ts";
import { type ArrayToWrite, writeArrays } from "../io/writeArrays.ts";
import type { RecordedActivity } from "../models/recordActivity.ts";

/** Activity, and what is known of its neurons and samples. */
export interface ActivityFile {
  readonly activity: RecordedActivity;
  /** "hs": states; "rates": what the neurons send. */
  readonly name: "hs" | "rates";
  /** Times are numbers of steps. */
  readonly isDiscrete: boolean;
  /** Of the recorded neurons; null: the ids are the indices, or the types are not known. */
  readonly ids: readonly string[] | null;
  readonly types: readonly string[] | null;
  /** A class per sample; null: unknown. */
  readonly labels: ArrayLike<number> | null;
  /** Other targets, [samples, times?, numbers?]; null: there are none. */
  readonly targets: { readonly shape: readonly number[]; readonly data: FloatArray } | null;
}

/** Extensions of such files. */
export const ACTIVITY_EXTENSIONS: readonly string[] = [".npz", ".csv"];
/** Lines that are written at once. */
const LINES = 10_000;

/**
 * Writes activity by the extension of the file, atomically.
 *
 * - .npz: `hs` (or `rates`) [samples, times, neurons], `ts` [times] in time constants or steps, `neurons` [neurons] (indices); where known `ids`,
 *   `types` [neurons], and of the samples
 *   `labels` [samples], or `targets` [samples, times, numbers], without the dimensions that they do not have.
 * - .csv: columns sample, label, time [tau] (or step), neuron, id, type, state (or rate), those that are known.
 */
export async function writeActivity(file: string, content: ActivityFile): Promise<void> {
  if (file.endsWith(".csv")) await replaceFile(file, linesOf(content));
  else await writeArrays(file, arraysOf(content));
}

function arraysOf({ activity, name, ids, types, labels, targets }: ActivityFile): Record<string, ArrayToWrite> {
  const { data, shape, ts, neurons } = activity;
  return {
    [name]: { shape, data },
    ts: { shape: [ts.length], data: ts },
    neurons: { shape: [neurons.length], data: neurons },
    ...(ids && { ids }),
    ...(types && { types }),
    ...(labels && { labels: { shape: [labels.length], data: Int32Array.from(labels) } }),
    ...(targets && { targets }),
  };
}

function* linesOf({ activity, name, isDiscrete, ids, types, labels }: ActivityFile): Generator<string> {
  const { data, ts, neurons } = activity;
  const header = [
    "sample",
    labels && "label",
    isDiscrete ? "step" : "time [tau]",
    "neuron",
    ids && "id",
    types && "type",
  ];
  yield `${[...header, name === "hs" ? "state" : "rate"].filter((cell) => cell !== null).join(",")}\n`;
  // The part of a line about its neuron is the same at all times.
  const facts = Array.from(neurons, (i, c) =>
    [String(i), ids?.[c], types?.[c]].flatMap((cell) => (cell === undefined ? [] : [csvCell(cell)])).join(","),
  );
  let text = "";
  for (let k = 0; k < data.length; k++) {
    const [row, c] = [Math.floor(k / neurons.length), k % neurons.length];
    const sample = Math.floor(row / ts.length);
    text += `${sample}${labels ? `,${labels[sample]}` : ""},${ts[row % ts.length]},${facts[c]},${data[k]}\n`;
    if ((k + 1) % LINES > 0) continue;
    yield text;
    text = "";
  }
  yield text;
}
