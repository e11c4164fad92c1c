// Signals with which users, terminals and schedulers ask a process to end.

import { constants } from "node:os";

/**
 * Schedulers send SIGUSR1 and SIGUSR2 some time before they kill (`sbatch --signal`); service managers and closing terminals send SIGHUP. A run
 * treats all alike: it writes a checkpoint and ends. This holds under nohup, too, as Node does not reveal that SIGHUP was to be ignored. To
 * outlive its terminal, start a run without one (setsid, tmux).
 */
export const STOP_SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"] as const;

export type StopSignal = (typeof STOP_SIGNALS)[number] | "SIGPIPE";

/** By convention 128 + the signal's number. */
export function exitCodeOf(signal: StopSignal): number {
  return 128 + constants.signals[signal];
}

/** Signals whose default in Node is not a clean exit: SIGUSR1 starts the debugger, the others leave a lock behind. */
const EARLY = ["SIGHUP", "SIGUSR1", "SIGUSR2"] as const;

/** Makes these signals end the process, before and after a run. */
export function endAtSignals(): void {
  for (const name of EARLY.filter(isKnown)) process.on(name, end);
}

/** Passes all signals to `listener`. @returns a function that undoes it */
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
