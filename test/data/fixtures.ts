// Small data sets for the tests of data.

import type { ImageSet } from "../../src/data/imageSet.ts";

/** Bytes of an IDX file of unsigned bytes. */
export function idx(shape: readonly number[], data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(4 + 4 * shape.length + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 0x800 + shape.length);
  for (const [d, extent] of shape.entries()) view.setUint32(4 + 4 * d, extent);
  bytes.set(data, 4 + 4 * shape.length);
  return bytes;
}

/** `count` images of 2 × 2 whose pixels are all the image's number, labels counting through the classes. */
export function numberedImages(count: number, classes = 3): ImageSet {
  return {
    images: Uint8Array.from({ length: 4 * count }, (_, p) => Math.floor(p / 4)),
    labels: Uint8Array.from({ length: count }, (_, i) => i % classes),
    count,
    height: 2,
    width: 2,
    classes,
  };
}
