// TensorBoard event files: scalars by step, one record per call. A file is a TFRecord file of protobuf messages:
// record = uint64 length, uint32 masked CRC-32C of these 8 bytes, data, uint32 masked CRC-32C of the data, all little-endian.
// Sources: tensorflow/core/lib/io/record_writer.h, tensorflow/core/util/event.proto, tensorflow/core/framework/summary.proto.

import { type FileHandle, open, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { writeError } from "../io/durable.ts";
import type { Diagnosis } from "./diagnosis.ts";
import type { EvaluationRecord, RunEvent } from "./metrics.ts";
import type { StepMetrics } from "./trainer.ts";

/** TensorBoard finds event files by this part of their names. */
const PREFIX = "events.out.tfevents.";
const FILE_VERSION = "brain.Event:2";

/** Values by tag; TensorBoard groups tags by the part before the slash. */
export type Scalars = Readonly<Record<string, number>>;

/** An event file that grows record by record; what is written can be seen at once. */
export class EventFile {
  readonly file: string;
  readonly #handle: FileHandle;

  private constructor(file: string, handle: FileHandle) {
    this.file = file;
    this.#handle = handle;
  }

  /**
   * Begins a file in `folder`. Files of an earlier run are removed, unless it is continued: TensorBoard reads all files of a folder
   * as one run, in the order of their names.
   *
   * @param from  of a continued run: the first step that is recorded anew. Later steps of earlier files are not shown
   */
  static async create(
    folder: string,
    { continued = false, from }: { readonly continued?: boolean; readonly from?: number } = {},
  ): Promise<EventFile> {
    let file = folder;
    try {
      const earlier = await eventFiles(folder);
      if (!continued) for (const name of earlier) await rm(name);
      const numbers = continued ? earlier.map((name) => numberOf(name) + 1) : [];
      file = join(folder, eventFileName(Math.max(0, ...numbers)));
      const events = new EventFile(file, await open(file, "w"));
      try {
        await events.#append(versionEvent(Date.now() / 1000));
        if (continued && from !== undefined) await events.#append(startEvent(Date.now() / 1000, from));
      } catch (cause) {
        await events.close();
        throw cause;
      }
      return events;
    } catch (cause) {
      throw writeError(file, cause);
    }
  }

  /** Writes what TensorBoard can show of an event; nothing for others. */
  async record(event: RunEvent): Promise<void> {
    if (event.event === "step") await this.write(event.step, stepScalars(event));
    if (event.event === "diagnosis") await this.write(event.step, diagnosisScalars(event));
    if (event.event === "evaluation") await this.write(event.step, evaluationScalars(event));
  }

  /** Values that are not finite are left out, as TensorBoard cannot draw them. */
  async write(step: number, scalars: Scalars): Promise<void> {
    const finite = Object.entries(scalars).filter(([, value]) => Number.isFinite(value));
    if (finite.length === 0) return;
    try {
      await this.#append(scalarEvent(Date.now() / 1000, step, Object.fromEntries(finite)));
    } catch (cause) {
      throw writeError(this.file, cause);
    }
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }

  async #append(event: Uint8Array): Promise<void> {
    await this.#handle.appendFile(tfRecord(event));
  }
}

/** The name of the file of a run, or of its n-th continuation. */
export function eventFileName(n = 0): string {
  return `${PREFIX}${`${n}`.padStart(10, "0")}.axograd`;
}

/** The n that the name of an event file was made with; −1 for one that another program made. */
function numberOf(file: string): number {
  return Number(/(\d+)\.axograd$/.exec(file)?.[1] ?? -1);
}

/** Event files in a folder. */
export async function eventFiles(folder: string): Promise<string[]> {
  const names = await readdir(folder);
  return names.filter((name) => name.startsWith(PREFIX)).map((name) => join(folder, name));
}

/** What TensorBoard shows of a training step. */
export function stepScalars(step: StepMetrics): Scalars {
  const { loss, metrics, penalties = {}, learningRate, stepsPerSecond, solver } = step;
  return {
    "training/loss": loss,
    ...tagged("training", metrics),
    ...tagged("penalty", penalties),
    "training/learning rate": learningRate,
    "speed/steps per second": stepsPerSecond,
    ...(solver && {
      "solver/RHS evaluations per step": solver.rhsEvaluations,
      "solver/attempts per sample": solver.steps.mean,
      "solver/failed samples": solver.failed,
    }),
  };
}

