// Ranks within one process: communicators that talk to each other through promises, for tests of what must not depend on the number of ranks.

import { isDeepStrictEqual } from "node:util";
import type { FloatArray } from "../../src/core/dtype.ts";
import type { Communicator } from "../../src/distributed/communicator.ts";

/** A meeting of all ranks: each brings something, and all get everything once the last one is there. */
class Meeting {
  readonly #brought: unknown[] = [];
  #waiting: ((all: readonly unknown[]) => void)[] = [];
  #here = 0;

  join(rank: number, size: number, value: unknown): Promise<readonly unknown[]> {
    this.#brought[rank] = value;
    const all = new Promise<readonly unknown[]>((resolve) => this.#waiting.push(resolve));
    if (++this.#here === size) for (const resolve of this.#waiting) resolve(this.#brought);
    return all;
  }
}

/** A group of `size` ranks in this process. A rank that calls something else than the others gets an error. */
export function localRanks(size: number): readonly Communicator[] {
  const meetings: Meeting[] = [];
  return Array.from({ length: size }, (_, rank): Communicator => {
    let calls = 0;
    const meet = async <T>(what: string, value: T): Promise<readonly T[]> => {
      const number = calls++;
      meetings[number] ??= new Meeting();
      const all = (await meetings[number].join(rank, size, { what, value })) as readonly { what: string; value: T }[];
      const names = all.map((one) => one.what);
      if (!names.every((name) => name === what)) throw new Error(`call ${number}: ranks differ: ${names.join("; ")}`);
      return all.map((one) => one.value);
    };
    return {
      rank,
      size,
      hosts: Array.from({ length: size }, () => "here"),
      description: "ranks in one process",
      exchange: (value) => meet("exchange", structuredClone(value)),
      allToAll: async (send, receive) => {
        const all = await meet(
          "allToAll",
          send.map((piece) => piece.slice() as FloatArray),
        );
        for (const [r, sent] of all.entries()) {
          if (sent[rank]!.length !== receive[r]!.length)
            throw new Error(
              `allToAll: rank ${r} sends ${sent[rank]!.length} numbers, ${rank} expects ${receive[r]!.length}`,
            );
          receive[r]!.set(sent[rank]!);
        }
      },
      allGather: async (whole, counts) => {
        const all = await meet("allGather", { counts, whole: whole.slice() });
        if (!all.every((one) => isDeepStrictEqual(one.counts, counts))) throw new Error("allGather: counts differ");
        let at = 0;
        for (const [r, count] of counts.entries()) {
          whole.set(all[r]!.whole.subarray(at, at + count), at);
          at += count;
        }
      },
      close: async () => {
        await meet("close", null);
      },
    };
  });
}

/** Runs the same on `size` ranks at once. @returns their results, in order */
export async function onRanks<T>(size: number, run: (communicator: Communicator) => Promise<T>): Promise<readonly T[]> {
  return Promise.all(localRanks(size).map((communicator) => run(communicator)));
}
