// Order of text.

/** By code points, as Python and NumPy compare; the units of UTF-16 would put rare characters before common ones. */
export function compareText(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  let i = 0;
  while (i < length && a.charCodeAt(i) === b.charCodeAt(i)) i++;
  if (i === length) return a.length - b.length;
  // Back to the start of a character that differs in its second half.
  if (i > 0 && isHighSurrogate(a.charCodeAt(i - 1))) i--;
  return a.codePointAt(i)! - b.codePointAt(i)!;
}

function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit < 0xdc00;
}
