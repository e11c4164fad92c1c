// Times on the host and on the device. The host keeps absolute times in double precision; the device counts from an origin per sample, so
// that intervals far from 0 keep all of its digits.

import { type DType, smallestNormal, unitRoundoff } from "../core/dtype.ts";
import { ArgumentError, ShapeError } from "../core/errors.ts";

/** Interval of each sample. */
export interface Interval {
  readonly tStart: readonly number[];
  readonly tEnd: readonly number[];
}

/**
 * The device counts from 0 if it can distinguish this many times in the interval, else from the start of the interval. Double precision
 * can, except in distant intervals; single precision, with at most 2^24 times, never can.
 */
const ABSOLUTE_TIMES = 2 ** 40;
/** A right-hand side that depends on absolute time needs this many distinct times. */
const TIMES_NEEDED = 2 ** 10;

/** Device times of a batch. */
export class Timeline implements Interval {
  readonly tStart: readonly number[];
  readonly tEnd: readonly number[];
  /** Absolute time of device time 0, per sample. */
  readonly origin: readonly number[];
  readonly #dtype: DType;

  /** @throws {ArgumentError} an interval whose length is 0 or infinite on the device */
  constructor(dtype: DType, { tStart, tEnd }: Interval) {
    this.#dtype = dtype;
    this.tStart = tStart;
    this.tEnd = tEnd;
    this.origin = tStart.map((t, s) => (distinctTimes(dtype, t, tEnd[s]!) < ABSOLUTE_TIMES ? t : 0));
    tStart.forEach((t, s) => {
      const length = Math.abs(tEnd[s]! - t);
      if (length >= smallestNormal(dtype) && Number.isFinite(this.round(length))) return;
      const expected = `a distance from tStart that ${dtype} can express for sample ${s}`;
      throw new ArgumentError("solve", "tEnd", expected, `${tEnd[s]} after ${t}`);
    });
  }

  /** A number as the device keeps it. */
  round(x: number): number {
    return this.#dtype === "f32" ? Math.fround(x) : x;
  }

  device(t: number, sample: number): number {
    return this.round(t - this.origin[sample]!);
  }

  /** The inverse of `device`; the ends of the interval come back as they were given. */
  absolute(t: number, sample: number): number {
    const given = [this.tStart[sample]!, this.tEnd[sample]!].find((end) => this.device(end, sample) === t);
    return given ?? this.origin[sample]! + t;
  }

  /** The next number of the device towards `other`. */
  neighbour(x: number, other: number): number {
    const step = Math.max(spacing(this.#dtype, x), smallestNormal(this.#dtype));
    return this.round(x + Math.sign(other - x) * step);
  }

  /** @throws {ArgumentError} too few distinct times for a right-hand side that depends on absolute time */
  checkAbsolute(): void {
    this.tStart.forEach((t, s) => {
      const times = distinctTimes(this.#dtype, t, this.tEnd[s]!);
      if (times >= TIMES_NEEDED) return;
      throw new ArgumentError(
        "solve",
        "tStart",
        `an interval in which ${this.#dtype} distinguishes ${TIMES_NEEDED} times, as the right-hand side depends on t; ` +
          "count time from nearer to 0, use time.elapsed in the right-hand side, or f64",
        `${t} to ${this.tEnd[s]} (sample ${s}), where it distinguishes ${Math.floor(times)}`,
      );
    });
  }
}

/** How many times a precision distinguishes in an interval. */
function distinctTimes(dtype: DType, tStart: number, tEnd: number): number {
  return Math.abs(tEnd - tStart) / spacing(dtype, Math.max(Math.abs(tStart), Math.abs(tEnd)));
}

/** Distance between the numbers of a precision at x. */
function spacing(dtype: DType, x: number): number {
  return x === 0 ? 0 : 2 ** Math.floor(Math.log2(Math.abs(x))) * 2 * unitRoundoff(dtype);
}

/**
 * Checks the times of a request: numbers, one per sample, evaluation points from start to end in the order of integration.
 * @throws {ShapeError | ArgumentError} naming the argument
 */
export function checkTimes(
  where: string,
  samples: number,
  { tStart, tEnd }: Interval,
  tEval: readonly (readonly number[])[],
): void {
  const perSample: [string, readonly number[]][] = [
    ["tStart", tStart],
    ["tEnd", tEnd],
    ...tEval.map((t, j): [string, readonly number[]] => [`tEval[${j}]`, t]),
  ];
  for (const [name, times] of perSample) {
    if (times.length !== samples)
      throw new ShapeError(where, name, `${samples} times, one per sample`, `${times.length}`);
    const bad = times.findIndex((t) => !Number.isFinite(t));
    if (bad >= 0) throw new ArgumentError(where, name, "finite times", `${times[bad]} for sample ${bad}`);
  }
  const still = tStart.findIndex((t, s) => t === tEnd[s]);
  if (still >= 0)
    throw new ArgumentError(where, "tEnd", `a time other than tStart for sample ${still}`, `${tEnd[still]}`);
  tEval.forEach((times, j) => {
    const outside = times.findIndex((t, s) => (t - tStart[s]!) * (t - tEnd[s]!) > 0);
    if (outside >= 0)
      throw new ArgumentError(
        where,
        `tEval[${j}]`,
        `a time from ${tStart[outside]} to ${tEnd[outside]} (sample ${outside})`,
        `${times[outside]}`,
      );
    const before = tEval[j - 1];
    const unordered = before ? times.findIndex((t, s) => (t - before[s]!) * (tEnd[s]! - tStart[s]!) < 0) : -1;
    if (unordered >= 0)
      throw new ArgumentError(
        where,
        `tEval[${j}]`,
        "times in the order of integration",
        `${times[unordered]} after ${before![unordered]}`,
      );
  });
}
