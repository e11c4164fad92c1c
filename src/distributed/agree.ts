// Agreement on errors: what fails on one rank fails on all, with the same error, so that none waits for another in a call that never comes.

import {
  ArgumentError,
  BackendError,
  EngineError,
  FileFormatError,
  InvariantError,
  ShapeError,
  SolverError,
  SparseFormatError,
} from "../core/errors.ts";
import type { Communicator } from "./communicator.ts";

/** An error as it travels between ranks. */
export interface Failure {
  readonly name: string;
  readonly message: string;
  readonly stack: string;
  /** null: no error of axograd, nor of the system. */
  readonly code: string | null;
  /** null: no error of axograd. */
  readonly facts: Readonly<Record<string, unknown>> | null;
}

/** What an action came to on one rank. `failure` travels; `error`, the object itself, stays. */
export type Outcome<T> =
  | { readonly value: T; readonly failure: null }
  | { readonly failure: Failure; readonly error: unknown };

/** Errors that keep their class on other ranks. */
const CLASSES: readonly (abstract new (...args: never[]) => EngineError)[] = [
  ArgumentError,
  BackendError,
  FileFormatError,
  InvariantError,
  ShapeError,
  SolverError,
  SparseFormatError,
];

/** Errors that every rank throws. */
const shared = new WeakSet<Error>();

/** Marks an error that follows from what all ranks know, so that each of them throws it without asking the others. */
export function asShared<E>(error: E): E {
  if (error instanceof Error) shared.add(error);
  return error;
}

/** Whether every rank throws this error: they have agreed on it or on its cause, or it was marked. If not, it may be this rank's alone. */
export function isShared(error: unknown): boolean {
  return error instanceof Error && (shared.has(error) || isShared(error.cause));
}

/**
 * Does what every rank does, and agrees on its success: a collective call. If the action fails on any rank, all ranks throw the error of the
 * lowest that failed. Unless all failed alike, its message begins with that rank and its host. The action may make collective calls of its own: an
 * error on which they agreed is known to all.
 *
 * @returns this rank's own value
 */
export async function agreed<T>(communicator: Communicator, action: () => T | Promise<T>): Promise<T> {
  if (communicator.size === 1) return action();
  const outcome = await attemptOwn(action);
  throwAgreed(communicator, await communicator.exchange(outcome.failure), outcome);
  return resultOf(outcome);
}

/** As `agreed`. @returns what the action gave on each rank, in the order of ranks */
export async function agreedValues<T>(communicator: Communicator, action: () => T | Promise<T>): Promise<readonly T[]> {
  if (communicator.size === 1) return [await action()];
  const outcome = await attemptOwn(action);
  const all = await communicator.exchange(
    outcome.failure ? { failure: outcome.failure } : { value: outcome.value, failure: null },
  );
  throwAgreed(
    communicator,
    all.map(({ failure }) => failure),
    outcome,
  );
  return all.map(({ value }) => value as T);
}

/**
 * Checks that facts are the same on all ranks: a collective call.
 *
 * @throws {EngineError} "ranks-differ", on all ranks; names the first fact that differs, and the ranks
 */
export async function checkSame(
  communicator: Pick<Communicator, "hosts" | "exchange">,
  where: string,
  facts: Readonly<Record<string, string | number>>,
): Promise<void> {
  const all = await communicator.exchange(facts);
  for (const name of Object.keys(facts)) {
    const others = all.flatMap((theirs, rank) => (Object.is(theirs[name], all[0]![name]) ? [] : [rank]));
    if (others.length === 0) continue;
    const ranks = others.map((rank) => `${rank} (${communicator.hosts[rank]})`).join(", ");
    throw asShared(
      new EngineError(
        "ranks-differ",
        `${where}: expected the same ${name} on all ranks, got other than rank 0 has on ${ranks}`,
        { where, what: name, ranks: others },
      ),
    );
  }
}

/** Does something that may fail. Its failure can be sent along with what else is exchanged, before `throwAgreed`. */
export async function attempt<T>(action: () => T | Promise<T>): Promise<Outcome<T>> {
  try {
    return { value: await action(), failure: null };
  } catch (error) {
    return { failure: failureOf(error), error };
  }
}

/** As `attempt`; throws what every rank throws. */
async function attemptOwn<T>(action: () => T | Promise<T>): Promise<Outcome<T>> {
  const outcome = await attempt(action);
  if (outcome.failure && isShared(outcome.error)) throw outcome.error;
  return outcome;
}

/** The value of an outcome; throws its error. */
export function resultOf<T>(outcome: Outcome<T>): T {
  if (outcome.failure) throw outcome.error;
  return outcome.value;
}

/**
 * Throws, on all ranks, the error of the lowest rank that failed, if any has.
 *
 * @param failures  of all ranks, as they were exchanged
 * @param own  this rank's outcome
 */
export function throwAgreed(
  { rank, hosts }: Pick<Communicator, "rank" | "hosts">,
  failures: readonly (Failure | null)[],
  own: Outcome<unknown>,
): void {
  const first = failures.findIndex((failure) => failure !== null);
  if (first < 0) return;
  const failure = failures[first]!;
  const isOfAll = failures.every((other) => other !== null && isAlike(other, failure));
  if (isOfAll && own.failure) throw asShared(own.error);
  throw asShared(ofRank(hosts, first, failure, rank === first && own.failure ? own.error : undefined));
}

/** The error of one rank, with its name. */
export function errorOfRank({ rank, hosts }: Pick<Communicator, "rank" | "hosts">, error: unknown): Error {
  return ofRank(hosts, rank, failureOf(error), error);
}

function ofRank(hosts: readonly string[], rank: number, failure: Failure, cause: unknown): Error {
  return revived({ ...failure, message: `rank ${rank} (${hosts[rank]}): ${failure.message}` }, cause);
}

function isAlike(a: Failure, b: Failure): boolean {
  return a.name === b.name && a.code === b.code && a.message === b.message;
}

function failureOf(thrown: unknown): Failure {
  const error = thrown instanceof Error ? thrown : new Error(`${thrown}`);
  const { name, message, stack = "" } = error;
  const code = "code" in error && typeof error.code === "string" ? error.code : null;
  return { name, message, stack, code, facts: error instanceof EngineError ? cloneable(error.facts) : null };
}

/** Facts without those that cannot travel. */
function cloneable(facts: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const entries = Object.entries(facts).filter(([, fact]) => {
    try {
      structuredClone(fact);
      return true;
    } catch {
      return false;
    }
  });
  return Object.fromEntries(entries);
}

function revived({ name, message, stack, code, facts }: Failure, cause: unknown): Error {
  const options = cause === undefined ? undefined : { cause };
  if (facts === null || code === null) {
    const error = Object.assign(new Error(message, options), code === null ? {} : { code });
    Object.defineProperty(error, "name", { value: name });
    // Where it happened, on the rank that it happened on.
    error.stack = [`${name}: ${message}`, ...stack.split("\n").filter((line) => /^ +at /.test(line))].join("\n");
    return error;
  }
  const error = new EngineError(code, message, { ...facts }, cause);
  const known = CLASSES.find((candidate) => candidate.name === name);
  if (known) Object.setPrototypeOf(error, known.prototype);
  error.name = name;
  return error;
}
