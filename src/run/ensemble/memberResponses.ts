// Mean activity of groups of neurons over time, of one member of an ensemble after another.

import type { MemberValues } from "../../analysis/ensemble.ts";
import type { EnsembleResponses } from "../../analysis/ensembleResult.ts";
import { yieldToEventLoop } from "../../core/abort.ts";
import type { FloatArray } from "../../core/dtype.ts";
import { ArgumentError } from "../../core/errors.ts";
import type { NamedNeurons } from "../../data/neuronGroups.ts";
import { inputOf } from "../../train/trainable.ts";
import { trajectoryOf } from "../trajectory.ts";
import type { MeasureOptions } from "./measureEnsemble.ts";
import type { EnsembleMember, OpenedMember } from "./openEnsemble.ts";
import { groupsOf, partOfRun, WHERE, type Work } from "./work.ts";

/** States of all neurons over time are on the host for so many numbers at once, or for one sample. */
const RECORDED_NUMBERS = 2 ** 24;

/** Mean activity of each group at each time, over samples and neurons. */
export class Responses {
  readonly #options: MeasureOptions;
  readonly #values: number[][][] = [];
  #facts: Omit<EnsembleResponses, "values" | "samples"> | null = null;
  #samples = Number.POSITIVE_INFINITY;

  constructor(options: MeasureOptions) {
    this.#options = options;
  }

  async add({ run, member }: OpenedMember, { signal, show }: Work): Promise<void> {
    const { samples: wanted = 100, times = 20 } = this.#options;
    const part = partOfRun(run, this.#options.part);
    const set = run.data[part]!;
    const groups = this.#inOrder(groupsOf(run, this.#options.by), member);
    const count = Math.min(wanted, set.count);
    const size = Math.max(1, Math.floor(RECORDED_NUMBERS / (times * run.selectable.count)));
    let sums: Float64Array[] | null = null;
    let done = 0;
    for (let begin = 0; begin < count; begin += size) {
      await yieldToEventLoop(signal);
      show(`responses to ${begin} of ${count} samples`);
      const indices = Array.from({ length: Math.min(size, count - begin) }, (_, k) => begin + k);
      const input = inputOf(set, await set.read(indices, null));
      const { data, ts, shape } = await trajectoryOf(run.model, run.config, set, input, {
        numTimes: times,
        rates: true,
      });
      sums ??= groups.map(() => new Float64Array(ts.length));
      this.#facts ??= {
        part,
        groups: groups.map(({ name, neurons }) => ({ name, neurons: neurons.length })),
        ts: Array.from(ts),
      };
      const known = this.#facts.ts;
      if (ts.length !== known.length || ts.some((t, k) => t !== known[k]))
        throw new ArgumentError(
          WHERE,
          "times",
          `${known.join(", ")} in all members`,
          `${ts.join(", ")} in ${member.name}`,
        );
      done += addResponses(sums, data, shape, groups);
    }
    if (done === 0)
      throw new ArgumentError(WHERE, "samples", "a sample that every member can solve", `none in ${member.name}`);
    this.#samples = Math.min(this.#samples, done);
    this.#values.push(sums!.map((own) => Array.from(own, (sum) => sum / done)));
  }

  /** Groups in the order of the first member's. @throws {ArgumentError} others than it has */
  #inOrder(groups: readonly NamedNeurons[], { name }: EnsembleMember): readonly NamedNeurons[] {
    const first = this.#facts?.groups;
    if (!first) return groups;
    const ordered = first.flatMap((known) => groups.filter((own) => own.name === known.name));
    if (ordered.length === first.length && ordered.length === groups.length) return ordered;
    const words = (list: readonly { readonly name: string }[]): string => list.map((own) => own.name).join(", ");
    throw new ArgumentError(WHERE, "by", `the groups ${words(first)} in all members`, `${words(groups)} in ${name}`);
  }

  /** All groups and times of each member in a row. */
  values(): MemberValues[] {
    return [{ name: "responses", values: this.#values.map((groups) => Float64Array.from(groups.flat())) }];
  }

  result(): EnsembleResponses {
    return { ...this.#facts!, samples: this.#samples, values: this.#values };
  }
}

/** Adds the means over the neurons of each group, of the samples that did not fail. @returns their number */
function addResponses(
  sums: readonly Float64Array[],
  data: FloatArray,
  [samples, times, neurons]: readonly [number, number, number],
  groups: readonly NamedNeurons[],
): number {
  let done = 0;
  for (let s = 0; s < samples; s++) {
    const own = data.subarray(s * times * neurons, (s + 1) * times * neurons);
    if (Number.isNaN(own[own.length - 1])) continue;
    done++;
    groups.forEach((group, g) => {
      for (let t = 0; t < times; t++) {
        let sum = 0;
        for (const i of group.neurons) sum += own[t * neurons + i]!;
        sums[g]![t]! += sum / group.neurons.length;
      }
    });
  }
  return done;
}
