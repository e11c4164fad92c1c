// Jump times of a request as the tables that segments.ts reads: where segments end, and which times a right-hand side sees in them.

import type { Timeline } from "./timeline.ts";

/** What holds for each segment of one sample, in the order of integration. */
interface SampleSegments {
  /** From the start to the jump times inside. */
  readonly ways: readonly number[];
  /** Device time of the end. */
  readonly ends: readonly number[];
  /** Least and largest time that stages see, absolute and since the start, as the device keeps them. */
  readonly t: readonly Bounds[];
  readonly elapsed: readonly Bounds[];
}

interface Bounds {
  readonly low: number;
  readonly high: number;
}

/** Segments of all samples of a request. */
export class Jumps {
  readonly #samples: readonly SampleSegments[];
  /**
   * Number of segments that tables have room for: a power of two, so that few numbers of jump times make programs of their own. Never 0:
   * programs of solves without jump times round otherwise, and a sample must not notice whether others have some.
   */
  readonly depth: number;

  constructor(timeline: Timeline, jumpTimes: readonly (readonly number[])[]) {
    this.#samples = jumpTimes.map((times, sample) => segmentsOf(timeline, sample, times));
    const most = Math.max(...this.#samples.map(({ ends }) => ends.length));
    this.depth = 2 ** Math.ceil(Math.log2(most));
  }

  end(sample: number, segment: number): number {
    return last(this.#samples[sample]!.ends, segment);
  }

  bound(axis: "t" | "elapsed", which: "low" | "high", sample: number, segment: number): number {
    return last(this.#samples[sample]![axis], segment)[which];
  }

  /** How far the jump times that a sample passes are from its start, signed. */
  ways(sample: number): readonly number[] {
    return this.#samples[sample]!.ways;
  }
}

/** Element i, or the last one where there are fewer. */
function last<T>(values: readonly T[], i: number): T {
  return values[Math.min(i, values.length - 1)]!;
}

function segmentsOf(timeline: Timeline, sample: number, jumpTimes: readonly number[]): SampleSegments {
  const [start, end] = [timeline.tStart[sample]!, timeline.tEnd[sample]!];
  const device = (t: number) => timeline.device(t, sample);
  const isInside = (t: number) =>
    (t - start) * (t - end) < 0 && device(t) !== device(start) && device(t) !== device(end);
  const sorted = jumpTimes.filter(isInside).sort((a, b) => (end > start ? a - b : b - a));
  const inside = sorted.filter((t, i) => i === 0 || device(t) !== device(sorted[i - 1]!));
  const jumps = new Set(jumpTimes.map(device));
  const isJump = (t: number) => jumps.has(device(t));
  const borders = [start, ...inside, end];
  const boundsOn = (axis: (t: number) => number): Bounds[] =>
    borders.slice(1).map((to, i) => {
      const from = borders[i]!;
      const [a, b] = [axis(from), axis(to)];
      const first = isJump(from) ? timeline.neighbour(a, b) : a;
      const final = isJump(to) ? timeline.neighbour(b, a) : b;
      return { low: Math.min(first, final), high: Math.max(first, final) };
    });
  return {
    ways: inside.map((t) => t - start),
    ends: borders.slice(1).map(device),
    t: boundsOn((t) => timeline.round(t)),
    elapsed: boundsOn((t) => timeline.round(device(t) - device(start))),
  };
}
