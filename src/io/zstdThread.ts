// Unpacks Zstandard with the package fzstd, in a thread: on damaged bytes it may go on for minutes, and a thread can be ended. The same file is the
// thread's program.

import { once } from "node:events";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";

/** Time for a buffer: a hundred times what it takes, since the machine may have other work. */
const SECONDS = 5;
const BYTES_PER_SECOND = 2 ** 20;

/** Windows that are allowed whatever the length of a frame: the encoder's at any level that is not "ultra". */
const FREE_WINDOW_BYTES = 2 ** 23;

interface Request {
  readonly packed: Uint8Array<ArrayBuffer>;
  readonly length: number;
}

type Answer = { readonly bytes: Uint8Array<ArrayBuffer> } | { readonly error: string };

/** The bytes take more time than sound ones of their length. */
export class ZstdTimeout extends Error {}

const ROLE = "zstd";

if (!isMainThread && parentPort !== null && workerData === ROLE) {
  const port = parentPort;
  const { Decompress } = await import("fzstd");
  port.on("message", ({ packed, length }: Request) => {
    try {
      const bytes = unpack(Decompress, packed, length);
      port.postMessage({ bytes } satisfies Answer, [bytes.buffer]);
    } catch (cause) {
      port.postMessage({ error: cause instanceof Error ? cause.message : String(cause) } satisfies Answer);
    }
  });
}

/** One buffer at a time. */
export class ZstdThread {
  #worker: Worker | null = null;
  #last: Promise<unknown> = Promise.resolve();

  /** @throws {Error} damaged bytes; {ZstdTimeout} */
  unpack(packed: Uint8Array, length: number): Promise<Uint8Array> {
    const unpacked = this.#last.then(() => this.#ask({ packed: packed.slice(), length }));
    this.#last = unpacked.catch(() => {});
    return unpacked;
  }

  async close(): Promise<void> {
    await this.#worker?.terminate();
    this.#worker = null;
  }

  async #ask(request: Request): Promise<Uint8Array> {
    const worker = this.#worker ?? new Worker(new URL(import.meta.url), { workerData: ROLE });
    // At rest it keeps no process alive.
    worker.ref();
    if (this.#worker === null) {
      this.#worker = worker;
      await once(worker, "online");
    }
    const seconds = SECONDS + request.length / BYTES_PER_SECOND;
    const over = new AbortController();
    const timer = setTimeout(() => over.abort(), 1000 * seconds);
    try {
      worker.postMessage(request, [request.packed.buffer]);
      // Rejects if the thread fails.
      const [answer] = (await once(worker, "message", over)) as [Answer];
      if ("error" in answer) throw new Error(answer.error);
      return answer.bytes;
    } catch (cause) {
      if (!over.signal.aborted) throw cause;
      await this.close();
      throw new ZstdTimeout(`no end within ${Math.ceil(seconds)} s`);
    } finally {
      clearTimeout(timer);
      worker.unref();
    }
  }
}

function unpack(
  Decompress: typeof import("fzstd").Decompress,
  packed: Uint8Array,
  length: number,
): Uint8Array<ArrayBuffer> {
  checkWindow(packed, length);
  const bytes = new Uint8Array(length);
  let at = 0;
  const stream = new Decompress((piece) => {
    if (at + piece.length > length) throw new RangeError(`more than ${length} bytes`);
    bytes.set(piece, at);
    at += piece.length;
  });
  stream.push(packed, true);
  if (at !== length) throw new RangeError(`${at} bytes instead of ${length}`);
  return bytes;
}

/** The decoder makes a window as large as the frame says (RFC 8878, §3.1.1.1). */
function checkWindow(frame: Uint8Array, length: number): void {
  const [flags = 0, window = 0] = frame.subarray(4, 6);
  const isSingleSegment = (flags & 0x20) !== 0;
  if (isSingleSegment) {
    const fieldBytes = [1, 2, 4, 8][flags >> 6]!;
    const at = 5 + [0, 1, 2, 4][flags & 3]!;
    let content = fieldBytes === 2 ? 256 : 0;
    for (let b = 0; b < fieldBytes; b++) content += (frame[at + b] ?? 0) * 2 ** (8 * b);
    if (content !== length) throw new RangeError(`a frame of ${content} bytes`);
    return;
  }
  const base = 2 ** (10 + (window >> 3));
  const bytes = base + (base / 8) * (window & 7);
  if (bytes > Math.max(FREE_WINDOW_BYTES, 2 * length)) throw new RangeError(`a window of ${bytes} bytes`);
}
