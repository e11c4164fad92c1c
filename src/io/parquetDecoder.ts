// The process that decodes a Parquet file for parquetTable.ts. Damaged files make the library loop for ever, or allocate until V8 aborts the
// process, even from a thread with limits. So it runs in a separate process with limited time and memory.
//
//   node --max-old-space-size=MB parquetDecoder.js FILE CPU_SECONDS MB      with a channel to its parent

import { Worker } from "node:worker_threads";
import * as zlib from "node:zlib";
import { brotliDecompressSync, gunzipSync } from "node:zlib";
import type { AsyncBuffer, Compressors, FileMetaData, SchemaElement } from "hyparquet";
import { sizeOf } from "./files.ts";
import { elementLimit, unpackLimit } from "./limits.ts";
import { GroupCells } from "./parquetCells.ts";
import type { FromDecoder, ToDecoder } from "./parquetTable.ts";
import { ROWS_PER_BATCH } from "./tableColumns.ts";

type Hyparquet = typeof import("hyparquet");

/** Codecs that hyparquet has itself. */
const BUILT_IN: readonly string[] = ["UNCOMPRESSED", "SNAPPY"];

/** Messages to the parent other than rows. */
class Refusal extends Error {
  readonly report: FromDecoder;
  constructor(report: FromDecoder) {
    super(report.kind);
    this.report = report;
  }
}

if (process.send !== undefined) {
  const [file, seconds, megabytes] = process.argv.slice(2) as [string, string, string];
  // The parent ends this process once it has all messages. Only the parent handles signals that go to both.
  process.on("disconnect", () => process.exit());
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => {});
  watch(Number(seconds), Number(megabytes));
  try {
    await serve(file);
  } catch (cause) {
    await send(cause instanceof Refusal ? cause.report : failure(cause));
  }
}

/**
 * Ends this process when its time is used up, or its parent is gone; from a thread, since a loop would not let a timer run. Bun ignores the
 * option that limits the heap, so there the thread watches the memory, too.
 */
function watch(seconds: number, megabytes: number): void {
  const isLimited = process.versions.bun === undefined;
  const bytes = isLimited ? Number.POSITIVE_INFINITY : process.memoryUsage.rss() + megabytes * 2 ** 20;
  const code = `
    const parent = process.ppid;
    const cpu = () => { const { user, system } = process.cpuUsage(); return (user + system) / 1e6; };
    const over = () => process.ppid !== parent || cpu() > ${seconds} || process.memoryUsage.rss() > ${bytes};
    setInterval(() => over() && process.kill(process.pid, "SIGKILL"), 100);`;
  new Worker(code, { eval: true, execArgv: [] }).unref();
}

async function serve(file: string): Promise<void> {
  const bytes = await sizeOf(file, "a Parquet file");
  const hyparquet = await peer<Hyparquet>("hyparquet", () => import("hyparquet"));
  const buffer = await hyparquet.asyncBufferFromFile(file);
  const metadata = await hyparquet.parquetMetadataAsync(buffer);
  const rows = metadata.row_groups.reduce((sum, group) => sum + Number(group.num_rows), 0);
  if (!(rows <= elementLimit(bytes))) {
    const expected = `at most ${elementLimit(bytes)} rows in a file of ${bytes} bytes`;
    throw new Refusal({ kind: "limit", expected, got: `${rows}` });
  }
  const columns = hyparquet.parquetSchema(metadata).children.map(({ element }) => element);
  await send({ kind: "table", columns: columns.map((column) => ({ name: column.name, type: typeOf(column) })), rows });
  const chosen = await new Promise<ToDecoder>((resolve) => process.once("message", resolve));
  const compressors = await compressorsFor(codecsOf(metadata, chosen), bytes);
  const unsigned = new Set(columns.filter(isUnsigned).map(({ name }) => name));
  await sendRows(hyparquet, { buffer, metadata, columns: [...chosen], unsigned, compressors });
  await send({ kind: "end" });
}

interface Request {
  readonly buffer: AsyncBuffer;
  readonly metadata: FileMetaData;
  readonly columns: string[];
  /** Those of integers of 64 bits without sign. */
  readonly unsigned: ReadonlySet<string>;
  readonly compressors: Compressors;
}

/** The physical type, or the one of times, which the library makes of it. */
function typeOf({ type, converted_type: converted, logical_type: logical }: SchemaElement): string {
  return [logical?.type, converted].find((name) => name !== undefined && /^(DATE|TIMESTAMP)/.test(name)) ?? type ?? "";
}

