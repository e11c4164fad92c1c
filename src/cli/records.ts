// What a run writes down as it goes: its events, for programs (metrics.jsonl) and for TensorBoard.

import { MetricsFile, type RunEvent } from "../train/metrics.ts";
import { EventFile } from "../train/tensorboard.ts";

export interface Records {
  write(event: RunEvent): Promise<void>;
  /** For TensorBoard alone, which drops the events of the step that a run continues from. */
  repeat(event: RunEvent): Promise<void>;
  /** Makes what was written durable. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** Where a run begins or continues. */
export interface OpenedRecords {
  readonly records: Records;
  /** Events of the run before it was resumed. */
  readonly events: readonly RunEvent[];
  /** Faults of its metrics, in words. */
  readonly faults: readonly string[];
}

/** The records of a process that leaves them to another one. */
export const NO_RECORDS: OpenedRecords = {
  records: { write: async () => {}, repeat: async () => {}, sync: async () => {}, close: async () => {} },
  events: [],
  faults: [],
};

/**
 * Opens the records in a folder.
 *
 * @param metricsFile  of the metrics
 * @param from  the step that a run continues after; null: a new run
 */
export async function openRecords(folder: string, metricsFile: string, from: number | null): Promise<OpenedRecords> {
  const { metrics, ...earlier } =
    from === null
      ? { metrics: await MetricsFile.create(metricsFile), events: [], faults: [] }
      : await MetricsFile.resume(metricsFile, from);
  try {
    const events = await EventFile.create(folder, from === null ? {} : { continued: true, from });
    const records: Records = {
      write: async (event) => {
        await metrics.write(event);
        await events.record(event);
      },
      repeat: (event) => events.record(event),
      sync: () => metrics.sync(),
      close: async () => {
        try {
          await events.close();
        } finally {
          await metrics.close();
        }
      },
    };
    return { records, ...earlier };
  } catch (error) {
    await metrics.close();
    throw error;
  }
}
