// The buffers of some columns of a record batch: read, and unpacked where they are packed. The buffers of other columns are not touched.

import { promisify } from "node:util";
import * as zlib from "node:zlib";
import { EngineError, FileFormatError } from "../core/errors.ts";
import { loadPeer, type PeerNeed } from "../core/peer.ts";
import { type BatchLayout, buffersOf, type Codec, damage } from "./arrowFraming.ts";
import type { ArrowField } from "./arrowSchema.ts";
import type { OpenFile } from "./files.ts";
import { MOST_BYTES, unpackLimit } from "./limits.ts";
import { ZstdThread, ZstdTimeout } from "./zstdThread.ts";

/** A column of a batch. */
export interface RawColumn {
  readonly rows: number;
  readonly nullCount: number;
  readonly buffers: readonly Uint8Array[];
}

/** @returns what the bytes unpack to: `length` bytes, else the file is damaged */
export type Unpack = (bytes: Uint8Array, length: number) => Promise<Uint8Array>;

export interface Unpackers {
  readonly of: ReadonlyMap<Codec, Unpack>;
  close(): Promise<void>;
}

/** Bytes between two buffers that are read along with them, and the most that several buffers are read at once. */
const GAP_BYTES = 1 << 16;
const JOINT_BYTES = 1 << 26;
/** Before a packed buffer: the length that it unpacks to, or −1 where it is stored as it is. */
const LENGTH_BYTES = 8;
const STORED_AS_IS = -1n;

/**
 * Loads the decompressors.
 *
 * @throws {EngineError} "peer-missing"
 */
export async function unpackersFor(codecs: ReadonlySet<Codec>, file: string): Promise<Unpackers> {
  const of = new Map<Codec, Unpack>();
  if (codecs.has("lz4")) of.set("lz4", await lz4(file));
  const own = nodeZstd();
  const thread = codecs.has("zstd") && own === null ? await packageZstd(file) : null;
  if (codecs.has("zstd")) of.set("zstd", own ?? ((packed, length) => thread!.unpack(packed, length)));
  return { of, close: async () => thread?.close() };
}

/** Reads the columns of one batch. */
export async function readColumns(
  source: OpenFile,
  layout: BatchLayout,
  fields: readonly ArrowField[],
  unpackers: Unpackers,
): Promise<RawColumn[]> {
  const wanted = fields.map((field) => {
    const { first, count } = buffersOf(field, layout);
    return Array.from({ length: count }, (_, k) => first + k);
  });
  const stored = await readBuffers(source, layout, [...new Set(wanted.flat())]);
  const whole = await unpackAll(stored, layout, unpackers, source.file);
  return fields.map(({ start }, c) => ({
    rows: layout.nodes[2 * start.nodes]!,
    nullCount: layout.nodes[2 * start.nodes + 1]!,
    buffers: wanted[c]!.map((buffer) => whole.get(buffer)!),
  }));
}

type Buffers = ReadonlyMap<number, Uint8Array>;

/** Buffers that are close to one another in one read. */
async function readBuffers(source: OpenFile, layout: BatchLayout, wanted: readonly number[]): Promise<Buffers> {
  const begin = (k: number): number => layout.bodyStart + layout.buffers[2 * k]!;
  const end = (k: number): number => begin(k) + layout.buffers[2 * k + 1]!;
  const found = new Map<number, Uint8Array>();
  const sorted = wanted.toSorted((a, b) => begin(a) - begin(b));
  for (let i = 0; i < sorted.length; ) {
    const first = i;
    const from = begin(sorted[first]!);
    let last = end(sorted[i]!);
    const isNear = (k: number): boolean => begin(k) <= last + GAP_BYTES && end(k) - from <= JOINT_BYTES;
    for (i++; i < sorted.length && isNear(sorted[i]!); i++) last = Math.max(last, end(sorted[i]!));
    if (last - from > MOST_BYTES) throw tooMuch(source.file, last - from);
    const bytes = await source.read(from, last);
    for (const k of sorted.slice(first, i)) found.set(k, bytes.subarray(begin(k) - from, end(k) - from));
  }
  return found;
}

