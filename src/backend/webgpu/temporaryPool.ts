// Memory of temporaries. Within a program, temporaries whose lives do not overlap share it. All programs share it, because a temporary
// holds nothing from one run to the next.

import { lengthOf } from "../layout.ts";
import type { Binding, BindingId, PanelLayout } from "../program.ts";
import type { Memory } from "./deviceBuffers.ts";
import type { Piece } from "./slabs.ts";

/** Temporaries that share memory, which is as large as the largest of them. */
export interface SharedMemory {
  readonly length: number;
  readonly members: readonly BindingId[];
}

/** First fit, largest first: each temporary joins the first group whose members are all dead while it lives. */
export function shareTemporaries(bindings: readonly Binding[], layout: PanelLayout): readonly SharedMemory[] {
  const temporaries = bindings.flatMap((b, id) => (b.temp ? [{ id, length: lengthOf(b, layout) }] : []));
  temporaries.sort((a, b) => b.length - a.length || a.id - b.id);
  const groups: { length: number; members: BindingId[] }[] = [];
  for (const { id, length } of temporaries) {
    const free = groups.find((group) => group.members.every((other) => !overlap(bindings[id]!, bindings[other]!)));
    if (free) free.members.push(id);
    else groups.push({ length, members: [id] });
  }
  return groups;
}

function overlap(a: Binding, b: Binding): boolean {
  if (!a.temp || !b.temp) return true;
  return a.temp.firstPhase <= b.temp.lastPhase && b.temp.firstPhase <= a.temp.lastPhase;
}

/** Device memory that all programs of a backend use in turn. */
export class TemporaryPool {
  readonly #memory: Memory;
  readonly #pieces: Piece[] = [];

  constructor(memory: Memory) {
    this.#memory = memory;
  }

  /** A piece for each of the lengths (in elements, largest first), no two of them the same; what is there is used again. */
  take(lengths: readonly number[], label: string): readonly Piece[] {
    const taken = new Set<Piece>();
    return lengths.map((length) => {
      const fitting = this.#pieces.filter((piece) => piece.byteLength >= 4 * length && !taken.has(piece));
      const smallest = fitting.sort((a, b) => a.byteLength - b.byteLength)[0];
      const piece = smallest ?? this.#allocate(length, label);
      taken.add(piece);
      return piece;
    });
  }

  #allocate(length: number, label: string): Piece {
    const piece = this.#memory.slabs.allocate(label, 4 * length);
    this.#memory.ledger.add(4 * length, false);
    this.#pieces.push(piece);
    return piece;
  }
}
