// CRC-32 as zip and PNG use it: reflected polynomial 0xEDB88320. Source: ISO 3309; PNG specification (RFC 2083), appendix 15.

import * as zlib from "node:zlib";

/** Thirty times as fast; since Node 20.15. */
const native: ((bytes: Uint8Array, before: number) => number) | undefined = zlib.crc32;

const TABLE: Uint32Array = Uint32Array.from({ length: 256 }, (_, byte) => {
  let c = byte;
  for (let bit = 0; bit < 8; bit++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c;
});

/**
 * The checksum of `bytes` as an unsigned 32-bit number.
 *
 * @param before  the checksum of what comes before them
 */
export function crc32(bytes: Uint8Array, before = 0): number {
  return native ? native(bytes, before) : crc32ByTable(bytes, before);
}

/** The same, in JavaScript. */
export function crc32ByTable(bytes: Uint8Array, before = 0): number {
  let c = (before ^ 0xffffffff) >>> 0;
  for (let i = 0; i < bytes.length; i++) c = TABLE[(c ^ bytes[i]!) & 255]! ^ (c >>> 8);
  return (c ^ 0xffffffff) >>> 0;
}
