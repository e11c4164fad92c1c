// Jump times in a graph: the right-hand side may jump there, so no step passes one. Between two of them, in a segment, it is smooth.

import type { Graph } from "../autodiff/graph.ts";
import type { Value } from "../ops/value.ts";

/** A step that would end this close to the end of its segment goes there, so that rounding leaves no tiny last step. */
const STRETCH = 1 + 2 ** -10;

/** The two times that a right-hand side gets. */
export type TimeAxis = "t" | "elapsed";

/** The table of a bound of the segments on one of the axes: its smallest or largest time. */
export function boundName(which: "low" | "high", axis: TimeAxis): string {
  return `ode.${which}.${axis}`;
}

/** What an attempt knows of its segment. Tables hold a number per segment and sample; leaves are what the attempt before stored. */
export class Segments {
  readonly #g: Graph;
  readonly #depth: number;
  /** Number of the segment: how many jump times lie behind. */
  readonly index: Value;
  /** Step size that the controller asked for, before it was cut. */
  readonly asked: Value;

  constructor(g: Graph, depth: number) {
    this.#g = g;
    this.#depth = depth;
    this.index = g.sample("ode.segment");
    this.asked = g.sample("ode.asked");
  }

  /** End of each sample's first segment. */
  get first(): Value {
    return this.#g.sample("ode.firstEnd");
  }

  /**
   * A stage's time, kept strictly between the jump times around it. The first stage after a jump time and the last one before it thus see
   * a right-hand side from their own side, however it compares times.
   */
  within(axis: TimeAxis, t: Value): Value {
    const { ops } = this.#g;
    const low = this.#at(boundName("low", axis), this.index);
    const high = this.#at(boundName("high", axis), this.index);
    return ops.select(ops.lt(t, low), low, ops.select(ops.lt(high, t), high, t));
  }

  /** Whether a step goes to the end of its segment. */
  reaches(t: Value, dt: Value): Value {
    return this.#g.ops.eq(dt, this.#g.ops.sub(this.#end, t));
  }

  /** Where a step leads: to the end of the segment exactly, if it goes there. */
  end(t: Value, dt: Value): Value {
    const { ops } = this.#g;
    return ops.select(this.reaches(t, dt), this.#end, ops.add(t, dt));
  }

  /** After a step that was cut short, the step size that was asked for before; else the one that the controller asks for now. */
  resume(controlled: Value, t: Value, dt: Value, accept: Value): Value {
    const { ops } = this.#g;
    const shortened = ops.lt(ops.abs(dt), ops.abs(this.asked));
    return ops.select(ops.mul(accept, ops.mul(this.reaches(t, dt), shortened)), this.asked, controlled);
  }

  /** A step size limited to the way from t to `end`. */
  cut(asked: Value, end: Value, t: Value): Value {
    const { ops } = this.#g;
    const way = ops.sub(end, t);
    return ops.select(ops.le(ops.abs(way), ops.mul(STRETCH, ops.abs(asked))), way, asked);
  }

  /** What the next attempt starts from. */
  next(
    asked: Value,
    t1: Value,
    { t, dt, update, unfinished }: Readonly<Record<"t" | "dt" | "update" | "unfinished", Value>>,
  ): Readonly<Record<"dt" | "asked" | "segment" | "segmentEnd", Value>> {
    const { ops } = this.#g;
    const jumps = ops.mul(ops.mul(update, unfinished), this.reaches(t, dt));
    const segment = ops.add(this.index, jumps);
    const segmentEnd = this.#at("ode.segmentEnds", segment);
    return { dt: this.cut(asked, segmentEnd, t1), asked, segment, segmentEnd };
  }

  get #end(): Value {
    return this.#g.sample("ode.segmentEnd");
  }

  #at(table: string, index: Value): Value {
    const { ops } = this.#g;
    return ops.reduceRows(ops.lookup(this.#g.table(table, 1, this.#depth), index));
  }
}