/** What TensorBoard shows of a diagnosis. */
export function diagnosisScalars({ saturated, silent, featureSpread, deadUnits, gradients }: Diagnosis): Scalars {
  return {
    "diagnosis/saturated neurons": saturated,
    "diagnosis/silent neurons": silent,
    ...(featureSpread !== null && { "diagnosis/spread of features": featureSpread }),
    ...(deadUnits !== null && { "diagnosis/dead hidden units": deadUnits }),
    ...tagged("gradient norm", gradients ?? {}),
  };
}

/** What TensorBoard shows of an evaluation. */
export function evaluationScalars({ set, loss, metrics }: EvaluationRecord): Scalars {
  return { [`${set}/loss`]: loss, ...tagged(set, metrics) };
}

function tagged(group: string, values: Scalars): Scalars {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [`${group}/${name}`, value]));
}

// ---- records -----------------------------------------------------------------------------------------------------------

function tfRecord(data: Uint8Array): Uint8Array {
  const record = Buffer.alloc(16 + data.length);
  record.writeBigUInt64LE(BigInt(data.length), 0);
  record.writeUInt32LE(maskedCrc(record.subarray(0, 8)), 8);
  record.set(data, 12);
  record.writeUInt32LE(maskedCrc(data), 12 + data.length);
  return record;
}

/** Rotated and shifted, so that a CRC of data that hold CRCs is still a good one. */
function maskedCrc(bytes: Uint8Array): number {
  const crc = crc32c(bytes);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

/** CRC-32C (Castagnoli): reflected polynomial 0x82F63B78. Source: RFC 3720, section 12.1. */
export function crc32c(bytes: Uint8Array): number {
  let c = 0xffffffff;
  for (const byte of bytes) c = CASTAGNOLI[(c ^ byte) & 255]! ^ (c >>> 8);
  return (c ^ 0xffffffff) >>> 0;
}

const CASTAGNOLI: Uint32Array = Uint32Array.from({ length: 256 }, (_, byte) => {
  let c = byte;
  for (let bit = 0; bit < 8; bit++) c = c & 1 ? 0x82f63b78 ^ (c >>> 1) : c >>> 1;
  return c;
});

// ---- messages ----------------------------------------------------------------------------------------------------------

/** Event { double wall_time = 1; string file_version = 3 }: the first record of a file. */
function versionEvent(wallTime: number): Uint8Array {
  return Buffer.concat([doubleField(1, wallTime), bytesField(3, Buffer.from(FILE_VERSION))]);
}

/** SessionLog.SessionStatus. */
const START = 1;

/**
 * Event { double wall_time = 1; int64 step = 2; SessionLog session_log = 7 }, SessionLog { SessionStatus status = 1 }. At a START,
 * TensorBoard forgets what it has of this step and later ones (event_accumulator.py).
 */
function startEvent(wallTime: number, step: number): Uint8Array {
  const log = Buffer.concat([tagOf(1, VARINT), varint(START)]);
  return Buffer.concat([doubleField(1, wallTime), tagOf(2, VARINT), varint(step), bytesField(7, log)]);
}

/** Event { double wall_time = 1; int64 step = 2; Summary summary = 5 }, Summary { repeated Value value = 1 }. */
function scalarEvent(wallTime: number, step: number, scalars: Scalars): Uint8Array {
  const values = Object.entries(scalars).map(([tag, value]) => bytesField(1, scalarValue(tag, value)));
  return Buffer.concat([
    doubleField(1, wallTime),
    tagOf(2, VARINT),
    varint(step),
    bytesField(5, Buffer.concat(values)),
  ]);
}

/** Value { string tag = 1; float simple_value = 2 }. */
function scalarValue(tag: string, value: number): Uint8Array {
  const float = Buffer.alloc(4);
  float.writeFloatLE(value);
  return Buffer.concat([bytesField(1, Buffer.from(tag)), tagOf(2, FIXED_32), float]);
}

/** Wire types. Source: Protocol Buffers, Encoding. */
const VARINT = 0;
const FIXED_64 = 1;
const BYTES = 2;
const FIXED_32 = 5;

function tagOf(field: number, wireType: number): Uint8Array {
  return varint(field * 8 + wireType);
}

function bytesField(field: number, bytes: Uint8Array): Uint8Array {
  return Buffer.concat([tagOf(field, BYTES), varint(bytes.length), bytes]);
}

function doubleField(field: number, value: number): Uint8Array {
  const double = Buffer.alloc(8);
  double.writeDoubleLE(value);
  return Buffer.concat([tagOf(field, FIXED_64), double]);
}

/** Seven bits per byte, lowest first; the high bit says that more follow. */
function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  bytes.push(rest);
  return Uint8Array.from(bytes);
}
