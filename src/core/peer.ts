// Packages that users install only when they need them.

import { EngineError } from "./errors.ts";

/** What a package is needed for. */
export interface PeerNeed {
  /** Name of the package. */
  readonly name: string;
  /** The file, or the command, that needs it. */
  readonly place: string;
  /** Subject and verb: "PNG files need". */
  readonly need: string;
  /** What helps, too: ", or Node 22.15 or newer". */
  readonly or?: string;
  /** Facts for programs that read the error. */
  readonly details?: Readonly<Record<string, string>>;
}

/**
 * Loads a package that need not be installed.
 *
 * @throws {EngineError} "peer-missing"
 */
export async function loadPeer<T>(load: () => Promise<T>, need: PeerNeed): Promise<T> {
  try {
    return await load();
  } catch (cause) {
    throw missingPeer(need, cause);
  }
}

/** The error of a package that is not installed. */
export function missingPeer({ name, place, need, or = "", details = {} }: PeerNeed, cause?: unknown): EngineError {
  const message = `${place}: ${need} the package ${name}${or}; install it with: npm install ${name}`;
  return new EngineError("peer-missing", message, { ...details, package: name }, cause);
}
