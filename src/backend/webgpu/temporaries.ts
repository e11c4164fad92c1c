// Memory of a program's temporaries: those whose lives do not overlap share it.

import type { Binding, BindingId } from "../program.ts";

/** Temporaries that share memory, which is as large as the largest of them. */
export interface SharedMemory {
  readonly length: number;
  readonly members: readonly BindingId[];
}

/** First fit, largest first: each temporary joins the first group in which nobody lives at the same time. */
export function shareTemporaries(
  bindings: readonly Binding[],
  lengthOf: (binding: Binding) => number,
): readonly SharedMemory[] {
  const temporaries = bindings.flatMap((binding, id) => (binding.temp ? [{ id, length: lengthOf(binding) }] : []));
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
