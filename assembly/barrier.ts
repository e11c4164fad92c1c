// How threads wait: a short spin, for the case that the others are about to arrive, then sleep in the operating system.

import {
  CONTROL_ARRIVED,
  CONTROL_FAILED,
  CONTROL_GENERATION,
  CONTROL_LINE,
  CONTROL_TAKEN,
  CONTROL_THREADS,
} from "../src/backend/wasm/isa";

/**
 * Sleeps until the word at `address` is notified, unless it is no longer `old`. The host's Atomics.wait, because memory.atomic.wait32
 * damages its caller in Node 20: the baseline compiler of V8 11.3 saves the address as 64 bits in a stack slot of 32, over the
 * local variable that lies next to it.
 */
declare function sleep(address: usize, old: u32): void;

/** About 5 µs. More would steal time from whoever shares the core, less would miss threads that are nearly there. */
const SPINS: i32 = 4000;

/** Returns once the word at `address` is no longer `old`. */
export function waitWhile(address: usize, old: u32): void {
  for (let i = 0; i < SPINS; i++) {
    if (atomic.load<u32>(address) !== old) return;
  }
  while (atomic.load<u32>(address) === old) sleep(address, old);
}

/**
 * Waits for all threads; the last to arrive resets the shares taken, for the next phase. False when a thread has failed: it sets
 * CONTROL_FAILED, then changes the generation, so that no thread waits in vain.
 *
 * No thread misses its wake-up: the word changes before the notification, both in one total order with all other atomic accesses, and
 * going to sleep compares the word once more. So a thread that reads the old word is either asleep, and notified, or finds the new one.
 * The plain stores of the last thread to arrive precede its change of the generation, which all others read before they continue.
 */
export function barrier(control: usize): bool {
  const generation = atomic.load<u32>(control, CONTROL_GENERATION);
  if (failed(control)) return false;
  const arrived = atomic.add<u32>(control, 1, CONTROL_ARRIVED) + 1;
  const threads = load<u32>(control, CONTROL_THREADS);
  if (arrived === threads) {
    for (let t: usize = 0; t < threads; t++) store<u32>(control + t * CONTROL_LINE, 0, CONTROL_TAKEN);
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
