// Which neurons can reach each other: components of the graph behind a connectome, in either direction or in both.

import type { Csr } from "../core/csr.ts";

/** A partition of the neurons. */
export interface Components {
  readonly count: number;
  /** [neurons], 0 … count − 1. */
  readonly componentIdx: Uint32Array;
  /** [count], neurons of each. */
  readonly sizes: Uint32Array;
}

/**
 * Components whose neurons are connected when directions are ignored. Near O(nnz).
 * Source: Tarjan, van Leeuwen, "Worst-case analysis of set union algorithms", J. ACM 31(2), 1984 (path halving).
 */
export function weaklyConnectedComponents({ nRows, rowPtr, colIdx }: Csr): Components {
  const parent = Uint32Array.from({ length: nRows }, (_, i) => i);
  const rootOf = (start: number): number => {
    let i = start;
    while (parent[i] !== i) {
      parent[i] = parent[parent[i]!]!;
      i = parent[i]!;
    }
    return i;
  };
  for (let i = 0; i < nRows; i++) {
    for (let k = rowPtr[i]!; k < rowPtr[i + 1]!; k++) {
      const [a, b] = [rootOf(i), rootOf(colIdx[k]!)];
      // The smaller index becomes the root, so the numbering below follows the neurons.
      if (a < b) parent[b] = a;
      else parent[a] = b;
    }
  }
  const componentIdx = new Uint32Array(nRows);
  let count = 0;
  for (let i = 0; i < nRows; i++) {
    const root = rootOf(i);
    componentIdx[i] = root === i ? count++ : componentIdx[root]!;
  }
  return withSizes(componentIdx, count);
}

/**
 * Components within which every neuron reaches every other one along connections. O(neurons + nnz), without recursion.
 * Source: Tarjan, "Depth-first search and linear graph algorithms", SIAM J. Computing 1(2), 1972.
 */
export function stronglyConnectedComponents({ nRows, rowPtr, colIdx }: Csr): Components {
  const componentIdx = new Uint32Array(nRows);
  // Order of discovery from 1, and the earliest neuron still on the stack that is reachable; 0: not seen yet.
  const found = new Uint32Array(nRows);
  const earliest = new Uint32Array(nRows);
  const onStack = new Uint8Array(nRows);
  const stack = new Uint32Array(nRows);
  // The path of the search, and the next entry to follow at each of its neurons.
  const path = new Uint32Array(nRows);
  const next = rowPtr.slice(0, nRows);
  let stackSize = 0;
  let time = 0;
  let count = 0;
  for (let start = 0; start < nRows; start++) {
    if (found[start] !== 0) continue;
    let depth = 0;
    path[0] = start;
    while (depth >= 0) {
      const i = path[depth]!;
      if (found[i] === 0) {
        found[i] = earliest[i] = ++time;
        stack[stackSize++] = i;
        onStack[i] = 1;
      }
      if (next[i]! < rowPtr[i + 1]!) {
        const j = colIdx[next[i]!++]!;
        if (found[j] === 0) path[++depth] = j;
        else if (onStack[j] === 1) earliest[i] = Math.min(earliest[i]!, found[j]!);
        continue;
      }
      if (earliest[i] === found[i]) {
        for (let j = -1; j !== i; ) {
          j = stack[--stackSize]!;
          onStack[j] = 0;
          componentIdx[j] = count;
        }
        count++;
      }
      if (--depth >= 0) earliest[path[depth]!] = Math.min(earliest[path[depth]!]!, earliest[i]!);
    }
  }
  return withSizes(componentIdx, count);
}

function withSizes(componentIdx: Uint32Array, count: number): Components {
  const sizes = new Uint32Array(count);
  for (const c of componentIdx) sizes[c]!++;
  return { count, componentIdx, sizes };
}
