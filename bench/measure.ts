// Timing with benchmark.js. Contenders take turns, round by round, so that disturbances of the machine affect all of them alike.

import Benchmark from "benchmark";
import type { Timing } from "./row.ts";
import { summarise } from "./stats.ts";

/** How long to measure. */
export interface Effort {
  readonly rounds: number;
  /** Per contender and round. */
  readonly secondsPerRound: number;
}

export const QUICK_EFFORT: Effort = { rounds: 1, secondsPerRound: 0.01 };
export const FULL_EFFORT: Effort = { rounds: 5, secondsPerRound: 0.4 };

/** Something that can be timed. */
export interface Contender {
  readonly name: string;
  /** Runs for about `seconds`; returns the time of one run, per sample. */
  sample(seconds: number): Promise<readonly number[]>;
}

/** Times all contenders in turns; results by position. */
export async function interleave(contenders: readonly Contender[], effort: Effort): Promise<Timing[]> {
  const samples = contenders.map((): number[] => []);
  for (let round = 0; round < effort.rounds; round++) {
    for (const [i, contender] of contenders.entries()) {
      samples[i]!.push(...(await contender.sample(effort.secondsPerRound)));
    }
  }
  return samples.map(summarise);
}

/** A function timed by benchmark.js, which chooses how often to call it per sample. */
export function contender(name: string, run: () => void): Contender {
  return { name, sample: (seconds) => runBenchmark(name, seconds, { fn: run }) };
}

/** The same for asynchronous work; one call of `run` makes `runs` runs. */
export function asyncContender(name: string, run: () => Promise<void>, runs = 1): Contender {
  const sample = async (seconds: number): Promise<readonly number[]> => {
    let failure: unknown = null;
    const samples = await runBenchmark(name, seconds, {
      defer: true,
      fn: (deferred: { resolve(): void }) => {
        run()
          .catch((error: unknown) => {
            failure = error;
          })
          .finally(() => deferred.resolve());
      },
    });
    if (failure !== null) throw failure;
    return samples.map((s) => s / runs);
  };
  return { name, sample };
}

/** Seconds per call, one number per sample. benchmark.js is CommonJS; Node provides its exports as the default import. */
function runBenchmark(name: string, maxTime: number, options: Benchmark.Options): Promise<readonly number[]> {
  return new Promise((resolve, reject) => {
    const benchmark = new Benchmark(name, {
      ...options,
      maxTime,
      minTime: Math.min(0.05, maxTime),
      minSamples: 2,
      onComplete: () => {
        const { error, stats } = benchmark;
        if (error) reject(error);
        else resolve(stats.sample);
      },
    });
    benchmark.run({ async: true });
  });
}
