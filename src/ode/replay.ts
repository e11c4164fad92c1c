// The steps of another run as the table that the replay controller reads.

import type { Jumps } from "./jumps.ts";
import { type ReplayController, replayDepth } from "./method.ts";
import type { Interval } from "./timeline.ts";

/**
 * The table of the replay controller: [step][lane]. From the last recorded step on, and for steps that ended at a jump time, it holds the
 * whole interval: the device cuts the step to what is left, so that rounding of t neither stops short of the end nor passes it.
 */
export function replayTable(
  controller: ReplayController,
  { tStart, tEnd }: Interval,
  jumps: Jumps | null,
  lanes: number,
): Float64Array {
  const table = new Float64Array(replayDepth(controller) * lanes);
  const cut = controller.steps.map((steps, sample) => stepsThatEndAtJumps(steps, jumps?.ways(sample) ?? []));
  for (let i = 0; i < table.length; i++) {
    const [step, sample] = [Math.floor(i / lanes), Math.min(i % lanes, controller.steps.length - 1)];
    const steps = controller.steps[sample]!;
    const isWhole = step >= steps.length - 1 || cut[sample]!.has(step);
    table[i] = isWhole ? tEnd[sample]! - tStart[sample]! : steps[step]!;
  }
  return table;
}

/** Numbers of the steps that end nearest to the jumps, given how far these are from the start. */
function stepsThatEndAtJumps(steps: readonly number[], ways: readonly number[]): Set<number> {
  let way = 0;
  const ends = steps.map((step) => {
    way += step;
    return way;
  });
  const distance = (step: number, jump: number) => Math.abs(ends[step]! - jump);
  return new Set(
    ways.map((jump) => ends.reduce((best, _, step) => (distance(step, jump) < distance(best, jump) ? step : best), 0)),
  );
}
