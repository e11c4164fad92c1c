// A reader of TensorBoard's event files: TFRecord framing with its checksums, and protobuf by wire types.

import { readFile } from "node:fs/promises";
import * as assert from "uvu/assert";
import { eventFiles } from "../../src/train/tensorboard.ts";

export type Fields = Map<number, (Buffer | number)[]>;

/** The bit-by-bit definition of CRC-32C. */
function slowCrc(bytes: Uint8Array): number {
  let c = ~0;
  for (const byte of bytes) {
    c ^= byte;
    for (let bit = 0; bit < 8; bit++) c = (c >>> 1) ^ (-(c & 1) & 0x82f63b78);
  }
  return ~c >>> 0;
}

function unmask(masked: number): number {
  const rotated = (masked - 0xa282ead8) >>> 0;
  return ((rotated >>> 17) | (rotated << 15)) >>> 0;
}

/** The data of the records of a file; their checksums must be right. */
export function records(file: Buffer): Buffer[] {
  const found: Buffer[] = [];
  for (let at = 0; at < file.length; ) {
    const length = Number(file.readBigUInt64LE(at));
    assert.is(unmask(file.readUInt32LE(at + 8)), slowCrc(file.subarray(at, at + 8)), "checksum of the length");
    const data = file.subarray(at + 12, at + 12 + length);
    assert.is(unmask(file.readUInt32LE(at + 12 + length)), slowCrc(data), "checksum of the data");
    found.push(data);
    at += 16 + length;
  }
  return found;
}

/** The fields of a protobuf message by number. */
export function message(bytes: Buffer): Fields {
  const fields: Fields = new Map();
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = bytes[at++]!;
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  const take = (length: number): Buffer => {
    at += length;
    return bytes.subarray(at - length, at);
  };
  const read = (wireType: number): Buffer | number => {
    if (wireType === 0) return varint();
    if (wireType === 1) return take(8).readDoubleLE();
    if (wireType === 5) return take(4).readFloatLE();
    return take(varint());
  };
  while (at < bytes.length) {
    const tag = varint();
    fields.set(tag >> 3, [...(fields.get(tag >> 3) ?? []), read(tag & 7)]);
  }
  return fields;
}

export interface ScalarEvent {
  readonly wallTime: number;
  readonly step: number;
  readonly scalars: Readonly<Record<string, number>>;
}

export function eventOf(record: Buffer): ScalarEvent {
  const event = message(record);
  const values = message(event.get(5)![0] as Buffer)
    .get(1)!
    .map((value) => message(value as Buffer));
  return {
    wallTime: event.get(1)![0] as number,
    step: event.get(2)![0] as number,
    scalars: Object.fromEntries(values.map((v) => [String(v.get(1)![0]), v.get(2)![0] as number])),
  };
}

/** What TensorBoard keeps of all files of a folder: a START of a session (field 7) purges its step and later ones. */
export async function shownByTensorBoard(folder: string): Promise<ScalarEvent[]> {
  let shown: ScalarEvent[] = [];
  for (const file of (await eventFiles(folder)).sort()) {
    for (const record of records(await readFile(file))) {
      const event = message(record);
      const [from = 0] = event.get(2) ?? [];
      if (event.has(7)) shown = shown.filter(({ step }) => step < (from as number));
      if (event.has(5)) shown.push(eventOf(record));
    }
  }
  return shown;
}
