// Penalties on activity: terms of the loss on states or rates at the times of the read-out.

import { Graph } from "../../autodiff/graph.ts";
import { lower } from "../../autodiff/lower.ts";
import { pullBack } from "../../autodiff/vjp.ts";
import type { Bindable, DeviceBuffer } from "../../backend/backend.ts";
import { Desk } from "../../backend/desk.ts";
import type { Program } from "../../backend/program.ts";
import { ArgumentError, ShapeError } from "../../core/errors.ts";
import { checkNames } from "../../core/optionNames.ts";
import { orRelease } from "../../core/release.ts";
import type { Value } from "../../ops/value.ts";
import { type ActiveInterventions, type ChunkStates, suffixOf } from "../network/chunks.ts";
import type { NetworkParameters } from "../network/parameters.ts";
import { rates } from "../rateDynamics.ts";

/** Activity of each sample at one time, as values of a graph, [numNeurons × lanes]. */
export interface Activity {
  readonly h: Value;
  /** What neurons send to others, without their sign: h, or φ(h) where h are voltages. */
  readonly rate: Value;
}

/**
 * A term of the loss: `weight` times the mean of `graph` over samples, times of the read-out and neurons. Samples count alike, whatever the
 * weights of their targets.
 */
export interface ActivityPenalty {
  readonly name: string;
  /** λ ≥ 0. */
  readonly weight: number;
  /** Indices of the neurons that the mean is over; default all. */
  readonly neurons?: ArrayLike<number>;
  /** A value per neuron [numNeurons × lanes], or one per sample [1 × lanes]. */
  graph(g: Graph, activity: Activity): Value;
}

/** What the ready-made penalties take. */
export type PenaltyOptions = Omit<ActivityPenalty, "name" | "graph"> & { readonly name?: string };

/** (rate − baseline)²: keeps rates near a baseline. Default name "activity". */
export function activityPenalty({
  baseline = 0,
  ...options
}: PenaltyOptions & { readonly baseline?: number }): ActivityPenalty {
  if (!Number.isFinite(baseline))
    throw new ArgumentError("activityPenalty", "baseline", "a finite number", `${baseline}`);
  return {
    name: "activity",
    ...options,
    graph: ({ ops }, { rate }) => {
      const distance = ops.sub(rate, baseline);
      return ops.mul(distance, distance);
    },
  };
}

/** |rate|, which keeps few neurons active. Default name "rate-l1". */
export function rateL1(options: PenaltyOptions): ActivityPenalty {
  return { name: "rate-l1", ...options, graph: ({ ops }, { rate }) => ops.abs(rate) };
}

/** rate², which keeps rates small. Default name "rate-l2". */
export function rateL2(options: PenaltyOptions): ActivityPenalty {
  return { name: "rate-l2", ...options, graph: ({ ops }, { rate }) => ops.mul(rate, rate) };
}

const OPTIONS: Readonly<Record<keyof ActivityPenalty, true>> = { name: true, weight: true, neurons: true, graph: true };
const WHERE = "penalties";

/** @throws {ArgumentError} naming the penalty's option */
function checkPenalties(penalties: readonly ActivityPenalty[], numNeurons: number): void {
  const names = new Set<string>();
  for (const penalty of penalties) {
    const { name, weight, neurons } = penalty;
    checkNames(WHERE, penalty, OPTIONS);
    if (names.has(name)) throw new ArgumentError(WHERE, "name", "another name for each penalty", `"${name}" twice`);
    names.add(name);
    if (!(weight >= 0 && Number.isFinite(weight)))
      throw new ArgumentError(WHERE, `${name}.weight`, "a finite number of at least 0", `${weight}`);
    if (!neurons) continue;
    const all = Array.from(neurons);
    const bad = all.find((i) => !Number.isInteger(i) || i < 0 || i >= numNeurons);
    if (bad !== undefined) throw new ArgumentError(WHERE, `${name}.neurons`, `0 to ${numNeurons - 1}`, `${bad}`);
    if (all.length === 0 || new Set(all).size < all.length)
      throw new ArgumentError(WHERE, `${name}.neurons`, "neurons, each once", all.length === 0 ? "none" : "one twice");
  }
}

/** Adds penalties to the loss and their cotangents to those of the states. */
export class Penalties {
  readonly #model: NetworkParameters;
  readonly #penalties: readonly ActivityPenalty[];
  readonly #desk: Desk;
  readonly #bindings: Readonly<Record<string, Bindable>>;
  readonly #share: DeviceBuffer;
  /** On the device: what each penalty adds to the loss. */
  readonly sums: readonly DeviceBuffer[];

