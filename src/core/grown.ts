// Arrays that grow.

/** Makes a longer array that begins with the old one. */
export function grown<A extends Int32Array<ArrayBuffer> | Uint32Array<ArrayBuffer> | Uint8Array<ArrayBuffer>>(
  old: A,
  length: number,
): A {
  const own = new (old.constructor as new (length: number) => A)(length);
  own.set(old);
  return own;
}
