// Commands as one of several processes ("ranks") that a launcher started together. Some share their work among them; any other would do all of
// it in each, and several processes would write one file. Judged by the launcher's variables alone, before anything is loaded.

import { EngineError } from "../core/errors.ts";
import { type Environment, launchOf, RANK_MARK } from "../distributed/launcher.ts";

/** Commands that share their work among ranks. */
const SHARING: readonly string[] = ["train", "sweep", "controls"];
/** Commands that every rank answers for itself: which GPU would it take? */
const ANSWERING: readonly string[] = ["doctor"];

/** A command that runs in one process is one of several. */
export class RanksError extends EngineError {}

/** @throws {RanksError} "ranks": the command does not share its work */
export function refuseRanks(command: string, env: Environment): void {
  if (SHARING.includes(command) || ANSWERING.includes(command)) return;
  const launch = launchOf(env);
  if (!launch || launch.size === 1) return;
  const { launcher, rank, size } = launch;
  const got = `rank ${rank ?? "?"}${size === null ? "" : ` of ${size}`}, started by ${launcher}`;
  const message = `${command}: expected one process, got ${got}: each would do the whole work and write the same files; start it without a launcher, or with -n 1 (${SHARING.join(", ")} share their work)`;
  throw new RanksError("ranks", message, { command, ...launch });
}

/**
 * Whether this process prints what all ranks would print alike: help, errors in words that all of them got, and a launcher that cannot work. One
 * that a rank has started speaks for itself.
 */
export function speaksForAll(env: Environment): boolean {
  if (env[RANK_MARK] !== undefined && env[RANK_MARK] !== `${process.pid}`) return true;
  try {
    return (launchOf(env)?.rank ?? 0) === 0;
  } catch {
    // Variables that contradict each other: nobody knows who is first.
    return true;
  }
}
