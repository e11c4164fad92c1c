// Typed errors. Every message reads `where: expected …, got … (argument)`; `code` is stable for programs.
// Messages quote text from any file, so control characters are made visible and lengths are bounded.

import { printable, shortened } from "./text.ts";

/** Longest part of a message, and longest message. */
const PART_LENGTH = 1000;
const MESSAGE_LENGTH = 4000;
/** Longest text among the facts: a path fits. */
const FACT_LENGTH = 4096;

/** Base of all errors that axograd throws on purpose. */
export class EngineError extends Error {
  /** Stable machine-readable code, e.g. `"shape"`, `"file-truncated"`. */
  readonly code: string;
  /**
   * The failure for programs, in the JSON of `--json` and metrics.jsonl too: sample, time, file, argument … Texts beyond 4,096 characters
   * lose their middle; everything else stays as it was given.
   */
  readonly facts: Readonly<Record<string, unknown>>;

  constructor(code: string, message: string, facts: Record<string, unknown> = {}, cause?: unknown) {
    const shown = shortened(printable(message, { lines: true }), MESSAGE_LENGTH);
    super(shown, cause === undefined ? undefined : { cause });
    this.name = new.target.name;
    this.code = code;
    this.facts = Object.fromEntries(Object.entries(facts).map(([name, fact]) => [name, boundedFact(fact)]));
  }
}

function boundedFact(fact: unknown): unknown {
  return typeof fact === "string" ? shortened(fact, FACT_LENGTH) : fact;
}

/** A part of a message, on one line. */
function part(text: string): string {
  return printable(shortened(text, PART_LENGTH));
}

function argumentMessage(where: string, argument: string, expected: string, got: string): string {
  return `${part(where)}: expected ${part(expected)}, got ${part(got)} (${part(argument)})`;
}

/** An argument has the wrong value, type or range. The command line exits with 2 on these. */
export class ArgumentError extends EngineError {
  constructor(where: string, argument: string, expected: string, got: string) {
    super("argument", argumentMessage(where, argument, expected, got), { where, argument, expected, got });
  }
}

/** Sizes that must agree differ. */
export class ShapeError extends EngineError {
  constructor(where: string, argument: string, expected: string, got: string) {
    super("shape", argumentMessage(where, argument, expected, got), { where, argument, expected, got });
  }
}

/** A sparse matrix breaks an invariant (sorted, in range, no duplicates, finite). */
export class SparseFormatError extends EngineError {
  constructor(where: string, argument: string, expected: string, got: string) {
    super("sparse-format", argumentMessage(where, argument, expected, got), {
      where,
      argument,
      expected,
      got,
    });
  }
}

/** A control of a connectome does not keep what it says that it keeps. */
export class InvariantError extends EngineError {
  constructor(invariant: string, expected: string, got: string) {
    super("invariant", argumentMessage("control", invariant, expected, got), { invariant, expected, got });
  }
}

/** A file is missing, truncated, of the wrong format, or has refused content. */
export class FileFormatError extends EngineError {
  constructor(file: string, expected: string, got: string, code = "file-format") {
    super(code, `${part(file)}: expected ${part(expected)}, got ${part(got)}`, { file, expected, got });
  }
}

/** A device cannot do what was asked (missing kernel, out of memory, lost device, failed worker). */
export class BackendError extends EngineError {
  constructor(code: string, message: string, facts: Record<string, unknown> = {}, cause?: unknown) {
    super(code, message, facts, cause);
  }
}

/** A solve did not reach its end; names the sample, the time, the step size, and what to try. */
export class SolverError extends EngineError {
  constructor(code: string, message: string, facts: Record<string, unknown>) {
    super(code, message, facts);
  }
}

/** Longer names are not typing errors. */
const NAME_LENGTH = 100;

/** The option or name nearest to `name` among `known` (Damerau-like edit distance), or null when none is near. */
export function nearestName(name: string, known: Iterable<string>): string | null {
  if (name.length > NAME_LENGTH) return null;
  const wanted = name.toLowerCase();
  let best: string | null = null;
  let bestDistance = Math.max(2, Math.floor(name.length / 3)) + 1;
  for (const candidate of known) {
    if (Math.abs(candidate.length - name.length) >= bestDistance) continue;
    const d = editDistance(wanted, candidate.toLowerCase(), bestDistance);
    if (d < bestDistance) {
      bestDistance = d;
      best = candidate;
    }
  }
  return best;
}

/** One row of the table of `editDistance`; lower case may be longer than the text. */
const distances = new Uint16Array(4 * NAME_LENGTH);

/**
 * Levenshtein distance; may return any number ≥ `limit` once it is certain to reach it. Entries further than `limit` from the diagonal cannot be
 * on a path below it, so they are not computed. Source: Ukkonen, "Algorithms for approximate string matching", Information and Control 64, 1985.
 */
function editDistance(a: string, b: string, limit: number): number {
  const [n, m] = [a.length, b.length];
  if (Math.abs(n - m) >= limit || m >= distances.length) return limit;
  for (let j = 0; j <= m; j++) distances[j] = Math.min(j, limit);
  for (let i = 1; i <= n; i++) {
    const [first, last] = [Math.max(1, i - limit + 1), Math.min(m, i + limit - 1)];
    const code = a.charCodeAt(i - 1);
    let diagonal = distances[first - 1]!;
    distances[first - 1] = first === 1 ? Math.min(i, limit) : limit;
    let least = distances[first - 1]!;
    for (let j = first; j <= last; j++) {
      const above = distances[j]!;
      const swapped = diagonal + (code === b.charCodeAt(j - 1) ? 0 : 1);
      const d = Math.min(swapped, above + 1, distances[j - 1]! + 1, limit);
      diagonal = above;
      distances[j] = d;
      if (d < least) least = d;
    }
    if (least >= limit) return limit;
    if (last < m) distances[last + 1] = limit;
  }
  return distances[m]!;
}
