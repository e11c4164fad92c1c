// The signals that ask a process to end, as users, terminals and schedulers send them.

import { constants } from "node:os";

/**
 * SIGUSR1 and SIGUSR2 come from schedulers some time before they kill (`sbatch --signal`), SIGHUP from service managers and from a
 * terminal that is closed. A run answers all of them in the same way: with a checkpoint and its end. Also under nohup: Node does not tell
 * that SIGHUP was to be ignored. What is to outlive its terminal is started without one (setsid, tmux).
 */
export const STOP_SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"] as const;

export type StopSignal = (typeof STOP_SIGNALS)[number] | "SIGPIPE";

/** By convention 128 + the signal's number. */
export function exitCodeOf(signal: StopSignal): number {
  return 128 + constants.signals[signal];
}

/** Signals whose default in Node is no clean end: SIGUSR1 starts the debugger, the others leave a lock behind. */
const EARLY = ["SIGHUP", "SIGUSR1", "SIGUSR2"] as const;

/** Ends the process at these signals, until a run is at work, and after it. */
export function endAtSignals(): void {
  for (const name of EARLY.filter(isKnown)) process.on(name, end);
}

/** Hands all signals to `listener`. @returns what gives them back */
export function catchSignals(listener: (name: StopSignal) => void): () => void {
  const listeners = STOP_SIGNALS.filter(isKnown).map((name) => [name, () => listener(name)] as const);
  const isEarly = process.listeners("SIGUSR1").includes(end);
  for (const name of EARLY) process.off(name, end);
  for (const [name, catching] of listeners) process.on(name, catching);
  return () => {
    if (isEarly) endAtSignals();
    for (const [name, catching] of listeners) process.off(name, catching);
  };
}

function end(name: NodeJS.Signals): void {
  process.exit(exitCodeOf(name as StopSignal));
}

/** Windows has neither SIGUSR1 nor SIGUSR2. */
function isKnown(name: StopSignal): boolean {
  return constants.signals[name] !== undefined;
}
