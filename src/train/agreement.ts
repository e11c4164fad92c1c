// Decisions that all ranks take together: what each did, or the error that one came upon.

import { ArgumentError, BackendError, EngineError, FileFormatError, ShapeError, SolverError } from "../core/errors.ts";
import type { Communicator } from "../distributed/communicator.ts";

/** An error on its way to other ranks. */
interface Failure {
  readonly name: string;
  readonly code: string | null;
  readonly message: string;
  readonly facts: Readonly<Record<string, unknown>>;
}

type Outcome<T> = { readonly value: T } | { readonly failure: Failure };

/**
 * What the work gave on each rank, in the order of ranks. Collective. If it failed on some, all ranks throw the error of the first of them: an
 * error of the library as it is, an abort as an "AbortError", another one as an EngineError "rank-failed" that names the rank.
 */
export async function agree<T>(communicator: Communicator, work: () => T | Promise<T>): Promise<readonly T[]> {
  const { rank, hosts } = communicator;
  let error: unknown;
  let own: Outcome<T>;
  try {
    own = { value: await work() };
  } catch (thrown) {
    error = thrown;
    own = { failure: failureOf(thrown) };
  }
  const all = await communicator.exchange(own);
  const first = all.findIndex((outcome) => "failure" in outcome);
  if (first < 0) return all.map((outcome) => (outcome as { readonly value: T }).value);
  if (first === rank) throw error;
  const { failure } = all[first] as { readonly failure: Failure };
  throw errorOf(failure, `rank ${first} on ${hosts[first]}`);
}

function failureOf(thrown: unknown): Failure {
  if (!(thrown instanceof Error)) return { name: "Error", code: null, message: String(thrown), facts: {} };
  const { name, message } = thrown;
  if (!(thrown instanceof EngineError)) return { name, code: null, message, facts: {} };
  // Facts are JSON for programs, so they can be sent.
  const { code, facts } = thrown;
  return { name, code, message, facts: JSON.parse(JSON.stringify(facts)) as Failure["facts"] };
}

function errorOf({ name, code, message, facts }: Failure, where: string): Error {
  if (code === null) {
    if (name === "AbortError") return new DOMException(message, name);
    return new EngineError("rank-failed", `${where}: ${name}: ${message}`);
  }
  const fact = (key: string): string => `${facts[key]}`;
  switch (name) {
    case "ArgumentError":
      return new ArgumentError(fact("where"), fact("argument"), fact("expected"), fact("got"));
    case "ShapeError":
      return new ShapeError(fact("where"), fact("argument"), fact("expected"), fact("got"));
    case "FileFormatError":
      return new FileFormatError(fact("file"), fact("expected"), fact("got"), code);
    case "SolverError":
      return new SolverError(code, message, facts);
    case "BackendError":
      return new BackendError(code, message, facts);
    default:
      return new EngineError(code, message, facts);
  }
}

/** @throws {EngineError} "ranks-differ": `value` is not the same text or number everywhere; names the ranks */
export async function checkSame(
  communicator: Communicator,
  where: string,
  values: Readonly<Record<string, string | number>>,
): Promise<void> {
  const all = await agree(communicator, () => values);
  for (const name of Object.keys(values)) {
    const others = all.flatMap((theirs, rank) => (Object.is(theirs[name], all[0]![name]) ? [] : [rank]));
    if (others.length === 0) continue;
    const ranks = `${others.length === 1 ? "rank" : "ranks"} ${others.join(", ")}`;
    throw new EngineError(
      "ranks-differ",
      `${where}: expected the same ${name} on all ranks, got others on ${ranks} than on rank 0`,
      { where, what: name, ranks: others },
    );
  }
}
