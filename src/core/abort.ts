// Signals to stop, in work that by itself would not let the event loop turn.

import { setImmediate as nextTurn } from "node:timers/promises";

/** Options of something that takes long. */
export interface Abortable {
  /** Ends the work early: the promise rejects with the signal's reason. What was at work can be used again. */
  readonly signal?: AbortSignal;
}

/** Lets the event loop turn where there is a signal, so that it can come through, and throws its reason once it has. */
export async function yieldToEventLoop(signal: AbortSignal | undefined): Promise<void> {
  if (!signal) return;
  signal.throwIfAborted();
  await nextTurn();
  signal.throwIfAborted();
}
