// How threads wait: a short spin, for the case that the others are about to arrive, then sleep in the operating system.

import { CONTROL_ARRIVED, CONTROL_FAILED, CONTROL_GENERATION, CONTROL_THREADS } from "../src/backend/wasm/isa";

/** About 5 µs. More would steal time from whoever shares the core, less would miss threads that are nearly there. */
const SPINS: i32 = 4000;

/** Returns once the word at `address` is no longer `old`. */
export function waitWhile(address: usize, old: u32): void {
  for (let i = 0; i < SPINS; i++) {
    if (atomic.load<u32>(address) !== old) return;
  }
  while (atomic.load<u32>(address) === old) atomic.wait<i32>(address, <i32>old, -1);
}

/**
 * Waits for all threads. False when one has failed: the failing side sets CONTROL_FAILED, then changes the generation, so nobody
 * waits for a thread that will never come.
 */
export function barrier(control: usize): bool {
  const generation = atomic.load<u32>(control, CONTROL_GENERATION);
  if (failed(control)) return false;
  const arrived = atomic.add<u32>(control, 1, CONTROL_ARRIVED) + 1;
  if (arrived === load<u32>(control, CONTROL_THREADS)) {
    atomic.store<u32>(control, 0, CONTROL_ARRIVED);
    atomic.add<u32>(control, 1, CONTROL_GENERATION);
    atomic.notify(control + CONTROL_GENERATION);
  } else {
    waitWhile(control + CONTROL_GENERATION, generation);
  }
  return !failed(control);
}

export function failed(control: usize): bool {
  return atomic.load<u32>(control, CONTROL_FAILED) !== 0;
}