async function unpackAll(
  stored: Buffers,
  { codec }: BatchLayout,
  unpackers: Unpackers,
  file: string,
): Promise<Buffers> {
  if (codec === null) return stored;
  let packedBytes = 0;
  let bytes = 0;
  const claims = new Map<number, bigint>();
  for (const [k, packed] of stored) {
    if (packed.length === 0) continue;
    if (packed.length < LENGTH_BYTES) throw damage(file, `a packed buffer of ${packed.length} bytes`);
    const claim = new DataView(packed.buffer, packed.byteOffset).getBigInt64(0, true);
    if (claim < STORED_AS_IS) throw damage(file, `a packed buffer of ${claim} bytes`);
    claims.set(k, claim);
    const content = packed.subarray(LENGTH_BYTES);
    packedBytes += content.length;
    if (claim !== STORED_AS_IS) bytes += codec === "lz4" ? lz4Bound(content, Number(claim), file) : Number(claim);
  }
  if (bytes > unpackLimit(packedBytes)) throw tooMuch(file, bytes, packedBytes);
  const unpack = unpackers.of.get(codec);
  if (unpack === undefined) throw damage(file, "a batch that is packed in another way than before");
  const whole = await Promise.all(
    [...stored].map(async ([k, packed]): Promise<readonly [number, Uint8Array]> => {
      const claim = claims.get(k);
      if (claim === undefined) return [k, packed];
      const content = packed.subarray(LENGTH_BYTES);
      if (claim === STORED_AS_IS || (claim === 0n && content.length === 0)) return [k, content];
      return [k, await unpacked(unpack, content, Number(claim), file)];
    }),
  );
  return new Map(whole);
}

async function unpacked(unpack: Unpack, packed: Uint8Array, length: number, file: string): Promise<Uint8Array> {
  let bytes: Uint8Array;
  try {
    bytes = await unpack(packed, length);
  } catch (cause) {
    if (cause instanceof EngineError) throw cause;
    const code = cause instanceof ZstdTimeout ? "file-limit" : undefined;
    throw damage(file, `a buffer that cannot be unpacked: ${cause instanceof Error ? cause.message : cause}`, code);
  }
  if (bytes.length !== length)
    throw damage(file, `a buffer that unpacks to ${bytes.length} bytes instead of ${length}`);
  return bytes;
}

function tooMuch(file: string, bytes: number, packedBytes?: number): FileFormatError {
  const limit = packedBytes === undefined ? MOST_BYTES : unpackLimit(packedBytes);
  const from = packedBytes === undefined ? "" : ` in ${packedBytes} packed ones`;
  return new FileFormatError(file, `columns of a batch of at most ${limit} bytes${from}`, `${bytes}`, "file-limit");
}

const LZ4_MAGIC = 0x184d2204;
/** A byte of a block unpacks to at most 255. */
const LZ4_MOST_PER_BYTE = 255;

/**
 * Bytes that an LZ4 frame unpacks to at most, by the lengths of its blocks, since the decoder has no limit
 * (https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md).
 */
function lz4Bound(frame: Uint8Array, claim: number, file: string): number {
  const broken = (): FileFormatError => damage(file, "a buffer that is no frame of LZ4");
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
  if (frame.length < 7 || view.getUint32(0, true) !== LZ4_MAGIC) throw broken();
  const [flags, sizes] = [frame[4]!, frame[5]!];
  const has = (bit: number): boolean => (flags & (1 << bit)) !== 0;
  const [hasBlockSums, hasLength, hasSum, hasDictionary] = [has(4), has(3), has(2), has(0)];
  const mostPerBlock = 2 ** (8 + 2 * ((sizes >> 4) & 7));
  if (hasDictionary || mostPerBlock < 2 ** 16) throw broken();
  let at = 7 + (hasLength ? 8 : 0);
  let most = 0;
  for (;;) {
    if (at + 4 > frame.length) throw broken();
    const word = view.getUint32(at, true);
    at += 4;
    if (word === 0) break;
    const length = word & 0x7fffffff;
    most += word >>> 31 === 1 ? length : Math.min(mostPerBlock, LZ4_MOST_PER_BYTE * length);
    at += length + (hasBlockSums ? 4 : 0);
  }
  if (at + (hasSum ? 4 : 0) !== frame.length) throw broken();
  if (claim > most) throw damage(file, `a buffer of ${claim} bytes in a frame of at most ${most}`);
  return most;
}

/** On the threads of libuv, so that the next batch is unpacked while this one is used. */
async function lz4(file: string): Promise<Unpack> {
  const { decompressFrame } = await loadPeer(() => import("lz4-napi"), needOf("lz4-napi", file, "LZ4"));
  return (bytes) => decompressFrame(bytes);
}

/** Node has Zstandard since 22.15. */
function nodeZstd(): Unpack | null {
  const { zstdDecompress } = zlib as { zstdDecompress?: typeof zlib.gunzip };
  if (zstdDecompress === undefined) return null;
  const unpack = promisify(zstdDecompress) as (bytes: Uint8Array, options: zlib.ZlibOptions) => Promise<Uint8Array>;
  return (bytes, length) => unpack(bytes, { maxOutputLength: Math.max(length, 1) });
}

async function packageZstd(file: string): Promise<ZstdThread> {
  const need = needOf("fzstd", file, "Zstandard");
  await loadPeer(() => import("fzstd"), { ...need, or: ", or Node 22.15 or newer" });
  return new ZstdThread();
}

function needOf(name: string, place: string, codec: string): PeerNeed {
  return { name, place, need: `columns packed with ${codec} need`, details: { file: place, codec } };
}
