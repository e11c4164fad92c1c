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
