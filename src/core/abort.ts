// Abort signals, in work that would otherwise block the event loop.

import { setImmediate as nextTurn } from "node:timers/promises";

/** Options of a long operation. */
export interface Abortable {
  /** Ends the work early: the promise rejects with the signal's reason. The object that was working remains usable. */
  readonly signal?: AbortSignal;
}

/** With a signal, lets the event loop turn so that the signal can arrive, and throws its reason once it has. */
export async function yieldToEventLoop(signal: AbortSignal | undefined): Promise<void> {
  if (!signal) return;
  signal.throwIfAborted();
  await nextTurn();
  signal.throwIfAborted();
}

/** Work that pauses now and then, with its result at the end. */
export type Steps<T> = Generator<void, T, void>;

/** Does all of the work at once. */
export function finish<T>(steps: Steps<T>): T {
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
  }
}

/** Milliseconds that steps take between two turns of the event loop, or one step if that takes longer. */
const SLICE = 100;

/** Does the work step by step. With a signal, the event loop turns in between, and the signal's reason is thrown once it has one. */
export async function finishInSlices<T>(steps: Steps<T>, signal: AbortSignal | undefined): Promise<T> {
  for (let begin = performance.now(); ; ) {
    const step = steps.next();
    if (step.done) return step.value;
    if (performance.now() - begin < SLICE) continue;
    await yieldToEventLoop(signal);
    begin = performance.now();
  }
}
