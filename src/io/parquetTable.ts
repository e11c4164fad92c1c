// Parquet files as tables of columns, decoded in a separate process (parquetDecoder.ts): a damaged file can neither hang nor end this one.

import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Abortable } from "../core/abort.ts";
import { type EngineError, FileFormatError } from "../core/errors.ts";
import { missingPeer, type PeerNeed } from "../core/peer.ts";
import { printable, shortened } from "../core/text.ts";
import { fileError, sizeOf } from "./files.ts";
import type { Slice } from "./parquetCells.ts";

const EXPECTED = "a Parquet file";
const MIB = 2 ** 20;

/** A column that is no part of another one. */
export interface ParquetColumn {
  readonly name: string;
  /** The physical type, e.g. "INT64" or "FLOAT", or "DATE", "TIMESTAMP"; empty for a column made of others. */
  readonly type: string;
}

/** A request to the decoder: the columns to send, by name. */
export type ToDecoder = readonly string[];

/** Messages of the decoder. */
export type FromDecoder =
  | { readonly kind: "table"; readonly columns: readonly ParquetColumn[]; readonly rows: number }
  | { readonly kind: "rows"; readonly rowStart: number; readonly count: number; readonly columns: readonly Slice[] }
  | { readonly kind: "end" }
  | { readonly kind: "limit"; readonly expected: string; readonly got: string }
  | { readonly kind: "peer"; readonly package: string; readonly codec?: string }
  | { readonly kind: "error"; readonly errno: string; readonly message: string };

/** Receiver of a table. */
export interface TableVisitor {
  /** Called once, with all columns that there are; returns the names of those to read, or null to stop. */
  choose(columns: readonly ParquetColumn[], rows: number): readonly string[] | null;
  /**
   * Called with the cells of the chosen columns in rows `rowStart` … `rowStart + count − 1`, in their order.
   *
   * @returns false to stop
   */
  rows(columns: readonly Slice[], rowStart: number, count: number): boolean;
}

/** Limits of time and memory for a file of this size: ten times what an ordinary file takes. */
function budgetOf(bytes: number): { readonly megabytes: number; readonly seconds: number } {
  return { megabytes: Math.round(128 + (32 * bytes) / MIB), seconds: Math.round(2 + (4 * bytes) / MIB) };
}

/**
 * Reads columns of a Parquet file, group by group.
 *
 * @throws {EngineError} "peer-missing": hyparquet is not installed, or the package that its compression needs
 * @throws {FileFormatError} missing or damaged file, one that takes more time or memory than a file of its size can need ("file-limit");
 *   what the visitor throws
 * @throws the signal's reason
 */
export async function forEachSlice(file: string, visitor: TableVisitor, { signal }: Abortable = {}): Promise<void> {
  signal?.throwIfAborted();
  const budget = budgetOf(await sizeOf(file, EXPECTED));
  const program = fileURLToPath(new URL("./parquetDecoder.js", import.meta.url));
  const decoder = fork(program, [file, `${budget.seconds}`, `${budget.megabytes}`], {
    serialization: "advanced",
    execArgv: [`--max-old-space-size=${budget.megabytes}`],
    stdio: ["ignore", "ignore", "ignore", "ipc"],
  });
  try {
    await converse(decoder, file, visitor, budget, signal);
  } finally {
    decoder.kill("SIGKILL");
  }
}

function converse(
  decoder: ChildProcess,
  file: string,
  visitor: TableVisitor,
  { megabytes, seconds }: ReturnType<typeof budgetOf>,
  signal: AbortSignal | undefined,
): Promise<void> {
  return new Promise((resolve, reject) => {
    // Messages that are on their way when reading ends are of no interest.
    const end = (settle: () => void): void => {
      decoder.off("message", onMessage);
      signal?.removeEventListener("abort", onAbort);
      settle();
    };
    const onAbort = (): void => end(() => reject(signal!.reason));
    const take = (message: FromDecoder): void => {
      if (message.kind === "table") {
        const chosen = visitor.choose(message.columns, message.rows);
        if (chosen === null) end(resolve);
        else decoder.send([...chosen]);
      } else if (message.kind === "rows") {
        if (!visitor.rows(message.columns, message.rowStart, message.count)) end(resolve);
      } else if (message.kind === "end") end(resolve);
      else throw refusalOf(file, message);
    };
    const onMessage = (message: FromDecoder): void => {
      try {
        take(message);
      } catch (cause) {
        end(() => reject(cause));
      }
    };
    decoder.on("message", onMessage);
    if (signal?.aborted) onAbort();
    else signal?.addEventListener("abort", onAbort);
    decoder.on("error", (cause) => end(() => reject(fileError(file, `${EXPECTED} and a process to decode it`, cause))));
    decoder.on("exit", () => {
      const expected = `${EXPECTED} that is decoded within ${seconds} s and ${megabytes} MiB`;
      end(() => reject(new FileFormatError(file, expected, "a damaged or malicious one", "file-limit")));
    });
  });
}

function refusalOf(file: string, message: Exclude<FromDecoder, { kind: "table" | "rows" | "end" }>): EngineError {
  switch (message.kind) {
    case "limit":
      return new FileFormatError(file, message.expected, message.got, "file-limit");
    case "peer":
      return missingPeer(needOf(file, message.package, message.codec));
    case "error": {
      const cause = new Error(shortened(printable(message.message), 200));
      return fileError(file, EXPECTED, message.errno === "" ? cause : Object.assign(cause, { code: message.errno }));
    }
  }
}

function needOf(file: string, name: string, codec: string | undefined): PeerNeed {
  if (codec === undefined) return { name, place: file, need: "Parquet files need", details: { file } };
  const or = " (or write the file with snappy, gzip or brotli)";
  return { name, place: file, need: `columns packed with ${codec} need`, or, details: { file, codec } };
}
