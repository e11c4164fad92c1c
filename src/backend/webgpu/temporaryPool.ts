// Memory of temporaries. Within a program, temporaries whose lives do not overlap share it. All programs share it, because a temporary
// holds nothing from one run to the next. Those that kernels bind on their own have buffers of their own, apart from the slabs.

import { lengthOf } from "../layout.ts";
import type { Binding, BindingId, PanelLayout } from "../program.ts";
import type { Memory } from "./deviceBuffers.ts";
import type { Piece } from "./slabs.ts";

/** Temporaries that share memory, which is as large as the largest of them. */
export interface SharedMemory {
  readonly length: number;
  readonly members: readonly BindingId[];
  readonly isApart: boolean;
}

/**
 * First fit, largest first: each temporary joins the first group whose members are all dead while it lives.
 *
 * @param apart  those that kernels bind on their own
 */
export function shareTemporaries(
  bindings: readonly Binding[],
  layout: PanelLayout,
  apart: ReadonlySet<BindingId>,
): readonly SharedMemory[] {
  const temporaries = bindings.flatMap((b, id) => (b.temp ? [{ id, length: lengthOf(b, layout) }] : []));
  temporaries.sort((a, b) => b.length - a.length || a.id - b.id);
  const groups: { length: number; members: BindingId[]; isApart: boolean }[] = [];
  for (const { id, length } of temporaries) {
    const isApart = apart.has(id);
    const free = groups.find(
      (group) => group.isApart === isApart && group.members.every((other) => !overlap(bindings[id]!, bindings[other]!)),
    );
    if (free) free.members.push(id);
    else groups.push({ length, members: [id], isApart });
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
  readonly #pieces: { readonly piece: Piece; readonly isApart: boolean }[] = [];

  constructor(memory: Memory) {
    this.#memory = memory;
  }

  /** A piece for each of the groups (largest first), no two of them the same; what is there is used again. */
  take(groups: readonly SharedMemory[], label: string): readonly Piece[] {
    const taken = new Set<Piece>();
    return groups.map(({ length, isApart }) => {
      const alike = this.#pieces.filter((known) => known.isApart === isApart).map(({ piece }) => piece);
      const fitting = alike.filter((piece) => piece.byteLength >= 4 * length && !taken.has(piece));
      const smallest = fitting.sort((a, b) => a.byteLength - b.byteLength)[0];
      const piece = smallest ?? this.#allocate(length, isApart, label);
      taken.add(piece);
      return piece;
    });
  }

  #allocate(length: number, isApart: boolean, label: string): Piece {
    const piece = this.#memory.slabs.allocate(label, 4 * length, isApart);
    this.#memory.ledger.add(4 * length, false);
    this.#pieces.push({ piece, isApart });
    return piece;
  }
}
