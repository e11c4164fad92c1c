// Recorded activity as a file: NumPy arrays (.npz), or a table (.csv) with a line per sample, time and neuron.

import { csvCell } from "../core/text.ts";
import { replaceFile } from "../io/durable.ts";
import { writeNpz } from "../io/npz.ts";
import type { RecordedActivity } from "../models/recordActivity.ts";

/** Activity, and what is known of its neurons and samples. */
export interface ActivityFile {
  readonly activity: RecordedActivity;
  /** "hs": states; "rates": what the neurons send. */
  readonly name: "hs" | "rates";
  /** Of the recorded neurons; null: the ids are the indices, or the types are not known. */
  readonly ids: readonly string[] | null;
  readonly types: readonly string[] | null;
  /** A class per sample; null: unknown. */
  readonly labels: ArrayLike<number> | null;
}

/** Extensions of such files. */
export const ACTIVITY_EXTENSIONS: readonly string[] = [".npz", ".csv"];
/** Lines that are written at once. */
const LINES = 10_000;

/**
 * Writes activity by the extension of the file, atomically.
 *
 * - .npz: `hs` (or `rates`) [samples, times, neurons], `ts` [times] in time constants, `neurons` [neurons] (indices); where known `ids`,
 *   `types` [neurons] and `labels` [samples].
 * - .csv: columns sample, label, time [tau], neuron, id, type, state (or rate), those that are known.
 */
export async function writeActivity(file: string, content: ActivityFile): Promise<void> {
  if (file.endsWith(".csv")) await replaceFile(file, linesOf(content));
  else await writeArrays(file, content);
}

async function writeArrays(file: string, { activity, name, ids, types, labels }: ActivityFile): Promise<void> {
  const { data, shape, ts, neurons } = activity;
  await writeNpz(file, {
    [name]: { shape, data },
    ts: { shape: [ts.length], data: ts },
    neurons: { shape: [neurons.length], data: neurons },
    ...(ids && { ids: { shape: [ids.length], texts: ids } }),
    ...(types && { types: { shape: [types.length], texts: types } }),
    ...(labels && { labels: { shape: [labels.length], data: Int32Array.from(labels) } }),
  });
}

function* linesOf({ activity, name, ids, types, labels }: ActivityFile): Generator<string> {
  const { data, ts, neurons } = activity;
  const header = ["sample", labels && "label", "time [tau]", "neuron", ids && "id", types && "type"];
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