  /** @throws {ArgumentError | ShapeError} a penalty that cannot be computed */
  constructor(model: NetworkParameters, penalties: readonly ActivityPenalty[]) {
    const { backend, options } = model;
    checkPenalties(penalties, options.numNeurons);
    this.#model = model;
    this.#penalties = penalties;
    const desk = new Desk(backend, backend.layoutFor(1), WHERE);
    this.#desk = desk;
    const { bindings, share } = orRelease(desk, () => {
      const made: Record<string, DeviceBuffer> = {};
      for (const [i, { neurons }] of penalties.entries()) {
        made[sumName(i)] = desk.vector(sumName(i), 1);
        if (!neurons) continue;
        made[maskName(i)] = desk.vector(maskName(i), options.numNeurons);
        const mask = new Float64Array(options.numNeurons);
        for (const neuron of Array.from(neurons)) mask[neuron] = 1 / neurons.length;
        backend.upload(made[maskName(i)]!, mask);
      }
      return { bindings: made, share: desk.vector("penalty share", 1) };
    });
    this.#bindings = { ...bindings, "penalty share": share };
    this.#share = share;
    this.sums = penalties.map((_, i) => bindings[sumName(i)]!);
    // Here too, not only when it first runs, so that a penalty that does not fit is refused at once.
    if (penalties.length > 0) orRelease(desk, () => this.#program(false, null));
  }

  /** Sets the sums to zero, and what each sample and time counts. */
  beginBatch(count: number): void {
    if (this.#penalties.length === 0) return;
    for (const sum of this.sums) this.#model.backend.fill(sum, 0);
    this.#desk.set(this.#share, () => 1 / count);
  }

  beginChunk({ desk, count }: ChunkStates): void {
    if (this.#penalties.length > 0) desk.set(desk.sample("is sample"), (lane) => (lane < count ? 1 : 0));
  }

  /**
   * Adds the penalties of a chunk at the output times `times` and, with gradients, their cotangents to those of the states.
   * @param complete  with gradients, where this scalar is not 0; null: the penalties only
   */
  add({ desk, hs, ctHs, active }: ChunkStates, times: readonly number[], complete: DeviceBuffer | null): void {
    if (this.#penalties.length === 0) return;
    const name = `${complete ? "penalties.train" : "penalties"}${suffixOf(active)}`;
    const program = desk.program(name, () => this.#program(complete !== null, active));
    const fixed = {
      ...this.#model.dynamicsInputs(),
      ...active?.rows,
      ...this.#bindings,
      "is sample": desk.sample("is sample"),
      complete,
    };
    for (const j of times) desk.run(program, { ...fixed, h: hs[j], "ct.h": ctHs[j] });
  }

  /** What each penalty adds to the loss, from the numbers of the sums. */
  values(record: readonly ArrayLike<number>[]): Record<string, number> {
    return Object.fromEntries(this.#penalties.map(({ name }, i) => [name, record[i]![0]!]));
  }

  /** Leaves: `h`, `is sample`, `penalty share`, the masks. With gradients, it has no effect where the scalar `complete` is 0. */
  #program(training: boolean, active: ActiveInterventions | null): Program {
    const g = new Graph();
    const { ops } = g;
    const { numNeurons } = this.#model.options;
    const h = g.state("h", numNeurons);
    const activity = { h, rate: rates(g, this.#model.rateShape(1, active), h) };
    const share = ops.mul(g.sample("is sample"), g.scalar("penalty share"));
    const terms = this.#penalties.map((penalty, i) => {
      const each = meanOverNeurons(g, penalty, i, penalty.graph(g, activity), numNeurons);
      const term = ops.mul(ops.mul(share, penalty.weight), each);
      g.store(sumName(i), ops.reduceLanes(term), { accumulate: true });
      return term;
    });
    if (!training) return lower(g, "penalties", "readout");
    const seeds = terms.map((term) => [term, ops.constant(1)] as const);
    pullBack(g, g, seeds, new Map([["h", { binding: "ct.h", accumulate: true }]]), (v) => v);
    return lower(g, "penalties.train", "readout", { scalars: ["complete"], skips: "everything" });
  }

  release(): void {
    this.#desk.release();
  }
}

/** The mean of a penalty over its neurons. @throws {ShapeError} other rows than there are neurons */
function meanOverNeurons(
  g: Graph,
  { name, neurons }: ActivityPenalty,
  i: number,
  value: Value,
  numNeurons: number,
): Value {
  const { ops } = g;
  if (value.kind === "sample" && !neurons) return value;
  if (value.kind !== "state" || value.rows !== numNeurons) {
    const expected = `${numNeurons} rows per sample${neurons ? "" : ", or one"}`;
    throw new ShapeError(WHERE, name, expected, `${value.kind} of ${value.rows} rows`);
  }
  if (!neurons) return ops.mul(ops.reduceRows(value), 1 / numNeurons);
  return ops.reduceRows(ops.mul(value, g.row(maskName(i), numNeurons)));
}

function sumName(i: number): string {
  return `penalty ${i}`;
}

/** The row with 1/n for each of a penalty's n neurons. */
function maskName(i: number): string {
  return `penalty ${i} mask`;
}
