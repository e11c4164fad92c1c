// Times by the host's clock.

/** Seconds of `runs` runs that follow one another, until the device has done them. */
export async function secondsOf(backend, run, runs) {
  const begin = performance.now();
  for (let k = 0; k < runs; k++) await run(k);
  await backend.finish();
  return (performance.now() - begin) / 1000;
}

/** A card at rest lowers its clock, and takes up to a second of work to raise it again: a H200 at rest runs at 345 MHz of its 1,980. */
const WARM_UP_S = 1.5;
const QUICK_WARM_UP_S = 0.3;

/** Keeps the device at work until its clock is up; at least three runs. */
export async function warmUp(backend, run, quick) {
  const until = performance.now() + 1000 * (quick ? QUICK_WARM_UP_S : WARM_UP_S);
  for (let k = 0; k < 3 || performance.now() < until; k++) await secondsOf(backend, run, 1);
}

export function median(numbers) {
  return numbers.toSorted((a, b) => a - b)[numbers.length >> 1];
}