function isUnsigned({ converted_type: converted, logical_type: logical }: SchemaElement): boolean {
  return converted === "UINT_64" || (logical?.type === "INTEGER" && logical.bitWidth === 64 && !logical.isSigned);
}

/** All rows, group by group, in slices. */
async function sendRows(hyparquet: Hyparquet, request: Request): Promise<void> {
  let rowStart = 0;
  for (const { num_rows } of request.metadata.row_groups) {
    const rowEnd = rowStart + Number(num_rows);
    const cells: GroupCells[] = [];
    // One after another: what the library keeps of a column is garbage before the next.
    for (const name of request.columns) cells.push(await readColumn(hyparquet, request, { name, rowStart, rowEnd }));
    for (let row = rowStart; row < rowEnd; row += ROWS_PER_BATCH) {
      const count = Math.min(ROWS_PER_BATCH, rowEnd - row);
      const columns = cells.map((column) => column.slice(row - rowStart, count));
      await send({ kind: "rows", rowStart: row, count, columns });
    }
    rowStart = rowEnd;
  }
}

/** The cells of a column in one row group. */
async function readColumn(
  hyparquet: Hyparquet,
  { buffer, metadata, unsigned, compressors }: Request,
  { name, rowStart, rowEnd }: { readonly name: string; readonly rowStart: number; readonly rowEnd: number },
): Promise<GroupCells> {
  const cells = new GroupCells(rowEnd - rowStart, unsigned.has(name));
  await hyparquet.parquetRead({
    ...{ file: buffer, metadata, columns: [name], rowStart, rowEnd, compressors },
    onChunk: ({ columnName, columnData, rowStart: row }) => {
      if (columnName === name) cells.put(columnData, row - rowStart);
    },
  });
  cells.check();
  return cells;
}

function codecsOf({ row_groups }: FileMetaData, columns: ToDecoder): Set<string> {
  const chunks = row_groups.flatMap((group) => group.columns.flatMap(({ meta_data }) => meta_data ?? []));
  return new Set(chunks.filter(({ path_in_schema: [name] }) => columns.includes(name!)).map(({ codec }) => codec));
}

/** Decompressors for these codecs: Node's where it has them, else those of a package that users install when they need it. */
async function compressorsFor(codecs: ReadonlySet<string>, fileBytes: number): Promise<Compressors> {
  const maxOf = (length: number): { maxOutputLength: number } => {
    if (length > unpackLimit(fileBytes)) throw new Error(`a page of ${length} bytes`);
    return { maxOutputLength: Math.max(length, 1) };
  };
  const own: Compressors = {
    GZIP: (bytes, length) => new Uint8Array(gunzipSync(bytes, maxOf(length))),
    BROTLI: (bytes, length) => new Uint8Array(brotliDecompressSync(bytes, maxOf(length))),
  };
  const { zstdDecompressSync } = zlib as { zstdDecompressSync?: typeof gunzipSync };
  if (zstdDecompressSync) own.ZSTD = (bytes, length) => new Uint8Array(zstdDecompressSync(bytes, maxOf(length)));
  const missing = [...codecs].filter((codec) => !BUILT_IN.includes(codec) && !(codec in own));
  if (missing.length === 0) return own;
  const { compressors } = await peer(
    "hyparquet-compressors",
    () => import("hyparquet-compressors"),
    missing.join(", "),
  );
  for (const codec of missing as (keyof Compressors)[]) {
    const unpack = compressors[codec];
    if (!unpack) continue;
    own[codec] = (bytes, length) => {
      maxOf(length);
      return unpack(bytes, length);
    };
  }
  return own;
}

/** A package that need not be installed. */
async function peer<T>(name: string, load: () => Promise<T>, codec?: string): Promise<T> {
  try {
    return await load();
  } catch {
    throw new Refusal({ kind: "peer", package: name, ...(codec !== undefined && { codec }) });
  }
}

function failure(cause: unknown): FromDecoder {
  const errno = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  return { kind: "error", errno, message: cause instanceof Error ? cause.message : String(cause) };
}

/** Sends a message, and waits until it is on its way. */
function send(message: FromDecoder): Promise<void> {
  return new Promise((resolve, reject) => {
    process.send!(message, undefined, undefined, (error) => (error ? reject(error) : resolve()));
  });
}
