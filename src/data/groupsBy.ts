// Items sorted into groups by several small numbers each.

/** A number of every item, from 0 to extent − 1. */
export interface Digit {
  readonly extent: number;
  readonly of: (item: number) => number;
}

/** Group g has members begin[g] … begin[g + 1]. */
export interface Groups {
  readonly members: Uint32Array;
  readonly begin: Uint32Array;
}

/**
 * Groups of the items 0 … count − 1 for which `isMember` holds, whose digits are all equal; items ascend in each. A radix sort: O(digits ·
 * (count + extent)).
 */
export function groupsBy(count: number, isMember: (item: number) => boolean, digits: readonly Digit[]): Groups {
  let members: Uint32Array = new Uint32Array(count);
  let length = 0;
  for (let item = 0; item < count; item++) if (isMember(item)) members[length++] = item;
  members = members.subarray(0, length);
  for (const digit of digits) members = sortedBy(members, digit);
  const begins: number[] = [];
  for (let k = 0; k < length; k++) {
    if (k === 0 || digits.some(({ of }) => of(members[k]!) !== of(members[k - 1]!))) begins.push(k);
  }
  return { members, begin: Uint32Array.from([...begins, length]) };
}

function sortedBy(items: Uint32Array, { extent, of }: Digit): Uint32Array {
  const next = new Uint32Array(extent + 1);
  const keys = new Uint32Array(items.length);
  for (let k = 0; k < items.length; k++) {
    keys[k] = of(items[k]!);
    next[keys[k]! + 1]!++;
  }
  for (let d = 0; d < extent; d++) next[d + 1]! += next[d]!;
  const sorted = new Uint32Array(items.length);
  for (let k = 0; k < items.length; k++) sorted[next[keys[k]!]!++] = items[k]!;
  return sorted;
}
