// Times by the host's clock.

/** Seconds of `runs` runs that follow one another, until the device has done them. */
export async function secondsOf(backend, run, runs) {
  const begin = performance.now();
  for (let k = 0; k < runs; k++) await run(k);
  await backend.finish();
  return (performance.now() - begin) / 1000;
}

export function median(numbers) {
  return numbers.toSorted((a, b) => a - b)[numbers.length >> 1];
}
