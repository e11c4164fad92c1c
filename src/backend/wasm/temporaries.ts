// Where the temporaries of a program lie: those that are alive in a common phase apart, the others may share memory.

/** An array that is alive from one phase to another, both included. */
export interface Temporary {
  readonly bytes: number;
  readonly firstPhase: number;
  readonly lastPhase: number;
}

export interface TemporaryPlan {
  /** By temporary, in the order given. */
  readonly offsets: readonly number[];
  readonly bytes: number;
}

/**
 * Largest first, each at the lowest offset where it meets no other (greedy by size; Pisarchyk and Lee 2020, "Efficient memory
 * management for deep neural net inference", §5).
 */
export function planTemporaries(temporaries: readonly Temporary[]): TemporaryPlan {
  const offsets = temporaries.map(() => 0);
  const placed: number[] = [];
  let total = 0;
  const bySize = temporaries.map((_, i) => i).sort((i, j) => temporaries[j]!.bytes - temporaries[i]!.bytes || i - j);
  for (const i of bySize) {
    const own = temporaries[i]!;
    const others = placed.filter((j) => overlap(own, temporaries[j]!)).sort((j, k) => offsets[j]! - offsets[k]!);
    let at = 0;
    for (const j of others) {
      if (at + own.bytes <= offsets[j]!) break;
      at = Math.max(at, offsets[j]! + temporaries[j]!.bytes);
    }
    offsets[i] = at;
    total = Math.max(total, at + own.bytes);
    placed.push(i);
  }
  return { offsets, bytes: total };
}

function overlap(a: Temporary, b: Temporary): boolean {
  return a.firstPhase <= b.lastPhase && b.firstPhase <= a.lastPhase;
}
