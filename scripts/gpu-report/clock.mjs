// Times by the host's clock, of a device that is awake.

import { setImmediate } from "node:timers/promises";
import { smClock } from "./nvidiaSmi.mjs";

/** Seconds of `runs` runs that follow one another, until the device has done them. */
export async function secondsOf(backend, run, runs) {
  const begin = performance.now();
  for (let k = 0; k < runs; k++) await run(k);
  await backend.finish();
  return (performance.now() - begin) / 1000;
}

/** A card at rest lowers its clock, and takes up to a second of work to raise it again: a H200 at rest runs at 345 MHz of its 1,980. */
const WARM_UP_S = 1.5;

/** Keeps the device at work until its clock is up; at least three runs. A software adapter has no clock to raise. */
export async function warmUp(backend, run) {
  const until = backend.adapter.isSoftware ? 0 : performance.now() + 1000 * WARM_UP_S;
  for (let k = 0; k < 3 || performance.now() < until; k++) await secondsOf(backend, run, 1);
}

/**
 * What `measure` finds, and the card's clock before and after, read while the device is at work: a reader sees whether the card was awake.
 *
 * @returns {Promise<object | null>} its facts with `clockBefore` and `clockAfter`, which are null where nobody tells; null if it has none
 */
export async function withClocks(backend, run, measure) {
  const clockBefore = await clockAtWork(backend, run);
  const facts = await measure();
  return facts && { ...facts, clockBefore, clockAfter: await clockAtWork(backend, run) };
}

async function clockAtWork(backend, run) {
  let isKnown = false;
  const clock = smClock().finally(() => {
    isKnown = true;
  });
  do {
    await secondsOf(backend, run, 1);
    // Lets the answer in, even if the device was done at once.
    await setImmediate();
  } while (!isKnown);
  return clock;
}

export function median(numbers) {
  return numbers.toSorted((a, b) => a - b)[numbers.length >> 1];
}
